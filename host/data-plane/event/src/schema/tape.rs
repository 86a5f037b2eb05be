//! The tape as a representation of JSON that the schema validator can walk, counting its steps.

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object};
use jsonschema_value::LazyInstance;
use serde_json::Value;

use crate::document::{Document, Elements, Entry, Kind, Members, Node};
use crate::number;
use crate::schema::patterns::Sizes;

/// Text that is read costs one step more for each this many bytes.
const BYTES_PER_STEP: usize = 16;
/// A member that is looked for costs one step more for each this many members of its object.
const MEMBERS_PER_STEP: u32 = 16;
/// Bytes of a text times bytes of an expression that a step stands for.
const MATCHED_PER_STEP: u64 = 2048;
/// Subschemas that a step on entering a value stands for: most of them take steps of their own.
const SUBSCHEMAS_PER_STEP: u32 = 8;
/// Parts of a value that are copied for a step.
const PARTS_PER_STEP: u32 = 2;

/// What a schema makes a visit cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    /// Of entering a value.
    enter: u64,
    /// How many subschemas may read a name.
    subschemas: u64,
    /// Bytes of compiled expressions that texts and names are matched with.
    patterns: Sizes,
    /// Of telling one violation, which copies parts of the schema.
    error: u64,
}

impl Prices {
    /// `subschemas` may apply to one value; `text` bytes are the schema's.
    pub(super) fn new(subschemas: u32, patterns: Sizes, text: usize) -> Self {
        let enter = u64::from(1 + subschemas / SUBSCHEMAS_PER_STEP);
        let error = (16 + text / BYTES_PER_STEP) as u64;
        Self { enter, subschemas: subschemas.into(), patterns, error }
    }
}

/// What a check may still visit. When nothing is left, objects and arrays look empty, so that the
/// validator comes to its end.
#[derive(Debug)]
pub(crate) struct Steps {
    left: Cell<u64>,
    /// Bytes of the longest name in the checked value.
    longest_name: usize,
    prices: Prices,
}

impl Steps {
    pub(crate) fn new(total: u64, longest_name: usize, prices: Prices) -> Self {
        Self { left: Cell::new(total), longest_name, prices }
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
        self.spend(self.prices.enter)
    }

    fn read(&self, bytes: usize) -> bool {
        self.spend(1 + (bytes / BYTES_PER_STEP) as u64)
    }

    /// A text is matched with one pattern.
    fn read_text(&self, bytes: usize) -> bool {
        self.read(bytes) && self.spend(matching(bytes, self.prices.patterns.value))
    }

    /// A name is read by every subschema for names, and by every pattern.
    fn enter_member(&self, name: &str) -> bool {
        let text = (name.len() / BYTES_PER_STEP) as u64;
        let text = text.saturating_mul(self.prices.subschemas);
        self.spend(self.prices.enter + text + matching(name.len(), self.prices.patterns.names))
    }
}

/// What matching costs at worst: each byte of the text with each of the expression.
fn matching(text: usize, pattern: u64) -> u64 {
    (text as u64).saturating_mul(pattern) / MATCHED_PER_STEP
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
        // The name was paid for when it was visited.
        let free = Prices { enter: 0, subschemas: 0, patterns: Sizes::default(), error: 0 };
        Self { document: Document::default(), steps: Steps::new(u64::MAX, 0, free) }
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
        // Where nothing is left, a long text is not matched once more either.
        if !self.steps.read_text(text.map_or(0, str::len)) {
            return text.map(|_| Cow::Borrowed(""));
        }
        text.map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<Lexeme<'a>> {
        let number = (self.kind() == Kind::Number).then(|| self.node.lexeme());
        if !self.steps.read(number.map_or(0, str::len)) {
            return number.map(|_| Lexeme("0"));
        }
        number.map(Lexeme)
    }

    fn as_boolean(&self) -> Option<bool> {
        self.steps.spend(1);
        self.node.as_bool()
    }

    fn is_null(&self) -> bool {
        self.steps.spend(1);
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

    fn string_length(&self) -> Option<u64> {
        let text = self.node.as_str()?;
        self.steps.read(text.len());
        Some(text.chars().count() as u64)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        self.steps.spend(1);
        match (expected, self.kind()) {
            (Value::Null, kind) => kind == Kind::Null,
            (Value::Bool(expected), _) => self.node.as_bool() == Some(*expected),
            (Value::String(expected), Kind::String) => {
                self.node.as_str().is_some_and(|text| text == expected)
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
        let bytes = self.node.span().len() / (BYTES_PER_STEP * PARTS_PER_STEP as usize);
        let parts = u64::from(self.node.descendants() / PARTS_PER_STEP);
        if self.steps.spend(1 + parts + bytes as u64) {
            Cow::Owned(to_value(self.node))
        } else {
            Cow::Owned(Value::Null)
        }
    }

    /// What a violation keeps of the value: nothing, since messages never quote it. Its path has a
    /// name or a number for each level.
    fn lazy_value(&self) -> LazyInstance<'a> {
        let path = usize::from(self.node.entry().depth) * self.steps.longest_name.max(8);
        self.steps.spend(self.steps.prices.error + (path / BYTES_PER_STEP) as u64);
        LazyInstance::Ready(Cow::Owned(Value::Null))
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
        let name = name.as_str().unwrap_or_default();
        self.steps.enter_member(name).then(|| (name, Visit::new(value, self.steps)))
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
