//! `schedule` and `timeZone` as a trigger.
//!
//! A schedule is left as it was typed where the two sides read it alike. Where they do not, it is
//! written so that ours reads what Kubernetes does: a star with a step is none there.

use super::super::{DraftJob, Oracle, Value, duration, oracle};
use super::Reader;
use super::tree::Node;
use crate::convert::kubernetes::{self, Fields, Read};
use crate::core::trigger::cron::crontab::{self, Crontab};

impl Reader<'_, '_> {
    /// Sets the trigger of a job. Answers whether there is one.
    pub(super) fn when(&mut self, spec: &Node, job: &mut DraftJob) -> bool {
        let Some((node, text)) = spec.get("schedule").and_then(|node| Some((node, node.text()?)))
        else {
            self.lost(spec.span, "not converted: this CronJob has no `schedule`");
            return false;
        };
        let typed = text.trim();
        let read = kubernetes::read(typed);
        let zone = self.zone(spec, node, read.is_ok());
        let is_due = match read {
            Ok(Read::Every(secs)) => {
                let message = "the interval counts from when the job is first scheduled, there from \
                               when the CronJob was made";
                self.noted(node.span, message);
                job.text("interval", duration(secs));
                job.oracle = Oracle::None("an interval counts from when the scheduler starts");
                true
            }
            Ok(Read::Fields(fields)) => self.fields(node, typed, &fields, job),
            Err(why) => {
                let message = format!("not converted: Kubernetes does not accept `{typed}`: {why}");
                if typed.contains("TZ=") {
                    self.lost_help(node.span, message, "timeZone: \"Europe/Berlin\"");
                } else {
                    self.lost(node.span, message);
                }
                false
            }
        };
        match zone {
            Some(zone) if job.get("cron").is_some() => job.text("timezone", zone),
            Some(_) => {}
            None => return false,
        }
        is_due
    }

    fn fields(&mut self, node: &Node, typed: &str, fields: &Fields, job: &mut DraftJob) -> bool {
        let rewritten = rewritten(typed);
        let alike = [typed, &rewritten].into_iter().find(|text| is_alike(text, fields));
        let Some(text) = alike else {
            let never = schedule_of(&rewritten).is_some_and(|found| found.months() == 0);
            let when = if never { "never due" } else { "due at other times here" };
            self.lost(node.span, format!("not converted: `{typed}` is {when}"));
            return false;
        };
        if text != typed {
            self.noted(
                node.span,
                format!("`{typed}` is written as `{text}`, as Kubernetes reads it"),
            );
        }
        job.set("cron", Value::Text(text.to_owned()));
        // Not what was written, but what was typed, without what the other engine cannot read.
        job.oracle = match oracle::translated(&rewritten) {
            Ok(quartz) => Oracle::Quartz(quartz),
            Err(_) => Oracle::None("the independent engine does not support these fields"),
        };
        true
    }

    /// The zone, if it is one; what is taken for it is said where it has a use.
    fn zone(&mut self, spec: &Node, schedule: &Node, is_used: bool) -> Option<String> {
        let Some((node, name)) = spec.get("timeZone").and_then(|node| Some((node, node.text()?)))
        else {
            let message = "without `timeZone` it goes by the clocks of the cluster's controller, \
                           which are taken to be UTC";
            if is_used {
                self.noted(schedule.span, message);
            }
            return Some("UTC".to_owned());
        };
        let unknown = match name {
            "" => Some("a zone name cannot be empty".to_owned()),
            name if name.eq_ignore_ascii_case("local") => {
                Some("`Local` is not a zone that Kubernetes takes".to_owned())
            }
            name => self.draft.zones.find(name).err().map(|unknown| unknown.say(name)),
        };
        match unknown {
            Some(why) => {
                self.lost(node.span, format!("not converted: {why}"));
                None
            }
            None => Some(name.to_owned()),
        }
    }
}

/// Whether our own reading is due at the same times.
fn is_alike(text: &str, fields: &Fields) -> bool {
    schedule_of(text).is_some_and(|ours| kubernetes::is_same(&[ours], &[*fields]))
}

fn schedule_of(text: &str) -> Option<crate::core::trigger::cron::Schedule> {
    match crontab::parse(text, "", &mut Vec::new())? {
        Crontab::Schedule(schedule) => Some(schedule),
        Crontab::Reboot => None,
    }
}

/// A schedule without what is read otherwise here: no empty items, no star beside others or before a
/// range, and in the day fields no star with a step.
fn rewritten(typed: &str) -> String {
    let typed = kubernetes::macro_fields(typed).unwrap_or(typed);
    let fields = typed.split_whitespace().enumerate().map(|(at, field)| {
        let items = field.split(',').filter(|item| !item.is_empty()).map(|item| {
            let (range, step) = item.split_once('/').unwrap_or((item, "1"));
            let star = range.starts_with(['*', '?']);
            match (star, step.trim_start_matches(['0', '+']), at) {
                (true, "1", _) => "*".to_owned(),
                (true, step, 2) => format!("1-31/{step}"),
                (true, step, 4) => format!("0-6/{step}"),
                (true, step, _) => format!("*/{step}"),
                (false, ..) => item.to_owned(),
            }
        });
        let items: Vec<String> = items.collect();
        if items.iter().any(|item| item == "*") { "*".to_owned() } else { items.join(",") }
    });
    fields.collect::<Vec<_>>().join(" ")
}
