//! The build script: what it asks of the linker.
//!
//! * **Packed relocations**, for programs that run on this kind of machine. A twentieth of the program
//!   would be addresses that are to be corrected at each start; packed they are a thirtieth of that. glibc
//!   reads them so from version 2.36 on (and refuses such a program before), so they are packed where the
//!   program is built with that or a newer one, and for the same kind of machine.
//! * **One copy of functions that are the same** (`--icf=all`), for release builds. Not every linker can:
//!   it is asked to link a program of nothing, the way cargo will link this one.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let is_for_here = env::var_os("HOST") == env::var_os("TARGET");
    if is_for_here && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_release && takes("-Wl,--icf=all").unwrap_or(false) {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// The version of this machine's C library, if that is glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether the linker takes this argument; `None`: nobody can tell.
fn takes(argument: &str) -> Option<bool> {
    let directory = env::var_os("OUT_DIR")?;
    let directory = Path::new(&directory);
    let (source, program) = (directory.join("nothing.rs"), directory.join("nothing"));
    fs::write(&source, "fn main() {}\n").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg("--target").arg(env::var_os("TARGET")?).arg("-o").arg(&program).arg(&source);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.to_str()?));
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    rustc.arg("-C").arg(format!("link-arg={argument}")).stdout(Stdio::null()).stderr(Stdio::null());
    Some(rustc.status().ok()?.success())
}
