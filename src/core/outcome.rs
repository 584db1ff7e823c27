//! What became of a due time: the one vocabulary for it.
//!
//! An [`Outcome`] has a stable word for programs, a mark of one column, and what people read: a few
//! words for a cell of a table, a phrase after a name, and a sentence with the run as its subject.
//! `list`, `show`, `start`, `history`, `why`, `logs`, the log, the socket and the store all take them
//! from here, so that they cannot differ. What a run does that is not over is [`Doing`].
//! `crate::history::object` is the JSON of a whole record.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::core::words;

/// What became of a due time.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ran and exited with one of the job's `success_codes`.
    Succeeded,
    /// It ran and exited with another code.
    Failed(i32),
    /// A signal ended it.
    Killed(i32),
    /// A signal ended it, because it went over one of its `limits`: which.
    OverLimit(i32, String),
    /// Its `timeout` ended it.
    TimedOut,
    /// Its process could not be started.
    NotStarted(String),
    /// It was deliberately not run.
    Skipped(SkipReason),
    /// It was too late.
    Missed(MissReason),
    /// It was due together with another due time of its job, which stands for both.
    Coalesced,
    /// How it ended is not known: it was found open after a crash, or its process could not be
    /// ended and was abandoned. What is known of it.
    Lost(String),
}

/// Why a due time was skipped: a stable word and, of some kinds, a text that says more of the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// `max_instances` runs were active.
    Overlap,
    /// The job was paused.
    Paused,
    /// The scheduler was stopping.
    Stopping,
    /// A reload took the job away before the run began.
    Removed,
    /// Somebody has stopped it before it began.
    Stopped,
    /// `except` or `only` of the job excludes the time: the calendar or the rule that does. Made by
    /// [`SkipReason::excluded`].
    Excluded(Detail),
    /// What became of a job that it is due after: `load was missed`. Made by [`SkipReason::parent`].
    Parent(Detail),
    /// One of its conditions (`only_if`) did not hold: the reading. Made by [`SkipReason::condition`].
    Condition(Detail),
}

/// The word of a reason with its text, in the form in which it is kept and shown: `excluded: holidays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(Box<str>);

impl Detail {
    fn new(word: &str, text: &str) -> Detail {
        Detail(format!("{word}: {text}").into())
    }

    /// The text alone. It may be somebody else's: to be cleaned.
    pub fn text(&self) -> &str {
        self.0.split_once(": ").map_or("", |(_, text)| text)
    }
}

/// Why a due time was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// It was noticed later than `misfire_grace_time` allows: by this much.
    Late(Duration),
    /// It waited for a slot longer than `max_wait` allows: this long.
    Waited(Duration),
    /// Several schedulers share the store, and it has not answered before the due time was later
    /// than `misfire_grace_time` allows: this late.
    NoStore(Duration),
}

/// How far a due time got, which a phrase needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It never became a run.
    Due,
    /// It became a run of which no process began.
    Run,
    /// It had a process, and took this long; `None`: that is not to be said.
    Process(Option<Duration>),
}

/// What an active run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Its process exists or is being made.
    Running,
    /// Its process was told to end.
    Ending,
    /// It waits for a slot of its executor, or for the machine to have room for it.
    Queued,
    /// It waits for another run of its job to end.
    Pending,
    /// It waits to be retried.
    Retrying,
    /// It waits for its conditions to hold, or for an answer whether they do.
    Checking,
}

/// The word of what is not over, from when its first attempt was started.
pub const RUNNING: &str = "running";

/// The word of what is not over, until then.
pub const WAITING: &str = "waiting";

/// The stable word for what became of a due time, or for how it stands: `has_begun` tells whether a
/// first attempt was started.
pub fn word(outcome: Option<&Outcome>, has_begun: bool) -> &'static str {
    match outcome {
        Some(outcome) => outcome.word(),
        None if has_begun => RUNNING,
        None => WAITING,
    }
}

/// The mark of what became of a due time, one column wide; `…` for what is not over.
pub fn mark(outcome: Option<&Outcome>) -> char {
    outcome.map_or('…', Outcome::mark)
}

/// The colour of a mark, as the number of an ANSI sequence; nothing for what is no mark.
pub fn colour(mark: char) -> &'static str {
    match mark {
        '✓' => "32",
        '✗' => "31",
        '!' => "33",
        '?' => "35",
        '…' => "36",
        '-' | '·' => "2",
        _ => "",
    }
}

/// The mark that goes with a word; `None`: it is no outcome's.
pub fn mark_of(word: &str) -> Option<char> {
    Some(match word {
        "succeeded" => '✓',
        "failed" | "killed" | "timed_out" | "not_started" => '✗',
        "missed" => '!',
        "skipped" => '-',
        "coalesced" => '·',
        "lost" => '?',
        RUNNING | WAITING => '…',
        _ => return None,
    })
}

impl Outcome {
    /// Whether the job's command did what it should.
    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Succeeded)
    }

    /// Whether a run ended so, as against a due time that did not come to run.
    pub fn is_of_run(&self) -> bool {
        !matches!(self, Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Coalesced)
    }

    /// Whether nothing was to come of the due time, by `except` or `only`.
    pub fn is_excluded(&self) -> bool {
        matches!(self, Outcome::Skipped(SkipReason::Excluded(_)))
    }

    /// Whether something went wrong, as against what was deliberately not run.
    pub fn went_wrong(&self) -> bool {
        match self {
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::TimedOut
            | Outcome::NotStarted(_)
            | Outcome::Missed(_)
            | Outcome::Lost(_) => true,
            Outcome::Succeeded | Outcome::Skipped(_) | Outcome::Coalesced => false,
        }
    }

    /// Whether a run was to be and did not do what it should, or nobody knows whether it did.
    pub fn is_failed_run(&self) -> bool {
        match self {
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::TimedOut
            | Outcome::NotStarted(_)
            | Outcome::Lost(_) => true,
            Outcome::Succeeded | Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Coalesced => {
                false
            }
        }
    }

    /// The stable word for it, without its detail: a key for logs, filters and exit codes.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed(_) => "failed",
            Outcome::Killed(_) | Outcome::OverLimit(..) => "killed",
            Outcome::TimedOut => "timed_out",
            Outcome::NotStarted(_) => "not_started",
            Outcome::Skipped(_) => "skipped",
            Outcome::Missed(_) => "missed",
            Outcome::Coalesced => "coalesced",
            Outcome::Lost(_) => "lost",
        }
    }

    /// The word and the number behind it, if there is one: `failed 3`, `killed 9`, `timed_out`. Runs that end
    /// so have ended in the same way.
    pub fn manner(&self) -> String {
        match self {
            Outcome::Failed(number) | Outcome::Killed(number) | Outcome::OverLimit(number, _) => {
                format!("{} {number}", self.word())
            }
            _ => self.word().to_owned(),
        }
    }

    /// Puts one together again from its word and its details; `None`: this version does not know it.
    /// `number`: the exit code or the signal; `late`: how late it was or how long it waited.
    pub fn read(
        word: &str,
        number: Option<i32>,
        late: Option<Duration>,
        reason: Option<&str>,
    ) -> Option<Outcome> {
        let number = number.unwrap_or(0);
        let late = late.unwrap_or_default();
        let text = || reason.unwrap_or_default().to_owned();
        Some(match word {
            "succeeded" => Outcome::Succeeded,
            "failed" => Outcome::Failed(number),
            "killed" => match reason {
                Some(reason) if !reason.is_empty() => Outcome::OverLimit(number, text()),
                _ => Outcome::Killed(number),
            },
            "timed_out" => Outcome::TimedOut,
            "not_started" => Outcome::NotStarted(text()),
            "skipped" => Outcome::Skipped(SkipReason::read(reason?)?),
            "missed" if reason == Some("waited") => Outcome::Missed(MissReason::Waited(late)),
            "missed" if reason == Some("no_store") => Outcome::Missed(MissReason::NoStore(late)),
            "missed" => Outcome::Missed(MissReason::Late(late)),
            "coalesced" => Outcome::Coalesced,
            "lost" => Outcome::Lost(text()),
            _ => return None,
        })
    }

    /// Its mark, one column wide.
    pub fn mark(&self) -> char {
        mark_of(self.word()).unwrap_or('?')
    }

    /// The exit code, if it failed with one.
    pub fn exit(&self) -> Option<i32> {
        match self {
            Outcome::Failed(code) => Some(*code),
            _ => None,
        }
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        match self {
            Outcome::Killed(signal) | Outcome::OverLimit(signal, _) => Some(*signal),
            _ => None,
        }
    }

    /// Why it came to that: a stable word where it was skipped or missed, with a text behind it where
    /// there is more to say (`excluded: holidays`); a text where it could not be started, is lost or was
    /// over a limit.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::NotStarted(reason) | Outcome::Lost(reason) | Outcome::OverLimit(_, reason) => {
                Some(reason)
            }
            Outcome::Skipped(reason) => Some(reason.as_str()),
            Outcome::Missed(reason) => Some(reason.word()),
            Outcome::Succeeded
            | Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::TimedOut
            | Outcome::Coalesced => None,
        }
    }

    /// How late it was, or how long it waited, where it was missed.
    pub fn late(&self) -> Option<Duration> {
        match self {
            Outcome::Missed(
                MissReason::Late(by) | MissReason::Waited(by) | MissReason::NoStore(by),
            ) => Some(*by),
            _ => None,
        }
    }

    /// A cell of a table: `failed 3`, `killed TERM`, `skipped: overlap`.
    pub fn short(&self) -> String {
        match self {
            Outcome::Failed(code) => format!("failed {code}"),
            Outcome::Killed(signal) | Outcome::OverLimit(signal, _) => {
                match signal_hook::low_level::signal_name(*signal) {
                    Some(name) => format!("killed {}", name.trim_start_matches("SIG")),
                    None => format!("killed {signal}"),
                }
            }
            Outcome::Skipped(reason) => format!("skipped: {}", reason.as_str()),
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::NotStarted(_) => "not started".to_owned(),
            Outcome::Succeeded | Outcome::Missed(_) | Outcome::Coalesced | Outcome::Lost(_) => {
                self.word().to_owned()
            }
        }
    }

    /// What a person reads after a name, in the log and elsewhere: `failed with exit code 3 after
    /// 12s`, `skipped: the job was paused`. A reason stands in it as it is: to be cleaned.
    pub fn phrase(&self, reached: Reached) -> String {
        let after = match reached {
            Reached::Process(Some(took)) => format!(" after {}", words::elapsed(took)),
            Reached::Due | Reached::Run | Reached::Process(None) => String::new(),
        };
        match (self, reached) {
            (Outcome::Succeeded, _) => format!("succeeded{after}"),
            (Outcome::Failed(code), _) => format!("failed with exit code {code}{after}"),
            (Outcome::Killed(signal), _) => format!("killed by {}{after}", signal_name(*signal)),
            (Outcome::OverLimit(signal, reason), _) => {
                format!("killed by {}{after}: {reason}", signal_name(*signal))
            }
            (Outcome::TimedOut, Reached::Process(_)) => format!("timed out{after}"),
            (Outcome::TimedOut, Reached::Due | Reached::Run) => {
                "timed out before it started: the start hung".to_owned()
            }
            (Outcome::NotStarted(reason), _) => format!("not started: {reason}"),
            (Outcome::Skipped(reason), _) => format!("skipped: {}", reason.phrase(reached)),
            (Outcome::Missed(reason), _) => format!("missed: {}", reason.phrase()),
            (Outcome::Coalesced, _) => "coalesced with another due time".to_owned(),
            (Outcome::Lost(reason), _) => format!("lost: {reason}"),
        }
    }

    /// The same with the run or the due time as its subject: `failed with exit code 3`, `was killed
    /// by SIGTERM after 12s`.
    pub fn sentence(&self, reached: Reached) -> String {
        let phrase = self.phrase(reached);
        match self {
            Outcome::Succeeded | Outcome::Failed(_) | Outcome::TimedOut => phrase,
            Outcome::NotStarted(reason) => format!("could not be started: {reason}"),
            Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::Skipped(_)
            | Outcome::Missed(_)
            | Outcome::Coalesced
            | Outcome::Lost(_) => format!("was {phrase}"),
        }
    }
}

impl SkipReason {
    /// `except` or `only` excludes the time: the name of a calendar, or a rule as it was written.
    pub fn excluded(text: &str) -> SkipReason {
        SkipReason::Excluded(Detail::new("excluded", text))
    }

    /// A job that it is due after has not ended as it had to: its id and what became of it.
    pub fn parent(text: &str) -> SkipReason {
        SkipReason::Parent(Detail::new("parent", text))
    }

    /// One of its conditions did not hold: its reading, `load 7.2 ≥ 4.0`.
    pub fn condition(reading: &str) -> SkipReason {
        SkipReason::Condition(Detail::new("condition", reading))
    }

    /// The stable word for it: a key for filters and for labels.
    pub fn word(&self) -> &'static str {
        match self {
            SkipReason::Overlap => "overlap",
            SkipReason::Paused => "paused",
            SkipReason::Stopping => "stopping",
            SkipReason::Removed => "removed",
            SkipReason::Stopped => "stopped",
            SkipReason::Excluded(_) => "excluded",
            SkipReason::Parent(_) => "parent",
            SkipReason::Condition(_) => "condition",
        }
    }

    /// The word, with the text behind it if there is one: `overlap`, `excluded: holidays`.
    pub fn as_str(&self) -> &str {
        match self {
            SkipReason::Excluded(detail)
            | SkipReason::Parent(detail)
            | SkipReason::Condition(detail) => &detail.0,
            plain => plain.word(),
        }
    }

    /// The same, back again; `None`: this version does not know it.
    pub fn read(text: &str) -> Option<SkipReason> {
        Some(match text.split_once(": ") {
            None => match text {
                "overlap" => SkipReason::Overlap,
                "paused" => SkipReason::Paused,
                "stopping" => SkipReason::Stopping,
                "removed" => SkipReason::Removed,
                "stopped" => SkipReason::Stopped,
                _ => return None,
            },
            Some(("excluded", text)) => SkipReason::excluded(text),
            Some(("parent", text)) => SkipReason::parent(text),
            Some(("condition", text)) => SkipReason::condition(text),
            Some(_) => return None,
        })
    }

    fn phrase(&self, reached: Reached) -> Cow<'static, str> {
        Cow::Borrowed(match (self, reached) {
            (SkipReason::Overlap, Reached::Due) => "already running (max_instances reached)",
            (SkipReason::Overlap, _) => "replaced by a newer due time",
            (SkipReason::Paused, _) => "the job was paused",
            (SkipReason::Stopping, _) => "schedrs was stopping before it started",
            (SkipReason::Removed, _) => "the job was removed before it started",
            (SkipReason::Stopped, _) => "stopped before it started",
            (SkipReason::Excluded(detail), _) => {
                return Cow::Owned(format!("excluded ({})", detail.text()));
            }
            (SkipReason::Parent(detail), _) => return Cow::Owned(detail.text().to_owned()),
            (SkipReason::Condition(detail), _) => {
                return Cow::Owned(format!("only_if did not hold ({})", detail.text()));
            }
        })
    }
}

impl MissReason {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            MissReason::Late(_) => "late",
            MissReason::Waited(_) => "waited",
            MissReason::NoStore(_) => "no_store",
        }
    }

    /// How late it was: `2m late`, `waited 10s for a slot`.
    pub fn short(self) -> String {
        match self {
            MissReason::Late(by) => format!("{} late", words::span(by)),
            MissReason::Waited(by) => format!("waited {} for a slot", words::span(by)),
            MissReason::NoStore(by) => format!("{} late", words::span(by)),
        }
    }

    fn phrase(self) -> String {
        let rule = match self {
            MissReason::Late(_) => "more than misfire_grace_time allows",
            MissReason::Waited(_) => "longer than max_wait allows",
            MissReason::NoStore(_) => "because the store did not answer",
        };
        format!("{}, {rule}", self.short())
    }
}

impl Doing {
    /// All of them.
    pub const ALL: [Doing; 6] = [
        Doing::Running,
        Doing::Ending,
        Doing::Queued,
        Doing::Pending,
        Doing::Retrying,
        Doing::Checking,
    ];

    /// Whether it has a process, or has one made.
    pub fn is_running(self) -> bool {
        matches!(self, Doing::Running | Doing::Ending)
    }

    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Doing::Running => "running",
            Doing::Ending => "ending",
            Doing::Queued => "queued",
            Doing::Pending => "pending",
            Doing::Retrying => "retrying",
            Doing::Checking => "checking",
        }
    }

    /// What a person reads after "is": `waiting for a slot`.
    pub fn phrase(self) -> &'static str {
        match self {
            Doing::Running => "running",
            Doing::Ending => "stopping",
            Doing::Queued => "waiting for a slot",
            Doing::Pending => "waiting for another run of the job",
            Doing::Retrying => "waiting for a retry",
            Doing::Checking => "waiting for its conditions",
        }
    }

    /// The same after "waiting": `for a slot`.
    pub fn waits(self) -> &'static str {
        self.phrase().strip_prefix("waiting ").unwrap_or(self.phrase())
    }
}

impl fmt::Display for Outcome {
    /// The word and its detail: `failed(3)`, `skipped(overlap)`, `missed(late by 90s)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Outcome::Failed(code) => write!(f, "({code})"),
            Outcome::Killed(signal) => write!(f, "({signal})"),
            Outcome::OverLimit(signal, reason) => write!(f, "({signal}: {reason})"),
            Outcome::NotStarted(reason) | Outcome::Lost(reason) => write!(f, "({reason})"),
            Outcome::Skipped(reason) => write!(f, "({})", reason.as_str()),
            Outcome::Missed(MissReason::Late(by)) => write!(f, "(late by {by:?})"),
            Outcome::Missed(MissReason::Waited(by)) => write!(f, "(waited {by:?})"),
            Outcome::Missed(MissReason::NoStore(by)) => write!(f, "(no store for {by:?})"),
            Outcome::Succeeded | Outcome::TimedOut | Outcome::Coalesced => Ok(()),
        }
    }
}

/// `SIGTERM`, or `signal 35` where there is no name.
fn signal_name(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.to_owned(),
        None => format!("signal {signal}"),
    }
}

/// One outcome of each kind, with each of its reasons.
#[cfg(test)]
pub(crate) fn each() -> Vec<Outcome> {
    /// The one after it: a kind that is new must find its place here.
    fn next(outcome: &Outcome) -> Option<Outcome> {
        Some(match outcome {
            Outcome::Succeeded => Outcome::Failed(3),
            Outcome::Failed(_) => Outcome::Killed(15),
            Outcome::Killed(15) => Outcome::Killed(35),
            Outcome::Killed(_) => {
                Outcome::OverLimit(9, "over its memory limit of 2GB (peak 1.9 GiB)".to_owned())
            }
            Outcome::OverLimit(..) => Outcome::TimedOut,
            Outcome::TimedOut => Outcome::NotStarted("program x does not exist".to_owned()),
            Outcome::NotStarted(_) => Outcome::Skipped(SkipReason::Overlap),
            Outcome::Skipped(SkipReason::Overlap) => Outcome::Skipped(SkipReason::Paused),
            Outcome::Skipped(SkipReason::Paused) => Outcome::Skipped(SkipReason::Stopping),
            Outcome::Skipped(SkipReason::Stopping) => Outcome::Skipped(SkipReason::Removed),
            Outcome::Skipped(SkipReason::Removed) => Outcome::Skipped(SkipReason::Stopped),
            Outcome::Skipped(SkipReason::Stopped) => {
                Outcome::Skipped(SkipReason::excluded("holidays: New Year"))
            }
            Outcome::Skipped(SkipReason::Excluded(_)) => {
                Outcome::Skipped(SkipReason::parent("load: it was missed"))
            }
            Outcome::Skipped(SkipReason::Parent(_)) => {
                Outcome::Skipped(SkipReason::condition("load 7.2 ≥ 4.0"))
            }
            Outcome::Skipped(SkipReason::Condition(_)) => {
                Outcome::Missed(MissReason::Late(Duration::from_secs(90)))
            }
            Outcome::Missed(MissReason::Late(_)) => {
                Outcome::Missed(MissReason::Waited(Duration::from_secs(10)))
            }
            Outcome::Missed(MissReason::Waited(_)) => {
                Outcome::Missed(MissReason::NoStore(Duration::from_secs(80)))
            }
            Outcome::Missed(MissReason::NoStore(_)) => Outcome::Coalesced,
            Outcome::Coalesced => Outcome::Lost("the machine was restarted".to_owned()),
            Outcome::Lost(_) => return None,
        })
    }
    std::iter::successors(Some(Outcome::Succeeded), next).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_outcome_comes_back_from_its_parts() {
        for given in each() {
            let number = given.exit().or(given.signal());
            let read = Outcome::read(given.word(), number, given.late(), given.reason());
            assert_eq!(read.as_ref(), Some(&given));
        }
        let odd = [None, Some("rain"), Some("rain: much"), Some("excluded"), Some("overlap: x")];
        for (word, reason) in
            odd.map(|reason| ("skipped", reason)).into_iter().chain([("vanished", None)])
        {
            assert_eq!(Outcome::read(word, None, None, reason), None, "{word} {reason:?}");
        }
    }

    #[test]
    fn every_word_has_its_mark_and_every_mark_its_colour() {
        for outcome in each() {
            assert_eq!(mark_of(outcome.word()), Some(outcome.mark()), "{outcome}");
            assert_ne!(colour(outcome.mark()), "", "{outcome}");
        }
        for word in [RUNNING, WAITING] {
            assert_eq!(mark_of(word), Some(mark(None)));
        }
        assert_eq!((mark_of("started"), mark_of("retrying")), (None, None));
    }

    /// No two outcomes read the same, and a sentence says no less than the phrase.
    #[test]
    fn phrases_tell_outcomes_apart() {
        let mut seen = HashSet::new();
        for outcome in each() {
            for reached in [Reached::Due, Reached::Process(Some(Duration::from_secs(12)))] {
                let (phrase, sentence) = (outcome.phrase(reached), outcome.sentence(reached));
                let end = phrase.split_once(' ').map_or(&*phrase, |(_, end)| end);
                assert!(sentence.ends_with(end), "{phrase} | {sentence}");
            }
            assert!(seen.insert(outcome.phrase(Reached::Due)), "{outcome}");
        }
    }
}
