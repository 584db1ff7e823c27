//! Enums whose variants have a stable word, for the store, the control socket and those who read
//! either.

/// Makes an enum, and both ways between its variants and their words. What another version of
/// schedrs may say beside them is kept as it is.
macro_rules! named {
    ($(#[doc = $about:literal])+ $name:ident {
        $($(#[doc = $what:literal])+ $variant:ident $word:literal,)*
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $what])+ $variant,)*
            /// A word of another version of schedrs.
            Other(Box<str>),
        }

        impl $name {
            /// All that this version has.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The stable word for it.
            pub fn word(&self) -> &str {
                match self {
                    $($name::$variant => $word,)*
                    $name::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> $name {
                match word {
                    $($word => $name::$variant,)*
                    other => $name::Other(other.into()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

pub(super) use named;
