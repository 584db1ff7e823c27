//! Jobfiles and jobs as they are named on a command line. Where one kind is expected and only the
//! other is there, that is what was meant.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::argument;
use super::selection::is_pattern;
use crate::cli::Context;
use crate::core::nearest::nearest;
use crate::jobfile::{self, Loaded, locate};
use crate::problem::clean;
use crate::sys::clock;

/// The jobfile, for a command that takes it as its argument.
#[derive(clap::Args, Debug)]
pub(super) struct FileArgs {
    /// The jobfile; `-` is standard input [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same as an option
    #[arg(
        short = 'f',
        long = "file",
        alias = "jobfile",
        value_name = "FILE",
        conflicts_with = "file"
    )]
    jobfile: Option<PathBuf>,
}

/// Where the jobfile can be named as an option.
pub(super) trait OfJobfile: Clone {
    /// It was named in another way.
    fn name(&mut self, jobfile: PathBuf);
}

/// The same, for a command that takes nothing else: the jobfile may be its argument as well, as it is of
/// `schedrs run`.
#[derive(clap::Args, Debug)]
pub(super) struct AsArgument<P: clap::Args> {
    /// The jobfile, as with --file
    #[arg(value_name = "FILE", conflicts_with = "jobfile")]
    named: Option<PathBuf>,

    #[command(flatten)]
    place: P,
}

impl<P: OfJobfile + clap::Args> AsArgument<P> {
    /// Where that is.
    pub(super) fn place(&self) -> P {
        let mut place = self.place.clone();
        if let Some(jobfile) = &self.named {
            place.name(jobfile.clone());
        }
        place
    }
}

impl FileArgs {
    /// What was typed of it, in one way or the other.
    pub(super) fn named(&self) -> Option<&Path> {
        self.file.as_deref().or(self.jobfile.as_deref())
    }

    /// The path of it. `instead` says what to type when the argument is a job: `{}` is its id.
    pub(super) fn path(&self, instead: &str, context: &Context) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.file {
            refuse_job(file, instead, context)?;
        }
        locate::jobfile(self.named())
    }
}

/// A job in the place of a file, for which there is another command.
pub(super) fn refuse_job(file: &Path, instead: &str, context: &Context) -> anyhow::Result<()> {
    let Some(word) = file.to_str() else { return Ok(()) };
    if file.exists() || word == "-" {
        return Ok(());
    }
    let known = Known::load(None, context);
    if known.has(word) {
        let id = clean(word);
        let instead = instead.replace("{}", &argument::quoted(&id));
        bail!("there is no file `{id}`, but a job of {}: {instead}", known.name);
    }
    Ok(())
}

/// A jobfile and jobs of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The jobfile, if one was named.
    pub(super) jobfile: Option<PathBuf>,
    /// Jobs as they were typed.
    pub(super) jobs: Vec<String>,
}

/// What was typed where a FILE is expected, and jobs are taken, too: the path of the jobfile, what is in
/// it, and the jobs. `option` is that of `-f`.
///
/// Where the jobfile has errors nothing can be said of its jobs: whoever shows the errors says what
/// there is to say.
pub(super) fn file_or_jobs(
    words: &[String],
    option: Option<&Path>,
    context: &Context,
) -> anyhow::Result<(PathBuf, Loaded, Vec<String>)> {
    let (named, known) = tell_apart(words, option, context)?;
    let path = locate::jobfile(named.jobfile.as_deref())?;
    // It is read once: it may be long, and another one the next time.
    let loaded = known.and_then(|known| known.loaded).filter(|(of, _)| *of == path);
    let loaded = match loaded {
        Some((_, loaded)) => loaded,
        None => jobfile::load_path(&path, &context.zones, clock::wall()),
    };
    Ok((path, loaded, named.jobs))
}

fn tell_apart(
    words: &[String],
    option: Option<&Path>,
    context: &Context,
) -> anyhow::Result<(Named, Option<Known>)> {
    let mut named = Named { jobfile: option.map(Path::to_owned), jobs: Vec::new() };
    // A file that is named says whose jobs the others are.
    for word in words {
        if is_like_file(word) && is_there(word) {
            named.take_file(word)?;
        }
    }
    let mut known = None;
    for word in words {
        let is_file = is_there(word);
        if is_file && is_like_file(word) {
            continue;
        }
        if is_pattern(word) && !is_file {
            named.jobs.push(word.clone());
            continue;
        }
        let known = known.get_or_insert_with(|| Known::load(named.jobfile.as_deref(), context));
        match (is_file, known.has(word)) {
            (true, false) => named.take_file(word)?,
            (false, true) => named.jobs.push(word.clone()),
            (true, true) => {
                let word = clean(word);
                let typed = argument::quoted(&word);
                bail!(
                    "`{word}` is both a file and a job of {}: `-f {typed}` means the file, \
                     `--job {typed}` the job",
                    known.name
                );
            }
            // Whoever names a path wants to hear what is wrong with it.
            (false, false) if is_like_file(word) => named.take_file(word)?,
            (false, false) if known.has_errors() => named.jobs.push(word.clone()),
            (false, false) => return Err(known.neither(word)),
        }
    }
    Ok((named, known))
}

/// What was typed where JOBs are expected: a word that looks like a jobfile and is one is meant as
/// `-f`, unless there is a job of this name.
pub(super) fn jobs(
    words: &[String],
    option: Option<&Path>,
    context: &Context,
) -> anyhow::Result<Named> {
    let mut named = Named { jobfile: option.map(Path::to_owned), jobs: Vec::new() };
    for word in words {
        if option.is_some() || !is_like_file(word) || !is_there(word) {
            named.jobs.push(word.clone());
            continue;
        }
        let known = Known::load(None, context);
        if known.has(word) {
            let (word, name) = (clean(word), known.name);
            let (typed, file) = (argument::quoted(&word), argument::quoted(&name));
            bail!(
                "`{word}` is both a file and a job of {name}: `-f {typed}` means the file, \
                 `-f {file} {typed}` the job"
            );
        }
        named.take_file(word)?;
    }
    Ok(named)
}

/// What stands behind a `-f` that may mean `--follow` as well: the jobfile, or a job.
pub(super) fn behind_follow(word: &str, context: &Context) -> Named {
    let is_file = is_like_file(word) || (is_there(word) && !Known::load(None, context).has(word));
    match is_file {
        true => Named { jobfile: Some(word.into()), jobs: Vec::new() },
        false => Named { jobfile: None, jobs: vec![word.to_owned()] },
    }
}

impl Named {
    fn take_file(&mut self, word: &str) -> anyhow::Result<()> {
        if let Some(other) = &self.jobfile {
            let other = other.to_string_lossy().into_owned();
            bail!("two jobfiles are named, {} and {}: name one", clean(&other), clean(word));
        }
        self.jobfile = Some(word.into());
        Ok(())
    }
}

/// Whether there is something to be read. What is no regular file is refused by whoever reads it.
fn is_there(word: &str) -> bool {
    let path = Path::new(word);
    word == "-" || (path.exists() && !path.is_dir())
}

/// Whether a word is more likely the path of a jobfile than the id of a job.
pub(super) fn is_like_file(word: &str) -> bool {
    word == "-" || word.ends_with(".toml") || word.contains('/')
}

/// The jobs of a jobfile, to tell them from files.
struct Known {
    /// How the jobfile is called.
    name: String,
    /// Where it is, and what is in it. Without a jobfile there are no jobs.
    loaded: Option<(PathBuf, Loaded)>,
}

impl Known {
    fn load(named: Option<&Path>, context: &Context) -> Known {
        // Standard input can be read once, and that is for whoever asked.
        let path = locate::jobfile(named).ok().filter(|path| path != Path::new("-"));
        let Some(path) = path else {
            return Known { name: "the jobfile".to_owned(), loaded: None };
        };
        let loaded = jobfile::load_path(&path, &context.zones, clock::wall());
        let name = clean(&path.to_string_lossy()).into_owned();
        Known { name, loaded: Some((path, loaded)) }
    }

    /// With a jobfile that has errors there are none.
    fn ids(&self) -> impl Iterator<Item = &str> {
        let set = self.loaded.iter().flat_map(|(_, loaded)| &loaded.set);
        set.flat_map(|set| {
            let others = set.settings.elsewhere.iter().map(|job| &*job.id);
            set.jobs.iter().map(|job| &*job.id).chain(others)
        })
    }

    fn has_errors(&self) -> bool {
        self.loaded.as_ref().is_some_and(|(_, loaded)| loaded.set.is_none())
    }

    fn has(&self, id: &str) -> bool {
        self.ids().any(|known| known == id)
    }

    fn neither(&self, word: &str) -> anyhow::Error {
        let near = nearest(word, self.ids());
        let near = near.map(|near| format!("; did you mean the job `{}`?", clean(near)));
        let near = near.unwrap_or_default();
        anyhow::anyhow!("`{}` is neither a file nor a job of {}{near}", clean(word), self.name)
    }
}
