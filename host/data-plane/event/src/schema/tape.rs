//! The tape as a representation of JSON that the schema validator can walk, counting its steps.

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object};
use serde_json::Value;

use crate::document::{Document, Elements, Entry, Kind, Members, Node};
use crate::number;

/// Text that is read costs one step more for each this many bytes.
const BYTES_PER_STEP: usize = 64;
/// A member that is looked for costs one step more for each this many members of its object.
const MEMBERS_PER_STEP: u32 = 16;

/// What a check may still visit. When nothing is left, objects and arrays look empty, so that the
/// validator comes to its end.
#[derive(Debug)]
pub(crate) struct Steps {
    left: Cell<u64>,
    per_value: u64,
}

impl Steps {
    /// `per_value`: what entering a value costs.
    pub(crate) fn new(total: u64, per_value: u32) -> Self {
        Self { left: Cell::new(total), per_value: per_value.into() }
    }

    pub(crate) fn are_spent(&self) -> bool {
        self.left.get() == 0
    }

    fn spend(&self, steps: u64) -> bool {
        let left = self.left.get().saturating_sub(steps);
        self.left.set(left);
        left > 0
    }

    fn enter(&self) -> bool {
        self.spend(self.per_value)
    }
}

/// A value of the tape, as the validator walks it.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    node: Node<'a>,
    steps: &'a Steps,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(node: Node<'a>, steps: &'a Steps) -> Self {
        Self { node, steps }
    }

    fn kind(&self) -> Kind {
        self.node.kind()
    }
}

/// Holds one member name while it is checked as a value.
pub(crate) struct NameBuffer {
    document: Document,
    steps: Steps,
}

impl Default for NameBuffer {
    fn default() -> Self {
        Self { document: Document::default(), steps: Steps::new(u64::MAX, 1) }
    }
}

/// Marks the representation.
pub(crate) struct TapeJson;

impl Json for TapeJson {
    type Node<'a> = Visit<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = NameBuffer;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        buffer: &mut NameBuffer,
        string: &str,
        f: impl FnOnce(Visit<'_>) -> T,
    ) -> T {
        let NameBuffer { document, steps } = buffer;
        document.unescaped.clear();
        document.unescaped.push_str(string);
        document.entries.clear();
        document.entries.push(Entry {
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
        f(Visit::new(document.root(), steps))
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

impl<'a> JsonNode<'a, TapeJson> for Visit<'a> {
    type Object = Self;
    type Array = Self;
    type Number = Lexeme<'a>;

    fn as_object(&self) -> Option<Self> {
        self.steps.spend(1);
        (self.kind() == Kind::Object).then_some(*self)
    }

    fn as_array(&self) -> Option<Self> {
        self.steps.spend(1);
        (self.kind() == Kind::Array).then_some(*self)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let text = self.node.as_str();
        self.steps.spend(1 + text.map_or(0, |text| (text.len() / BYTES_PER_STEP) as u64));
        text.map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<Lexeme<'a>> {
        self.steps.spend(1);
        (self.kind() == Kind::Number).then(|| Lexeme(self.node.lexeme()))
    }

    fn as_boolean(&self) -> Option<bool> {
        self.node.as_bool()
    }

    fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    fn json_type(&self) -> JsonType {
        self.steps.spend(1);
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::False | Kind::True => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (expected, self.kind()) {
            (Value::Null, kind) => kind == Kind::Null,
            (Value::Bool(expected), _) => self.node.as_bool() == Some(*expected),
            (Value::String(expected), Kind::String) => {
                self.as_string().is_some_and(|text| text == expected.as_str())
            }
            (Value::Array(_), Kind::Array)
            | (Value::Object(_), Kind::Object)
            | (Value::Number(_), Kind::Number) => {
                jsonschema::json::cmp::equal(&self.to_value(), expected)
            }
            _ => false,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        let bytes = self.node.span().len() / BYTES_PER_STEP;
        if self.steps.spend(u64::from(self.node.descendants()) + 1 + bytes as u64) {
            Cow::Owned(to_value(self.node))
        } else {
            Cow::Owned(Value::Null)
        }
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let address = std::ptr::from_ref(self.node.document) as usize;
        Some(NodeIdentity::tagged(address, self.node.index))
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

impl<'a> Object<'a, TapeJson> for Visit<'a> {
    type Node = Self;
    type MemberName = &'a str;
    type MembersIter = VisitMembers<'a>;

    fn len(&self) -> usize {
        self.node.len() as usize
    }

    fn get(&self, key: &Box<str>) -> Option<Self> {
        self.steps.spend(1 + u64::from(self.node.len() / MEMBERS_PER_STEP));
        if self.steps.are_spent() {
            return None;
        }
        let node = self.node.get(key)?;
        self.steps.enter().then(|| Self::new(node, self.steps))
    }

    fn members(&self) -> VisitMembers<'a> {
        VisitMembers { members: self.node.members(), steps: self.steps }
    }
}

impl<'a> Array<'a, TapeJson> for Visit<'a> {
    type Node = Self;
    type ElementsIter = VisitElements<'a>;

    fn len(&self) -> usize {
        self.node.len() as usize
    }

    fn elements(&self) -> VisitElements<'a> {
        VisitElements { elements: self.node.elements(), steps: self.steps }
    }
}

/// Members until the steps are spent.
pub(crate) struct VisitMembers<'a> {
    members: Members<'a>,
    steps: &'a Steps,
}

impl<'a> Iterator for VisitMembers<'a> {
    type Item = (&'a str, Visit<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.members.next()?;
        let value = self.steps.enter().then(|| Visit::new(value, self.steps))?;
        Some((name.as_str().unwrap_or_default(), value))
    }
}

/// Elements until the steps are spent.
pub(crate) struct VisitElements<'a> {
    elements: Elements<'a>,
    steps: &'a Steps,
}

impl<'a> Iterator for VisitElements<'a> {
    type Item = Visit<'a>;

    fn next(&mut self) -> Option<Visit<'a>> {
        let element = self.elements.next()?;
        self.steps.enter().then(|| Visit::new(element, self.steps))
    }
}
