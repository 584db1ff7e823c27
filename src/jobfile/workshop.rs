//! stub
use crate::job::Job; use crate::instant::Instant;
#[derive(Clone,Debug)] pub struct Workshop;
impl Workshop {
 pub fn build(&self,_id:&str,_t:&str,_n:Instant)->Result<Job,Vec<String>>{Err(vec![])}
 pub fn build_many<'a>(&self,_t: impl Iterator<Item=(&'a str,&'a str)>,_n:Instant)->Vec<Result<Job,Vec<String>>>{vec![]}
 pub fn modify(&self,_j:&Job,_t:&str)->Result<Job,Vec<String>>{Err(vec![])}
 pub fn reschedule(&self,_j:&Job,_t:&str)->Result<Job,Vec<String>>{Err(vec![])}
 pub fn overlay(&self,_j:&Job,_t:&str)->Result<Job,Vec<String>>{Err(vec![])}
 pub fn merge(&self,_o:Option<&str>,n:&str)->String{n.to_owned()}
}
