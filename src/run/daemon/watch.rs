//! Whether the jobfile was edited since it was loaded, and with `[scheduler] reload = "auto"` that it
//! is read again when it was.
//!
//! The directories of its files are watched (`jobfile::OnDisk`), and what happens in them is let come
//! to rest first ([`Quiet`]): an editor that writes a copy and renames it, a file that is written in
//! pieces, the swap of a ConfigMap are one edit. The files of calendars are watched in any case: they
//! change by themselves. Then the files are looked at, on the thread that
//! reads jobfiles (`reload`). Nothing is read where they are as they were.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::core::instant::{Instant, Mono};
use crate::jobfile::OnDisk;
use crate::problem::clean;

/// Nothing is to happen for so long before the files are looked at.
const REST: Duration = Duration::from_millis(300);

/// They are looked at so long after something first happened, whatever goes on.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whoever asks whether they have changed waits for so long at most.
const ASKING: Duration = Duration::from_millis(200);

/// Where they cannot be looked at now, it is tried again after this.
const LATER: Duration = Duration::from_secs(10);

/// So many times what has happened is read in one go; the rest comes next time.
const READS: usize = 64;

/// What may make another file of one that is watched.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// The files of the jobfile that is in effect, for whoever asks whether they have changed.
#[derive(Debug)]
pub(super) struct Edited(Arc<Mutex<Files>>);

#[derive(Debug)]
struct Files {
    /// As they were when they were loaded, and when that was.
    loaded: (Arc<OnDisk>, Instant),
    /// Whether they were found to have changed since, at the last look.
    is_changed: bool,
    /// A thread looks at them.
    is_looking: bool,
}

impl Edited {
    pub(super) fn new(on_disk: OnDisk, loaded: Instant) -> Edited {
        let loaded = (Arc::new(on_disk), loaded);
        Edited(Arc::new(Mutex::new(Files { loaded, is_changed: false, is_looking: false })))
    }

    /// Others were loaded.
    pub(super) fn set(&self, on_disk: OnDisk, loaded: Instant) {
        let mut files = lock(&self.0);
        (files.loaded, files.is_changed) = ((Arc::new(on_disk), loaded), false);
    }

    /// As they were when they were loaded, and when that was.
    pub(super) fn get(&self) -> (Arc<OnDisk>, Instant) {
        lock(&self.0).loaded.clone()
    }

    /// When they were loaded, if they have changed since. A thread of its own looks at the disk, and
    /// while that hangs, what was found last is the answer.
    pub(super) fn changed_since(&self) -> Option<Instant> {
        self.changed_since_within(ASKING, |files| files.unless_changed())
    }

    fn changed_since_within(
        &self,
        limit: Duration,
        look: impl FnOnce(&OnDisk) -> Option<OnDisk> + Send + 'static,
    ) -> Option<Instant> {
        if !std::mem::replace(&mut lock(&self.0).is_looking, true) {
            let (done, is_done) = channel();
            let looking = Looking(Arc::clone(&self.0));
            let work = move || {
                looking.look(look);
                // There may be nobody who still waits.
                let _ = done.send(());
            };
            // Where there is no thread, it is let go of at once.
            let _ = std::thread::Builder::new().name("edited".to_owned()).spawn(work);
            let _ = is_done.recv_timeout(limit);
        }
        let files = lock(&self.0);
        files.is_changed.then_some(files.loaded.1)
    }
}

/// A look at the files by whoever asks. When it goes, the next may begin.
struct Looking(Arc<Mutex<Files>>);

impl Looking {
    fn look(self, look: impl FnOnce(&OnDisk) -> Option<OnDisk>) {
        let before = Arc::clone(&lock(&self.0).loaded.0);
        let now = look(&before);
        let mut files = lock(&self.0);
        // Others may have been loaded meanwhile.
        if Arc::ptr_eq(&files.loaded.0, &before) {
            files.is_changed = now.is_none();
            if let Some(now) = now.filter(|now| *now != *before) {
                files.loaded.0 = Arc::new(now);
            }
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        lock(&self.0).is_looking = false;
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets events that come close together be one.
#[derive(Debug, Default)]
struct Quiet {
    first: Option<Mono>,
    last: Mono,
}

impl Quiet {
    /// Something has happened.
    fn event(&mut self, now: Mono) {
        self.first.get_or_insert(now);
        self.last = now;
    }

    /// When it has come to rest, or is taken for that.
    fn deadline(&self) -> Option<Mono> {
        let first = self.first?;
        Some(self.last.plus(REST).min(first.plus(PATIENCE)))
    }

    /// Whether it has, once.
    fn take(&mut self, now: Mono) -> bool {
        let rests = self.deadline().is_some_and(|deadline| deadline <= now);
        if rests {
            self.first = None;
        }
        rests
    }
}

/// Watches directories.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Arc<OwnedFd>,
    quiet: Quiet,
    /// The files as they were when they were last found to be wrong: that is told once.
    tried: Option<Arc<OnDisk>>,
}

impl Watch {
    /// One that will have the files looked at soon, for what has happened before it watched.
    pub(super) fn new(now: Mono) -> io::Result<Watch> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut quiet = Quiet::default();
        quiet.event(now);
        Ok(Watch { inotify: Arc::new(inotify), quiet, tried: None })
    }

    /// Something has happened in a directory.
    pub(super) fn ready(&mut self, now: Mono) {
        let mut events = [0; 4096];
        for _ in 0..READS {
            // What it is does not matter: the files are looked at.
            match rustix::io::read(&*self.inotify, &mut events) {
                Ok(read) if read > 0 => self.quiet.event(now),
                _ => return,
            }
        }
    }

    /// The files are to be looked at once more.
    pub(super) fn again(&mut self, now: Mono) {
        self.quiet.event(now);
    }

    /// They could not be looked at: once more in a while, or when something happens.
    pub(super) fn later(&mut self, now: Mono) {
        self.quiet.event(now.plus(LATER));
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.quiet.deadline()
    }

    /// Whether it is time to look at the files.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        self.quiet.take(now)
    }

    /// What looks at the files, on any thread.
    /// `of_all`: edits of the jobfile count, else those of calendars alone.
    pub(super) fn look(&self, loaded: Arc<OnDisk>, of_all: bool) -> Look {
        Look { inotify: Arc::clone(&self.inotify), loaded, tried: self.tried.clone(), of_all }
    }

    /// The files, as they were, are not to be tried again. Some of them may not have been watched.
    pub(super) fn has_failed(&mut self, files: OnDisk, now: Mono) {
        self.tried = Some(Arc::new(files));
        self.again(now);
    }

    /// Whatever was wrong is not in effect any more.
    pub(super) fn is_good(&mut self) {
        self.tried = None;
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// What has come of a look at the files.
#[derive(Debug)]
pub(crate) struct Looked {
    /// What they are.
    pub(crate) found: Found,
    /// Why an edit may go unseen, as a sentence.
    pub(crate) unwatched: Option<String>,
}

/// What the files are found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As they were when they were loaded.
    AsLoaded,
    /// As they were when they were tried in vain.
    AsTried,
    /// Something else.
    Edited,
    /// A calendar is another, and so is the jobfile, which is read only when somebody asks for that.
    Held,
}

/// A look at the files, to be taken where it may take long.
pub(super) struct Look {
    inotify: Arc<OwnedFd>,
    loaded: Arc<OnDisk>,
    tried: Option<Arc<OnDisk>>,
    of_all: bool,
}

impl Look {
    /// Watches their directories as they are now, and answers whether the files have changed. In this
    /// order, so that nothing that is written in between goes unseen.
    pub(super) fn take(&self) -> Looked {
        let unwatched = self.watch();
        let is_changed = match self.of_all {
            true => self.loaded.is_changed(),
            false => self.loaded.is_calendar_changed(),
        };
        if !is_changed {
            return Looked { found: Found::AsLoaded, unwatched };
        }
        if self.is_held() {
            return Looked { found: Found::Held, unwatched };
        }
        let found = match &self.tried {
            Some(tried) if !tried.is_changed() => Found::AsTried,
            _ => Found::Edited,
        };
        Looked { found, unwatched }
    }

    /// Whether the jobfile was edited, which is not to be read for the sake of a calendar.
    pub(super) fn is_held(&self) -> bool {
        !self.of_all && self.loaded.without_calendars().is_changed()
    }

    /// Watches the directories. Answers why one of them cannot be.
    fn watch(&self) -> Option<String> {
        let mut unwatched = None;
        let files = [Some(&self.loaded), self.tried.as_ref()];
        let directories = files.into_iter().flatten().flat_map(|files| match self.of_all {
            true => files.directories(),
            false => files.calendar_directories(),
        });
        for directory in directories.collect::<BTreeSet<PathBuf>>() {
            match inotify::add_watch(&*self.inotify, &directory, EVENTS) {
                // One that has just gone is seen to go from the one above it.
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => {
                    unwatched.get_or_insert_with(|| unwatched_text(&directory, errno, self.of_all));
                }
            }
        }
        unwatched
    }
}

/// `reload = "auto" does not notice edits in /etc/jobs: ...`.
fn unwatched_text(directory: &Path, errno: Errno, of_all: bool) -> String {
    let why = match errno {
        Errno::NOSPC => "the limit fs.inotify.max_user_watches is reached; raise it with sysctl, \
             then run `schedrs reload`"
            .to_owned(),
        errno => errno.to_string(),
    };
    let directory = clean(&directory.to_string_lossy()).into_owned();
    match of_all {
        true => format!("reload = \"auto\" does not notice edits in {directory}: {why}"),
        false => format!("changes of calendars in {directory} are not noticed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::core::zone::Database;
    use crate::jobfile::load_path;

    const GOOD: &str = "command = 'true'\ninterval = '1h'\n";

    /// Files that are written one after the other, and what they are found to be after each. What is
    /// wrong is told, and not tried again.
    #[test]
    fn what_is_wrong_is_tried_once() {
        let head = "include = ['d/*.toml']\n[jobs.a]\n";
        let (good, wrong) = (format!("{head}{GOOD}"), format!("{head}comand = 1\n"));
        let named = format!("include = ['d/*.toml', 'e/x.toml']\n[jobs.a]\n{GOOD}");
        let new = format!("[jobs.b]\n{GOOD}");
        let rows = [
            ("jobs.toml", &*good, Found::AsLoaded),
            ("jobs.toml", &*wrong, Found::Edited),
            ("jobs.toml", &*wrong, Found::AsTried),
            ("jobs.toml", &*good, Found::AsLoaded),
            // A file that is included from now on, and is wrong at first.
            ("d/b.toml", "[jobs.b]\n", Found::Edited),
            ("d/b.toml", "[jobs.b]\n", Found::AsTried),
            ("d/b.toml", &*new, Found::Edited),
            ("jobs.toml", &*named, Found::Edited),
            ("e/x.toml", "[jobs.c]\n", Found::Edited),
            ("e/x.toml", "[jobs.c]\n", Found::AsTried),
            ("e/x.toml", "", Found::Edited),
        ];
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["d", "e"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("jobs.toml"), &good).unwrap();
        let zones = Database::bundled();
        let load = || load_path(&at("jobs.toml"), &zones, Instant::from_secs(1_800_000_000));
        let loaded = Arc::new(load().on_disk);
        let mut watch = Watch::new(Mono::default()).unwrap();
        for (name, text, expected) in rows {
            fs::write(at("new"), text).unwrap();
            fs::rename(at("new"), at(name)).unwrap();
            let found = watch.look(Arc::clone(&loaded), true).take().found;
            assert_eq!(found, expected, "{name}: {text}");
            match found {
                Found::AsLoaded => watch.is_good(),
                Found::Edited => watch.has_failed(load().on_disk, Mono::default()),
                Found::AsTried | Found::Held => {}
            }
        }
    }

    /// Milliseconds at which something happens, and those at which the files are looked at.
    #[test]
    fn what_comes_close_together_is_one_edit() {
        let rows: [(&[u64], &[u64]); 5] = [
            (&[], &[]),
            (&[100], &[400]),
            // A copy is written and renamed; a ConfigMap is swapped.
            (&[100, 101, 150, 390], &[690]),
            (&[100, 500], &[400, 800]),
            // Somebody writes all the time.
            (
                &[0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2250, 2500, 2750, 3010],
                &[3000, 3310],
            ),
        ];
        for (events, looks) in rows {
            let (mut quiet, mut found) = (Quiet::default(), Vec::new());
            for millis in 0..5000 {
                let now = Mono::default().plus(Duration::from_millis(millis));
                if events.contains(&millis) {
                    quiet.event(now);
                }
                if quiet.take(now) {
                    found.push(millis);
                    assert_eq!(quiet.deadline(), None);
                }
            }
            assert_eq!(found, looks, "{events:?}");
        }
    }

    #[test]
    fn what_could_not_be_looked_at_is_looked_at_later_or_when_something_happens() {
        let at = |secs| Mono::default().plus(Duration::from_secs(secs));
        let mut watch = Watch::new(at(0)).unwrap();
        assert!(watch.take(at(1)));
        assert_eq!(watch.deadline(), None);
        watch.later(at(1));
        assert!(!watch.take(at(5)) && watch.take(at(12)));
        watch.later(at(20));
        watch.again(at(21));
        assert!(watch.take(at(22)));
        assert_eq!(watch.deadline(), None);
    }

    #[test]
    fn whoever_asks_does_not_wait_for_a_disk_that_hangs() {
        let loaded = Instant::from_secs(7);
        let edited = Edited::new(OnDisk::default(), loaded);
        let long = Duration::from_secs(60);
        let asked = |found: fn(&OnDisk) -> Option<OnDisk>| edited.changed_since_within(long, found);
        assert_eq!(asked(|files| Some(files.clone())), None);
        assert_eq!(asked(|_| None), Some(loaded));
        let (go_on, goes_on) = channel::<()>();
        let hangs = move |files: &OnDisk| {
            let _ = goes_on.recv();
            Some(files.clone())
        };
        assert_eq!(edited.changed_since_within(Duration::ZERO, hangs), Some(loaded));
        // As it hangs, nobody else looks.
        assert_eq!(asked(|_| unreachable!()), Some(loaded));
        // What it finds after others were loaded is not about those.
        let later = Instant::from_secs(8);
        edited.set(OnDisk::default(), later);
        drop(go_on);
        while lock(&edited.0).is_looking {
            std::thread::yield_now();
        }
        assert_eq!(edited.get().1, later);
        assert_eq!(asked(|_| None), Some(later));
    }

    #[test]
    fn a_directory_that_cannot_be_watched_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jobs.toml");
        fs::write(&file, "").unwrap();
        let loaded = || {
            let (zones, now) = (Database::bundled(), Instant::from_secs(0));
            Arc::new(load_path(&file, &zones, now).on_disk)
        };
        let mut look = Watch::new(Mono::default()).unwrap().look(loaded(), true);
        assert!(matches!(look.take(), Looked { found: Found::AsLoaded, unwatched: None }));
        // Nothing that watches.
        look.inotify = Arc::new(fs::File::open(&file).unwrap().into());
        let told = look.take().unwatched.unwrap();
        let expected = "reload = \"auto\" does not notice edits in /";
        assert!(told.starts_with(expected), "{told}");
        let told = unwatched_text(Path::new("/etc/a\u{202e}b"), Errno::NOSPC, true);
        assert_eq!(
            told,
            "reload = \"auto\" does not notice edits in /etc/a\\u{202e}b: the limit \
             fs.inotify.max_user_watches is reached; raise it with sysctl, then run `schedrs reload`"
        );
    }
}
