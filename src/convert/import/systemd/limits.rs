//! What the processes of a service may use: `MemoryMax=`, `LimitNOFILE=` and their like. Here it is `limits`.

use super::{Reading, Setting, Unit};
use crate::convert::import::{DraftJob, Value, duration};
use crate::core::size;

/// The settings, in the order in which `limits` has them, and what becomes of each.
pub(super) const SETTINGS: [(&str, &str, Kind); 9] = [
    ("LimitNOFILE", "open_files", Kind::Count),
    ("LimitCORE", "core", Kind::Bytes),
    ("LimitFSIZE", "file_size", Kind::Bytes),
    ("LimitNPROC", "processes", Kind::Count),
    ("LimitCPU", "cpu_time", Kind::Time),
    ("MemoryMax", "memory", Kind::Bytes),
    ("MemorySwapMax", "swap", Kind::Bytes),
    ("CPUQuota", "cpu", Kind::Percent),
    ("TasksMax", "tasks", Kind::Count),
];

/// How a limit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Count,
    Bytes,
    Time,
    Percent,
}

impl Reading<'_, '_> {
    /// The limits of a service.
    pub(super) fn resources(&mut self, service: &Unit, job: &mut DraftJob) {
        let mut limits: Vec<(&'static str, Value)> = Vec::new();
        for (key, ours, kind) in SETTINGS {
            let Some(setting) = service.one("Service", key) else { continue };
            // `soft:hard`; what a process meets is the first.
            let (most, hard) = match setting.value.split_once(':') {
                Some((soft, hard)) if key.starts_with("Limit") => (soft, Some(hard)),
                _ => (setting.value.as_str(), None),
            };
            if matches!(most, "infinity" | "") {
                continue;
            }
            if hard.is_some_and(|hard| hard != most) {
                let message = format!("`{key}` has a second, higher limit, which is left out");
                self.noted(setting, message);
            }
            let value = self.resource(setting, most, kind);
            limits.extend(value.map(|value| (ours, value)));
        }
        let has = |name| limits.iter().any(|(key, _)| *key == name);
        if let (Some(setting), true) = (service.one("Service", "MemorySwapMax"), has("swap"))
            && !has("memory")
        {
            self.lost(setting, "not converted: `swap` needs `memory`, which is `MemoryMax`");
            limits.retain(|(key, _)| *key != "swap");
        }
        if !limits.is_empty() {
            job.set("limits", Value::Table(limits));
        }
    }

    /// One of them; what it cannot be here is said.
    fn resource(&mut self, setting: &Setting, most: &str, kind: Kind) -> Option<Value> {
        let value = match kind {
            Kind::Count => most.parse().ok().filter(|count| *count > 0).map(Value::Integer),
            Kind::Bytes => size::parse(most).map(|bytes| match bytes {
                0 => Value::Integer(0),
                bytes => Value::Text(size::written(bytes)),
            }),
            Kind::Percent => {
                let percent =
                    most.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok());
                let cpus = percent.map(|percent| percent / 100.0).filter(|cpus| *cpus >= 0.01);
                cpus.map(|cpus| Value::Raw(cpus.to_string()))
            }
            Kind::Time => {
                let seconds = self.time(&Setting { value: most.to_owned(), ..setting.clone() })?;
                Some(Value::Text(duration(seconds.as_secs().max(1))))
            }
        };
        if value.is_none() {
            let message = format!("not converted: `limits` has no `{most}` for that");
            self.lost(setting, message);
        }
        value
    }
}
