//! A jobfile by its names: links that are turned, two names of one file, a file that was moved.

use std::fs;
use std::os::unix::fs::symlink;

use super::{JOBS, err};
use crate::harness::{Bench, Running};

/// Turns a link to something else, in one step.
fn turn(bench: &Bench, link: &str, target: &str) {
    symlink(target, bench.path("new")).unwrap();
    fs::rename(bench.path("new"), bench.path(link)).unwrap();
}

fn run_of(bench: &Bench, file: &str) -> Running {
    let mut running = Running::start(&mut bench.command(&["run", "--log-format", "json", file]));
    running.event("starting", "");
    running
}

/// Kubernetes mounts a ConfigMap like this, and a deployment turns `current`: the path that people
/// name stays, and where it leads changes.
#[test]
fn a_link_that_is_turned_changes_nothing_but_the_jobs() {
    for (file, link) in [("mount/jobs.toml", "mount/..data"), ("current/jobs.toml", "current")] {
        let bench = Bench::new("");
        for (release, jobs) in [("1", JOBS.to_owned()), ("2", JOBS.replace("quick", "fast"))] {
            fs::create_dir_all(bench.path("mount").join(release)).unwrap();
            bench.write(&format!("mount/{release}/jobs.toml"), &jobs);
        }
        symlink("..data/jobs.toml", bench.path("mount/jobs.toml")).unwrap();
        let target = |release| match link {
            "current" => format!("mount/{release}"),
            _ => format!("{release}"),
        };
        turn(&bench, link, &target(1));
        let running = run_of(&bench, file);
        bench.out(&["pause", "wait", "-f", file]);
        bench.out(&["add", "-f", file, "--id", "later", "--in", "1h", "--", "true"]);

        turn(&bench, link, &target(2));
        assert!(bench.out(&["reload", "-f", file]).contains("1 new"), "{file}");
        let pid = format!("pid {} ", running.pid());
        assert!(bench.out(&["status", "-f", file]).contains(&pid), "{file}");
        assert_eq!(bench.ask(&["history", "-f", file]).2, Some(0), "{file}");
        let refused = err(&bench, &["run", file]);
        assert!(refused.contains(&format!("with pid {}, as ", running.pid())), "{refused}");
        running.stop();

        let running = run_of(&bench, file);
        let listed = bench.out(&["list", "-f", file]);
        assert!(listed.contains("fast") && listed.contains("later"), "{listed}");
        assert!(listed.contains("paused by"), "{listed}");
        running.stop();
    }
}

/// A store beside the jobfile would be another one after the link was turned, one in memory has no
/// lock: the jobfile is locked all the same, and its past is where the one that runs has it.
#[test]
fn a_link_that_is_turned_starts_no_second_scheduler() {
    for url in ["sqlite:x.db", "memory"] {
        let bench = Bench::new("");
        for release in ["1", "2"] {
            fs::create_dir_all(bench.path(release)).unwrap();
            bench.write(&format!("{release}/jobs.toml"), &format!("store.url = '{url}'\n{JOBS}"));
        }
        turn(&bench, "current", "1");
        let running = run_of(&bench, "current/jobs.toml");
        turn(&bench, "current", "2");
        let refused = err(&bench, &["run", "current/jobs.toml"]);
        assert!(refused.contains(&format!("with pid {}, as ", running.pid())), "{refused}");
        let found = if url == "memory" { 1 } else { 0 };
        assert_eq!(bench.ask(&["history", "-f", "current/jobs.toml"]).2, Some(found));
        assert!(!bench.path("2/x.db").exists());
        running.stop();
    }
}

/// The shell knows through which link its directory was reached.
#[test]
fn a_directory_that_was_reached_through_a_link() {
    let bench = Bench::new("");
    for (release, jobs) in [("1", JOBS.to_owned()), ("2", JOBS.replace("quick", "fast"))] {
        fs::create_dir_all(bench.path(release)).unwrap();
        bench.write(&format!("{release}/jobs.toml"), &jobs);
    }
    turn(&bench, "current", "1");
    let within = |args: &[&str]| {
        let mut command = bench.command(args);
        command.current_dir(bench.path("current")).env("PWD", bench.path("current"));
        command
    };
    let mut running = Running::start(&mut within(&["run", "--log-format", "json"]));
    running.event("starting", "");
    // Whoever comes from elsewhere, or does not know the link, finds it all the same.
    for file in ["current/jobs.toml", "1/jobs.toml", "1/../current/jobs.toml"] {
        bench.out(&["status", "-f", file]);
        assert_eq!(bench.ask(&["history", "-f", file]).2, Some(0), "{file}");
    }
    turn(&bench, "current", "2");
    let reloaded = within(&["reload"]).output().unwrap();
    assert!(String::from_utf8_lossy(&reloaded.stdout).contains("1 new"), "{reloaded:?}");
    assert!(bench.out(&["list", "-f", "current/jobs.toml"]).contains("fast"));
    running.stop();
}

/// One file with two names is run once, wherever each would have its store and its socket.
#[test]
fn two_names_of_one_file() {
    let bench = Bench::new(JOBS);
    symlink("jobs.toml", bench.path("link.toml")).unwrap();
    fs::hard_link(bench.path("jobs.toml"), bench.path("hard.toml")).unwrap();
    let running = bench.listening();
    let own = format!("{}", bench.path("jobs.toml").display());
    for file in ["jobs.toml", "link.toml", "hard.toml"] {
        for state in ["state", "elsewhere"] {
            let mut command = bench.command(&["run", file]);
            let done = command.env("STATE_DIRECTORY", bench.path(state)).output().unwrap();
            let said = String::from_utf8(done.stderr).unwrap();
            let expected = format!(
                "{file} is already being run by schedrs with pid {}, as {own}; ",
                running.pid()
            );
            assert!(said.contains(&expected) && said.contains("--store"), "{said}");
            assert_eq!(done.status.code(), Some(1));
        }
        assert!(bench.out(&["status", "-f", file]).contains(&format!("pid {} ", running.pid())));
        assert_eq!(bench.ask(&["history", "-f", file]).2, Some(0), "{file}");
    }
    let mut command = bench.command(&["run", "-"]);
    let done = command.stdin(fs::File::open(bench.path("hard.toml")).unwrap()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains(&format!("with pid {}, as {own}; ", running.pid())), "{said}");
    assert!(!bench.path("elsewhere").exists());
    // Whoever says where the store is, means it.
    let args = ["run", "--log-format", "json", "--store", "memory", "--socket", "s", "link.toml"];
    let mut other = Running::start(&mut bench.command(&args));
    other.event("starting", "");
    other.stop();
    running.stop();
    // One file, one past.
    let running = run_of(&bench, "hard.toml");
    let store = schedrs::paths::instance(&bench.path("jobs.toml"));
    assert!(bench.out(&["status", "-f", "hard.toml"]).contains(&store));
    running.stop();
}

/// An editor puts a new file in the place of the jobfile.
#[test]
fn a_jobfile_that_is_replaced_stays_locked() {
    let bench = Bench::new(JOBS);
    symlink("jobs.toml", bench.path("link.toml")).unwrap();
    let replace = || {
        bench.write("new", JOBS);
        fs::rename(bench.path("new"), bench.path("jobs.toml")).unwrap();
    };
    let running = run_of(&bench, "link.toml");
    let pid = format!("with pid {}, as ", running.pid());
    replace();
    assert!(err(&bench, &["run", "jobs.toml"]).contains(&pid));
    bench.out(&["reload", "-f", "jobs.toml"]);
    fs::hard_link(bench.path("jobs.toml"), bench.path("hard.toml")).unwrap();
    assert!(err(&bench, &["run", "hard.toml"]).contains(&pid));
    // The one that it replaced is nobody's, and neither is what is moved away.
    replace();
    bench.out(&["reload", "-f", "link.toml"]);
    let other = run_of(&bench, "hard.toml");
    // What somebody else runs is not taken over.
    fs::rename(bench.path("hard.toml"), bench.path("jobs.toml")).unwrap();
    let refused = err(&bench, &["reload", "-f", "link.toml"]);
    assert!(refused.contains(&format!("with pid {}, as ", other.pid())), "{refused}");
    other.stop();
    running.stop();
}

/// A person who moves a jobfile does not mean to lose its past.
#[test]
fn a_jobfile_that_was_moved() {
    let bench = Bench::new(JOBS);
    bench.listening().stop();
    fs::create_dir_all(bench.path("elsewhere")).unwrap();
    bench.write("other.toml", JOBS);
    fs::rename(bench.path("jobs.toml"), bench.path("elsewhere/jobs.toml")).unwrap();
    let store = schedrs::paths::instance(&bench.path("jobs.toml"));
    let store = format!("--store sqlite:{}", bench.path("state").join(store).display());
    let told = err(&bench, &["history", "-f", "elsewhere/jobs.toml"]);
    assert!(told.contains(&store) && told.contains("never run"), "{told}");
    let args = ["run", "--log-format", "json", "elsewhere/jobs.toml"];
    let mut running = Running::start(&mut bench.command(&args));
    let told = running.event("jobfile", "")["message"].to_string();
    assert!(told.contains(&store) && told.contains("never run"), "{told}");
    running.event("starting", "");
    running.stop();
    // Once it has a past of its own, nothing is said.
    let done = run_of(&bench, "elsewhere/jobs.toml").stop();
    assert!(!done.err.iter().any(|line| line.contains("--store")), "{done:#?}");
}

/// What an earlier version has named after where all links led goes on, and stays found when they
/// lead elsewhere.
#[test]
fn a_store_with_the_name_of_an_earlier_version() {
    let bench = Bench::new("");
    for release in ["1", "2"] {
        fs::create_dir_all(bench.path(release)).unwrap();
        bench.write(&format!("{release}/jobs.toml"), JOBS);
    }
    turn(&bench, "current", "1");
    let running = run_of(&bench, "1/jobs.toml");
    bench.out(&["pause", "wait", "-f", "1/jobs.toml"]);
    running.stop();

    let args = ["run", "--log-format", "json", "current/jobs.toml"];
    let mut running = Running::start(&mut bench.command(&args));
    let told = running.event("jobfile", "")["message"].to_string();
    let old = schedrs::paths::instance(&bench.path("1/jobs.toml"));
    assert!(told.contains(&format!("{old}.db, named after another spelling")), "{told}");
    running.stop();
    turn(&bench, "current", "2");
    assert_eq!(bench.ask(&["history", "-f", "current/jobs.toml"]).2, Some(0));
    let running = run_of(&bench, "current/jobs.toml");
    assert!(bench.out(&["list", "-f", "current/jobs.toml"]).contains("paused by"));
    let done = running.stop();
    assert!(!done.err.iter().any(|line| line.contains("another spelling")), "{done:#?}");
}
