//! The `schedrs` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    schedrs::cli::main()
}
