//! Whether the jobs that are due after others (`super::after`) can be: there are those that they name, none
//! comes after itself, and hosts that share a store can start them.

use std::collections::HashMap;

use super::after::{Follows, Named};
use super::build::Jobs;
use crate::core::fleet::RunOn;
use crate::core::job::Job;
use crate::core::nearest::nearest;
use crate::core::trigger::Trigger;
use crate::problem::{Problem, Problems};

impl Jobs<'_, '_> {
    /// Reports what cannot be among the jobs that are due after others, now that all are known. `shared`:
    /// several hosts may have the store.
    pub(super) fn check_after(&self, shared: bool, problems: &mut Problems) {
        if self.follows.is_empty() {
            return;
        }
        let jobs: HashMap<&str, &Job> = self.jobs.iter().map(|job| (&*job.id, &**job)).collect();
        let of: HashMap<&str, &Follows> =
            self.follows.iter().map(|follows| (&*follows.child, follows)).collect();
        for follows in &self.follows {
            for Named { parent, place } in &follows.parents {
                if self.place(parent).is_none() {
                    let message = format!("no job `{parent}`");
                    let problem = Problem::error(*place, message).job(&follows.child);
                    let near = nearest(parent, self.ids());
                    let help = near.map(|near| format!("did you mean `{near}`?"));
                    problems.push(Problem { help, ..problem });
                }
            }
            if shared {
                check_hosts(follows, &jobs, problems);
            }
        }
        self.check_circles(&of, problems);
    }

    /// Each circle is told once, of the first of its jobs.
    fn check_circles(&self, of: &HashMap<&str, &Follows>, problems: &mut Problems) {
        // 0: not looked at; 1: on the way; 2: it is in no further circle.
        let mut seen: HashMap<&str, u8> = HashMap::new();
        for first in &self.follows {
            // Each step of the way: a job, and which of its parents is next.
            let mut way: Vec<(&Follows, usize)> = Vec::new();
            if !seen.contains_key(&*first.child) {
                way.push((first, 0));
                seen.insert(&first.child, 1);
            }
            while let Some((follows, next)) = way.last_mut() {
                let Some(named) = follows.parents.get(*next) else {
                    seen.insert(&follows.child, 2);
                    way.pop();
                    continue;
                };
                *next += 1;
                let Some(parent) = of.get(&*named.parent) else { continue };
                match seen.get(&*parent.child) {
                    Some(1) => tell_circle(&way, named, problems),
                    Some(_) => {}
                    None => {
                        seen.insert(&parent.child, 1);
                        way.push((parent, 0));
                    }
                }
            }
        }
    }
}

/// A circle: the end of the way leads back to a job on it.
fn tell_circle(way: &[(&Follows, usize)], last: &Named, problems: &mut Problems) {
    let Some(begin) = way.iter().position(|(follows, _)| follows.child == last.parent) else {
        return;
    };
    let circle = &way[begin..];
    let Some((follows, next)) = circle.first() else { return };
    let mut message = match circle {
        [_] => format!("`{}` is due after itself", follows.child),
        _ => "a circle: ".to_owned(),
    };
    if circle.len() > 1 {
        let after = circle.iter().map(|(follows, _)| &follows.child);
        let before = circle.iter().skip(1).map(|(follows, _)| &follows.child).chain([&last.parent]);
        let links = after.zip(before).enumerate().map(|(place, (after, before))| match place {
            0 => format!("`{after}` is due after `{before}`"),
            _ => format!("`{after}` after `{before}`"),
        });
        message += &links.collect::<Vec<String>>().join(", ");
    }
    let problem = Problem::error(last.place, message).help("it would never begin");
    let first = follows.parents.get(next.saturating_sub(1));
    problems.push(match first.filter(|_| circle.len() > 1) {
        Some(first) => problem.related("and the other way round", first.place),
        None => problem,
    });
}

/// Where several hosts share the store, a job that runs on each of them follows a job that does so too, on
/// the same host.
fn check_hosts(follows: &Follows, jobs: &HashMap<&str, &Job>, problems: &mut Problems) {
    let Some(child) = jobs.get(&*follows.child) else { return };
    let Trigger::After(after) = &child.trigger else { return };
    let on_each = |job: &Job| job.options.run_on == RunOn::All;
    if on_each(child)
        && after.parents().len() > 1
        && let Some(second) = follows.parents.get(1)
    {
        let message = "with `run_on = \"all\"` a job cannot wait for several others";
        let help = "make it a chain, each after the one before";
        problems.push(Problem::error(second.place, message).job(&follows.child).help(help));
    }
    for Named { parent, place } in &follows.parents {
        let Some(job) = jobs.get(&**parent) else { continue };
        if on_each(job) != on_each(child) {
            let (one, other) = (parent, &follows.child);
            let (each, once) = if on_each(job) { (one, other) } else { (other, one) };
            let message = format!("`{each}` runs on all hosts, `{once}` on one");
            let help = "each host has due times of its own of a job with `run_on = \"all\"`";
            problems.push(Problem::error(*place, message).job(&follows.child).help(help));
        }
    }
}
