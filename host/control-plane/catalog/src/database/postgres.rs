//! PostgreSQL, which several nodes share: one connection, over which one call goes at a time.
//!
//! | when the connection is lost | the call |
//! |---|---|
//! | before a transaction | goes on over a new connection |
//! | within one | fails; nothing was changed; the next call connects anew |
//! | while it is committed | fails; it is not known whether it was made |
//!
//! While the database cannot be reached, calls fail at once between attempts to connect, which are
//! 0.1 s apart at first and 2 s at most. Every call is bounded: connecting, a statement on the server,
//! and the wait for its answer. A transaction whose node stands still is ended by the server, so that
//! it does not hold up the others.

mod link;
mod values;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode};

use tidegate_types::UnixMillis;

use super::migrations::Step;
use super::{Access, Database, DatabaseError, DatabaseErrorKind, DatabaseOptions};
use super::{Result, Row, Transaction, Value, columns};
use crate::CatalogError;
use crate::catalog::fleet::watch::Nudge;
use link::Link;

/// Where changes to what nodes run are announced. Each database has its own channels.
const CHANNEL: &str = "tidegate_catalog";

/// Names the one lock that all writers of a catalog take: "tidegate" in ASCII.
const WRITERS: i64 = 0x7469_6465_6761_7465;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// How and where to connect.
pub(super) struct Target {
    config: tokio_postgres::Config,
    place: String,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl fmt::Display for Target {
    /// For messages: without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl Target {
    fn new(options: &DatabaseOptions) -> std::result::Result<Self, CatalogError> {
        // The parser's own message may quote a part of the password.
        let mut config: tokio_postgres::Config = options.url.parse().map_err(|_| {
            CatalogError::Invalid(
                "the catalog's url cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, \
                 with %XX for characters that have a meaning in URLs"
                    .to_owned(),
            )
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(CatalogError::Invalid(
                "the catalog's url asks for TLS, which this program does not speak to PostgreSQL: \
                 leave `sslmode` out, and keep the database on a network that is trusted"
                    .to_owned(),
            ));
        }
        config
            .connect_timeout(options.connect_timeout)
            .tcp_user_timeout(options.statement_timeout)
            .keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("tidegate");
        }
        let place = place(&config);
        let (connect_timeout, statement_timeout) =
            (options.connect_timeout, options.statement_timeout);
        Ok(Self { config, place, connect_timeout, statement_timeout })
    }
}

fn place(config: &tokio_postgres::Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "no host".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("PostgreSQL at {host}:{port}, database `{database}`")
}

pub(super) struct Postgres {
    target: Arc<Target>,
    /// Carries the connection. Taken out only when this is dropped.
    runtime: Option<Runtime>,
    link: Option<Link>,
    backoff: Duration,
    /// For one who listens for changes.
    nudge: Option<Nudge>,
    /// Why the last attempt failed, and when the next one may be made.
    refused: Option<(Instant, String)>,
}

impl Postgres {
    pub(super) fn open(
        options: &DatabaseOptions,
        nudge: Option<Nudge>,
    ) -> std::result::Result<Self, CatalogError> {
        let target = Arc::new(Target::new(options)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("catalog-postgres")
            .enable_all()
            .build()
            .map_err(|error| {
                let message = "the thread of PostgreSQL's connection cannot start";
                DatabaseError::new(DatabaseErrorKind::Failed, message).caused_by(error)
            })?;
        let (runtime, link, backoff) = (Some(runtime), None, FIRST_BACKOFF);
        Ok(Self { target, runtime, link, backoff, nudge, refused: None })
    }

    fn connect(&mut self) -> Result<Link> {
        if let Some((next, why)) = &self.refused
            && Instant::now() < *next
        {
            return Err(DatabaseError::new(DatabaseErrorKind::Unavailable, why.as_str()));
        }
        let runtime = self.runtime.as_ref().expect("the runtime is taken at the end alone");
        let connected = Link::connect(&self.target, runtime, self.nudge.clone());
        let listening = connected.and_then(|link| match &self.nudge {
            Some(_) => link.batch(&format!("LISTEN {CHANNEL}")).map(|()| link),
            None => Ok(link),
        });
        match listening {
            Ok(link) => {
                (self.backoff, self.refused) = (FIRST_BACKOFF, None);
                Ok(link)
            }
            Err(error) => {
                self.refused = Some((Instant::now() + self.backoff, error.to_string()));
                self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                Err(error)
            }
        }
    }

    /// A connection on which the transaction has begun.
    fn started(&mut self, sql: &str) -> Result<Link> {
        if let Some(link) = self.link.take().filter(Link::is_usable) {
            match link.start(sql) {
                Ok(()) => return Ok(link),
                // It was lost while nothing went over it.
                Err(_) if !link.is_usable() => {}
                Err(error) => {
                    self.link = Some(link);
                    return Err(error);
                }
            }
        }
        let link = self.connect()?;
        match link.start(sql) {
            Ok(()) => Ok(link),
            Err(error) => {
                self.link = Some(link);
                Err(error)
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.link = None;
        // Unlike dropping it, this may be done on a thread that serves other tasks.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Database for Postgres {
    fn begin(&mut self, access: Access) -> Result<Box<dyn Transaction + '_>> {
        // Writers see what was committed before they got the lock, so they read the newest state
        // with each statement.
        let link = self.started(&match access {
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            Access::Write => format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITERS})"
            ),
            Access::Content => "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned(),
        })?;
        Ok(Box::new(Running { link: self.link.insert(link), is_finished: false }))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

struct Running<'a> {
    link: &'a Link,
    is_finished: bool,
}

impl Transaction for Running<'_> {
    fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        self.link.execute(sql, params)
    }

    fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.link.query(sql, params)
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        self.link.commit()?;
        self.is_finished = true;
        Ok(())
    }

    fn now(&self) -> Result<UnixMillis> {
        let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
        let rows = self.link.query(sql, &[])?;
        let now = rows.first().map(|row| columns::time(row, 0));
        now.unwrap_or_else(|| Err(DatabaseError::damaged(0, "the time has no row")))
    }

    fn announce_change(&self) -> Result<()> {
        self.link.batch(&format!("NOTIFY {CHANNEL}"))
    }

    fn layout_version(&self) -> Result<i64> {
        let sql = "SELECT to_regclass('catalog_layout') IS NULL";
        let is_new = self.link.query(sql, &[])?.first().map_or(Ok(false), |row| row.get(0))?;
        if is_new {
            self.link.batch("CREATE TABLE catalog_layout (version BIGINT NOT NULL)")?;
        }
        let rows = self.link.query("SELECT version FROM catalog_layout", &[])?;
        rows.first().map_or(Ok(0), |row| row.get(0))
    }

    fn take_step(&self, step: &Step, number: i64) -> Result<()> {
        self.link.batch(&values::layout(step.every))?;
        self.link.batch(step.postgres)?;
        self.link.execute("DELETE FROM catalog_layout", &[])?;
        self.link.execute("INSERT INTO catalog_layout (version) VALUES (?1)", &[number.into()])?;
        Ok(())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.link.roll_back();
        }
    }
}
