//! Reading jobfiles: beside the `toml` crate's parser alone, and beside /bin/true as a process.
//!
//! `cargo bench --bench jobfile` prints times, peak memory and ratios; nothing is asserted. Each
//! reading is a process of its own, because only then its peak memory is its own; the two
//! alternate, and medians are shown.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench may stop")]

use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant as Clock;

use schedrs::instant::Instant;
use schedrs::jobfile;
use schedrs::zone::Database;

/// What a process took.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    peak_mib: f64,
}

/// Runs a command to its end.
fn measure(command: &mut Command) -> Took {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Clock::now();
    #[allow(clippy::zombie_processes, reason = "wait4 waits, and says what was used")]
    let child = command.spawn().unwrap();
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one, and wait4 only writes to what it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(child.id() as i32, &mut status, 0, &mut usage);
        usage
    };
    assert_eq!(status, 0, "{command:?}");
    Took { seconds: begin.elapsed().as_secs_f64(), peak_mib: usage.ru_maxrss as f64 / 1024.0 }
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Medians over alternating rounds.
fn pair(rounds: usize, ours: &mut Command, theirs: &mut Command) -> (Took, Took) {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        took[0].push(measure(ours));
        took[1].push(measure(theirs));
    }
    let [ours, theirs] = took.map(|took| Took {
        seconds: median(took.iter().map(|took| took.seconds).collect()),
        peak_mib: median(took.iter().map(|took| took.peak_mib).collect()),
    });
    (ours, theirs)
}

/// A file of so many jobs, all different in what usually differs.
fn write_jobs(dir: &Path, count: usize) -> PathBuf {
    let mut text = String::from("[scheduler]\ntimezone = \"Europe/Berlin\"\n\n");
    for i in 0..count {
        let (minute, hour) = (i * 7 % 60, i / 60 % 24);
        let _ = writeln!(text, "[jobs.job-{i:07}]\ncommand = \"/usr/local/bin/task --number {i}\"");
        let _ = match i % 4 {
            0 => writeln!(text, "cron = \"{minute} {hour} * * *\"\n"),
            1 => writeln!(text, "cron = \"{minute} {hour} * * mon-fri\"\ntimeout = \"10m\"\n"),
            2 => writeln!(text, "interval = \"{}m\"\n", minute + 1),
            _ => writeln!(text, "cron = {{ day = \"3rd fri\", hour = {hour} }}\nretries = 3\n"),
        };
    }
    let path = dir.join(format!("{count}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

/// What a child process does: reads the file one way or the other.
fn child(how: &str, path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    match how {
        "toml" => drop(black_box(toml::de::DeTable::parse(&text).unwrap())),
        _ => {
            let zones = Database::open(None);
            let now = Instant::from_secs(1_800_000_000);
            let loaded = jobfile::load_text("jobs.toml", &text, &zones, now);
            // Leaving the jobs where they are, as a scheduler does.
            std::mem::forget(black_box(loaded.set.expect("a good file")));
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, how, path] = &args[..]
        && how != "--bench"
    {
        return child(how, Path::new(path));
    }
    let dir = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    println!(
        "{:<12}{:>11}{:>11}{:>8}{:>12}{:>12}{:>8}",
        "jobs", "ours", "toml crate", "ratio", "ours", "toml crate", "ratio"
    );
    for (count, rounds) in [(1, 101), (1_000, 51), (100_000, 7), (1_000_000, 3)] {
        let path = write_jobs(dir.path(), count);
        let command = |how: &str| {
            let mut command = Command::new(&this);
            command.arg(how).arg(&path);
            command
        };
        let (ours, theirs) = pair(rounds, &mut command("ours"), &mut command("toml"));
        println!(
            "{count:<12}{:>9.4} s{:>9.4} s{:>8.2}{:>8.1} MiB{:>8.1} MiB{:>8.2}",
            ours.seconds,
            theirs.seconds,
            ours.seconds / theirs.seconds,
            ours.peak_mib,
            theirs.peak_mib,
            ours.peak_mib / theirs.peak_mib
        );
    }
    let path = write_jobs(dir.path(), 1);
    let mut validate = Command::new(env!("CARGO_BIN_EXE_schedrs"));
    validate.arg("validate").arg(&path);
    let (ours, bare) = pair(501, &mut validate, &mut Command::new("/bin/true"));
    println!(
        "\nschedrs validate of one job, whole process: {:.0} us, /bin/true {:.0} us, ratio {:.2}",
        ours.seconds * 1e6,
        bare.seconds * 1e6,
        ours.seconds / bare.seconds
    );
}
