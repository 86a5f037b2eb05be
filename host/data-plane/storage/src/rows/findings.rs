//! The findings column: a list of structs, built from the JSON array in the log, and back.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

/// The JSON form of `tidegate_types::Finding`, borrowed where the text has no escapes.
#[derive(Deserialize, Serialize)]
struct Finding<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    severity: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pointer: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    detail: Cow<'a, str>,
}

/// The findings of one row as the gateway writes them to the log: a JSON array, empty bytes for
/// none. `None` where the column is another one.
pub(crate) fn to_json(row: &StructArray) -> Option<Vec<u8>> {
    if row.is_empty() {
        return Some(Vec::new());
    }
    let text = |name| row.column_by_name(name)?.as_string_opt::<i32>();
    let (rule, code, severity) = (text("rule")?, text("code")?, text("severity")?);
    let (pointer, detail) = (text("pointer")?, text("detail")?);
    let findings: Vec<_> = (0..row.len())
        .map(|at| Finding {
            rule: rule.value(at).into(),
            code: code.value(at).into(),
            severity: severity.value(at).into(),
            pointer: pointer.is_valid(at).then(|| pointer.value(at).into()),
            detail: detail.value(at).into(),
        })
        .collect();
    serde_json::to_vec(&findings).ok()
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
