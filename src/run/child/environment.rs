//! The environment of a job, put together anew for each attempt.
//!
//! In this order, later ones over earlier ones:
//!
//! 1. the scheduler's own environment, without what a service manager said to the scheduler alone
//!    and, with the `user` of somebody else, what belongs to the scheduler's user as a person
//!    (`inherited`); or, with `clear_env`, only `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, and `LANG` and
//!    `TZ` where the scheduler has them;
//! 2. with `user`, that user's `HOME`, `USER` and `LOGNAME`, and the job's shell as `SHELL`;
//! 3. with `cwd`, `PWD`;
//! 4. the variables of `env_file`, then those of `env`, be they written there or in files;
//! 5. what the scheduler says: `SCHEDRS_JOB`, `SCHEDRS_RUN`, `SCHEDRS_DUE`, `SCHEDRS_ATTEMPT`, and more
//!    to a hook.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::files::Reader;
use super::identity::Identity;
use super::secrets::{MAX_SECRET, Secrets, too_short};
use super::{env_file, files, inherited, shell};
use crate::core::job::Options;
use crate::core::sort;
use crate::sys::accounts::{self, Account};

/// PATH where nothing else says one.
pub(super) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Variables = BTreeMap<Vec<u8>, CString>;

/// A variable, by its name and value, that the scheduler sets over all others.
pub type Told<'a> = (&'a OsStr, &'a OsStr);

/// What jobs' environments begin with.
#[derive(Debug)]
pub(super) struct Base {
    inherited: Variables,
    /// What of these a job has that runs as another user.
    of_others: Variables,
    small: Variables,
}

/// A whole environment.
#[derive(Debug)]
pub(super) struct Environment<'a> {
    base: &'a Variables,
    own: Variables,
    /// What is not to be seen in the job's output.
    pub(super) secrets: Secrets,
}

impl Base {
    /// From the environment of this process.
    pub(super) fn of_this_process() -> Base {
        Base::of(std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())))
    }

    /// From the environment of the scheduler.
    pub(super) fn of(variables: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Base {
        let variables = variables
            .filter(|(name, _)| !inherited::is_of_the_service(name))
            .filter_map(|(name, value)| Some((name.clone(), join(&name, &value)?)));
        let inherited: Variables = sort::collect(variables);
        let of_others = inherited.iter().filter(|(name, _)| !inherited::is_of_a_person(name));
        let of_others = sort::collect(of_others.map(|(name, it)| (name.clone(), it.clone())));
        let mut small = Variables::new();
        set(&mut small, "PATH", DEFAULT_PATH.as_bytes());
        set(&mut small, "SHELL", b"/bin/sh");
        match accounts::account_of(rustix::process::geteuid().as_raw()) {
            Some(account) => set_account(&mut small, &account),
            None => set(&mut small, "HOME", b"/"),
        }
        for name in ["LANG", "TZ"] {
            if let Some(entry) = inherited.get(name.as_bytes()) {
                small.insert(name.into(), entry.clone());
            }
        }
        Base { inherited, of_others, small }
    }

    /// The `HOME` of this process.
    pub(super) fn home(&self) -> Option<&[u8]> {
        let entry = self.inherited.get(&b"HOME"[..])?;
        entry.to_bytes().strip_prefix(b"HOME=").filter(|home| !home.is_empty())
    }

    /// The environment of one attempt. `rights` are whose files are read as, where these are not
    /// this process's own; `told` is what the scheduler says of it. The error is a fragment that
    /// finishes "not started: ...".
    pub(super) fn compose(
        &self,
        options: &Options,
        account: Option<&Account>,
        rights: Option<&Identity>,
        told: &[Told<'_>],
    ) -> Result<Environment<'_>, String> {
        let mut own = Variables::new();
        let user = account.map(|account| account.uid);
        let reader = Reader { user, rights };
        let shell = options.shell.first().map_or("/bin/sh", |shell| shell);
        if let Some(account) = account {
            set_account(&mut own, account);
        }
        if options.clear_env || account.is_some() {
            set(&mut own, "SHELL", shell.as_bytes());
        }
        if let Some(cwd) = &options.cwd {
            // Shells would set it, programs started without one read it.
            if let Ok(cwd) = std::path::absolute(&**cwd) {
                set(&mut own, "PWD", cwd.as_os_str().as_bytes());
            }
        }
        if let Some(file) = &options.env_file {
            read_env_file(Path::new(&**file), reader, &mut own)?;
        }
        for (name, value) in &options.env {
            let entry = join(name.as_bytes(), value.as_bytes())
                .filter(|_| !name.is_empty() && !name.contains('='))
                .ok_or_else(|| format!("variable {name:?} cannot be set"))?;
            own.insert(name.as_bytes().to_vec(), entry);
        }
        let mut secrets = Secrets::default();
        for (name, path) in &options.secrets {
            let value = read_secret(Path::new(&**path), reader)?;
            let entry = join(name.as_bytes(), &value)
                .ok_or_else(|| format!("secret {path} contains a NUL byte"))?;
            own.insert(name.as_bytes().to_vec(), entry);
            secrets.add(&value);
        }
        let is_somebody_else = user.is_some_and(|uid| uid != rustix::process::geteuid().as_raw());
        let base = match (options.clear_env, is_somebody_else) {
            (true, _) => &self.small,
            (false, true) => &self.of_others,
            (false, false) => &self.inherited,
        };
        for (name, joined) in &options.joined {
            let there = own.get(name.as_bytes()).or_else(|| base.get(name.as_bytes()));
            let there = there.and_then(|entry| entry.to_bytes().get(name.len() + 1..));
            let whole = joined.around(there.unwrap_or_default());
            let entry = join(name.as_bytes(), &whole)
                .filter(|_| !name.is_empty() && !name.contains('='))
                .ok_or_else(|| format!("variable {name:?} cannot be set"))?;
            own.insert(name.as_bytes().to_vec(), entry);
        }
        for (name, value) in told {
            // One with a NUL byte cannot be told.
            own.extend(
                join(name.as_bytes(), value.as_bytes())
                    .map(|entry| (name.as_bytes().to_vec(), entry)),
            );
        }
        Ok(Environment { base, own, secrets })
    }
}

impl Environment<'_> {
    /// As the list that exec takes.
    pub(super) fn list(&self) -> Vec<&CStr> {
        let base = self.base.iter().filter(|(name, _)| !self.own.contains_key(*name));
        base.chain(&self.own).map(|(_, entry)| entry.as_c_str()).collect()
    }

    /// Every variable, as name and value.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.list().into_iter().filter_map(|entry| {
            let entry = entry.to_bytes();
            let equals = entry.iter().position(|byte| *byte == b'=')?;
            Some((&entry[..equals], &entry[equals + 1..]))
        })
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let entry = self.own.get(name.as_bytes()).or_else(|| self.base.get(name.as_bytes()))?;
        entry.to_bytes().get(name.len() + 1..)
    }

    /// Whether a shell would read no more than its command line.
    pub(super) fn leaves_shells_alone(&self) -> bool {
        !self.base.keys().chain(self.own.keys()).any(|name| shell::changes_shells(name))
    }
}

fn set(variables: &mut Variables, name: &str, value: &[u8]) {
    if let Some(entry) = join(name.as_bytes(), value) {
        variables.insert(name.into(), entry);
    }
}

fn set_account(variables: &mut Variables, account: &Account) {
    set(variables, "HOME", account.home.as_bytes());
    set(variables, "USER", account.name.as_bytes());
    set(variables, "LOGNAME", account.name.as_bytes());
}

/// `NAME=value`; `None` when either contains a NUL byte.
fn join(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

/// Reads the variables of a file.
fn read_env_file(path: &Path, reader: Reader<'_>, variables: &mut Variables) -> Result<(), String> {
    let text = files::read(path, env_file::MAX, "env_file", reader)?;
    let entries = env_file::parse(&text)
        .map_err(|flaw| format!("env_file {}, {}", path.display(), flaw.text()))?;
    for (name, value) in entries {
        // Neither contains a NUL byte.
        variables.extend(join(name, value).map(|entry| (name.to_vec(), entry)));
    }
    Ok(())
}

/// The value that stands in a file, without the newline at its end.
fn read_secret(path: &Path, reader: Reader<'_>) -> Result<Vec<u8>, String> {
    let mut value = files::read(path, MAX_SECRET, "secret", reader)?;
    if value.pop_if(|last| *last == b'\n').is_some() {
        value.pop_if(|last| *last == b'\r');
    }
    match too_short(&value) {
        Some((what, help)) => Err(format!("secret {} {what} (help: {help})", path.display())),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let mut variables = Variables::new();
        let place = file.path().display().to_string();
        read_env_file(file.path(), Reader::default(), &mut variables)
            .map_err(|error| error.replace(&place, "F"))?;
        Ok(variables.values().map(|entry| entry.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn env_files() {
        let spaced = "# a comment\n\nA=1\r\n  B = no\n";
        let said = "env_file F, line 4: no space is allowed before `=`";
        assert_eq!(parse(spaced).unwrap_err(), said);
        assert!(parse("A B=no\n").unwrap_err().starts_with("env_file F, line 1: a name"));
        assert_eq!(parse("export\tA=1\nexportB=2\n").unwrap(), ["A=1", "exportB=2"]);
        let good = "A=1\r\nexport B=\"two words\"\nC='#x'\nD=\nE=a=b # c\n";
        assert_eq!(parse(good).unwrap(), ["A=1", "B=two words", "C=#x", "D=", "E=a=b # c"]);
        let marked = "\u{feff}A=1\nB=\"x\" # note\nC='y'\t# it's\nD=\"{\"a\": 1}\"\n";
        assert_eq!(parse(marked).unwrap(), ["A=1", "B=x", "C=y", "D={\"a\": 1}"]);
        assert_eq!(parse("A=1\nB").unwrap_err(), "env_file F, line 2: expected NAME=value");
        let after = "env_file F, line 1: only a comment may follow the closing quote";
        assert_eq!(parse("A=\"x\" y").unwrap_err(), after);
        assert_eq!(parse("A=\"x\"# y").unwrap_err(), after);
        assert_eq!(parse("A='a\0b'").unwrap_err(), "env_file F, line 1: contains a NUL byte");
        assert_eq!(parse("A=\"x").unwrap_err(), "env_file F, line 1: the quote is not closed");
        let missing =
            read_env_file(Path::new("/nonexistent"), Reader::default(), &mut Variables::new());
        assert!(missing.unwrap_err().starts_with("env_file /nonexistent cannot be read: no such"));
    }
}
