//! Reads a jobfile into memory: bounded, and never waiting for a file that is none.
//!
//! A path is opened without blocking and then asked what it is, on the open descriptor, so that
//! nothing can be swapped in between: a FIFO, a device or a directory is refused at once. What is
//! read is checked as it comes, so the first NUL byte of `/dev/zero` on standard input ends it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::on_disk::Stamp;
use crate::sys::file_id::FileId;
use crate::sys::trust::way::Ways;
use crate::sys::trust::{Doubt, doubt_of_many};

/// No jobfile, and no jobfile together with all it includes, is larger than this.
pub(super) const MAX_BYTES: u64 = 256 << 20;

/// How much is read at a time.
const BLOCK: usize = 64 << 10;

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The file as a whole.
    File { message: String, help: Option<&'static str> },
    /// A byte of it. `text` is the file up to the end of that byte's line.
    Byte { text: String, at: usize, len: usize, message: String, help: &'static str },
}

impl Unreadable {
    fn file(message: impl Into<String>) -> Unreadable {
        Unreadable::File { message: message.into(), help: None }
    }
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Which file it is: two paths may lead to one.
    pub(super) identity: Option<FileId>,
    /// What it was like before it was read.
    pub(super) stamp: Option<Stamp>,
    /// Who else can change it.
    pub(super) doubt: Option<Doubt>,
}

/// Reads the file at a path, if it has at most `limit` bytes.
pub(super) fn path(path: &Path, limit: u64, ways: &mut Ways) -> Result<Text, Unreadable> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unreadable::file("no such file"),
            // What opening a socket says.
            _ if error.raw_os_error() == Some(libc::ENXIO) => {
                Unreadable::file("this is not a regular file")
            }
            _ => cannot_read(&error),
        })?;
    let size = check(&file, limit)?;
    let meta = file.metadata().map_err(|error| cannot_read(&error))?;
    let doubt = doubt_of_many(&file, path, ways);
    let text = text(file, size, limit)?;
    Ok(Text { text, identity: Some(FileId::of(&meta)), stamp: Some(Stamp::of(&meta)), doubt })
}

/// Reads standard input, if it has at most `limit` bytes.
pub(super) fn stdin(limit: u64) -> Result<Text, Unreadable> {
    let own = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let found = own.and_then(|file| file.metadata()).ok();
    let identity = found.filter(Metadata::is_file).as_ref().map(FileId::of);
    let text = text(io::stdin().lock(), 0, limit)?;
    Ok(Text { text, identity, stamp: None, doubt: None })
}

/// Whether an open file can be a jobfile; its size.
fn check(file: &File, limit: u64) -> Result<u64, Unreadable> {
    let meta = file.metadata().map_err(|error| cannot_read(&error))?;
    let kind = meta.file_type();
    let what = if kind.is_file() {
        return match meta.len() {
            size if size > limit => Err(too_large(limit)),
            size => Ok(size),
        };
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "something else"
    };
    Err(Unreadable::File {
        message: format!("this is {what}, not a regular file"),
        help: Some("to read a jobfile from a pipe, use `-` and redirect standard input"),
    })
}

fn cannot_read(error: &io::Error) -> Unreadable {
    Unreadable::file(format!("cannot read it: {error}"))
}

fn too_large(limit: u64) -> Unreadable {
    Unreadable::file(match limit {
        MAX_BYTES => "larger than 256 MiB".to_owned(),
        _ => "the jobfile and its includes together are larger than 256 MiB".to_owned(),
    })
}

/// The text a reader gives. The size is a hint: files in `/proc` say 0.
fn text(mut from: impl Read, size: u64, limit: u64) -> Result<String, Unreadable> {
    let mut text = String::with_capacity(size.min(limit) as usize);
    // For a small file a small block: each page of it is a page fault, and those are most of what
    // checking one job costs. One byte more than the file, to see its end.
    let block_size = match size {
        0 => BLOCK,
        size => usize::try_from(size + 1).unwrap_or(BLOCK).clamp(512, BLOCK),
    };
    let mut block = vec![0; block_size];
    // The start of a character of which the last block had only the first bytes.
    let mut held = 0;
    loop {
        let read = match from.read(&mut block[held..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cannot_read(&error)),
        };
        let bytes = &block[..held + read];
        let nul = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (valid, broken) = match std::str::from_utf8(&bytes[..nul]) {
            Ok(valid) => (valid, None),
            Err(error) => {
                // Valid up to here, which is what `valid_up_to` says.
                let valid = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or("");
                (valid, Some(error))
            }
        };
        text.push_str(valid);
        let rest = &bytes[valid.len()..];
        let cut_off = broken.is_some_and(|error| error.error_len().is_none());
        if broken.is_some() && !(cut_off && read > 0 && nul == bytes.len()) {
            let what = "use UTF-8: a file in another encoding can be converted with iconv";
            let message = format!("this is not UTF-8: byte 0x{:02x}", rest[0]);
            return Err(bad_byte(text, rest, message, what));
        }
        if nul < bytes.len() {
            let what = "a jobfile is a text file; this one may be binary or damaged";
            return Err(bad_byte(text, &bytes[nul..], "contains a NUL byte".to_owned(), what));
        }
        if text.len() as u64 > limit {
            return Err(too_large(limit));
        }
        if read == 0 {
            return Ok(text);
        }
        held = rest.len();
        let from = bytes.len() - held;
        let until = bytes.len();
        block.copy_within(from..until, 0);
    }
}

/// An error at the byte after `text`, with the rest of its line for show.
fn bad_byte(mut text: String, rest: &[u8], message: String, help: &'static str) -> Unreadable {
    let at = text.len();
    let line = rest.iter().take(200).position(|byte| *byte == b'\n').unwrap_or(rest.len().min(200));
    text.push_str(&String::from_utf8_lossy(&rest[..line]));
    let len = text[at..].chars().next().map_or(0, char::len_utf8);
    Unreadable::Byte { text, at, len, message, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time, so that characters are cut everywhere.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn puts_together_characters_that_were_cut() {
        let whole = "a€𝄞ü\n".repeat(50);
        for n in 1..9 {
            assert_eq!(text(Slow(whole.as_bytes(), n), 0, MAX_BYTES).unwrap(), whole);
        }
    }

    #[test]
    fn stops_at_the_first_bad_byte() {
        let rows: [(&[u8], usize, &str); 5] = [
            (b"ab\0cd\n", 2, "contains a NUL byte"),
            (b"a = 1\nb = \xff\xff\n", 10, "this is not UTF-8: byte 0xff"),
            (b"a\xe2\x82", 1, "this is not UTF-8: byte 0xe2"),
            (b"\xe2\x82\0", 0, "this is not UTF-8: byte 0xe2"),
            (b"\xe2\x82\nx", 0, "this is not UTF-8: byte 0xe2"),
        ];
        for (bytes, offset, what) in rows {
            for n in 1..9 {
                match text(Slow(bytes, n), 0, MAX_BYTES) {
                    Err(Unreadable::Byte { at, message, .. }) => {
                        assert_eq!((at, message.as_str()), (offset, what));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(matches!(text(io::repeat(b'x'), 0, 1 << 20), Err(Unreadable::File { .. })));
        assert!(matches!(text(io::repeat(0), 0, MAX_BYTES), Err(Unreadable::Byte { at: 0, .. })));
    }
}
