//! Manifests as they are in the wild, and those that the export writes: what comes back is the same,
//! and is what the published schema of CronJobs has.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::tree::Value as Tree;
use super::*;
use crate::convert::export::to_kubernetes;
use crate::convert::import::proof;
use crate::core::instant::Instant;
use crate::core::job::{Command, Grace, Job, JobSet, Overlap};
use crate::core::zone::Database;
use crate::jobfile;

/// 2026-11-25T00:00:00Z
const NOW: Instant = Instant::from_secs(1_795_564_800);

const SCHEMA: &str = include_str!("../../../../tests/data/kubernetes-cronjob.schema.json");

struct Imported {
    text: String,
    said: Vec<String>,
    set: JobSet,
    proof: proof::Proof,
}

fn imported(text: &str) -> Imported {
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    read(&mut draft, "m", text);
    let (written, problems, sources) = draft.write();
    let loaded = jobfile::load_text("w", &written.text, &zones, NOW);
    assert_eq!(loaded.problems.errors(), 0, "{}\n{:?}", written.text, loaded.problems);
    let set = loaded.set.unwrap();
    let proof = proof::compare(&written, &set, NOW, 300);
    assert_eq!(proof.mismatches().count(), 0, "{}\n{proof:?}", written.text);
    let said = problems.iter().map(|problem| {
        let at = sources.name(problem.place);
        format!("{at}: {:?}: {}", problem.severity, problem.message)
    });
    Imported { text: written.text, said: said.collect(), set, proof }
}

/// That it was said of a line.
#[track_caller]
fn assert_said(imported: &Imported, line: &str, start: &str) {
    let found = imported.said.iter().any(|said| {
        let rest = said.strip_prefix(line).filter(|rest| rest.starts_with(':'));
        // The column, and whether it is an error.
        let message = rest.and_then(|rest| rest.splitn(3, ": ").nth(2));
        message.is_some_and(|message| message.starts_with(start))
    });
    assert!(found, "no {line} … {start:?} in\n{:#?}", imported.said);
}

/// A CronJob around a schedule and other lines of its `spec`.
fn cron_job(schedule: &str, more: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: a\nspec:\n  schedule: \"{schedule}\"\n\
         {more}  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          \
         - name: c\n            image: x\n            command: [/x]\n"
    )
}

/// As `helm template` prints them: anchors, a ConfigMap beside, a shell with its text in `args`.
const CHART: &str = r#"---
# Source: shop/templates/config.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  LEVEL: "debug"
  URL: http://x
---
# Source: shop/templates/backup.yaml
apiVersion: batch/v1
kind: CronJob
metadata:
  name: "shop-backup"
  namespace: shop
  labels: &labels
    app.kubernetes.io/name: shop
    helm.sh/chart: "shop-1.2.3"
spec:
  schedule: "0 3 * * ?"
  concurrencyPolicy: "Forbid"
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 1
  startingDeadlineSeconds: 3600
  jobTemplate:
    metadata:
      labels: *labels
    spec:
      backoffLimit: 0
      template:
        metadata:
          labels:
            <<: *labels
        spec:
          restartPolicy: OnFailure
          serviceAccountName: shop
          initContainers:
          - name: wait
            image: busybox
            command: ['sh', '-c', 'sleep 1']
          containers:
          - name: backup
            image: "postgres:16"
            imagePullPolicy: IfNotPresent
            command:
            - /bin/bash
            - -euc
            args:
            - |
              pg_dump "$DB" | gzip > /backup/$(date +%F).gz
              echo "of $(HOST) $$(HOST)"
            env:
            - name: HOST
              value: db
            - name: DB
              value: postgres://$(HOST)/shop
            - name: PGPASSWORD
              valueFrom:
                secretKeyRef: {name: db, key: password}
            - name: NODE
              valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
            - name: VERBOSE
              valueFrom: {configMapKeyRef: {name: settings, key: LEVEL}}
            - name: PORT
              value: 5432
            - {name: WHOLE, value: "x:$(PGPASSWORD)"}
            envFrom:
            - configMapRef: {name: settings}
            - secretRef: {name: more}
            resources: {limits: {memory: 1Gi, cpu: 500m}, requests: {cpu: 100m}}
            volumeMounts: [{name: b, mountPath: /backup}]
          volumes: [{name: b, emptyDir: {}}]
"#;

#[test]
fn a_chart_becomes_a_job() {
    let found = imported(CHART);
    assert_eq!(
        found.text,
        r#"# from m
# image: postgres:16
[jobs.shop-backup]
command = '''
pg_dump "$DB" | gzip > /backup/$(date +%F).gz
echo "of db $(HOST)"
'''
cron = "0 3 * * ?"
timezone = "UTC"
shell = ["/bin/bash", "-eu"]
limits = { memory = "1GiB", cpu = 0.5 }
kill_after = "30s"
misfire_grace_time = "1h"
overlap = "queue"

[jobs.shop-backup.env]
DB = "postgres://db/shop"
HOST = "db"
LEVEL = "debug"
PORT = "5432"
URL = "http://x"
VERBOSE = "debug"
WHOLE = "x:$(PGPASSWORD)"
PGPASSWORD = { file = "/run/secrets/db/password" }
"#
        .replace("'''", "\"\"\"")
    );
    let rows = [
        ("m:20", "without `timeZone`"),
        ("m:22", "`successfulJobsHistoryLimit` is left out"),
        ("m:36", "`serviceAccountName` is left out: there is no cluster"),
        ("m:37", "not converted: what runs before the container"),
        ("m:43", "there are no containers"),
        ("m:59", "put the value of `PGPASSWORD` into /run/secrets/db/password"),
        ("m:61", "not converted: `NODE` is a field of the pod"),
        ("m:66", "not converted: `$(PGPASSWORD)` is a secret"),
        ("m:69", "not converted: only the cluster knows what is in the Secret `more`"),
        ("m:70", "`resources.requests` is left out"),
        ("m:72", "not converted: the contents of the volumes"),
    ];
    for (place, start) in rows {
        assert_said(&found, place, start);
    }
    assert_eq!(found.said.len(), rows.len(), "{:#?}", found.said);
    assert_eq!(found.proof.equal(), 300);
}

#[test]
fn schedules_are_what_kubernetes_reads() {
    let rows = [
        ("@daily", "@daily"),
        ("*/15 * * * *", "*/15 * * * *"),
        ("0 3 ? * MON-FRI", "0 3 ? * MON-FRI"),
        ("0 0 13 * fri", "0 0 13 * fri"),
        ("5/20 * * * *", "5/20 * * * *"),
        ("0 0 */2 * fri", "0 0 1-31/2 * fri"),
        ("0 0 1,15 * */2", "0 0 1,15 * 0-6/2"),
        ("0 0 1,* * fri", "0 0 * * fri"),
        ("0,,30 3 * * *", "0,30 3 * * *"),
    ];
    for (typed, written) in rows {
        let found = imported(&cron_job(typed, "  timeZone: Europe/Berlin\n"));
        let expected = format!("cron = \"{written}\"\ntimezone = \"Europe/Berlin\"\n");
        assert!(found.text.contains(&expected), "{typed}:\n{}", found.text);
        assert!(found.proof.equal() > 60, "{typed}: {:?}", found.proof);
        assert_eq!(found.said.len(), 1 + usize::from(typed != written), "{:#?}", found.said);
    }
    let every = imported(&cron_job("@every 1h30m", "  timeZone: UTC\n"));
    assert!(every.text.contains("interval = \"1h 30m\"\n"), "{}", every.text);
    assert_said(&every, "m:6", "the interval counts from when the job is first scheduled");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let rows = [
        (cron_job("CRON_TZ=Asia/Tokyo 0 3 * * *", ""), "m:6", "not converted: Kubernetes does not"),
        (cron_job("0 3 * * 7", ""), "m:6", "not converted: Kubernetes does not accept"),
        (cron_job("0 3 L * *", ""), "m:6", "not converted: Kubernetes does not accept"),
        (cron_job("0 0 31 2 *", ""), "m:6", "not converted: `0 0 31 2 *` is never due"),
        (cron_job("@daily", "  timeZone: Mars/Base\n"), "m:7", "not converted: "),
        (cron_job("@daily", "  timeZone: Local\n"), "m:7", "not converted: `Local` is not a zone"),
        (cron_job("@daily", "  suspend: perhaps\n"), "m:7", "not converted: `suspend`"),
        (cron_job("@daily", "  concurrencyPolicy: forbid\n"), "m:7", "not converted: `concurrency"),
        (cron_job("@daily", "  startingDeadlineSeconds: -1\n"), "m:7", "not converted: `starting"),
        (cron_job("@daily", "  colour: red\n"), "m:7", "`colour` is left out"),
        ("kind: CronJob\nspec: 3\n".to_owned(), "m:1", "not converted: this CronJob has no `spec`"),
        ("kind: Service\n".to_owned(), "m:1", "ignored: a `Service` is not a CronJob"),
        ("just text\n".to_owned(), "m:1", "not converted: not a manifest"),
        ("name: {{ .Values.x }}\n".to_owned(), "m:1", "not converted: not YAML"),
        ("a: [\n---\nkind: Service\n".to_owned(), "m:3", "ignored: a `Service`"),
        ("a: &x [*x]\n".to_owned(), "m:1", "not converted: not YAML"),
        (format!("a: {}", "[".repeat(100)), "m:1", "not converted: not YAML"),
    ];
    for (text, place, start) in rows {
        assert_said(&imported(&text), place, start);
    }
}

#[test]
fn a_command_is_what_the_container_starts() {
    let rows = [
        ("command: [/x, a b]", "command = [\"/x\", \"a b\"]\n"),
        ("command: [/bin/sh, -c, 'a; b']", "command = \"a; b\"\n"),
        (
            "command: [sh, -c]\n            args: ['a; b']",
            "command = \"a; b\"\ncron = \"@daily\"\n",
        ),
        ("command: [bash, -e, -c, a]", "shell = [\"bash\", \"-e\"]\n"),
        ("command: [bash, -ec, a]", "shell = [\"bash\", \"-e\"]\n"),
        ("command: [bash, -eo, pipefail, -c, a]", "command = [\"bash\", \"-eo\", \"pipefail\", "),
        ("command: [/bin/sh, -c, a, b]", "command = [\"/bin/sh\", \"-c\", \"a\", \"b\"]\n"),
        ("args: [run]", "# fill in: what x starts run\n[jobs.a]\ncommand = [\"false\"]\n"),
        ("env: []", "# fill in: what x starts\n[jobs.a]\ncommand = [\"false\"]\n"),
    ];
    for (lines, expected) in rows {
        let text = cron_job("@daily", "  timeZone: UTC\n").replace("command: [/x]", lines);
        let found = imported(&text);
        assert!(found.text.contains(expected), "{lines}:\n{}", found.text);
    }
}

#[test]
fn lists_and_json_are_read_too() {
    let yaml = cron_job("0 3 * * *", "  timeZone: UTC\n  suspend: true\n");
    let items: Vec<Json> = yaml::documents(&yaml).0.iter().map(|node| json_of(node)).collect();
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let pretty = serde_json::to_string_pretty(&list).unwrap();
    for text in [list.to_string(), pretty.clone(), format!("{pretty}\n{{\"kind\": \"Job\"}}")] {
        let found = imported(&text);
        assert!(found.text.contains("[jobs.a]\ncommand = [\"/x\"]\ncron = \"0 3 * * *\"\n"));
        assert!(found.text.contains("paused = true\n"), "{}", found.text);
    }
    let line = pretty.lines().position(|line| line.contains("image")).unwrap() + 1;
    assert_said(&imported(&pretty), &format!("m:{line}"), "there are no containers");
    let (_, error) = json::documents("{\"a\": 1}\n{\"b\": ]");
    assert!(error.is_some_and(|(span, _)| span.start == 15), "the place of what is no JSON");
    let (_, error) = json::documents(&"[".repeat(100_000));
    assert!(error.is_some());
}

/// A tree as JSON, with numbers and truths as they are.
fn json_of(node: &Node) -> Json {
    match &node.value {
        Tree::List(items) => items.iter().map(|node| json_of(node)).collect(),
        Tree::Map(_) => {
            let entries = node.entries().into_iter();
            Json::Object(entries.map(|(key, node)| (key.text.clone(), json_of(node))).collect())
        }
        Tree::Scalar { text, plain: true } => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
        }
        Tree::Scalar { text, .. } => Json::String(text.clone()),
    }
}

/// What of a value is not as its schema has it. Of JSON Schema, what that one uses.
fn breach(schema: &Json, value: &Json, at: &str) -> Option<String> {
    let of = |key: &str| schema.get(key);
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        _ => value.is_null(),
    };
    let types = match of("type") {
        Some(Json::Array(types)) => types.iter().filter_map(Json::as_str).any(is),
        Some(Json::String(name)) => is(name),
        _ => true,
    };
    let listed = of("enum").and_then(Json::as_array).is_none_or(|list| list.contains(value));
    if !types || !listed {
        return Some(format!("{at}: {value}"));
    }
    let none = Map::new();
    let properties = of("properties").and_then(Json::as_object).unwrap_or(&none);
    let required = of("required").and_then(Json::as_array).into_iter().flatten();
    let missing = required.filter_map(Json::as_str).find(|key| value.get(key).is_none());
    if let (Some(key), true) = (missing, value.is_object()) {
        return Some(format!("{at}: no {key}"));
    }
    let members = value.as_object().into_iter().flatten().find_map(|(key, value)| {
        let at = format!("{at}.{key}");
        match (properties.get(key), of("additionalProperties")) {
            (Some(schema), _) => breach(schema, value, &at),
            (None, Some(Json::Bool(false))) => Some(format!("{at}: unknown")),
            (None, Some(schema)) => breach(schema, value, &at),
            (None, None) => None,
        }
    });
    let items = || {
        let items = value.as_array().into_iter().flatten();
        of("items").and_then(|schema| items.into_iter().find_map(|item| breach(schema, item, at)))
    };
    members.or_else(items)
}

#[test]
fn the_schema_finds_what_is_wrong() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let good = json_of(&yaml::documents(&cron_job("@daily", "  suspend: true\n")).0[0]);
    assert_eq!(breach(&schema, &good, ""), None);
    for (from, to) in [
        ("true", "\"true\""),
        ("\"schedule\"", "\"Schedule\""),
        ("CronJob", "Job"),
        ("[\"/x\"]", "\"/x\""),
        ("\"image\"", "\"images\""),
    ] {
        let bad = good.to_string().replace(from, to);
        let bad: Json = serde_json::from_str(&bad).unwrap();
        assert!(breach(&schema, &bad, "").is_some(), "{bad}");
    }
}

/// A job with options that Kubernetes has.
fn any_job() -> impl Strategy<Value = Job> {
    let text =
        || prop_oneof!["[ -~\t\n]{1,16}", "\\PC{1,8}", "[$()\\\\\"'# :-]{1,10}", "[a-z \n]{1,9}"];
    let command = prop_oneof![
        proptest::collection::vec(text(), 0..4).prop_map(|words| {
            let words = std::iter::once("/x".into()).chain(words.into_iter().map(String::into));
            Command::Argv(words.collect())
        }),
        text().prop_map(|text| Command::Shell(format!("x{text}").into())),
    ];
    let cron = (
        "(\\*|[0-9]|\\*/7|3-40|10,50)",
        "(\\*|[0-9]|9-17|\\*/5)",
        "(\\*|[1-9]|1,15|10-20/3)",
        "(\\*|[1-9]|2-11/3)",
        "(\\*|[0-6]|mon-fri|sat,sun)",
    );
    let options = (
        proptest::collection::btree_map("[A-Z_]{1,5}", text(), 0..3),
        proptest::option::of(0u32..5000),
        any::<bool>(),
        proptest::option::of(10u64..100_000),
        proptest::option::of(1u64..100_000),
        0u32..9,
        0u64..100,
        any::<bool>(),
    );
    (command, cron, options, "[ -~]{1,12}", proptest::option::of(text())).prop_map(
        |(command, (minute, hour, day, month, weekday), options, id, name)| {
            let cron = format!("{minute} {hour} {day} {month} {weekday}");
            let text =
                format!("[jobs.a]\ncommand = 'x'\ntimezone = 'Europe/Berlin'\ncron = '{cron}'\n");
            let zones = Database::bundled();
            let set = jobfile::load_text("x", &text, &zones, NOW).set.unwrap();
            let mut job = (*set.jobs[0]).clone();
            let mut own = (*job.options).clone();
            let (env, user, paused, grace, timeout, retries, kill_after, replace) = options;
            own.env = env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            own.user = user.map(|user| match user {
                0 => "root".into(),
                user => user.to_string().into(),
            });
            own.paused = paused;
            own.misfire_grace_time =
                grace.map_or(Grace::Forever, |secs| Grace::Limited(Duration::from_secs(secs)));
            own.timeout = timeout.map(Duration::from_secs);
            own.retries = retries;
            own.kill_after = Duration::from_secs(kill_after);
            // `Forbid` holds a run back, and does not skip it.
            own.overlap = if replace { Overlap::Replace } else { Overlap::Queue };
            if u64::from(retries) > SHORT_DELAYS {
                own.retry_max_delay = Duration::from_secs(360);
            }
            job.options = Arc::new(own);
            (job.command, job.id, job.name) = (command, id.into(), name.map(String::into));
            job
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn jobs_come_back(job in any_job()) {
        let zones = Database::bundled();
        let empty = jobfile::load_text("x", "[scheduler]\ntimezone = 'UTC'\n", &zones, NOW);
        let mut set = empty.set.unwrap();
        set.jobs = vec![Arc::new(job.clone())];
        let exported = to_kubernetes::kubernetes(&set, "x", NOW);
        prop_assert!(exported.is_whole(), "{:?}", exported.problems);

        let schema: Json = serde_json::from_str(SCHEMA).unwrap();
        let (documents, errors) = yaml::documents(&exported.text);
        prop_assert!(errors.is_empty(), "{:?}\n{}", errors, exported.text);
        for document in &documents {
            prop_assert_eq!(breach(&schema, &json_of(document), ""), None);
        }

        let found = imported(&exported.text);
        prop_assert_eq!(found.set.jobs.len(), 1, "{:?}\n{}", found.said, exported.text);
        let back = &found.set.jobs[0];
        prop_assert_eq!(&back.id, &job.id, "{}", exported.text);
        prop_assert_eq!(&back.name, &job.name, "{}", exported.text);
        prop_assert_eq!(&back.command, &job.command, "{}", exported.text);
        prop_assert_eq!(&back.options, &job.options, "{}", exported.text);
        let mut at = NOW;
        for _ in 0..40 {
            let next = job.trigger.next_after(at);
            prop_assert_eq!(next, back.trigger.next_after(at), "{}", exported.text);
            let Some(next) = next else { break };
            at = next;
        }
    }

    /// Whatever it is, it is read or refused.
    #[test]
    fn anything_can_be_tried(text in "([a-z:\\[\\]{}&*<|>'\"#!%@`,?. -]|\n|\t|\\PC){0,80}") {
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        read(&mut draft, "m", &text);
        drop(draft.write());
    }
}

#[test]
fn a_job_of_several_cron_jobs_comes_back_as_one() {
    let zones = Database::bundled();
    let text = "[jobs.'A b']\ncommand = 'x'\ncron = ['0 9 * * mon-fri', '30 12 * * sat']\n\
                overlap = 'queue'\n[jobs.c]\ncommand = ['y']\ncron = '@hourly'\noverlap = 'queue'\n";
    let before = jobfile::load_text("x", text, &zones, NOW).set.unwrap();
    let exported = to_kubernetes::kubernetes(&before, "x", NOW);
    assert_eq!(exported.text.matches("kind: CronJob").count(), 3);
    let found = imported(&exported.text);
    assert_eq!(found.set.jobs.len(), 2, "{}", found.text);
    assert!(found.text.contains("cron = [\"0 9 * * mon-fri\", \"30 12 * * sat\"]\n"));
    for (before, after) in before.jobs.iter().zip(&found.set.jobs) {
        assert_eq!((&before.id, &before.options), (&after.id, &after.options));
    }
}
