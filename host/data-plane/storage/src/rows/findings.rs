//! The findings column: a list of structs, built from the JSON array in the log.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Fields};
use serde::Deserialize;

/// The JSON form of `tidegate_types::Finding`, borrowed where the text has no escapes.
#[derive(Deserialize)]
struct Finding<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    severity: Cow<'a, str>,
    #[serde(borrow, default)]
    pointer: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Cow<'a, str>,
}

#[derive(Default)]
pub(super) struct FindingsColumn {
    /// How many findings each row has.
    lengths: Vec<usize>,
    rule: StringBuilder,
    code: StringBuilder,
    severity: StringBuilder,
    pointer: StringBuilder,
    detail: StringBuilder,
}

impl FindingsColumn {
    /// Adds a row; empty bytes have no findings. `false` where the bytes cannot be read: the row
    /// then has none.
    pub(super) fn push(&mut self, json: &[u8]) -> bool {
        if json.is_empty() {
            self.lengths.push(0);
            return true;
        }
        let parsed = serde_json::from_slice::<Vec<Finding<'_>>>(json);
        let readable = parsed.is_ok();
        let findings = parsed.unwrap_or_default();
        self.lengths.push(findings.len());
        for finding in findings {
            self.rule.append_value(finding.rule);
            self.code.append_value(finding.code);
            self.severity.append_value(finding.severity);
            self.pointer.append_option(finding.pointer);
            self.detail.append_value(finding.detail);
        }
        readable
    }

    pub(super) fn finish(mut self) -> Result<ListArray, ArrowError> {
        let field = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let fields: Fields = vec![
            field("rule", false),
            field("code", false),
            field("severity", false),
            field("pointer", true),
            field("detail", false),
        ]
        .into();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.rule.finish()),
            Arc::new(self.code.finish()),
            Arc::new(self.severity.finish()),
            Arc::new(self.pointer.finish()),
            Arc::new(self.detail.finish()),
        ];
        let structs = StructArray::try_new(fields.clone(), columns, None)?;
        let element = Arc::new(Field::new("element", DataType::Struct(fields), false));
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        ListArray::try_new(element, offsets, Arc::new(structs), None)
    }
}
