//! What a run has printed, as pieces of text with classes: its colours stay, and nothing else of what
//! would drive a terminal.

use crate::problem::clean;

/// How what follows is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    colour: Option<u8>,
    bold: bool,
}

/// A piece of a line: its classes, and its text.
pub(super) type Piece = (&'static str, String);

const PLAIN: [&str; 9] = ["", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
const BOLD: [&str; 9] = ["b", "b c0", "b c1", "b c2", "b c3", "b c4", "b c5", "b c6", "b c7"];

impl Style {
    fn class(self) -> &'static str {
        let place = self.colour.map_or(0, |colour| usize::from(colour % 8) + 1);
        if self.bold { BOLD[place] } else { PLAIN[place] }
    }

    /// Takes the numbers of an escape sequence that ends with `m`.
    fn take(&mut self, numbers: &str) {
        let mut numbers = numbers.split([';', ':']).map(|number| number.parse().unwrap_or(0u16));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Style::default(),
                1 => self.bold = true,
                22 => self.bold = false,
                30..=37 => self.colour = Some((number - 30) as u8),
                90..=97 => self.colour = Some((number - 90) as u8),
                39 => self.colour = None,
                // Of 256 colours, or of millions, the first eight are known here.
                38 | 48 => match (numbers.next(), number) {
                    (Some(5), 38) => {
                        self.colour =
                            numbers.next().filter(|one| *one < 16).map(|one| one as u8 % 8);
                    }
                    (Some(5), _) => drop(numbers.next()),
                    (Some(2), _) => drop(numbers.nth(2)),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// A line without its end.
pub(super) fn pieces(line: &str, style: &mut Style) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    let mut text = String::new();
    while let Some(at) = rest.find('\x1b') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let numbers = rest.strip_prefix("\x1b[").and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
            rest[end..].starts_with('m').then(|| &rest[..end])
        });
        match numbers {
            Some(numbers) => {
                add(&mut found, *style, &mut text);
                style.take(numbers);
                rest = &rest[numbers.len() + 3..];
            }
            None => {
                text.push('\x1b');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    add(&mut found, *style, &mut text);
    found
}

fn add(found: &mut Vec<Piece>, style: Style, text: &mut String) {
    if !text.is_empty() {
        // A tab is seen for what it is.
        let parts: Vec<_> = text.split('\t').map(clean).collect();
        found.push((style.class(), parts.join("\t")));
        text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let pieces = pieces(line, &mut Style::default());
        pieces.iter().map(|(class, text)| format!("[{class}]{text}")).collect()
    }

    #[test]
    fn colours_stay_and_nothing_else_acts() {
        let rows = [
            ("plain\ttext", "[]plain\ttext"),
            ("a\x1b[31mred\x1b[0m b", "[]a[c1]red[] b"),
            ("\x1b[1;32mok\x1b[22m.\x1b[39m.", "[b c2]ok[c2].[]."),
            ("\x1b[38;5;1mx\x1b[38;5;200my\x1b[38;2;1;2;3mz", "[c1]x[]y[]z"),
            ("\x1b[mx", "[]x"),
            ("\x1b[2Jx", "[]^[[2Jx"),
            ("50%\r", "[]50%"),
            ("", ""),
        ];
        for (line, expected) in rows {
            let found = shown(line);
            match expected.contains("^[") {
                // However it is written, it is seen.
                true => assert!(!found.contains('\x1b') && found.contains("[2Jx"), "{found:?}"),
                false => assert_eq!(found, expected, "{line:?}"),
            }
        }
    }
}
