//! From the table of a job to the [`Job`] it means.
//!
//! The one place where that is done, however the table was put together. What many jobs share is
//! made once: options that are typed alike, and cron schedules that are typed alike. `parts` sorts the
//! keys, `triggers` makes what says when.

mod parts;
mod triggers;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::after::Follows;
use super::command::command;
use super::keys::Key;
use super::options;
use super::sections::Sections;
use super::tree::{self, Node, Table, Value};
use super::value::Scope;
use super::warn;
use crate::core::fleet::RunOn;
use crate::core::instant::Instant;
use crate::core::job::{Job, Options};
use crate::core::trigger::{CronTrigger, Trigger};
use crate::core::zone::{Database, Zone};
use crate::problem::{Place, Problem};
use parts::parts;
use triggers::Around;

/// How many different options and schedules are remembered for sharing. More than a file that
/// was written with a plan has; a file without one must not fill the memory with them.
const MAX_SHARED: usize = 4096;

/// Linux, and so a log file per job, knows no longer names.
const MAX_ID: usize = 255;

/// The jobs of all files.
pub(super) struct Jobs<'a, 's> {
    pub(super) zones: &'a Database,
    pub(super) now: Instant,
    pub(super) sections: &'a Sections,
    /// The zone of a job that names none.
    pub(super) zone: Zone,
    pub(super) jobs: Vec<Arc<Job>>,
    /// Where each key of each job stands; only when somebody asked.
    pub(super) origins: Option<Vec<Vec<(Key, Place)>>>,
    /// Where each id stands.
    seen: HashMap<Cow<'s, str>, Place>,
    /// Where options name files for the environment.
    pub(super) named: Vec<(Place, Arc<Options>)>,
    shared_options: HashMap<Box<[u8]>, Arc<Options>>,
    shared_crons: HashMap<Box<[u8]>, Arc<CronTrigger>>,
    buffer: Vec<u8>,
    /// Jobs that are due after others.
    pub(super) follows: Vec<Follows>,
    /// How deep in triggers within triggers the reader is.
    depth: usize,
    /// The options of the job whose triggers are read.
    options_here: Option<Arc<Options>>,
    /// The options of a job that is there already and only gets another trigger, in place of the defaults.
    pub(super) options_there: Option<Arc<Options>>,
}

impl<'a, 's> Jobs<'a, 's> {
    pub(super) fn new(
        zones: &'a Database,
        now: Instant,
        sections: &'a Sections,
        zone: Zone,
        with_origins: bool,
    ) -> Jobs<'a, 's> {
        Jobs {
            zones,
            now,
            sections,
            zone,
            jobs: Vec::new(),
            origins: with_origins.then(Vec::new),
            seen: HashMap::new(),
            named: Vec::new(),
            shared_options: HashMap::new(),
            shared_crons: HashMap::new(),
            buffer: Vec::new(),
            follows: Vec::new(),
            depth: 0,
            options_here: None,
            options_there: None,
        }
    }

    /// Whether a job of this id stands in this file already.
    pub(super) fn has(&self, id: &str, file: u32) -> bool {
        self.seen.get(id).is_some_and(|place| place.file == file)
    }

    /// Where a job stands.
    pub(super) fn place(&self, id: &str) -> Option<Place> {
        self.seen.get(id).copied()
    }

    /// The ids of all jobs, also of those with errors.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(|id| &**id)
    }

    /// To be called before the jobs of each file. (A relative path means something else there.)
    pub(super) fn begin_file(&mut self) {
        self.shared_options.clear();
    }

    /// Forgets the jobs of a file beyond the first `jobs`.
    pub(super) fn roll_back(&mut self, jobs: usize, file: u32) {
        self.jobs.truncate(jobs);
        if let Some(origins) = &mut self.origins {
            origins.truncate(jobs);
        }
        self.seen.retain(|_, place| place.file != file);
        self.follows.retain(|follows| follows.file != file);
    }

    /// Adds a job. What is wrong with it is reported, and then it is left out.
    pub(super) fn add(&mut self, id: tree::Key<'s>, value: &Value<'s>, scope: &mut Scope<'_>) {
        let place = scope.place(id.span);
        let mut scope = Scope {
            file: scope.file,
            text: scope.text,
            dir: scope.dir,
            job: Some(&id.text),
            problems: scope.problems,
        };
        let named = check_id(&id, &mut scope);
        if let Some(first) = self.seen.get(&id.text) {
            let problem = Problem::error(place, format!("duplicate job `{}`", id.text));
            scope.push(problem.related("first defined", *first));
            return;
        }
        let known = self.jobs.len();
        match &value.node {
            Node::Table(table) => {
                if let Some(job) = self.job(&id, table, &mut scope)
                    && named
                {
                    self.jobs.push(Arc::new(job));
                }
            }
            Node::Tables(_) => scope.error_help(
                id.span,
                "expected a table, found an array of tables",
                format!("write `[jobs.{}]` with single brackets", id.text),
            ),
            _ if Key::of(&id.text).is_some() => scope.error_help(
                id.span,
                format!("`{}` is an option of a job, not a job", id.text),
                "write `[jobs.NAME]` above it",
            ),
            _ => scope.wrong_type(value, "a job: a table with a `command`"),
        }
        if let (Some(origins), Node::Table(table)) = (&mut self.origins, &value.node)
            && self.jobs.len() > known
        {
            let keys = table.entries.iter();
            let keys = keys.filter_map(|(key, _)| Some((Key::of(&key.text)?, key.span)));
            origins.push(keys.map(|(key, span)| (key, scope.place(span))).collect());
        }
        self.seen.insert(id.text, place);
    }

    fn job(&mut self, id: &tree::Key<'s>, table: &Table<'s>, scope: &mut Scope<'_>) -> Option<Job> {
        let parts = parts(table, scope);
        let mut good = parts.good && !table.broken;
        let sections = self.sections;

        if parts.command.is_none() && !parts.meant_command && !table.broken {
            scope.error_help(id.span, "no command", "every job needs one: `command = \"...\"`");
        }
        if parts.trigger.is_none() && !parts.meant_trigger && !table.broken {
            let message = "no trigger: a job needs one of `cron`, `interval`, `date`, `any`, `all` and `after`";
            let help = "such as `cron = \"0 3 * * *\"`, `interval = \"5m\"` or `date = \"now\"`";
            scope.error_help(id.span, message, help);
        }
        let name = match parts.name {
            None => None,
            Some(value) => {
                let name = scope.system_string(value, "a name");
                good &= name.is_some();
                name.map(Into::into)
            }
        };
        let command = parts.command.and_then(|value| command(value, scope));

        let zone = match parts.timezone {
            None => Some(self.zone.clone()),
            Some(value) => scope.timezone(value, self.zones),
        };
        let executor = match parts.executor {
            None => Some(sections.defaults.executor),
            Some(value) => sections.executor(value, scope),
        };
        let options = self.options(&parts.options, scope);

        // Without a zone, times can still be checked for their form.
        good &= zone.is_some();
        let zone = zone.unwrap_or_else(Zone::utc);
        let window = self.window(&parts, &zone, self.default_window(&zone), &mut good, scope);
        self.options_here.clone_from(&options);
        let around = Around { id, zone: &zone, window, is_special: parts.has_own_times() };
        let trigger =
            parts.trigger.and_then(|(key, _, value)| self.trigger(key, value, around, scope));
        if let (Some(Trigger::FromEnd(_)), Some((_, _, value))) = (&trigger, parts.trigger) {
            let each = options.as_ref().is_some_and(|options| options.run_on == RunOn::All);
            good &= !each || self.refuse_each(value, &parts.options, scope);
            warn::one_at_a_time(&parts.options, scope);
        }
        let (command, trigger) = (command?, trigger?);
        if let Some(options) = &options {
            warn::swallowed(
                &options.excluded,
                &trigger,
                &zone,
                &parts.options,
                self.now,
                id,
                scope,
            );
        }
        good.then_some(())?;
        Some(Job {
            id: id.text.as_ref().into(),
            name,
            command,
            trigger,
            zone,
            executor: executor?,
            options: options?,
        })
    }

    /// With `run_on = "all"` each host has runs of its own, and a due time is the same on all of them: it
    /// cannot be counted from the end of each.
    fn refuse_each(
        &self,
        interval: &Value<'s>,
        options: &[(Key, &Value<'s>)],
        scope: &mut Scope<'_>,
    ) -> bool {
        let message = "`run_on = \"all\"` cannot be with an interval from the end of the last run";
        let help = "each due time is the same on every host, and runs end at other times on each; one host \
                    runs the job without `run_on`";
        let problem = Problem::error(scope.place(interval.span), message).help(help);
        let run_on = options.iter().find(|(key, _)| *key == Key::RunOn);
        scope.push(match run_on {
            Some((_, value)) => problem.related("`run_on` is", scope.place(value.span)),
            None => problem,
        });
        false
    }

    /// The options, shared with other jobs that say the same.
    fn options(
        &mut self,
        typed: &[(Key, &Value<'s>)],
        scope: &mut Scope<'_>,
    ) -> Option<Arc<Options>> {
        let defaults = self.options_there.as_ref().unwrap_or(&self.sections.defaults.options);
        if typed.is_empty() {
            return Some(defaults.clone());
        }
        self.buffer.clear();
        for (key, value) in typed {
            self.buffer.push(*key as u8);
            fingerprint(value, scope.text, &mut self.buffer);
        }
        if let Some(shared) = self.shared_options.get(&*self.buffer) {
            return Some(shared.clone());
        }
        let mark = scope.problems.mark();
        let mut options = Options::clone(defaults);
        let mut good = true;
        for (key, value) in typed {
            good &= options::set(&mut options, *key, value, scope);
            if matches!(key, Key::Except | Key::Only) {
                good &= self.sections.calendars.check(&mut options.excluded, value, scope);
            }
            good &= *key != Key::Notify || self.sections.routes.check(value, scope);
        }
        if !good {
            return None;
        }
        warn::cut_off(&options, typed, self.sections.fleet.lease, scope);
        warn::nothing_to_wait_for(&options, typed, scope);
        let options = Arc::new(options);
        if options.env_file.is_some() || !options.secrets.is_empty() {
            let naming = typed.iter().filter(|(key, _)| key.names_files());
            let places = naming.map(|(_, value)| (scope.place(value.span), Arc::clone(&options)));
            self.named.extend(places);
        }
        // What there is to say about them must be said of each job.
        if scope.problems.mark() == mark && self.shared_options.len() < MAX_SHARED {
            self.shared_options.insert(self.buffer.as_slice().into(), options.clone());
        }
        Some(options)
    }
}

fn check_id(id: &tree::Key<'_>, scope: &mut Scope<'_>) -> bool {
    let message = if id.text.is_empty() {
        "the id of a job cannot be empty".to_owned()
    } else if id.text.chars().any(char::is_control) {
        "the id of a job cannot contain control characters".to_owned()
    } else if id.text.len() > MAX_ID {
        format!("the id of a job can have at most {MAX_ID} bytes, this one has {}", id.text.len())
    } else {
        return true;
    };
    scope.error(id.span, message);
    false
}

/// Writes what makes a value what it is, so that equal bytes are equal values.
fn fingerprint(value: &Value<'_>, text: &str, into: &mut Vec<u8>) {
    fn sized(into: &mut Vec<u8>, part: &str) {
        into.extend((part.len() as u32).to_ne_bytes());
        into.extend(part.as_bytes());
    }
    match &value.node {
        // A table may stand in several places, so its text is not in one piece.
        Node::Table(table) => {
            into.push(b'{');
            into.extend((table.entries.len() as u32).to_ne_bytes());
            for (key, value) in &table.entries {
                sized(into, &key.text);
                fingerprint(value, text, into);
            }
        }
        // Never shared: setting an option to it fails.
        Node::Invalid => into.push(b'!'),
        _ => {
            into.push(b'=');
            sized(into, text.get(value.span.range()).unwrap_or_default());
        }
    }
}
