//! Layouts: which fields of an event type become typed columns.
//!
//! A layout comes from the top-level `properties` of the type's JSON Schema. A property becomes a
//! column where its `type` (or, without one, its `enum` or `const`) names one scalar kind, `null`
//! beside it or not; integer and number together are a number. References within the schema
//! (`#/…`) are followed. Everything else stays in the delivered JSON alone.
//!
//! Properties are taken in the order of their names, so that one schema always gives one layout;
//! the first [`FIELDS`] of them count. Names of columns must differ also for readers that ignore
//! case: of two that do not, the later gets a suffix `_2`, `_3`, ….

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ahash::AHashMap;
use serde_json::Value;
use tidegate_types::Digest;

/// Most typed columns of a layout.
pub const FIELDS: usize = 256;
/// Longest name of a property that becomes a column, in bytes.
pub const NAME_BYTES: usize = 200;
/// How many references are followed from one property.
const REFERENCES: usize = 8;

/// Knows the layout of each event type in each revision. Called once per new combination and
/// flush, from the storage thread; must answer the same for the same arguments.
pub trait Layouts: Send + Sync {
    /// The layout of the events of a type; [`Layout::default`] where the type has no schema.
    fn layout(&self, tenant: &str, event_type: &str, revision: &Digest) -> Arc<Layout>;
}

/// What a typed column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Text,
    /// Signed 64-bit. `2.0` and `1e3` are integers.
    Integer,
    /// IEEE 754 double.
    Number,
    Boolean,
}

impl Kind {
    fn of_type(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::Text),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(_) => Some(Self::Text),
            Value::Number(number) if number.is_f64() => Some(Self::Number),
            Value::Number(_) => Some(Self::Integer),
            Value::Bool(_) => Some(Self::Boolean),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// The one kind that holds both.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, two) if one == two => Some(one),
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Some(Self::Number),
            _ => None,
        }
    }
}

/// One typed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The top-level member of the event.
    pub member: String,
    /// The column within `event`.
    pub column: String,
    pub kind: Kind,
}

/// The typed columns of one event type.
#[derive(Clone, Debug)]
pub struct Layout {
    fields: Vec<Field>,
    places: AHashMap<String, usize>,
    id: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Layout {
    /// A layout of named members. Names that are too long are left out, and what comes after the
    /// first [`FIELDS`].
    #[must_use]
    pub fn new(members: BTreeMap<String, Kind>) -> Self {
        let mut taken = HashSet::new();
        let fields: Vec<Field> = members
            .into_iter()
            .filter(|(member, _)| member.len() <= NAME_BYTES)
            .take(FIELDS)
            .map(|(member, kind)| Field { column: free_name(&member, &mut taken), member, kind })
            .collect();
        let places = fields.iter().enumerate().map(|(at, f)| (f.member.clone(), at)).collect();
        let id = identify(&fields);
        Self { fields, places, id }
    }

    /// The layout that a JSON Schema gives. Any JSON value is taken; what is no schema of an object
    /// gives no columns.
    #[must_use]
    pub fn from_json_schema(schema: &Value) -> Self {
        let root = resolve(schema, schema);
        let properties = root.and_then(|root| root.get("properties")).and_then(Value::as_object);
        let members = properties.into_iter().flatten().filter_map(|(member, property)| {
            Some((member.clone(), kind_of(resolve(schema, property)?)?))
        });
        Self::new(members.collect())
    }

    /// The columns, in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The column of a top-level member.
    pub(crate) fn place(&self, member: &str) -> Option<usize> {
        self.places.get(member).copied()
    }

    /// 16 hexadecimal digits that differ where the columns differ: part of file names.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

fn identify(fields: &[Field]) -> String {
    let described: Vec<_> =
        fields.iter().map(|f| (&f.member, &f.column, f.kind.as_str())).collect();
    let mut id = Digest::of(serde_json::json!(described).to_string().as_bytes()).hex();
    id.truncate(16);
    id
}

/// The member's own name, or one with a suffix where that is taken.
fn free_name(member: &str, taken: &mut HashSet<String>) -> String {
    let base = if member.is_empty() { "_" } else { member };
    let suffixes = (2..).map(|count: usize| format!("{base}_{count}"));
    let mut names = std::iter::once(base.to_owned()).chain(suffixes);
    let name = names.find(|name| taken.insert(name.to_lowercase()));
    name.expect("the suffixes do not end, and names taken do")
}

/// Follows `$ref` within the document.
fn resolve<'a>(root: &'a Value, mut value: &'a Value) -> Option<&'a Value> {
    for _ in 0..REFERENCES {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some(value) };
        value = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

fn kind_of(property: &Value) -> Option<Kind> {
    let kinds: Vec<Option<Kind>> = match (property.get("type"), property.get("enum")) {
        (Some(Value::String(name)), _) => vec![Kind::of_type(name)],
        (Some(Value::Array(names)), _) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(Kind::of_type).collect()
        }
        (None, Some(Value::Array(values))) => {
            values.iter().filter(|value| !value.is_null()).map(Kind::of_value).collect()
        }
        (None, None) => vec![property.get("const").and_then(Kind::of_value)],
        _ => Vec::new(),
    };
    let (first, rest) = kinds.split_first()?;
    rest.iter().try_fold((*first)?, |kind, other| kind.with((*other)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn columns(schema: &Value) -> Vec<(String, Kind)> {
        let layout = Layout::from_json_schema(schema);
        layout.fields().iter().map(|f| (f.column.clone(), f.kind)).collect()
    }

    #[test]
    fn one_property() {
        for (property, expected) in [
            (json!({"type": "string"}), Some(Kind::Text)),
            (json!({"type": ["null", "integer"]}), Some(Kind::Integer)),
            (json!({"type": ["integer", "number"]}), Some(Kind::Number)),
            (json!({"type": ["number"], "minimum": 0}), Some(Kind::Number)),
            (json!({"type": "boolean"}), Some(Kind::Boolean)),
            (json!({"enum": ["a", null, "b"]}), Some(Kind::Text)),
            (json!({"enum": [1, 2.5]}), Some(Kind::Number)),
            (json!({"const": true}), Some(Kind::Boolean)),
            (json!({"$ref": "#/$defs/code"}), Some(Kind::Text)),
            (json!({"$ref": "#/$defs/loop"}), None),
            (json!({"$ref": "https://example.org/other"}), None),
            (json!({"type": ["string", "integer"]}), None),
            (json!({"type": ["string", "object"]}), None),
            (json!({"type": "object"}), None),
            (json!({"type": ["null"]}), None),
            (json!({"type": 3}), None),
            (json!({"enum": ["a", 1]}), None),
            (json!({}), None),
            (json!(true), None),
        ] {
            let schema = json!({"properties": {"f": property}, "$defs": {
                "code": {"type": "string"}, "loop": {"$ref": "#/$defs/loop"}}});
            let expected: Vec<_> =
                expected.map(|kind| ("f".to_owned(), kind)).into_iter().collect();
            assert_eq!(columns(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn names_differ_for_readers_that_ignore_case() {
        let text = json!({"type": "string"});
        let schema = json!({"properties": {"": text, "Id": text, "iD": text, "id": text, "id_2": text, "x.y": text}});
        let names: Vec<_> = columns(&schema).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["_", "Id", "iD_2", "id_3", "id_2_2", "x.y"]);
    }

    #[test]
    fn fields_are_bounded_and_the_id_tells_layouts_apart() {
        let many: serde_json::Map<_, _> =
            (0..1000).map(|n| (format!("f{n:04}"), json!({"type": "integer"}))).collect();
        assert_eq!(columns(&json!({"properties": many})).len(), FIELDS);
        let long = json!({"properties": {"x".repeat(NAME_BYTES + 1): {"type": "string"}}});
        assert_eq!(columns(&long), []);
        assert_eq!(columns(&json!("no schema")), []);
        let id = |kind| Layout::new(BTreeMap::from([("a".to_owned(), kind)])).id().to_owned();
        assert_eq!(id(Kind::Text), id(Kind::Text));
        assert_ne!(id(Kind::Text), id(Kind::Integer));
        assert_eq!(id(Kind::Text).len(), 16);
    }
}
