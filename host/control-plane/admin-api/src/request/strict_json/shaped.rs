//! From a JSON value to a known shape, as JSON Schema has it: an object is an object, where serde would
//! also take a list for the members in their order; a name is a text, where serde would also take its place
//! among the others; and `5.0` is the integer 5.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// A value that is read into a shape.
pub(super) struct Shaped(pub(super) Value);

/// The same value, an integer written as one.
pub(crate) fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            // The integers that a double counts one by one.
            let exact = |float: &f64| float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
            let float = number.as_f64().filter(exact);
            let integer = float.and_then(|float| format!("{float:.0}").parse::<i64>().ok());
            integer.map_or(Value::Number(number), Value::from)
        }
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, whole(value))).collect()
        }
        other => other,
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

macro_rules! integers {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                number @ Value::Number(_) => whole(number).$name(visitor),
                other => other.$name(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Shaped {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Shaped));
                let read = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(read)
            }
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Shaped(value)));
                let mut members = MapDeserializer::new(members);
                let read = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(read)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_object() {
            return self.deserialize_any(visitor);
        }
        Err(Error::invalid_type(unexpected(&self.0), &"an object"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_string() {
            return self.deserialize_any(visitor);
        }
        Err(Error::invalid_type(unexpected(&self.0), &"a name"))
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Shaped {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        inner: Option<Inner>,
        list: Vec<Inner>,
        kind: Option<Kind>,
        tagged: Option<Tagged>,
        any: Value,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
    enum Tagged {
        Set { to: u32 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        count: u32,
        share: Option<f64>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
    }

    #[test]
    fn shapes_are_those_of_json_schema() {
        let read = |value: Value| Outer::deserialize(Shaped(value)).map_err(|e| e.to_string());
        let inner = |count| Inner { count, share: None };
        for (value, expected) in [
            (json!({}), Outer::default()),
            (
                json!({ "inner": { "count": 5 } }),
                Outer { inner: Some(inner(5)), ..Outer::default() },
            ),
            (
                json!({ "inner": { "count": 5.0 } }),
                Outer { inner: Some(inner(5)), ..Outer::default() },
            ),
            (
                json!({ "list": [{ "count": 1, "share": 2 }] }),
                Outer { list: vec![Inner { count: 1, share: Some(2.0) }], ..Outer::default() },
            ),
            (
                json!({ "tagged": { "to": 1, "op": "set" } }),
                Outer { tagged: Some(Tagged::Set { to: 1 }), ..Outer::default() },
            ),
            (json!({ "kind": "one" }), Outer { kind: Some(Kind::One), ..Outer::default() }),
            // What is passed on stays as it was written.
            (json!({ "any": [5.0, [1]] }), Outer { any: json!([5.0, [1]]), ..Outer::default() }),
        ] {
            assert_eq!(read(value.clone()), Ok(expected), "{value}");
        }
        for (value, part) in [
            (json!([]), "sequence, expected an object"),
            (json!({ "inner": [5] }), "sequence, expected an object"),
            (json!({ "list": [[5]] }), "sequence, expected an object"),
            (json!({ "inner": { "count": 5.5 } }), "5.5"),
            (json!({ "inner": { "count": -1.0 } }), "-1"),
            (json!({ "inner": { "count": 5, "more": 1 } }), "unknown field `more`"),
            (json!({ "kind": "two" }), "unknown variant `two`"),
            (json!({ "kind": 0 }), "0"),
            (json!({ "tagged": { "op": 0, "to": 1 } }), "expected a name"),
        ] {
            let error = read(value.clone()).expect_err("refused");
            assert!(error.contains(part), "{value}: {error}");
        }
    }

    #[test]
    fn whole_numbers_are_integers_at_any_depth() {
        let value = json!({ "a": [1.0, 1.5, -2.0, 1e300], "b": { "c": 9.0 } });
        assert_eq!(whole(value), json!({ "a": [1, 1.5, -2, 1e300], "b": { "c": 9 } }));
    }
}
