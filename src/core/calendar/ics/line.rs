//! Lines of a calendar file: unfolded, and taken apart into name, parameters and value.

use std::ops::Range;

use crate::core::trigger::flaw::Flaw;

/// A line as it is meant. One that is folded goes on in the next, which begins with a space.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    /// Where the parts of it begin: in the text, and in the file.
    parts: Vec<(usize, usize)>,
}

/// A property: `DTSTART;VALUE=DATE:20261224`.
#[derive(Debug)]
pub(super) struct Property {
    /// In capitals.
    pub(super) name: String,
    /// Names in capitals, and values without their quotes.
    parameters: Vec<(String, String)>,
    pub(super) value: String,
    line: Line,
    /// Where the value begins in the line.
    value_at: usize,
}

/// The lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Lines<'t> {
        // A byte order mark is not part of the first line.
        Lines { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 } }
    }

    /// The next line of the file, without its end, and where it begins.
    fn physical(&mut self) -> Option<(usize, &'t str)> {
        let (at, rest) = (self.at, self.text.get(self.at..).filter(|rest| !rest.is_empty())?);
        let long = rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.at += long;
        let line = &rest[..long];
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some((at, line.strip_suffix('\r').unwrap_or(line)))
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let (at, first) = loop {
            let (at, line) = self.physical()?;
            if !line.is_empty() {
                break (at, line);
            }
        };
        let mut line = Line { text: first.to_owned(), parts: vec![(0, at)] };
        while self.text[self.at..].starts_with([' ', '\t'])
            && let Some((at, more)) = self.physical()
        {
            line.parts.push((line.text.len(), at + 1));
            line.text.push_str(&more[1..]);
        }
        Some(line)
    }
}

impl Line {
    /// Where a part of it stands in the file.
    fn span(&self, range: Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            let after = self.parts.partition_point(|(begin, _)| *begin <= at);
            let (begin, in_file) = self.parts[after.saturating_sub(1)];
            in_file + (at - begin)
        };
        let start = place(range.start);
        // The end is where the last byte ends, not where the next part of the line begins.
        let end = if range.is_empty() { start } else { place(range.end - 1) + 1 };
        start..end.max(start)
    }

    fn wrong(&self, range: Range<usize>, message: &str) -> Flaw {
        Flaw::error(self.span(range), message)
    }

    pub(super) fn property(self) -> Result<Property, Flaw> {
        let text = &*self.text;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let long = text.find(|c| !is_name(c)).unwrap_or(text.len());
        if long == 0 || !text[long..].starts_with([':', ';']) {
            let help = "a calendar file has lines such as DTSTART;VALUE=DATE:20261224";
            return Err(self.wrong(0..text.len(), "this is no property").help(help));
        }
        let name = text[..long].to_ascii_uppercase();
        let (mut at, mut parameters) = (long, Vec::new());
        while text[at..].starts_with(';') {
            let begin = at + 1;
            let Some(equals) = text[begin..].find('=').map(|found| begin + found) else {
                return Err(self.wrong(begin..text.len(), "this parameter has no value"));
            };
            let parameter = text[begin..equals].to_ascii_uppercase();
            let (value, end) = values(text, equals + 1)
                .ok_or_else(|| self.wrong(equals + 1..text.len(), "this quote has no end"))?;
            parameters.push((parameter, value));
            at = end;
        }
        if !text[at..].starts_with(':') {
            return Err(self.wrong(at..text.len(), "`:` and a value are missing"));
        }
        let value_at = at + 1;
        let value = text[value_at..].to_owned();
        Ok(Property { name, parameters, value, value_at, line: self })
    }
}

/// The values of a parameter, as they are, and where they end.
fn values(text: &str, mut at: usize) -> Option<(String, usize)> {
    let mut value = String::new();
    loop {
        if text[at..].starts_with('"') {
            let end = at + 1 + text[at + 1..].find('"')?;
            value.push_str(&text[at + 1..end]);
            at = end + 1;
        } else {
            let end = text[at..].find([';', ':', ',', '"']).map_or(text.len(), |end| at + end);
            value.push_str(&text[at..end]);
            if text[end..].starts_with('"') {
                at = end;
                continue;
            }
            at = end;
        }
        if !text[at..].starts_with(',') {
            return Some((value, at));
        }
        value.push(',');
        at += 1;
    }
}

impl Property {
    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Where a part of the value stands in the file.
    pub(super) fn span(&self, range: Range<usize>) -> Range<usize> {
        self.line.span(self.value_at + range.start..self.value_at + range.end)
    }

    /// Where all of it does.
    pub(super) fn whole(&self) -> Range<usize> {
        self.line.span(0..self.line.text.len())
    }

    /// That something is wrong with a part of the value.
    pub(super) fn wrong(&self, range: Range<usize>, message: impl Into<String>) -> Flaw {
        Flaw::error(self.span(range), message)
    }
}
