//! The build script: what it asks of the linker, for programs that run on this kind of machine.
//!
//! A twentieth of the program would be addresses that are to be corrected at each start; packed they
//! are a thirtieth of that. glibc reads them so from version 2.36 on (and refuses such a program
//! before), so they are packed where the program is built with that or a newer one, and for the same
//! kind of machine.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let is_for_here = env::var_os("HOST") == env::var_os("TARGET");
    if is_for_here && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's C library, if that is glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
