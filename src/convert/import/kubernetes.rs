//! Manifests of Kubernetes: its CronJobs, in YAML or JSON, one or many in a file.
//!
//! `yaml` and `json` make trees of them, this reads what a CronJob says of its runs, `when` its
//! schedule, and `container` what they run. There is no image and no pod here: the command has to be
//! on this machine, and what needs a cluster is named with its line.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Draft, DraftJob, Oracle, Value, duration, id};
use crate::convert::kubernetes::{DESCRIPTION, ID};
use crate::problem::{Place, Span};

mod container;
mod json;
mod tree;
mod when;
mod yaml;

use tree::Node;

/// What Kubernetes takes where nothing says how often a run is tried again.
const RETRIES: u64 = 6;

/// What it takes for the seconds from TERM to KILL.
const KILL_AFTER: u64 = 30;

/// Our own, which need not be said.
const GRACE: u64 = 60;

/// `Allow` knows no number; as many pods as a node takes.
const ALLOWED: i64 = 100;

/// Above so many retries our delays get longer than those of Kubernetes ever do.
const SHORT_DELAYS: u64 = 6;

/// Reads manifests into a draft.
pub fn read(draft: &mut Draft<'_>, name: &str, text: &str) {
    let file = draft.source(name, text);
    let documents = documents(draft, file, text);
    let mut all = Vec::new();
    for document in documents {
        flatten(document, &mut all);
    }
    let maps = all.iter().filter(|node| node.text_at(&["kind"]) == Some("ConfigMap"));
    let maps = maps
        .filter_map(|node| Some((node.text_at(&["metadata", "name"])?.to_owned(), Rc::clone(node))))
        .collect();
    let mut reader = Reader {
        draft,
        file,
        maps,
        heading: Some(format!("# from {name}")),
        is_image_told: false,
        is_keeping_told: false,
        by_id: BTreeMap::new(),
    };
    for node in &all {
        reader.document(node);
    }
}

/// The documents of a text; what is wrong with it is told.
fn documents(draft: &mut Draft<'_>, file: u32, text: &str) -> Vec<Rc<Node>> {
    if text.trim_start().starts_with('{')
        && let (documents, None) = json::documents(text)
    {
        return documents;
    }
    // What begins with a brace may be YAML all the same.
    let (documents, errors) = yaml::documents(text);
    let is_template = text.contains("{{");
    for (span, error) in errors {
        let help =
            is_template.then(|| "for a chart, import the output of `helm template`".to_owned());
        draft.lost(file, span, format!("not converted: not YAML: {error}"), help);
    }
    documents
}

/// The things of a document, which may be a list of them.
fn flatten(document: Rc<Node>, all: &mut Vec<Rc<Node>>) {
    let kind = document.text_at(&["kind"]).unwrap_or_default();
    match document.get("items") {
        Some(items) if kind.ends_with("List") => all.extend(items.items().iter().cloned()),
        _ if document.is_null() => {}
        _ => all.push(document),
    }
}

struct Reader<'d, 'z> {
    draft: &'d mut Draft<'z>,
    file: u32,
    /// The ConfigMaps of this file.
    maps: BTreeMap<String, Rc<Node>>,
    /// What stands above the first job.
    heading: Option<String>,
    is_image_told: bool,
    is_keeping_told: bool,
    /// The jobs that an export of ours wrote, by their ids there.
    by_id: BTreeMap<String, usize>,
}

impl Reader<'_, '_> {
    fn lost(&mut self, span: Span, message: impl Into<String>) {
        self.draft.lost(self.file, span, message, None);
    }

    fn lost_help(&mut self, span: Span, message: impl Into<String>, help: &str) {
        self.draft.lost(self.file, span, message, Some(help.to_owned()));
    }

    fn noted(&mut self, span: Span, message: impl Into<String>) {
        self.draft.noted(self.file, span, message, None);
    }

    fn document(&mut self, node: &Node) {
        let kind = node.text_at(&["kind"]).unwrap_or_default();
        let version = node.text_at(&["apiVersion"]).unwrap_or_default();
        match kind {
            "CronJob" if version.is_empty() || version.starts_with("batch/") => self.cron_job(node),
            // They are looked at where a container asks for them.
            "ConfigMap" | "Secret" => {}
            "" => self.lost(node.span, "not converted: not a manifest: it has no `kind`"),
            kind => self.noted(node.span, format!("ignored: a `{kind}` is not a CronJob")),
        }
    }

    fn cron_job(&mut self, node: &Node) {
        let metadata = node.get("metadata");
        let text = |path: &[&str]| metadata.and_then(|node| node.text_at(path));
        let name = text(&["name"]).or(text(&["generateName"])).unwrap_or_default();
        let known = text(&["annotations", ID]);
        let place = metadata.and_then(|node| node.get("name")).map_or(node.span, |node| node.span);
        let mut job = DraftJob {
            id: known.map_or_else(|| name.trim_end_matches('-').to_owned(), ToOwned::to_owned),
            more_id: text(&["namespace"]).map(id::slug).into_iter().collect(),
            place: Some(Place { file: self.file, span: Some(place) }),
            ..DraftJob::default()
        };
        if let Some(description) = text(&["annotations", DESCRIPTION]) {
            job.text("name", description);
        }
        let Some(spec) = node.get("spec").filter(|spec| spec.is_map()) else {
            return self.lost(place, "not converted: this CronJob has no `spec`");
        };
        let is_due = self.when(spec, &mut job);
        // What is wrong with the container is told even where the schedule is wrong.
        let template = spec.at(&["jobTemplate", "spec"]);
        let pod = template.and_then(|node| node.at(&["template", "spec"]));
        match pod {
            Some(pod) => self.pod(pod, &mut job),
            None => self.lost(spec.span, "not converted: this CronJob has no pod to run"),
        }
        self.spec(spec, &mut job);
        if let Some(template) = template {
            self.template(template, &mut job);
        }
        if !is_due || pod.is_none() {
            return;
        }
        let known = known.map(ToOwned::to_owned);
        if let Some(before) = known.as_ref().and_then(|id| self.by_id.get(id).copied())
            && let Some(before) = self.draft.jobs.get_mut(before)
            && join(before, &job)
        {
            return;
        }
        if let Some(heading) = self.heading.take() {
            job.comments.insert(0, heading);
        }
        if let Some(id) = known {
            self.by_id.insert(id, self.draft.jobs.len());
        }
        self.draft.jobs.push(job);
    }

    /// What the CronJob itself says of its runs.
    fn spec(&mut self, spec: &Node, job: &mut DraftJob) {
        let mut policy = "Allow";
        let mut deadline = None;
        for (key, node) in spec.entries() {
            match key.text.as_str() {
                "schedule" | "timeZone" | "jobTemplate" => {}
                _ if node.is_null() => {}
                "concurrencyPolicy" => policy = self.policy(node),
                "startingDeadlineSeconds" => deadline = self.number(&key.text, node),
                "suspend" => match node.truth() {
                    Some(true) => job.set("paused", Value::Boolean(true)),
                    Some(false) => {}
                    None => self.lost(node.span, "not converted: `suspend` is true or false"),
                },
                "successfulJobsHistoryLimit" | "failedJobsHistoryLimit" => {
                    self.keeping(key.span, &key.text);
                }
                other => self.unknown(key.span, other),
            }
        }
        match deadline {
            Some(GRACE) => {}
            Some(secs) => job.text("misfire_grace_time", duration(secs)),
            // However late, the last of them is made up for, unless it was said otherwise.
            None => job.text("misfire_grace_time", "forever"),
        }
        match policy {
            "Allow" => job.set("max_instances", Value::Integer(ALLOWED)),
            "Replace" => job.text("overlap", "replace"),
            // What is due meanwhile is not lost there: it starts when the last run has ended.
            _ => job.text("overlap", "queue"),
        }
    }

    fn policy(&mut self, node: &Node) -> &'static str {
        let known = ["Allow", "Forbid", "Replace"];
        let found = node.text().and_then(|text| known.into_iter().find(|known| *known == text));
        found.unwrap_or_else(|| {
            let message = "not converted: `concurrencyPolicy` is Allow, Forbid or Replace";
            self.lost(node.span, message);
            "Allow"
        })
    }

    /// Once is enough.
    fn keeping(&mut self, span: Span, key: &str) {
        if std::mem::replace(&mut self.is_keeping_told, true) {
            return;
        }
        let message = format!("`{key}` is left out: `[store] keep` sets what is kept for all jobs");
        self.noted(span, message);
    }

    /// What the template of its runs says.
    fn template(&mut self, template: &Node, job: &mut DraftJob) {
        let mut retries = RETRIES;
        let mut deadline = None;
        for (key, node) in template.entries() {
            match key.text.as_str() {
                "template" => {}
                _ if node.is_null() => {}
                "backoffLimit" => retries = self.number(&key.text, node).unwrap_or(RETRIES),
                "activeDeadlineSeconds" => {
                    deadline = self.number(&key.text, node).map(|secs| (key.span, secs));
                }
                "ttlSecondsAfterFinished" => self.keeping(key.span, &key.text),
                "parallelism" | "completions" if node.number() == Some(1) => {}
                "parallelism" | "completions" => {
                    let message =
                        format!("not converted: `{}`: a run is one command here", key.text);
                    self.lost(key.span, message);
                }
                other => self.unknown(key.span, other),
            }
        }
        if let Some((span, secs)) = deadline {
            if retries > 0 {
                let message = "`activeDeadlineSeconds` is of all attempts of a run together there, \
                               and of each here";
                self.noted(span, message);
            }
            job.text("timeout", duration(secs));
        }
        if retries > 0 {
            job.set("retries", Value::Integer(i64::try_from(retries).unwrap_or(i64::MAX)));
        }
        if retries > SHORT_DELAYS {
            job.text("retry_max_delay", "6m");
        }
    }

    /// A number, or what is wrong with it.
    fn number(&mut self, key: &str, node: &Node) -> Option<u64> {
        let number = node.number().filter(|number| *number <= u64::from(u32::MAX));
        if number.is_none() {
            self.lost(node.span, format!("not converted: `{key}` is a whole number"));
        }
        number
    }

    fn unknown(&mut self, span: Span, key: &str) {
        self.noted(span, format!("`{key}` is left out: there is no cluster"));
    }
}

/// Adds the schedule of a job to those of one that is otherwise the same.
fn join(before: &mut DraftJob, job: &DraftJob) -> bool {
    let rest = |job: &DraftJob| {
        let keys = job.keys.iter().filter(|(key, _)| *key != "cron").cloned();
        (keys.collect::<Vec<_>>(), job.env.clone(), job.secrets.clone())
    };
    let (Some(Value::Text(cron)), true) = (job.get("cron"), rest(before) == rest(job)) else {
        return false;
    };
    let all = match before.get("cron") {
        Some(Value::Text(first)) => vec![first.clone(), cron.clone()],
        Some(Value::Texts(texts)) => [texts.as_slice(), std::slice::from_ref(cron)].concat(),
        _ => return false,
    };
    if let (Oracle::Quartz(all), Oracle::Quartz(more)) = (&mut before.oracle, &job.oracle) {
        all.extend_from_slice(more);
    }
    before.set("cron", Value::Texts(all));
    true
}

#[cfg(test)]
mod tests;
