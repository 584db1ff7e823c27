//! What has to hold before a service starts: `ConditionPathExists=`, `ConditionACPower=`,
//! `ExecCondition=`. Here it is `only_if`, which has several paths, and one command.

use super::{Reading, Setting, Unit, exec, yes};
use crate::convert::import::{DraftJob, Value};

impl Reading<'_, '_> {
    /// The conditions of a service.
    pub(super) fn conditions(&mut self, service: &Unit, job: &mut DraftJob) {
        let (mut paths, mut power, mut command) = (Vec::new(), None, None);
        for setting in service.all("Unit", "ConditionPathExists") {
            self.path(setting, &mut paths, &mut command);
        }
        for setting in service.all("Unit", "ConditionACPower") {
            match setting.value.strip_prefix('!') {
                _ if setting.value.starts_with('|') => self.not_one_of(setting),
                Some(value) => power = Some(!yes(value.trim())),
                None => power = Some(yes(&setting.value)),
            }
        }
        let mut commands = Vec::new();
        let settings = service.all("Service", "ExecCondition");
        for setting in &settings {
            match exec::commands(&setting.value, &self.unit) {
                Ok((found, notes)) => {
                    commands.extend(found);
                    for note in notes {
                        self.noted(setting, note);
                    }
                }
                Err(message) => self.lost(setting, format!("not converted: {message}")),
            }
        }
        match settings.last() {
            Some(setting) if !commands.is_empty() && command.is_some() => {
                self.lost(setting, "not converted: a path that must not exist has the place of it");
            }
            _ if !commands.is_empty() => command = Some(exec::joined(&commands)),
            _ => {}
        }
        let path = match paths.len() {
            0 | 1 => paths.pop().map(Value::Text),
            _ => Some(Value::Texts(paths)),
        };
        let all = [("path", path), ("ac_power", power.map(Value::Boolean)), ("command", command)];
        let all: Vec<(&'static str, Value)> =
            all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        if !all.is_empty() {
            job.set("only_if", Value::Table(all));
        }
    }

    /// A path that has to be there, or one that must not be, for which there is a command.
    fn path(&mut self, setting: &Setting, paths: &mut Vec<String>, command: &mut Option<Value>) {
        if setting.value.starts_with('|') {
            self.not_one_of(setting);
            return;
        }
        let (is_not, value) = match setting.value.strip_prefix('!') {
            Some(value) => (true, value.trim()),
            None => (false, setting.value.as_str()),
        };
        let Some(text) = self.expanded(setting, value) else { return };
        if !is_not {
            paths.push(text);
        } else if command.is_none() {
            let words = ["test", "!", "-e", &*text].map(str::to_owned);
            *command = Some(Value::Texts(words.into()));
        } else {
            self.lost(setting, "not converted: only one path that must not exist has a command");
        }
    }

    /// One of several conditions that is enough.
    fn not_one_of(&mut self, setting: &Setting) {
        self.lost(setting, "not converted: all conditions of `only_if` have to hold");
    }
}
