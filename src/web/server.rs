//! What all requests share. What may take long is done by a few threads, so that a store that hangs leaves
//! the rest as it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::access::Access;
use super::live::Live;
use super::source::{Source, Trouble};

/// So many connections are streams of events.
const STREAMS: usize = 48;
/// So much is done at once.
pub(super) const WORK: usize = 4;
/// What is to be done waits no longer to begin.
const BEGIN: Duration = Duration::from_secs(1);
/// And nobody waits for longer until it is done.
const DONE: Duration = Duration::from_secs(20);

/// What all connections share.
pub(crate) struct Server {
    pub(super) access: Access,
    pub(super) source: Arc<dyn Source>,
    pub(super) live: Arc<Live>,
    pub(super) streams: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(access: Access, source: Arc<dyn Source>) -> Arc<Server> {
        Arc::new(Server {
            access,
            live: Live::new(Arc::clone(&source)),
            source,
            streams: Arc::new(Semaphore::new(STREAMS)),
            work: Arc::new(Semaphore::new(WORK)),
        })
    }

    /// Has something done by another thread, if there is one within a moment.
    pub(super) async fn work<T: Send + 'static>(
        self: &Arc<Server>,
        what: impl FnOnce(&dyn Source) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = timeout(BEGIN, Arc::clone(&self.work).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Failure::Busy) };
        let source = Arc::clone(&self.source);
        let done = tokio::task::spawn_blocking(move || {
            let done = what(&*source);
            drop(permit);
            done
        });
        match timeout(DONE, done).await {
            Ok(Ok(done)) => done.map_err(Failure::Trouble),
            Ok(Err(_)) => {
                Err(Failure::Trouble(Trouble::Failed("this is a bug in schedrs".to_owned())))
            }
            Err(_) => Err(Failure::Busy),
        }
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Failure {
    /// Too much is asked at once, or it takes too long.
    Busy,
    Trouble(Trouble),
}
