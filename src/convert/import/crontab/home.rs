//! Where cron starts the jobs of a user: at home.

use std::collections::BTreeSet;

use crate::convert::import::{Draft, Value};
use crate::problem::Problem;

/// Lets each job that has neither a user nor a working directory start in the home of whoever will run
/// it: `~`, or what that is known to be.
pub fn run_at_own_home(draft: &mut Draft<'_>, home: &str) {
    for job in &mut draft.jobs {
        if job.get("cwd").is_none() && job.get("user").is_none() {
            job.text("cwd", home);
        }
    }
}

/// Lets each job that has a user and no working directory yet start in that user's home. Where
/// `home` knows none, that is said once for each user.
pub fn run_at_home(draft: &mut Draft<'_>, home: &dyn Fn(&str) -> Option<String>) {
    let mut homeless = BTreeSet::new();
    for job in &mut draft.jobs {
        let (None, Some(Value::Text(user))) = (job.get("cwd"), job.get("user")) else { continue };
        let user = user.clone();
        if let Some(home) = home(&user) {
            job.text("cwd", home);
        } else if let Some(place) = job.place
            && homeless.insert(user.clone())
        {
            let message = format!(
                "cron starts the jobs of `{user}` at home, and this machine has no such directory"
            );
            let help = "give the jobs a `cwd`, or use absolute paths";
            draft.problems.push(Problem::warning(place, message).help(help));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::convert::import::crontab::{Options, read, run_at_home, run_at_own_home};
    use crate::convert::import::{Draft, Value};
    use crate::core::zone::Database;

    #[test]
    fn each_user_has_a_home_or_is_named() {
        let text = "0 1 * * * bob a\n0 2 * * * eve b\n0 3 * * * eve c\nHOME=/x\n0 4 * * * bob d\n";
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        read(&mut draft, "t", text, Options { system: true, user: None });
        run_at_home(&mut draft, &|user| (user == "bob").then(|| "/home/bob".to_owned()));
        let cwd = |at: usize| draft.jobs[at].get("cwd").cloned();
        assert_eq!(cwd(0), Some(Value::Text("/home/bob".to_owned())));
        assert_eq!((cwd(1), cwd(2)), (None, None));
        assert_eq!(cwd(3), Some(Value::Text("/x".to_owned())));
        run_at_own_home(&mut draft, "~");
        assert!(draft.jobs.iter().all(|job| job.get("cwd") != Some(&Value::Text("~".to_owned()))));
        let (_, problems, sources) = draft.write();
        let said: Vec<String> =
            problems.iter().map(|problem| sources.name(problem.place) + &problem.message).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("t:2:1cron starts the jobs of `eve` at home"), "{said:?}");
    }
}
