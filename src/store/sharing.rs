//! Whether there is an engine whose stores several hosts can share.
//!
//! What only a fleet has holds a [`Sharing`]. In a build without such an engine there is none, by its
//! type, so that the compiler knows that all of that never is, and leaves it out.

/// There is such an engine.
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing;

/// There is none.
#[cfg(not(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis")))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sharing {}

/// Whether there is one.
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis"))]
pub(crate) const SHARING: Option<Sharing> = Some(Sharing);

/// Whether there is one.
#[cfg(not(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis")))]
pub(crate) const SHARING: Option<Sharing> = None;

/// The same as a word.
pub(crate) const HAS_SHARED: bool = SHARING.is_some();
