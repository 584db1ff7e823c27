//! Telling browsers that something has changed, while any of them listens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::source::{Overview, Source};
use crate::control::wire::view::{PausedView, StatusView};
use crate::history::object::RunObject;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct Live {
    source: Arc<dyn Source>,
    turn: watch::Sender<u64>,
    is_looking: AtomicBool,
}

impl Live {
    pub(super) fn new(source: Arc<dyn Source>) -> Arc<Live> {
        Arc::new(Live { source, turn: watch::Sender::new(0), is_looking: AtomicBool::new(false) })
    }

    /// A number that is another one whenever something has changed. It is looked for as long as somebody
    /// has this.
    pub(super) fn listen(self: &Arc<Live>) -> watch::Receiver<u64> {
        let listener = self.turn.subscribe();
        if !self.is_looking.swap(true, Ordering::SeqCst) {
            let live = Arc::downgrade(self);
            let looking = std::thread::Builder::new().name("live".to_owned());
            if looking.spawn(move || look(&live)).is_err() {
                self.is_looking.store(false, Ordering::SeqCst);
            }
        }
        listener
    }
}

fn look(live: &Weak<Live>) {
    let mut last: Option<Arc<Overview>> = None;
    while let Some(live) = live.upgrade() {
        if live.turn.receiver_count() == 0 {
            live.is_looking.store(false, Ordering::SeqCst);
            // Somebody may have come in between, and taken this for going on.
            if live.turn.receiver_count() == 0 || live.is_looking.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        if let Ok(seen) = live.source.overview(EVERY) {
            if last.as_ref().is_some_and(|last| !is_same(last, &seen)) {
                live.turn.send_modify(|turn| *turn = turn.wrapping_add(1));
            }
            last = Some(seen);
        }
        drop(live);
        std::thread::park_timeout(EVERY);
    }
}

/// Whether nothing has changed but the time.
fn is_same(one: &Arc<Overview>, other: &Arc<Overview>) -> bool {
    Arc::ptr_eq(one, other)
        || (one.rows == other.rows
            && one.warnings == other.warnings
            && one.frame.trouble == other.frame.trouble
            && one.status.as_ref().map(shown) == other.status.as_ref().map(shown))
}

/// What pages show of it.
fn shown(status: &StatusView) -> (Option<&PausedView>, &[RunObject], Option<&[RunObject]>) {
    (status.paused.as_ref(), &status.active, status.active_elsewhere.as_deref())
}
