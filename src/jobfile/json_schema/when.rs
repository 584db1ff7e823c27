//! Triggers.

use serde_json::{Value, json};

use super::forms::{count, duration, fields, strings, text};
use crate::core::trigger::after::On;
use crate::jobfile::keys::{CRON_FIELDS, INTERVAL_FIELDS};

/// Triggers within a trigger.
pub(super) fn triggers() -> Value {
    json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/trigger" } })
}

pub(super) fn cron() -> Value {
    let fields = fields(CRON_FIELDS, &json!({ "type": ["string", "integer"] }));
    json!({
        "anyOf": [text(), strings(1), fields],
        "examples": ["0 3 * * *", "*/15 9-17 * * mon-fri"],
    })
}

/// Jobs after which one is due.
pub(super) fn after() -> Value {
    let on = On::ALL.map(On::word);
    json!({
        "anyOf": [
            text(),
            strings(1),
            {
                "type": "object",
                "required": ["all"],
                "additionalProperties": false,
                "properties": {
                    "all": { "anyOf": [text(), strings(1)] },
                    "on": { "enum": on },
                    "within": duration(),
                },
            },
        ],
        "examples": ["load"],
    })
}

/// An interval of elapsed time in units.
pub(super) fn elapsed() -> Value {
    let mut table = fields(&INTERVAL_FIELDS[2..7], &count(0));
    table["properties"]["from"] = json!({ "enum": ["start", "end"] });
    table
}

/// An interval of the calendar.
pub(super) fn calendar() -> Value {
    let number = |most: u32| json!({ "type": "integer", "minimum": 0, "maximum": most });
    let mut table = fields(&["years", "months", "weeks", "days"], &count(0));
    let day = json!({
        "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 31 }, { "const": "last" }],
    });
    for (name, what) in
        [("day", day), ("hour", number(23)), ("minute", number(59)), ("second", number(59))]
    {
        table["properties"][name] = what;
    }
    let one = ["years", "months", "weeks", "days"].map(|name| json!({ "required": [name] }));
    table["anyOf"] = Vec::from(one).into();
    table
}
