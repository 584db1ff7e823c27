//! What a key does, and what is to be seen: no terminal, no clock and no scheduler.

use super::keys::Key;
use crate::cli::command::list::Sort;
use crate::control::wire::view::JobLine;
use crate::core::words::fit;
use crate::problem::clean;

/// The orders in which jobs may stand, one after the other; `None` is that of the jobfile.
const ORDERS: [Option<Sort>; 5] =
    [None, Some(Sort::Failed), Some(Sort::Next), Some(Sort::Name), Some(Sort::Duration)];

/// What an order is called.
fn word(sort: Option<Sort>) -> &'static str {
    match sort {
        None => "jobfile",
        Some(Sort::Failed) => "failed",
        Some(Sort::Next) => "next",
        Some(Sort::Name) => "name",
        Some(Sort::Duration) => "duration",
    }
}

/// What somebody wants to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Pause,
    Resume,
}

impl Verb {
    /// As it is typed and as it is asked for.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
        }
    }
}

/// What a key leads to beyond this screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    Quit,
    /// To see everything about this job.
    Look,
    /// To have this done with a job.
    Do(Verb, String),
}

/// What is to be seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// The first line.
    pub(super) heading: &'a str,
    /// A table of the jobs as [`State::visible`] has them: its heading, and a line for each.
    pub(super) table: &'a [String],
    /// What there is to say of the job whose page is open.
    pub(super) page: &'a [String],
}

/// Columns and rows of a terminal.
pub(super) type Size = (usize, usize);

/// Where somebody is.
#[derive(Debug, Default)]
pub(super) struct State {
    sort: Option<Sort>,
    failed_only: bool,
    /// The job that the next key is about.
    cursor: Option<String>,
    /// How many jobs are above the first that is shown.
    above: usize,
    /// The job whose page is open, and how many lines of it are above the screen.
    open: Option<(String, usize)>,
    asked: Option<(Verb, String)>,
    /// What came of the last thing that was done.
    said: Option<String>,
}

const REVERSE: &str = "\x1b[7m";
const RESET: &str = "\x1b[0m";

/// The lines around the table: two headings and the keys.
const AROUND: usize = 3;

impl State {
    /// The job whose page is open.
    pub(super) fn open(&self) -> Option<&str> {
        self.open.as_ref().map(|(id, _)| id.as_str())
    }

    /// What came of something that was done.
    pub(super) fn say(&mut self, said: String) {
        self.said = Some(said);
    }

    /// The jobs that are to be seen, in their order.
    pub(super) fn visible<'a>(&self, jobs: &'a [JobLine]) -> Vec<&'a JobLine> {
        let mut visible: Vec<&JobLine> =
            jobs.iter().filter(|job| !self.failed_only || job.has_failed()).collect();
        if let Some(sort) = self.sort {
            sort.sort(&mut visible, |job| job);
        }
        visible
    }

    /// Somebody has pressed a key.
    pub(super) fn key(&mut self, key: Key, jobs: &[JobLine], (_, rows): Size) -> Want {
        self.said = None;
        if let Some((verb, id)) = self.asked.take() {
            return match key {
                Key::Char('y' | 'Y') => Want::Do(verb, id),
                _ => Want::Nothing,
            };
        }
        let page = rows.saturating_sub(AROUND).max(1);
        match key {
            Key::Char('q') | Key::Escape if self.open.is_some() => self.open = None,
            Key::Char('q') | Key::Escape => return Want::Quit,
            Key::Char('r') => self.ask(jobs, |_| Verb::Start),
            Key::Char('p') => self.ask(jobs, |job| match job.paused {
                Some(_) => Verb::Resume,
                None => Verb::Pause,
            }),
            _ if self.open.is_some() => self.scroll(key, page),
            Key::Char('s') => {
                let at = ORDERS.iter().position(|sort| *sort == self.sort).unwrap_or(0);
                self.sort = ORDERS[(at + 1) % ORDERS.len()];
            }
            Key::Char('f') => self.failed_only = !self.failed_only,
            Key::Enter => {
                self.open = self.current(jobs).map(|job| (job.id.clone(), 0));
                return Want::Look;
            }
            _ => self.go(key, jobs, page),
        }
        Want::Nothing
    }

    /// Goes to another job.
    fn go(&mut self, key: Key, jobs: &[JobLine], page: usize) {
        let visible = self.visible(jobs);
        let last = visible.len().saturating_sub(1);
        let at = self.place(&visible);
        let at = match key {
            Key::Up | Key::Char('k') => at.saturating_sub(1),
            Key::Down | Key::Char('j') => at + 1,
            Key::PageUp => at.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => at + page,
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            Key::Char(_) | Key::Enter | Key::Escape => at,
        };
        self.cursor = visible.get(at.min(last)).map(|job| job.id.clone());
    }

    /// Goes on or back in a page.
    fn scroll(&mut self, key: Key, page: usize) {
        let Some((_, above)) = &mut self.open else { return };
        *above = match key {
            Key::Up | Key::Char('k') => above.saturating_sub(1),
            // It may be at `usize::MAX`.
            Key::Down | Key::Char('j') => above.saturating_add(1),
            Key::PageUp => above.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => above.saturating_add(page),
            Key::Home | Key::Char('g') => 0,
            // Cut to what there is when it is shown.
            Key::End | Key::Char('G') => usize::MAX,
            Key::Char(_) | Key::Enter | Key::Escape => *above,
        };
    }

    /// Asks whether something is to be done.
    fn ask(&mut self, jobs: &[JobLine], verb: impl Fn(&JobLine) -> Verb) {
        let job = match self.open() {
            Some(id) => jobs.iter().find(|job| job.id == id),
            None => self.current(jobs),
        };
        self.asked = job.map(|job| (verb(job), job.id.clone()));
    }

    fn current<'a>(&self, jobs: &'a [JobLine]) -> Option<&'a JobLine> {
        let visible = self.visible(jobs);
        visible.get(self.place(&visible)).copied()
    }

    /// Where the cursor is: on its job if that is still to be seen, else on the first.
    fn place(&self, visible: &[&JobLine]) -> usize {
        let is_it = |job: &&JobLine| self.cursor.as_ref() == Some(&job.id);
        visible.iter().position(is_it).unwrap_or(0)
    }

    /// The lines of the screen, as many as it has.
    pub(super) fn lines(&mut self, sight: Sight<'_>, jobs: &[JobLine], size: Size) -> Vec<String> {
        let (columns, rows) = size;
        let mut lines = vec![fit(sight.heading, columns)];
        let room = rows.saturating_sub(2);
        if let Some((_, above)) = &mut self.open {
            *above = (*above).min(sight.page.len().saturating_sub(room));
            lines.extend(sight.page.iter().skip(*above).take(room).cloned());
        } else {
            let visible = self.visible(jobs);
            let at = self.place(&visible);
            let room = room.saturating_sub(1).max(1);
            self.above = self.above.clamp((at + 1).saturating_sub(room), at);
            self.above = self.above.min(visible.len().saturating_sub(room));
            let (head, body) = match sight.table {
                [head, body @ ..] => (head.as_str(), body),
                [] => ("", sight.table),
            };
            lines.push(head.to_owned());
            for (place, line) in body.iter().enumerate().skip(self.above).take(room) {
                lines.push(if place == at { reversed(line, columns) } else { line.clone() });
            }
        }
        lines.resize(rows.saturating_sub(1).max(1), String::new());
        lines.push(self.bottom(columns));
        lines.truncate(rows);
        lines
    }

    /// The last line: a question, what came of an answer, or the keys.
    fn bottom(&self, columns: usize) -> String {
        if let Some((verb, id)) = &self.asked {
            let question = format!("{} {} now? y/n", verb.word(), clean(id));
            return reversed(&fit(&question, columns), 0);
        }
        if let Some(said) = &self.said {
            return fit(said, columns);
        }
        let sort = word(self.sort);
        let failed = if self.failed_only { "all jobs" } else { "failed only" };
        let keys = match self.open {
            Some(_) => "q back  ↑ ↓ PgUp PgDn  r start  p pause, resume".to_owned(),
            None => {
                format!("q quit  Enter job  r start  p pause, resume  s sort: {sort}  f {failed}")
            }
        };
        fit(&keys, columns)
    }
}

/// A line of that width, with the colours of text and background exchanged.
fn reversed(line: &str, columns: usize) -> String {
    use unicode_width::UnicodeWidthStr;
    let gap = " ".repeat(columns.saturating_sub(line.width()));
    format!("{REVERSE}{line}{gap}{RESET}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::object::RunObject;

    const SIZE: Size = (40, 6);

    fn job(id: &str, outcome: &str, next: Option<&str>, duration_ms: u64) -> JobLine {
        let last = RunObject {
            outcome: outcome.to_owned(),
            duration_ms: Some(duration_ms),
            due: "2026-11-28T09:00:00+01:00".to_owned(),
            ..RunObject::default()
        };
        JobLine {
            id: id.to_owned(),
            next: next.map(str::to_owned),
            last: Some(last),
            ..JobLine::default()
        }
    }

    fn jobs() -> Vec<JobLine> {
        vec![
            job("b", "succeeded", Some("2026-11-29T09:00:00+01:00"), 10),
            job("a", "failed", None, 30),
            // An earlier instant, with a later clock.
            job("d", "lost", Some("2026-11-29T09:30:00+02:00"), 20),
            job("c", "skipped", Some("2026-11-30T09:00:00+01:00"), 40),
        ]
    }

    fn ids(state: &State) -> String {
        state.visible(&jobs()).iter().map(|job| job.id.as_str()).collect()
    }

    fn screen(state: &mut State) -> Vec<String> {
        let jobs = jobs();
        let visible = state.visible(&jobs);
        let table = visible.iter().map(|job| format!("{} row", job.id));
        let table: Vec<String> = std::iter::once("JOB".to_owned()).chain(table).collect();
        let page: Vec<String> = (1..=9).map(|line| format!("page {line}")).collect();
        let sight = Sight { heading: "now", table: &table, page: &page };
        state.lines(sight, &jobs, SIZE)
    }

    fn press(state: &mut State, keys: &str) -> Vec<Want> {
        let wants = keys.chars().map(|key| {
            let key = match key {
                '^' => Key::Up,
                'v' => Key::Down,
                '<' => Key::PageUp,
                '>' => Key::PageDown,
                '\n' => Key::Enter,
                key => Key::Char(key),
            };
            state.key(key, &jobs(), SIZE)
        });
        wants.filter(|want| *want != Want::Nothing).collect()
    }

    #[test]
    fn orders_and_failures() {
        let mut state = State::default();
        for (keys, expected) in [
            ("", "badc"),
            ("s", "adbc"),
            ("s", "dbca"),
            ("s", "abcd"),
            ("s", "cadb"),
            ("s", "badc"),
        ] {
            press(&mut state, keys);
            assert_eq!(ids(&state), expected, "{keys}");
        }
        press(&mut state, "f");
        assert_eq!(ids(&state), "ad");
        press(&mut state, "f");
        assert_eq!(ids(&state), "badc");
    }

    #[test]
    fn nothing_is_done_without_a_yes() {
        let start = |id: &str| vec![Want::Do(Verb::Start, id.to_owned())];
        for (keys, expected) in [
            ("ry", start("b")),
            ("vry", start("a")),
            ("vvvvvvry", start("c")),
            ("vvv^ry", start("d")),
            (">ry", start("c")),
            ("><ry", start("b")),
            ("Gry", start("c")),
            ("rn", Vec::new()),
            // A question is about the job that it names, and any other key is a no.
            ("rvy", Vec::new()),
            ("py", vec![Want::Do(Verb::Pause, "b".to_owned())]),
            ("v\nry", [vec![Want::Look], start("a")].concat()),
            ("q", vec![Want::Quit]),
            ("\nqq", vec![Want::Look, Want::Quit]),
        ] {
            assert_eq!(press(&mut State::default(), keys), expected, "{keys:?}");
        }
        let mut paused = jobs();
        paused[0].paused = Some(Default::default());
        let mut state = State::default();
        state.key(Key::Char('p'), &paused, SIZE);
        let want = state.key(Key::Char('y'), &paused, SIZE);
        assert_eq!(want, Want::Do(Verb::Resume, "b".to_owned()));
        // Where there are no jobs no key is about one.
        for key in [Key::Char('r'), Key::Char('p'), Key::Enter, Key::Down, Key::Char('y')] {
            assert!(!matches!(State::default().key(key, &[], SIZE), Want::Do(..)), "{key:?}");
        }
    }

    #[test]
    fn what_is_seen() {
        let mut state = State::default();
        let row = |line: &str| format!("{REVERSE}{line:40}{RESET}");
        let keys = "q quit  Enter job  r start  p pause, re…";
        assert_eq!(screen(&mut state), ["now", "JOB", &row("b row"), "a row", "d row", keys]);
        press(&mut state, "vvv");
        assert_eq!(screen(&mut state), ["now", "JOB", "a row", "d row", &row("c row"), keys]);
        // The cursor stays with its job when the order changes.
        press(&mut state, "s");
        assert_eq!(screen(&mut state)[4], row("c row"));
        press(&mut state, "r");
        assert_eq!(screen(&mut state)[5], format!("{REVERSE}start c now? y/n{RESET}"));
        press(&mut state, "n");
        state.say("run 7 of c has started".to_owned());
        assert_eq!(screen(&mut state)[5], "run 7 of c has started");
        press(&mut state, "\n>");
        let lines = screen(&mut state);
        assert_eq!(lines[..5], ["now", "page 4", "page 5", "page 6", "page 7"]);
        press(&mut state, ">>>");
        assert_eq!(screen(&mut state)[4], "page 9");
        // Keys that come at once are all taken before anything is drawn.
        for keys in ["Gv", "G>", "Gj "] {
            press(&mut state, keys);
            assert_eq!(screen(&mut state)[4], "page 9", "{keys}");
        }
        press(&mut state, "g");
        assert_eq!(screen(&mut state)[1], "page 1");
    }

    /// However small it is, no line is too many.
    #[test]
    fn any_size() {
        let mut state = State::default();
        let jobs = jobs();
        let table: Vec<String> = (0..5).map(|row| format!("row {row}")).collect();
        for rows in 1..8 {
            for keys in ["", "G", "\n", "q"] {
                press(&mut state, keys);
                let sight = Sight { heading: "now", table: &table, page: &table };
                assert_eq!(state.lines(sight, &jobs, (5, rows)).len(), rows);
            }
        }
    }
}
