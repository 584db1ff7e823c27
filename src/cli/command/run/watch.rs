//! Says so when the beginning hangs: the jobfile, the store or the user database may be on a file
//! system that does not answer, and until the loop runs there is no log.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::core::words;
use crate::problem::clean;

/// Nothing takes so long that is not about to hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks on until it is dropped.
pub(super) struct Watch {
    doing: Arc<Mutex<String>>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Watch {
    /// From now on. Where there is no thread to be had, nobody looks on.
    pub(super) fn begin(doing: String) -> Watch {
        let (over, has_ended) = channel();
        let doing = Arc::new(Mutex::new(doing));
        let seen = Arc::clone(&doing);
        let look = move || {
            if has_ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let doing = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let after = words::span(PATIENCE);
                // Where nobody can be told, nobody is.
                let _ = writeln!(
                    anstream::stderr(),
                    "schedrs: still {doing} after {after}; stop it with SIGTERM, twice if need be"
                );
            }
        };
        let thread = Builder::new().name("watch".to_owned()).stack_size(128 * 1024).spawn(look);
        Watch { doing, thread: thread.ok().map(|thread| (over, thread)) }
    }

    /// Something else is being done.
    pub(super) fn now(&self, doing: String) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.thread.take() {
            drop(over);
            // It says what it has to say and ends.
            let _ = thread.join();
        }
    }
}

/// What is done first.
pub(super) fn reading(file: &Path) -> String {
    if file == Path::new("-") {
        "reading the jobfile from standard input".to_owned()
    } else {
        format!("reading {}", clean(&file.to_string_lossy()))
    }
}
