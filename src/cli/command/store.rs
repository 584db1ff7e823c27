//! `schedrs store`: what is done with a store as a whole.

mod copy;

use crate::cli::{Context, ExitCode};

/// Copy a store's contents to another store
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    Copy(copy::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Copy(args) => copy::run(args, context),
    }
}
