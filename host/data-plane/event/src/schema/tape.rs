//! The tape as a representation of JSON that the schema validator can walk.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object};
use serde_json::Value;

use crate::document::{Document, Entry, Kind, Node};
use crate::number;

/// Marks the representation.
pub(crate) struct TapeJson;

impl Json for TapeJson {
    type Node<'a> = Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = Document;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        buffer: &mut Document,
        string: &str,
        f: impl FnOnce(Node<'_>) -> T,
    ) -> T {
        buffer.unescaped.clear();
        buffer.unescaped.push_str(string);
        buffer.entries.clear();
        buffer.entries.push(Entry {
            start: 0,
            end: 0,
            next: 1,
            count: u32::try_from(string.len()).unwrap_or(u32::MAX),
            text: 0,
            kind: Kind::String,
            escaped: true,
            key: true,
            depth: 0,
        });
        f(buffer.root())
    }
}

/// A number as written.
pub(crate) struct Lexeme<'a>(&'a str);

impl JsonNumber for Lexeme<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(to_number(self.0))
    }

    fn is_integer(&self) -> bool {
        number::to_i64(self.0).is_some() || number::to_f64(self.0).is_some_and(|f| f.fract() == 0.0)
    }
}

/// A number beyond doubles becomes the nearest double.
fn to_number(lexeme: &str) -> serde_json::Number {
    let exact = serde_json::from_str::<serde_json::Number>(lexeme).ok();
    let nearest = || {
        let limit = if lexeme.starts_with('-') { f64::MIN } else { f64::MAX };
        serde_json::Number::from_f64(limit)
    };
    exact.or_else(nearest).unwrap_or_else(|| 0.into())
}

impl<'a> JsonNode<'a, TapeJson> for Node<'a> {
    type Object = Self;
    type Array = Self;
    type Number = Lexeme<'a>;

    fn as_object(&self) -> Option<Self> {
        (self.kind() == Kind::Object).then_some(*self)
    }

    fn as_array(&self) -> Option<Self> {
        (self.kind() == Kind::Array).then_some(*self)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<Lexeme<'a>> {
        (self.kind() == Kind::Number).then(|| Lexeme(self.lexeme()))
    }

    fn as_boolean(&self) -> Option<bool> {
        self.as_bool()
    }

    fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    fn json_type(&self) -> JsonType {
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::False | Kind::True => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(to_value(*self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::tagged(std::ptr::from_ref(self.document) as usize, self.index))
    }
}

fn to_value(node: Node<'_>) -> Value {
    match node.kind() {
        Kind::Null => Value::Null,
        Kind::False => Value::Bool(false),
        Kind::True => Value::Bool(true),
        Kind::Number => Value::Number(to_number(node.lexeme())),
        Kind::String => node.as_str().unwrap_or_default().into(),
        Kind::Array => node.elements().map(to_value).collect(),
        Kind::Object => Value::Object(
            node.members()
                .map(|(name, value)| {
                    (name.as_str().unwrap_or_default().to_owned(), to_value(value))
                })
                .collect(),
        ),
    }
}

impl<'a> Object<'a, TapeJson> for Node<'a> {
    type Node = Self;
    type MemberName = &'a str;
    type MembersIter = Box<dyn Iterator<Item = (&'a str, Self)> + 'a>;

    fn len(&self) -> usize {
        Node::len(self) as usize
    }

    fn get(&self, key: &Box<str>) -> Option<Self> {
        Node::get(self, key)
    }

    fn members(&self) -> Self::MembersIter {
        Box::new(
            Node::members(self).map(|(name, value)| (name.as_str().unwrap_or_default(), value)),
        )
    }
}

impl<'a> Array<'a, TapeJson> for Node<'a> {
    type Node = Self;
    type ElementsIter = Box<dyn Iterator<Item = Self> + 'a>;

    fn len(&self) -> usize {
        Node::len(self) as usize
    }

    fn elements(&self) -> Self::ElementsIter {
        Box::new(Node::elements(self))
    }
}
