//! What a form needs to know beside the message.

use std::fmt;

use super::secret::Secrets;
use crate::core::instant::Instant;
use crate::core::zone::Zone;

/// See the [module](self).
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What people call this host.
    pub host: &'a str,
    /// When the message is sent: this time, if it is not the first.
    pub now: Instant,
    /// The zone of a job, by its id: its times are said on its clocks.
    pub zone: &'a dyn Fn(&str) -> Zone,
    /// The secrets of the route.
    pub secrets: &'a Secrets,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("host", &self.host)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
