//! systemd's timers with their services.
//!
//! A timer says when and the service says what; here both are one job. What a service says beyond
//! that (sandboxes, weights, most conditions, order) has no counterpart and is named, because a job that
//! silently lost its sandbox would be a bad bargain. See systemd.timer(5) and systemd.exec(5).

mod conditions;
mod exec;
mod exit;
mod limits;
mod restart;
mod timer;

use std::time::Duration;

use super::unit::{self, Setting, Unit};
use super::{Draft, DraftJob, Value, duration, id};
use crate::problem::Place;

/// Finds a unit by its name: the name of its file, and its text.
type Find<'f> = &'f dyn Fn(&str) -> Option<(String, String)>;

/// Settings that need no counterpart.
const NOT_NEEDED: &[(&str, &str)] = &[
    ("Timer", "RemainAfterElapse"),
    ("Unit", "Documentation"),
    ("Unit", "DefaultDependencies"),
    ("Service", "SyslogIdentifier"),
    ("Service", "RemainAfterExit"),
    ("Service", "IgnoreSIGPIPE"),
];

/// Settings that are read below.
const READ: &[(&str, &[&str])] = &[
    (
        "Timer",
        &[
            "OnCalendar",
            "OnActiveSec",
            "OnBootSec",
            "OnStartupSec",
            "OnUnitActiveSec",
            "OnUnitInactiveSec",
            "AccuracySec",
            "RandomizedDelaySec",
            "FixedRandomDelay",
            "RandomizedOffsetSec",
            "Persistent",
            "Unit",
        ],
    ),
    (
        "Unit",
        &[
            "ConditionACPower",
            "ConditionPathExists",
            "Description",
            "OnFailure",
            "OnSuccess",
            "StartLimitBurst",
            "StartLimitIntervalSec",
            "StartLimitInterval",
        ],
    ),
    (
        "Service",
        &[
            "Type",
            "ExecCondition",
            "ExecStart",
            "ExecStartPre",
            "ExecStartPost",
            "User",
            "Group",
            "WorkingDirectory",
            "Environment",
            "EnvironmentFile",
            "Nice",
            "UMask",
            "TimeoutSec",
            "TimeoutStartSec",
            "TimeoutStopSec",
            "RuntimeMaxSec",
            "SuccessExitStatus",
            "StandardOutput",
            "StandardError",
            "KillMode",
            "SendSIGKILL",
            "Restart",
            "RestartSec",
            "StartLimitBurst",
            "StartLimitInterval",
        ],
    ),
];

/// The triggers of a timer: an empty one takes back all of them.
const TRIGGERS: [&str; 6] = [
    "OnCalendar",
    "OnActiveSec",
    "OnBootSec",
    "OnStartupSec",
    "OnUnitActiveSec",
    "OnUnitInactiveSec",
];

/// Reads a timer, and through `find` its service, into a draft.
///
/// `home` is what `%h` stands for, where that is known.
pub fn read(draft: &mut Draft<'_>, name: &str, text: &str, home: Option<&str>, find: Find<'_>) {
    let file = draft.source(name, text);
    let (mut timer, wrong) = unit::parse(text);
    exec::at_home(&mut timer, home);
    timer.taken_back_together("Timer", &TRIGGERS);
    for (span, message) in wrong {
        draft.lost(file, span, message, None);
    }
    let file_name = name.rsplit('/').next().unwrap_or(name);
    let stem = file_name.strip_suffix(".timer").unwrap_or(file_name);
    let mut job = DraftJob { id: id::slug(&stem.replace('.', "-")), ..DraftJob::default() };
    job.comments = std::mem::take(&mut draft.foot);
    job.comments.push(format!("# from {name}"));
    let triggers =
        timer.settings.iter().filter(|s| s.section == "Timer" && s.key.starts_with("On"));
    let place = triggers.map(|setting| setting.span).next();
    job.place = Some(Place { file, span: place });
    let own_name = format!("{stem}.service");
    let service_name = timer.one("Timer", "Unit").map_or(own_name, |s| {
        exec::specifiers(&s.value, file_name).unwrap_or_else(|_| s.value.clone())
    });
    let mut reading =
        Reading { draft, file, unit: service_name.clone(), home: home.map(str::to_owned) };
    let is_service = service_name.ends_with(".service");
    let service = reading.service(&service_name, find).filter(|_| is_service);
    match &service {
        Some((service_file, service)) => {
            reading.file = *service_file;
            let done = reading.command(service, &mut job);
            reading.options(service, &mut job);
            reading.not_carried(service, &["Unit", "Service"]);
            reading.file = file;
            if done.is_none() {
                return;
            }
        }
        None => {
            // A target stays up once it is reached: whoever waited for it would wait for ever.
            let wait = is_service.then_some("--wait");
            let words = ["systemctl", "start"].into_iter().chain(wait).chain([&*service_name]);
            job.set("command", Value::Texts(words.map(str::to_owned).collect()));
            let (why, help) = if is_service {
                ("is not found", Some("name its file as well".to_owned()))
            } else {
                ("is no service", None)
            };
            let message = format!("`{service_name}` {why}: the job starts it through systemd");
            reading.draft.noted(file, place.unwrap_or_default(), message, help);
        }
    }
    reading.not_carried(&timer, &["Timer", "Unit"]);
    for key in ["ConditionPathExists", "ConditionACPower"] {
        for setting in timer.all("Unit", key) {
            let message = format!("`{key}` of a timer is left out: it is for when that is started");
            reading.noted(setting, message);
        }
    }
    if let Some((service_file, unit)) = &service
        && let Some(setting) = unit.one("Unit", "Description")
    {
        reading.file = *service_file;
        if let Some(name) = reading.expanded(setting, &setting.value) {
            job.keys.insert(0, ("name", Value::Text(name)));
        }
        reading.file = file;
    }
    reading.triggers(&timer, job);
}

struct Reading<'d, 'z> {
    draft: &'d mut Draft<'z>,
    /// The unit that is being read.
    file: u32,
    /// The name of the service, for specifiers.
    unit: String,
    /// What `%h` stands for.
    home: Option<String>,
}

impl Reading<'_, '_> {
    fn lost(&mut self, setting: &Setting, message: impl Into<String>) {
        self.draft.lost(self.file, setting.span, message, None);
    }

    fn noted(&mut self, setting: &Setting, message: impl Into<String>) {
        self.draft.noted(self.file, setting.span, message, None);
    }

    /// A value with its specifiers replaced; one that has none here is said.
    fn expanded(&mut self, setting: &Setting, value: &str) -> Option<String> {
        match exec::specifiers(value, &self.unit) {
            Ok(text) => Some(text),
            Err(message) => {
                self.lost(setting, format!("not converted: {message}"));
                None
            }
        }
    }

    /// The service, or the template that it is an instance of.
    fn service(&mut self, name: &str, find: Find<'_>) -> Option<(u32, Unit)> {
        let template = || {
            let (prefix, rest) = name.split_once('@')?;
            let (_, ending) = rest.rsplit_once('.')?;
            find(&format!("{prefix}@.{ending}"))
        };
        let (path, text) = find(name).or_else(template)?;
        let file = self.draft.source(&path, &text);
        let (mut unit, wrong) = unit::parse(&text);
        exec::at_home(&mut unit, self.home.as_deref());
        for (span, message) in wrong {
            self.draft.lost(file, span, message, None);
        }
        Some((file, unit))
    }

    /// A duration as systemd writes it; a bare number is seconds, and `infinity` is none.
    fn time(&mut self, setting: &Setting) -> Option<Duration> {
        let value = setting.value.as_str();
        if value == "infinity" {
            return None;
        }
        let bare = value.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        let time = bare.or_else(|| humantime::parse_duration(&value.replace('µ', "u")).ok());
        if time.is_none() {
            self.lost(setting, format!("not converted: `{value}` is not a duration"));
        }
        time
    }

    fn command(&mut self, service: &Unit, job: &mut DraftJob) -> Option<()> {
        let all = |key| service.all("Service", key);
        let (before, main, after) = (all("ExecStartPre"), all("ExecStart"), all("ExecStartPost"));
        let place = service.settings.iter().find(|setting| setting.section == "Service");
        let Some(first) = main.first() else {
            let span = place.map(|setting| setting.span).unwrap_or_default();
            let message = "not converted: the service has no `ExecStart`";
            self.draft.lost(self.file, span, message, None);
            return None;
        };
        let mut commands = Vec::new();
        for setting in before.iter().chain(&main).chain(&after) {
            match exec::commands(&setting.value, &self.unit) {
                Ok((found, notes)) => {
                    commands.extend(found);
                    for note in notes {
                        self.noted(setting, note);
                    }
                }
                Err(message) => {
                    self.lost(setting, format!("not converted: {message}"));
                    return None;
                }
            }
        }
        let kind = service.one("Service", "Type");
        if let Some(kind) = kind.filter(|s| !matches!(&*s.value, "oneshot" | "simple" | "exec")) {
            let message = format!(
                "a service of type `{}`: here the run lasts as long as the program in the \
                 foreground, and what it leaves behind is ended",
                kind.value
            );
            self.noted(kind, message);
        }
        job.set("command", exec::joined(&commands));
        if commands.is_empty() {
            self.lost(first, "not converted: there is no command");
            return None;
        }
        Some(())
    }

    fn options(&mut self, service: &Unit, job: &mut DraftJob) {
        let one = |key| service.one("Service", key);
        for (key, ours) in [("User", "user"), ("Group", "group")] {
            if let Some(setting) = one(key)
                && let Some(text) = self.expanded(setting, &setting.value)
            {
                job.text(ours, text);
            }
        }
        if let Some(setting) = one("WorkingDirectory") {
            let directory = setting.value.trim_start_matches('-');
            if directory == "~" {
                job.text("cwd", "~");
            } else if let Some(text) = self.expanded(setting, directory) {
                if directory != setting.value {
                    self.noted(
                        setting,
                        "systemd tolerates a missing directory here, but a `cwd` must exist",
                    );
                }
                job.text("cwd", text);
            }
        }
        self.environment(service, job);
        if let Some(setting) = one("Nice") {
            match setting.value.parse::<i64>() {
                Ok(nice) if (-20..=19).contains(&nice) => job.set("nice", Value::Integer(nice)),
                _ => self.lost(setting, "not converted: `nice` is -20 to 19"),
            }
        }
        if let Some(setting) = one("UMask") {
            match u32::from_str_radix(&setting.value, 8) {
                Ok(mask) if mask <= 0o777 => job.text("umask", format!("{mask:03o}")),
                _ => self.lost(setting, "not converted: `umask` is 000 to 777"),
            }
        }
        self.conditions(service, job);
        self.times(service, job);
        self.resources(service, job);
        self.restart(service, job);
        self.success_codes(service, job);
        if let Some(setting) = one("KillMode").filter(|s| matches!(&*s.value, "process" | "none")) {
            let message = format!(
                "`KillMode={}` is left out: leftover processes are always stopped here",
                setting.value
            );
            self.noted(setting, message);
        }
        if let Some(setting) = one("SendSIGKILL").filter(|setting| !yes(&setting.value)) {
            self.noted(setting, "`SendSIGKILL` is left out: whatever does not stop is killed here");
        }
        self.output(service, job);
        self.hooks(service, job);
    }

    /// The units that are started when it has ended.
    fn hooks(&mut self, service: &Unit, job: &mut DraftJob) {
        for (key, ours) in [("OnFailure", "on_failure"), ("OnSuccess", "on_success")] {
            let mut units = Vec::new();
            let settings = service.all("Unit", key);
            for setting in &settings {
                if let Some(text) = self.expanded(setting, &setting.value) {
                    units.extend(text.split_whitespace().map(str::to_owned));
                }
            }
            if units.is_empty() {
                continue;
            }
            if let (Some(setting), Some(_)) = (settings.last(), service.one("Service", "User")) {
                let message = format!(
                    "`{ours}` runs as the user of the job, who needs the right to start units"
                );
                self.noted(setting, message);
            }
            let words = ["systemctl", "start", "--no-block"].map(str::to_owned).into_iter();
            job.set(ours, Value::Texts(words.chain(units).collect()));
        }
    }

    /// How long a run may take, and how long its end.
    fn times(&mut self, service: &Unit, job: &mut DraftJob) {
        let one = |key| service.one("Service", key);
        // The start of a oneshot is its whole run.
        let oneshot = one("Type").is_some_and(|setting| setting.value == "oneshot");
        let start = one("TimeoutStartSec").or(one("TimeoutSec")).filter(|_| oneshot);
        if let Some(setting) = start.or(one("RuntimeMaxSec"))
            && let Some(time) = self.time(setting).filter(|time| !time.is_zero())
        {
            job.text("timeout", duration(time.as_secs().max(1)));
        }
        if let Some(setting) = one("TimeoutStopSec").or(one("TimeoutSec")) {
            match self.time(setting) {
                Some(time) => job.text("kill_after", duration(time.as_secs())),
                None if setting.value == "infinity" => {
                    self.noted(setting, "`kill_after` cannot be infinite: it stays at 10s");
                }
                None => {}
            }
        }
    }

    fn success_codes(&mut self, service: &Unit, job: &mut DraftJob) {
        let mut codes: Vec<u8> = vec![0];
        // Each line adds to those before it.
        for setting in service.all("Service", "SuccessExitStatus") {
            for word in setting.value.split_whitespace() {
                match exit::code(word) {
                    Some(code) if codes.contains(&code) => {}
                    Some(code) => codes.push(code),
                    None => self.lost(
                        setting,
                        format!(
                            "not converted: `{word}` is not an exit code, as `success_codes` needs"
                        ),
                    ),
                }
            }
        }
        if codes.len() > 1 {
            let codes: Vec<String> = codes.iter().map(u8::to_string).collect();
            job.set("success_codes", Value::Raw(format!("[{}]", codes.join(", "))));
        }
    }

    fn output(&mut self, service: &Unit, job: &mut DraftJob) {
        for key in ["StandardOutput", "StandardError"] {
            let Some(setting) = service.one("Service", key) else { continue };
            let both = service.one("Service", "StandardError").is_none_or(|s| s.value == "null");
            match setting.value.as_str() {
                "journal" | "inherit" | "journal+console" | "syslog" => {}
                "null" if key == "StandardOutput" && both => job.text("output", "discard"),
                "null" if key == "StandardError" && job.get("output").is_some() => {}
                value => self.noted(
                    setting,
                    format!("`{key}={value}` is left out: job output goes where `output` says"),
                ),
            }
        }
    }

    fn environment(&mut self, service: &Unit, job: &mut DraftJob) {
        for setting in service.all("Service", "Environment") {
            let words = match unit::words(&setting.value) {
                Ok(words) => words,
                Err(message) => {
                    self.lost(setting, format!("not converted: {message}"));
                    continue;
                }
            };
            for word in words {
                let expanded = exec::specifiers(&word.text, &self.unit);
                match expanded.as_deref().map(|text| text.split_once('=')) {
                    Ok(Some((name, value))) if !name.is_empty() => {
                        job.env.insert(name.to_owned(), value.to_owned());
                    }
                    Ok(_) => {
                        self.lost(setting, format!("not converted: `{}` sets nothing", word.text));
                    }
                    Err(message) => self.lost(setting, format!("not converted: {message}")),
                }
            }
        }
        for setting in service.all("Service", "EnvironmentFile") {
            let path = setting.value.strip_prefix('-');
            let may_be_missing = path.is_some();
            let Some(path) = self.expanded(setting, path.unwrap_or(&setting.value)) else {
                continue;
            };
            if path.contains(['*', '?', '[']) {
                self.lost(setting, "not converted: an `env_file` is one file, not a pattern");
            } else if may_be_missing {
                // A key that is a comment: among the keys of the job it can be uncommented.
                job.keys.push(("# env_file", Value::Text(path)));
                let message = "this file need not exist there, and an `env_file` has to: it is \
                               kept as a comment";
                self.noted(setting, message);
            } else if job.get("env_file").is_some() {
                self.lost(setting, "not converted: a job has one `env_file`");
            } else {
                job.text("env_file", path);
                let message = "an `env_file` has other rules: no `;` comments, no backslashes, no \
                               values over several lines, and a line that is wrong keeps the job \
                               from starting";
                let help = Some("`schedrs validate` checks it".to_owned());
                self.draft.noted(self.file, setting.span, message, help);
            }
        }
    }

    /// Names what has no counterpart, once for each unit.
    fn not_carried(&mut self, unit: &Unit, sections: &[&str]) {
        let mut keys: Vec<&str> = Vec::new();
        let mut first: Option<&Setting> = None;
        for setting in &unit.settings {
            let (section, key) = (setting.section.as_str(), setting.key.as_str());
            let is_limit =
                section == "Service" && limits::SETTINGS.iter().any(|(it, ..)| *it == key);
            let read =
                is_limit || READ.iter().any(|(s, keys)| *s == section && keys.contains(&key));
            let ours = sections.contains(&section) && !section.starts_with("X-");
            if !ours || read || NOT_NEEDED.contains(&(section, key)) || key.starts_with("X-") {
                continue;
            }
            first = first.or(Some(setting));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if let Some(first) = first {
            let list = keys.join(", ");
            let help = format!(
                "to keep them, let systemd start it: command = [\"systemctl\", \"start\", \
                 \"--wait\", \"{}\"]",
                self.unit
            );
            let message = format!("without counterpart: {list}");
            let help = sections.contains(&"Service").then_some(help);
            self.draft.noted(self.file, first.span, message, help);
        }
    }
}

/// What systemd takes for true.
fn yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on" | "y" | "t")
}

#[cfg(test)]
mod tests;
