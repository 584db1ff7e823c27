//! Laws of the reader, over random texts: cutting a text and mending it neither accepts nor refuses
//! what the `toml` crate would not, table by table or as a whole makes no difference, and no text
//! makes it panic.

use std::sync::Arc;

use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::chunk::Part;
use super::load::{Input, Loader};
use super::tree::{Node, Table, Value};
use super::{Loaded, load_text, parse};
use crate::core::instant::Instant;
use crate::core::trigger::Trigger;
use crate::core::zone::Database;
use crate::problem::{Problem, Problems};

const NOW: Instant = Instant::from_secs(1_790_000_000);

/// The tree of a whole text and what is wrong with it.
fn read(text: &str) -> (Table<'_>, Problems) {
    let mut problems = Problems::default();
    let table = parse::table(Part::whole(text), 0, &mut problems, |_| true);
    (table, problems)
}

/// Fails unless our table says what the `toml` crate's says.
fn same_table(text: &str, ours: &Table<'_>, theirs: &DeTable<'_>) {
    assert_eq!(ours.entries.len(), theirs.len(), "in {text:?}");
    for (key, value) in &ours.entries {
        let Some((their_key, their_value)) = theirs.get_key_value(&*key.text) else {
            panic!("no {key:?} in {text:?}");
        };
        if !matches!(their_value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) {
            assert_eq!(key.span.range(), their_key.span(), "{key:?} in {text:?}");
        }
        same_value(text, value, their_value.get_ref());
        let in_place = !matches!(value.node, Node::Table(_) | Node::Tables(_) | Node::Array(_));
        assert!(!in_place || value.span.range() == their_value.span(), "{value:?} in {text:?}");
    }
}

fn same_value(text: &str, ours: &Value<'_>, theirs: &DeValue<'_>) {
    match (&ours.node, theirs) {
        (Node::String(a), DeValue::String(b)) => assert_eq!(a, b),
        (Node::Integer(a), DeValue::Integer(b)) => {
            assert_eq!(Ok(*a), i64::from_str_radix(b.as_str(), b.radix()));
        }
        (Node::Float(a), DeValue::Float(b)) => {
            let b: f64 = b.as_str().parse().unwrap();
            assert!(*a == b || (a.is_nan() && b.is_nan()));
        }
        (Node::Boolean(a), DeValue::Boolean(b)) => assert_eq!(a, b),
        (Node::Datetime, DeValue::Datetime(_)) => {}
        (Node::Array(a) | Node::Tables(a), DeValue::Array(b)) => {
            assert_eq!(a.len(), b.len());
            for (a, b) in a.iter().zip(b.iter()) {
                same_value(text, a, b.get_ref());
            }
        }
        (Node::Table(a), DeValue::Table(b)) => same_table(text, a, b),
        (a, b) => panic!("{a:?} is not {b:?} in {text:?}"),
    }
}

/// Whether each integer is one.
fn has_numbers(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Integer(text) => i64::from_str_radix(text.as_str(), text.radix()).is_ok(),
        DeValue::Array(values) => values.iter().all(|value| has_numbers(value.get_ref())),
        DeValue::Table(table) => table.values().all(|value| has_numbers(value.get_ref())),
        _ => true,
    }
}

fn agrees(text: &str) {
    let (ours, problems) = read(text);
    match DeTable::parse(text) {
        // It reads `0x` as an integer, and leaves it to whoever wants the number to find none.
        Ok(theirs) if !theirs.get_ref().values().all(|value| has_numbers(value.get_ref())) => {
            assert!(!problems.is_empty(), "{text:?} holds an integer without a value");
        }
        Ok(theirs) => {
            assert!(problems.is_empty(), "only for us {text:?} is wrong: {problems:?}");
            same_table(text, &ours, theirs.get_ref());
        }
        Err(error) => assert!(!problems.is_empty(), "only for us {text:?} is right: {error}"),
    }
}

#[test]
fn what_is_toml_is_read() {
    let rows = [
        "",
        "\u{feff}a = 1",
        "a.b = 1\na.c = 2",
        "[a]\nb = 1\n[a.c]\nd = 1",
        "[a.b]\nc = 1\n[a]\nd = 1",
        "[a.b.c]\nd = 1\n[a]\nb.e = 1",
        "[a]\nb.c = 1\n[a.b.d]\ne = 1",
        "a = {b.c = 1, b.d = 2}",
        "[[a]]\nb = 1\n[[a]]\nb = 2",
        "[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 1",
        "[[a.b]]\n[a]\nc = 1",
        "a = [\n[1, 2],\n[3],\n]\n[b]",
        "a = {\n b = 1,\n}\n[c]",
        "a = \"\"\"\n[jobs.x]\n\"\"\"\n[b]",
        "a = '''\n[jobs.x]\n'''\n[b]",
        "# [x]\n [ a . \"b c\" ] # y\nd=1",
        "a = 1\r\nb = 2\r\n",
        "a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00\nc = 1979-05-27\nd = 07:32:00",
    ];
    for text in rows {
        agrees(text);
        assert_eq!(said(text), [""; 0], "{text:?}");
    }
}

/// Where a place stands twice, the second is wrong and the first is named.
#[test]
fn what_is_no_toml_is_said() {
    let rows = [
        ("a = 1\na = 2", "6..7 duplicate key `a`, first at 0"),
        ("a.b = 1\na = 2", "8..9 duplicate key `a`, first at 0"),
        ("a = 1\na.b = 2", "6..7 `a` is a value, so nothing can be added to it, first at 0"),
        ("[a.b]\n[a]\nb = 1", "10..11 duplicate key `b`, first at 3"),
        ("[a.b]\nc = 1\n[a]\nb.d = 1", "16..17 duplicate key `b`, first at 3"),
        ("[a]\n[a]", "5..6 duplicate table `[a]`, first at 1"),
        ("[a]\nb.c = 1\n[a.b]\nd = 1", "15..16 duplicate table `[a.b]`, first at 4"),
        ("[a]\nb = {}\n[a.b]", "14..15 duplicate table `[a.b]`, first at 4"),
        (
            "[a]\nb = {}\n[a.b.c]",
            "14..15 `b` is an inline table, so nothing can be added to it, first at 4",
        ),
        ("a = {b = {c = 1}, b.d = 2}", "18..19 duplicate key `b`, first at 5"),
        ("a = {b = 1, b = 2}", "12..13 duplicate key `b`, first at 5"),
        (
            "a = {}\na.b = 1",
            "7..8 `a` is an inline table, so nothing can be added to it, first at 0",
        ),
        ("[[a]]\n[a]", "7..8 duplicate table `[a]`, first at 2"),
        ("[a]\n[[a]]", "6..7 duplicate table `[a]`, first at 1"),
        ("a = [1]\n[[a]]", "10..11 duplicate table `[a]`, first at 0"),
        ("[a.b]\n[[a.b]]", "10..11 duplicate table `[a.b]`, first at 3"),
        ("[a", "2..2 unclosed header"),
        ("[a]]\nb = 1", "3..4 expected the end of the line"),
        ("[]\nb = 1", "1..2 unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"),
        ("[a.]\nb = 1", "3..4 unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"),
        ("[.a]", "1..2 unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"),
        ("= 1", "0..1 unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"),
        ("a", "1..1 key with no value"),
        ("a =", "3..3 missing value"),
        ("a = 1 b = 2", "4..7 a string must be quoted"),
        ("a = [1, 2", "4..5 unclosed array"),
        ("a = {b = 1", "4..5 unclosed inline table"),
        ("a = \"x", "6..6 unclosed string"),
        ("a = 1\rb = 2", "5..6 a carriage return must be followed by a newline"),
        ("a = 1 # \u{7}", "8..9 a comment cannot contain control characters"),
        ("aé = 1", "0..3 the key `aé` must be quoted"),
        ("[jobs.ä]\nb = 1", "6..8 the key `ä` must be quoted"),
        ("[jobs]\nä.ö = 1", "7..9 the key `ä` must be quoted"),
        ("a = { é = 1 }", "6..8 the key `é` must be quoted"),
        ("\"a\" = 1\na = 2", "8..9 duplicate key `a`, first at 0"),
        ("'a'.b = 1\na.'b' = 2", "12..15 duplicate key `b`, first at 4"),
        ("a = 0x1F\nb = 0o17\nc = 0b11\nd = 1_000\ne = 01\n", "41..42 unexpected leading zero"),
        (
            "a = 1.5\nb = 1e3\nc = inf\nd = -nan\ne = 1.\n",
            "39..39 invalid fraction, expected digits",
        ),
        ("a = true\nb = True", "13..17 invalid boolean, expected `true`"),
        ("a = \"\\u00e9\\x41\\e\"\nb = \"\\q\"", "25..26 unknown escape sequence"),
    ];
    for (text, message) in rows {
        agrees(text);
        assert_eq!(said(text), [message], "{text:?}");
    }
}

/// One mistake neither hides the next nor makes others up.
#[test]
fn every_mistake_is_said_once() {
    let rows = [
        ("a = 1\nb\nc = x y\nd = [1, 2\n", 3),
        ("[jobs.a]\nx = [1\n[jobs.b]\ny = {a = 1\n[jobs.c]\nz = 'x\n", 3),
        ("[a b]\nc = 01\n[d]\ne = 02\nf = 2026-13-01\n", 3),
        ("[a]\nb = 1\n[a]\nb = 1\nc\n[d]\nd = 1\nd = 2\n", 3),
        ("a = [\n01,\n02,\n]\n", 2),
    ];
    for (text, count) in rows {
        assert_eq!(said(text).len(), count, "{text:?}: {:?}", said(text));
    }
}

/// The loop looks at each expression of a job whenever that is due.
#[test]
fn a_job_has_a_bounded_number_of_expressions() {
    let zones = Database::open(None);
    for (count, fits) in [(1000, true), (1001, false)] {
        let expressions = "'0 3 * * *', ".repeat(count);
        let text = format!("jobs.a = {{ command = 'x', cron = [{expressions}] }}");
        let loaded = load_text("x.toml", &text, &zones, Instant::from_secs(0));
        assert_eq!(loaded.set.is_some(), fits, "{count}");
        let told = "too many cron expressions: 1001, at most 1000 are allowed";
        assert_eq!(loaded.problems.iter().any(|problem| problem.message == told), !fits);
    }
}

/// What is wrong with a text, a line each.
fn said(text: &str) -> Vec<String> {
    let (_, problems) = read(text);
    let line = |problem: &Problem| {
        let span = problem.place.span.unwrap_or_default();
        let first = problem.related.as_ref().and_then(|(_, place)| place.span);
        let first = first.map(|span| format!(", first at {}", span.start)).unwrap_or_default();
        format!("{}..{} {}{first}", span.start, span.end, problem.message)
    };
    problems.iter().map(line).collect()
}

/// A text made of pieces of TOML: often right, and when wrong then in interesting ways.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "a = 1\n", "b = \"x\"\n", "c.d = 2\n", "a.b.c = 'y'\n", "[a]\n", "[a.b]\n", "[c]\n",
            "[jobs.a]\n", "[jobs.b]\n", "[jobs]\n", "[jobs.a.env]\n", "[[e]]\n", "[e.f]\n",
            "x = [1, [2], {y = 3}]\n", "y = {a = 1, b.c = 2}\n", "z = \"\"\"\n[a]\n\"\"\"\n", "\n",
            "# comment\n", "d = 1979-05-27T07:32:00Z\n", "w = [\n", "]\n", "v = {\n", "}\n", "k = true\n",
            "f = -1.5e3\n",
        ]),
        1 => prop::sample::select(vec![
            "a", ".", "=", " ", "[", "]", "{", "}", ",", "\"", "'", "\n", "#", "1", "-", "\\", "é", "\r",
            "\"\"\"", "\t", "true", "0x", "\u{feff}", "jobs",
        ]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn loaded(text: &str, whole: bool) -> Loaded {
    let zones = Database::bundled();
    let tz = Some("UTC".to_owned());
    let input = Input::Text { name: "jobs.toml", text };
    Loader { zones: &zones, now: NOW, tz, machine: 0, host: None, origins: true }
        .load_as(input, whole)
}

/// A jobfile: tables of jobs and sections with good and bad lines, in any order.
fn jobfile() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[jobs.a]\n",
        "[jobs.b]\n",
        "[jobs.c]\n",
        "[jobs.'d e']\n",
        "[jobs.a.env]\n",
        "[jobs.b.env]\n",
        "[jobs.a.cron]\n",
        "[jobs]\n",
        "[defaults]\n",
        "[executors]\n",
        "[scheduler]\n",
        "[[jobs.a]]\n",
        "[job.a]\n",
    ]);
    let line = prop::sample::select(vec![
        "command = \"true\"\n",
        "command = ['a', 'b']\n",
        "cron = '0 3 * * *'\n",
        "cron = '61 * * * *'\n",
        "interval = '5m'\n",
        "date = 2020-01-01\n",
        "hour = 3\n",
        "timeout = '1h'\n",
        "timeout = 5\n",
        "timezone = 'Europe/Berlin'\n",
        "env.X = 'y'\n",
        "X = 'z'\n",
        "retries = 2\n",
        "max_workers = 3\n",
        "reports = { max_workers = 2 }\n",
        "executor = 'reports'\n",
        "x = { command = 'y', interval = '1s' }\n",
        "a.command = 'x'\n",
        "comand = 'x'\n",
        "broken\n",
        "args = [1,\n",
        "\n",
        "# text\n",
    ]);
    let table = (header, prop::collection::vec(line, 0..5))
        .prop_map(|(header, lines)| header.to_owned() + &lines.concat());
    prop::collection::vec(table, 0..8).prop_map(|tables| tables.concat())
}

fn whole_or_not(text: &str) {
    let (one_by_one, whole) = (loaded(text, false), loaded(text, true));
    let problems = |loaded: &Loaded| loaded.problems.iter().cloned().collect::<Vec<_>>();
    assert_eq!(problems(&one_by_one), problems(&whole), "{text}");
    let sets = (&one_by_one.set, &whole.set);
    if let (Some(a), Some(b)) = sets {
        assert_eq!((&a.jobs, &a.executors), (&b.jobs, &b.executors), "{text}");
    }
}

#[test]
fn begins_a_job_again() {
    let text = "[jobs.a]\ncommand = 'x'\ninterval = '1s'\n\
                [jobs.b]\ncommand = 'y'\ninterval = '1s'\n\
                [jobs.a.env]\nX = '1'\n[defaults]\ntimeout = '1h'\n";
    whole_or_not(text);
    let set = loaded(text, false).set.unwrap();
    assert_eq!(set.jobs.len(), 2);
    assert_eq!(set.jobs[0].options.env.len(), 1);
    assert_eq!(set.jobs[1].options.timeout, Some(std::time::Duration::from_secs(3600)));
}

/// Every place a problem names lies in the file, on the boundaries of characters.
fn places_are_real(text: &str) {
    let zones = Database::bundled();
    let loaded = load_text("jobs.toml", text, &zones, NOW);
    for problem in loaded.problems.iter() {
        let related = problem.related.as_ref().map(|(_, place)| *place);
        for place in [Some(problem.place), related].into_iter().flatten() {
            let span = place.span.unwrap_or_default();
            assert!(text.get(span.range()).is_some(), "{problem:?} in {text:?}");
        }
        assert!(!problem.message.ends_with('.'), "{problem:?}");
    }
    let mut out = Vec::new();
    crate::problem::print(&mut out, &loaded.problems, &loaded.sources, None).unwrap();
    let hostile = |c: char| c.is_control() && !matches!(c, '\n' | '\x1b');
    assert!(!String::from_utf8(out).unwrap().contains(hostile), "{text:?}");
    crate::problem::print_json(&mut Vec::new(), &loaded.problems, &loaded.sources).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn agrees_with_the_toml_crate(text in soup()) {
        agrees(&text);
    }

    #[test]
    fn a_table_at_a_time_is_the_same(text in jobfile()) {
        whole_or_not(&text);
        places_are_real(&text);
    }

    #[test]
    fn no_text_makes_it_panic(
        text in jobfile(),
        at in any::<prop::sample::Index>(),
        junk in "[\\PC\\x00-\\x1f\\x7f-\\x9f\"'\\[\\]{}=.#,\\\\\u{202e}\u{1f600}]{0,6}",
    ) {
        let mut at = at.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let text = format!("{}{junk}{}", &text[..at], &text[at..]);
        places_are_real(&text);
    }

    #[test]
    fn no_soup_makes_it_panic(text in soup()) {
        places_are_real(&text);
    }
}

/// A million jobs that say the same say it once; what is each job's own stays so.
#[test]
fn what_jobs_say_alike_is_shared() {
    let rows = [
        ("cron = '5 3 * * *'", true),
        ("cron = ['5 3 * * *', '6 4 * * *']", true),
        ("cron = { day = '3rd fri', hour = 3 }", true),
        ("cron = 'H 3 * * *'", false),
        ("cron = '5 3 * * *'\nstart_date = 2026-01-01", false),
        ("cron = '5 3 * * *'\ntimezone = 'Asia/Tokyo'", false),
    ];
    for (cron, shared) in rows {
        let job =
            |id| format!("[jobs.{id}]\nname = 'the {id}'\ncommand = 'x'\nretries = 1\n{cron}\n");
        let text = job("one") + &job("other");
        let loaded = load_text("jobs.toml", &text, &Database::bundled(), NOW);
        let jobs = loaded.set.unwrap().jobs;
        let (Trigger::Cron(a), Trigger::Cron(b)) = (&jobs[0].trigger, &jobs[1].trigger) else {
            panic!("not cron: {cron}");
        };
        assert_eq!(Arc::ptr_eq(a, b), shared, "{cron}");
        assert!(Arc::ptr_eq(&jobs[0].options, &jobs[1].options), "{cron}");
        assert_eq!(jobs[1].name.as_deref(), Some("the other"));
    }
}

#[test]
fn a_prefix_alone_is_no_number() {
    for text in ["a = 0x", "a = [\n0o]", "a = { b = 0b }"] {
        agrees(text);
        assert!(!read(text).1.is_empty(), "{text}");
    }
    agrees("a = 99999999999999999999");
}
