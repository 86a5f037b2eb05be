//! Reading and writing our own types as columns. A value that no call of ours could have written is
//! a failure, not a panic and not a guess.

use std::fmt::Display;
use std::str::FromStr;

use tidegate_types::{Digest, UnixMillis};

use super::{DatabaseError, Result, Row, Transaction, Value};
use crate::Selector;

/// A number that is never negative.
pub(crate) fn number(row: &Row, index: usize) -> Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|error| DatabaseError::damaged(index, error))
}

/// For writing: the databases' integers are signed. Times and sizes beyond them do not occur.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn time(row: &Row, index: usize) -> Result<UnixMillis> {
    number(row, index).map(UnixMillis)
}

pub(crate) fn optional_time(row: &Row, index: usize) -> Result<Option<UnixMillis>> {
    let value: Option<i64> = row.get(index)?;
    value.map(|_| time(row, index)).transpose()
}

pub(crate) fn digest(row: &Row, index: usize) -> Result<Digest> {
    row.get(index).map(Digest)
}

/// A text that a type reads.
pub(crate) fn parsed<T>(row: &Row, index: usize) -> Result<T>
where
    T: FromStr<Err: Display>,
{
    let text: String = row.get(index)?;
    text.parse().map_err(|error: T::Err| DatabaseError::damaged(index, error))
}

/// A text that is JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row, index: usize) -> Result<T> {
    let text: String = row.get(index)?;
    serde_json::from_str(&text).map_err(|error| DatabaseError::damaged(index, error))
}

pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(
    row: &Row,
    index: usize,
) -> Result<Option<T>> {
    let text: Option<String> = row.get(index)?;
    text.map(|_| json(row, index)).transpose()
}

/// All rows of a query.
pub(crate) fn list<T>(
    transaction: &dyn Transaction,
    sql: &str,
    params: &[Value<'_>],
    read: impl FnMut(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    transaction.query(sql, params)?.iter().map(read).collect()
}

/// The first row of a query, if there is one.
pub(crate) fn first<T>(
    transaction: &dyn Transaction,
    sql: &str,
    params: &[Value<'_>],
    read: impl FnOnce(&Row) -> Result<T>,
) -> Result<Option<T>> {
    transaction.query(sql, params)?.first().map(read).transpose()
}

/// The number that a query counts.
pub(crate) fn count(transaction: &dyn Transaction, sql: &str, params: &[Value<'_>]) -> Result<u64> {
    let counted = first(transaction, sql, params, |row| number(row, 0))?;
    counted.ok_or_else(|| DatabaseError::damaged(0, "a count has no row"))
}

/// A condition on parameter `?3` that selects versions, and the parameter's value. `number` is the
/// column that counts the versions.
pub(crate) fn selected(which: &Selector, number: &str) -> (String, Value<'static>) {
    match which {
        Selector::Latest => ("CAST(?3 AS TEXT) IS NULL".to_owned(), Value::Null),
        Selector::Version(text) => {
            (format!("{number} = ?3"), Value::Integer(Selector::number(text)))
        }
        Selector::Digest(digest) => ("digest = ?3".to_owned(), Value::from(digest.0)),
    }
}
