//! How wide a terminal is.

use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

/// The columns of a terminal. `None`: it is none, or does not say.
pub(crate) fn columns(terminal: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
