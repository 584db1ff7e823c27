//! What the client and the server say of an error, in one line, and what kind of trouble it is.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::Trouble;
use crate::store::url::handshake;

/// The fence of a commit divides by the number of sessions it has found.
pub(super) fn is_fence(error: &Error) -> bool {
    error.code() == Some(&SqlState::DIVISION_BY_ZERO)
}

/// Whether the same once more may work at once.
pub(super) fn is_conflict(error: &Error) -> bool {
    let kinds = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| kinds.contains(code))
}

/// Whether the server does not know a statement by the name that it was given, or another by that name, or
/// its connection is not the one that was marked: a pooler is in between.
pub(super) fn is_forgotten(error: &Error) -> bool {
    let kinds = [
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::INVALID_TEXT_REPRESENTATION,
    ];
    error.code().is_some_and(|code| kinds.contains(code))
}

/// Whether a host was passed over because it may only be read.
pub(super) fn is_standby(error: &Error) -> bool {
    error.code().is_none() && source(error) == NO_WRITES
}

/// What the client says of a standby.
const NO_WRITES: &str = "database does not allow writes";

/// What kind it is.
pub(super) fn kind(error: &Error) -> Trouble {
    let Some(code) = error.code() else {
        let asks = source(error).contains(NO_PASSWORD);
        return if asks { Trouble::Denied } else { Trouble::Unreachable };
    };
    let name = code.code();
    match name {
        "40001" | "40P01" | "55P03" => Trouble::Conflict,
        "28P01" | "28000" | "42501" => Trouble::Denied,
        "53100" => Trouble::Full,
        "3D000" | "3F000" | "42P01" => Trouble::Missing,
        // A standby, or a server that is made read-only: another may be there soon.
        "25006" | "57014" => Trouble::Unreachable,
        "XX001" | "XX002" => Trouble::Corrupt,
        _ => match &name[..2] {
            "08" | "53" | "57" | "58" => Trouble::Unreachable,
            _ => Trouble::Other,
        },
    }
}

/// What the client says when it has no password.
const NO_PASSWORD: &str = "password missing";

/// What is at the bottom of it.
fn source(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

/// What it says.
pub(super) fn words(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        let hint = match db.code().code() {
            "3D000" => "; create it first",
            "42501" => "; its owner must GRANT it",
            "25006" => "; this server is a standby",
            _ => "",
        };
        return format!("{}{hint}", db.message());
    }
    match &*source(error) {
        NO_WRITES => "it may only be read, as a standby".to_owned(),
        NO_PASSWORD => {
            "the server asks for a password: put it in the URL, $PGPASSWORD or ~/.pgpass".to_owned()
        }
        "server does not support TLS" => {
            "the server has no TLS; set sslmode=disable to connect without it".to_owned()
        }
        text => match handshake(text, "sslrootcert") {
            Some(words) if text.contains("UnknownIssuer") => {
                format!("{words}, or do without TLS with sslmode=disable")
            }
            words => words.unwrap_or_else(|| text.to_owned()),
        },
    }
}
