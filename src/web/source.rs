//! What the page shows, and who gets to know it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::api::Question;
use crate::control::wire::view::{JobDetails, JobLine, StatusView};
use crate::core::event::Change;
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::core::notify::log::Told;
pub(crate) use crate::core::notify::ping::Row as Ping;
use crate::core::printed::Printed;
use crate::core::record::{AttemptRecord, RunRecord};
use crate::core::zone::Zone;

/// Why something cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no such thing: a sentence.
    Unknown(String),
    /// It is asked in a way that means nothing: a sentence.
    Wrong(String),
    /// It cannot be found out, or done: a sentence.
    Failed(String),
}

/// Who gets to know what is shown. Everything here may take a while.
pub(crate) trait Source: Send + Sync {
    /// How everything stands, not older than this.
    fn overview(&self, age: Duration) -> Result<Arc<Overview>, Trouble>;
    /// The verdict about the scheduler, as `schedrs health` has it.
    fn health(&self) -> Map<String, Value>;
    /// Its numbers, as `schedrs metrics` has them.
    fn metrics(&self) -> Result<String, Trouble>;
    /// All about a job.
    fn job(&self, id: &str) -> Result<JobPage, Trouble>;
    /// All about a run.
    fn run(&self, number: u64) -> Result<RunPage, Trouble>;
    /// The last day and the next.
    fn time(&self) -> Result<Arc<TimePage>, Trouble>;
    /// Who has done what, the newest first.
    fn changes(&self) -> Result<Vec<Change>, Trouble>;
    /// Who is told what.
    fn messages(&self) -> Result<Messages, Trouble>;
    /// What a program asks for.
    fn api(&self, question: &Question) -> Result<Value, Trouble>;
    /// The hosts that share the store.
    fn fleet(&self) -> Result<Vec<Member>, Trouble>;
    /// Tells what a run of a job prints until it ends or nobody listens any more: `hear` says whether
    /// somebody does, and is asked each second.
    fn follow(
        &self,
        job: &str,
        run: u64,
        hear: &mut dyn FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Trouble>;
    /// Does something for somebody, who may say why. Answers the run that was started, if one was.
    fn act(&self, act: &Act, user: &str, reason: &str) -> Result<Option<u64>, Trouble>;
}

/// What stands on each page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    /// When it was looked.
    pub(crate) now: Instant,
    /// The zone of what has none of its own.
    pub(crate) zone: Zone,
    /// The jobfile, or the store.
    pub(crate) name: String,
    /// Why the scheduler cannot be asked, if it cannot.
    pub(crate) trouble: Option<String>,
    /// Whether several hosts may share the store.
    pub(crate) has_fleet: bool,
}

/// How everything stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overview {
    pub(crate) frame: Frame,
    /// The jobs, in the order of the jobfile.
    pub(crate) rows: Vec<Row>,
    /// How many hosts there are.
    pub(crate) hosts: u64,
    /// The scheduler's own view of itself, if it runs.
    pub(crate) status: Option<StatusView>,
    /// What is not as it should be with it.
    pub(crate) warnings: Vec<String>,
}

/// A job among others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) line: JobLine,
    /// On whose clocks its times are shown.
    pub(crate) zone: Zone,
    /// When it is due next.
    pub(crate) next: Option<Instant>,
    /// When its last run began, or was due if it has not.
    pub(crate) last: Option<Instant>,
    /// When that ended.
    pub(crate) ended: Option<Instant>,
    /// Since when it is overdue.
    pub(crate) overdue: Option<Instant>,
    /// What a search looks into, in lower case.
    pub(crate) text: String,
}

/// All about a job.
#[derive(Clone, Debug)]
pub(crate) struct JobPage {
    pub(crate) row: Row,
    /// What the scheduler says of it, if it runs.
    pub(crate) details: Option<JobDetails>,
    /// What it runs, as one would type it.
    pub(crate) command: String,
    /// Its next due times, each with what is out of the ordinary.
    pub(crate) upcoming: Vec<Upcoming>,
    /// Its last records, the newest first.
    pub(crate) records: Vec<RunRecord>,
    /// Whether it takes a word to say on which host something was.
    pub(crate) has_hosts: bool,
    /// Why the last due time has come to what it has.
    pub(crate) why: Option<Why>,
    /// What it is, and where that stands.
    pub(crate) options: Vec<OptionRow>,
}

/// An answer and what it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Why {
    pub(crate) text: String,
    pub(crate) due: Option<Instant>,
    pub(crate) evidence: Vec<(&'static str, String)>,
}

/// A due time of a job that is to come.
#[derive(Clone, Debug)]
pub(crate) struct Upcoming {
    pub(crate) at: Instant,
    /// It does not run then.
    pub(crate) is_excluded: bool,
    pub(crate) remark: Option<String>,
}

/// An option of a job.
#[derive(Clone, Debug)]
pub(crate) struct OptionRow {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    /// Where it stands: `line 12`, `built in`.
    pub(crate) origin: String,
}

/// All about a run.
#[derive(Clone, Debug)]
pub(crate) struct RunPage {
    pub(crate) record: RunRecord,
    pub(crate) zone: Zone,
    pub(crate) attempts: Vec<AttemptRecord>,
    /// What it has printed, and how many bytes that was in all, if that is known.
    pub(crate) printed: Option<(Printed, Option<u64>)>,
    /// In what ways it is out of the ordinary: a word and a sentence for each.
    pub(crate) unusual: Vec<(&'static str, String)>,
    pub(crate) has_hosts: bool,
    /// Its output is kept nowhere.
    pub(crate) is_discarded: bool,
    /// What it prints can be followed here.
    pub(crate) is_live: bool,
}

/// Who is told what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    /// Notifications: those that wait, and then those that have ended, the newest first.
    pub(crate) told: Vec<Told>,
    /// The last pings of each job.
    pub(crate) pings: Vec<Ping>,
}

/// The last day and the next.
#[derive(Clone, Debug)]
pub(crate) struct TimePage {
    pub(crate) now: Instant,
    /// Records of the last day, the newest first.
    pub(crate) past: Vec<RunRecord>,
    /// Not all of them: from here on.
    pub(crate) since: Instant,
    /// When jobs are due in the next day.
    pub(crate) dues: Dues,
}

/// Due times of several jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dues {
    /// The jobs.
    pub(crate) jobs: Vec<Box<str>>,
    /// Each due time, with the place of its job, in order.
    pub(crate) at: Vec<(Instant, usize)>,
    /// All up to here are known; `None`: all of the day.
    pub(crate) until: Option<Instant>,
}

/// What one hears of a run that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// It has printed something.
    Text { text: &'a str, is_stderr: bool },
    /// Some of it was lost on the way.
    Lost,
    /// Nothing for a while.
    Nothing,
    /// An attempt of it has ended.
    Ended,
}

/// Something that may be done to a job or a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) verb: Verb,
    pub(crate) job: String,
    /// To this run only.
    pub(crate) run: Option<u64>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Pause,
    Resume,
}

impl Verb {
    /// All of them.
    pub(crate) const ALL: [Verb; 4] = [Verb::Start, Verb::Stop, Verb::Pause, Verb::Resume];

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Trouble::Unknown(text) | Trouble::Wrong(text) | Trouble::Failed(text)) = self;
        f.write_str(text)
    }
}
