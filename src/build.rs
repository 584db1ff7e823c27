//! Build script: links the stack unwinder into the binary instead of loading it at each start.
//!
//! Rust's standard library asks for `libgcc_s.so`, a shared library of which a program needs a few
//! functions once it panics. Finding, mapping and relocating it takes a sixth of the time in which
//! `schedrs validate` checks a small jobfile. The same functions are in `libgcc_eh.a`, which comes
//! with the C compiler that links; a linker script of that name in a directory that is searched
//! first makes the one stand for the other. Where there is no such archive, nothing changes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    if let Some(dir) = unwinder() {
        println!("cargo::rustc-link-search=native={}", dir.display());
    }
}

/// The directory that holds the linker script, if one could be made.
fn unwinder() -> Option<PathBuf> {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !native || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return None;
    }
    let output = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let archive = String::from_utf8(output.stdout).ok()?;
    // A compiler that does not have the file gives back its bare name.
    let archive = Path::new(archive.trim());
    if !archive.is_absolute() || !archive.is_file() {
        return None;
    }
    let dir = PathBuf::from(env::var_os("OUT_DIR")?);
    fs::write(dir.join("libgcc_s.so"), format!("INPUT(\"{}\")\n", archive.display())).ok()?;
    Some(dir)
}
