//! Facts become statements: a handful for each stage, whatever it holds.
//!
//! Every statement may be done twice: a commit that failed may have happened, and is done again
//! with the same facts. A run whose claim is lost has no row, so that whatever else is said of it
//! finds nothing to change.

use std::borrow::Cow;

use crate::core::event::{JobRecord, Pause, RunId};
use crate::core::fleet::{SPARE_RUNS, SessionId};
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::core::usage::Usage;
use crate::store::encode;
use crate::store::sql::{Attempt, Batch, JobChange, Life, Row, RowKind, Run, Stage, escaped};

use super::link::Statement;
use super::settings::Settings;

/// What is said of a run, as columns of `x`; what is `NULL` stays as it is.
const CHANGED: &str = "attempts = coalesce(x.attempts, r.attempts), \
     pid = CASE WHEN x.current THEN x.pid ELSE r.pid END, \
     pid_start = CASE WHEN x.current THEN x.pid_start ELSE r.pid_start END, \
     begun = CASE WHEN x.current THEN x.begun ELSE r.begun END, \
     started = coalesce(r.started, x.started), \
     outcome = coalesce(x.outcome, r.outcome), failed = coalesce(x.failed, r.failed), \
     number = CASE WHEN x.outcome IS NULL THEN r.number ELSE x.number END, \
     reason = CASE WHEN x.outcome IS NULL THEN r.reason ELSE x.reason END, \
     duration = coalesce(x.duration, r.duration), cpu = coalesce(x.cpu, r.cpu), \
     max_rss = coalesce(x.max_rss, r.max_rss), disk_read = coalesce(x.disk_read, r.disk_read), \
     disk_written = coalesce(x.disk_written, r.disk_written), \
     printed = coalesce(x.printed, r.printed)";

/// No record of others has a due time of `x` among its own, unless somebody has asked for that run. Records
/// do not overlap, so that the last that begins early enough tells.
const FREE: &str = " AND (\"by\" IS NOT NULL OR coalesce((SELECT o.last_due FROM ~record o \
     WHERE o.job = x.job AND o.due <= x.last_due AND o.claim = x.claim AND o.\"by\" IS NULL \
     ORDER BY o.due DESC LIMIT 1) < x.due, true))";

/// Who writes.
pub(super) struct Writer<'a> {
    pub(super) settings: &'a Settings,
    /// `None`: a store of one scheduler.
    pub(super) session: Option<SessionId>,
    /// So far ahead of the server's clock a claim may be due, in microseconds.
    pub(super) early: Option<i64>,
    /// Numbers of runs may have been used before: that is found and put right, which takes longer.
    pub(super) careful: bool,
}

/// The run as a column.
pub(super) fn number(run: RunId) -> i64 {
    run.0 as i64
}

/// The session as a column.
pub(super) fn id(session: SessionId) -> i64 {
    session.0 as i64
}

/// Columns about runs, for `unnest`.
#[derive(Default)]
struct Runs<'a> {
    run: Vec<Option<i64>>,
    attempts: Vec<Option<i64>>,
    current: Vec<bool>,
    pid: Vec<Option<i64>>,
    pid_start: Vec<Option<i64>>,
    begun: Vec<Option<i64>>,
    started: Vec<Option<i64>>,
    outcome: Vec<Option<&'static str>>,
    failed: Vec<Option<bool>>,
    number: Vec<Option<i64>>,
    reason: Vec<Option<Cow<'a, str>>>,
    duration: Vec<Option<i64>>,
    usage: [Vec<Option<i64>>; 4],
    printed: Vec<Option<i64>>,
}

impl<'a> Runs<'a> {
    /// Their names and types, for a statement whose first of them is this.
    fn columns(first: usize) -> (String, &'static str) {
        const TYPES: [&str; 17] = [
            "int8", "int8", "bool", "int8", "int8", "int8", "int8", "text", "bool", "int8", "text",
            "int8", "int8", "int8", "int8", "int8", "int8",
        ];
        let values: Vec<String> =
            TYPES.iter().zip(first..).map(|(of, place)| format!("${place}::{of}[]")).collect();
        let names = "run, attempts, current, pid, pid_start, begun, started, outcome, failed, \
                     number, reason, duration, cpu, max_rss, disk_read, disk_written, printed";
        (values.join(", "), names)
    }

    fn push(&mut self, run: &Run<'a>) {
        let current = run.current.flatten();
        self.run.push(Some(number(run.run)));
        self.attempts.push(run.attempts.map(i64::from));
        self.current.push(run.current.is_some());
        self.process(current.map(|(process, at)| (process, Some(at))));
        self.started.push(run.started.map(Instant::micros));
        self.outcome(run.ended.map(|(outcome, _)| outcome));
        self.duration.push(run.ended.map(|(_, duration)| duration_micros(duration)));
        self.usage(run.usage, run.printed);
    }

    fn fate(&mut self, outcome: &'a Outcome) {
        self.run.push(None);
        self.attempts.push(None);
        self.current.push(false);
        self.process(None);
        self.started.push(None);
        self.outcome(Some(outcome));
        self.duration.push(None);
        self.usage(None, None);
    }

    fn usage(&mut self, usage: Option<Usage>, printed: Option<u64>) {
        for (all, value) in self.usage.iter_mut().zip(encode::usage_columns(usage)) {
            all.push(value);
        }
        self.printed.push(printed.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)));
    }

    fn process(&mut self, current: Option<(crate::core::event::Process, Option<Instant>)>) {
        self.pid.push(current.map(|(process, _)| i64::from(process.pid)));
        self.pid_start.push(current.map(|(process, _)| process.start as i64));
        self.begun.push(current.and_then(|(_, at)| at).map(Instant::micros));
    }

    fn outcome(&mut self, outcome: Option<&'a Outcome>) {
        let columns = outcome.map(encode::columns);
        self.outcome.push(columns.map(|(word, ..)| word));
        self.failed.push(outcome.map(Outcome::went_wrong));
        self.number.push(columns.and_then(|(_, number, _)| number));
        self.reason.push(columns.and_then(|(.., text)| text).map(escaped));
    }

    fn put(self, statement: Statement<'a>) -> Statement<'a> {
        let [cpu, max_rss, read, written] = self.usage;
        statement
            .numbers(self.run)
            .numbers(self.attempts)
            .flags(self.current)
            .numbers(self.pid)
            .numbers(self.pid_start)
            .numbers(self.begun)
            .numbers(self.started)
            .texts(self.outcome)
            .flags(self.failed)
            .numbers(self.number)
            .texts(self.reason)
            .numbers(self.duration)
            .numbers(cpu)
            .numbers(max_rss)
            .numbers(read)
            .numbers(written)
            .numbers(self.printed)
    }
}

impl<'a> Writer<'a> {
    fn sql(&self, sql: &str) -> Statement<'a> {
        Statement::new(self.settings, sql)
    }

    /// All of it, in its order. Answers which statements tell, for each stage with claims, those that
    /// are won.
    pub(super) fn all(&self, batch: &Batch<'a>, to: &mut Vec<Statement<'a>>) -> Vec<usize> {
        let mut claims = Vec::new();
        for stage in &batch.stages {
            self.stage(stage, to, &mut claims);
        }
        batch.lives.iter().for_each(|life| to.push(self.life(life)));
        self.entries(batch, to);
        if let Some(pause) = batch.all_paused {
            let sql = "UPDATE ~store SET paused_at = $1, paused_until = $2, paused_by = $3, \
                       paused_reason = $4";
            to.push(paused(self.sql(sql), pause));
        }
        if !batch.changes.is_empty() {
            to.push(self.changes(batch));
        }
        if self.session.is_some() {
            if batch.is_news() {
                to.push(self.sql("UPDATE ~store SET changes = changes + 1"));
            }
        } else if let Some(at) = batch.at {
            let sql = "UPDATE ~life SET seen = $1 WHERE id = (SELECT max(id) FROM ~life)";
            to.push(self.sql(sql).number(at.micros()));
        }
        claims
    }

    fn stage(&self, stage: &Stage<'a>, to: &mut Vec<Statement<'a>>, claims: &mut Vec<usize>) {
        if !stage.withdrawn.is_empty() {
            to.push(self.withdrawn(&stage.withdrawn));
            return;
        }
        if !stage.ended.is_empty() {
            to.push(self.attempts(&stage.ended, false));
        }
        let mut runs = Runs::default();
        stage.runs.iter().filter(|run| !run.claimed).for_each(|run| runs.push(run));
        if !runs.run.is_empty() {
            let (values, names) = Runs::columns(1);
            let sql = format!(
                "UPDATE ~record r SET {CHANGED} FROM unnest({values}) x({names}) \
                 WHERE r.run = x.run"
            );
            to.push(runs.put(self.sql(&sql)));
        }
        if !stage.rows.is_empty() {
            self.rows(stage, to, claims);
        }
        if !stage.attempts.is_empty() {
            to.push(self.attempts(&stage.attempts, true));
        }
        if !stage.outputs.is_empty() {
            to.push(self.outputs(&stage.outputs));
        }
        self.jobs(stage, to);
    }

    /// Claims and fates.
    fn rows(&self, stage: &Stage<'a>, to: &mut Vec<Statement<'a>>, claims: &mut Vec<usize>) {
        let rows = &stage.rows;
        let claimed = rows.iter().any(|row| matches!(row.what, RowKind::Claim { .. }));
        if claimed {
            if self.careful {
                self.disown(rows, to);
            }
            claims.push(to.len());
        }
        let mut runs = Runs::default();
        let (mut by, mut claim, mut slot) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match &row.what {
                RowKind::Claim { by: who, host, slot: held, place, .. } => {
                    runs.push(&stage.runs[*place]);
                    by.push(who.map(escaped));
                    claim.push(escaped(host.unwrap_or_default()));
                    slot.push(held.map(i64::from));
                }
                RowKind::Fate { outcome, host } => {
                    runs.fate(outcome);
                    by.push(None);
                    claim.push(escaped(host.unwrap_or_default()));
                    slot.push(None);
                }
            }
        }
        let statement = self.sql(&self.claims_sql(claimed));
        let statement = statement
            .texts(rows.iter().map(|row| escaped(row.job)).collect())
            .numbers(rows.iter().map(|row| row.due.micros()).collect())
            .numbers(rows.iter().map(|row| row.last_due.micros()).collect())
            .numbers(rows.iter().map(|row| i64::try_from(row.count).unwrap_or(i64::MAX)).collect())
            .numbers(rows.iter().map(|row| row.at.micros()).collect())
            .texts(by)
            .texts(claim)
            .numbers(slot);
        let statement = runs.put(statement).number_or_none(self.session.map(id));
        to.push(statement.number(self.early.unwrap_or(-1)));
    }

    /// Within one statement all parts see the same, so that what is there already is changed, and
    /// what is put in is not. In the order of the keys, so that two hosts wait for each other in one
    /// direction only; `seq` is in the order of the facts.
    ///
    /// If the number of a run is there already, be it that of the same run, an error ends the transaction,
    /// unless the writer is careful.
    fn claims_sql(&self, claimed: bool) -> String {
        let (values, names) = Runs::columns(9);
        let free = if self.session.is_some() { FREE } else { "" };
        let mut sql = format!(
            "WITH x AS (SELECT nextval('~record_seq') AS seq, u.* FROM unnest($1::text[], \
             $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::text[], $7::text[], $8::int8[], \
             {values}) u(job, due, last_due, count, at, \"by\", claim, slot, {names})), \
             won AS (INSERT INTO ~record (seq, job, due, last_due, count, at, \"by\", claim, slot, \
             run, attempts, pid, pid_start, begun, started, outcome, failed, number, reason, \
             duration, cpu, max_rss, disk_read, disk_written, printed, session, host) SELECT seq, job, due, last_due, count, at, \"by\", claim, \
             slot::int4, run, coalesce(attempts, 0), pid, pid_start, begun, started, outcome, \
             coalesce(failed, false), number, reason, duration, cpu, max_rss, disk_read, \
             disk_written, printed, $26::int8, (SELECT host FROM ~member WHERE id = $26::int8) FROM x \
             WHERE (run IS NULL OR $27::int8 < 0 OR due <= {NOW} + $27::int8){free} \
             ORDER BY job, due, claim, seq ON CONFLICT DO NOTHING RETURNING run)"
        );
        let again = claimed && self.careful;
        if again {
            sql += &format!(
                ", again AS (UPDATE ~record r SET {CHANGED} FROM x WHERE r.run = x.run \
                 AND r.job = x.job AND r.due = x.due AND r.claim = x.claim RETURNING r.run)"
            );
        }
        sql += " SELECT run FROM won WHERE run IS NOT NULL";
        if again {
            sql += " UNION ALL SELECT run FROM again";
        } else if claimed {
            sql += " UNION ALL SELECT NULL WHERE 1 / CASE WHEN EXISTS (SELECT 1 FROM ~record \
                    WHERE run = ANY($9)) THEN 0 ELSE 1 END = 0";
        }
        sql
    }

    /// The number of such a run was given to another, by a scheduler that knew nothing of this store
    /// or by a store that had forgotten. That run keeps its record and loses its number.
    /// It hardly ever happens, so that first all is as if it did not.
    fn disown(&self, rows: &[Row<'a>], to: &mut Vec<Statement<'a>>) {
        let (runs, jobs, dues, claims) = claim_columns(rows.iter());
        let sql = "WITH old AS (UPDATE ~record r SET run = NULL, \
                   failed = r.failed OR r.outcome IS NULL, \
                   reason = CASE WHEN r.outcome IS NULL THEN 'its number was used again' \
                   ELSE r.reason END, outcome = coalesce(r.outcome, 'lost') \
                   FROM unnest($1::int8[], $2::text[], $3::int8[], $4::text[]) \
                   x(run, job, due, claim) WHERE r.run = x.run \
                   AND (r.job, r.due, r.claim) <> (x.job, x.due, x.claim) \
                   AND NOT EXISTS (SELECT 1 FROM ~record o WHERE o.job = x.job AND o.due = x.due \
                   AND o.claim = x.claim) RETURNING x.run), \
                   a AS (DELETE FROM ~attempt WHERE run IN (SELECT run FROM old)) \
                   DELETE FROM ~output WHERE run IN (SELECT run FROM old)";
        to.push(self.sql(sql).numbers(runs).texts(jobs).numbers(dues).texts(claims));
    }

    /// `known`: how they began is said; else it is in the record, as long as that is of the attempt.
    fn attempts(&self, attempts: &[Attempt<'a>], known: bool) -> Statement<'a> {
        let begun = if known {
            "x.begun, x.pid, x.pid_start"
        } else {
            "CASE WHEN r.attempts = x.attempt THEN r.begun END, \
             CASE WHEN r.attempts = x.attempt THEN r.pid END, \
             CASE WHEN r.attempts = x.attempt THEN r.pid_start END"
        };
        let sql = format!(
            "INSERT INTO ~attempt (run, attempt, outcome, number, reason, ended, begun, pid, \
             pid_start) SELECT x.run, x.attempt, x.outcome, x.number, x.reason, x.ended, {begun} \
             FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::text[], $6::int8[], \
             $7::int8[], $8::int8[], $9::int8[]) x(run, attempt, outcome, number, reason, ended, \
             begun, pid, pid_start) JOIN ~record r ON r.run = x.run \
             ON CONFLICT (run, attempt) DO UPDATE SET outcome = excluded.outcome, \
             number = excluded.number, reason = excluded.reason, ended = excluded.ended, \
             begun = excluded.begun, pid = excluded.pid, pid_start = excluded.pid_start"
        );
        let outcomes = attempts.iter().map(|attempt| encode::columns(attempt.outcome));
        let (words, (numbers, texts)): (Vec<_>, (Vec<_>, Vec<_>)) =
            outcomes.map(|(word, number, text)| (word, (number, text.map(escaped)))).unzip();
        let begun = |attempt: &Attempt<'a>| attempt.begun;
        self.sql(&sql)
            .numbers(attempts.iter().map(|it| number(it.run)).collect())
            .numbers(attempts.iter().map(|it| i64::from(it.attempt)).collect())
            .texts(words)
            .numbers(numbers)
            .texts(texts)
            .numbers(attempts.iter().map(|it| it.ended.micros()).collect())
            .numbers(attempts.iter().map(|it| begun(it).map(|(_, at)| at.micros())).collect())
            .numbers(attempts.iter().map(|it| begun(it).map(|(it, _)| i64::from(it.pid))).collect())
            .numbers(attempts.iter().map(|it| begun(it).map(|(it, _)| it.start as i64)).collect())
    }

    fn outputs(&self, outputs: &[(RunId, &'a [u8], u64)]) -> Statement<'a> {
        let sql = "INSERT INTO ~output (run, total, tail) SELECT x.run, x.total, x.tail \
                   FROM unnest($1::int8[], $2::int8[], $3::bytea[]) x(run, total, tail) \
                   JOIN ~record r ON r.run = x.run ON CONFLICT (run) DO UPDATE \
                   SET total = excluded.total, tail = excluded.tail";
        let total = |total: u64| i64::try_from(total).unwrap_or(i64::MAX);
        self.sql(sql)
            .numbers(outputs.iter().map(|(run, ..)| number(*run)).collect())
            .numbers(outputs.iter().map(|(.., all)| total(*all)).collect())
            .with(
                outputs.iter().map(|(_, tail, _)| *tail).collect::<Vec<&[u8]>>(),
                tokio_postgres::types::Type::BYTEA_ARRAY,
            )
    }

    fn jobs(&self, stage: &Stage<'a>, to: &mut Vec<Statement<'a>>) {
        let (mut gone, mut names, mut decided) = (Vec::new(), Vec::new(), Vec::new());
        let mut put = Vec::new();
        for (name, change) in &stage.jobs {
            match change {
                JobChange { set: Some(record), .. } => {
                    let decided = match self.session {
                        Some(_) => record.decided,
                        None => change.decided_of(record),
                    };
                    put.push((*record, decided));
                }
                JobChange { gone: true, .. } => gone.push(escaped(name)),
                // Of several schedulers one may claim in vain, which decides nothing; whoever takes
                // the job up looks at its records.
                JobChange { decided: Some(at), .. } if self.session.is_none() => {
                    names.push(escaped(name));
                    decided.push(at.micros());
                }
                JobChange { .. } => {}
            }
        }
        if !put.is_empty() {
            to.push(self.put_jobs(&put));
        }
        if !gone.is_empty() {
            to.push(self.sql("DELETE FROM ~job WHERE name = ANY($1)").texts(gone));
        }
        if !names.is_empty() {
            let sql = "UPDATE ~job j SET decided = x.decided \
                       FROM unnest($1::text[], $2::int8[]) x(name, decided) \
                       WHERE j.name = x.name AND j.decided < x.decided";
            to.push(self.sql(sql).texts(names).numbers(decided));
        }
    }

    /// What is known of jobs, in place of what was: those of a host that joins are many thousands.
    fn put_jobs(&self, put: &[(&'a JobRecord, Instant)]) -> Statement<'a> {
        let sql = "INSERT INTO ~job (name, decided, anchor, \"trigger\", since, resumed, paused_at, \
                   paused_until, paused_by, paused_reason, added, overrides) SELECT x.* \
                   FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::int8[], $6::bool[], \
                   $7::int8[], $8::int8[], $9::text[], $10::text[], $11::text[], $12::text[]) \
                   x(name, decided, anchor, \"trigger\", since, resumed, paused_at, paused_until, \
                   paused_by, paused_reason, added, overrides) ON CONFLICT (name) DO UPDATE SET \
                   decided = excluded.decided, anchor = excluded.anchor, \
                   \"trigger\" = excluded.\"trigger\", since = excluded.since, \
                   resumed = excluded.resumed, paused_at = excluded.paused_at, \
                   paused_until = excluded.paused_until, paused_by = excluded.paused_by, \
                   paused_reason = excluded.paused_reason, added = excluded.added, \
                   overrides = excluded.overrides";
        let records = || put.iter().map(|(record, _)| *record);
        let pauses = || records().map(|record| record.pause.as_ref());
        let until = |pause: Option<&Pause>| pause.and_then(|pause| pause.until);
        let reason = |pause: Option<&'a Pause>| pause.and_then(|pause| pause.reason.as_deref());
        self.sql(sql)
            .texts(records().map(|record| escaped(&record.id)).collect())
            .numbers(put.iter().map(|(_, decided)| decided.micros()).collect())
            .numbers(records().map(|record| record.anchor.micros()).collect())
            .texts(records().map(|record| escaped(&record.trigger)).collect())
            .numbers(records().map(|record| record.since.micros()).collect())
            .flags(records().map(|record| record.resumed).collect())
            .numbers(pauses().map(|pause| pause.map(|pause| pause.at.micros())).collect())
            .numbers(pauses().map(|pause| until(pause).map(Instant::micros)).collect())
            .texts(pauses().map(|pause| pause.map(|pause| escaped(&pause.by))).collect())
            .texts(pauses().map(|pause| reason(pause).map(escaped)).collect())
            .texts(records().map(|record| record.added.as_deref().map(escaped)).collect())
            .texts(records().map(|record| record.overrides.as_deref().map(escaped)).collect())
    }

    fn life(&self, life: &Life<'a>) -> Statement<'a> {
        let session = self.session.map(id);
        match life {
            Life::Began(session_) => {
                let sql = "INSERT INTO ~life (session, pid, pid_start, boot, began, seen, stopped, \
                           jobfile, mark) SELECT $1::int8, $2::int8, $3::int8, $4::text, $5::int8, \
                           $6::int8, $7::int8, $8::text, $9::int8 WHERE NOT EXISTS (SELECT 1 \
                           FROM ~life WHERE pid = $2 AND pid_start = $3 AND boot = $4 \
                           AND began = $5)";
                self.sql(sql)
                    .number_or_none(session)
                    .number(i64::from(session_.process.pid))
                    .number(session_.process.start as i64)
                    .text(escaped(&session_.boot))
                    .number(session_.began.micros())
                    .number(session_.seen.micros())
                    .number_or_none(session_.stopped.map(Instant::micros))
                    .text(escaped(&session_.jobfile))
                    .number(i64::from(session_.mark))
            }
            Life::Stopped(at) => {
                let sql = "UPDATE ~life SET stopped = $1, seen = $1 WHERE id = (SELECT max(id) \
                           FROM ~life WHERE session IS NOT DISTINCT FROM $2)";
                self.sql(sql).number(at.micros()).number_or_none(session)
            }
        }
    }

    fn withdrawn(&self, runs: &[RunId]) -> Statement<'a> {
        // Its number has been seen, so nobody is to have it again.
        let sql = format!(
            "WITH d AS (DELETE FROM ~record WHERE run = ANY($1) AND outcome IS NULL \
             AND attempts = 0 RETURNING run, job, due, \"by\" IS NULL AS named), \
             a AS (DELETE FROM ~attempt WHERE run IN (SELECT run FROM d)), \
             o AS (DELETE FROM ~output WHERE run IN (SELECT run FROM d)), \
             j AS (UPDATE ~job SET decided = least(decided, \
             greatest(m.due, -9223372036854775807) - 1) FROM (SELECT job, \
             min(due) AS due FROM d WHERE named GROUP BY job) m WHERE name = m.job) \
             UPDATE ~store SET next_run = m.run + 1 FROM (SELECT max(run) AS run FROM d \
             WHERE run < {SPARE_RUNS}) m WHERE next_run <= m.run"
        );
        self.sql(&sql).numbers(runs.iter().copied().map(number).collect())
    }

    fn changes(&self, batch: &Batch<'a>) -> Statement<'a> {
        let sql = "INSERT INTO ~change (at, job, what, \"by\", detail) SELECT x.* \
                   FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[]) \
                   x(at, job, what, \"by\", detail) WHERE NOT EXISTS (SELECT 1 FROM ~change c \
                   WHERE c.at = x.at AND c.job IS NOT DISTINCT FROM x.job AND c.what = x.what \
                   AND c.\"by\" = x.\"by\" AND c.detail IS NOT DISTINCT FROM x.detail)";
        let all = &batch.changes;
        self.sql(sql)
            .numbers(all.iter().map(|change| change.at.micros()).collect())
            .texts(all.iter().map(|change| change.job.as_deref().map(escaped)).collect())
            .texts(all.iter().map(|change| escaped(change.what.word())).collect())
            .texts(all.iter().map(|change| escaped(&change.by)).collect())
            .texts(all.iter().map(|change| change.detail.as_deref().map(escaped)).collect())
    }

    fn entries(&self, batch: &Batch<'a>, to: &mut Vec<Statement<'a>>) {
        let (put, gone) = (batch.put(), batch.taken_away());
        if !put.is_empty() {
            let sql = "INSERT INTO ~entry (list, name, value) SELECT x.list, x.name, x.value \
                       FROM unnest($1::text[], $2::text[], $3::text[]) x(list, name, value) \
                       ORDER BY x.list COLLATE \"C\", x.name COLLATE \"C\" \
                       ON CONFLICT (list, name) DO UPDATE SET value = excluded.value";
            let statement = self
                .sql(sql)
                .texts(put.iter().map(|(list, ..)| escaped(list)).collect())
                .texts(put.iter().map(|(_, key, _)| escaped(key)).collect())
                .texts(put.iter().map(|(.., value)| escaped(value)).collect());
            to.push(statement);
        }
        if !gone.is_empty() {
            let sql = "DELETE FROM ~entry e USING unnest($1::text[], $2::text[]) x(list, name) \
                       WHERE e.list = x.list AND e.name = x.name";
            let statement = self
                .sql(sql)
                .texts(gone.iter().map(|(list, _)| escaped(list)).collect())
                .texts(gone.iter().map(|(_, key)| escaped(key)).collect());
            to.push(statement);
        }
    }

    /// Who has what these runs wanted: for each of them the run and session with its due time, and
    /// the session that holds its slot.
    pub(super) fn owners(&self, claims: &[(RunId, &Row<'a>)]) -> Statement<'a> {
        let sql = format!(
            "SELECT x.run, r.seq IS NOT NULL, r.run, r.session, (SELECT s.session FROM ~record s \
             WHERE s.job = x.job AND s.slot = x.slot AND s.outcome IS NULL LIMIT 1), \
             greatest(x.due, 0) - {NOW}, x.slot FROM unnest($1::int8[], $2::text[], $3::int8[], $4::text[], \
             $5::int8[], $6::bool[]) x(run, job, due, claim, slot, named) LEFT JOIN ~record r \
             ON r.job = x.job AND r.claim = x.claim AND (r.due = x.due OR (x.named \
             AND r.\"by\" IS NULL AND r.due < x.due AND r.last_due >= x.due))"
        );
        let slots = claims.iter().map(|(_, row)| match row.what {
            RowKind::Claim { slot, .. } => slot.map(i64::from),
            RowKind::Fate { .. } => None,
        });
        let slots: Vec<Option<i64>> = slots.collect();
        let named = |row: &Row<'_>| matches!(row.what, RowKind::Claim { by: None, .. });
        let named = claims.iter().map(|(_, row)| named(row)).collect();
        let (runs, jobs, dues, hosts) = claim_columns(claims.iter().map(|(_, row)| *row));
        let statement = self.sql(&sql).numbers(runs).texts(jobs).numbers(dues).texts(hosts);
        statement.numbers(slots).flags(named)
    }
}

/// The server's clock in microseconds.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::int8";

type ClaimColumns<'a> = (Vec<i64>, Vec<Cow<'a, str>>, Vec<i64>, Vec<Cow<'a, str>>);

fn claim_columns<'a: 'r, 'r>(rows: impl Iterator<Item = &'r Row<'a>>) -> ClaimColumns<'a> {
    let mut columns: ClaimColumns<'a> = Default::default();
    for row in rows {
        let RowKind::Claim { run, host, .. } = row.what else { continue };
        columns.0.push(number(run));
        columns.1.push(escaped(row.job));
        columns.2.push(row.due.micros());
        columns.3.push(escaped(host.unwrap_or_default()));
    }
    columns
}

/// The four values of a pause.
fn paused<'a>(statement: Statement<'a>, pause: Option<&'a Pause>) -> Statement<'a> {
    statement
        .number_or_none(pause.map(|pause| pause.at.micros()))
        .number_or_none(pause.and_then(|pause| pause.until).map(Instant::micros))
        .text(pause.map(|pause| escaped(&pause.by)))
        .text(pause.and_then(|pause| pause.reason.as_deref()).map(escaped))
}
