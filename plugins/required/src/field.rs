//! One required field: how it is configured and how a row is judged by it.

use tidegate_sdk::{
    Batch, Boolean, Cell, Code, Config, Field, Integer, Invalid, Json, Manifest, Number, Object,
    Outcome, Presence, Row, Severity, Source, Text,
};

use crate::format::Format;

/// What a field must be.
#[derive(Debug)]
pub(crate) struct Requirement {
    shape: Shape,
    nullable: bool,
    codes: Codes,
    /// What the field must be, in words, for findings: `text`, `an integer` …
    wanted: String,
}

/// The type that a field must have, with what else is asked of its value.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Any(Field<Presence>),
    Text {
        field: Field<Text>,
        non_empty: bool,
        format: Option<Format>,
    },
    Integer(Field<Integer>),
    Number(Field<Number>),
    Boolean(Field<Boolean>),
    /// A JSON text that begins with this byte; `None` for any.
    Json {
        field: Field<Json>,
        opening: Option<u8>,
        non_empty: bool,
    },
}

#[derive(Debug)]
struct Codes {
    missing: Code,
    null: Code,
    wrong_type: Code,
    empty: Code,
    bad_format: Code,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    Any,
}

const TYPES: [(&str, Type); 7] = [
    ("text", Type::Text),
    ("integer", Type::Integer),
    ("number", Type::Number),
    ("boolean", Type::Boolean),
    ("array", Type::Array),
    ("object", Type::Object),
    ("any", Type::Any),
];

const KEYS: [&str; 6] = ["pointer", "type", "non_empty", "format", "nullable", "severity"];

impl Requirement {
    /// Reads one entry of `fields` and declares what it needs.
    pub(crate) fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
        let entry = config.object(&KEYS)?;
        let pointer = entry.required("pointer").and_then(|it| it.pointer());
        let kind = match entry.optional("type") {
            Some(it) => it.one_of(&TYPES),
            None => Ok(Type::Any),
        };
        let nullable = flag(&entry, "nullable");
        let severity = entry.optional("severity").map_or(Ok(Severity::Hard), |it| it.severity());
        let (pointer, kind, nullable, severity) = (pointer?, kind?, nullable?, severity?);
        let shape = Shape::configure(&entry, pointer, kind, manifest)?;
        let codes = Codes::declare(manifest, severity);
        Ok(Self { shape, nullable, codes, wanted: kind.wanted(nullable) })
    }

    /// Does a look at whole columns show that no row has a finding?
    pub(crate) fn is_met_by_all(&self, batch: &Batch<'_>) -> bool {
        match self.shape {
            Shape::Any(field) => batch.all_present(field),
            Shape::Integer(field) => batch.all_present(field),
            Shape::Number(field) => batch.all_present(field),
            Shape::Boolean(field) => batch.all_present(field),
            Shape::Text { field, non_empty: true, format: None } => batch.all_filled(field),
            Shape::Text { field, non_empty: false, format: None } => batch.all_present(field),
            Shape::Text { .. } | Shape::Json { .. } => false,
        }
    }

    /// Adds the findings of one row.
    pub(crate) fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        match self.shape {
            Shape::Any(field) => {
                self.presence(row, field, out);
            }
            Shape::Integer(field) => {
                self.presence(row, field, out);
            }
            Shape::Number(field) => {
                self.presence(row, field, out);
            }
            Shape::Boolean(field) => {
                self.presence(row, field, out);
            }
            Shape::Text { field, non_empty, format } => {
                if self.presence(row, field, out) {
                    self.text(row, field, non_empty, format, out);
                }
            }
            Shape::Json { field, opening, non_empty } => {
                if self.presence(row, field, out) {
                    self.json(row, field, opening, non_empty, out);
                }
            }
        }
    }

    /// Is there a value to look at further? Reports its absence and a wrong type.
    fn presence<S: Source>(&self, row: &Row<'_>, field: S, out: &mut Outcome) -> bool {
        let wanted = &self.wanted;
        match row.state(field) {
            Cell::Present(()) => return true,
            Cell::Null if self.nullable => {}
            Cell::Missing => {
                let detail = format_args!("the field is missing: it must be there, as {wanted}");
                out.finding(self.codes.missing, field, detail);
            }
            Cell::Null => {
                let detail = format_args!("the field is null: it must be {wanted}");
                out.finding(self.codes.null, field, detail);
            }
            Cell::OtherType => self.wrong_type(field, out),
        }
        false
    }

    fn text(
        &self,
        row: &Row<'_>,
        field: Field<Text>,
        non_empty: bool,
        format: Option<Format>,
        out: &mut Outcome,
    ) {
        if non_empty && row.byte_length(field) == 0 {
            let detail = "the text is empty: it must have at least one character";
            out.finding(self.codes.empty, field, detail);
        } else if let Some(format) = format
            && !row.get(field).present().is_some_and(|text| format.admits(text))
        {
            let (name, example) = (format.in_words(), format.example());
            let detail = format_args!("the text is not {name}, such as `{example}`");
            out.finding(self.codes.bad_format, field, detail);
        }
    }

    fn json(
        &self,
        row: &Row<'_>,
        field: Field<Json>,
        opening: Option<u8>,
        non_empty: bool,
        out: &mut Outcome,
    ) {
        let Cell::Present(json) = row.get(field) else { return };
        let first = json.bytes().next();
        if opening.is_some() && first != opening {
            self.wrong_type(field, out);
        } else if non_empty && is_empty(json) {
            out.finding(self.codes.empty, field, "the value is empty: it must hold something");
        }
    }

    fn wrong_type(&self, field: impl Source, out: &mut Outcome) {
        let detail = format_args!("the field has another type: it must be {}", self.wanted);
        out.finding(self.codes.wrong_type, field, detail);
    }
}

impl Shape {
    fn configure(
        entry: &Object<'_>,
        pointer: &str,
        kind: Type,
        manifest: &mut Manifest,
    ) -> Result<Self, Invalid> {
        let non_empty = flag(entry, "non_empty")?;
        if let Some(place) = entry.optional("non_empty")
            && non_empty
            && matches!(kind, Type::Integer | Type::Number | Type::Boolean)
        {
            let message = format!("{} is never empty: leave `non_empty` out", kind.in_words());
            return Err(place.problem(message));
        }
        let format = match entry.optional("format") {
            None => None,
            Some(place) if kind == Type::Text => Some(place.one_of(&Format::NAMES)?),
            Some(place) => {
                return Err(place.problem("only text has a format: add `\"type\": \"text\"`"));
            }
        };
        let json = |manifest: &mut Manifest, opening| Self::Json {
            field: manifest.read(pointer),
            opening,
            non_empty,
        };
        Ok(match kind {
            Type::Text => Self::Text { field: manifest.read(pointer), non_empty, format },
            Type::Integer => Self::Integer(manifest.read(pointer)),
            Type::Number => Self::Number(manifest.read(pointer)),
            Type::Boolean => Self::Boolean(manifest.read(pointer)),
            Type::Array => json(manifest, Some(b'[')),
            Type::Object => json(manifest, Some(b'{')),
            Type::Any if non_empty => json(manifest, None),
            Type::Any => Self::Any(manifest.read(pointer)),
        })
    }
}

impl Codes {
    fn declare(manifest: &mut Manifest, severity: Severity) -> Self {
        Self {
            missing: manifest.code("missing", severity),
            null: manifest.code("null", severity),
            wrong_type: manifest.code("wrong-type", severity),
            empty: manifest.code("empty", severity),
            bad_format: manifest.code("bad-format", severity),
        }
    }
}

impl Type {
    fn in_words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Any => "any value",
        }
    }

    /// What to send, for findings.
    fn wanted(self, nullable: bool) -> String {
        match (self, nullable) {
            (Self::Any, false) => "any value but null".to_owned(),
            (Self::Any, true) => "any value".to_owned(),
            (_, true) => format!("{} or null", self.in_words()),
            (_, false) => self.in_words().to_owned(),
        }
    }
}

/// Is a JSON text `""`, `[]` or `{}`, blanks inside aside?
fn is_empty(json: &str) -> bool {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    match json.bytes().next() {
        Some(b'"') => inner.is_empty(),
        Some(b'[' | b'{') => inner.bytes().all(|b| b.is_ascii_whitespace()),
        _ => false,
    }
}

fn flag(entry: &Object<'_>, key: &str) -> Result<bool, Invalid> {
    entry.optional(key).map_or(Ok(false), |it| it.boolean())
}
