//! One connection to the server, made when it is needed and thrown away after an error after which
//! nobody knows what the next answer is for.

use std::sync::Arc;

use mysql::prelude::Queryable;
use mysql::{Conn, Error, Value};

use super::cells::{self, Row};
use super::schema;
use super::settings::Settings;
use crate::store::url::handshake;
use crate::store::{StoreError, Trouble};

/// So often a transaction is tried that others are in the way of. Hosts that race for the same due
/// times, as they do when they disagree about who is there, get into each other's way in the keys: one
/// of two goes on each time, so that as many as may race are enough.
const AGAIN: usize = 12;
/// So many bytes are sent at once; no server takes less than four times of it.
const PIECE: usize = 4 << 20;

/// The error of a subquery with more than one row: what the fence of a commit makes.
const FENCED: u16 = 1242;
const DEADLOCK: u16 = 1213;
const LOCK_TIMEOUT: u16 = 1205;

/// The way to the server.
pub(super) struct Link {
    pub(super) settings: Arc<Settings>,
    conn: Option<Conn>,
    /// Which server this is, once there was a connection.
    pub(super) identity: Box<str>,
    /// Whether tables are to be made where there are none.
    make: bool,
    /// The version of the tables, once they were looked at.
    version: Option<i64>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.settings.url).finish()
    }
}

/// Why a transaction has failed.
pub(super) enum Failed {
    /// Its fence has found no session.
    Fenced,
    /// Anything else.
    Store(StoreError),
}

/// What each statement that answers rows has answered.
pub(super) type Answers = Vec<Vec<Row>>;

impl Link {
    pub(super) fn new(settings: Arc<Settings>, make: bool) -> Link {
        Link { settings, conn: None, identity: "".into(), make, version: None }
    }

    /// Asks these things, one after the other, in one round trip.
    pub(super) fn ask(&mut self, statements: &[String]) -> Result<Answers, StoreError> {
        let mut conn = self.take()?;
        let answers = query(&mut conn, &statements.join(";"));
        self.done(conn, answers)
    }

    /// Does all of it or nothing. What others were in the way of is done again.
    pub(super) fn transaction(&mut self, statements: &[String]) -> Result<Answers, StoreError> {
        self.fenced(statements).map_err(|failed| match failed {
            Failed::Fenced => self.settings.url.error(Trouble::Other, "answers too much"),
            Failed::Store(error) => error,
        })
    }

    /// The same, for one whose fence may fail.
    pub(super) fn fenced(&mut self, statements: &[String]) -> Result<Answers, Failed> {
        let pieces = pieces(statements);
        let mut left = AGAIN;
        loop {
            left -= 1;
            let mut conn = self.take().map_err(Failed::Store)?;
            let mut answers = Ok(Vec::new());
            for piece in &pieces {
                let more = query(&mut conn, piece);
                answers = answers.and_then(|all: Answers| Ok([all, more?].concat()));
                if answers.is_err() {
                    break;
                }
            }
            let code = answers.as_ref().err().and_then(code_of);
            if code.is_some() && query(&mut conn, "ROLLBACK").is_err() {
                // Its transaction is over with it.
                drop(conn);
                self.conn = None;
            } else if code.is_some() || answers.is_ok() {
                self.conn = Some(conn);
            }
            match code {
                Some(FENCED) => return Err(Failed::Fenced),
                Some(DEADLOCK | LOCK_TIMEOUT) if left > 0 => {}
                _ => return answers.map_err(|error| Failed::Store(self.error(&error))),
            }
        }
    }

    /// Which server it is that answers, connected to if need be.
    pub(super) fn server(&mut self) -> Result<Box<str>, StoreError> {
        let conn = self.take()?;
        self.conn = Some(conn);
        Ok(self.identity.clone())
    }

    /// Whether the tables are of this version, or a newer one.
    pub(super) fn has(&mut self, version: i64) -> Result<bool, StoreError> {
        // Another host may have brought them up to date meanwhile.
        self.version = self.version.filter(|found| *found >= version);
        let conn = self.take()?;
        self.conn = Some(conn);
        Ok(self.version.is_some_and(|found| found >= version))
    }

    /// The connection, to a server that has the tables.
    fn take(&mut self) -> Result<Conn, StoreError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect()?,
        };
        if self.version.is_none() {
            self.version = Some(schema::ensure(&self.settings, &mut conn, self.make)?);
        }
        Ok(conn)
    }

    /// Keeps a connection that can be used again.
    fn done(&mut self, conn: Conn, answers: Result<Answers, Error>) -> Result<Answers, StoreError> {
        match answers {
            Err(error) if code_of(&error).is_none() => Err(self.error(&error)),
            answers => {
                self.conn = Some(conn);
                answers.map_err(|error| self.error(&error))
            }
        }
    }

    /// Connects to the first host that can be written.
    fn connect(&mut self) -> Result<Conn, StoreError> {
        let mut worst: Option<StoreError> = None;
        for (name, options) in self.settings.hosts() {
            let error = match Conn::new(options) {
                Ok(mut conn) => match identity(&mut conn) {
                    Ok((identity, false)) => {
                        self.identity = identity;
                        return Ok(conn);
                    }
                    Ok((_, true)) => {
                        let message = format!("{name} is read-only: it is a replica");
                        self.settings.url.error(Trouble::ReadOnly, &message)
                    }
                    Err(error) => self.error(&error),
                },
                Err(error) => self.error(&error),
            };
            // That a password is wrong says more than that another host is away.
            if worst.as_ref().is_none_or(|worst| worst.kind == Trouble::Unreachable) {
                worst = Some(error);
            }
        }
        Err(worst.unwrap_or_else(|| self.settings.url.error(Trouble::Other, "names no host")))
    }

    fn error(&self, error: &Error) -> StoreError {
        trouble(&self.settings, error)
    }
}

/// Statements joined, in pieces that a server takes.
fn pieces(statements: &[String]) -> Vec<String> {
    let mut pieces = vec!["START TRANSACTION".to_owned()];
    for statement in statements {
        let piece = match pieces.last_mut() {
            Some(piece) if piece.len() + statement.len() <= PIECE => {
                piece.push(';');
                piece
            }
            _ => {
                pieces.push(String::new());
                let last = pieces.len() - 1;
                &mut pieces[last]
            }
        };
        piece.push_str(statement);
    }
    if let Some(piece) = pieces.last_mut() {
        piece.push_str(";COMMIT");
    }
    pieces
}

/// What statements answer that answer rows.
pub(super) fn query(conn: &mut Conn, sql: &str) -> Result<Answers, Error> {
    let mut result = conn.query_iter(sql)?;
    let mut answers = Vec::new();
    while let Some(set) = result.iter() {
        let has_rows = !set.columns().as_ref().is_empty();
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for row in set {
            let cells = row?.unwrap_raw().into_iter();
            rows.push(cells.map(|cell| cell.unwrap_or(Value::NULL)).collect());
        }
        if has_rows {
            answers.push(rows);
        }
    }
    Ok(answers)
}

/// Which server this is, and whether it can only be read.
fn identity(conn: &mut Conn) -> Result<(Box<str>, bool), Error> {
    let version = "SELECT @@version, @@global.read_only, @@hostname, @@server_id, @@port";
    let answers = query(conn, version)?;
    let row = answers.first().and_then(|rows| rows.first());
    let Some(row) = row else { return Ok(("".into(), false)) };
    let text = |place| cells::text(row, place).unwrap_or_default();
    let read_only = cells::number(row, 1).unwrap_or(0) != 0;
    if !text(0).contains("MariaDB") {
        let found = query(conn, "SELECT @@server_uuid")?;
        let uuid = found.first().and_then(|rows| cells::text(rows.first()?, 0).ok());
        return Ok((uuid.unwrap_or_default(), read_only));
    }
    Ok((format!("{}/{}/{}", text(2), text(3), text(4)).into(), read_only))
}

/// The number of an error of the server. Others are of the connection.
fn code_of(error: &Error) -> Option<u16> {
    match error {
        Error::MySqlError(error) => Some(error.code),
        _ => None,
    }
}

/// What an error means.
pub(super) fn trouble(settings: &Settings, error: &Error) -> StoreError {
    let with = |kind, words: &str| settings.url.error(kind, words);
    let Error::MySqlError(said) = error else {
        let text = error.to_string().replace('\n', " ");
        // The client puts the name of a type around it.
        let inner = text.split_once("Error { ").and_then(|(_, inner)| inner.strip_suffix(" }"));
        let text = inner.unwrap_or(&text);
        let words = if text.contains("timed out") || text.contains("temporarily unavailable") {
            "does not answer in time".to_owned()
        } else {
            let text = text.strip_prefix("IO error: `").unwrap_or(text).trim_end_matches('\'');
            let text = handshake(text, "ssl-ca").unwrap_or_else(|| text.to_owned());
            format!("cannot be reached: {text}")
        };
        return with(Trouble::Unreachable, &words);
    };
    let text = &said.message;
    match said.code {
        1045 | 1698 | 2059 => with(Trouble::Denied, "rejects this name and password"),
        1044 | 1142 | 1143 | 1227 | 1370 => {
            with(Trouble::Denied, &format!("denies this user something it needs: {text}"))
        }
        1049 => {
            let message = format!("has no database {:?}; create it first", settings.database());
            with(Trouble::Missing, &message)
        }
        1146 => with(Trouble::Missing, "has no schedrs tables; `schedrs run` creates them"),
        DEADLOCK | LOCK_TIMEOUT => with(Trouble::Conflict, "keeps conflicting with other writers"),
        1021 | 1041 | 1114 | 1037 | 1038 => {
            with(Trouble::Full, &format!("is out of space: {text}"))
        }
        1290 | 1836 | 1792 => with(Trouble::Unreachable, &format!("is not writable: {text}")),
        1040 | 1203 | 1226 => with(Trouble::Unreachable, "has too many connections"),
        1053 | 1077 | 1079 | 1152 | 1158..=1161 | 1927 | 3024 => {
            with(Trouble::Unreachable, &format!("is not ready: {text}"))
        }
        code => with(Trouble::Other, &format!("{text} (error {code})")),
    }
}
