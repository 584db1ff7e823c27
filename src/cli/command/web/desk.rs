//! Gets to know what the page shows: from the store, as `history` and `why` do (`stored`), and over the control
//! socket, as `list` and `status` do (`running`). `about` is one job, or one run, and
//! `api` what programs ask for.

mod about;
mod api;
mod running;
mod stored;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::Context;
use crate::cli::command::history_source::{Ground, History, HistoryArgs, told};
use crate::cli::command::{argument, health, metrics, notify, request};
use crate::control::client::{Client, Place};
use crate::control::wire::view::{JobLine, StatusView};
use crate::core::event::Change;
use crate::core::fleet::Member;
use crate::core::instant::{Instant, Mono};
use crate::core::web::WebSettings;
use crate::core::zone::Zone;
use crate::store::{HAS_SHARED, Reader};
use crate::sys::clock;
use crate::web::{
    Act, Frame, Heard, JobPage, Messages, Overview, Question, Row, RunPage, Source, TimePage,
    Trouble,
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
    // Nearly all have this one: it is nothing to look for.
    if line.executor != "default" {
        text.push('\n');
        text.push_str(&line.executor);
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
        self.job_page(id)
    }

    fn run(&self, number: u64) -> Result<RunPage, Trouble> {
        self.run_page(number)
    }

    fn time(&self) -> Result<Arc<TimePage>, Trouble> {
        let mut days = lock(&self.days);
        if let Some((at, page)) = &*days
            && clock::mono().since(*at) < DAYS
        {
            return Ok(Arc::clone(page));
        }
        let jobfile = self.ground().jobfile.clone();
        let page = self.look(|history| stored::two_days(history, jobfile.as_deref()));
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

    fn messages(&self) -> Result<Messages, Trouble> {
        let found = self.look(|history| {
            let told = notify::known(history, MESSAGES)?;
            Ok(Messages { told, pings: notify::pings::known(history)? })
        });
        found.map_err(failed)
    }

    fn api(&self, question: &Question) -> Result<Value, Trouble> {
        self.answer(question)
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
        self.follow_run(job, run, hear)
    }

    fn act(&self, act: &Act, user: &str, reason: &str) -> Result<Option<u64>, Trouble> {
        self.request(act, user, reason)
    }
}
