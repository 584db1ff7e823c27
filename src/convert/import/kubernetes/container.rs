//! What a CronJob runs: its pod, of which one container is the command.

use super::super::crontab::unusable;
use super::super::{DraftJob, Value, duration, id};
use super::tree::Node;
use super::{KILL_AFTER, Reader};
use crate::convert::kubernetes::expanded;
use crate::core::size;
use crate::problem::Span;

/// A quantity of bytes: `1Gi`, `500M`, `1073741824`. A `k` there is a thousand.
fn bytes(text: &str) -> Option<u64> {
    let text = match text.strip_suffix("i") {
        Some(binary) => format!("{binary}ib"),
        None => format!("{text}b"),
    };
    size::parse(&text).filter(|bytes| *bytes >= 1 << 20)
}

/// A quantity of processors: `500m`, `2`, `0.5`.
fn processors(text: &str) -> Option<f64> {
    let cpus = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().ok()? / 1000.0,
        None => text.parse().ok()?,
    };
    (cpus >= 0.01 && cpus.is_finite()).then_some(cpus)
}

/// Programs that take a command after `-c`.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "zsh", "ksh"];

/// Where the files of secrets are expected.
const SECRETS: &str = "/run/secrets";

impl Reader<'_, '_> {
    pub(super) fn pod(&mut self, pod: &Node, job: &mut DraftJob) {
        let mut kill_after = KILL_AFTER;
        for (key, node) in pod.entries() {
            match key.text.as_str() {
                "containers" | "restartPolicy" => {}
                _ if node.is_null() => {}
                "terminationGracePeriodSeconds" => {
                    kill_after = self.number(&key.text, node).unwrap_or(KILL_AFTER);
                }
                "activeDeadlineSeconds" => {
                    if let Some(secs) = self.number(&key.text, node) {
                        job.text("timeout", duration(secs));
                    }
                }
                "securityContext" => self.user(node, job),
                "initContainers" => {
                    let message = "not converted: what runs before the container; put it into the \
                                   command";
                    self.lost(key.span, message);
                }
                "volumes" => {
                    let message =
                        "not converted: the contents of the volumes must be on this machine";
                    self.lost(key.span, message);
                }
                other => self.unknown(key.span, other),
            }
        }
        let containers = pod.get("containers").map(|node| node.items()).unwrap_or_default();
        match containers {
            [] => {
                self.lost(pod.span, "this pod has no container: fill in the command");
                fill_in(job, "what the pod does");
            }
            [container, rest @ ..] => {
                for other in rest {
                    let message = "not converted: an extra container; a run is one command here";
                    self.lost(other.span, message);
                }
                self.container(container, job);
            }
        }
        // Ours need not be said.
        if kill_after != 10 {
            job.text("kill_after", duration(kill_after));
        }
    }

    /// `securityContext`, of a pod or of a container.
    fn user(&mut self, context: &Node, job: &mut DraftJob) {
        for (key, node) in context.entries() {
            let ours = match key.text.as_str() {
                _ if node.is_null() => continue,
                "runAsUser" => "user",
                "runAsGroup" => "group",
                other => {
                    self.unknown(key.span, other);
                    continue;
                }
            };
            match self.number(&key.text, node) {
                Some(0) => job.text(ours, "root"),
                Some(number) => job.text(ours, number.to_string()),
                None => {}
            }
        }
    }

    fn container(&mut self, container: &Node, job: &mut DraftJob) {
        let image = container.text_at(&["image"]).unwrap_or("an image");
        job.comments.push(format!("# image: {image}"));
        if let Some(node) = container.get("image")
            && !std::mem::replace(&mut self.is_image_told, true)
        {
            let message = "there are no containers: the commands run on this machine, with its \
                           programs and files";
            self.noted(node.span, message);
        }
        // What is in `env` is over what comes `from`.
        if let Some(node) = container.get("envFrom") {
            for from in node.items() {
                self.env_from(from, job);
            }
        }
        for variable in container.get("env").map(|node| node.items()).unwrap_or_default() {
            self.variable(variable, job);
        }
        self.command(container, image, job);
        for (key, node) in container.entries() {
            match key.text.as_str() {
                "name" | "image" | "imagePullPolicy" | "command" | "args" | "env" | "envFrom" => {}
                _ if node.is_null() => {}
                "workingDir" => match node.text() {
                    Some(cwd) if cwd.starts_with('/') => job.text("cwd", cwd),
                    _ => {
                        self.lost(node.span, "not converted: `workingDir` is not an absolute path")
                    }
                },
                "securityContext" => self.user(node, job),
                "resources" => self.resources(node, job),
                "volumeMounts" => {}
                other => self.unknown(key.span, other),
            }
        }
    }

    /// `resources`, of which the limits of memory and processors are those of a job.
    fn resources(&mut self, resources: &Node, job: &mut DraftJob) {
        let mut limits = Vec::new();
        for (part, node) in resources.entries() {
            if part.text != "limits" {
                self.unknown(part.span, &format!("resources.{}", part.text));
                continue;
            }
            for (key, node) in node.entries() {
                let text = node.text().unwrap_or_default();
                let value = match key.text.as_str() {
                    "memory" => {
                        bytes(text).map(|bytes| ("memory", Value::Text(size::written(bytes))))
                    }
                    "cpu" => processors(text).map(|cpu| ("cpu", Value::Raw(cpu.to_string()))),
                    other => {
                        self.unknown(key.span, &format!("resources.limits.{other}"));
                        continue;
                    }
                };
                match value {
                    Some(limit) => limits.push(limit),
                    None => {
                        let message = format!("not converted: `{text}` is no limit here");
                        self.lost(node.span, message);
                    }
                }
            }
        }
        if !limits.is_empty() {
            job.set("limits", Value::Table(limits));
        }
    }

    fn command(&mut self, container: &Node, image: &str, job: &mut DraftJob) {
        let list = |key: &str| container.get(key).map(|node| node.items()).unwrap_or_default();
        let place = container.get("command").or(container.get("args")).map(|node| node.span);
        let place = place.unwrap_or(container.span);
        if list("command").is_empty() {
            let help = "command = [\"…\"]: what the image starts";
            let message = "fill in the command: only the image knows what it starts";
            self.lost_help(place, message, help);
            let arguments: Vec<&str> = list("args").iter().filter_map(|node| node.text()).collect();
            let what = format!("what {image} starts {}", arguments.join(" "));
            return fill_in(job, what.trim_end());
        }
        let mut words = Vec::new();
        for node in list("command").iter().chain(list("args")) {
            let text = node.text().unwrap_or_default();
            words.push(self.expanded(text, node.span, job));
        }
        if words.iter().any(|word| word.contains('\0')) || words[0].is_empty() {
            self.lost(place, "fill in the command: this one cannot be started");
            return fill_in(job, "the command");
        }
        if job.id.is_empty() {
            (job.id, job.more_id) = id::of_command(&words.join(" "));
        }
        match of_shell(&words) {
            Some((shell, text)) => {
                put_first(job, "command", Value::Text(text));
                match &shell[..] {
                    [program] if program == "/bin/sh" => {}
                    [program] => job.text("shell", program.clone()),
                    _ => job.set("shell", Value::Texts(shell)),
                }
            }
            None => put_first(job, "command", Value::Texts(words)),
        }
    }

    /// A text with what `$(NAME)` stands for. What only the cluster knows is said.
    fn expanded(&mut self, text: &str, span: Span, job: &DraftJob) -> String {
        let mut secret = None;
        let expanded = expanded(text, |name| {
            if job.secrets.contains_key(name) {
                secret = Some(name.to_owned());
            }
            job.env.get(name).cloned()
        });
        if let Some(name) = secret {
            let message = format!(
                "not converted: `$({name})` is a secret, which cannot be used inside a text here"
            );
            let help = "put the whole value in a file: env = { NAME = { file = \"…\" } }, or let \
                        the shell of the command put it in: $NAME";
            self.lost_help(span, message, help);
        }
        expanded
    }

    fn variable(&mut self, variable: &Node, job: &mut DraftJob) {
        let Some(name) = variable.text_at(&["name"]) else {
            return self.lost(variable.span, "not converted: this variable has no `name`");
        };
        let Some(from) = variable.get("valueFrom") else {
            let node = variable.get("value");
            let text = node.and_then(|node| node.text()).unwrap_or_default();
            let span = node.map_or(variable.span, |node| node.span);
            let value = self.expanded(text, span, job);
            return self.set(name, value, span, job);
        };
        let text = |path: &[&str]| from.text_at(path).unwrap_or_default();
        if from.get("secretKeyRef").is_some() {
            let (secret, key) = (text(&["secretKeyRef", "name"]), text(&["secretKeyRef", "key"]));
            let path = format!("{SECRETS}/{secret}/{key}");
            let message = format!("put the value of `{name}` into {path}");
            self.noted(from.span, message);
            job.env.remove(name);
            job.secrets.insert(name.to_owned(), path);
        } else if from.get("configMapKeyRef").is_some() {
            let (map, key) =
                (text(&["configMapKeyRef", "name"]), text(&["configMapKeyRef", "key"]));
            let value = self.maps.get(map).and_then(|map| map.text_at(&["data", key]));
            match value.map(ToOwned::to_owned) {
                Some(value) => self.set(name, value, from.span, job),
                None => {
                    let message = format!(
                        "not converted: `{name}`: there is no ConfigMap `{map}` with `{key}`"
                    );
                    let help = "put its manifest in the same file";
                    self.lost_help(from.span, message, help);
                }
            }
        } else {
            let message =
                format!("not converted: `{name}` is a field of the pod, and there is no pod here");
            self.lost(from.span, message);
        }
    }

    fn set(&mut self, name: &str, value: String, span: Span, job: &mut DraftJob) {
        let wrong = if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            Some(format!("there can be no variable `{name}` with this value"))
        } else {
            unusable(name, &value).filter(|_| name == "HOME")
        };
        match wrong {
            Some(why) => self.lost(span, format!("not converted: {why}")),
            None => {
                job.secrets.remove(name);
                job.env.insert(name.to_owned(), value);
            }
        }
    }

    fn env_from(&mut self, from: &Node, job: &mut DraftJob) {
        let prefix = from.text_at(&["prefix"]).unwrap_or_default().to_owned();
        if let Some(name) = from.text_at(&["secretRef", "name"]) {
            let message =
                format!("not converted: only the cluster knows what is in the Secret `{name}`");
            let help =
                "for each of its keys: env = { NAME = { file = \"…\" } }, or env_file = \"…\"";
            return self.lost_help(from.span, message, help);
        }
        let name = from.text_at(&["configMapRef", "name"]).unwrap_or_default();
        let Some(map) = self.maps.get(name).cloned() else {
            let message = format!("not converted: there is no ConfigMap `{name}`");
            return self.lost_help(from.span, message, "put its manifest in the same file");
        };
        for (key, node) in map.get("data").map(|data| data.entries()).unwrap_or_default() {
            let value = node.text().unwrap_or_default().to_owned();
            self.set(&format!("{prefix}{}", key.text), value, from.span, job);
        }
    }
}

/// A command that a person has to write.
fn fill_in(job: &mut DraftJob, what: &str) {
    job.comments.push(format!("# fill in: {what}"));
    put_first(job, "command", Value::Texts(vec!["false".to_owned()]));
}

/// The command stands above the other keys, below the name.
fn put_first(job: &mut DraftJob, key: &'static str, value: Value) {
    let at = usize::from(job.get("name").is_some());
    job.keys.insert(at.min(job.keys.len()), (key, value));
}

/// The shell and its text, if that is all that the words are.
fn of_shell(words: &[String]) -> Option<(Vec<String>, String)> {
    let [shell @ .., flag, text] = words else { return None };
    let program = shell.first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    // `-ec` is `-e -c`.
    let own = flag.strip_prefix('-')?.strip_suffix('c')?;
    let is_flag = |word: &String| word.len() > 1 && word.starts_with('-') && !word.ends_with('c');
    if !SHELLS.contains(&name)
        || text.trim().is_empty()
        || !own.chars().all(|c| c.is_ascii_lowercase() && c != 'o')
        || !shell[1..].iter().all(is_flag)
    {
        return None;
    }
    let mut shell = shell.to_vec();
    if !own.is_empty() {
        shell.push(format!("-{own}"));
    }
    Some((shell, text.clone()))
}
