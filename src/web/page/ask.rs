//! Asking before something is done.

use maud::{Markup, html};

use super::{Head, Tab, View, job_href, job_link, whole};
use crate::problem::clean;
use crate::web::source::{Act, Verb};

/// The page: a question, and the button that does it.
pub(in crate::web) fn ask(view: &View<'_>, act: &Act, user: &str) -> Markup {
    let (back, title) = match act.run {
        Some(run) => (format!("/runs/{run}"), format!("Stop run {run}?")),
        None => (
            job_href(&act.job),
            match act.verb {
                Verb::Start => format!("Start {} now?", clean(&act.job)),
                Verb::Stop => format!("Stop the runs of {}?", clean(&act.job)),
                Verb::Pause => format!("Pause {}?", clean(&act.job)),
                Verb::Resume => format!("Resume {}?", clean(&act.job)),
            },
        ),
    };
    let text = match act.verb {
        Verb::Start => {
            "It starts beside its schedule, or waits for a slot. Its due times stay as they are."
        }
        Verb::Stop => "All its processes get SIGTERM, and SIGKILL if they do not end in time.",
        Verb::Pause => "It does not run until somebody resumes it. Active runs go on.",
        Verb::Resume => "From here on it runs when it is due.",
    };
    let main = html! {
        p.up { a href="/jobs" { "Jobs" } " / " (job_link(&act.job)) " /" }
        h1 { (title) }
        p { (text) }
        form.ask method="post" action={ (back) "/" (act.verb.word()) } {
            @if act.verb == Verb::Pause {
                p { label for="reason" { "Why (optional)" } " " input #reason name="reason" maxlength="200" autocomplete="off"; }
            }
            button.go { (match act.verb { Verb::Start => "Start now", Verb::Stop => "Stop", Verb::Pause => "Pause", Verb::Resume => "Resume" }) }
            " " a href=(back) { "Cancel" }
        }
        p.dim { "It will be recorded that " (clean(user)) " did it." }
    };
    whole(view, &Head { tab: Tab::None, title: &title, live: None }, &main)
}
