//! `schedrs edit`: the jobfile in an editor, as `crontab -e`: nothing takes effect that is not right.
//!
//! A copy beside the jobfile is edited, so that what it includes is found. Once it has no errors it takes
//! the jobfile's place in one step, and whoever runs that reads it again.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::named::FileArgs;
use super::{reload, request};
use crate::cli::{Context, ExitCode};
use crate::control::client::{Client, Error, Place};
use crate::jobfile::{self, Loaded};
use crate::problem::{self, clean};
use crate::sys::clock;
use crate::sys::terminal;
use crate::sys::trust::quoted;

/// Edit the jobfile, check it, and have a running schedrs read it again
///
/// A copy is edited with $VISUAL, else $EDITOR, else vi. If it has errors they are shown and you can edit
/// again. Once it is right it takes the jobfile's place, what has changed is shown, and the schedrs that
/// runs the jobfile reads it again.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes: 0 done, or nothing was changed; 1 it has errors or could not be written.")]
pub(crate) struct Args {
    #[command(flatten)]
    file: FileArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let given = args
        .file
        .path("`schedrs show {}` shows it, `schedrs modify {}` changes its options", context)?;
    let name = quoted(&given);
    let cannot = || format!("cannot read {name}");
    // A link stays one: what it leads to is edited.
    let file = fs::canonicalize(&given).with_context(cannot)?;
    let meta = fs::metadata(&file).with_context(cannot)?;
    if !meta.is_file() {
        bail!("{name} is not a regular file");
    }
    let before = fs::read(&file).with_context(cannot)?;
    let mut copy = Copy::make(&file, &before, &meta)?;
    loop {
        open_editor(&copy.path)?;
        let after = fs::read(&copy.path).context("failed to read what was edited")?;
        if after == before {
            anstream::eprintln!("schedrs: {name} is unchanged");
            return Ok(ExitCode::SUCCESS);
        }
        let loaded = jobfile::load_path(&copy.path, &context.zones, clock::wall());
        show_problems(&loaded, &copy.path, &name)?;
        if loaded.set.is_some() {
            break;
        }
        if !yes("edit again? [Y/n] ")? {
            copy.keep();
            let kept = quoted(&copy.path);
            bail!("{name} is as it was; what you have written is in {kept}");
        }
    }
    if fs::read(&file).ok().as_deref() != Some(&*before) {
        copy.keep();
        let kept = quoted(&copy.path);
        bail!("somebody else has changed {name} meanwhile; what you have written is in {kept}");
    }
    show_difference(&file, &copy.path, &name)?;
    fs::rename(&copy.path, &file).with_context(|| format!("failed to write {name}"))?;
    copy.keep();
    tell(&given, &name)
}

/// What is edited. It is removed in the end, unless it is kept.
struct Copy {
    path: PathBuf,
    is_kept: bool,
}

impl Copy {
    /// A hidden file, which no pattern of `include` matches.
    fn make(file: &Path, text: &[u8], like: &Metadata) -> anyhow::Result<Copy> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = file.with_file_name(format!(".{name}.{}.toml", std::process::id()));
        let cannot = || format!("cannot write {}", quoted(&path));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(like.mode() & 0o777);
        let mut opened = options.open(&path).with_context(cannot)?;
        let copy = Copy { path: path.clone(), is_kept: false };
        opened.write_all(text).with_context(cannot)?;
        opened.set_permissions(like.permissions()).with_context(cannot)?;
        // Only root can, and for others it is theirs already.
        let _ = chown(&path, Some(like.uid()), Some(like.gid()));
        Ok(copy)
    }

    fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Has it edited. What names the editor may have arguments, so it is a line for the shell.
fn open_editor(path: &Path) -> anyhow::Result<()> {
    let mut named = ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os);
    let editor = named.find(|editor| !editor.is_empty());
    let mut line = editor.unwrap_or_else(|| "vi".into());
    line.push(" \"$1\"");
    let status = Command::new("/bin/sh").arg("-c").arg(&line).arg("schedrs").arg(path).status();
    match status.context("failed to run the editor")? {
        status if status.success() => Ok(()),
        status => bail!("the editor failed ({status}); the jobfile is as it was"),
    }
}

/// Shows what is wrong with the copy, under the name of the jobfile.
fn show_problems(loaded: &Loaded, copy: &Path, name: &str) -> io::Result<()> {
    let mut text = Vec::new();
    problem::print(&mut text, &loaded.problems, &loaded.sources, terminal::columns(io::stderr()))?;
    let text = String::from_utf8_lossy(&text).replace(&copy.display().to_string(), name);
    anstream::eprint!("{text}");
    Ok(())
}

/// Shows what has changed, if there is a `diff` to do it.
fn show_difference(file: &Path, copy: &Path, name: &str) -> io::Result<()> {
    let mut diff = Command::new("diff");
    diff.arg("-u").args(["--label", name, "--label", name]).args([file, copy]);
    let Ok(output) = diff.output() else { return Ok(()) };
    let mut out = anstream::stdout().lock();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .try_for_each(|line| writeln!(out, "{}", clean(line)))
}

/// Asks on the terminal; nobody there says no.
fn yes(question: &str) -> io::Result<bool> {
    anstream::eprint!("{question}");
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        anstream::eprintln!();
        return Ok(false);
    }
    Ok(!line.trim().to_ascii_lowercase().starts_with('n'))
}

/// Has whoever runs the jobfile read it again.
fn tell(jobfile: &Path, name: &str) -> anyhow::Result<ExitCode> {
    let place = Place::Jobfile(jobfile.to_path_buf());
    let mut client = match Client::connect_within(&place, request::ANSWER) {
        Ok(client) => client,
        Err(Error::NotRunning { .. }) => {
            anstream::eprintln!("schedrs: {name} is written; no schedrs runs it");
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(request::told(error)),
    };
    request::be_patient(&mut client)?;
    let body = client.ask(&json!({ "do": "reload" })).map_err(request::told)?;
    writeln!(anstream::stdout(), "{}", reload::words(&body))?;
    Ok(ExitCode::SUCCESS)
}
