//! What has to hold before a service starts: `ConditionPathExists=`, `ConditionACPower=`,
//! `ExecCondition=`. Here it is `only_if`, which has several paths, and one command: several become a line
//! for the shell.

use super::{Reading, Setting, Unit, exec, yes};
use crate::convert::import::{DraftJob, Value};

impl Reading<'_, '_> {
    /// The conditions of a service.
    pub(super) fn conditions(&mut self, service: &Unit, job: &mut DraftJob) {
        let (mut paths, mut power, mut commands) = (Vec::new(), None, Vec::new());
        for setting in service.all("Unit", "ConditionPathExists") {
            self.path(setting, &mut paths, &mut commands);
        }
        for setting in service.all("Unit", "ConditionACPower") {
            match setting.value.strip_prefix('!') {
                _ if setting.value.starts_with('|') => self.not_one_of(setting),
                Some(value) => power = Some(!yes(value.trim())),
                None => power = Some(yes(&setting.value)),
            }
        }
        for setting in service.all("Service", "ExecCondition") {
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
        let command = (!commands.is_empty()).then(|| exec::joined(&commands));
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
    fn path(
        &mut self,
        setting: &Setting,
        paths: &mut Vec<String>,
        commands: &mut Vec<exec::Command>,
    ) {
        if setting.value.starts_with('|') {
            self.not_one_of(setting);
            return;
        }
        let (is_not, value) = match setting.value.strip_prefix('!') {
            Some(value) => (true, value.trim()),
            None => (false, setting.value.as_str()),
        };
        let Some(text) = self.expanded(setting, value) else { return };
        if is_not {
            commands.push(exec::Command::plain(["test", "!", "-e", &text]));
        } else {
            paths.push(text);
        }
    }

    /// One of several conditions that is enough.
    fn not_one_of(&mut self, setting: &Setting) {
        self.lost(setting, "not converted: all conditions of `only_if` have to hold");
    }
}
