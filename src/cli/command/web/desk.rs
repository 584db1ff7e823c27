//! Gets to know what the page shows: from the store, as `history` and `why` do, and over the control
//! socket, as `list` and `status` do.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};

use crate::cli::Context;
use crate::cli::command::history_source::{Ground, History, HistoryArgs, Remembered, told};
use crate::cli::command::validate::explain;
use crate::cli::command::{argument, grid, health, logs, metrics, notify, paused, request, why};
use crate::control::client::{Client, Place};
use crate::control::wire::view::{JobDetails, JobLine, StatusView};
use crate::core::event::{Change, JobCounts, JobView, Paused, RunId};
use crate::core::expect::{last_resumed, overdue_since};
use crate::core::fleet::Member;
use crate::core::instant::{Instant, Mono};
use crate::core::job::{Job, JobSet, Options, Output};
use crate::core::notify::log::Told;
use crate::core::preview::{Window, preview};
use crate::core::printed::Printed;
use crate::core::web::WebSettings;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::history::why::Asked;
use crate::jobfile::keys::Key;
use crate::store::{HAS_SHARED, Latest, Query, Reader, StoreError};
use crate::sys::clock;
use crate::web::{
    Act, Dues, Frame, Heard, JobPage, OptionRow, Overview, Row, RunPage, Source, TimePage, Trouble,
    Verb, Why,
};

/// How long the scheduler is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether the jobfile was edited.
const LOOK: Duration = Duration::from_secs(2);
/// Of this many parts of the time one at most goes into looking how everything stands.
const SHARE: u32 = 10;
/// But what is shown is not older for that than this.
const OLDEST: Duration = Duration::from_secs(5);
/// So many ways to read the store are kept.
const READERS: usize = 4;
/// So many records stand on the page of a job.
const RECORDS: usize = 60;
/// So many due times.
const UPCOMING: usize = 10;
/// So many records and due times make up two days.
const PAST: usize = 20_000;
const AHEAD: usize = 100_000;
/// The two days are put together no more often.
const DAYS: Duration = Duration::from_secs(10);
/// So many changes and messages are shown, and changes of so many days.
const CHANGES: usize = 500;
const MESSAGES: usize = 500;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// See the [module](self).
pub(super) struct Desk {
    place: HistoryArgs,
    /// Where the scheduler is; `None`: there is no jobfile, only a store.
    scheduler: Option<Place>,
    context: Context,
    ground: Mutex<(Mono, Arc<Ground>)>,
    readers: Mutex<Vec<Box<dyn Reader>>>,
    seen: Mutex<Option<Seen>>,
    days: Mutex<Option<(Mono, Arc<TimePage>)>>,
}

/// How everything stood.
struct Seen {
    at: Mono,
    /// How long it took to find out.
    took: Duration,
    overview: Arc<Overview>,
}

/// What a thread that has ended has left is still as it should be.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What went wrong, as the page says it.
fn failed(error: impl Into<anyhow::Error>) -> Trouble {
    Trouble::Failed(told(error).to_string())
}

/// Why the scheduler cannot be asked, in a line: where it was looked for helps who can type.
fn in_short(error: &anyhow::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.split("; looked").next().unwrap_or_default().to_owned()
}

impl Desk {
    pub(super) fn new(
        place: &HistoryArgs,
        socket: Option<&Path>,
        context: &Context,
    ) -> anyhow::Result<Desk> {
        let ground = Ground::lay_with_origins(place, context)?;
        let given = std::env::var_os("SCHEDRS_SOCKET").filter(|path| !path.is_empty());
        let scheduler = match (socket, &place.jobfile, given, &ground.jobfile) {
            (Some(socket), ..) => Some(Place::Socket(socket.to_path_buf())),
            (None, None, Some(given), _) => Some(Place::Socket(given.into())),
            (None, _, _, Some(jobfile)) => Some(Place::Jobfile(jobfile.clone())),
            (None, _, _, None) => None,
        };
        Ok(Desk {
            place: place.clone(),
            scheduler,
            context: Context { zones: context.zones.clone(), local: context.local },
            ground: Mutex::new((clock::mono(), Arc::new(ground))),
            readers: Mutex::default(),
            seen: Mutex::default(),
            days: Mutex::default(),
        })
    }

    /// What `[web]` says.
    pub(super) fn settings(&self) -> WebSettings {
        let (_, ground) = &*lock(&self.ground);
        let web = ground.set.as_ref().map(|set| WebSettings::clone(&set.settings.web));
        web.unwrap_or_default()
    }

    /// The jobfile as it is now.
    fn ground(&self) -> Arc<Ground> {
        let mut known = lock(&self.ground);
        let now = clock::mono();
        if now.since(known.0) >= LOOK {
            known.0 = now;
            if known.1.on_disk.is_changed()
                && let Ok(ground) = Ground::lay_with_origins(&self.place, &self.context)
            {
                known.1 = Arc::new(ground);
                // It may name another store.
                lock(&self.readers).clear();
            }
        }
        Arc::clone(&known.1)
    }

    /// Looks into the store.
    fn look<T>(&self, look: impl FnOnce(&mut History) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let ground = self.ground();
        let kept = lock(&self.readers).pop();
        let reader = match kept {
            Some(reader) => reader,
            None => ground.reader()?,
        };
        let mut history = ground.history(reader, clock::wall());
        let found = look(&mut history).map_err(told)?;
        let mut readers = lock(&self.readers);
        if readers.len() < READERS {
            readers.push(history.into_reader());
        }
        Ok(found)
    }

    fn connect(&self) -> anyhow::Result<Client> {
        match &self.scheduler {
            Some(place) => Client::connect_within(place, PATIENCE).map_err(request::told),
            None => anyhow::bail!("there is no jobfile, only a store"),
        }
    }

    fn zone(&self, name: &str) -> Zone {
        match self.context.local {
            true => argument::local_zone(&self.context),
            false => self.context.zones.shown_as(name).unwrap_or_else(Zone::utc),
        }
    }

    /// Asks the scheduler how everything stands.
    fn ask(&self) -> anyhow::Result<Overview> {
        let mut client = self.connect()?;
        let (mut lines, mut hosts) = (Vec::new(), 0);
        let mut wrong = None;
        client
            .ask_all(&json!({ "do": "list" }), |mut part| {
                hosts = request::number(&part, "hosts");
                let jobs = part.get_mut("jobs").and_then(Value::as_array_mut);
                for job in jobs.into_iter().flatten() {
                    match serde_json::from_value::<JobLine>(job.take()) {
                        Ok(line) => lines.push(line),
                        Err(error) => wrong = Some(error),
                    }
                }
            })
            .map_err(request::told)?;
        if let Some(error) = wrong {
            anyhow::bail!("the scheduler speaks another version: {error}");
        }
        let status = client.ask(&json!({ "do": "status" })).map_err(request::told)?;
        let status: StatusView = request::read(status)?;
        let verdict = client.ask(&json!({ "do": "health" })).map_err(request::told)?;
        let frame = self.frame(None, Some(&status));
        let rows = self.rows(lines);
        Ok(Overview {
            frame,
            rows,
            hosts,
            warnings: warnings(&verdict, &status),
            status: Some(status),
        })
    }

    /// The same as far as the store knows it.
    fn remember(&self, trouble: String) -> anyhow::Result<Overview> {
        let frame = self.frame(Some(trouble), None);
        let jobfile = self.ground().jobfile.clone();
        let (lines, hosts) = self.look(|history| {
            let hosts = history.reader().members()?.len() as u64;
            Ok((lines(history, jobfile.as_deref())?, hosts))
        })?;
        Ok(Overview { rows: self.rows(lines), hosts, status: None, warnings: Vec::new(), frame })
    }

    fn frame(&self, trouble: Option<String>, status: Option<&StatusView>) -> Frame {
        let ground = self.ground();
        let name = match (status, &ground.jobfile, &self.place.store) {
            (Some(status), ..) => status.jobfile.clone(),
            (None, Some(path), _) => path.to_string_lossy().into_owned(),
            (None, None, store) => store.clone().unwrap_or_default(),
        };
        let zone = match status {
            Some(status) => self.zone(&status.timezone),
            None => ground.zone.clone(),
        };
        let has_fleet = HAS_SHARED
            && match status {
                Some(status) => status.fleet.is_some(),
                None => ground.is_shared(),
            };
        Frame { now: clock::wall(), zone, name, trouble, has_fleet }
    }

    fn rows(&self, lines: Vec<JobLine>) -> Vec<Row> {
        let mut zones: HashMap<String, Zone> = HashMap::new();
        let row = |line: JobLine| {
            let known = zones.get(&line.timezone).cloned();
            let zone = known.unwrap_or_else(|| {
                let zone = self.zone(&line.timezone);
                zones.insert(line.timezone.clone(), zone.clone());
                zone
            });
            row(line, zone)
        };
        lines.into_iter().map(row).collect()
    }

    /// What an active run has printed so far.
    fn printed_so_far(&self, job: &str, run: RunId) -> Option<Printed> {
        let mut client = self.connect().ok()?;
        client.ask(&json!({ "do": "follow", "job": job, "past": true })).ok()?;
        let mut past = logs::follow::past(&mut client).ok()?;
        past.active.remove(&run).map(|(_, printed)| printed)
    }

    /// The jobs as they are in effect, with where intervals begin.
    fn set_in_effect(
        history: &mut History,
        jobfile: Option<&Path>,
    ) -> anyhow::Result<Option<JobSet>> {
        let remembered = remembered(history)?;
        let Some(mut set) = history.set.clone() else { return Ok(None) };
        let jobfile = jobfile.unwrap_or(Path::new(""));
        grid::anchor(&mut set, jobfile, Some(&remembered));
        paused::find(&mut set, jobfile, Some(&remembered), history.now);
        Ok(Some(set))
    }
}

fn remembered(history: &mut History) -> anyhow::Result<Remembered> {
    let jobs = history.all_known()?;
    Ok(Remembered { jobs, all_paused: history.reader().all_paused()? })
}

/// What is not as it should be.
fn warnings(verdict: &Map<String, Value>, status: &StatusView) -> Vec<String> {
    let said = verdict.get("output").and_then(Value::as_str).unwrap_or_default();
    let said = said.split("; ").filter(|text| !text.is_empty()).map(str::to_owned);
    let mut all: Vec<String> = said.collect();
    for reason in &status.reasons {
        if !all.contains(reason) {
            all.push(reason.clone());
        }
    }
    if status.changed_since.is_some() {
        all.push(
            "the jobfile was edited since it was loaded; schedrs reload takes it up".to_owned(),
        );
    }
    if status.stopping {
        all.push("the scheduler is stopping".to_owned());
    }
    all
}

fn row(line: JobLine, zone: Zone) -> Row {
    let time = |time: Option<&String>| request::instant(time?);
    let last = line.last.as_ref();
    let mut text =
        format!("{}\n{}\n{}", line.id, line.schedule, line.name.as_deref().unwrap_or(""));
    for tag in &line.tags {
        text.push('\n');
        text.push_str(tag);
    }
    Row {
        next: time(line.next.as_ref()),
        last: last.and_then(|last| time(last.started.as_ref().or(Some(&last.due)))),
        ended: last.and_then(|last| time(last.ended.as_ref())),
        overdue: time(line.overdue_since.as_ref()),
        text: text.to_lowercase(),
        zone,
        line,
    }
}

/// How the jobs stand, as far as the store knows.
fn lines(history: &mut History, jobfile: Option<&Path>) -> anyhow::Result<Vec<JobLine>> {
    let remembered = remembered(history)?;
    let latest = history.reader().latest(None)?;
    let latest: HashMap<&str, &Latest> = latest.iter().map(|one| (&*one.job, one)).collect();
    let Some(mut set) = history.set.clone() else {
        let line = |one: &&Latest| JobLine {
            id: one.job.to_string(),
            state: "unknown".to_owned(),
            timezone: history.zone.name().to_owned(),
            last: one.run.as_ref().map(|run| RunObject::of_record(run, &history.zone)),
            ..JobLine::default()
        };
        let mut lines: Vec<JobLine> = latest.values().map(line).collect();
        crate::core::sort::by(&mut lines, |a, b| a.id.cmp(&b.id));
        return Ok(lines);
    };
    let jobfile = jobfile.unwrap_or(Path::new(""));
    let now = history.now;
    grid::anchor(&mut set, jobfile, Some(&remembered));
    let pauses = paused::find(&mut set, jobfile, Some(&remembered), now);
    let known: HashMap<&str, Instant> =
        remembered.jobs.iter().map(|job| (&*job.id, job.anchor)).collect();
    let jobs: Vec<&Job> = set.jobs.iter().map(|job| &**job).collect();
    let mut next = vec![None; jobs.len()];
    for row in preview(&jobs, Window { from: now, until: None, count: 1 }) {
        next[row.job] = row.due;
    }
    let mut lines = Vec::with_capacity(jobs.len());
    for (job, next) in set.jobs.iter().zip(next) {
        let latest = latest.get(&*job.id).copied();
        let anchor = known.get(&*job.id).copied();
        let paused = pauses.get(&job.id);
        let overdue = match (job.options.expect, anchor, paused, next) {
            (Some(expect), Some(anchor), None, Some(_)) => {
                overdue(history, job, (expect, anchor), latest)?
            }
            _ => None,
        };
        let view = JobView {
            job: Arc::clone(job),
            added: false,
            overridden: false,
            paused: if paused.is_some() { Paused::ByFile } else { Paused::No },
            next,
            running: 0,
            waiting: 0,
            anchor: anchor.unwrap_or(now),
            counts: JobCounts::default(),
            failures: 0,
            slow: None,
        };
        let line = JobLine::new(&view, latest, overdue);
        lines.push(JobLine { paused: paused.cloned(), ..line });
    }
    Ok(lines)
}

/// Since when a success of a job is overdue.
fn overdue(
    history: &mut History,
    job: &Job,
    (expect, anchor): (Duration, Instant),
    latest: Option<&Latest>,
) -> anyhow::Result<Option<Instant>> {
    let now = history.now;
    let succeeded = latest.and_then(|latest| latest.succeeded);
    if overdue_since(expect, anchor, succeeded, None, now).is_none() {
        return Ok(None);
    }
    let changes = history.reader().changes(Some(&job.id), now.minus(expect), now)?;
    let newest = Query { job: Some(job.id.clone()), limit: 20, ..Query::default() };
    let records = history.reader().records(&newest)?;
    Ok(overdue_since(expect, anchor, succeeded, last_resumed(&changes, &records), now))
}

/// What a job is, with where that stands; nothing where the jobfile does not have it.
fn options(ground: &Ground, id: &str) -> Vec<OptionRow> {
    let (Some(set), Some((origins, sources))) = (&ground.set, &ground.stands) else {
        return Vec::new();
    };
    let found = set.jobs.iter().zip(&origins.jobs).find(|(job, _)| *job.id == *id);
    let Some((job, keys)) = found else { return Vec::new() };
    let shown = explain::options(set, job, keys, origins, sources).into_iter().map(|option| {
        let value = match option.key {
            Key::Env => names(&job.options),
            Key::Stdin if job.options.stdin.is_some() => "***".to_owned(),
            _ => option.value,
        };
        OptionRow { key: option.key.name(), value, origin: option.origin }
    });
    shown.collect()
}

/// The names of the variables of a job: their values are nobody's business.
fn names(options: &Options) -> String {
    let all = options.env.keys().chain(options.secrets.keys()).chain(options.joined.keys());
    let all: std::collections::BTreeSet<&str> = all.map(|name| &**name).collect();
    match all.is_empty() {
        true => "{}".to_owned(),
        false => {
            let all: Vec<String> = all.into_iter().map(|name| format!("{name} = ***")).collect();
            format!("{{ {} }}", all.join(", "))
        }
    }
}

impl Source for Desk {
    fn overview(&self, age: Duration) -> Result<Arc<Overview>, Trouble> {
        // Whoever comes meanwhile waits for the same.
        let mut seen = lock(&self.seen);
        let begun = clock::mono();
        if let Some(Seen { at, took, overview }) = &*seen
            && begun.since(*at) < age.max((*took * SHARE).min(OLDEST))
        {
            return Ok(Arc::clone(overview));
        }
        let overview = match self.ask() {
            Ok(overview) => overview,
            Err(error) => self.remember(in_short(&error)).map_err(failed)?,
        };
        let overview = Arc::new(overview);
        let at = clock::mono();
        *seen = Some(Seen { at, took: at.since(begun), overview: Arc::clone(&overview) });
        Ok(overview)
    }

    fn health(&self) -> Map<String, Value> {
        let verdict = self
            .connect()
            .and_then(|mut client| client.ask(&json!({ "do": "health" })).map_err(request::told));
        verdict.unwrap_or_else(|error| health::failed(&error))
    }

    fn metrics(&self) -> Result<String, Trouble> {
        let whole = self.connect().and_then(|mut client| metrics::whole(&mut client, true));
        whole.map(|whole| whole.text(true)).map_err(failed)
    }

    fn job(&self, id: &str) -> Result<JobPage, Trouble> {
        let all = self.overview(Duration::from_secs(1))?;
        let known = all.rows.iter().find(|row| row.line.id == id).cloned();
        let details = match &known {
            Some(_) if all.status.is_some() => self.connect().ok().and_then(|mut client| {
                let shown = client.ask(&json!({ "do": "show", "job": id })).ok()?;
                request::read::<JobDetails>(shown).ok()
            }),
            _ => None,
        };
        let past = self.look(|history| {
            if known.is_none() {
                history.must_know(id)?;
            }
            let newest = Query { job: Some(id.into()), limit: RECORDS, ..Query::default() };
            let records = history.reader().records(&newest)?;
            let has_hosts = history.has_hosts(&records)?;
            let remembered = history.known(id)?;
            let job = history.job(id).cloned();
            let verdict = why::verdict(history, id, Asked::Latest, &self.place.typed())?;
            Ok((records, has_hosts, remembered, job, verdict, history.zone_of(id)))
        });
        let (records, has_hosts, remembered, job, verdict, zone) = match past {
            Ok((records, has_hosts, remembered, job, verdict, zone)) => {
                (records, has_hosts, remembered, job, Some(verdict), zone)
            }
            // A store in memory cannot be read: what the scheduler says is all there is.
            Err(_) if known.is_some() => {
                (Vec::new(), false, None, None, None, all.frame.zone.clone())
            }
            Err(error) if error.is::<StoreError>() => return Err(failed(error)),
            Err(error) => return Err(Trouble::Unknown(error.to_string())),
        };
        let row = known.unwrap_or_else(|| {
            let timezone = zone.name().to_owned();
            let last = records
                .iter()
                .find(|record| record.outcome.as_ref().is_some_and(|outcome| outcome.is_of_run()));
            let last = last.map(|record| RunObject::of_record(record, &zone));
            let (id, state) = (id.to_owned(), "not in the jobfile".to_owned());
            row(JobLine { id, state, timezone, last, ..JobLine::default() }, zone)
        });
        let anchor = details.as_ref().and_then(|details| request::instant(&details.anchor));
        let anchor = anchor.or(remembered.map(|known| known.anchor));
        let upcoming = job.as_ref().map(|job| upcoming(job, anchor, all.frame.now));
        let why = verdict.map(|verdict| Why {
            text: verdict.text,
            due: verdict.due,
            evidence: verdict.evidence,
        });
        Ok(JobPage {
            command: command(details.as_ref(), job.as_deref()),
            upcoming: upcoming.unwrap_or_default(),
            options: options(&self.ground(), id),
            row,
            details,
            records,
            has_hosts,
            why,
        })
    }

    fn run(&self, number: u64) -> Result<RunPage, Trouble> {
        let run = RunId(number);
        let found = self.look(|history| {
            let query = Query { run: Some(run), limit: 1, ..Query::default() };
            let Some(record) = history.reader().records(&query)?.pop() else { return Ok(None) };
            let attempts = history.reader().attempts(run)?;
            let kept = history.reader().output(run)?;
            let printed = kept.map(|(bytes, total)| (Printed::decode(&bytes, total), Some(total)));
            let has_hosts = history.has_hosts(std::slice::from_ref(&record))?;
            let job = history.job(&record.job);
            let is_discarded = job.is_some_and(|job| job.options.output == Output::Discard);
            let zone = history.zone_of(&record.job);
            let is_live = false;
            Ok(Some(RunPage { record, zone, attempts, printed, has_hosts, is_discarded, is_live }))
        });
        let Some(mut page) = found.map_err(failed)? else {
            let text = format!("No run {number} is kept: old ones are forgotten ([store] keep).");
            return Err(Trouble::Unknown(text));
        };
        if page.record.outcome.is_none() && self.is_active(number) {
            page.is_live = true;
            let printed = self.printed_so_far(&page.record.job, run);
            page.printed = printed.map(|printed| (printed, None)).or(page.printed);
        }
        Ok(page)
    }

    fn time(&self) -> Result<Arc<TimePage>, Trouble> {
        let mut days = lock(&self.days);
        if let Some((at, page)) = &*days
            && clock::mono().since(*at) < DAYS
        {
            return Ok(Arc::clone(page));
        }
        let jobfile = self.ground().jobfile.clone();
        let page = self.look(|history| {
            let now = history.now;
            let since = now.minus(DAY);
            let query = Query { since: Some(since), limit: PAST, ..Query::default() };
            let past = history.reader().records(&query)?;
            let is_cut = past.len() >= PAST;
            let since = past.last().filter(|_| is_cut).map_or(since, |oldest| oldest.due);
            let set = Desk::set_in_effect(history, jobfile.as_deref())?;
            let dues = set.map(|set| dues(&set, now)).unwrap_or_default();
            Ok(TimePage { now, past, since, dues })
        });
        let page = Arc::new(page.map_err(failed)?);
        *days = Some((clock::mono(), Arc::clone(&page)));
        Ok(page)
    }

    fn changes(&self) -> Result<Vec<Change>, Trouble> {
        let found = self.look(|history| {
            let now = history.now;
            Ok(history.reader().changes(None, Instant::MIN, now)?)
        });
        let mut changes = found.map_err(failed)?;
        changes.reverse();
        changes.truncate(CHANGES);
        Ok(changes)
    }

    fn messages(&self) -> Result<Vec<Told>, Trouble> {
        self.look(|history| notify::known(history, MESSAGES)).map_err(failed)
    }

    fn fleet(&self) -> Result<Vec<Member>, Trouble> {
        self.look(|history| Ok(history.reader().members()?)).map_err(failed)
    }

    fn follow(
        &self,
        job: &str,
        run: u64,
        hear: &mut dyn FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Trouble> {
        let mut client = self.connect().map_err(failed)?;
        let request = json!({ "do": "follow", "job": job, "past": true });
        client.ask(&request).map_err(request::told).map_err(failed)?;
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        loop {
            let is_there = client.has_more() || {
                let mut sockets = [PollFd::new(client.socket(), PollFlags::IN)];
                poll(&mut sockets, Some(&second))
                    .map_err(|error| failed(anyhow::Error::from(error)))?
                    > 0
            };
            if !is_there {
                if !hear(Heard::Nothing) || !self.is_active(run) {
                    return Ok(());
                }
                continue;
            }
            let said = client.receive().map_err(request::told).map_err(failed)?;
            if said.contains_key("lost") && !hear(Heard::Lost) {
                return Ok(());
            }
            if said.get("run").and_then(Value::as_u64) != Some(run) {
                continue;
            }
            if said.contains_key("ended") {
                return Ok(());
            }
            if let Some(text) = said.get("text").and_then(Value::as_str) {
                let is_stderr = said.get("stream").is_some_and(|stream| stream == "stderr");
                if !hear(Heard::Text { text, is_stderr }) {
                    return Ok(());
                }
            }
        }
    }

    fn act(&self, act: &Act, user: &str, reason: &str) -> Result<Option<u64>, Trouble> {
        let mut request = json!({ "do": act.verb.word(), "for_user": user });
        match act.run {
            Some(run) => request["run"] = run.into(),
            None => request["job"] = act.job.as_str().into(),
        }
        if act.verb == Verb::Pause && !reason.is_empty() {
            request["reason"] = reason.into();
        }
        let mut client = self.connect().map_err(failed)?;
        let done = client.ask(&request).map_err(request::told).map_err(failed)?;
        *lock(&self.seen) = None;
        Ok(done.get("run").and_then(Value::as_u64))
    }
}

impl Desk {
    /// Whether the scheduler that is asked here has a run.
    fn is_active(&self, run: u64) -> bool {
        let all = self.overview(Duration::from_secs(1)).ok();
        let status = all.as_ref().and_then(|all| all.status.as_ref());
        status.is_some_and(|status| status.active.iter().any(|active| active.run == Some(run)))
    }
}

/// The next due times of a job.
fn upcoming(
    job: &Arc<Job>,
    anchor: Option<Instant>,
    now: Instant,
) -> Vec<(Instant, Option<String>)> {
    let job = match anchor {
        Some(anchor) if grid::is_open(job) => {
            Job { trigger: job.trigger.anchored(anchor), ..Job::clone(job) }
        }
        _ => Job::clone(job),
    };
    let window = Window { from: now, until: None, count: UPCOMING };
    let jobs = [&job];
    let rows = preview(&jobs, window).filter_map(|row| Some((row.due?, row.remark)));
    rows.collect()
}

/// What a job runs, as one would type it.
fn command(details: Option<&JobDetails>, job: Option<&Job>) -> String {
    use crate::core::job::Command;
    let words = |words: &mut dyn Iterator<Item = &str>| -> String {
        words.map(argument::quoted).collect::<Vec<_>>().join(" ")
    };
    match (details.and_then(|details| details.command.as_ref()), job.map(|job| &job.command)) {
        (Some(Value::String(line)), _) => line.clone(),
        (Some(Value::Array(all)), _) => words(&mut all.iter().filter_map(Value::as_str)),
        (_, Some(Command::Shell(line))) => line.to_string(),
        (_, Some(Command::Argv(all))) => words(&mut all.iter().map(|word| &**word)),
        _ => String::new(),
    }
}

/// When jobs are due in the next day.
fn dues(set: &JobSet, now: Instant) -> Dues {
    let jobs: Vec<&Job> = set.jobs.iter().map(|job| &**job).collect();
    let until = now.plus(DAY);
    let window = Window { from: now, until: Some(until), count: usize::MAX };
    let rows = preview(&jobs, window).map_while(|row| Some((row.due?, row.job)));
    let at: Vec<(Instant, usize)> = rows.take(AHEAD).collect();
    let until = at.last().filter(|_| at.len() >= AHEAD).map(|(due, _)| *due);
    Dues { jobs: jobs.iter().map(|job| job.id.clone()).collect(), at, until }
}
