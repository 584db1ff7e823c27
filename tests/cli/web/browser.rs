//! The page in a browser: `tests/web/page.mjs`, by node, in a headless Chromium.

use std::path::Path;
use std::process::Command;

use super::Web;
use crate::harness::{Bench, missing};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Where a program is.
fn find(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let files = std::env::split_paths(&path).map(|directory| directory.join(name));
    files.into_iter().find(|file| file.is_file()).map(|file| file.to_string_lossy().into_owned())
}

/// Jobs of every kind, among many.
fn jobs() -> String {
    let mut text = "[scheduler]\ntimezone = 'Europe/Berlin'\n[web]\nactions = true\n\
        [notify.ops]\ncommand = 'true'\n\
        [jobs.backup]\nname = 'Backup of the database'\ntags = ['db', 'nightly']\nnotify = ['ops']\n\
        command = \"echo copying; printf '<script>alert(2)</script> \\\\033[31mred \\\\033[2J\\\\n'; exit 3\"\n\
        cron = '30 2 * * *'\nexpect = '1s'\n\
        [jobs.again]\ncommand = 'echo no; exit 1'\ninterval = '1d'\nretries = 1\nretry_delay = '1ms'\n\
        [jobs.asleep]\ncommand = 'true'\ncron = '0 4 * * mon'\npaused = true\n\
        [jobs.slow]\ncommand = 'echo first; cat wait'\ninterval = '1d'\nwarn_after = '100ms'\n\
        [jobs.wide]\nping = 'http://127.0.0.1:1/x'\ncommand = \"head -c 60000 /dev/zero | tr '\\\\0' x\"\ninterval = '1d'\n\
        [jobs.\"<script>alert(1)</script>\"]\nname = '\"><img src=x onerror=alert(1)>'\ncommand = 'true'\n\
        cron = '0 9 * * mon-fri'\ntimezone = 'America/New_York'\n"
        .to_owned();
    for nth in 0..140 {
        let (hour, minute) = (nth % 24, nth * 7 % 60);
        text += &format!(
            "[jobs.import-of-customer-{nth:03}]\ncommand = 'true'\ncron = '{minute} {hour} * * *'\n\
             tags = ['customers']\n"
        );
    }
    text
}

#[test]
fn every_page_in_a_browser() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web");
    let Some(browser) = BROWSERS.iter().find_map(|name| find(name)) else {
        return missing("chromium");
    };
    let Some(node) = find("node") else { return missing("node") };
    if !pages.join("node_modules/axe-core").is_dir() {
        return missing("axe-core: run `npm ci` in tests/web");
    }
    let bench = Bench::new(&jobs());
    bench.fifo("wait");
    let running = bench.listening();
    for (job, code) in [("backup", 3), ("again", 1), ("wide", 0), ("import-of-customer-001", 0)] {
        assert_eq!(bench.ask(&["start", job, "--wait"]).2, Some(code), "{job}");
    }
    bench.out(&["pause", "import-of-customer-002", "--reason", "the <b>disk</b> is full"]);
    bench.out(&["start", "slow"]);
    let web = Web::start(&bench);
    let done = Command::new(node)
        .arg(pages.join("page.mjs"))
        .args([&browser, &format!("http://{}", web.address), &web.link])
        .env("SHOTS", std::env::var_os("SCHEDRS_TEST_SHOTS").unwrap_or_default())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    println!("{said}");
    drop(web);
    bench.write_fifo("wait");
    running.stop();
}
