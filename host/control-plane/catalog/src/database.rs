//! The database under the catalog: one small interface, and a driver for each database.
//!
//! Statements are written once, in what both databases understand: parameters are `?1`, `?2`;
//! truth values and times are integers; `ON CONFLICT` names its columns; a parameter that stands
//! without a column beside it is cast (`CAST(?1 AS TEXT) IS NULL`), as is a sum (`AS BIGINT`).
//!
//! A call of the catalog is one transaction. Those that write run one after the other, also those
//! of several nodes: what one has read is so until it has written.

pub(crate) mod columns;

mod error;
mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
mod value;
mod watched;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use error::{DatabaseError, DatabaseErrorKind};
pub(crate) use value::{Row, Value, params};
pub(crate) use watched::Watched;

use tidegate_types::UnixMillis;

use crate::CatalogError;
use crate::catalog::fleet::watch::Nudge;

pub(crate) type Result<T> = std::result::Result<T, DatabaseError>;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// All its queries see one state.
    Read,
    /// No other one writes meanwhile.
    Write,
    /// Stores content by its digest, beside others that write.
    Content,
}

/// A database with the catalog's layout.
pub(crate) trait Database: Send {
    /// Starts a transaction; dropped without a commit it leaves nothing behind.
    fn begin(&mut self, access: Access) -> Result<Box<dyn Transaction + '_>>;

    /// Is it shared with other nodes, so that content must be in it?
    fn is_shared(&self) -> bool;
}

/// A running transaction. After an error it can only be dropped.
pub(crate) trait Transaction {
    /// Runs a statement and answers how many rows it touched.
    fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64>;

    /// Runs a statement and answers its rows.
    fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>>;

    /// Makes it durable.
    fn commit(self: Box<Self>) -> Result<()>;

    /// The time by the database's clock, which all nodes share.
    fn now(&self) -> Result<UnixMillis>;

    /// Tells other nodes, once this is committed, that what they run has changed.
    fn announce_change(&self) -> Result<()>;

    /// How many steps of the layout were taken.
    fn layout_version(&self) -> Result<i64>;

    /// Takes one step of the layout.
    fn take_step(&self, step: &migrations::Step, number: i64) -> Result<()>;
}

/// Where the catalog is kept, and how long it may take to answer.
#[derive(Clone)]
pub struct DatabaseOptions {
    /// Empty for SQLite in the catalog's folder, `postgres://USER:PASSWORD@HOST:PORT/DATABASE` for
    /// PostgreSQL.
    pub url: String,
    /// For PostgreSQL: how long connecting may take.
    pub connect_timeout: Duration,
    /// For PostgreSQL: how long one statement may take, waiting for other nodes' writes included.
    pub statement_timeout: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for DatabaseOptions {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

/// Opens the database and brings its layout up to date.
pub(crate) fn open(
    folder: &Path,
    options: &DatabaseOptions,
) -> std::result::Result<Box<dyn Database>, CatalogError> {
    let mut database = connect(folder, options, None)?;
    migrations::run(database.as_mut())?;
    Ok(database)
}

/// The same database once more, for one who is nudged when what nodes run has changed, where the
/// database can tell, and when it may have been missed.
pub(crate) fn listen(
    folder: &Path,
    options: &DatabaseOptions,
    nudge: Nudge,
) -> std::result::Result<Box<dyn Database>, CatalogError> {
    connect(folder, options, Some(nudge))
}

fn connect(
    folder: &Path,
    options: &DatabaseOptions,
    nudge: Option<Nudge>,
) -> std::result::Result<Box<dyn Database>, CatalogError> {
    if options.url.is_empty() {
        Ok(Box::new(sqlite::Sqlite::open(folder)?))
    } else if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
        connect_postgres(options, nudge)
    } else {
        Err(CatalogError::Invalid(
            "the catalog's url names no known database: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, \
             or nothing for SQLite in the data folder"
                .to_owned(),
        ))
    }
}

#[cfg(feature = "postgres")]
fn connect_postgres(
    options: &DatabaseOptions,
    nudge: Option<Nudge>,
) -> std::result::Result<Box<dyn Database>, CatalogError> {
    Ok(Box::new(postgres::Postgres::open(options, nudge)?))
}

#[cfg(not(feature = "postgres"))]
fn connect_postgres(
    _: &DatabaseOptions,
    _: Option<Nudge>,
) -> std::result::Result<Box<dyn Database>, CatalogError> {
    Err(CatalogError::Invalid(
        "the catalog's url names PostgreSQL, and this program was built without it: build it with \
         `--features postgres`, or leave the url empty for SQLite in the data folder"
            .to_owned(),
    ))
}
