//! `schedrs completions`: scripts for shells; and `schedrs __complete`, which they call.

use std::io::{self, Write};

use clap::ValueEnum;

use crate::cli::complete::script;
use crate::cli::{Context, ExitCode};

/// Print a completion script for bash, zsh or fish
#[derive(clap::Args, Debug)]
#[command(after_help = "\
To install it:
  bash  schedrs completions bash > ~/.local/share/bash-completion/completions/schedrs
  zsh   schedrs completions zsh > ~/.zfunc/_schedrs    with `fpath+=~/.zfunc` before `compinit`
  fish  schedrs completions fish > ~/.config/fish/completions/schedrs.fish

The script calls schedrs itself for what can come next, so a new version needs no new script. Job ids \
come from the jobfile named on the command line, or the one `schedrs run` would use.")]
pub(crate) struct Args {
    /// The shell to complete in
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// A shell that can be helped.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args, _: &Context) -> anyhow::Result<ExitCode> {
    let text = match args.shell {
        Shell::Bash => script::BASH,
        Shell::Zsh => script::ZSH,
        Shell::Fish => script::FISH,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
