//! `schedrs completions`: scripts for shells; and `schedrs __complete`, which they call.

use std::io::{self, Write};

use clap::ValueEnum;

use crate::cli::complete::script;
use crate::cli::{Context, ExitCode};

/// Print a script that completes schedrs in a shell, job ids included
#[derive(clap::Args, Debug)]
#[command(after_help = "\
  bash  schedrs completions bash > ~/.local/share/bash-completion/completions/schedrs
  zsh   schedrs completions zsh > ~/.zfunc/_schedrs    with `fpath+=~/.zfunc` before `compinit`
  fish  schedrs completions fish > ~/.config/fish/completions/schedrs.fish

The script asks schedrs itself what may come next, so it need not be written again for a new \
version. The ids of jobs are those of the jobfile that the line names or `schedrs run` would find.")]
pub(crate) struct Args {
    /// The shell
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
