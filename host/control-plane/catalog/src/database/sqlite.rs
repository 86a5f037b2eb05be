//! SQLite: `FOLDER/catalog.sqlite`, in WAL mode with `synchronous=FULL`, so that a transaction that
//! has returned is on the disk.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};

use tidegate_types::UnixMillis;

use super::migrations::Step;
use super::{Access, Database, DatabaseError, DatabaseErrorKind, Result, Row, Transaction, Value};

pub(super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens the database in a folder that is there, and makes it where it is missing.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(folder.join("catalog.sqlite"), flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Self { connection })
    }
}

impl Database for Sqlite {
    fn begin(&mut self, access: Access) -> Result<Box<dyn Transaction + '_>> {
        let behavior = match access {
            Access::Read => TransactionBehavior::Deferred,
            Access::Write | Access::Content => TransactionBehavior::Immediate,
        };
        Ok(Box::new(Running(self.connection.transaction_with_behavior(behavior)?)))
    }

    fn is_shared(&self) -> bool {
        false
    }
}

struct Running<'a>(rusqlite::Transaction<'a>);

impl Transaction for Running<'_> {
    fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        let touched = self.0.prepare_cached(sql)?.execute(params_from_iter(params))?;
        Ok(touched as u64)
    }

    fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..width).map(|index| read(index, row.get_ref(index)?));
            all.push(Row(values.collect::<Result<_>>()?));
        }
        Ok(all)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        Ok(self.0.commit()?)
    }

    fn now(&self) -> Result<UnixMillis> {
        Ok(UnixMillis::now())
    }

    /// SQLite tells nobody: who is in this process is told by it, others look.
    fn announce_change(&self) -> Result<()> {
        Ok(())
    }

    fn layout_version(&self) -> Result<i64> {
        Ok(self.0.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    fn take_step(&self, step: &Step, number: i64) -> Result<()> {
        self.0.execute_batch(step.every)?;
        self.0.execute_batch(step.sqlite)?;
        Ok(self.0.pragma_update(None, "user_version", number)?)
    }
}

fn read(index: usize, value: ValueRef<'_>) -> Result<Value<'static>> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(Cow::Owned(text.to_owned())),
            Err(error) => return Err(DatabaseError::damaged(index, error)),
        },
        ValueRef::Blob(bytes) => Value::Blob(Cow::Owned(bytes.to_vec())),
        ValueRef::Real(_) => return Err(DatabaseError::damaged(index, "holds a fraction")),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let kind = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => DatabaseErrorKind::StorageFull,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                    DatabaseErrorKind::Unavailable
                }
                _ => DatabaseErrorKind::Failed,
            },
            _ => DatabaseErrorKind::Failed,
        };
        Self::new(kind, "SQLite failed").caused_by(error)
    }
}
