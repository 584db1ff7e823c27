//! The store as several schedulers share it: sessions, their beats, and what they leave behind.
//!
//! The fence is the first statement of a commit: it counts a beat, waits for whoever is just about
//! to mark the session as gone, and fails if somebody has, or if the last beat that the session knows of
//! is forgotten. The clock is the server's.

use std::ops::Range;
use std::time::Duration;

use super::cells::{
    self, Odd, Row, all, bytes_or_none, instant, number, number_or_none, text, text_or_none,
};
use super::link::{Answers, Failed};
use super::literal::{self, list, number_or_null};
use super::schema::named;
use super::write::{NEWS, NOW, Writer, fence, id, lost, number as run_number, owners};
use super::{Mysql, read};
use crate::core::event::RunId;
use crate::core::fleet::{Lost, Member, SPARE_RUNS, SessionId, Standing, View};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::store::encode;
use crate::store::shared::{
    Adopted, Asked, Committed, EARLY, Files, RUN_NUMBERS, ServerSettings, Shared, TakenUp, refusal,
};
use crate::store::sql::{Batch, Row as Claim, rows};
use crate::store::{Fact, StoreError, Trouble};

/// The columns of a session that are told, each with its value.
fn told(me: &Member) -> Vec<(&'static str, String)> {
    let text = literal::text;
    let labels = serde_json::json!(me.labels).to_string();
    vec![
        ("host", text(&me.host)),
        ("labels", text(&labels)),
        ("machine", text(&me.machine)),
        ("boot", text(&me.boot)),
        ("mark", me.mark.to_string()),
        ("pid", me.process.pid.to_string()),
        ("pid_start", (me.process.start as i64).to_string()),
        ("version", text(&me.version)),
        ("tzdata", text(&me.tzdata)),
        ("jobfile", text(&me.jobfile)),
        ("jobfile_hash", (me.jobfile_hash as i64).to_string()),
        ("ahead", me.offset.to_string()),
        ("generation", (me.generation as i64).to_string()),
        ("leaving", u8::from(me.leaving).to_string()),
        ("jobs_at_home", me.jobs_at_home.to_string()),
        ("running", me.running.to_string()),
    ]
}

/// Columns and values as an `INSERT` and an `UPDATE` have them.
fn columns(told: &[(&str, String)]) -> (String, String, String) {
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = told.iter().map(|(_, value)| &**value).collect();
    let set: Vec<String> = told.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    (names.join(", "), values.join(", "), set.join(", "))
}

/// Finds when a host has loaded its file: a restart with the same one is no new load.
fn loaded(me: &Member) -> [String; 2] {
    let (me_id, hash) = (id(me.id), me.jobfile_hash as i64);
    let (machine, recent) = (literal::text(&me.machine), read::recent());
    [
        format!("SET @now = {NOW}"),
        format!(
            "SET @loaded = COALESCE((SELECT loaded FROM ~member WHERE id = {me_id} \
             AND jobfile_hash = {hash}), (SELECT MAX(loaded) FROM ~member WHERE id <> {me_id} \
             AND machine = {machine} AND jobfile_hash = {hash} AND ({recent})), @now)"
        ),
    ]
}

/// Puts a session in, if it is not there.
fn put(me: &Member) -> Vec<String> {
    let (names, values, _) = columns(&told(me));
    let mut statements = loaded(me).to_vec();
    statements.push(format!(
        "INSERT INTO ~member (id, {names}, joined, seen, beat, loaded) VALUES ({}, {values}, @now, \
         @now, 1, @loaded) ON DUPLICATE KEY UPDATE id = id",
        id(me.id)
    ));
    statements
}

/// Counts a beat of a session, with what is told of it, after [`loaded`].
fn count(me: &Member) -> String {
    let (_, _, set) = columns(&told(me));
    let (me, acked) = (id(me.id), me.beat);
    format!(
        "UPDATE ~member SET {set}, beat = beat + 1, seen = {NOW}, loaded = @loaded WHERE id = {me} \
         AND gone_at IS NULL AND beat >= {acked}"
    )
}

fn file(hash: u64, jobs: &[(Box<str>, u64)]) -> String {
    let jobs = literal::text(&encode::jobs_json(jobs));
    let hash = hash as i64;
    format!(
        "INSERT INTO ~file (hash, jobs) VALUES ({hash}, {jobs}) ON DUPLICATE KEY UPDATE hash = hash"
    )
}

pub(super) fn session_of(row: &Row, column: usize) -> Result<SessionId, Odd> {
    Ok(SessionId(number_or_none(row, column)?.unwrap_or(0) as u64))
}

impl Mysql {
    /// Does these things and reads a view, in one round trip.
    fn view(&mut self, me: SessionId, mut statements: Vec<String>) -> Result<View, StoreError> {
        statements.push(format!("SELECT {NOW}, generation, changes, recorded FROM ~store"));
        statements.push(format!("{} WHERE {} OR id = {}", read::MEMBER, read::recent(), id(me)));
        let answers = self.transaction(&statements)?;
        let url = &self.link.settings.url;
        let store =
            |row: &Row| Ok((instant(row, 0)?, number(row, 1)?, number(row, 2)?, text(row, 3)?));
        let Some((now, generation, changes, recorded)) = all(url, answers.first(), store)?.pop()
        else {
            let message = "its table of the store is empty; somebody changed it";
            return Err(url.error(Trouble::Corrupt, message));
        };
        let mut members = all(url, answers.get(1), rows::member)?;
        sort::by_key(&mut members, |member| member.id);
        let standing = members.iter().find(|member| member.id == me);
        let me = standing.map_or(Standing::Unknown, |member| match member.gone {
            Some(_) => Standing::Gone,
            None => Standing::Alive { beat: member.beat },
        });
        let (generation, changes) = (generation as u64, changes as u64);
        let identity = self.link.identity.clone();
        Ok(View { now, generation, identity, recorded, changes, me, members })
    }

    fn transaction(&mut self, statements: &[String]) -> Result<Answers, StoreError> {
        let statements: Vec<String> = statements.iter().map(|sql| named(sql)).collect();
        self.link.transaction(&statements)
    }

    /// What [`fence`] has answered: the session's counter, the time, and the counter of changes.
    fn counted(&self, answers: &Answers) -> Result<(u64, Instant, u64), StoreError> {
        let url = &self.link.settings.url;
        let counted =
            |row: &Row| Ok((number(row, 0)? as u64, instant(row, 1)?, number(row, 2)? as u64));
        let found = all(url, answers.first(), counted)?.pop();
        found.ok_or_else(|| url.error(Trouble::Other, "answers too little"))
    }

    /// Why nothing was taken of a session.
    fn refused(&mut self, me: SessionId, acked: u64, failed: Failed) -> StoreError {
        if let Failed::Store(error) = failed {
            return error;
        }
        let sql = named(&format!("SELECT gone_at IS NOT NULL FROM ~member WHERE id = {}", id(me)));
        let gone = self.link.ask(&[sql]).and_then(|answers| {
            all(&self.link.settings.url, answers.first(), |row| Ok(number(row, 0)? != 0))
        });
        match gone {
            Ok(mut gone) => refusal(me, acked, gone.pop()),
            Err(error) => error,
        }
    }

    /// Why claims are lost.
    fn why(
        &mut self,
        now: Instant,
        claims: &[(RunId, &Claim<'_>)],
    ) -> Result<Vec<(RunId, Lost)>, StoreError> {
        let statements: Vec<String> = claims.iter().flat_map(|(_, row)| owners(row)).collect();
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.link.ask(&statements)?;
        let url = &self.link.settings.url;
        let mut lost = Vec::new();
        for ((run, row), answers) in claims.iter().zip(answers.chunks(2)) {
            let owner = all(url, answers.first(), |row| {
                let run = RunId(number_or_none(row, 0)?.unwrap_or(0) as u64);
                Ok(Lost::Taken { session: session_of(row, 1)?, run })
            })?;
            let busy = all(url, answers.get(1), |row| session_of(row, 0))?;
            let ahead = row.due.micros().saturating_sub(now.micros());
            let why = match owner.first() {
                Some(taken) => *taken,
                None if ahead > EARLY => Lost::Early { by: Duration::from_micros(ahead as u64) },
                None => Lost::Busy { session: busy.first().copied().unwrap_or(SessionId(0)) },
            };
            lost.push((*run, why));
        }
        Ok(lost)
    }
}

impl Shared for Mysql {
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError> {
        self.tidying.shared = true;
        // Whoever is first says which server the fleet has begun with.
        let server = literal::text(&self.link.server()?);
        let known = format!("SET @known = EXISTS (SELECT 1 FROM ~member WHERE id = {})", id(me.id));
        let mut statements = vec![known];
        statements.extend(put(me));
        statements.push(format!("{} AND @known", count(me)));
        statements.push(format!("UPDATE ~store SET recorded = {server} WHERE recorded = ''"));
        statements.extend([file(me.jobfile_hash, jobs), NEWS.to_owned()]);
        self.view(me.id, statements)
    }

    fn beat(&mut self, me: &Member) -> Result<View, StoreError> {
        let mut statements = loaded(me).to_vec();
        statements.push(count(me));
        self.view(me.id, statements)
    }

    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError> {
        let batch = Batch::of(facts);
        let answers = self.write(&batch, || Writer::fenced(me, acked, EARLY));
        let answers = answers.map_err(|failed| self.refused(me, acked, failed))?;
        self.tidying.touch(&batch);
        let (beat, now, changes) = self.counted(&answers)?;
        let url = &self.link.settings.url;
        let gone = lost(url, &batch, answers.get(1..).unwrap_or_default())?;
        let lost = self.why(now, &gone)?;
        Ok(Committed { lost, beat, now, changes })
    }

    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError> {
        let (by, whom, beat) = (id(by), id(whom), beat as i64);
        let statements = [
            format!(
                "UPDATE ~member SET gone_at = {NOW}, gone_by = {by} WHERE id = {whom} \
                 AND gone_at IS NULL AND beat = {beat}"
            ),
            "SET @reaped = ROW_COUNT()".to_owned(),
            format!("{NEWS} WHERE @reaped = 1"),
            "SELECT @reaped".to_owned(),
        ];
        let answers = self.transaction(&statements)?;
        let reaped = all(&self.link.settings.url, answers.first(), |row| number(row, 0))?;
        Ok(reaped.first() == Some(&1))
    }

    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError> {
        let (own, numbers) =
            (id(me), list(runs.iter().map(|(run, _)| run_number(*run).to_string())));
        let theirs: Vec<String> = runs
            .iter()
            .map(|(run, of)| format!("(run = {} AND session = {})", run_number(*run), id(*of)))
            .collect();
        let theirs = if theirs.is_empty() { "FALSE".to_owned() } else { theirs.join(" OR ") };
        let mut statements = fence(own, acked).to_vec();
        statements.extend([
            // Each assignment sees those before it: what was called lost may have its slot no longer.
            format!(
                "UPDATE ~record SET slot = IF(outcome IS NULL, slot, NULL), outcome = NULL, \
                 failed = 0, number = NULL, reason = NULL, duration = NULL, open = 1, \
                 session = {own}, host = @host \
                 WHERE ({theirs}) AND (outcome IS NULL OR outcome = 'lost')"
            ),
            format!(
                "SELECT run FROM ~record WHERE run IN ({numbers}) AND session = {own} \
                 AND outcome IS NULL"
            ),
        ]);
        let statements: Vec<String> = statements.iter().map(|sql| named(sql)).collect();
        let answers = self.link.fenced(&statements);
        let answers = answers.map_err(|failed| self.refused(me, acked, failed))?;
        let (beat, ..) = self.counted(&answers)?;
        let url = &self.link.settings.url;
        let runs = all(url, answers.get(1), |row| Ok(RunId(number(row, 0)? as u64)))?;
        Ok(Adopted { runs, beat })
    }

    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError> {
        let me = id(me);
        // Each assignment sees those before it.
        let gone = format!(
            ", gone_by = IF(gone_at IS NULL, {me}, gone_by), gone_at = COALESCE(gone_at, {NOW})"
        );
        let gone = if ended { &*gone } else { "" };
        let statements = [
            format!("UPDATE ~member SET leaving = 1{gone} WHERE id = {me}"),
            format!("{NEWS} WHERE EXISTS (SELECT 1 FROM ~member WHERE id = {me})"),
        ];
        self.transaction(&statements).map(drop)
    }

    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError> {
        // The record with the latest due time reaches furthest.
        let decided = "GREATEST(j.decided, COALESCE((SELECT r.last_due FROM ~record r \
                       WHERE r.job = j.name AND r.`by` IS NULL ORDER BY r.due DESC LIMIT 1), \
                       j.decided))";
        let known = read::JOB.replacen("j.decided", decided, 1);
        let names = list(jobs.iter().map(|job| literal::text(job)));
        let of = |column: &str| match jobs {
            [] => "TRUE".to_owned(),
            _ => format!("{column} IN ({names})"),
        };
        let statements = [
            format!("{known} WHERE {} ORDER BY j.name", of("j.name")),
            format!("{} AND {} ORDER BY r.seq", read::OPEN, of("r.job")),
            read::PAUSED.to_owned(),
        ];
        let answers = self.transaction(&statements)?;
        let url = &self.link.settings.url;
        Ok(TakenUp {
            jobs: all(url, answers.first(), rows::job)?,
            open: all(url, answers.get(1), read::open_elsewhere)?,
            all_paused: all(url, answers.get(2), |row| rows::pause(row, 0))?.pop().flatten(),
        })
    }

    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError> {
        let hashes = list(hashes.iter().map(|hash| (*hash as i64).to_string()));
        let sql = format!("SELECT hash, jobs FROM ~file WHERE hash IN ({hashes})");
        let answers = self.link.ask(&[named(&sql)])?;
        all(&self.link.settings.url, answers.first(), |row| {
            let jobs = encode::jobs(bytes_or_none(row, 1)?.ok_or(Odd)?).ok_or(Odd)?;
            Ok((number(row, 0)? as u64, jobs))
        })
    }

    fn run_numbers(&mut self) -> Result<Range<u64>, StoreError> {
        let statements = [
            format!(
                "UPDATE ~store SET next_run = LAST_INSERT_ID(GREATEST(next_run, COALESCE((SELECT \
                 MAX(run) FROM ~record WHERE run < {SPARE_RUNS}), 0) + 1))"
            ),
            format!("UPDATE ~store SET next_run = next_run + {RUN_NUMBERS}"),
            "SELECT LAST_INSERT_ID()".to_owned(),
        ];
        let answers = self.transaction(&statements)?;
        let url = &self.link.settings.url;
        let Some(&first) = all(url, answers.first(), |row| number(row, 0))?.first() else {
            return Err(url.error(Trouble::Other, "answers too little"));
        };
        Ok(first as u64..first as u64 + RUN_NUMBERS)
    }

    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError> {
        let ask = format!(
            "INSERT INTO ~ask (id, receiver, sender, `by`, at, request, answer) VALUES ({}, {}, {}, \
             {}, {}, {}, {}) ON DUPLICATE KEY UPDATE id = id",
            asked.id as i64,
            id(asked.to),
            id(asked.from),
            literal::text(&asked.by),
            asked.at.micros(),
            literal::text(&asked.request),
            literal::text_or_null(asked.answer.as_deref()),
        );
        self.transaction(&[ask, NEWS.to_owned()]).map(drop)
    }

    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError> {
        let sql = format!(
            "SELECT id, receiver, sender, `by`, at, request, answer FROM ~ask \
             WHERE IF(answer IS NULL, receiver, sender) = {} ORDER BY at, id",
            id(session)
        );
        let answers = self.link.ask(&[named(&sql)])?;
        all(&self.link.settings.url, answers.first(), |row| {
            Ok(Asked {
                id: number(row, 0)? as u64,
                to: session_of(row, 1)?,
                from: session_of(row, 2)?,
                by: text(row, 3)?,
                at: instant(row, 4)?,
                request: text(row, 5)?,
                answer: text_or_none(row, 6)?,
            })
        })
    }

    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError> {
        let (id, answer) = (id as i64, literal::text(answer));
        let sql = format!("UPDATE ~ask SET answer = {answer} WHERE id = {id} AND answer IS NULL");
        self.transaction(&[sql, NEWS.to_owned()]).map(drop)
    }

    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError> {
        let (seen, above) = (seen as i64, above as i64);
        let server = literal::text(&self.link.server()?);
        let mut statements = put(me);
        statements.push(format!(
            "UPDATE ~store SET generation = GREATEST({seen}, {above}) + 1, changes = changes + 1, \
             recorded = {server} WHERE generation = {seen}"
        ));
        self.view(me.id, statements)
    }

    fn settings(&mut self) -> Result<ServerSettings, StoreError> {
        let sql = "SHOW VARIABLES WHERE Variable_name = 'innodb_flush_log_at_trx_commit' OR \
                   (Variable_name = 'sync_binlog' AND @@log_bin = 1)";
        let rows = self.link.ask(&[sql.to_owned()])?.pop().unwrap_or_default();
        let url = &self.link.settings.url;
        cells::all(url, Some(&rows), |row| Ok((cells::text(row, 0)?, cells::text(row, 1)?)))
    }

    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError> {
        let mut statements = Vec::new();
        for member in members {
            let (names, values, _) = columns(&told(member));
            statements.push(format!(
                "INSERT INTO ~member (id, {names}, joined, seen, beat, loaded, gone_at, gone_by) \
                 VALUES ({}, {values}, {}, {}, {}, {}, {}, {}) ON DUPLICATE KEY UPDATE id = id",
                id(member.id),
                member.joined.micros(),
                member.seen.micros(),
                member.beat as i64,
                member.loaded.micros(),
                number_or_null(member.gone.map(|gone| gone.at.micros())),
                number_or_null(member.gone.map(|gone| id(gone.by))),
            ));
        }
        statements.extend(files.iter().map(|(hash, jobs)| file(*hash, jobs)));
        statements.push(NEWS.to_owned());
        self.transaction(&statements).map(drop)
    }
}
