//! What one scheduler of a fleet knows of the others and does about it: a pure state machine.
//!
//! [`Fleet::step`] takes the time and one [`Input`] (what the store answered, or nothing but that
//! time has passed) and appends [`Output`]s: calls of the store to be made, and jobs that come and
//! go. Whoever drives it makes one call at a time, in the order of the outputs, and puts each
//! answer in before it makes the next. [`Fleet::next_wakeup`] says when to call it if nothing
//! happens before.
//!
//! The rules are those of doc/fleet.md, a file each: here beats and trust; in `homes` which jobs
//! are at home here; in `silence` who is dead; in `remains` what the dead have left; in `generation` the
//! store that has forgotten.
//!
//! All times here are monotonic ones that go on while the machine sleeps (`CLOCK_BOOTTIME`). Wall
//! time is looked at only to say how far this host's clock is off.

mod generation;
mod homes;
mod input;
mod remains;
mod silence;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::home::{FileJobs, HomeJob};
use super::{JobList, Member, SessionId, Standing, View};
use crate::core::instant::{Instant, Mono, Now, duration_micros};
use crate::core::trigger::cron::hash;

pub use input::{Input, Notice, Output, Taken};
pub use remains::{Left, Remains};
use silence::Watch;

/// The shortest margin between the end of a session's trust in itself and the moment at which
/// others may call it dead.
const MARGIN: Duration = Duration::from_secs(2);

/// The first pause after the store has not answered, and the longest; each is up to twice as long
/// as the one before.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// When a session that has joined looks again, and begins to decide, and when one that knows of changes looks
/// at the earliest. It is a beat where that is less.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// How long a session that is gone is of interest.
const MEMORY: Duration = Duration::from_secs(3600);

/// `[fleet] lease` and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A session that has not beaten for so long is dead.
    pub lease: Duration,
}

impl Timing {
    /// How often a session beats, give or take a tenth.
    pub fn beat(self) -> Duration {
        self.lease / 5
    }

    /// A session stops to trust itself so long before others may call it dead: for clocks that do
    /// not run alike, and for the way from the decision to the process.
    pub fn margin(self) -> Duration {
        (self.lease / 3).max(MARGIN)
    }

    /// What others may begin again is asked to end when the trust is over, and killed so much later:
    /// well before they may.
    pub fn patience(self) -> Duration {
        self.margin() / 2
    }

    /// How long a session trusts itself after it has sent a beat that was acknowledged.
    pub fn trust(self) -> Duration {
        self.lease.saturating_sub(self.margin())
    }
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The store has not answered yet.
    Outside,
    /// It has joined, and waits for another beat so that all have seen it.
    Joined,
    /// It decides.
    In,
    /// It is gone and has no new id yet.
    Fenced,
}

/// A call that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Join,
    Beat,
}

/// Who may be the home of jobs, and with which file.
type Seating = Vec<(SessionId, u64, Instant)>;

/// What one scheduler knows of the fleet. See the [module](self).
#[derive(Clone, Debug)]
pub struct Fleet {
    timing: Timing,
    me: Member,
    /// It knows its jobs. Before it has none to offer, and does not join.
    has_loaded: bool,
    jobs: Arc<[HomeJob]>,
    /// Which of `jobs` are at home here.
    home: Vec<bool>,
    stage: Stage,
    trusted: Option<Mono>,
    next_beat: Mono,
    /// The call that is on its way.
    asked: Asked,
    /// The store is to be told of the jobfile, or of this session at all.
    to_join: bool,
    /// How often the store has not answered in a row.
    failures: u32,
    /// When it last answered with a view.
    heard: Option<Mono>,
    /// The last view, kept up to date with what this session does itself.
    view: Option<View>,
    /// Since when each of the others has had the beat it has.
    watches: HashMap<SessionId, Watch>,
    /// Sessions that are gone.
    dead: BTreeMap<SessionId, Member>,
    /// What is in the files of all sessions, as far as it is known.
    files: HashMap<u64, FileJobs>,
    /// The file by which each session is judged: its last one that is known.
    judged: BTreeMap<SessionId, (u64, Instant)>,
    /// By what the homes were computed.
    seating: Seating,
    /// All sessions that are not known to be gone, as they were last seen.
    known: BTreeMap<SessionId, Member>,
    /// Views to wait for until homes are computed again: a file that was just loaded is to be seen
    /// by the others first.
    settling: u8,
    /// Homes may be others than they were.
    unsettled: bool,
    /// How often they were computed, or the jobs were others.
    settled: u64,
    generation: u64,
    /// It has told again what it knows in this generation.
    told: bool,
    /// So have all others.
    open: bool,
    /// The store has gone back and has no new generation yet.
    back: bool,
}

impl Fleet {
    /// A session that has not joined yet. `me` says who and where it is; its numbers and times are
    /// kept here.
    pub fn new(timing: Timing, me: Member) -> Fleet {
        let me = Member { beat: 0, generation: 0, leaving: false, gone: None, ..me };
        Fleet {
            timing,
            me,
            has_loaded: false,
            jobs: Arc::new([]),
            home: Vec::new(),
            stage: Stage::Outside,
            trusted: None,
            next_beat: Mono::from_micros(0),
            asked: Asked::Nothing,
            to_join: true,
            failures: 0,
            heard: None,
            view: None,
            watches: HashMap::new(),
            dead: BTreeMap::new(),
            files: HashMap::new(),
            judged: BTreeMap::new(),
            seating: Vec::new(),
            known: BTreeMap::new(),
            settling: 0,
            unsettled: false,
            settled: 0,
            generation: 0,
            told: false,
            open: false,
            back: false,
        }
    }

    /// One thing has happened, and it is `now`: appends what is to be done about both. What makes no
    /// sense is ignored.
    pub fn step(&mut self, now: Now, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Tick => {}
            Input::Beaten { view, sent } => self.beaten(view, sent, now, out),
            Input::Renewed { view } => self.renewed(view, now, out),
            Input::Committed { beat, sent, changes } => {
                self.committed(beat, sent, now, out);
                self.look_soon(changes, now);
            }
            Input::Refused => self.refused(now, out),
            Input::Failed => self.failed(now),
            Input::Fenced => self.fenced(out),
            Input::Reaped { whom, done } => self.reaped(whom, done, now, out),
            Input::Told { generation } => self.has_told(generation, now),
            Input::Files(files) => self.learn(files),
            Input::Loaded { jobfile, hash, jobs } => self.loaded(jobfile, hash, jobs, now),
            Input::Leave => self.leave(out),
            Input::Renamed(id) => self.renamed(id, now),
        }
        self.settle(out);
        self.pass(now, out);
    }

    /// When to call next if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Mono> {
        self.may_ask().then(|| self.next_ask())
    }

    /// Until when this session may start something: no process may be made later than this. `None`:
    /// nothing may begin now, whatever the time.
    pub fn trusted_until(&self) -> Option<Mono> {
        let decides = self.stage == Stage::In && self.open && !self.back && self.told;
        self.trusted.filter(|_| decides)
    }

    /// Until when no other session can have taken this one for dead, whether or not it may begin
    /// something.
    pub fn alive_until(&self) -> Option<Mono> {
        self.trusted
    }

    /// Whether claims may be made and what they win may start.
    pub fn may_claim(&self, now: Mono) -> bool {
        !self.me.leaving && self.trusted_until().is_some_and(|until| now < until)
    }

    /// The jobs of this scheduler by their id, each with whether it is at home here.
    pub fn by_id(&self) -> HashMap<&str, (&HomeJob, bool)> {
        let jobs = self.jobs.iter().zip(&self.home);
        jobs.map(|(job, home)| (&*job.id, (job, *home))).collect()
    }

    /// This session, as it is to be written with the next [`Output::Join`] or [`Output::Beat`]; its
    /// `beat` goes along with each commit. What is only for people may be changed here.
    pub fn me(&mut self) -> &mut Member {
        &mut self.me
    }

    /// The jobs of the jobfile, for [`Output::Join`].
    pub fn list(&self) -> JobList {
        let file = self.jobs.iter().filter(|job| !job.added);
        file.map(|job| (job.id.clone(), job.fingerprint)).collect()
    }

    /// The sessions of the last view that are not gone, this one included.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.view.iter().flat_map(|view| &view.members).filter(|member| member.gone.is_none())
    }

    /// All sessions of the last view, those as well that are gone since not too long ago.
    pub fn everybody(&self) -> impl Iterator<Item = &Member> {
        self.view.iter().flat_map(|view| &view.members)
    }

    /// Another session of the last view, gone or not.
    pub fn member(&self, id: SessionId) -> Option<&Member> {
        let view = self.view.iter().flat_map(|view| &view.members);
        view.chain(self.dead.values()).find(|member| member.id == id)
    }

    /// Whether the store knows it as one of the fleet.
    pub fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Joined | Stage::In)
    }

    /// How long things take.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The generation of the store, as far as it is known here.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Nothing begins because the store has forgotten something and not everybody has told again what
    /// it knows.
    pub fn waits_for_others(&self) -> bool {
        self.view.is_some() && (self.back || !self.told || !self.open)
    }

    /// The store has answered a beat.
    fn beaten(&mut self, view: &View, sent: Mono, now: Now, out: &mut Vec<Output>) {
        if self.stage == Stage::Fenced {
            return;
        }
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        self.failures = 0;
        self.next_beat = sent.plus(self.spread(self.timing.beat()));
        let beat = match view.me {
            Standing::Gone => return self.fenced(out),
            Standing::Unknown => return self.forgotten(now, out),
            Standing::Alive { beat } => beat,
        };
        self.measure(view, sent, now);
        if asked == Asked::Join {
            self.to_join = false;
        }
        let back = self.has_gone_back(view, beat);
        // One that the store has not counted, as it has forgotten another, the others do not see.
        if beat > self.me.beat {
            self.trusted = Some(sent.plus(self.timing.trust()));
        }
        self.me.beat = beat;
        if self.stage == Stage::Outside {
            // Nothing was known before: there is nothing to tell again.
            self.generation = view.generation;
            self.me.generation = view.generation;
            self.told = true;
        }
        let forgets = back.is_some() || self.back || view.generation > self.generation;
        self.watch(view, forgets, sent, now, out);
        self.stage = match self.stage {
            Stage::Outside => Stage::Joined,
            _ => Stage::In,
        };
        if self.settling > 0 {
            self.settling -= 1;
        }
        let waits = self.stage == Stage::Joined || self.settling > 0;
        if waits && !self.home.contains(&true) {
            // Then it decides: the others have seen it by then, or their claims tell who was first.
            self.next_beat = self.next_beat.min(sent.plus(self.spread(SECOND_LOOK)));
        }
        self.look_at_generation(view, back, now, out);
        for member in view.members.iter().filter(|member| member.gone.is_none()) {
            self.known.insert(member.id, member.clone());
        }
        self.view = Some(view.clone());
        self.heard = Some(now.mono);
        self.want_files(out);
        self.all_told(out);
        self.bury(out);
        self.unsettled |= self.seating() != self.seating;
    }

    /// A commit counts as a beat, though it shows nothing of the others.
    fn committed(&mut self, beat: u64, sent: Mono, now: Now, out: &mut Vec<Output>) {
        if self.stage == Stage::Fenced {
            return;
        }
        if beat <= self.me.beat {
            self.refused(now, out);
        }
        self.me.beat = beat;
        self.trusted = Some(sent.plus(self.timing.trust()));
    }

    /// Looks at what the others have changed, if a commit tells that they have: at once, but not all the time
    /// where they change much.
    fn look_soon(&mut self, changes: Option<u64>, now: Now) {
        let known = self.view.as_ref().map(|view| view.changes);
        if changes.is_some() && known.is_some() && changes != known && self.is_member() {
            let soonest = self.heard.map_or(now.mono, |heard| heard.plus(SECOND_LOOK));
            self.next_beat = self.next_beat.min(soonest.max(now.mono));
        }
    }

    /// The store does not answer.
    fn failed(&mut self, now: Now) {
        // Others may have been cut off as well: their silence means nothing.
        self.heard = None;
        self.asked = Asked::Nothing;
        let most = RETRY.0.saturating_mul(1 << self.failures.min(8)).min(RETRY.1);
        self.failures = self.failures.saturating_add(1);
        self.next_beat = now.mono.plus(self.spread(most / 2));
    }

    /// This session is gone: nothing of it counts any more.
    fn fenced(&mut self, out: &mut Vec<Output>) {
        if self.stage == Stage::Fenced {
            return;
        }
        self.stage = Stage::Fenced;
        self.asked = Asked::Nothing;
        self.trusted = None;
        out.push(Output::Notice(Notice::Fenced));
        self.give_all(out);
        out.push(Output::Rejoin);
    }

    /// It goes on under another id, and knows nothing of what it was.
    fn renamed(&mut self, id: SessionId, now: Now) {
        if self.stage != Stage::Fenced {
            return;
        }
        let me = Member { id, ..self.me.clone() };
        let leaving = me.leaving;
        let (jobs, files) = (Arc::clone(&self.jobs), std::mem::take(&mut self.files));
        let settled = self.settled + 1;
        let (has_loaded, next_beat) = (self.has_loaded, now.mono);
        let anew = Fleet::new(self.timing, me);
        *self = Fleet { has_loaded, jobs, files, settled, next_beat, ..anew };
        self.me.leaving = leaving;
        self.home = vec![false; self.jobs.len()];
    }

    /// This scheduler stops: others decide for it from now on.
    fn leave(&mut self, out: &mut Vec<Output>) {
        if !self.me.leaving {
            self.me.leaving = true;
            self.give_all(out);
            out.push(Output::Leave);
        }
    }

    /// Time has passed.
    fn pass(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.may_ask() || now.mono < self.next_ask() {
            return;
        }
        if self.to_join {
            self.asked = Asked::Join;
            out.push(Output::Join);
        } else {
            self.asked = Asked::Beat;
            out.push(Output::Beat);
        }
    }

    fn may_ask(&self) -> bool {
        self.has_loaded && self.asked == Asked::Nothing && self.stage != Stage::Fenced
    }

    /// When to ask the store again: for the next beat, or because another session has been silent for
    /// a lease if it has not beaten by then.
    fn next_ask(&self) -> Mono {
        let in_touch = self.heard.is_some();
        let silent = self.watches.values().filter(|_| in_touch);
        let silent = silent.map(|watch| watch.over(self.timing.lease));
        silent.fold(self.next_beat, Mono::min)
    }

    /// How far this host's clock is ahead of the store's. The store looked at its own somewhere
    /// between the question and the answer.
    fn measure(&mut self, view: &View, sent: Mono, now: Now) {
        let middle = now.wall.minus(now.mono.since(sent) / 2);
        self.me.offset = middle.micros().saturating_sub(view.now.micros());
    }

    /// A span, a tenth longer or shorter, so that hosts that begin together do not beat together.
    fn spread(&self, span: Duration) -> Duration {
        let salt = hash::mix(self.me.id.0 ^ self.me.beat ^ (u64::from(self.failures) << 48));
        let tenth = duration_micros(span) as u64 / 10;
        (span - Duration::from_micros(tenth))
            + Duration::from_micros(if tenth == 0 { 0 } else { salt % (2 * tenth) })
    }
}
