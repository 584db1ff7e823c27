//! What is no request, and what is said to it.

use proptest::prelude::*;
use serde_json::json;

use schedrs::clock;
use schedrs::control::Request;
use schedrs::control::wire::parse;

use super::fake::Bench;

/// Lines, the code of the answer, and words of its message or help.
const ROWS: &[(&str, &str, &str)] = &[
    ("garbage", "bad_json", "expected value"),
    ("[]", "bad_json", "a request must be a JSON object"),
    ("{", "bad_json", "EOF"),
    ("{}", "bad_request", "`do` is missing"),
    (r#"{"do":3}"#, "bad_request", "`do`: expected a string, found a number"),
    (r#"{"do":"lst"}"#, "unknown_verb", "did you mean `list`?"),
    (r#"{"do":"get_jobs"}"#, "unknown_verb", "did you mean `list`?"),
    (r#"{"do":"add_job"}"#, "unknown_verb", "did you mean `add`?"),
    (r#"{"do":"frobnicate"}"#, "unknown_verb", "use one of ping, list"),
    (r#"{"do":"list","v":2}"#, "bad_version", "version 1"),
    (r#"{"do":"list","limt":2}"#, "unknown_key", "did you mean `limit`?"),
    (r#"{"do":"list","id":[1]}"#, "bad_request", "`id` must be a number"),
    (r#"{"do":"list","from":-1}"#, "bad_request", "a whole number"),
    (r#"{"do":"show"}"#, "bad_request", "`job` is missing"),
    (r#"{"do":"stop","job":"a","run":1}"#, "bad_request", "not both"),
    (r#"{"do":"start","job":"a","wait":"yes"}"#, "bad_request", "expected true or false"),
    (r#"{"do":"pause","job":"a","all":true}"#, "bad_request", "contradict"),
    (r#"{"do":"pause","job":"a","until":"2026-12-01"}"#, "bad_request", "no UTC offset"),
    (r#"{"do":"pause","job":"a","until":"tomorrow"}"#, "bad_request", "a date such as"),
    (r#"{"do":"pause","job":"a","for":"2"}"#, "bad_request", "`for`"),
    (r#"{"do":"add","job":"a","command":"x"}"#, "bad_request", "missing: when the job is due"),
    (r#"{"do":"add","job":"a","in":"1h","every":"1h"}"#, "bad_request", "`in` and `every` both"),
    (r#"{"do":"add","job":"a","in":3600}"#, "bad_request", "expected a duration"),
    (r#"{"do":"add","job":"a","in":"1h","comand":"x"}"#, "unknown_key", "did you mean `command`?"),
    (r#"{"do":"add","job":"a","toml":"","command":"x"}"#, "bad_request", "cannot be combined"),
    (r#"{"do":"add","job":"a","in":"1h","env":{"A":null}}"#, "bad_request", "null"),
    (r#"{"do":"modify","job":"a"}"#, "bad_request", "nothing to modify"),
    (r#"{"do":"modify","job":"a","timout":"1h"}"#, "unknown_key", "did you mean `timeout`?"),
    (r#"{"do":"modify","job":"a","every":"1h"}"#, "bad_request", "use `reschedule`"),
    (r#"{"do":"export","format":"yaml"}"#, "bad_request", "\"toml\" or \"json\""),
];

#[test]
fn every_mistake_has_its_answer() {
    let bench = Bench::new();
    // All on one connection: none of them ends it.
    let mut wire = bench.connect();
    let mut wrong = Vec::new();
    for (line, code, words) in ROWS {
        wire.say(line);
        let reply = wire.hear();
        assert_eq!(super::fake::code(&reply), *code, "{line}: {reply}");
        let text = format!("{} {}", reply["error"]["message"], reply["error"]["help"]);
        let text = text.replace("\\\"", "\"");
        if !text.contains(words) {
            wrong.push(format!("{line}: {text}, without {words:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    wire.say(r#"{"do":"ping","id":"still"}"#);
    assert_eq!(wire.hear()["id"], "still");
    assert!(bench.center.calls.lock().unwrap().is_empty());
}

/// `doc/control.md` has every verb, and every code that is answered above.
#[test]
fn the_manual_is_complete() {
    let manual = include_str!("../../../doc/control.md");
    let request = parse(b"{}", clock::wall());
    let help = request.request.unwrap_err().help.unwrap();
    let verbs: Vec<&str> = help.trim_start_matches("use one of ").split(", ").collect();
    assert!(verbs.len() > 20, "{help}");
    for verb in verbs {
        assert!(manual.contains(&format!("\n| `{verb}` |")), "{verb}");
    }
    for (_, code, _) in ROWS {
        assert!(manual.contains(&format!("`{code}`")), "{code}");
    }
}

/// The ten lines of Python in the manual do what they say.
#[test]
fn the_client_of_the_manual_works() {
    let manual = include_str!("../../../doc/control.md");
    let (_, rest) = manual.split_once("```python\n").unwrap();
    let (program, _) = rest.split_once("```").unwrap();
    let bench = Bench::new();
    let path = bench.path();
    let program = program.replace("/run/schedrs/jobs-5f1c09ab.sock", path.to_str().unwrap());
    assert!(program.contains(path.to_str().unwrap()));
    let ran = std::process::Command::new("python3").args(["-c", &program]).output();
    // There may be no Python here.
    let Ok(ran) = ran else { return };
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "['tidy']\n");
}

#[test]
fn the_id_comes_back() {
    let bench = Bench::new();
    for id in [json!("x"), json!(17), json!(-1.5), json!("\"\n\u{0}")] {
        assert_eq!(bench.ask(json!({ "do": "ping", "id": id }))["id"], id);
        assert_eq!(bench.ask(json!({ "do": "pin", "id": id }))["id"], id);
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        prop_oneof![Just("1h"), Just("2026-12-01T00:00:00Z")].prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::hash_map(".{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

const WORDS: &[&str] =
    &["add", "modify", "reschedule", "list", "pause", "stop", "start", "history", "changes"];
const KEYS: &[&str] = &[
    "job",
    "in",
    "at",
    "every",
    "cron",
    "env",
    "command",
    "until",
    "for",
    "limit",
    "from",
    "toml",
    "all",
    "run",
    "wait",
    "v",
    "id",
    "retry_backoff",
    "cwd",
    "before",
];

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let request = parse(&bytes, clock::wall());
        prop_assert!(request.request.is_err());
    }

    /// What is made of a definition is TOML that says the same.
    #[test]
    fn definitions_are_toml(
        word in proptest::sample::select(WORDS),
        keys in proptest::collection::hash_map(proptest::sample::select(KEYS), any_json(), 0..5),
    ) {
        let mut map: serde_json::Map<String, serde_json::Value> =
            keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        map.insert("do".to_owned(), word.into());
        let line = serde_json::Value::Object(map.clone()).to_string();
        let text = match parse(line.as_bytes(), clock::wall()).request {
            Ok(Request::Add { text, .. } | Request::Modify { text, .. } | Request::Reschedule { text, .. }) => text,
            _ => return Ok(()),
        };
        if map.get("toml").is_some_and(|toml| toml.is_string()) {
            return Ok(());
        }
        let table: toml::Table = text.parse().map_err(|error| {
            TestCaseError::fail(format!("{line}\n{text}\n{error}"))
        })?;
        for key in ["command", "env", "cwd", "retry_backoff", "cron"] {
            let Some(value) = map.get(key).filter(|value| !value.is_null()) else { continue };
            prop_assert_eq!(&serde_json::to_value(&table[key]).unwrap(), value);
        }
    }
}
