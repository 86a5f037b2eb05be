//! JSON read strictly: a name that comes twice in an object is an error, where most readers would
//! silently take one of the two. What is wrong is told with a JSON pointer.

mod shaped;

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_path_to_error::{Path, Segment};
use tidegate_types::{Problem, ProblemType};

use shaped::Shaped;
pub(crate) use shaped::whole;

/// Reads a body of a known shape: `malformed-json` where it is no JSON, `invalid-request` where it
/// has another shape. Every body is an object.
pub(crate) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let value = parse_json(text)?;
    if !value.is_object() {
        return Err(Problem::new(ProblemType::InvalidRequest, "the body is a JSON object").at(""));
    }
    serde_path_to_error::deserialize(Shaped(value)).map_err(|error| {
        let place = pointer(error.path());
        Problem::new(ProblemType::InvalidRequest, error.inner().to_string()).at(place)
    })
}

/// Reads any JSON text. Depth is bounded by serde_json's 128.
pub(crate) fn parse_json(text: &[u8]) -> Result<Value, Problem> {
    let malformed = |detail: String| Problem::new(ProblemType::MalformedJson, detail);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let Strict(value) = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| malformed(error.inner().to_string()).at(pointer(error.path())))?;
    deserializer.end().map_err(|error| malformed(error.to_string()))?;
    Ok(value)
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut out = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number =
            Number::from_f64(value).ok_or_else(|| E::custom("a number is out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if out.contains_key(&name) {
                return Err(A::Error::custom(format!(
                    "the name `{name}` comes twice in an object"
                )));
            }
            let Strict(value) = members.next_value()?;
            out.insert(name, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_as_serde_json_reads_them() {
        for text in [
            r#"{"a":[1,-2,3.5,null,true,"x\n\u00e4"],"b":{"c":{}}}"#,
            "18446744073709551615",
            "-9223372036854775808",
            "1e300",
            "[]",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse_json(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, place, part) in [
            (r#"{"a":{"b":[0,{"x":1,"x":2}]}}"#, "/a/b/1", "`x` comes twice"),
            (r#"{"a":1,"\u0061":2}"#, "", "`a` comes twice"),
            (r#"{"a/b~":{"c":tru}}"#, "/a~1b~0/c", "expected"),
            ("1e999", "", "out of range"),
            (r#"["\ud800"]"#, "/0", "hex escape"),
        ] {
            let problem = parse_json(text.as_bytes()).expect_err(text);
            assert_eq!(problem.kind, ProblemType::MalformedJson);
            assert_eq!(problem.pointer.as_deref(), Some(place), "{text}: {}", problem.detail);
            assert!(problem.detail.contains(part), "{text}: {}", problem.detail);
        }
        for text in ["", "{} x", "\u{feff}{}", &"[".repeat(200)] {
            assert_eq!(
                parse_json(text.as_bytes()).expect_err(text).kind,
                ProblemType::MalformedJson
            );
        }
        assert_eq!(
            parse_json(b"\"\xff\"").expect_err("not UTF-8").kind,
            ProblemType::MalformedJson
        );
    }
}
