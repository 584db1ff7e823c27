//! Reads a calendar file (RFC 5545, `.ics`): when its events are, and what they are called.
//!
//! Read is what files of holidays and of duties have: `VEVENT` with `DTSTART` and `DTEND` or `DURATION`,
//! `RRULE` as `super::recur` has it, `RDATE`, `EXDATE`, `RECURRENCE-ID` and `STATUS:CANCELLED`. Whether an
//! event is `TRANSPARENT` does not matter, as holidays are. What says when an event is and is not read is
//! an error with its place, never a guess. All else is left alone; so is `VTIMEZONE`, as zones are known
//! by their IANA names.

mod line;
mod value;

use std::collections::HashMap;
use std::ops::Range;

use self::line::{Lines, Property};
use self::value::{Clocks, Read, Until, When};
use super::events::{DAY, Event};
use super::recur::{Next, Rule};
use crate::core::trigger::flaw::Flaw;
use crate::core::zone::{Database, Zone};

/// No file has more events, each time at which one begins counted.
const MOST_EVENTS: usize = 100_000;

/// So many times are counted to find the end of what happens a number of times, in a file.
const MOST_COUNTED: u32 = 500_000;

/// So many things are said to be wrong with a file.
const MOST_FLAWS: usize = 50;

/// What repeats does not take longer.
const LONGEST: i64 = 366 * DAY;

/// No name of an event is longer, in characters.
const LONGEST_NAME: usize = 60;

/// An event, as its properties come.
#[derive(Default)]
struct Draft {
    begin: Range<usize>,
    uid: Option<String>,
    start: Option<(When, Property)>,
    end: Option<(When, Property)>,
    duration: Option<(i64, Property)>,
    rule: Option<Property>,
    also: Vec<(When, Range<usize>)>,
    without: Vec<(When, Range<usize>)>,
    /// It takes the place of this one of a series.
    instead: Option<(When, Range<usize>)>,
    is_cancelled: bool,
    summary: String,
    /// What is wrong with it was said.
    is_wrong: bool,
}

struct Reader<'a> {
    zones: &'a Database,
    known: HashMap<String, Option<Zone>>,
    flaws: Vec<Flaw>,
    /// The components that have begun.
    open: Vec<(String, Range<usize>)>,
    event: Option<Draft>,
    events: Vec<Draft>,
    count: usize,
    left_to_count: u32,
}

/// Reads the events of a text.
pub(crate) fn read(text: &str, zones: &Database) -> Result<Vec<Event>, Vec<Flaw>> {
    let mut reader = Reader {
        zones,
        known: HashMap::new(),
        flaws: Vec::new(),
        open: Vec::new(),
        event: None,
        events: Vec::new(),
        count: 0,
        left_to_count: MOST_COUNTED,
    };
    let mut is_empty = true;
    for line in Lines::of(text) {
        match line.property() {
            Ok(property) => {
                if std::mem::take(&mut is_empty)
                    && !(property.name == "BEGIN" && is(&property.value, "VCALENDAR"))
                {
                    let help = "a calendar file begins with BEGIN:VCALENDAR";
                    return Err(vec![
                        Flaw::error(property.whole(), "this is no calendar file").help(help),
                    ]);
                }
                reader.property(property);
            }
            Err(flaw) if is_empty => return Err(vec![flaw]),
            Err(flaw) => reader.wrong(flaw),
        }
        if reader.flaws.len() >= MOST_FLAWS {
            return Err(reader.flaws);
        }
    }
    if is_empty {
        let help = "a calendar file begins with BEGIN:VCALENDAR";
        return Err(vec![Flaw::error(0..0, "this is no calendar file: it is empty").help(help)]);
    }
    if let Some((name, span)) = reader.open.pop() {
        reader.flaws.push(Flaw::error(span, format!("`{name}` has no end: the file is cut off")));
    }
    reader.finish()
}

fn is(text: &str, name: &str) -> bool {
    text.trim_end().eq_ignore_ascii_case(name)
}

impl Reader<'_> {
    /// Something is wrong, with the event if there is one.
    fn wrong(&mut self, flaw: Flaw) {
        if let Some(event) = &mut self.event {
            event.is_wrong = true;
        }
        self.flaws.push(flaw);
    }

    fn property(&mut self, property: Property) {
        match &*property.name {
            "BEGIN" => self.begin(&property),
            "END" => self.end(&property),
            // What is in an alarm is not of the event.
            _ if self.open.last().is_some_and(|(name, _)| name == "VEVENT") => {
                if let Err(flaw) = self.of_event(property) {
                    self.wrong(flaw);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, property: &Property) {
        let name = property.value.trim_end().to_ascii_uppercase();
        if name == "VEVENT" {
            if self.event.is_some() {
                return self.wrong(Flaw::error(property.whole(), "an event within another one"));
            }
            self.event = Some(Draft { begin: property.whole(), ..Draft::default() });
        }
        // Deeper than anything is.
        if self.open.len() >= 16 {
            return self.wrong(Flaw::error(property.whole(), "nested more than 16 deep"));
        }
        self.open.push((name, property.whole()));
    }

    fn end(&mut self, property: &Property) {
        match self.open.pop() {
            Some((name, _)) if is(&property.value, &name) => {
                if name == "VEVENT" {
                    self.events.extend(self.event.take());
                }
            }
            open => {
                let message = match &open {
                    Some((name, _)) => format!("`{name}` ends before this"),
                    None => "nothing has begun that ends here".to_owned(),
                };
                self.open.extend(open);
                self.wrong(Flaw::error(property.whole(), message));
            }
        }
    }

    /// A property of the event that has begun.
    fn of_event(&mut self, property: Property) -> Result<(), Flaw> {
        let whens = match &*property.name {
            "DTSTART" | "DTEND" | "RECURRENCE-ID" | "RDATE" | "EXDATE" => self.whens(&property)?,
            _ => Vec::new(),
        };
        let Some(event) = &mut self.event else { return Ok(()) };
        let twice = |is_there: bool| match is_there {
            true => Err(Flaw::error(property.whole(), format!("a second `{}`", property.name))),
            false => Ok(()),
        };
        let one = |mut whens: Vec<(When, Range<usize>)>| match (whens.pop(), whens.is_empty()) {
            (Some(when), true) => Ok(when),
            _ => Err(property.wrong(0..property.value.len(), "one time is expected here")),
        };
        match &*property.name {
            "UID" => event.uid = Some(property.value),
            "SUMMARY" => event.summary = summary(&property.value),
            "STATUS" => event.is_cancelled |= is(&property.value, "CANCELLED"),
            "DTSTART" => {
                twice(event.start.is_some())?;
                event.start = Some((one(whens)?.0, property));
            }
            "DTEND" => {
                twice(event.end.is_some())?;
                event.end = Some((one(whens)?.0, property));
            }
            "DURATION" => {
                twice(event.duration.is_some())?;
                let wrong = || {
                    property
                        .wrong(0..property.value.len(), "this is no duration such as P1D or PT8H")
                };
                let long = value::duration(property.value.trim_end()).ok_or_else(wrong)?;
                event.duration = Some((long, property));
            }
            "RRULE" => {
                twice(event.rule.is_some())?;
                event.rule = Some(property);
            }
            "RECURRENCE-ID" => {
                if property.parameter("RANGE").is_some() {
                    let message = "RANGE is not read: a change of this one and of all that follow";
                    return Err(Flaw::error(property.whole(), message));
                }
                twice(event.instead.is_some())?;
                event.instead = Some(one(whens)?);
            }
            "RDATE" => event.also.extend(whens),
            "EXDATE" => event.without.extend(whens),
            "EXRULE" => {
                let message = "EXRULE is not read: RFC 5545 has it no more";
                return Err(Flaw::error(property.whole(), message));
            }
            _ => {}
        }
        Ok(())
    }

    /// The dates or times of a property.
    fn whens(&mut self, property: &Property) -> Result<Vec<(When, Range<usize>)>, Flaw> {
        let is_date = match property.parameter("VALUE") {
            None => false,
            Some(kind) if is(kind, "DATE") => true,
            Some(kind) if is(kind, "DATE-TIME") => false,
            Some(kind) => {
                let message = format!("VALUE={kind} is not read: a DATE or a DATE-TIME is");
                return Err(Flaw::error(property.whole(), message));
            }
        };
        let zone = match property.parameter("TZID").filter(|_| !is_date) {
            Some(name) => Some(self.zone(name, property)?),
            None => None,
        };
        let (mut whens, mut at) = (Vec::new(), 0);
        for text in property.value.trim_end().split(',') {
            let span = at..at + text.len();
            at = span.end + 1;
            let when = if is_date { date(text) } else { time(text, zone.as_ref()) };
            let Some(when) = when else {
                let what =
                    if is_date { "date such as 20261224" } else { "time such as 20261224T180000" };
                let flaw = property.wrong(span, format!("this is no {what}"));
                let is_plain = !is_date && value::date(text).is_some();
                return Err(match is_plain {
                    true => {
                        flaw.help(format!("for a date write `{};VALUE=DATE:{text}`", property.name))
                    }
                    false => flaw,
                });
            };
            self.count += 1;
            if self.count > MOST_EVENTS {
                let message = format!("more than {MOST_EVENTS} times in one file");
                return Err(property.wrong(span, message));
            }
            whens.push((when, property.span(span)));
        }
        Ok(whens)
    }

    fn zone(&mut self, name: &str, property: &Property) -> Result<Zone, Flaw> {
        let zones = self.zones;
        let known = self.known.entry(name.to_owned()).or_insert_with(|| zones.get(name));
        known.clone().ok_or_else(|| {
            let help = "a zone has an IANA name such as Europe/Berlin; what VTIMEZONE says of others is not \
                        read";
            Flaw::error(property.whole(), format!("unknown time zone `{name}`")).help(help)
        })
    }

    /// Makes events of the drafts.
    fn finish(mut self) -> Result<Vec<Event>, Vec<Flaw>> {
        let drafts = std::mem::take(&mut self.events);
        // Of a series with changes, the changed ones are events of their own.
        let mut changed: HashMap<String, Vec<(When, Range<usize>)>> = HashMap::new();
        for draft in &drafts {
            if let (Some(uid), Some(instead)) = (&draft.uid, &draft.instead) {
                changed.entry(uid.clone()).or_default().push(instead.clone());
            }
        }
        let mut events = Vec::new();
        for draft in drafts {
            if draft.is_wrong || (draft.is_cancelled && draft.instead.is_some()) {
                continue;
            }
            let of_series = draft.uid.as_ref().filter(|_| draft.instead.is_none());
            let changed = of_series.and_then(|uid| changed.get(uid)).map_or(&[][..], |them| them);
            match self.event_of(&draft, changed) {
                Ok(event) if !draft.is_cancelled => events.push(event),
                Ok(_) => {}
                Err(flaw) => self.flaws.push(flaw),
            }
            if self.flaws.len() >= MOST_FLAWS {
                break;
            }
        }
        if self.flaws.is_empty() { Ok(events) } else { Err(self.flaws) }
    }

    fn event_of(&mut self, draft: &Draft, changed: &[(When, Range<usize>)]) -> Result<Event, Flaw> {
        let Some((start, at)) = &draft.start else {
            return Err(Flaw::error(draft.begin.clone(), "this event has no DTSTART"));
        };
        let long = how_long(draft, start)?;
        let alike = |(when, span): &(When, Range<usize>)| {
            when.on(&start.clocks).ok_or_else(|| {
                let message =
                    "it is not of the kind of DTSTART: a date, a floating time or one in a zone";
                Flaw::error(span.clone(), message)
            })
        };
        let also: Vec<i64> = draft.also.iter().map(alike).collect::<Result<_, Flaw>>()?;
        let without = draft.without.iter().chain(changed).map(alike);
        let without: Vec<i64> = without.collect::<Result<_, Flaw>>()?;
        let rule = match &draft.rule {
            None => None,
            Some(property) if draft.instead.is_some() => {
                let message = "what takes the place of one of a series does not repeat";
                return Err(Flaw::error(property.whole(), message));
            }
            Some(property) if long > LONGEST => {
                let message = "what repeats takes a year at most";
                return Err(Flaw::error(property.whole(), message));
            }
            Some(property) => Some(self.rule(property, start, at)?),
        };
        Ok(Event {
            zone: match &start.clocks {
                Clocks::Zone(zone) => Some(zone.clone()),
                Clocks::Date | Clocks::Floating => None,
            },
            from: start.wall,
            long,
            rule,
            also,
            without,
            summary: (&*draft.summary).into(),
        })
    }

    fn rule(&mut self, property: &Property, start: &When, at: &Property) -> Result<Rule, Flaw> {
        let Read { mut rule, count, until } = value::rule(property, start.wall)?;
        if let Some((until, span)) = until {
            rule.until = match (until, &start.clocks) {
                (Until::Date(day), Clocks::Date) => day * DAY,
                (Until::Floating(wall), Clocks::Floating) => wall,
                (Until::Utc(at), Clocks::Zone(zone)) => zone.wall_of(at),
                _ => {
                    let message = "UNTIL is a date if DTSTART is one, a floating time if it is one, and else \
                                   a time in UTC such as 20261231T230000Z";
                    return Err(property.wrong(span, message));
                }
            };
        }
        let first = start.wall.div_euclid(DAY);
        if rule.until < start.wall || rule.next(first - 1) != Next::On(first) {
            let message = "DTSTART is not one of the days of this rule, and RFC 5545 does not say what \
                           that means";
            let help = format!("begin it on one of them, or change {}", at.name);
            return Err(Flaw::error(property.whole(), message).help(help));
        }
        if let Some(count) = count {
            if count > self.left_to_count {
                let message = format!("more than {MOST_COUNTED} times to be counted in one file");
                return Err(Flaw::error(property.whole(), message));
            }
            self.left_to_count -= count;
            let mut day = first;
            for _ in 1..count {
                match rule.next(day) {
                    Next::On(next) => day = next,
                    Next::Never | Next::NotBefore(_) => break,
                }
            }
            rule.until = rule.start_on(day);
        }
        Ok(rule)
    }
}

/// How long an event takes.
fn how_long(draft: &Draft, start: &When) -> Result<i64, Flaw> {
    let is_date = start.clocks == Clocks::Date;
    match (&draft.end, &draft.duration) {
        (Some((_, property)), Some(_)) => {
            Err(Flaw::error(property.whole(), "DTEND and DURATION do not go together"))
        }
        (Some((end, property)), None) => {
            let Some(end) = end.on(&start.clocks) else {
                let message =
                    "DTEND is not of the kind of DTSTART: a date, a floating time or one in a zone";
                return Err(Flaw::error(property.whole(), message));
            };
            if end <= start.wall {
                let flaw = Flaw::error(property.whole(), "DTEND is not after DTSTART");
                return Err(match is_date {
                    true => flaw.help("it is the day after the last one; leave it out for one day"),
                    false => flaw,
                });
            }
            Ok(end - start.wall)
        }
        (None, Some((long, property))) => match is_date && long % DAY != 0 {
            true => Err(Flaw::error(property.whole(), "what begins on a date takes whole days")),
            false => Ok(*long),
        },
        (None, None) => Ok(if is_date { DAY } else { 0 }),
    }
}

fn date(text: &str) -> Option<When> {
    Some(When { clocks: Clocks::Date, wall: value::date(text)? * DAY })
}

/// `20261224T180000`, with a `Z` for UTC where no zone is named.
fn time(text: &str, zone: Option<&Zone>) -> Option<When> {
    let (day, clock) = text.split_once('T')?;
    let clocks = match (clock.strip_suffix('Z'), zone) {
        (Some(_), None) => Clocks::Zone(Zone::utc()),
        (Some(_), Some(_)) => return None,
        (None, Some(zone)) => Clocks::Zone(zone.clone()),
        (None, None) => Clocks::Floating,
    };
    let clock = value::time(clock.trim_end_matches('Z'))?;
    Some(When { clocks, wall: value::date(day)? * DAY + clock })
}

/// What an event is called: without escapes, on one line, of a bearable length.
fn summary(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => ' ',
                Some(c) => c,
                None => break,
            },
            c if c.is_control() => ' ',
            c => c,
        };
        if c != ' ' || !(out.is_empty() || out.ends_with(' ')) {
            out.push(c);
        }
        if out.chars().count() >= LONGEST_NAME {
            break;
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::{day_of, rule_of};
