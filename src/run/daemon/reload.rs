//! The jobfile is read again: asked for by a signal or over the socket, read on another thread,
//! applied by the loop.
//!
//! A reload is answered by a reading that began after it was asked for, so that what was in the
//! file by then is in effect. One that is asked for while another is under way is the next; several
//! of these are one. What hangs is given up (`offload`), said, and a reason in `status` until the
//! file was read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::apply::{self, Surroundings};
use super::fleet;
use super::offload::Done;
use super::requests::{self, Composed, Composition};
use super::vitals::Alarm;
use super::watch::{Found, Looked, Watch};
use super::{Jobfile, Loop, TOKEN_FILES, Wrong, notify};
use crate::control::Reply;
use crate::core::event::{Change, Code, Event, Fault, Notice, Operation, Response};
use crate::core::instant::Mono;
use crate::core::job::{Job, JobSet};
use crate::core::trigger::Trigger;
use crate::jobfile::OnDisk;
use crate::sys::clock;
use crate::sys::epoll::EventFlags;

/// How much longer a reload may take for each job that there is: a hundred times what it does.
const FOR_EACH_JOB: Duration = Duration::from_micros(200);

/// Who waits for the jobfile to have been read again.
#[derive(Default)]
pub(super) struct Reloads {
    under_way: bool,
    /// Who has asked for the one that is under way.
    asked: Vec<Reply>,
    /// Another is to follow, for these.
    next: Option<Vec<Reply>>,
    /// The files of the one that was read and is to take effect.
    files: Option<OnDisk>,
}

/// Why a jobfile does not take effect.
enum Failure {
    /// It has these problems.
    Problems(Vec<String>),
    /// It could not be read, checked or applied: of which kind, and as a sentence.
    Other(Code, String),
}

impl Loop<'_> {
    /// Reads the jobfile on a thread of its own: it may be long, and due jobs do not wait for it.
    pub(super) fn reload(&mut self, reply: Option<Reply>) {
        self.effects.output().reopen();
        if let Some(server) = self.server {
            server.rebind();
        }
        if self.scheduler.is_stopping() {
            reply.iter().for_each(stopping);
            return;
        }
        if self.reloads.under_way {
            self.reloads.next.get_or_insert_default().extend(reply);
            return;
        }
        self.read_jobfile(reply.into_iter().collect());
    }

    fn read_jobfile(&mut self, asked: Vec<Reply>) {
        self.reloads.asked = asked;
        let Some(load) = &self.load else {
            let text = format!("{} can be read only once", self.source);
            log::warn!(event = "reload_failed"; "{text}");
            return self.refuse_reload(Fault::invalid(vec![text]));
        };
        let load = Arc::clone(load);
        let work = move || {
            let loaded = load();
            if let Ok(jobfile) = &loaded {
                try_out_all(&jobfile.set);
            }
            Done::Loaded(loaded)
        };
        let now = clock::mono();
        match self.reading.begin(now, self.reload_limit(), work) {
            Ok(()) => {
                self.reloads.under_way = true;
                notify::notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.micros()));
            }
            Err(why) => {
                let text = format!("cannot reload {}: {why}", self.source);
                self.not_reloaded(Failure::Other(Code::TooSlow, text));
            }
        }
    }

    /// Watches the files of the jobfile, or no longer, as it says.
    pub(super) fn watch_jobfile(&mut self) {
        let is_wanted = self.health.settings.reload_auto || self.edited.get().0.has_calendars();
        if !is_wanted || self.load.is_none() {
            self.watch = None;
            self.alarms.remove(&Alarm::Watch);
            return;
        }
        let now = clock::mono();
        if let Some(watch) = &mut self.watch {
            // Others may be its files by now.
            watch.is_good();
            return watch.again(now);
        }
        let watch = Watch::new(now).and_then(|watch| {
            self.effects.epoll().add(&watch, TOKEN_FILES, EventFlags::IN)?;
            Ok(watch)
        });
        match watch {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                let text = match self.health.settings.reload_auto {
                    true => "reload = \"auto\" does not work: nothing can be watched",
                    false => "changes of calendars are not noticed: nothing can be watched",
                };
                self.not_watched(Some(format!("{text}: {error}")));
            }
        }
    }

    /// Something may have happened to the jobfile: it is read again if it was edited.
    pub(super) fn reload_if_edited(&mut self, now: Mono) {
        let (Some(watch), Some(load)) = (&mut self.watch, &self.load) else { return };
        if self.scheduler.is_stopping() {
            return;
        }
        if self.reloads.under_way {
            return watch.again(now);
        }
        let of_all = self.health.settings.reload_auto;
        let (look, load) = (watch.look(self.edited.get().0, of_all), Arc::clone(load));
        let work = move || {
            let mut looked = look.take();
            let mut read = matches!(looked.found, Found::Edited).then(|| load());
            // Somebody may have begun to edit the jobfile meanwhile.
            if read.is_some() && look.is_held() {
                (looked.found, read) = (Found::Held, None);
            }
            if let Some(Ok(jobfile)) = &read {
                try_out_all(&jobfile.set);
            }
            Done::Looked(Box::new(looked), read)
        };
        match self.reading.begin(now, self.reload_limit(), work) {
            Ok(()) => self.reloads.under_way = true,
            Err(why) => {
                let source = &self.source;
                self.not_watched(Some(format!("cannot see whether {source} was edited: {why}")));
                self.look_later();
            }
        }
    }

    /// The files of the jobfile could not be looked at: an edit is not to be forgotten for that.
    fn look_later(&mut self) {
        self.watch.iter_mut().for_each(|watch| watch.later(clock::mono()));
    }

    /// Why an edit of the jobfile may go unnoticed, if it may: told once.
    fn not_watched(&mut self, why: Option<String>) {
        let Some(text) = why else {
            self.alarms.remove(&Alarm::Watch);
            return;
        };
        if self.alarms.get(&Alarm::Watch) != Some(&text) {
            log::warn!(event = "not_watched"; "{text}");
            self.alarms.insert(Alarm::Watch, text);
        }
    }

    /// How long a part of a reload may take: a large jobfile takes its time where there is little
    /// to be had.
    fn reload_limit(&self) -> Duration {
        let jobs = u32::try_from(self.scheduler.len()).unwrap_or(u32::MAX);
        self.load_limit.saturating_add(FOR_EACH_JOB.saturating_mul(jobs))
    }

    /// The jobfile was read.
    pub(super) fn loaded(&mut self, done: Done) {
        match done {
            Done::Loaded(Ok(jobfile)) => self.requests.apply(jobfile),
            Done::Looked(looked, read) => {
                let Looked { found, unwatched } = *looked;
                self.not_watched(unwatched);
                self.looked(found, read);
            }
            Done::Loaded(Err(wrong)) => self.is_wrong(wrong),
            _ => {
                let text = "an internal error of the scheduler".to_owned();
                self.not_reloaded(Failure::Other(Code::Internal, text));
            }
        }
    }

    /// The files of the jobfile were looked at, and read if they were edited.
    fn looked(&mut self, found: Found, read: Option<Result<Jobfile, Wrong>>) {
        match (found, read) {
            (Found::Edited, Some(Ok(jobfile))) => {
                match self.health.settings.reload_auto {
                    true => log::info!(event = "edited"; "{} was edited", self.source),
                    false => {
                        log::info!(event = "edited"; "a calendar of {} has changed", self.source)
                    }
                }
                self.requests.apply(jobfile);
            }
            (Found::Edited, Some(Err(wrong))) => self.is_wrong(wrong),
            (Found::Held, _) => {
                let source = &self.source;
                let text = format!(
                    "a calendar of {source} has changed, and so has {source} itself: both take \
                     effect with `schedrs reload`"
                );
                if self.alarms.get(&Alarm::Jobfile) != Some(&text) {
                    log::warn!(event = "not_reloaded"; "{text}");
                    self.alarms.insert(Alarm::Jobfile, text);
                }
                self.answer_reload(&Response::Done);
            }
            (found, _) => {
                if matches!(found, Found::AsLoaded) {
                    // Whoever has broken it has put it back.
                    self.alarms.remove(&Alarm::Jobfile);
                    self.watch.iter_mut().for_each(Watch::is_good);
                }
                self.answer_reload(&Response::Done);
            }
        }
    }

    /// A jobfile has errors, which are told once: it is read again when its files are others.
    fn is_wrong(&mut self, wrong: Wrong) {
        if let Some(watch) = &mut self.watch {
            watch.has_failed(wrong.on_disk, clock::mono());
        }
        self.not_reloaded(Failure::Problems(wrong.problems));
    }

    /// Gives up a reading that takes too long.
    pub(super) fn give_up_reading(&mut self, limit: &str) {
        let source = &self.source;
        let text = format!(
            "could not read {source} within {limit}, perhaps because a disk hangs; the old jobs \
             stay in effect"
        );
        self.not_reloaded(Failure::Other(Code::TooSlow, text));
        self.look_later();
    }

    /// A jobfile that is good is to take effect, with what was added and changed at run time.
    pub(super) fn take_over(&mut self, mut jobfile: Jobfile) {
        self.reloads.files = Some(std::mem::take(&mut jobfile.on_disk));
        if self.scheduler.is_stopping() {
            self.end_reloads();
            return;
        }
        let (added, overrides) = self.scheduler.texts();
        if self.requests.jobs.is_none() || (added.is_empty() && overrides.is_empty()) {
            return self.apply(Composed::of(jobfile));
        }
        let Jobfile { set, builder, .. } = jobfile;
        // Each of those texts is read anew, which may be much to read.
        let jobs = added.iter().filter_map(|(id, _)| Some(self.scheduler.job(id)?.clone()));
        let old: HashMap<Box<str>, Arc<Job>> = jobs.map(|job| (job.id.clone(), job)).collect();
        let now = clock::now();
        let work = move || {
            let before = |id: &str| old.get(id).cloned();
            let composed = requests::compose(set, &builder, &added, &overrides, before, now.wall);
            try_out_all(&composed.set);
            composed
        };
        if let Err(why) = self.requests.compose(now.mono, self.reload_limit(), work) {
            self.composed(Err(format!("cannot apply the changes made at run time: {why}")));
        }
    }

    /// A jobfile was put together with what was added and changed at run time.
    pub(super) fn composed(&mut self, composition: Composition) {
        match composition {
            Ok(composed) if !self.scheduler.is_stopping() => self.apply(*composed),
            Ok(_) => self.end_reloads(),
            Err(why) => {
                let text = format!("{} was not reloaded: {why}", self.source);
                self.not_reloaded(Failure::Other(Code::TooSlow, text));
            }
        }
    }

    /// Jobs take effect.
    fn apply(&mut self, composed: Composed) {
        self.alarms.remove(&Alarm::Jobfile);
        let around = Surroundings {
            effects: &mut *self.effects,
            jobs: self.requests.jobs.as_mut(),
            health: &mut self.health,
            zones: &mut self.zones,
        };
        let now = clock::wall();
        let (set, displaced) = apply::apply(composed, around, now);
        if let Some(files) = self.reloads.files.take() {
            self.edited.set(files, now);
        }
        self.watch_jobfile();
        self.effects.follow_routes(&set, clock::now());
        if self.fleet.is_some() {
            let (added, _) = self.scheduler.texts();
            let added = added.into_iter().map(|(id, _)| id).collect();
            let known = self.requests.jobs.as_ref();
            self.effects.fleet_order(fleet::jobs(&set, known, &added, &self.source));
        }
        for Change { job, by, detail, .. } in displaced {
            let operation = job.map(|job| Operation::Remove { job, detail });
            let ask = operation.map(|operation| Event::Operation {
                ticket: 0,
                by,
                operation: Box::new(operation),
            });
            self.events.extend(ask);
        }
        self.events.push_back(Event::Reload(Box::new(set)));
    }

    /// A jobfile has taken effect.
    pub(super) fn reloaded(&mut self, notice: &Notice) {
        if let Notice::Reloaded { added, changed, removed, unchanged } = *notice {
            self.answer_reload(&Response::Reloaded { added, changed, removed, unchanged });
        }
    }

    /// The old jobs go on.
    fn not_reloaded(&mut self, failure: Failure) {
        let source = &self.source;
        match failure {
            Failure::Problems(problems) => {
                for problem in &problems {
                    log::error!(event = "reload_problem"; "{problem}");
                }
                log::error!(
                    event = "reload_failed";
                    "{source} was not reloaded; the old jobs stay in effect"
                );
                let first = problems.first().map_or("", String::as_str);
                let text = format!("{source} has errors and was not reloaded: {first}");
                self.alarms.insert(Alarm::Jobfile, text);
                self.refuse_reload(Fault::invalid(problems));
            }
            Failure::Other(code, text) => {
                log::error!(event = "reload_failed"; "{text}");
                self.alarms.insert(Alarm::Jobfile, text.clone());
                self.refuse_reload(Fault::new(code, text));
            }
        }
    }

    /// A reload has failed.
    fn refuse_reload(&mut self, fault: Fault) {
        self.answer_reload(&Response::Refused(fault));
    }

    /// A reload is over; the next may begin.
    fn answer_reload(&mut self, response: &Response) {
        for reply in self.reloads.asked.drain(..) {
            reply(response.clone());
        }
        if std::mem::take(&mut self.reloads.under_way) {
            notify::notify("READY=1");
        }
        if let Some(asked) = self.reloads.next.take() {
            self.read_jobfile(asked);
        }
    }

    /// The scheduler stops: no jobfile takes effect any more.
    pub(super) fn end_reloads(&mut self) {
        let Reloads { asked, next, .. } = std::mem::take(&mut self.reloads);
        asked.iter().chain(next.iter().flatten()).for_each(stopping);
    }
}

fn stopping(reply: &Reply) {
    reply(Response::Refused(Fault::stopping()));
}

/// See [`requests::try_out`]. Intervals and dates are arithmetic.
fn try_out_all(set: &JobSet) {
    let now = clock::wall();
    let arithmetic = |trigger: &Trigger| {
        matches!(trigger, Trigger::Interval(_) | Trigger::FromEnd(_) | Trigger::Date(_))
    };
    let searches = |job: &Job| !arithmetic(&job.trigger) || !job.options.excluded.is_empty();
    let searching = set.jobs.iter().filter(|job| searches(job));
    searching.for_each(|job| requests::try_out(job, now));
}
