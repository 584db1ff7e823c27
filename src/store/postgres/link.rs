//! One connection to the server, made when it is needed and thrown away after the first error.
//!
//! The client is asynchronous; here it runs within calls that return, on a runtime of its own that
//! has no thread. Each call has a limit. A connection that has failed, or has taken too long, is
//! never used again: its answer may still come, and would be taken for another's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, Row};

use super::settings::{CONNECT, Settings, name_of};
use super::trouble;
use crate::store::{StoreError, Trouble};
use crate::sys::machine;

/// How long one call may take.
const ANSWER: Duration = Duration::from_secs(6);
/// So often a transaction is done again that others were in the way of.
const AGAIN: usize = 3;
/// The first statement of a transaction: what the server is to give up by itself, so that nothing of a lost
/// connection stays.
const LIMITS: &str = "SELECT set_config('statement_timeout', '5000', true), \
                      set_config('lock_timeout', '2000', true), \
                      set_config('idle_in_transaction_session_timeout', '10000', true)";
/// What follows where statements have names: their plan is made once, for whatever they are given. It may be
/// made while the tables are empty, where reading all of one costs nothing, and has to do when they are not.
const PLAN_ONCE: &str = ", set_config('plan_cache_mode', 'force_generic_plan', true), \
                         set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)";
/// Ends a transaction unless the server's connection is this one's: behind a pooler it may be another with
/// each, and have statements of others by the same names.
const IS_MINE: &str = "; SELECT CASE WHEN mark = '~' THEN 0 ELSE ('not ' || mark)::int END \
                       FROM coalesce(current_setting('schedrs.connection', true), '') mark";
/// So many statements a server knows by name at the most. There are some two dozen.
const NAMED: usize = 100;

/// A value with its type, so that the server is not asked for it.
type Value<'a> = (Box<dyn ToSql + Sync + Send + 'a>, Type);

/// A statement with its values.
pub(super) struct Statement<'a> {
    sql: String,
    values: Vec<Value<'a>>,
}

/// The way to the server.
pub(super) struct Link {
    pub(super) settings: Arc<Settings>,
    /// `None` when it is dropped.
    runtime: Option<Runtime>,
    client: Option<Connection>,
    /// Counts the connections, to tell one from the next.
    pub(super) connection: u64,
    /// Whether the server remembers statements from one transaction to the next. Behind a pooler that may be
    /// another server each time.
    remembers: bool,
}

/// A connection, with the statements that were sent through it.
struct Connection {
    client: Client,
    /// By text; those sent once only are not prepared.
    sent: HashMap<String, Option<tokio_postgres::Statement>>,
    /// What the server's connection is marked with before a statement has a name there.
    mark: Option<String>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<'a> Statement<'a> {
    /// In the text `~` stands before names of tables and becomes the schema.
    pub(super) fn new(settings: &Settings, sql: &str) -> Statement<'a> {
        Statement {
            sql: sql.replace('~', &format!("\"{}\".", settings.schema)),
            values: Vec::new(),
        }
    }

    fn settings(by_name: bool) -> Statement<'a> {
        let more = if by_name { PLAN_ONCE } else { "" };
        Statement { sql: format!("{LIMITS}{more}"), values: Vec::new() }
    }

    /// The same with another part in the place of one that it has.
    pub(super) fn with_other(mut self, part: &str, other: &str) -> Statement<'a> {
        self.sql = self.sql.replace(part, other);
        self
    }

    pub(super) fn with(mut self, value: impl ToSql + Sync + Send + 'a, of: Type) -> Statement<'a> {
        self.values.push((Box::new(value), of));
        self
    }

    pub(super) fn number(self, value: i64) -> Statement<'a> {
        self.with(value, Type::INT8)
    }

    pub(super) fn number_or_none(self, value: Option<i64>) -> Statement<'a> {
        self.with(value, Type::INT8)
    }

    pub(super) fn numbers<T: ToSql + Sync + Send + 'a>(self, values: Vec<T>) -> Statement<'a> {
        self.with(values, Type::INT8_ARRAY)
    }

    pub(super) fn text<T: ToSql + Sync + Send + 'a>(self, value: T) -> Statement<'a> {
        self.with(value, Type::TEXT)
    }

    pub(super) fn texts<T: ToSql + Sync + Send + 'a>(self, values: Vec<T>) -> Statement<'a> {
        self.with(values, Type::TEXT_ARRAY)
    }

    pub(super) fn flags<T: ToSql + Sync + Send + 'a>(self, values: Vec<T>) -> Statement<'a> {
        self.with(values, Type::BOOL_ARRAY)
    }

    /// Has it parsed, planned and executed.
    async fn ask(&self, client: &Client) -> Result<Vec<Row>, Error> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> = self
            .values
            .iter()
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect();
        client.query_typed(&self.sql, &values).await
    }

    /// Has it executed, by its name where it has one.
    async fn ask_by_name(&self, connection: &Connection) -> Result<Vec<Row>, Error> {
        let Some(Some(prepared)) = connection.sent.get(&self.sql) else {
            return self.ask(&connection.client).await;
        };
        let values: Vec<&(dyn ToSql + Sync)> =
            self.values.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync)).collect();
        connection.client.query(prepared, &values).await
    }
}

/// Why a call has failed.
pub(super) enum Failed {
    /// The server or the client says this.
    Said(Error),
    /// It took longer than this.
    Late(Duration),
    /// There is no connection.
    Store(StoreError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Said(error)
    }
}

impl Link {
    pub(super) fn new(settings: Arc<Settings>) -> Result<Link, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            settings.url.error(Trouble::Other, &format!("it cannot be waited for: {error}"))
        })?;
        let runtime = Some(runtime);
        Ok(Link { settings, runtime, client: None, connection: 0, remembers: true })
    }

    /// Asks one thing.
    pub(super) fn ask(&mut self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        self.call(async |connection| statement.ask(&connection.client).await)
            .map_err(|error| self.error(error))
    }

    /// Several statements without values.
    pub(super) fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.call(async |connection| connection.client.batch_execute(sql).await)
            .map_err(|error| self.error(error))
    }

    /// Does all of it or nothing, in one round trip. What others were in the way of is done again.
    pub(super) fn transaction(
        &mut self,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.again(statements, false).map_err(|error| self.error(error))
    }

    /// The same, for one whose statements may fail on purpose. They are sent again and again, and find
    /// what they are about by an index, so that they are prepared.
    pub(super) fn fenced(&mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Failed> {
        self.again(statements, true)
    }

    fn again(
        &mut self,
        statements: &[Statement<'_>],
        by_name: bool,
    ) -> Result<Vec<Vec<Row>>, Failed> {
        for _ in 1..AGAIN {
            match self.attempt(statements, by_name) {
                Err(Failed::Said(error)) if trouble::is_conflict(&error) => {}
                done => return done,
            }
        }
        self.attempt(statements, by_name)
    }

    fn attempt(
        &mut self,
        statements: &[Statement<'_>],
        by_name: bool,
    ) -> Result<Vec<Vec<Row>>, Failed> {
        if by_name && self.remembers {
            let done = self.call(async |connection| {
                connection.prepare(statements).await?;
                all_or_none(connection, statements, true).await
            });
            match done {
                Err(Failed::Said(error)) if trouble::is_forgotten(&error) => {}
                done => return done,
            }
            self.remembers = false;
            // What names it has are of no use.
            self.client = None;
        }
        self.call(async |connection| all_or_none(connection, statements, false).await)
    }

    /// Has the client do something, within the limit. After an error the connection is gone, unless
    /// the server has said it and has nothing else to say.
    fn call<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        let Some(runtime) = &self.runtime else { return Err(Failed::Late(ANSWER)) };
        let mut connection = match self.client.take().filter(|known| !known.client.is_closed()) {
            Some(connection) => connection,
            None => {
                self.connection += 1;
                let client = connect(runtime, &self.settings).map_err(Failed::Store)?;
                Connection { client, sent: HashMap::new(), mark: None }
            }
        };
        let done = runtime.block_on(async { timeout(ANSWER, work(&mut connection)).await });
        match done {
            Ok(Ok(done)) => {
                self.client = Some(connection);
                Ok(done)
            }
            Ok(Err(error)) => {
                // Its transaction is over, and each message has been answered.
                if error.code().is_some() && !connection.client.is_closed() {
                    self.client = Some(connection);
                }
                Err(Failed::Said(error))
            }
            Err(_) => Err(Failed::Late(ANSWER)),
        }
    }

    pub(super) fn error(&self, failed: Failed) -> StoreError {
        let url = &self.settings.url;
        match failed {
            Failed::Said(error) => url.error(trouble::kind(&error), &trouble::words(&error)),
            Failed::Late(limit) => {
                let message = format!("no answer within {} s", limit.as_secs());
                url.error(Trouble::Unreachable, &message)
            }
            Failed::Store(error) => error,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.client = None;
        // A name that is being looked up is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connects to the first host that will do; a standby only where nothing is to be written and there is
/// nothing better.
fn connect(runtime: &Runtime, settings: &Settings) -> Result<Client, StoreError> {
    let mut first: Option<(Trouble, String)> = None;
    let mut standbys = Vec::new();
    for host in &settings.hosts {
        let (kind, words) = match connect_to(runtime, settings, host) {
            Ok(client) => return Ok(client),
            Err(Some(error)) => {
                if settings.only_reads && trouble::is_standby(&error) {
                    let mut host = host.clone();
                    host.target_session_attrs(TargetSessionAttrs::Any);
                    standbys.push(host);
                }
                (trouble::kind(&error), trouble::words(&error))
            }
            Err(None) => {
                let words = format!("no connection within {} s", CONNECT.as_secs());
                (Trouble::Unreachable, words)
            }
        };
        let words = format!("{}: {words}", name_of(host));
        // That a password is wrong says more than that another host is away.
        let better = first.as_ref().is_none_or(|(found, _)| *found == Trouble::Unreachable);
        first = match first {
            Some(found) if !better || kind == Trouble::Unreachable => {
                Some((found.0, format!("{}; {words}", found.1)))
            }
            Some(found) => Some((kind, format!("{words}; {}", found.1))),
            None => Some((kind, words)),
        };
    }
    for host in &standbys {
        if let Ok(client) = connect_to(runtime, settings, host) {
            return Ok(client);
        }
    }
    let (kind, words) = first.unwrap_or((Trouble::Other, "it names no host".to_owned()));
    Err(settings.url.error(kind, &words))
}

/// Connects to one host. Without an error it has taken too long.
fn connect_to(
    runtime: &Runtime,
    settings: &Settings,
    host: &Config,
) -> Result<Client, Option<Error>> {
    let connecting = host.connect(settings.tls.clone());
    let connected = runtime.block_on(async { timeout(CONNECT, connecting).await });
    let (client, connection) = connected.map_err(|_| None)?.map_err(Some)?;
    runtime.spawn(async {
        // Whoever uses it next is told.
        let _ = connection.await;
    });
    Ok(client)
}

impl Connection {
    /// Gives a name to those of these statements that were sent before: what is sent again and again is
    /// parsed and planned once.
    async fn prepare(&mut self, statements: &[Statement<'_>]) -> Result<(), Error> {
        let was_sent = |it: &&Statement<'_>| matches!(self.sent.get(&it.sql), Some(None));
        let mut new: Vec<&Statement<'_>> = statements.iter().filter(was_sent).collect();
        for statement in statements {
            if self.sent.len() < NAMED && !self.sent.contains_key(&statement.sql) {
                self.sent.insert(statement.sql.clone(), None);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let settings = &Statement::settings(true);
        if !self.sent.contains_key(&settings.sql) {
            new.push(settings);
        }
        let mark = format!("{:x}", machine::random());
        let begin = match &self.mark {
            Some(mark) => format!("BEGIN{}", IS_MINE.replace('~', mark)),
            None => {
                let nobodys = IS_MINE.replace('~', "");
                format!("BEGIN{nobodys}; SELECT set_config('schedrs.connection', '{mark}', false)")
            }
        };
        let client = &self.client;
        let all = join_all(new.iter().map(async |statement| {
            let types: Vec<Type> = statement.values.iter().map(|(_, of)| of.clone()).collect();
            client.prepare_typed(&statement.sql, &types).await
        }));
        let begin = client.batch_execute(&begin);
        let (begun, prepared, done) = join3(begin, all, client.batch_execute("COMMIT")).await;
        begun?;
        let prepared = prepared.into_iter().collect::<Result<Vec<_>, Error>>()?;
        done?;
        self.mark.get_or_insert(mark);
        for (statement, prepared) in new.iter().zip(prepared) {
            self.sent.insert(statement.sql.clone(), Some(prepared));
        }
        Ok(())
    }
}

/// Sends all at once and waits for the answers. The first error is the one that counts: what comes
/// after it is refused because of it.
async fn all_or_none(
    connection: &Connection,
    statements: &[Statement<'_>],
    by_name: bool,
) -> Result<Vec<Vec<Row>>, Error> {
    if let [only] = statements {
        // One statement is a transaction.
        return Ok(vec![only.ask(&connection.client).await?]);
    }
    let mark = connection.mark.as_ref().filter(|_| by_name);
    let settings = &Statement::settings(mark.is_some());
    let client = &connection.client;
    let begin = match mark {
        Some(mark) => format!("BEGIN{}", IS_MINE.replace('~', mark)),
        None => "BEGIN".to_owned(),
    };
    let begin = client.batch_execute(&begin);
    let statements = [settings].into_iter().chain(statements);
    let all = join_all(statements.map(async |statement| match mark {
        Some(_) => statement.ask_by_name(connection).await,
        None => statement.ask(client).await,
    }));
    let (begun, answers, done) = join3(begin, all, client.batch_execute("COMMIT")).await;
    begun?;
    // Not that of the settings.
    let mut answers = answers.into_iter();
    answers.next().transpose()?;
    let answers = answers.collect::<Result<Vec<Vec<Row>>, Error>>()?;
    done?;
    Ok(answers)
}
