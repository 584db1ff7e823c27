//! The `schedrs` binary: everything is in the library.

fn main() {
    schedrs::cli::main()
}
