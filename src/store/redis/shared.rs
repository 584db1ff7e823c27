//! The store as several schedulers share it.

use std::ops::Range;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd};
use serde_json::json;

use super::reply::{self, Odd};
use super::{Redis, encode, last_moment, read};
use crate::core::event::RunId;
use crate::core::fleet::{Lost, Member, SessionId, Standing, View};
use crate::core::instant::Instant;
use crate::store::shared::{
    Adopted, Asked, Committed, Files, RUN_NUMBERS, ServerSettings, Shared, TakenUp, refusal,
};
use crate::store::{Fact, StoreError, encode as rows};

fn view(answer: Value) -> Result<View, Odd> {
    let [now, generation, identity, changes, standing, beat, members, recorded] =
        reply::list_of(answer)?;
    Ok(View {
        now: encode::instant(reply::text(&now)?)?,
        generation: reply::number(&generation)?,
        identity: reply::text(&identity)?.into(),
        recorded: reply::text(&recorded)?.into(),
        changes: reply::number(&changes)?,
        me: match reply::text(&standing)? {
            "alive" => Standing::Alive { beat: reply::number(&beat)? },
            "gone" => Standing::Gone,
            _ => Standing::Unknown,
        },
        members: read::members(members)?,
    })
}

/// When a run is due of which a fact says that it is claimed.
fn due_of(facts: &[Fact], wanted: RunId) -> Option<Instant> {
    facts.iter().find_map(|fact| match fact {
        Fact::Admitted { run, due, .. } if *run == wanted => Some(*due),
        _ => None,
    })
}

fn lost(answer: Value, facts: &[Fact], now: Instant) -> Result<(RunId, Lost), Odd> {
    let [run, why, session, other] = reply::list_of(answer)?;
    let run = RunId(reply::number(&run)?);
    let session: SessionId = reply::text(&session)?.parse().map_err(|_| Odd)?;
    let lost = match reply::text(&why)? {
        "taken" => Lost::Taken { session, run: RunId(reply::number(&other)?) },
        "busy" => Lost::Busy { session },
        _ => Lost::Early { by: due_of(facts, run).map_or(Duration::ZERO, |due| due.since(now)) },
    };
    Ok((run, lost))
}

/// Parts of an answer, or in their place why nothing was taken.
type Taken<const N: usize> = Result<[Value; N], bool>;

/// Whether the only part of an answer says that the session is gone, or else that the store went back.
fn taken<const N: usize>(answer: Value) -> Result<Taken<N>, Odd> {
    let parts = reply::list(answer)?;
    match &parts[..] {
        [why] => Ok(Err(reply::text(why)? == "gone")),
        _ => reply::list_of(Value::Array(parts)).map(Ok),
    }
}

fn asked_json(asked: &Asked) -> String {
    json!([asked.by, asked.at.micros(), asked.request]).to_string()
}

fn asked(answer: Value) -> Result<Asked, Odd> {
    let [id, to, from, all, answer] = reply::list_of(answer)?;
    let session = |value: &Value| reply::text(value)?.parse().map_err(|_| Odd);
    let all: (Box<str>, i64, Box<str>) =
        serde_json::from_slice(reply::bytes(&all)?).map_err(|_| Odd)?;
    let answer = reply::text(&answer)?;
    Ok(Asked {
        id: reply::number(&id)?,
        to: session(&to)?,
        from: session(&from)?,
        by: all.0,
        at: Instant::from_micros(all.1),
        request: all.2,
        answer: answer.strip_prefix('=').map(Box::from),
    })
}

impl Redis {
    /// An operation that begins with who asks.
    fn of_member(&self, name: &str, me: &Member) -> Cmd {
        let mut operation = self.link.operation(name);
        operation.arg(me.id.to_string()).arg(&*me.machine).arg(me.jobfile_hash);
        operation
    }
}

impl Shared for Redis {
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError> {
        self.tidying.shared = true;
        let mut join = self.of_member("join", me);
        join.arg(rows::jobs_json(jobs)).arg(me.beat);
        encode::member_fields(&mut join, me);
        self.link.ask(&join, view)
    }

    fn beat(&mut self, me: &Member) -> Result<View, StoreError> {
        let mut beat = self.of_member("beat", me);
        beat.arg(me.beat);
        encode::member_fields(&mut beat, me);
        self.link.ask(&beat, view)
    }

    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError> {
        let mut commit = self.link.operation("commit");
        commit.arg(me.to_string()).arg(acked).arg(last_moment(facts));
        encode::facts(&mut commit, facts);
        self.touch(facts);
        let committed = self.link.ask(&commit, |answer| {
            let [beat, now, changes, lists] = match taken(answer)? {
                Ok(parts) => parts,
                Err(gone) => return Ok(Err(gone)),
            };
            let (beat, changes) = (reply::number(&beat)?, reply::number(&changes)?);
            let now = encode::instant(reply::text(&now)?)?;
            let lost = reply::list(lists)?.into_iter().map(|one| lost(one, facts, now));
            Ok(Ok(Committed { lost: lost.collect::<Result<_, _>>()?, beat, now, changes }))
        })?;
        committed.map_err(|gone| refusal(me, acked, Some(gone)))
    }

    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError> {
        let mut reap = self.link.operation("reap");
        reap.arg(by.to_string()).arg(whom.to_string()).arg(beat);
        self.link.ask(&reap, |answer| Ok(reply::number::<u8>(&answer)? > 0))
    }

    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError> {
        let mut adopt = self.link.operation("adopt");
        adopt.arg(me.to_string()).arg(acked);
        for (run, session) in runs {
            adopt.arg(run.0).arg(session.to_string());
        }
        let adopted = self.link.ask(&adopt, |answer| {
            let [beat, mine] = match taken(answer)? {
                Ok(parts) => parts,
                Err(gone) => return Ok(Err(gone)),
            };
            let run = |value: Value| Ok(RunId(reply::number(&value)?));
            let runs = reply::list(mine)?.into_iter().map(run).collect::<Result<_, Odd>>()?;
            Ok(Ok(Adopted { runs, beat: reply::number(&beat)? }))
        })?;
        adopted.map_err(|gone| refusal(me, acked, Some(gone)))
    }

    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError> {
        let mut leave = self.link.operation("leave");
        leave.arg(me.to_string()).arg(u8::from(ended));
        self.link.ask(&leave, |_| Ok(()))
    }

    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError> {
        let mut take_up = self.link.operation("take_up");
        for job in jobs {
            take_up.arg(&**job);
        }
        self.link.ask(&take_up, read::taken_up)
    }

    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let mut question = cmd("HMGET");
        question.arg(self.link.key("files")).arg(hashes);
        self.link.ask(&question, |answer| {
            let mut found = Vec::new();
            for (hash, jobs) in hashes.iter().zip(reply::list(answer)?) {
                if jobs != Value::Nil {
                    found.push((*hash, rows::jobs(reply::bytes(&jobs)?).ok_or(Odd)?));
                }
            }
            Ok(found)
        })
    }

    fn run_numbers(&mut self) -> Result<Range<u64>, StoreError> {
        let mut numbers = self.link.operation("numbers");
        numbers.arg(RUN_NUMBERS);
        let first: u64 = self.link.ask(&numbers, |answer| reply::number(&answer))?;
        Ok(first..first + RUN_NUMBERS)
    }

    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError> {
        let mut ask = self.link.operation("ask");
        ask.arg(asked.id).arg(asked.to.to_string()).arg(asked.from.to_string());
        ask.arg(asked_json(asked));
        self.link.ask(&ask, |_| Ok(()))
    }

    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError> {
        let mut asks = self.link.operation("asks");
        asks.arg(session.to_string());
        self.link.ask(&asks, |answer| reply::list(answer)?.into_iter().map(asked).collect())
    }

    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError> {
        let mut question = self.link.operation("answer");
        question.arg(id).arg(format!("={answer}"));
        self.link.ask(&question, |_| Ok(()))
    }

    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError> {
        let mut generation = self.of_member("generation", me);
        generation.arg(seen).arg(seen.max(above).saturating_add(1));
        encode::member_fields(&mut generation, me);
        self.link.ask(&generation, view)
    }

    fn settings(&mut self) -> Result<ServerSettings, StoreError> {
        let info = self.link.ask(&redis::cmd("INFO"), |info| Ok(reply::text(&info)?.to_owned()))?;
        let of = |wanted: &str| {
            let pair = info.lines().filter_map(|line| line.trim_end().split_once(':'));
            pair.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let mut found = ServerSettings::new();
        for name in ["aof_enabled", "maxmemory_policy"] {
            found.extend(of(name).map(|value| (name.into(), value.into())));
        }
        // Not everybody may ask for these; then nothing is said of them.
        let mut ask = |name: &str| {
            let question = redis::cmd("CONFIG").arg("GET").arg(name).to_owned();
            let value = self.link.ask(&question, reply::pairs).ok()?.pop()?.1;
            String::from_utf8(value).ok()
        };
        if of("aof_enabled") == Some("1")
            && let Some(value) = ask("appendfsync")
        {
            found.push(("appendfsync".into(), value.into()));
        }
        if let Some(needed) = ask("min-replicas-to-write") {
            let without = if needed == "0" { of("connected_slaves").unwrap_or("0") } else { "0" };
            found.push(("replicas without min-replicas-to-write".into(), without.into()));
        }
        Ok(found)
    }

    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError> {
        let mut pipe = Pipeline::new();
        for member in members {
            let mut put_back = self.link.operation("put_back");
            put_back.arg(member.id.to_string());
            encode::whole_member(&mut put_back, member);
            pipe.add_command(put_back);
        }
        for (hash, jobs) in files {
            pipe.cmd("HSETNX").arg(self.link.key("files")).arg(*hash).arg(rows::jobs_json(jobs));
        }
        if pipe.is_empty() {
            return Ok(());
        }
        // The script is there: whoever puts back has joined before.
        self.link.pipe(&pipe).map(drop)
    }
}
