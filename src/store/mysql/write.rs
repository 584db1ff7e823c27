//! Facts become statements, and all statements of a commit one text.
//!
//! Every statement may be done twice: a commit that failed may have happened, and is done again
//! with the same facts. A run whose claim is lost has no row, so that whatever else is said of it
//! finds nothing to change.

use std::collections::HashSet;

use super::cells;
use super::literal::{bytes, list, number_or_null, text, text_or_null};
use super::schema::named;
use crate::core::event::{JobRecord, Pause, RunId};
use crate::core::fleet::{SPARE_RUNS, SessionId};
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::core::url::SharedUrl;
use crate::store::sql::{Attempt, Batch, JobChange, Life, Row, RowKind, Run, Stage};
use crate::store::{StoreError, encode};

/// The server's clock in microseconds, whatever its time zone.
pub(super) const NOW: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";
/// The same in the text of a commit, where all of it is to be of one moment.
pub(super) const NEWS: &str = "UPDATE ~store SET changes = changes + 1";

/// A subquery with two rows is an error, which ends all that follows.
const TWO_ROWS: &str = "(SELECT 1 UNION ALL SELECT 2)";

/// What a claim says of a run that has its row already: it was claimed before, and this is said again,
/// perhaps with more. A row that another run has stays as it is.
const AGAIN: &[(&str, &str)] = &[
    ("attempts", "VALUES(attempts) > 0"),
    ("pid", "VALUES(said) = 1"),
    ("pid_start", "VALUES(said) = 1"),
    ("begun", "VALUES(said) = 1"),
    ("started", "started IS NULL"),
    ("slot", "VALUES(outcome) IS NOT NULL"),
    ("open", "VALUES(outcome) IS NOT NULL"),
    ("failed", "VALUES(outcome) IS NOT NULL"),
    ("number", "VALUES(outcome) IS NOT NULL"),
    ("reason", "VALUES(outcome) IS NOT NULL"),
    ("duration", "VALUES(outcome) IS NOT NULL"),
    ("cpu", "VALUES(cpu) IS NOT NULL"),
    ("max_rss", "VALUES(cpu) IS NOT NULL"),
    ("disk_read", "VALUES(cpu) IS NOT NULL"),
    ("disk_written", "VALUES(cpu) IS NOT NULL"),
    ("printed", "VALUES(printed) IS NOT NULL"),
    ("outcome", "VALUES(outcome) IS NOT NULL"),
];

/// So many jobs are written with one statement: with what may be added to one, far below what a server
/// takes.
const JOBS_AT_ONCE: usize = 100;

/// The columns of what a run has used.
const USAGE: [&str; 4] = ["cpu", "max_rss", "disk_read", "disk_written"];

/// The run as a column.
pub(super) fn number(run: RunId) -> i64 {
    run.0 as i64
}

/// The session as a column.
pub(super) fn id(session: SessionId) -> i64 {
    session.0 as i64
}

/// The runs that a statement is about, as a list of numbers.
fn runs_of<'r>(rows: impl IntoIterator<Item = &'r Row<'r>>) -> String {
    let run = |row: &Row<'_>| match row.what {
        RowKind::Claim { run, .. } => Some(number(run).to_string()),
        RowKind::Fate { .. } => None,
    };
    list(rows.into_iter().filter_map(run))
}

/// What identifies the due time of a row.
fn key_of(row: &Row<'_>) -> String {
    let (RowKind::Claim { host, .. } | RowKind::Fate { host, .. }) = row.what;
    format!("{}, {}, {}", text(row.job), row.due.micros(), text(host.unwrap_or_default()))
}

/// Four values of a pause.
fn paused(pause: Option<&Pause>) -> [String; 4] {
    let until = pause.and_then(|pause| pause.until).map(Instant::micros);
    [
        number_or_null(pause.map(|pause| pause.at.micros())),
        number_or_null(until),
        text_or_null(pause.map(|pause| &*pause.by)),
        text_or_null(pause.and_then(|pause| pause.reason.as_deref())),
    ]
}

/// Counts a beat of a session, or ends the transaction if that is gone or one of its beats forgotten.
/// Answers its counter and the time; `@host` is its host.
pub(super) fn fence(me: i64, acked: u64) -> [String; 4] {
    [
        format!(
            "UPDATE ~member SET beat = beat + 1, seen = {NOW} WHERE id = {me} \
             AND gone_at IS NULL AND beat >= {acked}"
        ),
        format!("SET @alive = IF(ROW_COUNT() = 1, 1, {TWO_ROWS})"),
        format!("SELECT beat, host, {NOW} INTO @beat, @host, @now FROM ~member WHERE id = {me}"),
        "SELECT @beat, @now, (SELECT changes FROM ~store)".to_owned(),
    ]
}

/// Writes a commit.
pub(super) struct Writer {
    /// `None`: a store of one scheduler.
    session: Option<SessionId>,
    /// So far ahead of the server's clock a claim may be due, in microseconds.
    early: Option<i64>,
    /// Numbers of runs may have been used before.
    careful: bool,
    to: Vec<String>,
}

impl Writer {
    /// For a store of one scheduler.
    pub(super) fn new() -> Writer {
        Writer { session: None, early: None, careful: false, to: Vec::new() }
    }

    /// For a session, which has to be one that is not gone and of which no beat is forgotten: if not, the
    /// second statement fails. The first answer has its counter and the time.
    pub(super) fn fenced(session: SessionId, acked: u64, early: i64) -> Writer {
        let me = id(session);
        let (session, early) = (Some(session), Some(early));
        let mut writer = Writer { session, early, careful: false, to: Vec::new() };
        for statement in fence(me, acked) {
            writer.push(&statement);
        }
        writer
    }

    /// Finds numbers of runs that were used before, which takes longer.
    pub(super) fn careful(mut self) -> Writer {
        self.careful = true;
        self
    }

    fn push(&mut self, sql: &str) {
        self.to.push(named(sql));
    }

    /// All of it, in its order. For each stage with claims an answer has the runs that are there then,
    /// of those that are claimed.
    pub(super) fn all(mut self, batch: &Batch<'_>) -> Vec<String> {
        self.lock(batch);
        for stage in &batch.stages {
            self.stage(stage);
        }
        self.lives(batch);
        self.entries(batch);
        if let Some(pause) = batch.all_paused {
            let [at, until, by, reason] = paused(pause);
            self.push(&format!(
                "UPDATE ~store SET paused_at = {at}, paused_until = {until}, paused_by = {by}, \
                 paused_reason = {reason}"
            ));
        }
        self.changes(batch);
        if self.session.is_some() && batch.is_news() {
            self.push(NEWS);
        }
        self.to
    }

    /// A record of several due times is written while no other host writes records: neither would see what
    /// the other has put in before both are committed.
    fn lock(&mut self, batch: &Batch<'_>) {
        if self.session.is_some() && batch.rows().next().is_some() {
            // What changes that row anyway is not to wait for others who do as well.
            let alone = batch.is_news() || batch.rows().any(Row::is_range);
            let how = if alone { "FOR UPDATE" } else { "LOCK IN SHARE MODE" };
            self.push(&format!("SELECT one INTO @one FROM ~store {how}"));
        }
    }

    /// Takes back those of the rows that were put in of whose due times another record speaks, unless
    /// somebody has asked for that run. Records do not overlap, so that the last that begins early enough
    /// tells. It hardly ever happens, and what deletes waits for rows of others: so first it is an error
    /// that ends the transaction, as with [`Writer::disown`].
    fn take_back(&mut self, which: &str) {
        let found = format!(
            "SELECT c.seq, c.due, (SELECT o.last_due FROM ~record o WHERE o.job = c.job \
             AND o.due <= c.last_due AND o.claim = c.claim AND o.`by` IS NULL AND o.seq <> c.seq \
             ORDER BY o.due DESC LIMIT 1) AS reach FROM ~record c {which} AND c.`by` IS NULL"
        );
        if self.careful {
            self.push(&format!(
                "DELETE r FROM ~record r JOIN ({found}) x ON x.seq = r.seq WHERE x.reach >= x.due"
            ));
            return;
        }
        self.push(&format!(
            "SELECT EXISTS (SELECT 1 FROM ({found}) x WHERE x.reach >= x.due) INTO @back"
        ));
        self.push(&format!("SET @clear = IF(@back = 1, {TWO_ROWS}, 1)"));
    }

    fn stage(&mut self, stage: &Stage<'_>) {
        if !stage.withdrawn.is_empty() {
            stage.withdrawn.iter().for_each(|run| self.withdrawn(*run));
            return;
        }
        stage.ended.iter().for_each(|attempt| self.attempt(attempt, false));
        stage.runs.iter().filter(|run| !run.claimed).for_each(|run| self.run(run));
        if !stage.rows.is_empty() {
            self.rows(stage);
        }
        stage.attempts.iter().for_each(|attempt| self.attempt(attempt, true));
        for (run, tail, total) in &stage.outputs {
            let total = i64::try_from(*total).unwrap_or(i64::MAX);
            let (run, tail) = (number(*run), bytes(tail));
            self.push(&format!(
                "INSERT INTO ~output (run, total, tail) SELECT run, {total}, {tail} FROM ~record \
                 WHERE run = {run} ON DUPLICATE KEY UPDATE total = VALUES(total), \
                 tail = VALUES(tail)"
            ));
        }
        self.jobs(stage);
    }

    /// What is said of a run that was claimed before.
    fn run(&mut self, run: &Run<'_>) {
        let mut set = Vec::new();
        if let Some(attempts) = run.attempts {
            set.push(format!("attempts = {attempts}"));
        }
        if let Some(current) = run.current {
            let pid = number_or_null(current.map(|(process, _)| i64::from(process.pid)));
            let start = number_or_null(current.map(|(process, _)| process.start as i64));
            let begun = number_or_null(current.map(|(_, at)| at.micros()));
            set.push(format!("pid = {pid}, pid_start = {start}, begun = {begun}"));
        }
        if let Some(started) = run.started {
            set.push(format!("started = COALESCE(started, {})", started.micros()));
        }
        if let Some((outcome, duration)) = run.ended {
            let (word, code, reason) = encode::columns(outcome);
            set.push(format!(
                "outcome = '{word}', failed = {}, number = {}, reason = {}, duration = {}, \
                 slot = NULL, open = NULL",
                u8::from(outcome.went_wrong()),
                number_or_null(code),
                text_or_null(reason),
                duration_micros(duration),
            ));
        }
        for (column, value) in USAGE.iter().zip(encode::usage_columns(run.usage)) {
            set.extend(value.map(|value| format!("{column} = {value}")));
        }
        if let Some(printed) = run.printed {
            set.push(format!("printed = {printed}"));
        }
        if !set.is_empty() {
            let run = number(run.run);
            self.push(&format!("UPDATE ~record SET {} WHERE run = {run}", set.join(", ")));
        }
    }

    /// Claims and fates: of several hosts in the order of their keys, so that two wait for each other in
    /// one direction only. For the same reason what follows goes by the index of runs, which are nobody
    /// else's: a small table would be read as a whole, and others' rows be waited for.
    fn rows(&mut self, stage: &Stage<'_>) {
        let mut rows: Vec<&Row<'_>> = stage.rows.iter().collect();
        if self.session.is_some() {
            sort::by_key(&mut rows, |row| {
                let (RowKind::Claim { host, .. } | RowKind::Fate { host, .. }) = row.what;
                (row.job, row.due, host)
            });
        }
        let claims: Vec<&Row<'_>> =
            rows.iter().copied().filter(|row| matches!(row.what, RowKind::Claim { .. })).collect();
        if !claims.is_empty() {
            self.disown(&rows, &claims);
        }
        let values: Vec<String> = rows.iter().map(|row| self.values(stage, row)).collect();
        let own = "run = VALUES(run) AND job = VALUES(job) AND due = VALUES(due)";
        let again = AGAIN.iter().map(|(column, when)| {
            format!("{column} = IF({own} AND {when}, VALUES({column}), {column})")
        });
        let again = again.collect::<Vec<String>>().join(", ");
        let again = if claims.is_empty() { "failed = failed" } else { &again };
        self.push(&format!(
            "INSERT INTO ~record (job, due, claim, last_due, count, at, run, session, host, `by`, \
             slot, open, attempts, said, pid, pid_start, begun, started, outcome, failed, number, \
             reason, duration, cpu, max_rss, disk_read, disk_written, printed) VALUES {} ON DUPLICATE KEY UPDATE {again}",
            values.join(", ")
        ));
        if let Some(session) = self.session {
            let fates = rows.iter().filter(|row| matches!(row.what, RowKind::Fate { .. }));
            let keys: Vec<String> = fates.map(|row| format!("({})", key_of(row))).collect();
            if !keys.is_empty() {
                self.take_back(&format!(
                    "WHERE (c.job, c.due, c.claim) IN ({}) AND c.session = {} AND c.run IS NULL",
                    keys.join(", "),
                    id(session)
                ));
            }
        }
        if claims.is_empty() {
            return;
        }
        let runs = runs_of(claims.iter().copied());
        if self.session.is_some() {
            self.take_back(&format!("FORCE INDEX (run) WHERE c.run IN ({runs})"));
        }
        if let Some(early) = self.early {
            self.push(&format!(
                "DELETE r FROM ~record r FORCE INDEX (run) WHERE r.run IN ({runs}) \
                 AND r.due > @now + {early}"
            ));
        }
        let mut mine = format!("run IN ({runs})");
        if self.careful {
            // Such a number may be that of another run still.
            let key = |row: &&Row<'_>| match row.what {
                RowKind::Claim { run, .. } => format!("({}, {})", number(run), key_of(row)),
                RowKind::Fate { .. } => String::new(),
            };
            let keys: Vec<String> = claims.iter().map(key).collect();
            mine = format!("{mine} AND (run, job, due, claim) IN ({})", keys.join(", "));
        }
        self.push(&format!("SELECT run FROM ~record FORCE INDEX (run) WHERE {mine}"));
    }

    fn values(&self, stage: &Stage<'_>, row: &Row<'_>) -> String {
        let count = i64::try_from(row.count).unwrap_or(i64::MAX);
        let session = number_or_null(self.session.map(id));
        let (run, by, host, slot, said) = match row.what {
            RowKind::Claim { run, by, host, slot, place } => {
                (Some(run), by, host, slot, stage.runs.get(place))
            }
            RowKind::Fate { host, .. } => (None, None, host, None, None),
        };
        let ended = match row.what {
            RowKind::Fate { outcome, .. } => Some((outcome, None)),
            RowKind::Claim { .. } => {
                let ended = said.and_then(|said| said.ended);
                ended.map(|(outcome, duration)| (outcome, Some(duration_micros(duration))))
            }
        };
        let where_it_is = match self.session {
            Some(_) => "@host".to_owned(),
            None => text_or_null(host),
        };
        let is_open = run.is_some() && ended.is_none();
        let slot = slot.filter(|_| is_open).map(i64::from);
        let current = said.and_then(|said| said.current);
        let process = current.flatten();
        let (word, code, reason) = match ended {
            Some((outcome, _)) => {
                let (word, code, reason) = encode::columns(outcome);
                (format!("'{word}'"), code, reason)
            }
            None => ("NULL".to_owned(), None, None),
        };
        let [cpu, max_rss, read, written] =
            encode::usage_columns(said.and_then(|said| said.usage)).map(number_or_null);
        let printed =
            said.and_then(|said| said.printed).and_then(|bytes| i64::try_from(bytes).ok());
        let values = [
            key_of(row),
            row.last_due.micros().to_string(),
            count.to_string(),
            row.at.micros().to_string(),
            number_or_null(run.map(number)),
            session,
            where_it_is,
            text_or_null(by),
            number_or_null(slot),
            number_or_null(is_open.then_some(1)),
            said.and_then(|said| said.attempts).unwrap_or(0).to_string(),
            u8::from(current.is_some()).to_string(),
            number_or_null(process.map(|(process, _)| i64::from(process.pid))),
            number_or_null(process.map(|(process, _)| process.start as i64)),
            number_or_null(process.map(|(_, at)| at.micros())),
            number_or_null(said.and_then(|said| said.started).map(Instant::micros)),
            word,
            u8::from(ended.is_some_and(|(outcome, _)| Outcome::went_wrong(outcome))).to_string(),
            number_or_null(code),
            text_or_null(reason),
            number_or_null(ended.and_then(|(_, duration)| duration)),
            cpu,
            max_rss,
            read,
            written,
            number_or_null(printed),
        ];
        format!("({})", values.join(", "))
    }

    /// The number of such a run was given to another, by a scheduler that knew nothing of this store
    /// or by a store that had forgotten. That run keeps its record and loses its number. It hardly
    /// ever happens, so that first all is as if it did not: if a number is there already, which may be
    /// that of the same run as well, an error ends the transaction.
    fn disown(&mut self, rows: &[&Row<'_>], claims: &[&Row<'_>]) {
        if !self.careful {
            let runs = runs_of(claims.iter().copied());
            self.push(&format!(
                "SET @clear = IF(EXISTS (SELECT 1 FROM ~record FORCE INDEX (run) \
                 WHERE run IN ({runs})), {TWO_ROWS}, 1)"
            ));
            return;
        }
        let mut taken = HashSet::new();
        for row in rows {
            let (RowKind::Claim { host, .. } | RowKind::Fate { host, .. }) = row.what;
            // Of two for one due time the first has it, and the other is no run.
            let is_first = taken.insert((row.job, row.due, host));
            let RowKind::Claim { run, host, .. } = row.what else { continue };
            if !is_first {
                continue;
            }
            let (run, job, claim) = (number(run), text(row.job), text(host.unwrap_or_default()));
            self.push(&format!(
                "SET @old = (SELECT r.seq FROM ~record r WHERE r.run = {run} AND NOT EXISTS \
                 (SELECT 1 FROM ~record o WHERE o.job = {job} AND o.due = {} AND o.claim = {claim}))",
                row.due.micros()
            ));
            // Each assignment sees those before it.
            self.push(
                "UPDATE ~record SET reason = IF(outcome IS NULL, 'its number was used again', reason), \
                 failed = IF(outcome IS NULL, 1, failed), outcome = COALESCE(outcome, 'lost'), \
                 slot = NULL, open = NULL, run = NULL WHERE seq = @old",
            );
            for table in ["attempt", "output"] {
                self.push(&format!("DELETE FROM ~{table} WHERE run = {run} AND @old IS NOT NULL"));
            }
        }
    }

    /// `known`: how it began is said; else it is in the record, as long as that is of the attempt.
    fn attempt(&mut self, attempt: &Attempt<'_>, known: bool) {
        let Attempt { run, attempt: place, outcome, ended, begun } = attempt;
        let (word, code, reason) = encode::columns(outcome);
        let how = if known {
            format!(
                "{}, {}, {}",
                number_or_null(begun.map(|(_, at)| at.micros())),
                number_or_null(begun.map(|(process, _)| i64::from(process.pid))),
                number_or_null(begun.map(|(process, _)| process.start as i64)),
            )
        } else {
            let when = |column: &str| format!("IF(attempts = {place}, {column}, NULL)");
            [when("begun"), when("pid"), when("pid_start")].join(", ")
        };
        self.push(&format!(
            "INSERT INTO ~attempt (run, attempt, outcome, number, reason, ended, begun, pid, \
             pid_start) SELECT run, {place}, '{word}', {}, {}, {}, {how} FROM ~record \
             WHERE run = {} ON DUPLICATE KEY UPDATE outcome = VALUES(outcome), \
             number = VALUES(number), reason = VALUES(reason), ended = VALUES(ended), \
             begun = VALUES(begun), pid = VALUES(pid), pid_start = VALUES(pid_start)",
            number_or_null(code),
            text_or_null(reason),
            ended.micros(),
            number(*run),
        ));
    }

    fn jobs(&mut self, stage: &Stage<'_>) {
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
                JobChange { gone: true, .. } => {
                    self.push(&format!("DELETE FROM ~job WHERE name = {}", text(name)));
                }
                // Of several schedulers one may claim in vain, which decides nothing; whoever takes
                // the job up looks at its records.
                JobChange { decided: Some(at), .. } if self.session.is_none() => {
                    let (name, at) = (text(name), at.micros());
                    self.push(&format!(
                        "UPDATE ~job SET decided = GREATEST(decided, {at}) WHERE name = {name}"
                    ));
                }
                JobChange { .. } => {}
            }
        }
        self.put_jobs(&put);
    }

    /// What is known of jobs, in place of what was: those of a host that joins are many thousands, and
    /// a statement has room for some of them.
    fn put_jobs(&mut self, put: &[(&JobRecord, Instant)]) {
        let row = |(record, decided): &(&JobRecord, Instant)| {
            let [at, until, by, reason] = paused(record.pause.as_ref());
            format!(
                "({}, {}, {}, {}, {}, {}, {at}, {until}, {by}, {reason}, {}, {})",
                text(&record.id),
                decided.micros(),
                record.anchor.micros(),
                text(&record.trigger),
                record.since.micros(),
                u8::from(record.resumed),
                text_or_null(record.added.as_deref()),
                text_or_null(record.overrides.as_deref()),
            )
        };
        for some in put.chunks(JOBS_AT_ONCE) {
            let rows: Vec<String> = some.iter().map(row).collect();
            self.push(&format!(
                "INSERT INTO ~job (name, decided, anchor, `trigger`, since, resumed, paused_at, \
                 paused_until, paused_by, paused_reason, added, overrides) VALUES {} ON DUPLICATE KEY \
                 UPDATE decided = VALUES(decided), anchor = VALUES(anchor), \
                 `trigger` = VALUES(`trigger`), since = VALUES(since), resumed = VALUES(resumed), \
                 paused_at = VALUES(paused_at), paused_until = VALUES(paused_until), \
                 paused_by = VALUES(paused_by), paused_reason = VALUES(paused_reason), \
                 added = VALUES(added), overrides = VALUES(overrides)",
                rows.join(", ")
            ));
        }
    }

    fn lives(&mut self, batch: &Batch<'_>) {
        let session = number_or_null(self.session.map(id));
        let last = format!("WHERE session <=> {session} ORDER BY id DESC LIMIT 1");
        for life in &batch.lives {
            match life {
                Life::Began(life) => {
                    let (pid, start) = (life.process.pid, life.process.start as i64);
                    let (boot, began) = (text(&life.boot), life.began.micros());
                    self.push(&format!(
                        "INSERT INTO ~life (session, pid, pid_start, boot, began, seen, stopped, \
                         jobfile, mark) SELECT {session}, {pid}, {start}, {boot}, {began}, {}, {}, \
                         {}, {} FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM ~life WHERE pid = {pid} \
                         AND pid_start = {start} AND boot = {boot} AND began = {began})",
                        life.seen.micros(),
                        number_or_null(life.stopped.map(Instant::micros)),
                        text(&life.jobfile),
                        life.mark,
                    ));
                }
                Life::Stopped(at) => {
                    let at = at.micros();
                    self.push(&format!("UPDATE ~life SET stopped = {at}, seen = {at} {last}"));
                }
            }
        }
        // Of several schedulers each has its beats.
        if let (None, Some(at)) = (self.session, batch.at) {
            self.push(&format!("UPDATE ~life SET seen = {} {last}", at.micros()));
        }
    }

    fn changes(&mut self, batch: &Batch<'_>) {
        for change in &batch.changes {
            let (at, what) = (change.at.micros(), text(change.what.word()));
            let (job, by) = (text_or_null(change.job.as_deref()), text(&change.by));
            let detail = text_or_null(change.detail.as_deref());
            self.push(&format!(
                "INSERT INTO ~change (at, job, what, `by`, detail) SELECT {at}, {job}, {what}, {by}, \
                 {detail} FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM ~change WHERE at = {at} \
                 AND job <=> {job} AND what = {what} AND `by` = {by} AND detail <=> {detail})"
            ));
        }
    }

    fn entries(&mut self, batch: &Batch<'_>) {
        for (list, key, value) in batch.put() {
            let (list, key, value) = (text(list), text(key), text(value));
            self.push(&format!(
                "INSERT INTO ~entry (list, name, value) VALUES ({list}, {key}, {value}) \
                 ON DUPLICATE KEY UPDATE value = VALUES(value)"
            ));
        }
        for (list, key) in batch.taken_away() {
            let (list, key) = (text(list), text(key));
            self.push(&format!("DELETE FROM ~entry WHERE list = {list} AND name = {key}"));
        }
    }

    /// Takes a run back of which no attempt has begun.
    fn withdrawn(&mut self, run: RunId) {
        let run = number(run);
        let may = format!("r.run = {run} AND r.outcome IS NULL AND r.attempts = 0");
        // Its number has been seen, so nobody is to have it again.
        self.push(&format!(
            "UPDATE ~store s, ~record r SET s.next_run = GREATEST(s.next_run, {run} + 1) WHERE {may} \
             AND r.run < {SPARE_RUNS}"
        ));
        self.push(&format!(
            "UPDATE ~job j JOIN ~record r ON r.job = j.name SET j.decided = LEAST(j.decided, \
             r.due - 1) WHERE {may} AND r.`by` IS NULL"
        ));
        for table in ["attempt", "output"] {
            self.push(&format!(
                "DELETE t FROM ~{table} t JOIN ~record r ON r.run = t.run WHERE {may}"
            ));
        }
        self.push(&format!("DELETE r FROM ~record r WHERE {may}"));
    }
}

/// Who has what a run wanted: its due time, and its slot. Two statements, each with an answer.
pub(super) fn owners(row: &Row<'_>) -> [String; 2] {
    let slot = match row.what {
        RowKind::Claim { slot, .. } => number_or_null(slot.map(i64::from)),
        RowKind::Fate { .. } => "NULL".to_owned(),
    };
    let (RowKind::Claim { host, .. } | RowKind::Fate { host, .. }) = row.what;
    let (job, claim) = (text(row.job), text(host.unwrap_or_default()));
    let due = row.due.micros();
    let among = match row.what {
        RowKind::Claim { by: None, .. } => {
            format!(" OR (`by` IS NULL AND due < {due} AND last_due >= {due})")
        }
        RowKind::Claim { .. } | RowKind::Fate { .. } => String::new(),
    };
    [
        named(&format!(
            "SELECT run, session FROM ~record WHERE job = {job} AND claim = {claim} \
             AND (due = {due}{among}) ORDER BY due DESC"
        )),
        named(&format!(
            "SELECT session FROM ~record WHERE job = {job} AND slot = {slot} AND claim = {claim}"
        )),
    ]
}

/// The claims that are not won, nor were before: of what the stages with claims have answered.
pub(super) fn lost<'b, 'a>(
    url: &SharedUrl,
    batch: &'b Batch<'a>,
    answers: &[Vec<cells::Row>],
) -> Result<Vec<(RunId, &'b Row<'a>)>, StoreError> {
    let mut lost = Vec::new();
    let stages = batch.stages.iter().filter(|stage| stage.claims().next().is_some());
    for (place, stage) in stages.enumerate() {
        let there = cells::all(url, answers.get(place), |row| cells::number(row, 0))?;
        let there: HashSet<i64> = there.into_iter().collect();
        lost.extend(stage.claims().filter(|(run, _)| !there.contains(&number(*run))));
    }
    Ok(lost)
}
