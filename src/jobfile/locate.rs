//! Which jobfile is meant when none is named.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The file to load: the one named on the command line, or the first that exists of
/// `$SCHEDRS_JOBFILE`, `./jobs.toml`, `$XDG_CONFIG_HOME/schedrs/jobs.toml` and
/// `/etc/schedrs/jobs.toml`. A file that `$SCHEDRS_JOBFILE` names is taken whether it exists or
/// not: the message that it does not is better than another file.
pub(crate) fn jobfile(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.to_path_buf());
    }
    let variable = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    if let Some(file) = variable("SCHEDRS_JOBFILE") {
        return Ok(file.into());
    }
    let config = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        // The specification says that relative ones are to be ignored.
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))
        .map(|dir| dir.join("schedrs/jobs.toml"));
    let local = PathBuf::from("jobs.toml");
    let system = PathBuf::from("/etc/schedrs/jobs.toml");
    // `exists` also says no when a directory may not be searched; then the file is no use either.
    let found = [Some(&local), config.as_ref(), Some(&system)].into_iter().flatten();
    if let Some(found) = found.into_iter().find(|path| path.exists()) {
        return Ok(found.clone());
    }
    let config = match &config {
        Some(path) => path.display().to_string(),
        None => "$XDG_CONFIG_HOME/schedrs/jobs.toml (neither it nor $HOME is set)".to_owned(),
    };
    bail!(
        "no jobfile: name one, or write one of these, which were looked for in this order:\n  \
         $SCHEDRS_JOBFILE (not set)\n  ./jobs.toml\n  {config}\n  /etc/schedrs/jobs.toml\n\
         `schedrs init` writes ./jobs.toml, with three harmless jobs"
    )
}
