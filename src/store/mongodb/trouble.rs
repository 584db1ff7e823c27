//! What the client and the server say of an error, in one line, and what kind of trouble it is.

use mongodb::error::{Error, ErrorKind};

use crate::store::Trouble;
use crate::store::url::handshake;

/// A key that is there already.
pub(super) const DUPLICATE: i32 = 11000;

/// What kind it is.
pub(super) fn kind(error: &Error) -> Trouble {
    match &*error.kind {
        ErrorKind::Authentication { .. } => Trouble::Denied,
        ErrorKind::Command(said) => of_code(said.code),
        ErrorKind::ServerSelection { message, .. } if lets_nobody_in(message) => Trouble::Denied,
        ErrorKind::ServerSelection { .. }
        | ErrorKind::Io(_)
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::ConnectionPoolCleared { .. } => Trouble::Unreachable,
        _ => Trouble::Other,
    }
}

/// What kind an error of the server is, by its number.
pub(super) fn of_code(code: i32) -> Trouble {
    match code {
        // Unauthorized, AuthenticationFailed, UserNotFound.
        13 | 18 | 11 => Trouble::Denied,
        // OutOfDiskSpace; the server is made read-only because of it.
        14031 => Trouble::Full,
        112 => Trouble::Conflict,
        // A server that is no primary, or none any more, or is going away; an answer that took too
        // long; what most of the servers were to have, and did not in time.
        6 | 7 | 50 | 64 | 89 | 91 | 189 | 202 | 9001 | 10058 | 10107 | 11600 | 11602 | 13435
        | 13436 | 17405 => Trouble::Unreachable,
        _ => Trouble::Other,
    }
}

fn lets_nobody_in(message: &str) -> bool {
    message.contains("Authentication failed") || message.contains("SCRAM failure")
}

/// What it says.
pub(super) fn words(error: &Error) -> String {
    let said = match &*error.kind {
        ErrorKind::Authentication { .. } => "rejects this name and password".to_owned(),
        ErrorKind::ServerSelection { message, .. } if lets_nobody_in(message) => {
            "rejects this name and password".to_owned()
        }
        ErrorKind::ServerSelection { message, .. } => selection(message),
        ErrorKind::Command(said) => match of_code(said.code) {
            Trouble::Denied => format!("denies this user something it needs: {}", said.message),
            Trouble::Full => format!("cannot write to its disk: {}", said.message),
            _ if said.message.is_empty() => format!("refuses with error {}", said.code),
            _ => said.message.clone(),
        },
        ErrorKind::Io(error) => format!("cannot be reached: {}", tls(&error.to_string())),
        ErrorKind::DnsResolve { message, .. } => format!("cannot be reached: {message}"),
        ErrorKind::InvalidArgument { message, .. } => message.clone(),
        kind => kind.to_string(),
    };
    said.replace(['\n', '\r'], " ")
}

/// That no server will do, and why the first of them does not.
fn selection(message: &str) -> String {
    let errors = message.split("Error: ").skip(1);
    let first = errors.map(|rest| rest.split(" }").next().unwrap_or(rest)).next();
    match first {
        Some(error) => {
            let error = error.trim().trim_start_matches("Kind: ");
            let error = error.trim_start_matches("I/O error: ");
            let error = error.split(", labels:").next().unwrap_or(error);
            format!("cannot be reached: {}", tls(error))
        }
        None if message.contains("RsSecondary") || message.contains("ReplicaSetNoPrimary") => {
            "has no reachable primary".to_owned()
        }
        None => "cannot be reached: no server answered within 3 s".to_owned(),
    }
}

/// What a handshake says, in words.
fn tls(text: &str) -> String {
    handshake(text, "tlsCAFile").unwrap_or_else(|| text.to_owned())
}
