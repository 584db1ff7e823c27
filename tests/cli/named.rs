//! Jobfiles and jobs as people name them: what is expected in a place, and what is taken there.

use crate::harness::{Bench, Done, Running};

fn done(bench: &Bench, line: &str) -> Done {
    let args: Vec<&str> = line.split(' ').collect();
    Running::start(&mut bench.command(&args)).wait()
}

/// Each line, its exit code, and what it says on both streams together.
#[track_caller]
fn rows(bench: &Bench, rows: &[(&str, i32, &str)]) {
    for (line, code, expected) in rows {
        let done = done(bench, line);
        let said = format!("{}\n{}", done.out.join("\n"), done.err.join("\n"));
        assert_eq!(done.code, Some(*code), "{line}: {said}");
        assert!(said.contains(expected), "{line}: {expected}: {said}");
    }
}

fn bench() -> Bench {
    let job = |id: &str| format!("[jobs.{id}]\ncommand = 'true'\ncron = '0 3 * * *'\n");
    let odd = job("'odd.toml'") + &job("'two#words'");
    let bench = Bench::new(&(job("lunch") + &job("lunches") + &job("both") + &odd));
    bench.write("other.toml", &(job("dinner") + &job("supper")));
    bench.write("broken.toml", "[jobs.lunch]\n");
    for name in ["both", "plain", "odd.toml"] {
        bench.write(name, &job(name.trim_end_matches(".toml")));
    }
    bench
}

/// Jobs by the executor that they have.
#[test]
fn jobs_of_an_executor() {
    let bench = Bench::new(
        "[executors]\ndefault = { max_workers = 5 }\nreports = { max_workers = 2 }\n\
         [jobs.a]\ncommand = 'true'\ninterval = '1d'\n\
         [jobs.b]\ncommand = 'true'\ninterval = '1d'\nexecutor = 'reports'\n\
         [jobs.c]\ncommand = 'true'\ninterval = '1d'\nexecutor = 'reports'\n",
    );
    let running = bench.listening();
    let listed = |line: &str| -> Vec<String> {
        let out = done(&bench, format!("list --output json {line}").trim_end()).out;
        let jobs = out.iter().map(|line| serde_json::from_str(line).unwrap());
        jobs.map(|job: serde_json::Value| format!("{} {}", job["id"], job["executor"])).collect()
    };
    let (a, b, c) = ("\"a\" \"default\"", "\"b\" \"reports\"", "\"c\" \"reports\"");
    assert_eq!(listed(""), [a, b, c]);
    assert_eq!(listed("--executor reports"), [b, c]);
    assert_eq!(listed("--executor reports -n 1"), [b]);
    assert_eq!(listed("--executor reports --executor default"), [a, b, c]);
    assert_eq!(listed("--executor default a b"), [a]);
    rows(
        &bench,
        &[
            (
                "list --executor report",
                1,
                "no job has the executor `report`; did you mean `reports`?",
            ),
            ("list --executor zzzzzzzz", 1, "no job has the executor `zzzzzzzz`"),
        ],
    );
    running.stop();
}

#[test]
fn a_file_and_a_job_are_told_apart() {
    let both = "`both` is both a file and a job of jobs.toml: `-f both` means the file, \
                `--job both` the job";
    let odd = "`odd.toml` is both a file and a job of jobs.toml: `-f odd.toml` means the file, \
               `-f jobs.toml odd.toml` the job";
    rows(
        &bench(),
        &[
            ("next lunch --output csv", 0, "\nlunch,"),
            ("next lunch* --output csv", 0, "\nlunches,"),
            ("next other.toml --output csv", 0, "\ndinner,"),
            ("next -f other.toml --output csv", 0, "\ndinner,"),
            ("next --file other.toml supper --output csv", 0, "schedule,remark\nsupper,"),
            ("next supper other.toml --output csv", 0, "schedule,remark\nsupper,"),
            ("next plain --output csv", 0, "\nplain,"),
            ("next both", 1, both),
            ("next -f both", 0, "both"),
            ("next --job both", 0, "both"),
            (
                "next launch",
                1,
                "`launch` is neither a file nor a job of jobs.toml; did you mean the job `lunch`?",
            ),
            ("next nowhere.toml", 1, "nowhere.toml"),
            (
                "next -f other.toml jobs.toml",
                1,
                "two jobfiles are named, other.toml and jobs.toml: name one",
            ),
            // Of the jobs of a file with errors nothing can be said but that.
            ("next -f broken.toml lunch", 1, "broken.toml:1:7: error"),
            ("next lunch broken.toml", 1, "broken.toml:1:7: error"),
            ("next -f nowhere.toml lunch", 1, "nowhere.toml"),
            ("doctor other.toml", 0, "other.toml: 2 jobs"),
            ("doctor lunch", 0, "lunch"),
            ("doctor odd.toml", 1, odd),
            ("doctor -f jobs.toml odd.toml", 0, "odd.toml"),
            ("doctor nobody", 1, "no job `nobody` in the jobfile"),
            ("validate -f other.toml", 0, "other.toml: 2 jobs"),
            (
                "validate lunch",
                1,
                "there is no file `lunch`, but a job of jobs.toml: `schedrs validate --explain` tells of all its jobs, `schedrs doctor lunch` of it",
            ),
            (
                "run lunch",
                1,
                "`schedrs run --once lunch` runs it alone, `schedrs start lunch` in the schedrs that runs",
            ),
            ("run -f jobs.toml --once lunch", 0, ""),
            ("run jobs.toml -f other.toml", 2, "cannot be used with"),
            ("simulate -f other.toml --until +1d", 0, "dinner"),
            ("simulate lunch", 1, "`schedrs next lunch` shows when it is due"),
            ("simulate two#words", 1, "`schedrs next 'two#words'` shows when it is due"),
            ("export crontab -f other.toml", 0, "# dinner"),
        ],
    );
}

/// What takes nothing else takes the jobfile as an argument, as `run` does.
#[test]
fn the_only_argument_is_the_jobfile() {
    let bench = bench();
    let mut running =
        Running::start(&mut bench.command(&["run", "--log-format", "json", "other.toml"]));
    running.event("starting", "");
    rows(
        &bench,
        &[
            ("status other.toml", 0, "runs other.toml"),
            ("health other.toml", 0, "pass: 2 jobs"),
            ("metrics other.toml", 0, "job_name=\"dinner\""),
            ("notify other.toml", 0, "told"),
            ("fleet other.toml", 1, "this store is for one host"),
            ("reload other.toml", 0, "2 jobs"),
            ("status plain", 1, "no scheduler is running plain"),
            ("status other.toml -f jobs.toml", 2, "cannot be used with"),
            ("status other.toml --socket here", 1, "both a jobfile, other.toml, and --socket"),
            ("shutdown --wait other.toml", 0, "schedrs has stopped"),
        ],
    );
    assert_eq!(running.wait().code, Some(0));
}

/// `-f` was `--follow` in `logs`, and stays so where no file is named.
#[test]
fn the_logs_of_a_file() {
    let bench = bench();
    let mut running =
        Running::start(&mut bench.command(&["run", "--log-format", "json", "other.toml"]));
    running.event("starting", "");
    running.stop();
    let gone = "no scheduler is running jobs.toml";
    rows(
        &bench,
        &[
            ("logs -f other.toml", 0, "schedrs: no runs so far"),
            ("logs -f other.toml", 0, "schedrs: -f names the jobfile; `-F` follows"),
            ("logs other.toml", 0, "schedrs: no runs so far"),
            ("logs dinner --file other.toml", 0, "schedrs: no runs of dinner so far"),
            ("logs dinner --jobfile other.toml", 0, "schedrs: no runs of dinner so far"),
            ("history other.toml", 0, "schedrs: no records"),
            ("history -f other.toml dinner", 0, "schedrs: no records of dinner"),
            ("logs -f lunch", 1, gone),
            ("logs -f both", 1, gone),
            ("logs lunch -f", 1, gone),
            ("logs -F lunch", 1, gone),
            ("logs -f --run 3", 1, "--run shows a run as it is kept: it cannot be followed"),
            ("logs lunch -f lunches", 1, gone),
            ("logs dinner supper -f other.toml", 0, "schedrs: no runs of dinner and supper so far"),
            ("history tag:x* other.toml", 1, "no job has the tag `x*`"),
            ("history *er --jobs --output json other.toml", 0, "\"supper\""),
            ("why d* other.toml", 0, "dinner"),
            ("logs --socket x.sock", 1, "--socket belongs to --follow"),
        ],
    );
}

const MANY: &str = "[defaults]\ntags = ['eu']\n[jobs.backup-db]\ncommand = 'read x < go'\n\
    interval = '1h'\n[jobs.backup-web]\ncommand = 'exit 3'\ninterval = '1h'\n\
    [jobs.'web@prod']\ncommand = 'true'\ninterval = '1h'\ntags = ['us', 'prod']\n";

/// Ids, patterns and tags, in every verb: each says what it has done, and what could not be done.
#[test]
fn several_jobs_at_once() {
    let bench = Bench::new(MANY);
    bench.fifo("go");
    let mut running = bench.run();
    running.event("starting", "");
    rows(
        &bench,
        &[
            (
                "pause backup-* web@prod",
                0,
                "backup-web is paused until `schedrs resume backup-web`\nweb@prod is paused until `schedrs resume web@prod`",
            ),
            ("resume tag:eu -f jobs.toml", 0, "backup-db is resumed\nbackup-web is resumed"),
            (
                "resume * jobs.toml",
                0,
                "backup-db was not paused\nbackup-web was not paused\nweb@prod is resumed",
            ),
            ("pause nobody web@prod", 1, "web@prod is paused"),
            ("pause web@prod nobody", 1, "schedrs: nobody: no job `nobody`"),
            ("pause x-*", 1, "no job has an id like `x-*`"),
            ("pause tag:asia", 1, "no job has the tag `asia`"),
            ("resume tag:prod --output json", 0, "{\"job\":\"web@prod\",\"was_paused\":true}"),
            ("list --tag us", 0, "web@prod"),
            ("list --tag e* --output json -n 1", 0, "\"tags\":[\"eu\"]"),
            ("list tag:asia", 1, "no job has the tag `asia`"),
            // One that is mistyped is noticed among others, too.
            ("list web@prod backup-bd", 1, "no job `backup-bd`; did you mean `backup-db`?"),
            ("list web@prod nobody -n 1", 1, "no job `nobody`"),
            ("list --tag us --tag asia", 1, "no job has the tag `asia`"),
            ("list nobody --failed", 1, "no job `nobody`"),
            ("list web@prod --failed", 0, "JOB"),
            ("list backup-* -n 1 --output json", 0, "\"id\":\"backup-db\""),
            ("logs -F web@prod backup-bd", 1, "no job `backup-bd`; did you mean `backup-db`?"),
            ("logs -F backup-bd", 1, "no job `backup-bd`; did you mean `backup-db`?"),
            ("show backup-*", 0, "\nbackup-web"),
            ("modify tag:eu --timeout 1h", 0, "backup-web is modified"),
            ("modify backup-* --reset", 0, "backup-db is back to its definition"),
            ("reschedule backup-* --every 2h", 0, "backup-web is rescheduled: every 2 hours"),
            ("start tag:eu", 0, "run 1 of backup-db has started\nrun 2 of backup-web has started"),
        ],
    );
    // While it is active, another start would be refused.
    running.event("failed", "backup-web");
    rows(
        &bench,
        &[
            ("start backup-web web@prod --wait", 3, "run 4 of web@prod: succeeded"),
            // The exit code is that of the first that has another than 0, in the order of the jobs.
            ("start backup-web nobody --wait", 3, "schedrs: nobody: no job `nobody`"),
            ("start nobody backup-web --wait", 1, "run 6 of backup-web: failed with exit code 3"),
            ("stop backup-*", 0, "backup-db: run 1 is stopping\nbackup-web has no active runs"),
            ("stop --run 99", 1, "no run 99"),
            ("stop #1 --run 98", 1, "schedrs: run 98: no run 98"),
            ("remove web@prod", 1, "jobfile"),
        ],
    );
    running.stop();
}

/// More than there may be connections.
#[test]
fn many_runs_are_waited_for() {
    let job = |number: u32| {
        let code = if number == 3 || number == 60 { number } else { 0 };
        format!("[jobs.j{number}]\ncommand = 'exit {code}'\ninterval = '1d'\n")
    };
    let bench = Bench::new(&(0..70).map(job).collect::<String>());
    let mut running = bench.run();
    running.event("starting", "");
    let done = done(&bench, "start j* --wait --yes");
    assert_eq!((done.code, done.out.len()), (Some(3), 70), "{done:?}");
    let failed = done.out.iter().filter(|line| line.contains("failed with exit code"));
    assert_eq!(failed.count(), 2, "{done:?}");
    running.stop();
}

/// As short as with at(1).
#[test]
fn jobs_of_a_line() {
    let bench = Bench::new("[jobs.a]\ncommand = 'true'\ninterval = '1h'\n");
    let mut running = bench.run();
    running.event("starting", "");
    rows(
        &bench,
        &[
            ("every 10m -- ./poll now", 0, "every-10m-poll is added: every 10 minutes"),
            ("every 10m -- ./poll again", 0, "every-10m-poll-2 is added: every 10 minutes"),
            ("every 1h 30m --id mine --timeout 5m -- /usr/bin/true", 0, "mine is added: every 1"),
            ("every 1h --id mine -- true", 1, "a job `mine` was already added"),
            (
                "at 2100-01-02 09:00 -- ./order 42",
                0,
                "at-2100-01-02-09:00-order is added: once, 2 Jan 2100 09:00",
            ),
            ("at tomorrow noon -- true", 0, "12:00-true is added"),
            ("at 2001-01-02 -- true", 1, "is in the past"),
            ("at 2001-01-02T00:00Z -- true", 1, "is in the past"),
            ("at yesterday 09:00 -- true", 1, "is in the past"),
            // A date is on the clocks of the job, here as with `add`.
            (
                "at 2100-01-02 09:00 --id a1 --timezone Asia/Tokyo --output json -- true",
                0,
                "\"next\":\"2100-01-02T09:00:00+09:00\"",
            ),
            (
                "add --at 2100-01-02T09:00 --id a2 --timezone Asia/Tokyo --output json -- true",
                0,
                "\"next\":\"2100-01-02T09:00:00+09:00\"",
            ),
            ("at soon -- true", 1, "soon: "),
            ("at 17:30", 2, "COMMAND"),
            ("every soon -- true", 1, "soon: "),
            ("remove every-10m-*", 0, "every-10m-poll is removed\nevery-10m-poll-2 is removed"),
            ("next --add 10m --add @daily --output csv", 0, "\n(new 2),"),
            ("next a --add 2100-01-02 --output csv", 0, "(new),2100-01-02T00:00:00+00:00,UTC,"),
            ("next --add nonsense", 1, "error"),
            (
                "kill a",
                2,
                "error: there is no command 'kill'\n\n  tip: `schedrs stop JOB` ends the runs of a job",
            ),
            ("frobnicate", 2, "unrecognized subcommand"),
            (
                "reschedule a --except sun",
                2,
                "error: reschedule has no option '--except'\n\n  tip: `schedrs modify JOB --except …` \
                 changes the options of a job",
            ),
            (
                "modify a --cron 0",
                2,
                "tip: `schedrs reschedule JOB --cron …` changes when a job is due",
            ),
            ("reschedule a --nonsense 1", 2, "unexpected argument '--nonsense' found"),
            ("next --cron -1", 1, "error"),
        ],
    );
    running.stop();
}

/// One jobfile on several hosts: what is not for this one is listed as such.
#[test]
fn jobs_of_other_hosts() {
    let job = |id: &str, host: &str| {
        format!(
            "[jobs.{id}]\ncommand = 'true'\ninterval = '1h'\nonly_on = ['{host}', 'no-such-host']\n"
        )
    };
    let bench = Bench::new(&(job("here", "*") + &job("far", "not-this-*")));
    let shared = "[store]\nurl = 'postgres://nowhere/x'\n".to_owned() + &job("a", "*");
    bench.write("shared.toml", &shared);
    let note = "1 job is for other hosts (only_on): far";
    let refused = "job `far` is not for this host: only_on = [\"not-this-*\", \"no-such-host\"]";
    rows(
        &bench,
        &[
            ("validate jobs.toml", 0, "jobs.toml: 1 job, 1 for other hosts"),
            ("validate shared.toml", 1, "shared.toml:3:7: error: `only_on` is for hosts"),
            ("next", 0, note),
            ("next far", 1, refused),
            ("doctor far", 1, refused),
            ("run --once far", 1, refused),
            ("run --once here", 0, ""),
        ],
    );
    let mut running = bench.run();
    running.event("starting", "");
    rows(
        &bench,
        &[
            ("list", 0, note),
            ("list here", 0, "here"),
            ("status", 0, note),
            ("status --output json", 0, "\"elsewhere\":[\"far\"]"),
            ("start far", 1, "no job `far`"),
        ],
    );
    running.stop();
}
