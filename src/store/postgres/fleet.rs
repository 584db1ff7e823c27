//! The store as several schedulers share it: sessions, their beats, and what they leave behind.
//!
//! The fence is the first statement of a commit: it counts a beat, waits for whoever is just about
//! to mark the session as gone, and fails if somebody has, or if the last beat that the session knows of
//! is forgotten. The clock is the server's.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::link::{Failed, Statement};
use super::read::{self, all, instant};
use super::write::{NOW, Writer, id, number};
use super::{Postgres, lost, trouble};
use crate::core::event::RunId;
use crate::core::fleet::{Lost, Member, SPARE_RUNS, SessionId, Standing, View};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::store::shared::{
    Adopted, Asked, Committed, EARLY, Files, REMEMBERED, RUN_NUMBERS, ServerSettings, Shared,
    TakenUp, refusal,
};
use crate::store::sql::{Batch, Row as Claim, escaped, rows};
use crate::store::{Fact, StoreError, Trouble};

/// The columns of a session that are told, in the order of [`told`]; what the server adds follows.
const TOLD: &str = "id, host, labels, machine, boot, mark, pid, pid_start, version, tzdata, jobfile, \
                    jobfile_hash, ahead, generation, leaving, jobs_at_home, running";
const VALUES: &str = "$1::int8, $2::text, $3::text[], $4::text, $5::text, $6::int8, $7::int8, \
                      $8::int8, $9::text, $10::text, $11::text, $12::int8, $13::int8, $14::int8, \
                      $15::bool, $16::int8, $17::int8";
/// The same, to be set.
const SET: &str = "host = $2, labels = $3, machine = $4, boot = $5, mark = $6, pid = $7, \
                   pid_start = $8, version = $9, tzdata = $10, jobfile = $11, jobfile_hash = $12, \
                   ahead = $13, generation = $14, leaving = $15, jobs_at_home = $16, running = $17";
const NEWS: &str = "UPDATE ~store SET changes = changes + 1";

fn told<'a>(statement: Statement<'a>, me: &'a Member) -> Statement<'a> {
    let labels: Vec<_> = me.labels.iter().map(|label| escaped(label)).collect();
    statement
        .number(id(me.id))
        .text(escaped(&me.host))
        .texts(labels)
        .text(escaped(&me.machine))
        .text(escaped(&me.boot))
        .number(i64::from(me.mark))
        .number(i64::from(me.process.pid))
        .number(me.process.start as i64)
        .text(escaped(&me.version))
        .text(escaped(&me.tzdata))
        .text(escaped(&me.jobfile))
        .number(me.jobfile_hash as i64)
        .number(me.offset)
        .number(me.generation as i64)
        .with(me.leaving, Type::BOOL)
        .number(i64::from(me.jobs_at_home))
        .number(i64::from(me.running))
}

impl Postgres {
    /// Puts a session in; `again`: or what is told of it in the place of what was, as a beat.
    fn put<'a>(&self, me: &'a Member, again: bool) -> Statement<'a> {
        // When a host has loaded a file: a restart with the same one is no new load.
        let sql = format!(
            "WITH t AS (SELECT {NOW} AS now) INSERT INTO ~member AS k ({TOLD}, joined, seen, beat, loaded) \
             SELECT {VALUES}, t.now, t.now, 1, coalesce((SELECT m.loaded FROM ~member m \
             WHERE m.id = $1 AND m.jobfile_hash = $12), (SELECT max(m.loaded) FROM ~member m \
             WHERE m.machine = $4 AND m.jobfile_hash = $12 AND m.id <> $1 \
             AND (m.gone_at IS NULL OR m.gone_at >= t.now - {REMEMBERED})), t.now) FROM t \
             ON CONFLICT (id) DO {}",
            if again {
                format!(
                    "UPDATE SET {SET}, seen = excluded.seen, loaded = excluded.loaded, \
                     beat = k.beat + 1 WHERE k.gone_at IS NULL AND k.beat >= $18"
                )
            } else {
                "NOTHING".to_owned()
            }
        );
        let put = told(self.sql(&sql), me);
        if again { put.number(me.beat as i64) } else { put }
    }

    fn file<'a>(&self, hash: u64, jobs: &'a [(Box<str>, u64)]) -> Statement<'a> {
        let sql = "INSERT INTO ~file (hash, job, fingerprint) SELECT $1, x.job, x.fingerprint \
                   FROM unnest($2::text[], $3::int8[]) x(job, fingerprint) WHERE NOT EXISTS \
                   (SELECT 1 FROM ~file WHERE hash = $1) ORDER BY x.job ON CONFLICT DO NOTHING";
        self.sql(sql)
            .number(hash as i64)
            .texts(jobs.iter().map(|(job, _)| escaped(job)).collect())
            .numbers(jobs.iter().map(|(_, print)| *print as i64).collect())
    }

    /// Does these things and reads a view, in one round trip.
    fn view(
        &mut self,
        me: SessionId,
        mut statements: Vec<Statement<'_>>,
    ) -> Result<View, StoreError> {
        self.link()?;
        let first = statements.len();
        statements
            .push(self.sql(&format!("SELECT {NOW}, generation, changes, recorded FROM ~store")));
        let recent = format!("gone_at IS NULL OR gone_at >= {NOW} - {REMEMBERED}");
        let recent = format!("{} WHERE {recent} OR id = $1", read::MEMBER);
        statements.push(self.sql(&recent).number(id(me)));
        let (identity, rows) = loop {
            let identity = self.identity()?;
            let connection = self.link.connection;
            let rows = self.link.transaction(&statements)?;
            // Another server may have answered than the one that was asked who it is.
            if self.link.connection == connection {
                break (identity, rows);
            }
        };
        let settings = Arc::clone(&self.settings);
        let store = |row: &Row| {
            Ok((instant(row, 0)?, row.try_get(1)?, row.try_get(2)?, read::text(row, 3)?))
        };
        let [store_rows, member_rows] = &rows[first..] else {
            return Err(settings.url.error(Trouble::Other, "it answers too little"));
        };
        let mut found: Vec<(Instant, i64, i64, Box<str>)> = all(&settings, store_rows, store)?;
        let Some((now, generation, changes, recorded)) = found.pop() else {
            let message = "its table \"store\" is empty; somebody changed it";
            return Err(settings.url.error(Trouble::Corrupt, message));
        };
        let mut members = all(&settings, member_rows, rows::member)?;
        sort::by_key(&mut members, |member| member.id);
        let standing = members.iter().find(|member| member.id == me);
        let me = standing.map_or(Standing::Unknown, |member| match member.gone {
            Some(_) => Standing::Gone,
            None => Standing::Alive { beat: member.beat },
        });
        let (generation, changes) = (generation as u64, changes as u64);
        Ok(View { now, generation, identity, recorded, changes, me, members })
    }

    /// Which server this is: that of its files, and how often another has taken its place. Asked once
    /// for each connection, for it does not change without one.
    fn identity(&mut self) -> Result<Box<str>, StoreError> {
        if let Some((connection, identity)) = &self.identity
            && *connection == self.link.connection
        {
            return Ok(identity.clone());
        }
        let sql = "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || \
                   left(pg_walfile_name(pg_current_wal_lsn()), 8)";
        let statement = self.sql(sql);
        let found = match self.link.ask(&statement) {
            Ok(rows) => all(&self.settings, &rows, |row| read::text(row, 0))?.pop(),
            Err(error) if error.kind == Trouble::Unreachable => return Err(error),
            // Some services have no such functions. Then only the own beat tells.
            Err(_) => None,
        };
        let identity = found.unwrap_or_default();
        self.identity = Some((self.link.connection, identity.clone()));
        Ok(identity)
    }

    /// Counts a beat of a session, or ends the transaction if that is gone or one of its beats forgotten.
    fn fence(&self, me: SessionId, acked: u64) -> Statement<'static> {
        self.fence_and(me, acked, "")
    }

    /// The same, before a commit. A record of several due times is written while no other host writes
    /// records: neither would see what the other has put in before both are committed.
    fn fence_of(&self, me: SessionId, acked: u64, batch: &Batch<'_>) -> Statement<'static> {
        let alone = match batch.rows().next() {
            None => return self.fence(me, acked),
            Some(_) => batch.rows().any(Claim::is_range),
        };
        let how = if alone { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
        let lock = format!(", {how}(hashtextextended($3, 0))");
        let key = format!("schedrs records {}", self.settings.schema);
        self.fence_and(me, acked, &lock).text(key)
    }

    fn fence_and(&self, me: SessionId, acked: u64, more: &str) -> Statement<'static> {
        let sql = format!(
            "WITH f AS (UPDATE ~member SET beat = beat + 1, seen = {NOW} WHERE id = $1 \
             AND gone_at IS NULL AND beat >= $2 RETURNING beat) \
             SELECT (SELECT beat FROM f), {NOW}, (SELECT changes FROM ~store), \
             1 / (SELECT count(*) FROM f){more}"
        );
        self.sql(&sql).number(id(me)).number(acked as i64)
    }

    /// What begins with [`Postgres::fence`].
    fn fenced(
        &mut self,
        me: SessionId,
        acked: u64,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let answers = self.link()?.fenced(statements);
        answers.or_else(|failed| Err(self.refused(me, acked, failed)?))
    }

    /// Why nothing was taken of a session. The error is that of asking.
    fn refused(
        &mut self,
        me: SessionId,
        acked: u64,
        failed: Failed,
    ) -> Result<StoreError, StoreError> {
        if !is_fence(&failed) {
            return Ok(self.link.error(failed));
        }
        let sql = "SELECT gone_at IS NOT NULL FROM ~member WHERE id = $1";
        let why = self.sql(sql).number(id(me));
        let rows = self.link()?.ask(&why)?;
        let gone = all(&self.settings, &rows, |row| row.try_get::<_, bool>(0))?.pop();
        Ok(refusal(me, acked, gone))
    }

    /// What [`Postgres::fence`] has answered: the session's counter, the time, and the counter of changes.
    fn counted(&self, answers: &[Vec<Row>]) -> Result<(u64, Instant, u64), StoreError> {
        let fence = answers.first().map_or(&[][..], |rows| rows);
        let number = |row: &Row, at: usize| Ok(row.try_get::<_, i64>(at)? as u64);
        let counted = |row: &Row| Ok((number(row, 0)?, instant(row, 1)?, number(row, 2)?));
        let found = all(&self.settings, fence, counted)?.pop();
        found.ok_or_else(|| self.settings.url.error(Trouble::Other, "it answers too little"))
    }

    /// Why claims are lost.
    fn why(
        &mut self,
        writer: &Writer<'_>,
        claims: &[(RunId, &Claim<'_>)],
    ) -> Result<Vec<(RunId, Lost)>, StoreError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.link()?.ask(&writer.owners(claims))?;
        let found = all(&self.settings, &rows, |row| {
            let run: i64 = row.try_get(0)?;
            let session = |column| {
                let id = row.try_get::<_, Option<i64>>(column)?.unwrap_or(0);
                Ok::<_, tokio_postgres::Error>(SessionId(id as u64))
            };
            let ahead: i64 = row.try_get(5)?;
            let lost = if row.try_get(1)? {
                let owner = row.try_get::<_, Option<i64>>(2)?.unwrap_or(0);
                Lost::Taken { session: session(3)?, run: RunId(owner as u64) }
            } else if ahead > EARLY / 2 {
                // A moment has passed since.
                Lost::Early { by: Duration::from_micros(ahead as u64) }
            } else {
                Lost::Busy { session: session(4)? }
            };
            Ok((RunId(run as u64), lost))
        })?;
        let lost: HashMap<RunId, Lost> = found.into_iter().collect();
        let why = |(run, _): &(RunId, _)| Some((*run, *lost.get(run)?));
        Ok(claims.iter().filter_map(why).collect())
    }
}

/// Whether a statement that guards a commit has ended it.
fn is_fence(failed: &Failed) -> bool {
    matches!(failed, Failed::Said(error) if trouble::is_fence(error))
}

impl Shared for Postgres {
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError> {
        self.shared = true;
        let put = self.put(me, true);
        let file = self.file(me.jobfile_hash, jobs);
        // Whoever is first says which server the fleet has begun with.
        self.link()?;
        let server = self.identity()?.into_string();
        let first = "UPDATE ~store SET recorded = $1 WHERE recorded = ''";
        let first = self.sql(first).text(server);
        self.view(me.id, vec![first, put, file, self.sql(NEWS)])
    }

    fn beat(&mut self, me: &Member) -> Result<View, StoreError> {
        let sql = format!(
            "UPDATE ~member SET {SET}, beat = beat + 1, seen = {NOW} \
             WHERE id = $1 AND gone_at IS NULL AND beat >= $18"
        );
        let beat = told(self.sql(&sql), me).number(me.beat as i64);
        self.view(me.id, vec![beat])
    }

    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError> {
        let batch = Batch::of(facts);
        let settings = Arc::clone(&self.settings);
        let mut careful = false;
        let (writer, claims, answers) = loop {
            let (session, early) = (Some(me), Some(EARLY));
            let writer = Writer { settings: &settings, session, early, careful };
            let mut statements = vec![self.fence_of(me, acked, &batch)];
            let claims = writer.all(&batch, &mut statements);
            match self.link()?.fenced(&statements) {
                Ok(answers) => break (writer, claims, answers),
                // The session is gone, or a number of a run was used before.
                Err(failed) if !careful && is_fence(&failed) => careful = true,
                Err(failed) => return Err(self.refused(me, acked, failed)?),
            }
        };
        self.touch(&batch);
        let (beat, now, changes) = self.counted(&answers)?;
        let lost = self.why(&writer, &lost(&batch, &claims, &answers))?;
        Ok(Committed { lost, beat, now, changes })
    }

    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError> {
        let mark = format!(
            "WITH g AS (UPDATE ~member SET gone_at = {NOW}, gone_by = $1 WHERE id = $2 \
             AND gone_at IS NULL AND beat = $3 RETURNING id), c AS (UPDATE ~store \
             SET changes = changes + 1 WHERE EXISTS (SELECT 1 FROM g)) SELECT id FROM g"
        );
        let mark = self.sql(&mark).number(id(by)).number(id(whom)).number(beat as i64);
        Ok(!self.link()?.ask(&mark)?.is_empty())
    }

    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError> {
        // What was called lost may have its slot no longer.
        let adopt = "UPDATE ~record r SET slot = CASE WHEN r.outcome IS NULL THEN r.slot END, \
                     outcome = NULL, failed = false, number = NULL, reason = NULL, \
                     duration = NULL, session = $1, host = (SELECT host FROM ~member WHERE id = $1) \
                     FROM unnest($2::int8[], $3::int8[]) x(run, session) WHERE r.run = x.run \
                     AND r.session = x.session AND (r.outcome IS NULL OR r.outcome = 'lost')";
        let mine =
            "SELECT run FROM ~record WHERE run = ANY($2) AND session = $1 AND outcome IS NULL";
        let numbers = || runs.iter().map(|(run, _)| number(*run)).collect();
        let statements = [
            self.fence(me, acked),
            self.sql(adopt)
                .number(id(me))
                .numbers(numbers())
                .numbers(runs.iter().map(|(_, session)| id(*session)).collect()),
            self.sql(mine).number(id(me)).numbers(numbers()),
        ];
        let answers = self.fenced(me, acked, &statements)?;
        let (beat, ..) = self.counted(&answers)?;
        let found = answers.get(2).map_or(&[][..], |rows| rows);
        let run = |row: &Row| Ok(RunId(row.try_get::<_, i64>(0)? as u64));
        Ok(Adopted { runs: all(&self.settings, found, run)?, beat })
    }

    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError> {
        let gone = format!(
            ", gone_at = coalesce(gone_at, {NOW}), gone_by = CASE WHEN gone_at IS NULL THEN $1 \
             ELSE gone_by END"
        );
        let gone = if ended { &*gone } else { "" };
        let sql = format!(
            "WITH m AS (UPDATE ~member SET leaving = true{gone} WHERE id = $1 RETURNING id) \
             {NEWS} WHERE EXISTS (SELECT 1 FROM m)"
        );
        let statement = self.sql(&sql).number(id(me));
        self.link()?.ask(&statement).map(drop)
    }

    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError> {
        // The record with the latest due time reaches furthest.
        let decided = "greatest(j.decided, (SELECT r.last_due FROM ~record r WHERE r.job = j.name \
                       AND r.\"by\" IS NULL ORDER BY r.due DESC LIMIT 1))";
        let known = read::JOB.replacen("j.decided", decided, 1);
        let of = |column: &str| format!("(cardinality($1::text[]) = 0 OR {column} = ANY($1))");
        let names = || jobs.iter().map(|job| escaped(job)).collect();
        let known = format!("{known} WHERE {} ORDER BY j.name", of("j.name"));
        let open = format!("{} AND {} ORDER BY r.seq", read::OPEN, of("r.job"));
        let statements = [
            self.sql(&known).texts(names()),
            self.sql(&open).texts(names()),
            self.sql(read::PAUSED),
        ];
        let answers = self.link()?.transaction(&statements)?;
        let [known, open, paused] = &answers[..] else {
            return Err(self.settings.url.error(Trouble::Other, "it answers too little"));
        };
        let paused = all(&self.settings, paused, |row| rows::pause(row, 0))?;
        Ok(TakenUp {
            jobs: all(&self.settings, known, rows::job)?,
            open: all(&self.settings, open, read::open_elsewhere)?,
            all_paused: paused.into_iter().next().flatten(),
        })
    }

    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError> {
        let sql =
            "SELECT hash, job, fingerprint FROM ~file WHERE hash = ANY($1) ORDER BY hash, job";
        let hashes = hashes.iter().map(|hash| *hash as i64).collect();
        let statement = self.sql(sql).numbers::<i64>(hashes);
        let rows = self.link()?.ask(&statement)?;
        let line = |row: &Row| {
            Ok((row.try_get::<_, i64>(0)?, read::text(row, 1)?, row.try_get::<_, i64>(2)?))
        };
        let mut files = Files::new();
        for (hash, job, print) in all(&self.settings, &rows, line)? {
            let job = (job, print as u64);
            match files.last_mut() {
                Some((last, jobs)) if *last == hash as u64 => jobs.push(job),
                _ => files.push((hash as u64, vec![job])),
            }
        }
        Ok(files)
    }

    fn run_numbers(&mut self) -> Result<Range<u64>, StoreError> {
        let sql = format!(
            "UPDATE ~store SET next_run = greatest(next_run, coalesce((SELECT max(run) \
             FROM ~record WHERE run < {SPARE_RUNS}), 0) + 1) + $1 RETURNING next_run"
        );
        let statement = self.sql(&sql).number(RUN_NUMBERS as i64);
        let rows = self.link()?.ask(&statement)?;
        let next = all(&self.settings, &rows, |row| row.try_get::<_, i64>(0))?;
        let Some(next) = next.first().map(|next| *next as u64) else {
            let message = "its table \"store\" is empty; somebody changed it";
            return Err(self.settings.url.error(Trouble::Corrupt, message));
        };
        Ok(next - RUN_NUMBERS..next)
    }

    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError> {
        let sql = format!(
            "WITH a AS (INSERT INTO ~ask (id, receiver, sender, \"by\", at, request, answer) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id) \
             {NEWS} WHERE EXISTS (SELECT 1 FROM a)"
        );
        let statement = self
            .sql(&sql)
            .number(asked.id as i64)
            .number(id(asked.to))
            .number(id(asked.from))
            .text(escaped(&asked.by))
            .number(asked.at.micros())
            .text(escaped(&asked.request))
            .text(asked.answer.as_deref().map(escaped));
        self.link()?.ask(&statement).map(drop)
    }

    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError> {
        let sql = "SELECT id, receiver, sender, \"by\", at, request, answer FROM ~ask WHERE \
                   CASE WHEN answer IS NULL THEN receiver ELSE sender END = $1 ORDER BY at, id";
        let statement = self.sql(sql).number(id(session));
        let rows = self.link()?.ask(&statement)?;
        let session = |row: &Row, column: usize| {
            Ok::<_, tokio_postgres::Error>(SessionId(row.try_get::<_, i64>(column)? as u64))
        };
        all(&self.settings, &rows, |row| {
            Ok(Asked {
                id: row.try_get::<_, i64>(0)? as u64,
                to: session(row, 1)?,
                from: session(row, 2)?,
                by: read::text(row, 3)?,
                at: instant(row, 4)?,
                request: read::text(row, 5)?,
                answer: read::text_or_none(row, 6)?,
            })
        })
    }

    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError> {
        let sql = format!(
            "WITH a AS (UPDATE ~ask SET answer = $2 WHERE id = $1 AND answer IS NULL RETURNING id) \
             {NEWS} WHERE EXISTS (SELECT 1 FROM a)"
        );
        let statement = self.sql(&sql).number(id as i64).text(escaped(answer));
        self.link()?.ask(&statement).map(drop)
    }

    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError> {
        self.link()?;
        let server = self.identity()?.into_string();
        let sql = "UPDATE ~store SET generation = greatest($1::int8, $2::int8) + 1, \
                   changes = changes + 1, recorded = $3 WHERE generation = $1";
        let generation = self.sql(sql).number(seen as i64).number(above as i64).text(server);
        let put = self.put(me, false);
        self.view(me.id, vec![generation, put])
    }

    fn settings(&mut self) -> Result<ServerSettings, StoreError> {
        let sql = "SELECT name, setting FROM pg_settings WHERE name IN \
                   ('fsync', 'full_page_writes', 'synchronous_commit') UNION ALL \
                   SELECT 'asynchronous standbys', count(*)::text FROM pg_stat_replication \
                   WHERE sync_state = 'async' UNION ALL \
                   SELECT 'tables that may not be written', count(*)::text FROM unnest(ARRAY[\
                   '~record', '~job', '~member', '~attempt', '~output', '~change', '~life']) t \
                   WHERE NOT (has_table_privilege(t, 'INSERT') AND has_table_privilege(t, 'UPDATE') \
                   AND has_table_privilege(t, 'DELETE'))";
        let statement = self.sql(sql);
        let rows = self.link()?.ask(&statement)?;
        all(&self.settings, &rows, |row| Ok((read::text(row, 0)?, read::text(row, 1)?)))
    }

    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO ~member ({TOLD}, joined, seen, beat, loaded, gone_at, gone_by) \
             VALUES ({VALUES}, $18, $19, $20, $21, $22, $23) ON CONFLICT DO NOTHING"
        );
        let mut statements = Vec::new();
        for member in members {
            let gone = member.gone;
            let statement = told(self.sql(&sql), member)
                .number(member.joined.micros())
                .number(member.seen.micros())
                .number(member.beat as i64)
                .number(member.loaded.micros())
                .number_or_none(gone.map(|gone| gone.at.micros()))
                .number_or_none(gone.map(|gone| id(gone.by)));
            statements.push(statement);
        }
        statements.extend(files.iter().map(|(hash, jobs)| self.file(*hash, jobs)));
        statements.push(self.sql(NEWS));
        self.link()?.transaction(&statements).map(drop)
    }
}
