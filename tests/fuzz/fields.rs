//! Fuzzes the table form: lines of `key=expressions`, read as a jobfile's `cron = { … }`.

#![no_main]

mod common;
#[path = "../common/laws.rs"]
mod laws;
#[path = "../common/rng.rs"]
#[allow(dead_code)]
mod rng;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use schedrs::trigger::cron::fields::{Builder, Field};
use schedrs::trigger::{CronTrigger, Trigger};

fuzz_target!(|data: &[u8]| {
    let Some(input) = common::input(data) else { return };
    let mut builder = Builder::default();
    let mut given = Vec::new();
    let mut all_sound = true;
    for line in input.text.split('\n').take(16) {
        let Some((key, text)) = line.split_once('=') else { continue };
        let Some(field) = Field::ALL.into_iter().find(|field| field.key() == key) else { continue };
        // A TOML table has each key once.
        if given.contains(&field) {
            continue;
        }
        given.push(field);
        let mut flaws = Vec::new();
        let sound = builder.set(field, text, &mut flaws);
        common::sound(text, &flaws, sound);
        all_sound &= sound;
    }
    if !all_sound || given.is_empty() {
        return;
    }
    let cron = CronTrigger::new([builder.build()], input.zone, input.start, input.end);
    let _ = (cron.every_second(), cron.never());
    let trigger = Trigger::Cron(Arc::new(cron));
    if let Err(broken) = laws::hold(&trigger, input.from, 4, input.seed) {
        panic!("{:?} from {:?}: {broken}", input.text, input.from);
    }
});
