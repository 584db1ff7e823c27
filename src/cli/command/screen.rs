//! What is shown anew on each second, on a screen of its own: `fleet --watch`, and what `top` needs.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::bail;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;

use crate::cli::{Context, ExitCode, has_colour};
use crate::core::instant::MICROS;
use crate::core::words;
use crate::core::words::fit;
use crate::sys::clock;

/// Another screen, without the cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen is given back however this ends.
pub(super) struct Screen;

impl Screen {
    pub(super) fn enter() -> io::Result<Screen> {
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // A terminal that is gone needs nothing back.
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}

/// What there is to see: a heading, and the text below it, for so many columns.
pub(super) type Sight = (String, Vec<u8>);

/// Refuses to go on where there is no terminal.
pub(super) fn needs_terminal(what: &str) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        bail!("{what} needs a terminal, but standard output is not one");
    }
    Ok(())
}

/// Whether a terminal can do no more than write one line below the other.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Why something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// Somebody has had enough.
    End,
    /// The terminal has another size.
    Resized,
    /// Somebody has pressed a key.
    Keys,
    /// The next second has begun.
    Time,
}

/// What is waited for.
pub(super) struct Wakes {
    ended: UnixStream,
    resized: UnixStream,
}

impl Wakes {
    pub(super) fn new() -> io::Result<Wakes> {
        let (ended, to_end) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            pipe::register(signal, to_end.try_clone()?)?;
        }
        let (resized, to_resize) = UnixStream::pair()?;
        pipe::register(SIGWINCH, to_resize)?;
        resized.set_nonblocking(true)?;
        Ok(Wakes { ended, resized })
    }

    /// Waits for the next second, or whatever comes before it.
    pub(super) fn wait(&self, keyboard: Option<BorrowedFd<'_>>) -> Wake {
        let into = u64::from(clock::wall().subsec_micros());
        let rest = Duration::from_micros(MICROS as u64 - into);
        let timeout = Timespec::try_from(rest).ok();
        let mut waits = vec![
            PollFd::new(&self.ended, PollFlags::IN),
            PollFd::from_borrowed_fd(self.resized.as_fd(), PollFlags::IN),
        ];
        waits.extend(keyboard.map(|keyboard| PollFd::from_borrowed_fd(keyboard, PollFlags::IN)));
        // Interrupted by one of the signals, which is in its pipe by then.
        let _ = poll(&mut waits, timeout.as_ref());
        let has_come = |at: usize| waits.get(at).is_some_and(|wait| !wait.revents().is_empty());
        if has_come(0) {
            return Wake::End;
        }
        if has_come(1) {
            let _ = io::Read::read(&mut &self.resized, &mut [0; 64]);
            return Wake::Resized;
        }
        if has_come(2) { Wake::Keys } else { Wake::Time }
    }
}

/// Shows it until somebody has enough.
pub(super) fn watch(
    context: &Context,
    mut look: impl FnMut(usize) -> anyhow::Result<Sight>,
) -> anyhow::Result<ExitCode> {
    let wakes = Wakes::new()?;
    let screen = Screen::enter()?;
    loop {
        draw(&frame(context, &mut look))?;
        if wakes.wait(None) == Wake::End {
            break;
        }
    }
    drop(screen);
    Ok(ExitCode::SUCCESS)
}

/// The lines to be seen now. What cannot be seen says so, until it can.
fn frame(context: &Context, look: &mut dyn FnMut(usize) -> anyhow::Result<Sight>) -> Vec<String> {
    let (columns, rows) = size();
    let zone = super::argument::local_zone(context);
    let time = words::table_time(clock::wall().truncated(), &zone);
    let mut lines = match look(columns) {
        Ok((heading, text)) => {
            let mut text = String::from_utf8_lossy(&text).into_owned();
            // Where there are to be no colours, the screen is still to be written on.
            if !has_colour(&io::stdout()) {
                text = anstream::adapter::strip_str(&text).to_string();
            }
            let mut lines = vec![fit(&format!("{time}  {heading}"), columns)];
            lines.extend(text.lines().map(|line| cropped(line, columns)));
            lines
        }
        Err(error) => {
            let mut lines = vec![fit(&time, columns)];
            lines.extend(error.to_string().lines().map(|line| fit(line, columns)));
            lines
        }
    };
    if lines.len() > rows {
        let hidden = lines.len() - (rows - 1);
        lines.truncate(rows - 1);
        lines.push(fit(&format!("… and {hidden} more"), columns));
    }
    lines
}

/// A line of a table that does not get longer than the terminal is wide, as that would be two.
pub(super) fn cropped(line: &str, columns: usize) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    let cut = fit(&plain, columns);
    if cut == plain { line.to_owned() } else { cut }
}

pub(super) fn draw(lines: &[String]) -> io::Result<()> {
    // Over what is there, so that nothing flickers.
    let mut text = String::from("\x1b[H");
    for (index, line) in lines.iter().enumerate() {
        text += if index > 0 { "\r\n" } else { "" };
        text += line;
        text += "\x1b[K";
    }
    text += "\x1b[J";
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Columns and rows of the terminal.
pub(super) fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 1 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    }
}
