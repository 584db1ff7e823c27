//! The grammar of an `env_file`.
//!
//! A line is `NAME=value`. Blank lines and those that begin with `#` say nothing, and `export ` may
//! stand in front. One pair of quotes around a value is taken off, and a comment may follow it;
//! without quotes a value goes to the end of the line, `#` and all. Nothing is replaced: no
//! `$NAME`, and no backslash means anything. Files of Windows may begin with the mark of their
//! encoding, and their lines may end as there.

/// A larger file is a mistake.
pub(crate) const MAX: u64 = 1 << 20;

/// A variable: its name and its value.
type Entry<'t> = (&'t [u8], &'t [u8]);

/// What is wrong, and in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    line: usize,
    what: &'static str,
}

impl Flaw {
    /// `line 3: the quote is not closed`.
    pub(crate) fn text(self) -> String {
        format!("line {}: {}", self.line, self.what)
    }
}

/// The variables of a file.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Entry<'_>>, Flaw> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        entries.push(entry(line).map_err(|what| Flaw { line: number, what })?);
    }
    Ok(entries)
}

fn entry(line: &[u8]) -> Result<Entry<'_>, &'static str> {
    let exported = line.strip_prefix(b"export");
    let exported = exported.filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
    let line = exported.unwrap_or(line).trim_ascii_start();
    let equals = line.iter().position(|byte| *byte == b'=').ok_or("expected NAME=value")?;
    let (name, value) = (&line[..equals], &line[equals + 1..]);
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if name.last().is_some_and(u8::is_ascii_whitespace) {
        return Err("no space is allowed before `=`");
    }
    if name.is_empty() || name[0].is_ascii_digit() || !name.iter().all(letter) {
        return Err("a name has letters, digits and _, and does not begin with a digit");
    }
    let value = unquoted(value)?;
    if value.contains(&0) {
        return Err("contains a NUL byte");
    }
    Ok((name, value))
}

fn unquoted(value: &[u8]) -> Result<&[u8], &'static str> {
    let [quote @ (b'"' | b'\''), inner @ ..] = value else { return Ok(value) };
    let end = inner.iter().position(|byte| byte == quote).ok_or("the quote is not closed")?;
    let (first, rest) = (&inner[..end], &inner[end + 1..]);
    let comment = rest.trim_ascii_start();
    if rest.is_empty() || rest.len() > comment.len() && comment.starts_with(b"#") {
        return Ok(first);
    }
    // `"{"a": 1}"`: what is in the quotes may have quotes.
    match inner.split_last() {
        Some((last, inner)) if last == quote => Ok(inner),
        _ => Err("only a comment may follow the closing quote"),
    }
}
