//! What programs read instead of pages, below `/api/v1/`: which question an address asks. It is answered by
//! [`Source::api`](super::source::Source::api), in the JSON that the subcommands and the control socket have.

use super::query::Query;

/// So many are in an answer that does not say how many it wants.
const LIMIT: usize = 100;
/// And so many at most.
const MOST: usize = 1000;
/// So many due times of each job at most.
const MOST_DUE: usize = 100;
/// A word is not longer.
const LONGEST: usize = 600;

/// A question. Jobs are named as on a command line: an id, a pattern, or `tag:` and a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How jobs stand, as `list` has it.
    List {
        /// Of these; `None`: of all.
        job: Option<String>,
        /// Only those of this executor.
        executor: Option<String>,
        /// Only those in this state.
        state: Option<String>,
        /// Only those whose last run failed, or that are overdue.
        failed: bool,
        /// From which on.
        from: usize,
        /// So many at most.
        limit: usize,
    },
    /// When jobs are due, as `next` has it.
    Next {
        /// These; `None`: all.
        job: Option<String>,
        /// So many due times of each.
        count: usize,
        /// So many at most.
        limit: usize,
    },
    /// What became of due times, as `history` has it, the newest first.
    History {
        /// Of these; `None`: of all.
        job: Option<String>,
        /// Only what went wrong.
        failed: bool,
        /// From when on.
        since: Option<String>,
        /// Until when.
        until: Option<String>,
        /// Older than this one.
        before: Option<u64>,
        /// So many at most.
        limit: usize,
    },
    /// Why a job did, or did not, what it did, as `why` has it.
    Why {
        /// Its id.
        job: String,
        /// At which due time; `None`: the latest.
        at: Option<String>,
    },
}

/// What an address below `/api/v1/` asks for; `None`: there is nothing. If something in it is wrong, that is
/// said in a sentence.
pub(super) fn read(parts: &[&str], query: &Query) -> Option<Result<Question, String>> {
    let read = match parts {
        ["list"] => list,
        ["next"] => next,
        ["history"] => history,
        ["why"] => why,
        _ => return None,
    };
    Some(read(&Asked(query)))
}

fn list(asked: &Asked<'_>) -> Result<Question, String> {
    asked.knows(&["job", "executor", "state", "failed", "from", "limit"])?;
    Ok(Question::List {
        job: asked.text("job")?,
        executor: asked.text("executor")?,
        state: asked.text("state")?,
        failed: asked.flag("failed")?,
        from: asked.number("from", 0, u32::MAX as usize)?,
        limit: asked.limit()?,
    })
}

fn next(asked: &Asked<'_>) -> Result<Question, String> {
    asked.knows(&["job", "count", "limit"])?;
    let count = asked.number("count", 1, MOST_DUE)?.max(1);
    Ok(Question::Next { job: asked.text("job")?, count, limit: asked.limit()? })
}

fn history(asked: &Asked<'_>) -> Result<Question, String> {
    asked.knows(&["job", "failed", "since", "until", "before", "limit"])?;
    let before = asked.text("before")?.map(|text| {
        text.parse().map_err(|_| "`before` is a number: the `before` of an answer.".to_owned())
    });
    Ok(Question::History {
        job: asked.text("job")?,
        failed: asked.flag("failed")?,
        since: asked.text("since")?,
        until: asked.text("until")?,
        before: before.transpose()?,
        limit: asked.limit()?,
    })
}

fn why(asked: &Asked<'_>) -> Result<Question, String> {
    asked.knows(&["job", "at"])?;
    let job = asked.text("job")?.ok_or("`job` is missing: `?job=ID`.")?;
    Ok(Question::Why { job, at: asked.text("at")? })
}

/// What stands behind the `?`.
struct Asked<'q>(&'q Query);

impl Asked<'_> {
    fn knows(&self, known: &[&str]) -> Result<(), String> {
        match self.0.names().find(|name| !known.contains(name)) {
            // It is not repeated: whoever asks knows what was asked.
            Some(_) => Err(format!("Here one can ask for {}, and nothing else.", known.join(", "))),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.0.get(name) {
            "" => Ok(None),
            text if text.len() > LONGEST => Err(format!("`{name}` is too long.")),
            text => Ok(Some(text.to_owned())),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.0.get(name) {
            "" | "false" | "0" => Ok(false),
            "true" | "1" => Ok(true),
            _ => Err(format!("`{name}` is `true` or `false`.")),
        }
    }

    fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, String> {
        let text = self.0.get(name);
        if text.is_empty() {
            return Ok(default);
        }
        let number = text.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| format!("`{name}` is a number up to {most}."))
    }

    fn limit(&self) -> Result<usize, String> {
        Ok(self.number("limit", LIMIT, MOST)?.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, query: &str) -> Option<Result<Question, String>> {
        read(&path.split('/').collect::<Vec<_>>(), &Query::parse(query))
    }

    #[test]
    fn what_an_address_asks_for() {
        let text = |text: &str| Some(text.to_owned());
        let list = Question::List {
            job: None,
            executor: None,
            state: None,
            failed: false,
            from: 0,
            limit: 100,
        };
        let rows = [
            ("list", "", list),
            (
                "list",
                "job=tag%3Aeu&executor=io&state=paused&failed=true&from=7&limit=0",
                Question::List {
                    job: text("tag:eu"),
                    executor: text("io"),
                    state: text("paused"),
                    failed: true,
                    from: 7,
                    limit: 1,
                },
            ),
            ("next", "count=3", Question::Next { job: None, count: 3, limit: 100 }),
            (
                "history",
                "job=a&since=1h+ago&before=12&limit=1000",
                Question::History {
                    job: text("a"),
                    failed: false,
                    since: text("1h ago"),
                    until: None,
                    before: Some(12),
                    limit: 1000,
                },
            ),
            ("why", "job=a&at=03:00", Question::Why { job: "a".into(), at: text("03:00") }),
        ];
        for (path, query, expected) in rows {
            assert_eq!(asked(path, query), Some(Ok(expected)), "{path}?{query}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for path in ["", "lists", "list/a", "start", "jobs"] {
            assert_eq!(asked(path, ""), None, "{path}");
        }
        let long = format!("job={}", "x".repeat(601));
        let rows = [
            ("list", "limit=1001", "`limit` is a number up to 1000."),
            ("list", "limit=x", "`limit` is a number up to 1000."),
            ("list", "failed=yes", "`failed` is `true` or `false`."),
            ("list", &long, "`job` is too long."),
            ("next", "since=1h", "Here one can ask for job, count, limit, and nothing else."),
            ("history", "before=-1", "`before` is a number: the `before` of an answer."),
            ("why", "", "`job` is missing: `?job=ID`."),
        ];
        for (path, query, expected) in rows {
            assert_eq!(asked(path, query), Some(Err(expected.to_owned())), "{path}?{query}");
        }
    }
}
