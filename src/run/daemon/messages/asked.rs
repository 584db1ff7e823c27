//! What somebody asks to be done about notifications: to send one again, or to drop what waits.

use super::Messages;
use crate::control::{Notify, Reply, no_notification};
use crate::core::event::{Change, ChangeKind, Code, Fault, Response};
use crate::core::instant::Now;
use crate::core::nearest::nearest;
use crate::core::notify::notifier::CannotSend;
use crate::core::notify::outbox::NotFound;
use crate::run::daemon::Loop;
use crate::store::Fact;

impl Loop<'_> {
    /// Does it, has it recorded with who wanted it, and answers once the store has that.
    pub(in crate::run::daemon) fn notify_as_asked(
        &mut self,
        order: &Notify,
        by: &str,
        reply: Reply,
        now: Now,
    ) {
        let response = match self.effects.notify_as_asked(order, by, now) {
            Ok((route, count)) => {
                let (what, id) = match order {
                    Notify::Again { id, .. } => (ChangeKind::Resent, id),
                    Notify::Drop(what) => (ChangeKind::Dropped, what),
                };
                let many = if count == 1 { "notification" } else { "notifications" };
                let of = if **id == *route { String::new() } else { format!(" ({id})") };
                let detail = format!("{count} {many} to {route}{of}");
                if count > 0 {
                    let (job, by, detail) = (None, by.into(), Some(detail.into()));
                    self.effects.remember_change(Change { at: now.wall, job, what, by, detail });
                }
                Response::Notified { route, count }
            }
            Err(fault) => Response::Refused(fault),
        };
        self.effects.answer(Box::new(move || reply(response)));
    }
}

impl Messages {
    /// Does something about notifications that somebody wants. Answers the route, how many notifications that
    /// were, and what is to be written.
    pub(in crate::run::daemon) fn ask(
        &mut self,
        order: &Notify,
        by: &str,
        now: Now,
    ) -> Result<(Box<str>, usize, Vec<Fact>), Fault> {
        let (route, count, effects) = match order {
            Notify::Again { id, entry } => {
                let entry =
                    entry.as_deref().ok_or_else(|| no_notification(id, NotFound::Unknown))?;
                let again = self.notifier.again(entry, now);
                let (route, effects) = again.map_err(|why| cannot_send(id, &why))?;
                (route, 1, effects)
            }
            Notify::Drop(what) => {
                let forgone = self.notifier.forgo(what, by, now);
                forgone.map_err(|why| self.nothing_to_drop(what, why))?
            }
        };
        self.wakeup = None;
        Ok((route, count, self.perform(effects, now)))
    }

    fn nothing_to_drop(&self, what: &str, why: NotFound) -> Fault {
        let routes = self.notifier.routes().keys().map(|name| &**name);
        match why {
            NotFound::Several => no_notification(what, why),
            NotFound::Unknown => {
                let text =
                    format!("there is no route `{what}`, and no notification of that id waits");
                let fault = Fault::new(Code::NoSuchNotification, text);
                match nearest(what, routes) {
                    Some(near) => fault.help(format!("did you mean `{near}`?")),
                    None => fault,
                }
            }
        }
    }
}

fn cannot_send(id: &str, why: &CannotSend) -> Fault {
    let (code, text) = match why {
        CannotSend::Unreadable => {
            let text = format!("what is known of {id} is not enough to send it again");
            (Code::NoSuchNotification, text)
        }
        CannotSend::NoRoute(route) => {
            let text = format!("{id} was for {route}, and the jobfile has no such route any more");
            (Code::NoSuchNotification, text)
        }
        CannotSend::Waits(route) => {
            (Code::Exists, format!("{id} waits to be sent to {route} already"))
        }
    };
    Fault::new(code, text)
}
