//! What the benches of the real binary share: schedulers, children that write down the time, and a
//! little arithmetic.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::ffi::{CStr, c_int};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schedrs::instant::Instant;
use schedrs::words;
use schedrs::zone::Zone;

pub(crate) mod bare;

pub(crate) const MILLI: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MILLI;

/// The child: appends the time to a file.
pub(crate) fn stamp(path: &CStr) {
    let now = now().to_ne_bytes();
    // SAFETY: plain system calls on values and on memory that lives long enough.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_APPEND);
        libc::write(file, now.as_ptr().cast(), now.len());
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

pub(crate) fn sleep_until(at: u64) {
    sleep(Duration::from_nanos(at.saturating_sub(now())));
}

/// The first whole second that is at least so far away.
pub(crate) fn in_at_least(span: Duration) -> u64 {
    (now() + span.as_nanos() as u64).div_ceil(SECOND) * SECOND
}

pub(crate) fn rfc3339(at: u64) -> String {
    words::rfc3339(Instant::from_micros((at / 1000) as i64), &Zone::utc())
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn this() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A file that children append the time to, and the program that they are.
pub(crate) struct Stamps(pub(crate) PathBuf, pub(crate) PathBuf);

impl Stamps {
    pub(crate) fn new(dir: &Path, name: &str) -> Stamps {
        Stamps::by(this(), dir, name)
    }

    /// With a program that is called as this one is: `PROGRAM stamp FILE`.
    pub(crate) fn by(program: PathBuf, dir: &Path, name: &str) -> Stamps {
        let stamps = Stamps(dir.join(name), program);
        stamps.clear();
        stamps
    }

    pub(crate) fn clear(&self) {
        File::create(&self.0).unwrap();
    }

    /// The child's command line, as TOML.
    pub(crate) fn argv(&self) -> String {
        format!("[{:?}, \"stamp\", {:?}]", self.1, self.0)
    }

    pub(crate) fn read(&self) -> Vec<u64> {
        let bytes = fs::read(&self.0).unwrap();
        bytes.chunks(8).map(|at| u64::from_ne_bytes(at.try_into().unwrap())).collect()
    }
}

/// A running `schedrs run`.
pub(crate) struct Scheduler {
    child: Child,
    log: PathBuf,
    /// When it was started, and when it said that it had.
    pub(crate) begun: u64,
    pub(crate) started: u64,
}

impl Scheduler {
    pub(crate) fn start(dir: &Path, name: &str, jobs: &str) -> Scheduler {
        Scheduler::with_store(dir, name, jobs, "memory")
    }

    /// With its state in `dir/NAME.state`.
    pub(crate) fn with_store(dir: &Path, name: &str, jobs: &str, store: &str) -> Scheduler {
        let (file, log) = (dir.join(format!("{name}.toml")), dir.join(format!("{name}.log")));
        File::create(&file).unwrap().write_all(jobs.as_bytes()).unwrap();
        let begun = now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_schedrs"))
            .args(["run", "--log-format", "json"])
            .args((store != "default").then_some(["--store", store]).iter().flatten())
            .arg(&file)
            .env("STATE_DIRECTORY", dir.join(format!("{name}.state")))
            .env_remove("XDG_RUNTIME_DIR")
            .env("SCHEDRS_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        while !fs::read_to_string(&log).unwrap().contains("\"event\":\"starting\"") {
            assert!(child.try_wait().unwrap().is_none(), "{}", fs::read_to_string(&log).unwrap());
            sleep(Duration::from_millis(2));
        }
        Scheduler { child, log, begun, started: now() }
    }

    /// Waits until it logs nothing for a while, and answers since when.
    pub(crate) fn wait_until_quiet(&self) -> u64 {
        let (mut size, mut since) = (0, now());
        while now() < since + SECOND / 2 {
            let new = fs::metadata(&self.log).unwrap().len();
            if new != size {
                (size, since) = (new, now());
            }
            sleep(Duration::from_millis(10));
        }
        since
    }

    /// Waits until it does nothing.
    pub(crate) fn wait_until_still(&self) {
        let mut before = self.cpu();
        loop {
            sleep(Duration::from_millis(500));
            let cpu = self.cpu();
            if cpu - before < 0.02 {
                break;
            }
            before = cpu;
        }
    }

    /// Asks it to end, and answers its log.
    pub(crate) fn stop(mut self) -> String {
        // SAFETY: a plain system call; the child has not been waited for.
        unsafe { libc::kill(self.child.id() as c_int, libc::SIGTERM) };
        self.child.wait().unwrap();
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its process, as /proc shows it.
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// How often its threads went to sleep and so were woken.
    pub(crate) fn wakeups(&self) -> u64 {
        self.process().wakeups()
    }

    /// A number of /proc/PID/status.
    pub(crate) fn status(&self, key: &str) -> u64 {
        self.process().status(key)
    }

    /// Seconds of processor time, its children's not among them.
    pub(crate) fn cpu(&self) -> f64 {
        self.process().cpu()
    }
}

/// A process, as /proc shows it.
pub(crate) struct Process(pub(crate) u32);

impl Process {
    pub(crate) fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).unwrap()
    }

    /// A number of /proc/PID/status.
    pub(crate) fn status(&self, key: &str) -> u64 {
        number(&self.proc("status"), key)
    }

    /// How often its threads went to sleep and so were woken.
    pub(crate) fn wakeups(&self) -> u64 {
        // A thread can end between the listing and the look.
        let status = self.tasks("status").into_iter();
        status.map(|status| number(&status, "voluntary_ctxt_switches")).sum()
    }

    /// Seconds of processor time, its children's not among them.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        let fields = stat.rsplit(')').next().unwrap().split_ascii_whitespace().skip(11).take(2);
        fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
    }

    /// The same to the nanosecond, of those threads alone that there are now.
    pub(crate) fn cpu_of_threads(&self) -> f64 {
        let times = self.tasks("schedstat").into_iter();
        let nanos = times.filter_map(|time| time.split(' ').next()?.parse::<f64>().ok());
        nanos.sum::<f64>() / 1e9
    }

    pub(crate) fn children(&self) -> usize {
        let children = self.tasks("children").into_iter();
        children.map(|children| children.split_ascii_whitespace().count()).sum()
    }

    /// A file of each of its threads.
    fn tasks(&self, file: &str) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join(file)).ok()).collect()
    }
}

pub(crate) fn number(status: &str, key: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(&format!("{key}:"))).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}
