//! Screens on terminals of 60, 80, 100 and 140 columns: nothing is wider, and no time is cut.

use std::io::{Read, Write};

use unicode_width::UnicodeWidthStr;

use crate::harness::{Bench, on_a_terminal_of, read_until};

const WIDTHS: [u16; 4] = [60, 80, 100, 140];

/// Two zones, long ids and long schedules, as on a machine that has been used for a while.
const JOBS: &str = r#"
[scheduler]
timezone = "America/Argentina/Buenos_Aires"
[jobs.backup-of-the-whole-home-directory]
command = "true"
cron = "30 2 * 1,3,5 mon-fri"
[jobs.report]
command = "exit 3"
cron = "0 6,12,18 * * *"
timezone = "Europe/Berlin"
[jobs.sync]
command = "true"
interval = "1d"
"#;

/// What a command shows on a terminal of so many columns, without its colours.
fn shown(bench: &Bench, columns: u16, args: &[&str]) -> String {
    let mut command = bench.command(args);
    command.env("TERM", "xterm").env("TZ", "UTC");
    let (mut terminal, theirs, mut child) = on_a_terminal_of(columns, command);
    drop(theirs);
    let mut bytes = Vec::new();
    // A terminal that nobody holds any more ends with an error.
    let _ = terminal.read_to_end(&mut bytes);
    child.wait().unwrap();
    anstream::adapter::strip_str(&String::from_utf8_lossy(&bytes)).to_string()
}

/// Whether there is a time of day in it.
fn has_time(line: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit();
    line.as_bytes().windows(5).any(|five| {
        digit(five[0]) && digit(five[1]) && five[2] == b':' && digit(five[3]) && digit(five[4])
    })
}

#[track_caller]
fn fits(text: &str, columns: u16, args: &[&str]) {
    for line in text.lines() {
        let width = line.trim_end().width();
        assert!(width <= usize::from(columns), "{args:?} at {columns}: {width}: {line}\n{text}");
    }
}

#[test]
fn nothing_is_wider_and_no_time_is_cut() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    for job in ["backup-of-the-whole-home-directory", "report"] {
        bench.command(&["start", job, "--wait"]).output().unwrap();
    }
    for columns in WIDTHS {
        for args in [&["next"][..], &["list"], &["history"], &["next", "-n", "9"]] {
            let text = shown(&bench, columns, args);
            fits(&text, columns, args);
            let rows: Vec<&str> =
                text.lines().skip(1).filter(|row| !row.contains("zone:")).collect();
            assert!(rows.len() >= 2, "{args:?}: {text}");
            for row in rows {
                assert!(has_time(row), "{args:?} at {columns}: {row}\n{text}");
            }
        }
        for args in [&["status"][..], &["show", "report"]] {
            let text = shown(&bench, columns, args);
            fits(&text, columns, args);
            assert!(has_time(&text), "{text}");
        }
    }
    running.stop();
}

#[test]
fn a_list_that_is_watched_fits() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    for columns in WIDTHS {
        let mut command = bench.command(&["list", "--watch"]);
        command.env("TERM", "xterm").env("TZ", "UTC");
        let (mut terminal, _theirs, mut child) = on_a_terminal_of(columns, command);
        let text = read_until(&mut terminal, "\x1b[J");
        terminal.write_all(b"q").unwrap();
        child.wait().unwrap();
        let (_, text) = text.rsplit_once("\x1b[H").unwrap();
        let text = anstream::adapter::strip_str(text).to_string();
        fits(&text, columns, &["list", "--watch"]);
        assert_eq!(text.lines().filter(|row| has_time(row)).count(), 4, "{text}");
    }
    running.stop();
}
