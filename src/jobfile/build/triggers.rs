//! The trigger of a job: what its key says, and what stands around it.

use std::sync::Arc;

use super::super::after;
use super::super::combined;
use super::super::interval::{self, Every};
use super::super::keys::Key;
use super::super::tree::{self, Node, Table, Value};
use super::super::value::Scope;
use super::super::warn;
use super::super::when::{self, Cron, DATE};
use super::parts::{Parts, inner_parts};
use super::{Jobs, MAX_SHARED, fingerprint};
use crate::core::calendar::Exclusion;
use crate::core::instant::Instant;
use crate::core::trigger::combined::How;
use crate::core::trigger::{
    CalendarIntervalTrigger, CombinedTrigger, CronTrigger, DateTrigger, FromEndTrigger,
    IntervalTrigger, Trigger,
};
use crate::core::zone::Zone;
use crate::problem::{Place, Problem, Span};

/// The first and last instant a job may be due at, and where they are said.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
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

/// What stands around a trigger.
#[derive(Clone, Copy)]
pub(super) struct Around<'r, 's> {
    pub(super) id: &'r tree::Key<'s>,
    pub(super) zone: &'r Zone,
    pub(super) window: Window,
    /// The zone and the window are its own, or it is a trigger within another one.
    pub(super) is_special: bool,
}

impl<'s> Jobs<'_, 's> {
    /// What `[defaults]` says of the first and the last instant.
    pub(super) fn default_window(&self, zone: &Zone) -> Window {
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

    pub(super) fn window(
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

    pub(super) fn trigger(
        &mut self,
        key: Key,
        value: &Value<'s>,
        around: Around<'_, 's>,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let Around { id, zone, .. } = around;
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
            Key::Interval => self.interval(value, around, scope),
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
            Key::Any => self.combined(How::Any, value, around, scope),
            Key::All => self.combined(How::All, value, around, scope),
            _ => self.cron(value, around, scope),
        }
    }

    fn interval(
        &self,
        value: &Value<'s>,
        Around { zone, window, .. }: Around<'_, 's>,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let (start, end) = (window.start(), window.end());
        let trigger = match interval::interval(scope, value)? {
            Every::Elapsed(every) => {
                let interval = IntervalTrigger::new(every, start, end);
                warn::interval(&interval, value, scope);
                Trigger::Interval(interval)
            }
            Every::FromEnd(wait) => {
                if self.depth > 0 {
                    let message = "an interval from the end of the last run cannot be one of several triggers";
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

    /// Several triggers as one.
    fn combined(
        &mut self,
        how: How,
        value: &Value<'s>,
        around: Around<'_, 's>,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let tables = combined::tables(value, self.depth, scope)?;
        self.depth += 1;
        let inner = tables.map(|(span, table)| self.inner(span, table, around, scope));
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
        around: Around<'_, 's>,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let parts = inner_parts(table, scope);
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
            None => Some(around.zone.clone()),
            Some(value) => scope.timezone(value, self.zones),
        };
        good &= own.is_some();
        let own = own.unwrap_or_else(Zone::utc);
        let window = self.window(&parts, &own, around.window, &mut good, scope);
        let own = Around { zone: &own, window, is_special: true, ..around };
        let trigger = self.trigger(key, typed, own, scope)?;
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
        around: Around<'_, 's>,
        scope: &mut Scope<'_>,
    ) -> Option<Trigger> {
        let Around { id, zone, window, is_special } = around;
        // The same text in the same zone is the same schedule, unless `H` is in it, which is
        // different for each job, and which the table form does not know.
        let is_same_for_all = match &value.node {
            Node::Table(_) => true,
            _ => !scope.typed(value.span).contains(['H', 'h']),
        };
        let may_share = is_same_for_all && !is_special;
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
