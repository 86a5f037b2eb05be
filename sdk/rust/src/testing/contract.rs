//! What the contract demands of manifests and outcomes, checked as the host does.

use crate::boundary::{CellType, Declared};
use crate::outcome::{DETAIL_BYTES, Outcome};
use crate::rule::config;
use crate::rule::{Role, Rule};
use crate::testing::case::{Expected, Finding, Patch};

pub(super) fn check_manifest<R: Rule>(declared: &Declared) -> Result<(), String> {
    for (pointer, cell) in &declared.reads {
        check_read(pointer, *cell)?;
    }
    for pointer in &declared.writes {
        if R::ROLE != Role::Enricher {
            return Err(format!("the rule writes `{pointer}` and is no enricher"));
        }
        if !config::is_pointer(pointer) {
            return Err(format!("the rule writes `{pointer}`, which is no place in an event"));
        }
    }
    for code in declared.codes.iter().chain(&declared.metrics) {
        if !config::is_code(code) {
            return Err(format!("`{code}` must be lower-case words, at most 64 bytes"));
        }
    }
    Ok(())
}

/// A field is a JSON pointer, or a host column read with its own type.
fn check_read(pointer: &str, cell: CellType) -> Result<(), String> {
    let cells: &[CellType] = match pointer {
        "@tenant" | "@event_id" | "@event_type" | "@key" | "@node" => &[CellType::Text],
        "@received_at" => &[CellType::Text, CellType::Integer],
        "@occurrence" => &[CellType::Integer],
        _ => match pointer.strip_prefix("@occurrence") {
            Some(counted) if config::is_pointer(counted) => &[CellType::Integer],
            None if pointer.is_empty() || config::is_pointer(pointer) => return Ok(()),
            _ => return Err(format!("the rule reads `{pointer}`, which is no field")),
        },
    };
    if cells.contains(&cell) {
        Ok(())
    } else {
        Err(format!("the rule reads `{pointer}` as {cell:?}, and it is {cells:?}"))
    }
}

/// An outcome in the form of a case's expectation.
pub(super) fn read_outcome(
    declared: &Declared,
    rows: usize,
    outcome: &Outcome,
) -> Result<Expected, String> {
    let mut read = Expected::default();
    let findings = &outcome.findings;
    let mut start = 0;
    for (index, row) in findings.row.iter().enumerate() {
        let end = *at(&findings.detail_end, index)?;
        let detail = text(&findings.details, start, end)?;
        if detail.len() > DETAIL_BYTES {
            return Err(format!("a detail has {} bytes", detail.len()));
        }
        start = end;
        let field = *at(&findings.field, index)?;
        let pointer = match field {
            u32::MAX => None,
            field => Some(at(&declared.reads, field as usize)?.0.clone()),
        };
        read.findings.push(Finding {
            row: row_within(*row, rows)?,
            code: at(&declared.codes, *at(&findings.code, index)? as usize)?.clone(),
            severity: (*at(
                &["info", "warn", "soft", "hard"],
                usize::from(*at(&findings.severity, index)?),
            )?)
            .to_owned(),
            pointer,
            detail: Some(detail.to_owned()),
        });
    }
    let patches = &outcome.patches;
    let mut start = 0;
    for (index, row) in patches.row.iter().enumerate() {
        let end = *at(&patches.value_end, index)?;
        let value = text(&patches.values, start, end)?;
        start = end;
        let op = *at(&["set", "remove"], usize::from(*at(&patches.op, index)?))?;
        let value = match op {
            "set" => Some(
                serde_json::from_str(value)
                    .map_err(|error| format!("the patch `{value}` is no JSON: {error}"))?,
            ),
            _ => None,
        };
        read.patches.push(Patch {
            row: row_within(*row, rows)?,
            op: op.to_owned(),
            pointer: at(&declared.writes, *at(&patches.field, index)? as usize)?.clone(),
            value,
        });
    }
    Ok(read)
}

fn row_within(row: u32, rows: usize) -> Result<usize, String> {
    let row = row as usize;
    if row < rows { Ok(row) } else { Err(format!("row {row} is none of the batch's {rows}")) }
}

fn at<T>(list: &[T], index: usize) -> Result<&T, String> {
    list.get(index).ok_or_else(|| format!("index {index} is past the end of {}", list.len()))
}

fn text(bytes: &[u8], start: u32, end: u32) -> Result<&str, String> {
    let bytes = bytes.get(start as usize..end as usize).ok_or("ends are out of order")?;
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}
