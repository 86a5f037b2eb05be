//! Reading and writing our own types as columns of SQLite. A value that no call of ours could have
//! written is a conversion failure, not a panic and not a guess.

use std::error::Error;
use std::str::FromStr;

use rusqlite::types::{Type, Value};
use rusqlite::{OptionalExtension as _, Params, Row};
use tidegate_types::{Digest, UnixMillis};

use crate::Selector;

fn failure(
    index: usize,
    from: Type,
    why: impl Into<Box<dyn Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, from, why.into())
}

/// A number that is never negative.
pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|error| failure(index, Type::Integer, error))
}

/// For writing: SQLite's integers are signed. Times and sizes beyond them do not occur.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<UnixMillis> {
    number(row, index).map(UnixMillis)
}

pub(super) fn optional_time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<UnixMillis>> {
    let value: Option<i64> = row.get(index)?;
    value.map(|_| time(row, index)).transpose()
}

pub(super) fn digest(row: &Row<'_>, index: usize) -> rusqlite::Result<Digest> {
    row.get::<_, [u8; 32]>(index).map(Digest)
}

/// A text that a type reads.
pub(super) fn parsed<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text: String = row.get(index)?;
    text.parse().map_err(|error: T::Err| failure(index, Type::Text, error))
}

/// A text that is JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    serde_json::from_str(&text).map_err(|error| failure(index, Type::Text, error))
}

/// All rows of a query.
pub(super) fn list<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

/// The first row of a query, if there is one.
pub(super) fn first<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(params, read).optional()
}

/// The number that a query counts.
pub(super) fn count(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<u64> {
    connection.prepare_cached(sql)?.query_row(params, |row| number(row, 0))
}

/// A condition on parameter `?3` that selects versions, and the parameter's value. `number` is the
/// column that counts the versions.
pub(super) fn selected(which: &Selector, number: &str) -> (String, Value) {
    match which {
        Selector::Latest => ("?3 IS NULL".to_owned(), Value::Null),
        Selector::Version(text) => {
            (format!("{number} = ?3"), Value::Integer(Selector::number(text)))
        }
        Selector::Digest(digest) => ("digest = ?3".to_owned(), Value::Blob(digest.0.to_vec())),
    }
}
