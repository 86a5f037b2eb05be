//! What a guest returned, checked. The host trusts nothing: lengths, ends, rows, indexes, UTF-8,
//! JSON and sizes are looked at before anything is used, and a violation is a fault of the plugin.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_event::patch::Op;
use tidegate_event::{Document, Kind};
use tidegate_types::Severity;

use crate::guest::bindings::contract::{Findings, Outcome, Patches};
use crate::guest::manifest::{Manifest, Role};
use crate::limits::Limits;

/// The field of a finding that is about no field.
const NO_FIELD: u32 = u32::MAX;

/// A finding of one row; indexes are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowFinding {
    /// Index into the rows of the call.
    pub(crate) row: u32,
    pub(crate) code: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) field: Option<Arc<str>>,
    pub(crate) detail: Arc<str>,
}

/// A patch of one row; indexes are good, the value is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowPatch {
    pub(crate) row: u32,
    pub(crate) op: Op,
    /// Index into the manifest's writes.
    pub(crate) field: u32,
    pub(crate) value: Bytes,
}

/// Everything that one call said.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) findings: Vec<RowFinding>,
    pub(crate) patches: Vec<RowPatch>,
}

/// Checks an outcome over `rows` rows; the error says what is wrong with it.
pub(crate) fn check(
    outcome: Outcome,
    rows: usize,
    manifest: &Manifest,
    limits: &Limits,
) -> Result<Checked, String> {
    let Outcome { findings, patches } = outcome;
    if findings.details.len().saturating_add(patches.values.len()) > limits.max_output_bytes {
        return Err(format!("it returned more than {} bytes", limits.max_output_bytes));
    }
    Ok(Checked {
        findings: check_findings(&findings, rows, manifest, limits)?,
        patches: check_patches(patches, rows, manifest, limits)?,
    })
}

fn check_findings(
    given: &Findings,
    rows: usize,
    manifest: &Manifest,
    limits: &Limits,
) -> Result<Vec<RowFinding>, String> {
    let count = given.row.len();
    same_length(
        count,
        &[given.code.len(), given.severity.len(), given.field.len(), given.detail_end.len()],
        "findings",
    )?;
    if count == 0 && given.details.is_empty() {
        return Ok(Vec::new());
    }
    let mut per_row = vec![0usize; rows];
    let mut ends = Ends::new(&given.details);
    let mut size = Size::new(limits);
    let mut out = Vec::with_capacity(count);
    let parts = given
        .row
        .iter()
        .zip(&given.code)
        .zip(&given.severity)
        .zip(&given.field)
        .zip(&given.detail_end);
    for ((((row, code), severity), field), end) in parts {
        let seen = per_row
            .get_mut(*row as usize)
            .ok_or_else(|| format!("a finding is about row {row} of {rows}"))?;
        *seen += 1;
        if *seen > limits.max_findings_per_row {
            return Err(format!(
                "row {row} has more than {} findings",
                limits.max_findings_per_row
            ));
        }
        let code = manifest
            .codes
            .get(*code as usize)
            .ok_or_else(|| format!("code {code} is not in the manifest"))?;
        let severity = Severity::from_contract(*severity)
            .ok_or_else(|| format!("there is no severity {severity}"))?;
        let field = match *field {
            NO_FIELD => None,
            index => {
                let field = manifest.reads.get(index as usize);
                Some(
                    field
                        .ok_or_else(|| format!("field {index} is not in the manifest's reads"))?
                        .text
                        .clone(),
                )
            }
        };
        let detail = ends.next(*end, "details")?;
        if detail.len() > limits.max_detail_bytes {
            return Err(format!(
                "a detail has {} bytes; at most {} are taken",
                detail.len(),
                limits.max_detail_bytes
            ));
        }
        size.add(code.len() + field.as_ref().map_or(0, |text| text.len()) + detail.len())?;
        let detail = std::str::from_utf8(detail).map_err(|_| "a detail is not UTF-8".to_owned())?;
        out.push(RowFinding {
            row: *row,
            code: code.clone(),
            severity,
            field,
            detail: detail.into(),
        });
    }
    ends.finish("details")?;
    Ok(out)
}

fn check_patches(
    given: Patches,
    rows: usize,
    manifest: &Manifest,
    limits: &Limits,
) -> Result<Vec<RowPatch>, String> {
    let count = given.row.len();
    same_length(count, &[given.op.len(), given.field.len(), given.value_end.len()], "patches")?;
    if count == 0 && given.values.is_empty() {
        return Ok(Vec::new());
    }
    if manifest.role != Role::Enricher {
        return Err("only an enricher may patch".into());
    }
    let values = Bytes::from(given.values);
    let mut ends = Ends::new(&values);
    let mut size = Size::new(limits);
    let mut out = Vec::with_capacity(count);
    let parts = given.row.iter().zip(&given.op).zip(&given.field).zip(&given.value_end);
    for (((row, op), field), end) in parts {
        if *row as usize >= rows {
            return Err(format!("a patch is about row {row} of {rows}"));
        }
        let (pointer, _) = manifest
            .writes
            .get(*field as usize)
            .ok_or_else(|| format!("field {field} is not in the manifest's writes"))?;
        let value = ends.next(*end, "values")?;
        size.add(pointer.len() + value.len())?;
        let op = match op {
            0 if is_json(value) => Op::Set,
            0 => return Err(format!("the value for `{pointer}` is not JSON")),
            1 if value.is_empty() => Op::Remove,
            1 => return Err("a removal has a value".into()),
            other => return Err(format!("there is no operation {other}")),
        };
        out.push(RowPatch { row: *row, op, field: *field, value: values.slice_ref(value) });
    }
    ends.finish("values")?;
    Ok(out)
}

fn same_length(count: usize, others: &[usize], what: &str) -> Result<(), String> {
    if others.iter().all(|other| *other == count) {
        Ok(())
    } else {
        Err(format!("the lists of its {what} differ in length"))
    }
}

/// What an outcome takes once it is written out, with codes and pointers in place of indexes.
struct Size {
    left: usize,
    limit: usize,
}

impl Size {
    /// Bytes of an entry beside its texts.
    const ENTRY: usize = 8;

    fn new(limits: &Limits) -> Self {
        Self { left: limits.max_output_bytes, limit: limits.max_output_bytes }
    }

    fn add(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.left.checked_sub(bytes + Self::ENTRY);
        self.left = left.ok_or_else(|| format!("it returned more than {} bytes", self.limit))?;
        Ok(())
    }
}

/// Cuts concatenated values by their ends.
struct Ends<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Ends<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0 }
    }

    fn next(&mut self, end: u32, what: &str) -> Result<&'a [u8], String> {
        let end = end as usize;
        let value = self
            .bytes
            .get(self.start..end)
            .ok_or_else(|| format!("an end in its {what} is out of order"))?;
        self.start = end;
        Ok(value)
    }

    fn finish(&self, what: &str) -> Result<(), String> {
        if self.start == self.bytes.len() {
            Ok(())
        } else {
            Err(format!("its {what} are longer than their ends say"))
        }
    }
}

/// Is it one JSON value? Plain strings, the usual case, need no parser.
fn is_json(value: &[u8]) -> bool {
    if let [b'"', text @ .., b'"'] = value
        && text.iter().all(|b| *b >= 0x20 && *b != b'"' && *b != b'\\')
    {
        return std::str::from_utf8(text).is_ok();
    }
    let parsed = Document::parse(value.to_vec());
    // A value that is white space around JSON would be spliced as it is: harmless.
    parsed.is_ok_and(|document| {
        matches!(
            document.root().kind(),
            Kind::Null
                | Kind::False
                | Kind::True
                | Kind::Number
                | Kind::String
                | Kind::Array
                | Kind::Object
        )
    })
}
