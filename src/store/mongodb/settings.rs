//! What a URL of a MongoDB says: in the form that its other clients take, with a few parameters of
//! ours.
//!
//! How safely is written and where from is read is not for a URL to say: a claim counts when most
//! servers of the replica set have it.

use std::time::Duration;

use mongodb::options::{ClientOptions, ServerMonitoringMode};

use crate::core::url::SharedUrl;
use crate::store::url::decoded;
use crate::store::{StoreError, Trouble};

/// How long to look for a server, and how long a connection to it may take.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// What the client understands, and a store has a use for.
const KNOWN: [&str; 12] = [
    "appname",
    "authmechanism",
    "authsource",
    "directconnection",
    "replicaset",
    "retryreads",
    "retrywrites",
    "ssl",
    "tls",
    "tlscafile",
    "tlscertificatekeyfile",
    "w",
];

/// How to reach a store.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) url: SharedUrl,
    pub(super) options: ClientOptions,
    pub(super) database: String,
    /// What the names of the collections begin with.
    pub(super) name: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Settings").field(&self.url).finish()
    }
}

impl Settings {
    /// Reads a URL, in `runtime`, for the client wants one although nothing is waited for.
    pub(super) fn of(
        url: &SharedUrl,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Settings, StoreError> {
        let wrong = |message: String| url.error(Trouble::Other, &message);
        let (own, rest) = Own::split(url.secret_text()).map_err(wrong)?;
        let parsed = runtime.block_on(async { ClientOptions::parse(&rest).await });
        let mut options = parsed.map_err(|error| wrong(super::trouble::words(&error)))?;
        if let Some(file) = &own.password_file {
            let password = std::fs::read_to_string(file).map_err(|error| {
                url.error(Trouble::Denied, &format!("{file} cannot be read: {error}"))
            })?;
            let Some(credential) = &mut options.credential else {
                return Err(wrong("has a password_file, and no user".to_owned()));
            };
            credential.password = Some(password.trim_end_matches(['\r', '\n']).to_owned());
        }
        options.app_name.get_or_insert_with(|| "schedrs".to_owned());
        // One thread asks one thing at a time. That a moment was bad is for the scheduler to know, so
        // that nothing is tried again behind its back.
        (options.max_pool_size, options.min_pool_size) = (Some(1), None);
        (options.retry_reads, options.retry_writes) = (Some(false), Some(false));
        options.server_selection_timeout = Some(CONNECT);
        options.connect_timeout = Some(CONNECT);
        options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
        let database = options.default_database.clone().unwrap_or_else(|| "schedrs".to_owned());
        Ok(Settings { url: url.clone(), options, database, name: own.name })
    }
}

/// What is wrong with a URL, as far as that is known without the client.
pub(in crate::store) fn check(url: &SharedUrl) -> Result<(), String> {
    Own::split(url.secret_text()).map(drop)
}

/// Parameters of the URL that the client knows nothing of.
struct Own {
    name: String,
    password_file: Option<String>,
}

impl Own {
    /// Takes what is ours out of a URL, and refuses what nobody knows.
    fn split(url: &str) -> Result<(Own, String), String> {
        let (scheme, rest) = url.split_once("://").ok_or("is no URL")?;
        if scheme.eq_ignore_ascii_case("mongodb+srv") {
            let instead = "mongodb://HOST,HOST/DATABASE?replicaSet=NAME&tls=true";
            return Err(format!(
                "schedrs does not look up hosts in the DNS (SRV): \
                 name them, as {instead}"
            ));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut own = Own { name: "schedrs".to_owned(), password_file: None };
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match &*key.to_ascii_lowercase() {
                "name" => own.name = decoded(value),
                "password_file" => own.password_file = Some(decoded(value)),
                "w" if value != "majority" => {
                    return Err(format!("has w={value}: a store is always written by w=majority"));
                }
                known if KNOWN.contains(&known) => others.push(pair),
                _ => return Err(format!("has the unknown parameter {key:?}")),
            }
        }
        let fits = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
        if own.name.is_empty() || own.name.len() > 60 || !own.name.chars().all(fits) {
            return Err(format!("has the name {:?}: use letters and digits", own.name));
        }
        // The client wants a slash before a question mark.
        let slash = if place.contains('/') { "" } else { "/" };
        let mark = if others.is_empty() { "" } else { "?" };
        Ok((own, format!("mongodb://{place}{slash}{mark}{}", others.join("&"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Settings, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Settings::of(&SharedUrl::parse(url).unwrap(), &runtime).map_err(|error| error.message)
    }

    #[test]
    fn urls() {
        let plain = of("mongodb://db").unwrap();
        assert_eq!((&*plain.database, &*plain.name), ("schedrs", "schedrs"));
        assert_eq!(plain.options.hosts[0].to_string(), "db:27017");
        let full = "MongoDB://ann:s%40cret@a:7,b/jobs?replicaSet=rs0&name=night&w=majority&\
                    retryWrites=true&authSource=admin";
        let full = of(full).unwrap();
        let hosts: Vec<String> = full.options.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["a:7", "b:27017"]);
        assert_eq!((&*full.database, &*full.name), ("jobs", "night"));
        assert_eq!(full.options.repl_set_name.as_deref(), Some("rs0"));
        let credential = full.options.credential.as_ref().unwrap();
        assert_eq!(credential.password.as_deref(), Some("s@cret"));
        assert_eq!(credential.source.as_deref(), Some("admin"));
        assert_eq!(full.options.retry_writes, Some(false));
        assert!(!format!("{full:?}").contains("cret"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, expected) in [
            ("mongodb://ann:s3cret@h/?tlsInsecure=true", "unknown parameter \"tlsInsecure\""),
            ("mongodb://ann:s3cret@h/?w=1", "w=1"),
            ("mongodb://ann:s3cret@h/?name=a.b", "letters and digits"),
            ("mongodb://ann:s3cret@h:x/jobs", "port"),
            ("mongodb://h/?password_file=/none", "/none cannot be read"),
            ("mongodb+srv://ann:s3cret@h/jobs", "name them, as mongodb://HOST,HOST/DATABASE"),
        ] {
            let error = of(url).unwrap_err();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
