//! stub
use crate::event::{RunId, Start};
use super::*;
#[derive(Debug)] pub enum Said { ClaimLost(RunId), Degraded(String), Recovered{dropped:u64, after: Duration}, Fresh }
#[derive(Debug)] pub struct Keeper; #[derive(Debug,Clone)] pub struct Notes;
impl Notes { pub fn note(&self, _f: Fact) {} }
impl Keeper {
 pub fn start(_s: Box<dyn Store>, _r: Box<dyn Fn()->Result<Box<dyn Store>,StoreError>+Send>, _l: Limits, _submit: impl Fn(Start)+Send+'static, _say: impl Fn(Said)+Send+'static) -> std::io::Result<Keeper> { Ok(Keeper) }
 pub fn commit(&self, _f: Vec<Fact>, _s: Vec<Start>) {} pub fn notes(&self)->Notes{Notes} pub fn hurry(&self){} pub fn finish(self,_p:Duration){}
}
