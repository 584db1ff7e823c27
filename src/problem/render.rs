//! Draws one problem: header line, source line, caret, help.
//!
//! The file is not trusted: its control characters and those that turn the direction of writing
//! are shown, never sent to the terminal, and of a very long line only the part around the caret
//! is drawn.

use std::borrow::Cow;
use std::io::{self, Write};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Location, Locator, Problem, Severity};
use crate::core::words::wrap;

/// Columns drawn of a line, and how many of them stand before the caret at most.
const WIDTH: usize = 120;
const BEFORE: usize = 60;

/// In front of the second line of a message.
const INDENT: usize = 4;

const BOLD: Style = Style::new().bold();
const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes a problem as text.
pub(super) fn problem(
    out: &mut dyn Write,
    problem: &Problem,
    locator: &mut Locator<'_>,
    width: Option<usize>,
) -> io::Result<()> {
    let place = locator.name(problem.place);
    let (word, style) = match problem.severity {
        Severity::Error => ("error", ERROR),
        Severity::Warning => ("warning", WARNING),
    };
    let head = place.width() + word.len() + 4;
    let message = broken(&clean(&problem.message), head, INDENT, width);
    writeln!(out, "{BOLD}{place}:{BOLD:#} {style}{word}{style:#}: {message}")?;
    let related = problem.related.as_ref().map(|(what, place)| {
        format!("{} at {}", clean(what), Locator::new(locator.sources).name(*place))
    });
    let help = problem.help.as_deref().map(clean);
    let Some((source, at)) = locator.locate(problem.place) else {
        // Nothing of the file can be shown.
        if let Some(related) = related {
            writeln!(out, "  = note: {related}")?;
        }
        return match help {
            Some(help) => writeln!(out, "  = help: {}", broken(&help, 10, 10, width)),
            None => Ok(()),
        };
    };
    let (line, caret) = excerpt(&source.text, &at);
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_level(level).element(
        Snippet::source(line)
            .line_start(at.line as usize)
            .annotation(AnnotationKind::Primary.span(caret)),
    );
    if let Some(related) = related {
        group = group.element(Level::NOTE.message(related));
    }
    if let Some(help) = help {
        // Behind the number of the line and the mark for help, where the renderer aligns the rest.
        let head = at.line.to_string().len() + " = help: ".len();
        let width = width.map(|width| width.saturating_sub(head));
        group = group.element(Level::HELP.message(broken(&help, 0, 0, width)));
    }
    // Wide enough that it never cuts: we have, and it does not know which characters we replaced.
    let renderer = Renderer::styled().term_width(4 * WIDTH);
    writeln!(out, "{}", renderer.render(&[group]))
}

/// A text in the lines that a terminal of this width has for it behind `head` columns; all but the
/// first begin after `indent` of them.
fn broken(text: &str, head: usize, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let lines = wrap(text, width.saturating_sub(head), width.saturating_sub(indent));
    lines.join(&format!("\n{:indent$}", ""))
}

/// The part of a line around the caret, made harmless, and the caret's bytes in it.
fn excerpt(text: &str, at: &Location) -> (String, std::ops::Range<usize>) {
    let before = &text[at.text.start..at.caret.start];
    let mut head = Vec::new();
    let mut width = 0;
    for c in before.chars().rev() {
        let shown = shown(c, false);
        width += shown.1;
        if width > BEFORE {
            // Only cut when the rest does not fit either.
            if width + text[at.caret.start..at.text.end].chars().take(WIDTH).count() > WIDTH {
                head.push(Cow::Borrowed("..."));
                break;
            }
        }
        head.push(shown.0);
    }
    let mut line: String = head.iter().rev().map(|part| &**part).collect();
    let start = line.len();
    let mut end = None;
    let mut width = width.min(BEFORE);
    for (offset, c) in text[at.caret.start..at.text.end].char_indices() {
        if at.caret.start + offset >= at.caret.end && end.is_none() {
            end = Some(line.len());
        }
        let (shown, columns) = shown(c, false);
        width += columns;
        if width > WIDTH {
            line.push_str("...");
            break;
        }
        line.push_str(&shown);
    }
    let end = end.unwrap_or(line.len());
    (line, start..end)
}

/// A text in which nothing can drive a terminal.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| shown(c, true).0).collect())
}

/// The same for a text of several lines, which stay lines.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        Cow::Owned(text.split('\n').map(clean).collect::<Vec<_>>().join("\n"))
    } else {
        clean(text)
    }
}

/// An error of several lines. Any other is one, however many its text has: a name in it may hold a
/// line end, and what follows would look like a line of ours.
#[derive(Debug)]
pub(crate) struct Lines(Vec<String>);

impl Lines {
    /// The lines, made harmless.
    pub(crate) fn new<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Lines {
        Lines(lines.into_iter().map(|line| clean(line.as_ref()).into_owned()).collect())
    }
}

impl std::fmt::Display for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Lines {}

/// An error and its causes, made harmless, in one line but where it is [`Lines`].
pub(crate) fn clean_error(error: &anyhow::Error) -> String {
    let texts = error.chain().map(|cause| {
        let text = cause.to_string();
        if cause.is::<Lines>() { text } else { clean(&text).into_owned() }
    });
    texts.collect::<Vec<_>>().join(": ")
}

/// How a character is shown, and in how many columns.
fn shown(c: char, in_message: bool) -> (Cow<'static, str>, usize) {
    let picture = match c {
        '\t' if in_message => return (Cow::Borrowed("\\t"), 2),
        '\n' if in_message => return (Cow::Borrowed("\\n"), 2),
        '\t' => return (Cow::Borrowed("    "), 4),
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32),
        '\x7f' => Some('\u{2421}'),
        _ => None,
    };
    if let Some(picture) = picture {
        return (Cow::Owned(picture.into()), 1);
    }
    if is_hidden(c) {
        let text = format!("\\u{{{:x}}}", c as u32);
        let width = text.len();
        return (Cow::Owned(text), width);
    }
    (Cow::Owned(c.into()), c.width().unwrap_or(1))
}

/// Whether a character acts on a terminal or on its neighbours without being seen itself: control
/// characters, line and paragraph separators, those that change the direction of what follows, and
/// all that Unicode has as "default ignorable". Of the latter, U+FE0E and U+FE0F stay: they say how
/// the sign before them is drawn, and stand in half of all emoji.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A value as a line of JSON in which such characters are written as escapes: the same value to every
/// reader, and harmless where it is shown as it is.
pub(crate) fn json(value: &(impl serde::Serialize + ?Sized)) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(clean_json(text))
}

/// The same for a text that is JSON already, where these can stand in strings only.
pub(crate) fn clean_json(text: String) -> String {
    use std::fmt::Write as _;

    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || !text.contains(is_hidden) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Place, Problems, Source, Sources, Span};

    #[test]
    fn a_message_fits_the_terminal() {
        let mut sources = Sources::default();
        sources.push(Source::new("jobs.toml", "cron = \"30 2 * * *\"\n"));
        let place = Place { file: 0, span: Some(Span::new(7, 19)) };
        let problem = Problem::warning(place, "02:30 does not exist on 28 Mar 2027: runs at 03:00");
        let help = "take another time of day, or set `timezone = \"UTC\"`";
        let mut problems = Problems::default();
        problems.push(Problem { help: Some(help.to_owned()), ..problem });
        let source = "  |\n1 | cron = \"30 2 * * *\"\n  |        ^^^^^^^^^^^^\n  |\n";
        let whole = format!(
            "jobs.toml:1:8: warning: 02:30 does not exist on 28 Mar 2027: runs at 03:00\n{source}  \
             = help: {help}\n"
        );
        let narrow = format!(
            "jobs.toml:1:8: warning: 02:30 does not\n    exist on 28 Mar 2027: runs at 03:00\n\
             {source}  = help: take another time of day, or\n          set `timezone = \"UTC\"`\n"
        );
        for (width, expected) in [(None, &whole), (Some(80), &whole), (Some(40), &narrow)] {
            let mut out = Vec::new();
            crate::problem::print(&mut out, &problems, &sources, width).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(anstream::adapter::strip_str(&text).to_string(), *expected, "{width:?}");
        }
    }

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{2066}\n"), "a\\u{202e}b\\u{200b}c\\u{2066}\\n");
        assert_eq!(clean("m\u{fc}de \u{2699}\u{fe0f}"), "m\u{fc}de \u{2699}\u{fe0f}");
        let value = "a\u{9b}b\u{202e}c\u{e0041}\u{7f}\u{fc}";
        let line = json(value).unwrap();
        assert_eq!(line, "\"a\\u009bb\\u202ec\\udb40\\udc41\\u007f\u{fc}\"");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), value);
    }
}
