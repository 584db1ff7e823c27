//! What is written, and what is said of what cannot be. That it comes back the same and is what the
//! schema has is tested with the importer.

use super::*;
use crate::core::zone::Database;
use crate::jobfile;

/// 2026-11-25T00:00:00Z
const NOW: Instant = Instant::from_secs(1_795_564_800);

fn set(text: &str) -> JobSet {
    let zones = Database::bundled();
    let loaded = jobfile::load_text("x", text, &zones, NOW);
    loaded.set.unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems))
}

fn exported(text: &str) -> Exported {
    kubernetes(&set(text), "shop:7", NOW)
}

fn said(exported: &Exported) -> Vec<&str> {
    exported.problems.iter().map(|unsaid| &*unsaid.message).collect()
}

#[test]
fn a_job_becomes_a_cron_job() {
    let exported = exported(
        "[store]\nkeep = { runs = 5, days = 2 }\n[jobs.Rotate_logs]\nname = 'Rotate \"logs\"'\n\
         command = \"set -e\\necho $$ $(date)\"\ncron = '30 2 * * mon-fri'\ntimezone = 'Asia/Tokyo'\n\
         user = '1000'\ngroup = 'root'\ncwd = '/srv'\ntimeout = '90s'\nkill_after = '5s'\n\
         misfire_grace_time = '2m'\noverlap = 'replace'\npaused = true\n\
         env = { A = 'b $(C)', PW = { file = '/run/pw' } }\n",
    );
    assert_eq!(
        exported.text,
        r#"# for `kubectl apply -f -`: each run is a container of shop:7, which has to hold the programs, the
# directories and the environment that the jobs need
# a run that `Forbid` holds back starts when the last one has ended, if that is within
# `startingDeadlineSeconds`

# kubectl create secret generic rotate-logs-secrets --from-literal=PW="$(cat /run/pw)"
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: "rotate-logs"
  labels:
    app.kubernetes.io/name: "rotate-logs"
  annotations:
    schedrs/id: "Rotate_logs"
    kubernetes.io/description: "Rotate \"logs\""
spec:
  schedule: "30 2 * * mon-fri"
  timeZone: "Asia/Tokyo"
  concurrencyPolicy: Replace
  startingDeadlineSeconds: 120
  suspend: true
  successfulJobsHistoryLimit: 5
  failedJobsHistoryLimit: 5
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 90
      ttlSecondsAfterFinished: 172800
      template:
        metadata:
          labels:
            app.kubernetes.io/name: "rotate-logs"
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 5
          securityContext:
            runAsUser: 1000
            runAsGroup: 0
          containers:
          - name: job
            image: "shop:7"
            command:
            - "/bin/sh"
            - "-c"
            - |-
              set -e
              echo $$$ $$(date)
            workingDir: "/srv"
            env:
            - name: "A"
              value: "b $$(C)"
            - name: "PW"
              valueFrom:
                secretKeyRef:
                  name: "rotate-logs-secrets"
                  key: "PW"
"#
    );
    let expected = ["its secrets must be put into a Secret: see the comment above the CronJob"];
    assert_eq!(said(&exported), expected);
}

#[test]
fn triggers_become_schedules() {
    let rows = [
        ("cron = '*/5 9-17 * * mon-fri'", "*/5 9-17 * * mon-fri", "UTC"),
        ("cron = '@daily'", "0 0 * * *", "UTC"),
        ("cron = 'H H * * *'", "6 14 * * *", "UTC"),
        ("cron = '0 3 * * 6,7'", "0 3 * * 0,6", "UTC"),
        ("cron = '0 3 13 * fri'", "0 3 13 * fri", "UTC"),
        ("cron = { day = '*/2', hour = 3 }", "0 3 1-31/2 * *", "UTC"),
        ("cron = ['0 9 * * *', '0 17 * * *']", "0 9,17 * * *", "UTC"),
        ("cron = '0 9 * * *'\nstart_date = 2026-01-01", "0 9 * * *", "UTC"),
        ("interval = '5m'\nstart_date = 2026-01-01T00:02:00", "2-59/5 * * * *", "Etc/UTC"),
        ("interval = '1h'\nstart_date = 2026-01-01T00:30:00", "30 * * * *", "Etc/UTC"),
        ("interval = '1d'\nstart_date = 2026-01-01T09:30:00", "30 9 * * *", "Etc/UTC"),
        ("interval = '7d'\nstart_date = 2026-01-01T09:30:00", "30 9 * * 4", "Etc/UTC"),
        // Elapsed time does not look at clocks.
        (
            "interval = '6h'\nstart_date = 2026-01-01T00:00:00\ntimezone = 'Europe/Berlin'",
            "0 5-23/6 * * *",
            "Etc/UTC",
        ),
    ];
    for (trigger, schedule, zone) in rows {
        let exported = exported(&format!("[jobs.a]\ncommand = ['x']\n{trigger}\n"));
        let expected = format!("  schedule: \"{schedule}\"\n  timeZone: \"{zone}\"\n");
        assert!(exported.text.contains(&expected), "{trigger}:\n{}", exported.text);
        assert!(exported.problems.is_empty(), "{trigger}: {:?}", exported.problems);
    }
}

#[test]
fn what_is_not_the_same_is_said() {
    let daily = "cron = '0 12 * * *'\n";
    let rows = [
        ("interval = '15m'", "the interval counts from the full hour, day or week, of UTC"),
        (
            "interval = '1h'\nstart_date = 2027-01-01T00:00:00",
            "a CronJob has no `start_date`: it is also due before that",
        ),
        (
            "cron = ['0 9 * * mon-fri', '0 12 1 * *']",
            "its schedules become several CronJobs, each aware only of its own runs",
        ),
        (
            "cron = ['0 9 * * fri', '0 9-12 13 * *']",
            "its schedules become several CronJobs, each aware only of its own runs, and start it twice when they coincide",
        ),
        (
            "cron = '30 2 * * *'\ntimezone = 'Europe/Berlin'",
            "clocks change: Sun 2027-03-28 03:00:00 +02:00 is a due time here, but not in Kubernetes; Sun 2027-10-31 02:30:00 +01:00 is a due time in Kubernetes, but not here",
        ),
        (
            "cron = '0 12 * * fri'\ntimezone = 'Africa/Cairo'",
            "clocks change: Fri 2027-04-30 12:00:00 +03:00 is a due time here, but not in Kubernetes",
        ),
        (
            "DAILYjitter = '1m'\nnice = 5\numask = '027'\nsuccess_codes = [0, 3]\noutput = 'file'",
            "Kubernetes has no jitter, success_codes, umask, nice, output",
        ),
        (
            "DAILYmax_instances = 3",
            "Kubernetes ignores `max_instances` and runs any number at once",
        ),
        (
            "DAILYoverlap = 'queue'",
            "a due time that waits for the last run is dropped after `startingDeadlineSeconds`",
        ),
        (
            "DAILYmisfire_grace_time = '5s'",
            "its `misfire_grace_time` becomes 10 s: Kubernetes may skip runs with less",
        ),
        (
            "DAILYretries = 1\nretry_delay = '1m'",
            "Kubernetes waits 10 s before the first retry, then twice as long each time, 6 minutes \
             at most",
        ),
        (
            "DAILYretries = 7",
            "Kubernetes waits 10 s before the first retry, then twice as long each time, 6 minutes \
             at most",
        ),
        ("DAILYuser = 'bob'", "`user = \"bob\"` is left to the image: Kubernetes needs a number"),
        ("DAILYenv = { A = '$SCHEDRS_JOB' }", "its command reads a schedrs variable"),
    ];
    for (job, expected) in rows {
        let job = job.replace("DAILY", daily);
        let exported = exported(&format!("[jobs.a]\ncommand = ['x']\n{job}\n"));
        assert!(exported.is_whole(), "{job}: {:?}", exported.problems);
        let found = said(&exported);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{job}: {found:?}");
    }
    let fine = "[jobs.a]\ncommand = ['x']\ncron = '*/30 * * * *'\ntimezone = 'Europe/Berlin'\n\
                retries = 6\n";
    assert!(exported(fine).problems.is_empty(), "every hour is every hour there too");
}

#[test]
fn what_cannot_be_said_is_left_out_in_words() {
    let rows = [
        ("cron = '*/10 * * * * *'", "a CronJob has no seconds"),
        ("cron = '0 3 L * *'", "a CronJob has no last days"),
        ("cron = '0 3 * * fri#3'", "a CronJob has no last days"),
        ("cron = { day = '3rd fri' }", "a CronJob cannot say this schedule"),
        ("cron = { day = 13, day_of_week = 'fri' }", "a CronJob cannot say this schedule"),
        ("cron = '0 0 */2 * fri'", "in a CronJob, either of two day fields may match"),
        ("cron = { year = 2027, hour = 3 }", "a CronJob cannot say this schedule"),
        ("cron = '@reboot'", "a CronJob cannot be due when a scheduler starts"),
        ("cron = '@daily'\nend_date = 2030-01-01", "a CronJob has no `start_date` and no"),
        ("cron = '@daily'\nstart_date = 2030-01-01", "a CronJob has no `start_date` and no"),
        ("interval = '7m'", "a CronJob has no such interval"),
        ("interval = '90s'", "a CronJob has no such interval"),
        ("interval = '1h'\nstart_date = 2026-01-01T00:00:30", "a CronJob has no seconds"),
        ("interval = '1h'\nend_date = 2030-01-01", "a CronJob has no `end_date`"),
        ("date = 2027-01-01", "a CronJob has no single date"),
        ("cron = '@daily'\nstdin = 'x'", "a container has no standard input to give it"),
    ];
    for (job, expected) in rows {
        let exported = exported(&format!("[jobs.a]\ncommand = ['x']\n{job}\n"));
        assert!(!exported.is_whole(), "{job}:\n{}", exported.text);
        let found = said(&exported);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{job}: {found:?}");
        let comment = format!("\n# left out: a: {}", &expected[..20]);
        assert!(exported.text.contains(&comment), "{job}:\n{}", exported.text);
    }
}

#[test]
fn names_are_labels_and_none_is_taken_twice() {
    let long = "x".repeat(60);
    let ids = ["A b", "a-b", "a_b", "ÄÖ", "job", &long, &format!("{long}y"), "-a-", "a"];
    let mut text = String::new();
    for id in ids {
        text += &format!("[jobs.'{id}']\ncommand = ['x']\ncron = ['0 1 * * *', '1 2 * * *']\n");
    }
    let exported = exported(&text);
    let names: Vec<&str> =
        exported.text.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!((names.len(), unique.len()), (2 * ids.len(), 2 * ids.len()), "{names:?}");
    for name in &names {
        let name = name.trim_matches('"');
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.len() <= LONGEST && name.chars().all(plain), "{name}");
        assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
    }
    // What can be a name is one, although others come before it.
    for id in ["a-b", "job", "a"] {
        let label =
            format!("name: \"{id}\"\n  labels:\n    app.kubernetes.io/name: \"{id}\"\nspec");
        assert!(exported.text.contains(&label), "{id}:\n{}", exported.text);
    }
}
