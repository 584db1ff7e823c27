//! `~` and `$HOME` at the beginning of a path of a job: the home that the job itself has. Who that is, is
//! known when it starts, so nothing of it is decided where the jobfile is read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::Failure;
use crate::core::event::Start;
use crate::core::job::{Job, Options, below_home};
use crate::core::sort;
use crate::sys::accounts::{self, Account};

/// The start of a job whose paths are whole; `None`: they are already. `inherited` is the `HOME` of this
/// process's own environment.
pub(super) fn at_home(
    start: &Start,
    account: Option<&Account>,
    inherited: Option<&[u8]>,
) -> Result<Option<Start>, Failure> {
    let Some(options) = options_at_home(&start.job.options, account, inherited)? else {
        return Ok(None);
    };
    let job = Job { options: Arc::new(options), ..Job::clone(&start.job) };
    Ok(Some(Start { job: Arc::new(job), ..start.clone() }))
}

/// The same of options alone.
pub(super) fn options_at_home(
    options: &Options,
    account: Option<&Account>,
    inherited: Option<&[u8]>,
) -> Result<Option<Options>, Failure> {
    let below = options.cwd.iter().chain(&options.env_file).chain(options.secrets.values());
    let Some(first) = below.clone().find(|path| below_home(path).is_some()) else {
        return Ok(None);
    };
    let Some(home) = home_of(options, account, inherited) else {
        let reason = format!("`{first}` is below a home directory that cannot be determined");
        return Err(Failure::lasting(reason));
    };
    let whole = |path: &str| -> Box<str> {
        match below_home(path) {
            Some(rest) => format!("{home}{rest}").into(),
            None => path.into(),
        }
    };
    let secrets = options.secrets.iter();
    Ok(Some(Options {
        cwd: options.cwd.as_deref().map(whole),
        env_file: options.env_file.as_deref().map(whole),
        secrets: sort::collect(secrets.map(|(name, path)| (name.clone(), whole(path)))),
        ..options.clone()
    }))
}

/// The `HOME` that the job will have.
fn home_of(
    options: &Options,
    account: Option<&Account>,
    inherited: Option<&[u8]>,
) -> Option<String> {
    if let Some(home) = options.env.get("HOME") {
        return Some(home.to_string()).filter(|home| home.starts_with('/'));
    }
    let own = || accounts::account_of(rustix::process::geteuid().as_raw());
    let home = match (account, inherited) {
        (Some(account), _) => account.home.clone(),
        (None, Some(home)) if !options.clear_env => OsStr::from_bytes(home).to_owned(),
        (None, _) => own()?.home,
    };
    home.into_string().ok().filter(|home| home.starts_with('/'))
}
