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
