//! What a store on a server has to say: errors that name it by its URL, without the password.

pub use crate::core::url::{Engine, SharedUrl};

use super::{StoreError, Trouble};

impl SharedUrl {
    /// An error of the store that this names: the URL in front, and nothing secret in it.
    pub fn error(&self, kind: Trouble, message: &str) -> StoreError {
        StoreError::new(kind, format!("{self}: {}", self.masked(message)))
    }

    /// This program cannot use it.
    pub fn not_built(&self) -> StoreError {
        let (name, feature) = (self.engine().name(), self.engine().feature());
        let message =
            format!("this schedrs was built without {name} (cargo feature \"{feature}\")");
        self.error(Trouble::Other, &message)
    }
}

#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis"))]
/// What a TLS handshake that has failed says, in words: `rustls` says it in the names of its types. `ca`
/// is the option that names a file with authorities.
pub(super) fn handshake(text: &str, ca: &str) -> Option<String> {
    if text.contains("NotValidForName") || text.contains("not valid for name") {
        let text = text.trim_start_matches("invalid peer certificate: ");
        return Some(format!("the server's certificate is for another name ({text})"));
    }
    text.contains("UnknownIssuer").then(|| {
        format!("the server's certificate is of an unknown authority; name that with {ca}=FILE")
    })
}

#[cfg(any(feature = "mongodb", feature = "mysql", feature = "redis"))]
/// A part of a URL, without its percent signs.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = code.and_then(|two| u8::from_str_radix(two, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_no_password() {
        let url = SharedUrl::parse("redis://ann:s3cret@db").unwrap();
        let error = url.error(Trouble::Denied, "cannot log in by s3cret");
        assert_eq!(error.message, "redis://ann:***@db: cannot log in by ***");
        let expected = "redis://ann:***@db: this schedrs was built without Redis (cargo feature \
                        \"redis\")";
        assert_eq!(url.not_built().message, expected);
    }
}
