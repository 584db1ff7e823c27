//! `schedrs init`: a small jobfile to begin with, which runs as it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cli::{Context, ExitCode};
use crate::sys::trust;

/// Write a small, commented jobfile that runs as it is
#[derive(clap::Args, Debug)]
#[command(after_help = "\
An existing file is never overwritten. The new file has mode 0644: whoever can write to a jobfile \
decides what is run.")]
pub(crate) struct Args {
    /// The file to write; `-` is standard output
    #[arg(value_name = "FILE", default_value = "jobs.toml")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let zone = super::argument::local_zone(context);
    let zone = if zone.has_name() {
        format!("timezone = \"{zone}\"    #")
    } else {
        // Without the line it is still that of the machine.
        "# timezone = \"Europe/Berlin\"    #".to_owned()
    };
    let file = &args.file;
    if file == Path::new("-") {
        io::stdout().lock().write_all(text("jobs.toml", &zone).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = trust::quoted(file);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o644).open(file);
    let mut created = match opened {
        Ok(created) => created,
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists if file.is_dir() => {
                bail!("{name} is a directory: name a file in it, such as {name}/jobs.toml")
            }
            io::ErrorKind::AlreadyExists => {
                bail!(
                    "{name} already exists and was not changed; name another file, or use `-` to print"
                )
            }
            io::ErrorKind::NotFound => {
                let directory = file.parent().map(trust::quoted).unwrap_or_default();
                bail!("cannot write {name}: {directory} does not exist; mkdir -p {directory}")
            }
            _ => bail!("cannot write {name}: {error}"),
        },
    };
    if let Err(error) = created.write_all(text(&name, &zone).as_bytes()) {
        // Half of it would be in the way of the next try.
        let _ = fs::remove_file(file);
        bail!("cannot write {name}: {error}");
    }
    let mut out = anstream::stdout().lock();
    writeln!(out, "wrote {name} with three harmless jobs. Next:\n")?;
    for (command, what) in commands(&name) {
        writeln!(out, "  {command:<width$}  {what}", width = width(&name))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do with a jobfile first.
fn commands(name: &str) -> [(String, &'static str); 3] {
    [
        (format!("schedrs validate {name}"), "check it"),
        (format!("schedrs next {name}"), "see when its jobs are due"),
        (format!("schedrs run {name}"), "run them; Ctrl-C stops the scheduler"),
    ]
}

fn width(name: &str) -> usize {
    "schedrs validate ".len() + name.chars().count()
}

/// The jobfile. Its jobs show something within seconds, and fit every zone: no daylight-saving
/// change is near half past twelve.
fn text(name: &str, zone: &str) -> String {
    let mut text = "# Jobs for schedrs.\n#\n".to_owned();
    for (command, what) in commands(name) {
        text += &format!("#   {command:<width$}  {what}\n", width = width(name));
    }
    text + &TEXT.replace("ZONE", zone)
}

const TEXT: &str = r#"#
# Every job has a command and one of `date`, `interval` and `cron`. All that can be said of a job:
# `man 5 schedrs-jobs`, and `schedrs validate --explain` for each job's options and their defaults.

[scheduler]
ZONE on whose clocks `cron` and `date` are meant

[jobs.hello]
command = 'echo "hello from $SCHEDRS_JOB"'    # a string goes to the shell
date = "now"                                  # once, when the scheduler starts

[jobs.clock]
command = ["date", "+it is %T"]               # an array is run as it stands
interval = "5s"

[jobs.lunch]
command = "echo time for lunch"
cron = "30 12 * * mon-fri"                    # minute, hour, day, month, weekday
timeout = "10m"                               # then all its processes are ended
retries = 2                                   # tried again after 10 s, and after 20 s more
"#;
