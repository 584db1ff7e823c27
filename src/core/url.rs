//! The name of a store on a server, as `[store] url` has it: which engine it is for, and how it may be
//! shown.
//!
//! What stands in such a URL besides is the engine's to understand, in the form that its users know.
//! A password in it is shown nowhere: not in the log, not in an error, not in a debugger's dump.

use std::fmt;

/// A kind of server that can hold a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// Redis and Valkey.
    Redis,
    /// MongoDB.
    Mongodb,
}

/// What a URL begins with, and whose it is.
const SCHEMES: [(&str, Engine); 10] = [
    ("postgres://", Engine::Postgres),
    ("postgresql://", Engine::Postgres),
    ("mysql://", Engine::Mysql),
    ("mariadb://", Engine::Mysql),
    ("redis://", Engine::Redis),
    ("rediss://", Engine::Redis),
    ("redis+sentinel://", Engine::Redis),
    ("rediss+sentinel://", Engine::Redis),
    ("mongodb://", Engine::Mongodb),
    // Its engine says why not.
    ("mongodb+srv://", Engine::Mongodb),
];

/// Parameters whose values are secrets.
const SECRETS: [&str; 6] = [
    "password",
    "sslpassword",
    "passwd",
    "pwd",
    "sentinel_password",
    "tlscertificatekeyfilepassword",
];

impl Engine {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "PostgreSQL",
            Engine::Mysql => "MySQL",
            Engine::Redis => "Redis",
            Engine::Mongodb => "MongoDB",
        }
    }

    /// The cargo feature it is built with.
    pub fn feature(self) -> &'static str {
        match self {
            Engine::Postgres => "postgres",
            Engine::Mysql => "mysql",
            Engine::Redis => "redis",
            Engine::Mongodb => "mongodb",
        }
    }
}

/// The URL of a store on a server. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedUrl {
    text: Box<str>,
    engine: Engine,
}

impl SharedUrl {
    /// Takes a text that begins as such a URL does.
    pub fn parse(text: &str) -> Option<SharedUrl> {
        let begins = |scheme: &str| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let (_, engine) = SCHEMES.iter().find(|(scheme, _)| begins(scheme))?;
        Some(SharedUrl { text: text.into(), engine: *engine })
    }

    /// Whose it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// All of it, password included: for the engine alone.
    pub fn secret_text(&self) -> &str {
        &self.text
    }

    /// A text such as an engine's error, in which a password of this URL is not to be seen.
    pub fn masked(&self, text: &str) -> String {
        let mut shown = text.replace(&*self.text, &self.to_string());
        for secret in self.secrets() {
            shown = shown.replace(secret, "***");
        }
        shown
    }

    /// Where secrets are in the text, in their order.
    fn secret_parts(&self) -> Vec<std::ops::Range<usize>> {
        let text = &*self.text;
        let start = text.find("://").map_or(0, |at| at + 3);
        let query = text[start..].find('?').map_or(text.len(), |at| start + at);
        let mut found = Vec::new();
        // A password with an `@` of its own is not rare, so that the last one counts.
        if let Some(at) = text[start..query].rfind('@')
            && let Some(colon) = text[start..start + at].find(':')
        {
            found.push(start + colon + 1..start + at);
        }
        let mut at = query;
        for part in text[query..].split_inclusive('&') {
            let pair = part.trim_start_matches('?').trim_end_matches('&');
            if let Some((name, value)) = pair.split_once('=')
                && SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
            {
                let from = at + usize::from(part.starts_with('?')) + name.len() + 1;
                found.push(from..from + value.len());
            }
            at += part.len();
        }
        found
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        // What is very short would mask half of a message, and gives away little.
        self.secret_parts().into_iter().map(|part| &self.text[part]).filter(|part| part.len() > 3)
    }
}

impl fmt::Display for SharedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut from = 0;
        for part in self.secret_parts() {
            f.write_str(&self.text[from..part.start])?;
            f.write_str("***")?;
            from = part.end;
        }
        f.write_str(&self.text[from..])
    }
}

impl fmt::Debug for SharedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        let rows = [
            ("postgres://localhost/jobs", "postgres://localhost/jobs"),
            ("postgres://ann@localhost/jobs", "postgres://ann@localhost/jobs"),
            ("postgres://ann:s3cret@db1,db2:5433/jobs", "postgres://ann:***@db1,db2:5433/jobs"),
            ("mysql://ann:a@b:c/d@db/jobs", "mysql://ann:***@db/jobs"),
            ("redis://:s3cret@db/0", "redis://:***@db/0"),
            ("POSTGRES://ann:s3cret@db", "POSTGRES://ann:***@db"),
            (
                "postgresql:///jobs?host=/run&password=s3cret&sslmode=require",
                "postgresql:///jobs?host=/run&password=***&sslmode=require",
            ),
            ("mongodb://a:b@h/?w=1&Password=x", "mongodb://a:***@h/?w=1&Password=***"),
        ];
        for (text, shown) in rows {
            let url = SharedUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.secret_text(), text);
            assert_eq!(format!("{url:?}"), format!("SharedUrl({shown})"));
        }
    }

    #[test]
    fn nor_in_what_an_engine_says() {
        let url = SharedUrl::parse("redis://ann:s3cret@db").unwrap();
        let said = url.masked("cannot log in to redis://ann:s3cret@db by s3cret");
        assert_eq!(said, "cannot log in to redis://ann:***@db by ***");
    }

    #[test]
    fn what_is_none() {
        for text in ["", "postgres", "postgres:/x", "http://x", "sqlite:x", "mongodb+x://x", "é://"]
        {
            assert_eq!(SharedUrl::parse(text), None, "{text}");
        }
    }
}
