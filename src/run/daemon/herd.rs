//! Many due at once: their processes are made first.
//!
//! What has come of the first of them can be told of all of them together, and would take the processors
//! away from those that are late already: an end is a decision, a record and a line of the log. So the loop
//! waits for the threads that start processes (`crate::run::executor`) while these have a queue. Every few
//! milliseconds it sees who has ended, and whether there is something that is not to wait: a signal, a
//! request, a due time, a timeout.

use std::time::Duration;

use super::Loop;
use super::notify::Watchdog;
use crate::sys::clock;
use crate::sys::epoll::Ready;

/// How long starts may go first.
const LONGEST: Duration = Duration::from_secs(1);
/// The same where runs wait for others to end.
const LONGEST_OF_QUEUED: Duration = Duration::from_millis(100);

/// How often it is looked meanwhile who has ended: what is recorded as the duration of a run is right to
/// this, and it is what a request may wait.
const REAP_EVERY: Duration = Duration::from_millis(5);

impl Loop<'_> {
    /// Lets starts go first while there are many. `timeout`: how long the loop would wait; the answer is how
    /// long it is to wait now.
    pub(super) fn let_starts_go_first(
        &mut self,
        ready: &mut Ready,
        timeout: Option<Duration>,
    ) -> Option<Duration> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) || !self.effects.are_many_starting() {
            return timeout;
        }
        let begun = clock::mono();
        let deadlines = [
            self.scheduler.next_wakeup().mono,
            self.effects.deadline_of_begun(),
            self.out_of_touch(),
            self.watchdog.as_ref().map(Watchdog::deadline),
        ];
        let deadlines = deadlines.into_iter().flatten().map(|at| at.since(begun));
        // Of who begins meanwhile the scheduler has not heard, and so does not count its `timeout`.
        let deadlines = deadlines.chain(self.scheduler.shortest_timeout());
        let longest = if self.scheduler.waits_for_ends() { LONGEST_OF_QUEUED } else { LONGEST };
        let most = deadlines.fold(longest, Duration::min);
        loop {
            let left = most.saturating_sub(clock::mono().since(begun));
            let some_wait = self.effects.let_starts_go_first(left.min(REAP_EVERY));
            let is_wanted = self.effects.reap_ended(ready, &mut self.events);
            let is_over = !some_wait || left.is_zero();
            if is_over || is_wanted || self.signals.are_pending() {
                break;
            }
        }
        if self.effects.has_deferred() {
            // Who has sent it may not know that it is to be told of.
            self.waker.wake();
        }
        if !self.events.is_empty() {
            return Some(Duration::ZERO);
        }
        timeout.map(|timeout| timeout.saturating_sub(clock::mono().since(begun)))
    }
}
