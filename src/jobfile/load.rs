//! Loads a jobfile and what it includes.
//!
//! Three passes, so that it does not matter where things stand: first the files are read, from
//! include to include; then, of all of them, the sections beside the jobs; then the jobs, one
//! table at a time. A file is only held as a whole tree when its jobs are not one table each:
//! written in one table, in braces, or begun again further down.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::Jobs;
use super::calendars::Beside;
use super::chunk::{self, Chunks, Part};
use super::foreign;
use super::include::{self, Included};
use super::on_disk::OnDisk;
use super::parse;
use super::read::{self, MAX_BYTES, Text, Unreadable};
use super::sections::Sections;
use super::tree::{Node, Table};
use super::value::Scope;
use super::{Builder, FileFindings, Loaded, Named, Origins};
use crate::core::instant::Instant;
use crate::core::job::{JobSet, Settings};
use crate::core::url::SharedUrl;
use crate::core::zone::Database;
use crate::problem::{Place, Problem, Problems, Source, Sources, Span};
use crate::sys::file_id::FileId;
use crate::sys::trust::way::Ways;
use crate::sys::trust::{Doubt, Owners};

/// Includes may include, this deep.
const MAX_DEPTH: usize = 16;
/// And so many files at most.
const MAX_FILES: usize = 10_000;

/// Where the first file comes from.
pub(super) enum Input<'a> {
    Path(&'a Path),
    Stdin,
    Text { name: &'a str, text: &'a str },
}

/// What a load needs to know of the world.
pub(super) struct Loader<'a> {
    pub(super) zones: &'a Database,
    pub(super) now: Instant,
    /// The value of the `TZ` variable.
    pub(super) tz: Option<String>,
    /// What tells this machine from others.
    pub(super) machine: u64,
    /// What people call it; `None`: every job is for it.
    pub(super) host: Option<String>,
    /// Record where every value comes from.
    pub(super) origins: bool,
}

impl Loader<'_> {
    pub(super) fn load(&self, input: Input<'_>) -> Loaded {
        self.load_as(input, false)
    }

    /// The same; `whole` reads every file as a whole, for tests that it makes no difference.
    pub(super) fn load_as(&self, input: Input<'_>, whole: bool) -> Loaded {
        let mut files = Files::new();
        match input {
            Input::Path(path) => {
                let dir = path.parent().unwrap_or(Path::new(""));
                let text = read::path(path, MAX_BYTES, &mut files.ways);
                files.saw(path, &text);
                files.take(path.display().to_string(), dir, text, None);
            }
            Input::Stdin => {
                files.take("<stdin>".to_owned(), Path::new(""), read::stdin(MAX_BYTES), None);
            }
            Input::Text { name, text } => {
                let text = Text { text: text.to_owned(), identity: None, stamp: None, doubt: None };
                files.take(name.to_owned(), Path::new(""), Ok(text), None);
            }
        }
        let Files { mut sources, meta, mut problems, mut doubtful, mut on_disk, mut ways, .. } =
            files;
        let mut beside = Beside {
            ways: &mut ways,
            on_disk: &mut on_disk,
            doubtful: &mut doubtful,
            first: sources.iter().len() as u32,
            sources: Vec::new(),
        };
        let (set, builder, origins, named) =
            self.jobs(&sources, &meta, whole, &mut beside, &mut problems);
        for source in beside.sources {
            sources.push(source);
        }
        if problems.errors() > 0
            && set.jobs.is_empty()
            && let Some(first) = sources.iter().next()
            && let Some(foreign) = foreign::recognise(&first.text)
        {
            problems = Problems::default();
            let place = Place { file: 0, span: Some(foreign.at) };
            problems.push(Problem::error(place, foreign.message).help(foreign.help));
        }
        problems.sort();
        let is_good = problems.errors() == 0;
        let (set, builder) = (is_good.then_some(set), is_good.then_some(builder));
        let files = FileFindings { doubtful, named };
        let read = meta.first().and_then(|meta| meta.identity);
        Loaded { set, problems, sources, builder, origins, read, on_disk, files }
    }

    fn jobs(
        &self,
        sources: &Sources,
        meta: &[Meta],
        whole: bool,
        beside: &mut Beside<'_>,
        problems: &mut Problems,
    ) -> (JobSet, Builder, Option<Origins>, Named) {
        let mut sections = Sections::default();
        // From here it comes to the options of every job.
        Arc::make_mut(&mut sections.defaults.options).spread.machine = self.machine;
        let mut readers = Vec::with_capacity(meta.len());
        for (file, (source, meta)) in (0..).zip(sources.iter().zip(meta)) {
            if meta.usable {
                let mut reader = Reader::new(file, &source.text, &meta.dir);
                reader.sections(&mut sections, self.zones, problems);
                reader.whole |= whole;
                readers.push(reader);
            }
        }
        sections.calendars.read_files(self.zones, beside, problems);
        sections.complete(problems);
        // The machine's own zone is only looked for where no file names one.
        let zone = match &sections.timezone {
            Some((zone, _)) => zone.clone(),
            None => {
                let machine = self.zones.machine(self.tz.as_deref());
                if let Some(doubt) = machine.doubt {
                    problems.push(Problem::of_machine_zone(doubt, self.zones));
                }
                machine.zone
            }
        };
        let job_zone = sections.defaults.timezone.as_ref().unwrap_or(&zone).clone();
        let mut jobs = Jobs::new(self.zones, self.now, &sections, job_zone.clone(), self.origins);
        for reader in readers {
            reader.jobs(&mut jobs, problems);
        }
        let shared = sections.store_url.as_deref().and_then(SharedUrl::parse).is_some();
        jobs.refuse_only_on(shared, problems);
        jobs.check_after(shared, problems);
        let elsewhere = jobs.leave_to_others(self.host.as_deref());
        let Jobs { jobs, origins, mut named, .. } = jobs;
        let defaults = &sections.defaults;
        let named_by_default = defaults.places.iter().filter(|(key, _)| key.names_files());
        named.extend(named_by_default.map(|(_, place)| (*place, Arc::clone(&defaults.options))));
        let origins = origins.map(|jobs| Origins {
            jobs,
            defaults: sections.defaults.places.clone(),
            scheduler_timezone: sections.timezone.as_ref().map(|(_, place)| *place),
        });
        let routes = sections.routes.in_zone(&zone).into();
        let settings = Settings {
            zone,
            stop_grace: sections.stop_grace,
            reload_auto: sections.reload_auto,
            store_url: sections.store_url.clone(),
            keep: sections.keep,
            fleet: sections.fleet.clone(),
            elsewhere: elsewhere.into(),
            routes,
            calendars: sections.calendars.all().into(),
            heartbeat: sections.heartbeat.clone(),
            web: sections.web.clone().into(),
        };
        let set = JobSet { settings, executors: sections.executors.clone(), jobs };
        let dir = meta.first().map(|meta| meta.dir.clone()).unwrap_or_default();
        let builder = Builder::new(sections, self.zones.clone(), job_zone, dir);
        (set, builder, origins, named)
    }
}

/// What is known of a file beside its text.
struct Meta {
    dir: PathBuf,
    identity: Option<FileId>,
    /// Its text can be read as TOML; otherwise that it cannot has been said.
    usable: bool,
}

/// The files, as they are read.
struct Files {
    sources: Sources,
    meta: Vec<Meta>,
    problems: Problems,
    bytes: u64,
    doubtful: Vec<(u32, Doubt)>,
    on_disk: OnDisk,
    ways: Ways,
    /// The file whose includes are being read, and those that led to it.
    open: Vec<u32>,
}

impl Files {
    fn new() -> Files {
        Files {
            sources: Sources::default(),
            meta: Vec::new(),
            problems: Problems::default(),
            bytes: 0,
            doubtful: Vec::new(),
            on_disk: OnDisk::default(),
            ways: Ways::new(Owners::of_this_process(None)),
            open: Vec::new(),
        }
    }

    /// Takes a file that was read, or could not be, and goes on to what it includes. `from` is
    /// the place that includes it.
    fn take(
        &mut self,
        name: String,
        dir: &Path,
        text: Result<Text, Unreadable>,
        from: Option<Place>,
    ) {
        match text {
            Ok(Text { text, identity, doubt, stamp: _ }) => {
                self.bytes += text.len() as u64;
                let meta = Meta { dir: dir.to_path_buf(), identity, usable: true };
                let file = self.add(Source::new(name, text), meta);
                self.doubtful.extend(doubt.map(|doubt| (file, doubt)));
                self.includes(file);
            }
            Err(Unreadable::File { message, help }) => {
                let problem = match from {
                    Some(from) => Problem::error(from, format!("cannot include {name}: {message}")),
                    None => {
                        let file = self.add_unusable(Source::new(name, ""));
                        Problem::error(Place { file, span: None }, message)
                    }
                };
                self.problems.push(Problem { help: help.map(str::to_owned), ..problem });
            }
            Err(Unreadable::Byte { text, at, len, message, help }) => {
                let file = self.add_unusable(Source::new(name, text));
                let place = Place { file, span: Some(Span::new(at, at + len)) };
                self.problems.push(Problem::error(place, message).help(help));
            }
        }
    }

    /// Remembers a file as it was.
    fn saw(&mut self, path: &Path, text: &Result<Text, Unreadable>) {
        let read = text.as_ref().ok().and_then(|text| Some((text.stamp?, &*text.text)));
        self.on_disk.saw(path, read);
    }

    fn add(&mut self, source: Source, meta: Meta) -> u32 {
        self.meta.push(meta);
        self.sources.push(source)
    }

    fn add_unusable(&mut self, source: Source) -> u32 {
        self.add(source, Meta { dir: PathBuf::new(), identity: None, usable: false })
    }

    /// Reads what a file includes.
    fn includes(&mut self, file: u32) {
        let (Some(source), Some(meta)) = (self.sources.get(file), self.meta.get(file as usize))
        else {
            return;
        };
        let mut scope = Scope {
            file,
            text: &source.text,
            dir: &meta.dir,
            job: None,
            problems: &mut self.problems,
        };
        let included = include::of(&mut scope, &mut self.on_disk);
        self.open.push(file);
        for Included { path, span, by_wildcard } in included {
            let from = Place { file, span: Some(span) };
            if self.open.len() > MAX_DEPTH || self.meta.len() >= MAX_FILES {
                let message = if self.open.len() > MAX_DEPTH {
                    format!("includes are nested more than {MAX_DEPTH} deep")
                } else {
                    format!("more than {MAX_FILES} files are included")
                };
                self.problems.push(Problem::error(from, message));
                break;
            }
            let name = path.display().to_string();
            let text = read::path(&path, MAX_BYTES - self.bytes, &mut self.ways);
            self.saw(&path, &text);
            if let Ok(Text { identity: identity @ Some(_), .. }) = &text
                && let Some(known) = self.meta.iter().position(|meta| meta.identity == *identity)
            {
                self.met_again(known as u32, from, by_wildcard);
                continue;
            }
            let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
            self.take(name, &dir, text, Some(from));
        }
        self.open.pop();
    }

    /// A file that has been read is included again. It is not read twice; a wildcard may well
    /// match the file it stands in, but who names one twice probably means another.
    fn met_again(&mut self, file: u32, from: Place, by_wildcard: bool) {
        if by_wildcard {
            return;
        }
        self.problems.push(if self.open.contains(&file) {
            Problem::error(from, "this file includes itself, directly or through others")
        } else {
            Problem::warning(from, "this file is already included; it is read only once")
        });
    }
}

/// Reads one file: first what is no job, then the jobs.
struct Reader<'s> {
    file: u32,
    text: &'s str,
    dir: &'s Path,
    /// Stands at the first job, if nothing but jobs can follow.
    at_jobs: Option<Peekable<Chunks<'s>>>,
    /// The jobs (or some) are no tables of their own, so the file has to be read as a whole.
    whole: bool,
}

impl<'s> Reader<'s> {
    fn new(file: u32, text: &'s str, dir: &'s Path) -> Reader<'s> {
        Reader { file, text, dir, at_jobs: None, whole: false }
    }

    fn scope<'a>(&self, problems: &'a mut Problems) -> Scope<'a>
    where
        's: 'a,
    {
        Scope { file: self.file, text: self.text, dir: self.dir, job: None, problems }
    }

    fn sections(&mut self, sections: &mut Sections, zones: &Database, problems: &mut Problems) {
        let mut chunks = Chunks::of(self.text).peekable();
        let mut above = Part::default();
        while let Some(chunk) = chunks.next_if(|chunk| !chunk.in_jobs()) {
            above = above.with(&chunk, self.text);
        }
        let text;
        if chunks.peek().is_some() {
            if chunk::sections_below_jobs(self.text) {
                let mut rest = above.text.to_owned();
                for chunk in chunks {
                    if chunk.in_jobs() {
                        // What stands below stays where it is.
                        rest.extend(std::iter::repeat_n(' ', chunk.text.len()))
                    } else {
                        rest.push_str(chunk.text);
                        above.spoiled |= chunk.spoiled;
                    }
                }
                text = rest;
                above = Part { text: &text, ..above };
            } else {
                self.at_jobs = Some(chunks);
            }
        }
        let table = parse::table(above, self.file, problems, |_| true);
        self.whole = table.entries.iter().any(|(key, _)| key.text == "jobs");
        sections.read(&table, self.file == 0, &mut self.scope(problems), zones);
    }

    fn jobs(mut self, jobs: &mut Jobs<'_, 's>, problems: &mut Problems) {
        jobs.begin_file();
        let before = jobs.jobs.len();
        let mark = problems.mark();
        if !self.whole && self.jobs_one_by_one(jobs, problems) {
            return;
        }
        problems.roll_back(mark);
        jobs.roll_back(before, self.file);
        self.jobs_as_a_whole(jobs, problems);
    }

    /// Reads each job as soon as its tables are complete; `false` when a table turns up that
    /// belongs to one that was complete already.
    fn jobs_one_by_one(&mut self, jobs: &mut Jobs<'_, 's>, problems: &mut Problems) -> bool {
        let mut chunks = self.at_jobs.take().unwrap_or_else(|| Chunks::of(self.text).peekable());
        let mut bare_header = false;
        while let Some(chunk) = chunks.next() {
            // A section, which was read before.
            if !chunk.in_jobs() {
                continue;
            }
            let mut part = chunk.part();
            match chunk.id() {
                Some(id) => {
                    if jobs.has(id, self.file) {
                        return false;
                    }
                    while let Some(more) = chunks.next_if(|more| more.id() == Some(id)) {
                        part = part.with(&more, self.text);
                    }
                }
                // `[jobs]` with nothing below it says nothing.
                None if !chunk.array && !bare_header && chunk.is_empty => bare_header = true,
                None => return false,
            }
            let table = parse::table(part, self.file, problems, |_| true);
            self.add(table, jobs, problems);
        }
        true
    }

    fn jobs_as_a_whole(&self, jobs: &mut Jobs<'_, 's>, problems: &mut Problems) {
        let mut whole = Part::default();
        let mut starts = Vec::new();
        for chunk in Chunks::of(self.text) {
            starts.push((chunk.start, chunk.in_jobs()));
            whole = whole.with(&chunk, self.text);
        }
        // What is wrong with the other sections has been reported when they were read.
        let is_in_jobs = |span: Span| {
            let after = starts.partition_point(|(start, _)| *start <= span.start as usize);
            after.checked_sub(1).is_some_and(|at| starts[at].1)
        };
        let table = parse::table(whole, self.file, problems, is_in_jobs);
        self.add(table, jobs, problems);
    }

    /// Adds the jobs of a part of the file.
    fn add(&self, mut part: Table<'s>, jobs: &mut Jobs<'_, 's>, problems: &mut Problems) {
        let Some(value) = part.remove("jobs") else { return };
        match value.node {
            Node::Table(table) => {
                for (id, value) in table.entries {
                    jobs.add(id, &value, &mut self.scope(problems));
                }
            }
            _ => self.scope(problems).wrong_type(&value, "tables of jobs: `[jobs.NAME]`"),
        }
    }
}
