//! `only_on`: jobs of a jobfile that several hosts have, each with a scheduler of its own.

use super::build::Jobs;
use crate::core::job::{Elsewhere, Options};
use crate::problem::{Problem, Problems};

impl Jobs<'_, '_> {
    /// Takes out the jobs that are not for this host.
    pub(super) fn leave_to_others(&mut self, host: Option<&str>) -> Vec<Elsewhere> {
        let Some(host) = host else { return Vec::new() };
        let mut elsewhere = Vec::new();
        let is_here: Vec<bool> = self.jobs.iter().map(|job| is_for(&job.options, host)).collect();
        if is_here.iter().all(|here| *here) {
            return elsewhere;
        }
        for (job, _) in self.jobs.iter().zip(&is_here).filter(|(_, here)| !**here) {
            let only_on = job.options.only_on.clone();
            elsewhere.push(Elsewhere { id: job.id.clone(), only_on });
        }
        let mut here = is_here.iter();
        self.jobs.retain(|_| here.next().copied().unwrap_or(true));
        let mut here = is_here.iter();
        if let Some(origins) = &mut self.origins {
            origins.retain(|_| here.next().copied().unwrap_or(true));
        }
        elsewhere
    }

    /// Hosts that share a store share its jobs as well: there it is `run_on` that says where.
    pub(super) fn refuse_only_on(&self, shared: bool, problems: &mut Problems) {
        let with = self.jobs.iter().filter(|job| !job.options.only_on.is_empty());
        for job in with.filter(|_| shared) {
            let Some(place) = self.place(&job.id) else { continue };
            let message =
                "`only_on` is for hosts that have stores of their own, and these share one";
            let help = "write `run_on = [\"LABEL\"]`, and give the hosts `[fleet] labels`";
            problems.push(Problem::error(place, message).job(&job.id).help(help));
        }
    }
}

/// Whether the name of a host is like one of those that are named: in full, or up to its first dot.
fn is_for(options: &Options, host: &str) -> bool {
    let short = host.split('.').next().unwrap_or(host);
    let matching = glob::MatchOptions { case_sensitive: false, ..glob::MatchOptions::new() };
    let is_like = |pattern: &str| {
        glob::Pattern::new(pattern).is_ok_and(|pattern| {
            pattern.matches_with(host, matching) || pattern.matches_with(short, matching)
        })
    };
    options.only_on.is_empty() || options.only_on.iter().any(|pattern| is_like(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_by_their_names() {
        let rows: [(&[&str], &str, bool); 7] = [
            (&[], "web1", true),
            (&["web*"], "web1", true),
            (&["web*"], "db1", false),
            (&["db1", "web1"], "web1.example.com", true),
            (&["*.example.com"], "web1.example.com", true),
            (&["WEB?"], "web1", true),
            (&["web"], "web1", false),
        ];
        for (only_on, host, expected) in rows {
            let only_on = only_on.iter().map(|&host| host.into()).collect();
            let options = Options { only_on, ..Options::default() };
            assert_eq!(is_for(&options, host), expected, "{host}");
        }
    }
}
