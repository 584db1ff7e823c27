//! The `schedrs` binary: everything is in the library.
//!
//! It has a C `main` instead of a Rust one. What Rust's runtime does before `main` is mostly to
//! measure the stack by reading `/proc/self/maps`, so that a stack overflow ends with a message
//! instead of just SIGSEGV; that is a tenth of the time in which `schedrs validate` checks a small
//! jobfile. The rest, which matters, is done in `schedrs::cli::main`: see `startup` there.
#![no_main]

use std::ffi::{c_char, c_int};

// SAFETY: this is the one `main` of the program, with the signature that C gives it. The arguments
// are not touched: on Linux the standard library has its own way to them.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    schedrs::cli::main()
}
