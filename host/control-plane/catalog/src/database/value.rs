//! What goes into a statement and comes out of a row: the few kinds of value that both databases
//! have. Truth values are the integers 0 and 1, digests are blobs.

use std::borrow::Cow;

use super::{DatabaseError, Result};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

/// The parameters of a statement, `?1` first.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::database::Value::from($value)),*] };
}
pub(crate) use params;

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value.into())
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value.into())
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value.into())
    }
}

impl From<[u8; 32]> for Value<'_> {
    fn from(value: [u8; 32]) -> Self {
        Self::Blob(value.to_vec().into())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer.
#[derive(Debug)]
pub(crate) struct Row(pub(super) Vec<Value<'static>>);

impl Row {
    /// A column's value, counted from 0.
    pub(crate) fn get<T: FromValue>(&self, index: usize) -> Result<T> {
        let value = self.0.get(index).ok_or_else(|| DatabaseError::damaged(index, "is missing"))?;
        T::from_value(value).ok_or_else(|| {
            DatabaseError::damaged(index, "holds another kind of value than was stored")
        })
    }
}

/// A type that a column is read as.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value<'static>) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        if let Value::Integer(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        i64::from_value(value).and_then(|value| value.try_into().ok())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        i64::from_value(value).map(|value| value != 0)
    }
}

impl FromValue for String {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        if let Value::Text(value) = value { Some(value.clone().into_owned()) } else { None }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        if let Value::Blob(value) = value { Some(value.clone().into_owned()) } else { None }
    }
}

impl FromValue for [u8; 32] {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        if let Value::Blob(value) = value { value.as_ref().try_into().ok() } else { None }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        if *value == Value::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}
