//! What several test files share: a random number generator with a seed, random schedules that
//! know by themselves when they match, and the laws of time as code.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code)]

pub(crate) mod laws;
pub(crate) mod rng;
pub(crate) mod spec;
