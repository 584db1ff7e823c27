//! `schedrs list --watch`: the list on a screen of its own, shown anew on each second.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;

use super::{Chosen, jobs, table};
use crate::cli::command::request::Connection;
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::core::instant::MICROS;
use crate::core::words;
use crate::core::words::fit;
use crate::sys::clock;

/// Another screen, without the cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen is given back however this ends.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Screen> {
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

pub(super) fn run(
    connection: &Connection,
    chosen: &Chosen,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    // Whoever mistypes the name of a file is to see that, and no empty screen.
    let mut client = Some(connection.connect()?);
    let (ended, to_end) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        pipe::register(signal, to_end.try_clone()?)?;
    }
    let (resized, to_resize) = UnixStream::pair()?;
    pipe::register(SIGWINCH, to_resize)?;
    resized.set_nonblocking(true)?;
    let screen = Screen::enter()?;
    loop {
        draw(&frame(&mut client, connection, chosen, context))?;
        let into = u64::from(clock::wall().subsec_micros());
        let rest = Duration::from_micros(MICROS as u64 - into);
        let timeout = Timespec::try_from(rest).ok();
        let mut waits = [
            PollFd::new(&ended, PollFlags::IN),
            PollFd::from_borrowed_fd(resized.as_fd(), PollFlags::IN),
        ];
        // Interrupted by one of the signals, which is in its pipe by then.
        let _ = poll(&mut waits, timeout.as_ref());
        if waits[0].revents().contains(PollFlags::IN) {
            break;
        }
        if waits[1].revents().contains(PollFlags::IN) {
            let _ = io::Read::read(&mut &resized, &mut [0; 64]);
        }
    }
    drop(screen);
    Ok(ExitCode::SUCCESS)
}

/// The lines to be seen now. Where schedrs is gone they say so, until it is back.
fn frame(
    client: &mut Option<Client>,
    connection: &Connection,
    chosen: &Chosen,
    context: &Context,
) -> Vec<String> {
    let (columns, rows) = size();
    let zone = crate::cli::command::argument::local_zone(context);
    let time = words::table_time(clock::wall().truncated(), &zone);
    let found = match client.take() {
        Some(old) => Ok(old),
        None => connection.connect(),
    }
    .and_then(|mut connected| {
        let found = jobs(&mut connected, chosen)?;
        *client = Some(connected);
        Ok(found)
    });
    let mut lines = match found {
        Ok(found) => {
            let mut text = Vec::new();
            // Memory can be written.
            let _ = table(&found, context).write(&mut text, Some(columns));
            let mut text = String::from_utf8_lossy(&text).into_owned();
            // Where there are to be no colours, the screen is still to be written on.
            if anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never {
                text = anstream::adapter::strip_str(&text).to_string();
            }
            let mut lines = vec![fit(&format!("{time}  {} jobs", found.len()), columns)];
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
fn cropped(line: &str, columns: usize) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    let cut = fit(&plain, columns);
    if cut == plain { line.to_owned() } else { cut }
}

fn draw(lines: &[String]) -> io::Result<()> {
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
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 1 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    }
}
