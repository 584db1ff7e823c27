//! The jobfile is edited while it runs: who tells of it, `reload = "auto"`, `schedrs edit`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use crate::harness::{Bench, Running, on_a_terminal, read_until};

const JOBS: &str = "[jobs.a]\ncommand = 'true'\ninterval = '1d'\n";
const AUTO: &str = "include = ['d/*.toml']\n[scheduler]\nreload = 'auto'\n";

/// As an editor does: a copy that is renamed. What is written in place may be looked at half-way.
fn rename_over(bench: &Bench, name: &str, text: &str) {
    let new = format!("{name}.new");
    bench.write(&new, text);
    fs::rename(bench.path(&new), bench.path(name)).unwrap();
}

#[test]
fn whoever_asks_is_told_that_it_was_edited() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    let asked = || {
        let said = |args: &[&str]| {
            let (out, err, _) = bench.ask(args);
            format!("{out}{err}").contains("changed on disk since it was loaded at ")
        };
        let all: [&[&str]; 5] =
            [&["status"], &["list"], &["show", "a"], &["why", "a"], &["doctor"]];
        all.map(said)
    };
    assert_eq!(asked(), [false; 5]);
    rename_over(&bench, "jobs.toml", JOBS);
    assert_eq!(asked(), [false; 5], "it says the same");
    bench.write("jobs.toml", &format!("{JOBS}[jobs.b]\ncommand = 'true'\ninterval = '1d'\n"));
    assert_eq!(asked(), [true; 5]);
    // And a job that is only there is no promise.
    let (out, _, _) = bench.ask(&["why", "b"]);
    assert!(out.contains("not loaded: it was added to the jobfile"), "{out}");
    let status = bench.ask(&["status", "--output", "json"]).0;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["changed_since"], status["loaded"]);
    let (out, err, code) = bench.ask(&["reload"]);
    assert_eq!(
        (out.as_str(), code),
        ("2 jobs: 1 new, 0 changed, 1 as before; 0 gone\n", Some(0)),
        "{err}"
    );
    assert_eq!(asked(), [false; 5]);
    running.stop();
}

#[test]
fn with_reload_auto_an_edit_takes_effect() {
    let bench = Bench::new(&format!("{AUTO}{JOBS}"));
    fs::create_dir(bench.path("d")).unwrap();
    let mut running = bench.listening();
    let reloaded = |running: &mut Running| {
        let diff = running.event("reloaded", "");
        ["added", "changed", "removed", "unchanged"].map(|key| diff[key].as_u64().unwrap())
    };
    let job = |id: &str| format!("[jobs.{id}]\ncommand = 'true'\ninterval = '1d'\n");
    rename_over(&bench, "jobs.toml", &format!("{AUTO}{}", JOBS.replace("1d", "2d")));
    assert_eq!(reloaded(&mut running), [0, 1, 0, 0]);
    // A file that is included from now on.
    rename_over(&bench, "d/more.toml", &job("b"));
    assert_eq!(reloaded(&mut running), [1, 0, 0, 1]);
    // One that has errors is told of once; the old jobs go on.
    rename_over(&bench, "d/more.toml", "[jobs.b]\ncommand =\n");
    running.event("reload_failed", "");
    let status = bench.ask(&["status"]);
    assert!(status.0.contains("has errors and was not reloaded"), "{status:?}");
    // As it was: nothing to reload, and nothing to complain of.
    rename_over(&bench, "d/more.toml", &job("b"));
    // A new one is put right where nothing else is changed.
    rename_over(&bench, "d/last.toml", "[jobs.c]\ncommand =\n");
    running.event("reload_failed", "");
    rename_over(&bench, "d/last.toml", &job("c"));
    assert_eq!(reloaded(&mut running), [1, 0, 0, 2]);
    assert!(bench.ask(&["status"]).0.starts_with("ok"));
    let done = running.stop();
    assert_eq!(done.count("reload_failed"), 2, "{done:?}");
    assert_eq!(done.count("reloaded"), 3, "{done:?}");
}

/// A ConfigMap is swapped as a whole, by a link that is turned.
#[test]
fn a_config_map_that_is_swapped_is_one_edit() {
    let bench = Bench::new("");
    let at = |name: &str| bench.path(name);
    fs::remove_file(at("jobs.toml")).unwrap();
    let head = "[scheduler]\nreload = 'auto'\n";
    for (name, every) in [("..1", "1d"), ("..2", "2d")] {
        fs::create_dir(at(name)).unwrap();
        let text = format!("{head}{}", JOBS.replace("1d", every));
        bench.write(&format!("{name}/jobs.toml"), &text);
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/jobs.toml", at("jobs.toml")).unwrap();
    let mut running = bench.listening();
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_eq!(running.event("reloaded", "")["changed"], 1);
    assert_eq!(running.stop().count("reloaded"), 1);
}

/// An editor that makes of the file what it is told.
fn editor(bench: &Bench, script: &str) -> String {
    bench.program("editor", script);
    bench.path("editor").display().to_string()
}

#[test]
fn edit_is_copy_check_and_reload() {
    let bench = Bench::new(JOBS);
    bench.set_mode("jobs.toml", 0o640);
    let edit = |script: &str| {
        let mut command = bench.command(&["edit"]);
        command.env("VISUAL", editor(&bench, script)).stdin(Stdio::null());
        let done = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(done.stdout), text(done.stderr), done.status.code())
    };
    let now = || fs::read_to_string(bench.path("jobs.toml")).unwrap();
    let left = || {
        let names = fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".jobs")).count()
    };
    let (_, err, code) = edit("#!/bin/sh\nexit 0\n");
    assert_eq!((err.as_str(), code), ("schedrs: jobs.toml is unchanged\n", Some(0)));
    let (_, err, code) = edit("#!/bin/sh\nexit 3\n");
    assert_eq!(code, Some(1));
    assert!(err.contains("the editor failed"), "{err}");
    // Nobody runs it yet.
    let (out, err, code) = edit("#!/bin/sh\nsed -i s/1d/2d/ \"$1\"\n");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("no schedrs runs it"), "{err}");
    assert!(out.contains("-interval = '1d'\n+interval = '2d'\n"), "{out}");
    assert_eq!(now(), JOBS.replace("1d", "2d"));
    let mode = fs::metadata(bench.path("jobs.toml")).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, left()), (0o640, 0));
    let running = bench.listening();
    let (out, err, code) = edit("#!/bin/sh\nsed -i s/2d/3d/ \"$1\"\n");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("1 job: 0 new, 1 changed, 0 as before; 0 gone\n"), "{out}");
    // With errors it stays as it is, and what was written is kept.
    let (_, err, code) = edit("#!/bin/sh\nsed -i s/command/comand/ \"$1\"\n");
    assert_eq!((code, left()), (Some(1), 1));
    assert!(err.contains("jobs.toml:2:1") && err.contains("did you mean `command`?"), "{err}");
    assert!(err.contains("edit again?") && err.contains("what you have written is in "), "{err}");
    assert_eq!(now(), JOBS.replace("1d", "3d"));
    running.stop();
}

#[test]
fn what_has_errors_can_be_edited_again() {
    let bench = Bench::new(JOBS);
    let script = "#!/bin/sh\ngrep -q comand \"$1\" && exec sed -i 's/comand/command/; s/1d/2d/' \
                  \"$1\"\nsed -i s/command/comand/ \"$1\"\n";
    let mut command = bench.command(&["edit"]);
    command.env_remove("VISUAL").env("EDITOR", editor(&bench, script));
    let (mut terminal, _theirs, mut child) = on_a_terminal(command);
    read_until(&mut terminal, "edit again? [Y/n]");
    std::io::Write::write_all(&mut terminal, b"\n").unwrap();
    read_until(&mut terminal, "no schedrs runs it");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(bench.path("jobs.toml")).unwrap(), JOBS.replace("1d", "2d"));
}

#[test]
fn another_jobfile_is_edited_however_it_is_named() {
    let bench = Bench::new(JOBS);
    bench.write("other.toml", JOBS);
    for name in [&["other.toml"][..], &["-f", "other.toml"], &["--file", "other.toml"]] {
        let mut command = bench.command(&[&["edit"], name].concat());
        command.env("VISUAL", editor(&bench, "#!/bin/sh\nexit 0\n")).stdin(Stdio::null());
        let done = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stderr), "schedrs: other.toml is unchanged\n");
        assert_eq!(done.status.code(), Some(0), "{name:?}");
    }
    let job = JOBS.split_once("[jobs.").unwrap().1.split_once(']').unwrap().0;
    let done = bench.command(&["edit", job]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains(&format!("`schedrs modify {job}` changes its options")), "{said}");
}
