//! The variables of a crontab, each of which counts from its line on.

use std::collections::BTreeMap;

use super::text::unusable;
use super::{Line, Reader};
use crate::convert::import::{DraftJob, Value, addresses};
use crate::core::nearest;

/// What the variables of the lines above say.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) env: BTreeMap<String, String>,
    pub(super) shell: Option<String>,
    pub(super) home: Option<String>,
    pub(super) timezone: Option<String>,
    /// The last `CRON_TZ` names no zone, so that nobody knows when the jobs below it are due.
    pub(super) no_zone: bool,
    /// Minutes.
    pub(super) random_delay: u32,
    /// The route to whom `MAILTO` names.
    pub(super) route: Option<String>,
}

impl State {
    /// Gives a job what the variables above it say.
    pub(super) fn give(&self, job: &mut DraftJob) {
        if let Some(timezone) = &self.timezone
            && job.get("cron").is_some()
        {
            job.text("timezone", timezone);
        }
        job.surround(self.random_delay, self.shell.as_deref(), self.home.as_deref());
        if let Some(route) = &self.route {
            job.set("notify", Value::Texts(vec![route.clone()]));
        }
    }
}

impl Reader<'_, '_, '_> {
    pub(super) fn variable(&mut self, line: Line<'_>, name: &str, value: &str) {
        // What stands above the variables is about the file.
        if self.draft.jobs.len() == self.first_job && self.first_job == 0 {
            self.draft.head.append(&mut self.comments);
        }
        if let Some(why) = unusable(name, value) {
            self.lost(line.whole(), format!("not converted: {why}"));
            return;
        }
        let state = &mut self.state;
        match name {
            "SHELL" => state.shell = (value != "/bin/sh").then(|| value.to_owned()),
            "HOME" => {
                state.home = Some(value.to_owned());
                state.env.insert(name.to_owned(), value.to_owned());
            }
            "CRON_TZ" => self.zone(line, value),
            "TZ" => {
                state.env.insert(name.to_owned(), value.to_owned());
                let help = "to apply it to the schedule too, give the jobs a `timezone`".to_owned();
                let message = "`TZ` is what the command sees; cron does not go by it, and neither \
                               does the jobfile";
                self.draft.noted(self.file, line.whole(), message, Some(help));
            }
            "RANDOM_DELAY" => match value.trim().parse() {
                Ok(minutes) => state.random_delay = minutes,
                Err(_) => self.lost(line.whole(), "not converted: it is not a number of minutes"),
            },
            // No mail is what there is here anyway.
            "MAILTO" if value.is_empty() => state.route = None,
            "MAILTO" => self.mail(line, value),
            "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => {
                self.comments.push(format!("# {name}={value}"));
                let message =
                    format!("`{name}` is kept as a comment: a notification has no such setting");
                self.noted(line.whole(), message);
            }
            // `USER` is left to the crontab by cron, and set anew by cronie alone.
            "LOGNAME" if self.options.system || self.options.user.is_some() => {
                let message = "`LOGNAME` is left out: it is the name of the job's `user`, here as \
                               in cron";
                self.noted(line.whole(), message);
            }
            "LOGNAME" => {
                state.env.insert(name.to_owned(), value.to_owned());
                let message = "`LOGNAME` is the crontab's owner in cron, whatever stands here; a \
                               job without `user` gets it as written";
                self.noted(line.whole(), message);
            }
            _ => {
                state.env.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// cron mails what each run prints; here a failure is told, and its end.
    fn mail(&mut self, line: Line<'_>, value: &str) {
        match addresses(value) {
            Ok(to) => {
                self.state.route = Some(self.draft.route(to));
                let message = "`MAILTO` becomes a route: it hears of failures, with their output, \
                               and when the job works again; what other runs print is in \
                               `schedrs logs`";
                self.noted(line.whole(), message);
            }
            Err(why) => {
                self.state.route = None;
                self.lost(line.whole(), format!("not converted: {why}"));
            }
        }
    }

    fn zone(&mut self, line: Line<'_>, value: &str) {
        if value.is_empty() {
            // cronie: the machine's zone again.
            (self.state.timezone, self.state.no_zone) = (None, false);
            return;
        }
        let found = self.draft.zones.find(value);
        self.state.no_zone = found.is_err();
        match found {
            Ok(_) => self.state.timezone = Some(value.to_owned()),
            Err(unknown) => {
                let help = nearest::zone_help(value, self.draft.zones);
                let message = format!("not converted: {}", unknown.say(value));
                self.draft.lost(self.file, line.whole(), message, help);
            }
        }
    }
}
