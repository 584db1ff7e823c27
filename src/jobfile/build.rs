//! From the table of a job to the [`Job`] it means.
//!
//! The one place where that is done, however the table was put together. What many jobs share is
//! made once: options that are typed alike, and cron schedules that are typed alike.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::after::{self, Follows};
use super::combined;
use super::command::command;
use super::interval::{self, Every};
use super::keys::{self, Key};
use super::options;
use super::sections::Sections;
use super::tree::{self, Node, Table, Value};
use super::value::Scope;
use super::warn;
use super::when::{self, Cron, DATE};
use crate::core::calendar::Exclusion;
use crate::core::fleet::RunOn;
use crate::core::instant::Instant;
use crate::core::job::{Job, Options};
use crate::core::sort;
use crate::core::trigger::combined::How;
use crate::core::trigger::{
    CalendarIntervalTrigger, CombinedTrigger, CronTrigger, DateTrigger, FromEndTrigger,
    IntervalTrigger, Trigger,
};
use crate::core::zone::{Database, Zone};
use crate::problem::{Place, Problem, Span};

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

/// The keys of a job, sorted by what reads them.
#[derive(Default)]
struct Parts<'v, 's> {
    name: Option<&'v Value<'s>>,
    command: Option<&'v Value<'s>>,
    trigger: Option<(Key, Span, &'v Value<'s>)>,
    timezone: Option<&'v Value<'s>>,
    executor: Option<&'v Value<'s>>,
    start_date: Option<(Span, &'v Value<'s>)>,
    end_date: Option<(Span, &'v Value<'s>)>,
    options: Vec<(Key, &'v Value<'s>)>,
    /// They are those of a trigger within another one.
    inner: bool,
    /// A key that does not exist probably meant one of these.
    meant_command: bool,
    meant_trigger: bool,
    good: bool,
}

/// The first and last instant a job may be due at, and where they are said.
#[derive(Clone, Copy, Default)]
struct Window {
    start: Option<(Instant, Place)>,
    end: Option<(Instant, Place)>,
}

impl Window {
    fn start(&self) -> Option<Instant> {
        self.start.map(|(at, _)| at)
    }

    fn end(&self) -> Option<Instant> {
        self.end.map(|(at, _)| at)
    }
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
        let trigger = parts
            .trigger
            .and_then(|(key, _, value)| self.trigger(key, value, id, &zone, &parts, window, scope));
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

    /// What `[defaults]` says of the first and the last instant.
    fn default_window(&self, zone: &Zone) -> Window {
        let defaults = &self.sections.defaults;
        let place = |wanted| {
            defaults.places.iter().find(|(key, _)| *key == wanted).map(|(_, place)| *place)
        };
        let of = |moment: Option<when::Moment>, key| Some((moment?.instant(zone), place(key)?));
        Window {
            start: of(defaults.start_date, Key::StartDate),
            end: of(defaults.end_date, Key::EndDate),
        }
    }

    fn window(
        &self,
        parts: &Parts<'_, 's>,
        zone: &Zone,
        default: Window,
        good: &mut bool,
        scope: &mut Scope<'_>,
    ) -> Window {
        let mut read = |typed: Option<(Span, &Value<'s>)>, default| match typed {
            None => default,
            Some((_, value)) => match when::moment(scope, value) {
                Some(moment) => {
                    warn::moment(moment, value, zone, scope);
                    Some((moment.instant(zone), scope.place(value.span)))
                }
                None => {
                    *good = false;
                    None
                }
            },
        };
        // For a date they mean nothing, and that there are any was said when they were found.
        if matches!(parts.trigger, Some((Key::Date | Key::After, ..))) {
            read(parts.start_date, None);
            read(parts.end_date, None);
            return Window::default();
        }
        let window = Window {
            start: read(parts.start_date, default.start),
            end: read(parts.end_date, default.end),
        };
        if let (Some((start, start_place)), Some((end, end_place))) = (window.start, window.end)
            && end < start
        {
            let problem = Problem::error(end_place, "`end_date` is before `start_date`");
            scope.push(problem.related("`start_date` is", start_place));
            *good = false;
            // That it never fires then goes without saying.
            return Window::default();
        }
        window
    }

    #[allow(clippy::too_many_arguments, reason = "it is one step of `job`, cut out for reading")]
    fn trigger(
        &mut self,
        key: Key,
        value: &Value<'s>,
        id: &tree::Key<'s>,
        zone: &Zone,
        parts: &Parts<'_, 's>,
        window: Window,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        match key {
            Key::Date => {
                let date = match &value.node {
                    Node::String(text) if text == "now" => DateTrigger::Now,
                    Node::String(text) if !text.contains(|c: char| c.is_ascii_digit()) => {
                        let message = format!("expected {DATE}, or \"now\"");
                        scope.error(value.span, message);
                        return None;
                    }
                    _ => {
                        let moment = when::moment(scope, value)?;
                        warn::moment(moment, value, zone, scope);
                        DateTrigger::At(moment.instant(zone))
                    }
                };
                warn::date(date, value, self.now, scope);
                Some(Trigger::Date(date))
            }
            Key::Interval => {
                let (start, end) = (window.start(), window.end());
                let trigger = match interval::interval(scope, value)? {
                    Every::Elapsed(every) => {
                        let interval = IntervalTrigger::new(every, start, end);
                        warn::interval(&interval, value, scope);
                        Trigger::Interval(interval)
                    }
                    Every::FromEnd(wait) => {
                        if self.depth > 0 {
                            let message = "an interval from the end of the last run cannot be one of several \
                                           triggers";
                            let help = "its next due time is not known before a run has ended: make it a job \
                                        of its own";
                            scope.error_help(value.span, message, help);
                            return None;
                        }
                        let trigger = FromEndTrigger::new(wait, start, end);
                        warn::from_end(&trigger, value, scope);
                        Trigger::FromEnd(trigger)
                    }
                    Every::Calendar(step) => {
                        let calendar = CalendarIntervalTrigger::new(step, zone.clone(), start, end);
                        warn::calendar(&calendar, value, self.now, self.excluded(), scope);
                        Trigger::Calendar(Arc::new(calendar))
                    }
                };
                warn::ended(window.end, self.now, scope);
                Some(trigger)
            }
            Key::After => {
                if self.depth > 0 {
                    let message = "`after` cannot be one of several triggers";
                    let help = "its due times are those of other jobs: make it a job of its own";
                    scope.error_help(value.span, message, help);
                    return None;
                }
                let (trigger, follows) = after::after(scope, value, &id.text)?;
                self.follows.push(follows);
                Some(Trigger::After(Arc::new(trigger)))
            }
            Key::Any => self.combined(How::Any, value, id, zone, window, scope),
            Key::All => self.combined(How::All, value, id, zone, window, scope),
            _ => self.cron(value, id, zone, parts, window, scope),
        }
    }

    /// Several triggers as one.
    fn combined(
        &mut self,
        how: How,
        value: &Value<'s>,
        id: &tree::Key<'s>,
        zone: &Zone,
        window: Window,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let tables = combined::tables(value, self.depth, scope)?;
        self.depth += 1;
        let inner = tables.map(|(span, table)| self.inner(span, table, id, zone, window, scope));
        // Every problem in one pass.
        let inner: Vec<Option<Trigger>> = inner.collect();
        self.depth -= 1;
        let parts: Vec<Trigger> = inner.into_iter().collect::<Option<_>>()?;
        let trigger = CombinedTrigger::new(how, parts);
        if self.depth == 0 {
            warn::combined(&trigger, value, self.now, scope);
        }
        Some(Trigger::Combined(Arc::new(trigger)))
    }

    /// A trigger within another one: it may have a zone and a window of its own.
    fn inner(
        &mut self,
        span: Span,
        table: &Table<'s>,
        id: &tree::Key<'s>,
        zone: &Zone,
        window: Window,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let mut parts = inner_parts(table, scope);
        let mut good = parts.good && !table.broken;
        let Some((key, _, typed)) = parts.trigger else {
            if good {
                let message =
                    "no trigger: each needs one of `cron`, `interval`, `date`, `any`, `all`";
                scope.error_help(span, message, "such as `{ cron = \"0 3 * * *\" }`");
            }
            return None;
        };
        let own = match parts.timezone {
            None => Some(zone.clone()),
            Some(value) => scope.timezone(value, self.zones),
        };
        good &= own.is_some();
        let own = own.unwrap_or_else(Zone::utc);
        parts.inner = true;
        let window = self.window(&parts, &own, window, &mut good, scope);
        let trigger = self.trigger(key, typed, id, &own, &parts, window, scope)?;
        if matches!(trigger, Trigger::Date(DateTrigger::Now | DateTrigger::Reboot)) {
            let help = "use `run_on_start = true` and keep the others";
            let message = "the start of the scheduler cannot be one of several triggers";
            scope.error_help(typed.span, message, help);
            return None;
        }
        good.then_some(trigger)
    }

    /// When the job whose triggers are read is not due.
    fn excluded(&self) -> Option<&Exclusion> {
        let options = self.options_here.as_ref()?;
        Some(&options.excluded).filter(|excluded| !excluded.is_empty())
    }

    fn cron(
        &mut self,
        value: &Value<'s>,
        id: &tree::Key<'s>,
        zone: &Zone,
        parts: &Parts<'_, 's>,
        window: Window,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        // The same text in the same zone is the same schedule, unless `H` is in it, which is
        // different for each job, and which the table form does not know.
        let is_same_for_all = match &value.node {
            Node::Table(_) => true,
            _ => !scope.typed(value.span).contains(['H', 'h']),
        };
        let may_share = is_same_for_all
            && !parts.inner
            && parts.timezone.is_none()
            && parts.start_date.is_none()
            && parts.end_date.is_none();
        if may_share {
            self.buffer.clear();
            fingerprint(value, scope.text, &mut self.buffer);
            if let Some(shared) = self.shared_crons.get(&*self.buffer) {
                return Some(Trigger::Cron(shared.clone()));
            }
        }
        let mark = scope.problems.mark();
        let schedules = match when::cron(scope, value, &id.text)? {
            Cron::Reboot => return Some(Trigger::Date(DateTrigger::Reboot)),
            Cron::Schedules(schedules) => schedules,
        };
        let cron = CronTrigger::new(schedules, zone.clone(), window.start(), window.end());
        let expressions = match &value.node {
            Node::Array(values) => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        expressions.iter().for_each(|value| warn::each(value, scope));
        let is_left_out = warn::cron(&cron, value, self.now, self.excluded(), scope);
        warn::ended(window.end, self.now, scope);
        let cron = Arc::new(cron);
        // What there is to say about it must be said of each job that it is true of.
        let is_silent = scope.problems.mark() == mark && !is_left_out;
        if may_share && is_silent && self.shared_crons.len() < MAX_SHARED {
            self.shared_crons.insert(self.buffer.as_slice().into(), cron.clone());
        }
        Some(Trigger::Cron(cron))
    }
}

/// Sorts the keys of a job, and reports those that do not exist or may not stand together.
fn parts<'v, 's>(table: &'v Table<'s>, scope: &mut Scope<'_>) -> Parts<'v, 's> {
    let mut parts = Parts { good: true, ..Parts::default() };
    for (key, value) in &table.entries {
        let Some(known) = Key::of(&key.text) else {
            unknown(key, value, &mut parts, scope);
            continue;
        };
        match known {
            Key::Name => parts.name = Some(value),
            Key::Command => parts.command = Some(value),
            _ if known.is_trigger() => parts.add(known, key.span, value, scope),
            Key::Timezone => parts.timezone = Some(value),
            Key::Executor => parts.executor = Some(value),
            Key::StartDate => parts.start_date = Some((key.span, value)),
            Key::EndDate => parts.end_date = Some((key.span, value)),
            _ => parts.options.push((known, value)),
        }
    }
    // So that options in another order are still the same options.
    sort::by_key(&mut parts.options, |(key, _)| *key);
    parts.check_date(scope);
    parts
}

/// The same of a trigger within another one.
fn inner_parts<'v, 's>(table: &'v Table<'s>, scope: &mut Scope<'_>) -> Parts<'v, 's> {
    let mut parts = Parts { good: true, ..Parts::default() };
    for (key, value) in &table.entries {
        match Key::of(&key.text) {
            Some(known) if known.is_trigger() => parts.add(known, key.span, value, scope),
            Some(Key::Timezone) => parts.timezone = Some(value),
            Some(Key::StartDate) => parts.start_date = Some((key.span, value)),
            Some(Key::EndDate) => parts.end_date = Some((key.span, value)),
            Some(_) => {
                let message =
                    format!("`{}` is an option of the job, not of one of its triggers", key.text);
                scope.error_help(key.span, message, "write it beside `any` or `all`");
                parts.good = false;
            }
            None => {
                let typed = scope.typed(value.span);
                let hint = keys::hint(&key.text, typed);
                let is_one = |meant: Key| combined::KEYS.contains(&meant);
                match hint.filter(|hint| hint.meant.is_some_and(is_one)) {
                    Some(hint) => {
                        let message = format!("unknown key `{}`", key.text);
                        scope.error_help(key.span, message, hint.help);
                    }
                    None => {
                        let known = combined::KEYS.map(Key::name);
                        scope.unknown_key(key.span, &key.text, &known);
                    }
                }
                parts.good = false;
            }
        }
    }
    parts.check_date(scope);
    parts
}

impl<'v, 's> Parts<'v, 's> {
    /// A trigger, of which there may be one.
    fn add(&mut self, key: Key, span: Span, value: &'v Value<'s>, scope: &mut Scope<'_>) {
        let Some((first, first_span, _)) = self.trigger else {
            self.trigger = Some((key, span, value));
            return;
        };
        let message = format!(
            "a second trigger: this job already has `{}`, and only one is allowed",
            first.name()
        );
        let problem = Problem::error(scope.place(span), message);
        let problem = problem.help(match (first, key) {
            (Key::After, _) | (_, Key::After) => {
                "a job is due by its own trigger or after others: write two jobs"
            }
            _ => "`any = [ { … }, { … } ]` is due when one of several is",
        });
        scope.push(problem.related("the first one is", scope.place(first_span)));
        self.good = false;
    }

    /// A date has no window.
    fn check_date(&mut self, scope: &mut Scope<'_>) {
        let parts = self;
        if let Some((key @ (Key::Date | Key::After), ..)) = parts.trigger {
            for (name, typed) in [("start_date", parts.start_date), ("end_date", parts.end_date)] {
                if let Some((span, _)) = typed {
                    let message = format!("`{name}` has no meaning beside `{}`", key.name());
                    let help = match key {
                        Key::Date => "a `date` is due only once",
                        _ => "the job is due when those that it names are",
                    };
                    scope.error_help(span, message, help);
                    parts.good = false;
                }
            }
        }
    }
}

fn unknown<'s>(
    key: &tree::Key<'s>,
    value: &Value<'s>,
    parts: &mut Parts<'_, 's>,
    scope: &mut Scope<'_>,
) {
    parts.good = false;
    let problem = Problem::error(scope.place(key.span), format!("unknown key `{}`", key.text));
    let hint = keys::hint(&key.text, scope.typed(value.span));
    let meant = hint.as_ref().and_then(|hint| hint.meant);
    parts.meant_command |= meant == Some(Key::Command);
    parts.meant_trigger |= meant.is_some_and(Key::is_trigger);
    scope.push(match hint {
        Some(hint) => problem.help(hint.help),
        None => problem.help("`schedrs validate --explain` lists the options of a job"),
    });
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
