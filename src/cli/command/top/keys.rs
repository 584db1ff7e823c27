//! The keys that somebody presses, from what a terminal sends for them.

use std::io;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
}

/// What terminals send for a key that is no character, behind the escape character.
const SEQUENCES: [(&[u8], Key); 16] = [
    (b"[A", Key::Up),
    (b"OA", Key::Up),
    (b"[B", Key::Down),
    (b"OB", Key::Down),
    (b"[5~", Key::PageUp),
    (b"[6~", Key::PageDown),
    (b"[H", Key::Home),
    (b"OH", Key::Home),
    (b"[1~", Key::Home),
    (b"[7~", Key::Home),
    (b"[F", Key::End),
    (b"OF", Key::End),
    (b"[4~", Key::End),
    (b"[8~", Key::End),
    (b"OM", Key::Enter),
    (b"[3~", Key::Escape),
];

/// The keys in what was read at once. What is no key that is known here is left out.
pub(super) fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = rest;
        match first {
            b'\r' | b'\n' => keys.push(Key::Enter),
            0x1b => match SEQUENCES.iter().find(|(sequence, _)| rest.starts_with(sequence)) {
                Some((sequence, key)) => {
                    keys.push(*key);
                    bytes = &rest[sequence.len()..];
                }
                None if matches!(rest.first(), Some(b'[' | b'O')) => {
                    // The end of a sequence is a letter or `~`.
                    let is_end = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'~';
                    let end = rest[1..].iter().position(is_end).map_or(rest.len(), |end| end + 2);
                    bytes = &rest[end..];
                }
                None => keys.push(Key::Escape),
            },
            b' '..=b'~' => keys.push(Key::Char(char::from(first))),
            _ => {}
        }
    }
    keys
}

/// A terminal that gives each key at once and shows none; as it was when this is dropped.
#[derive(Debug)]
pub(super) struct Keyboard {
    before: Termios,
}

impl Keyboard {
    /// Standard input, if it is a terminal.
    pub(super) fn open() -> Option<Keyboard> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        // ^C stays what it is; ^Z would leave the screen as it stands.
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        raw.special_codes[SpecialCodeIndex::VSUSP] = 0;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &raw).ok()?;
        Some(Keyboard { before })
    }

    /// What has been pressed. An error: nobody is there any more.
    pub(super) fn read(&self) -> io::Result<Vec<Key>> {
        let mut bytes = [0; 256];
        let stdin = rustix::stdio::stdin();
        match rustix::io::retry_on_intr(|| rustix::io::read(stdin, &mut bytes))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(keys(&bytes[..count])),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terminals_send() {
        let rows: [(&[u8], &[Key]); 9] = [
            (b"q", &[Key::Char('q')]),
            (b"\x1b[A\x1bOB", &[Key::Up, Key::Down]),
            (b"\x1b[5~\x1b[6~x", &[Key::PageUp, Key::PageDown, Key::Char('x')]),
            (b"\x1b[H\x1b[F", &[Key::Home, Key::End]),
            (b"\r\n", &[Key::Enter, Key::Enter]),
            (b"\x1b", &[Key::Escape]),
            // A key that is of no use here is not taken for several that are.
            (b"\x1b[15~q", &[Key::Char('q')]),
            (b"\x1b[1;5Cq", &[Key::Char('q')]),
            ("é\x01".as_bytes(), &[]),
        ];
        for (bytes, expected) in rows {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }
}
