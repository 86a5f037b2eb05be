//! One connection: its session, its prepared statements, and what its errors mean.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, NoTls, Socket, Statement};

use super::wait::wait;
use super::{Target, values};
use crate::catalog::fleet::watch::Nudge;
use crate::database::{DatabaseError, DatabaseErrorKind, Result, Row, Value};

/// How much longer than the server's own limit an answer is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// More are forgotten and prepared again. The catalog has fewer.
const MAX_STATEMENTS: usize = 256;

pub(super) struct Link {
    target: Arc<Target>,
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// Nothing can be said over it any more.
    is_lost: Cell<bool>,
    /// A statement of the running transaction has failed: a commit would roll back silently.
    has_failed: Cell<bool>,
}

impl Link {
    /// Connects. The nudge is given for each notification, and when the connection is over.
    pub(super) fn connect(
        target: &Arc<Target>,
        runtime: &Runtime,
        nudge: Option<Nudge>,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(1);
        let connecting = Arc::clone(target);
        runtime.spawn(async move {
            match connecting.config.connect(NoTls).await {
                Ok((client, connection)) => {
                    // Where nobody waits any more, dropping the client ends the connection.
                    drop(sender.send(Ok(client)));
                    carry(connection, nudge).await;
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
        let client = match receiver.recv_timeout(target.connect_timeout + GRACE) {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(unreachable(target, &told(&error))),
            Err(_) => return Err(unreachable(target, "it does not answer")),
        };
        let link = Self {
            target: Arc::clone(target),
            client,
            statements: RefCell::default(),
            is_lost: Cell::new(false),
            has_failed: Cell::new(false),
        };
        let limit = target.statement_timeout.as_millis().max(1);
        link.batch(&format!(
            "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {}; \
             SET synchronous_commit = on; SET client_min_messages = warning",
            (limit / 3).max(1)
        ))?;
        Ok(link)
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.is_lost.get() && !self.client.is_closed()
    }

    /// Begins a transaction by these statements; where one fails there is none.
    pub(super) fn start(&self, sql: &str) -> Result<()> {
        self.has_failed.set(false);
        self.batch(sql).inspect_err(|_| self.roll_back())
    }

    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        self.run(self.client.batch_execute(sql))
    }

    pub(super) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        check(params)?;
        let statement = self.prepared(sql)?;
        self.run(self.client.execute(&statement, &by_reference(params)))
    }

    pub(super) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        check(params)?;
        let statement = self.prepared(sql)?;
        let rows = self.run(self.client.query(&statement, &by_reference(params)))?;
        let read = |row: &tokio_postgres::Row| {
            let values = (0..row.len()).map(|index| {
                row.try_get(index).map_err(|error| DatabaseError::damaged(index, told(&error)))
            });
            values.collect::<Result<_>>().map(Row)
        };
        rows.iter().map(read).collect()
    }

    pub(super) fn commit(&self) -> Result<()> {
        if self.has_failed.get() {
            let message = "a transaction of which a statement has failed cannot be committed";
            return Err(DatabaseError::new(DatabaseErrorKind::Failed, message));
        }
        self.batch("COMMIT").map_err(|error| {
            if self.is_usable() {
                return error;
            }
            let message = format!(
                "the connection to {} was lost while a change was committed: it is not known \
                 whether it was made; look before trying again",
                self.target
            );
            DatabaseError::new(DatabaseErrorKind::Unavailable, message).caused_by(error)
        })
    }

    /// Where this fails the connection is given up, and the server rolls back.
    pub(super) fn roll_back(&self) {
        if self.is_usable() && self.batch("ROLLBACK").is_err() {
            self.is_lost.set(true);
        }
    }

    fn prepared(&self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.run(self.client.prepare(&values::statement(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= MAX_STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn run<T>(&self, call: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        let deadline = Instant::now() + self.target.statement_timeout + GRACE;
        let outcome = wait(call, deadline);
        if !matches!(outcome, Some(Ok(_))) {
            self.has_failed.set(true);
        }
        match outcome {
            Some(outcome) => outcome.map_err(|error| self.failed(&error)),
            None => {
                self.is_lost.set(true);
                Err(self.lost("it does not answer"))
            }
        }
    }

    fn failed(&self, error: &Error) -> DatabaseError {
        let Some(code) = error.code() else {
            // The server has refused nothing: the connection, or a value that has no form there.
            if self.client.is_closed() || error.is_closed() || is_io(error) {
                self.is_lost.set(true);
                return self.lost(&told(error));
            }
            let message = format!("{}: {}", self.target, told(error));
            return DatabaseError::new(DatabaseErrorKind::Failed, message);
        };
        let text = told(error);
        match class(code) {
            Class::Lost => {
                self.is_lost.set(true);
                self.lost(&text)
            }
            Class::Busy => {
                let message =
                    format!("{} did not do it now: {text}; try again in a while", self.target);
                DatabaseError::new(DatabaseErrorKind::Unavailable, message)
            }
            Class::Full => {
                let message = format!("{} has no room: {text}", self.target);
                DatabaseError::new(DatabaseErrorKind::StorageFull, message)
            }
            Class::Other => {
                let message = format!("{}: {text}", self.target);
                DatabaseError::new(DatabaseErrorKind::Failed, message)
            }
        }
    }

    fn lost(&self, why: &str) -> DatabaseError {
        let message = format!(
            "the connection to {} was lost: {why}; the next call connects anew",
            self.target
        );
        DatabaseError::new(DatabaseErrorKind::Unavailable, message)
    }
}

/// Moves messages until the connection is over. Its error reaches the call that is running.
async fn carry(mut connection: Connection<Socket, NoTlsStream>, nudge: Option<Nudge>) {
    let told = || nudge.as_ref().is_none_or(Nudge::give);
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if matches!(message, AsyncMessage::Notification(_)) && !told() {
            break;
        }
    }
    told();
}

fn unreachable(target: &Target, why: &str) -> DatabaseError {
    let message = format!(
        "{target} cannot be used: {why}; see that it runs and takes connections, and that the \
         catalog's url names it with the right user and password"
    );
    DatabaseError::new(DatabaseErrorKind::Unavailable, message)
}

/// PostgreSQL's texts have no NUL.
fn check(params: &[Value<'_>]) -> Result<()> {
    let has_nul = |value: &Value<'_>| matches!(value, Value::Text(text) if text.contains('\0'));
    if params.iter().any(has_nul) {
        let message = "a name or text holds the character U+0000: leave it out";
        return Err(DatabaseError::new(DatabaseErrorKind::Invalid, message));
    }
    Ok(())
}

fn by_reference<'a>(params: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|value| value as _).collect()
}

/// What a code of the server's means to us.
enum Class {
    /// The session is over.
    Lost,
    /// It can be tried again.
    Busy,
    Full,
    Other,
}

fn class(code: &SqlState) -> Class {
    match code.code() {
        // Shut down, crashed, starting; ended because a transaction stood still; connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => Class::Lost,
        "53100" => Class::Full,
        // Took too long or was cancelled, lock not free, deadlock, serialisation, standby.
        "57014" | "55P03" | "40P01" | "40001" | "25006" => Class::Busy,
        other if other.starts_with("08") => Class::Lost,
        other if other.starts_with("53") => Class::Busy,
        _ => Class::Other,
    }
}

fn is_io(error: &Error) -> bool {
    error.source().is_some_and(|source| source.is::<std::io::Error>())
}

/// An error with its causes. Of the server's errors the message and code alone: details quote rows.
fn told(error: &Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
    }
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
