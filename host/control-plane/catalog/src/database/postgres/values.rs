//! Between our statements, layouts and values and PostgreSQL's.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::database::Value;

type Conversion<T> = Result<T, Box<dyn Error + Sync + Send>>;

/// `?1` becomes `$1`. No statement of ours has a question mark elsewhere.
pub(super) fn statement(sql: &str) -> String {
    sql.replace('?', "$")
}

/// A step of the layout, as the module `migrations` tells.
pub(super) fn layout(step: &str) -> String {
    step.replace(
        "INTEGER PRIMARY KEY AUTOINCREMENT",
        "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    )
    .replace(" STRICT, WITHOUT ROWID", "")
    .replace(" STRICT", "")
    .replace(" INTEGER", " BIGINT")
    .replace(" BLOB", " BYTEA")
    .replace(" TEXT", " TEXT COLLATE \"C\"")
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Conversion<IsNull> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(value) => match *kind {
                Type::INT8 => out.put_i64(*value),
                Type::INT4 => out.put_i32((*value).try_into()?),
                Type::INT2 => out.put_i16((*value).try_into()?),
                _ => return Err(format!("a number cannot be given as {kind}").into()),
            },
            Self::Text(text) => match *kind {
                Type::TEXT | Type::VARCHAR => out.put_slice(text.as_bytes()),
                _ => return Err(format!("a text cannot be given as {kind}").into()),
            },
            Self::Blob(bytes) => match *kind {
                Type::BYTEA => out.put_slice(bytes),
                _ => return Err(format!("bytes cannot be given as {kind}").into()),
            },
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'static> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Conversion<Self> {
        Ok(match *kind {
            Type::BOOL => Self::from(bool::from_sql(kind, raw)?),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(kind, raw)?.into()),
            Type::TEXT | Type::VARCHAR => Self::from(String::from_sql(kind, raw)?),
            Type::BYTEA => Self::from(Vec::<u8>::from_sql(kind, raw)?),
            _ => return Err(format!("a column of {kind} is not read").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Conversion<Self> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_translated() {
        let step = "CREATE TABLE a (n INTEGER PRIMARY KEY AUTOINCREMENT, m INTEGER, b BLOB,\n    \
                    t TEXT) STRICT;\nCREATE TABLE c (t TEXT) STRICT, WITHOUT ROWID;";
        let translated = "CREATE TABLE a (n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                          m BIGINT, b BYTEA,\n    t TEXT COLLATE \"C\");\n\
                          CREATE TABLE c (t TEXT COLLATE \"C\");";
        assert_eq!(layout(step), translated);
        assert_eq!(statement("a = ?1 AND b = ?12"), "a = $1 AND b = $12");
    }

    #[test]
    fn numbers_fit_their_columns_or_are_refused() {
        let mut out = BytesMut::new();
        for (value, kind, fits) in [
            (i64::MAX, Type::INT8, true),
            (7, Type::INT4, true),
            (1 << 40, Type::INT4, false),
            (7, Type::TEXT, false),
        ] {
            assert_eq!(Value::from(value).to_sql(&kind, &mut out).is_ok(), fits, "{value} {kind}");
        }
    }
}
