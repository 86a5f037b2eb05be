//! The typed fields of the delivered event, picked out of its text in one pass.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, StructArray};
use arrow_schema::{DataType, Field, Fields};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_event::number;

use crate::layout::{Kind, Layout};

/// One builder for each field of a layout.
pub(super) struct TypedColumns {
    layout: Arc<Layout>,
    columns: Vec<Column>,
}

enum Column {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
}

impl TypedColumns {
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        let columns = layout.fields().iter().map(|field| Column::new(field.kind)).collect();
        Self { layout, columns }
    }

    pub(super) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Adds a row: the fields of a JSON object. Anything else has none.
    pub(super) fn push(&mut self, event: Option<&str>) {
        if self.is_empty() {
            return;
        }
        let lexemes = event.and_then(|event| {
            let mut json = serde_json::Deserializer::from_str(event);
            json.deserialize_map(Members(&self.layout)).ok()
        });
        match lexemes {
            Some(lexemes) => {
                for (column, lexeme) in self.columns.iter_mut().zip(lexemes) {
                    column.push(lexeme);
                }
            }
            None => self.columns.iter_mut().for_each(|column| column.push(None)),
        }
    }

    /// The struct column; `None` where the layout has no fields.
    pub(super) fn finish(self) -> Result<Option<StructArray>, arrow_schema::ArrowError> {
        if self.is_empty() {
            return Ok(None);
        }
        let fields = self.layout.fields().iter();
        let fields: Fields =
            fields.map(|field| Field::new(&field.column, data_type(field.kind), true)).collect();
        let arrays = self.columns.into_iter().map(Column::finish).collect();
        StructArray::try_new(fields, arrays, None).map(Some)
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Number => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
    }
}

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Integer => Self::Integer(Int64Builder::with_capacity(0)),
            Kind::Number => Self::Number(Float64Builder::with_capacity(0)),
            Kind::Boolean => Self::Boolean(BooleanBuilder::with_capacity(0)),
        }
    }

    fn push(&mut self, lexeme: Option<&str>) {
        match self {
            Self::Text(column) => column.append_option(lexeme.and_then(text)),
            Self::Integer(column) => {
                column.append_option(lexeme.filter(is_number).and_then(number::to_i64))
            }
            Self::Number(column) => {
                column.append_option(lexeme.filter(is_number).and_then(number::to_f64))
            }
            Self::Boolean(column) => {
                column.append_option(lexeme.and_then(|text| text.parse().ok()))
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Integer(mut column) => Arc::new(column.finish()),
            Self::Number(mut column) => Arc::new(column.finish()),
            Self::Boolean(mut column) => Arc::new(column.finish()),
        }
    }
}

fn is_number(lexeme: &&str) -> bool {
    lexeme.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn text(lexeme: &str) -> Option<Cow<'_, str>> {
    let inner = lexeme.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(lexeme).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Visits an object; answers each field's value as written.
struct Members<'l>(&'l Layout);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut lexemes = vec![None; self.0.fields().len()];
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            match place.and_then(|place| lexemes.get_mut(place)) {
                Some(slot) => *slot = Some(map.next_value::<&'de RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(lexemes)
    }
}

/// Reads a member's name as its place in the layout.
struct Place<'l>(&'l Layout);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.place(name))
    }
}
