//! An honest outcome, and the ways to spoil it.

use crate::bindings::exports::tidegate::rules::rules::{Findings, Outcome, Patches};
use crate::bindings::tidegate::rules::types::Column;
use crate::{ID, JSON};

/// No field.
const NONE: u32 = u32::MAX;

fn end(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn nothing() -> Outcome {
    let findings = Findings {
        row: Vec::new(),
        code: Vec::new(),
        severity: Vec::new(),
        field: Vec::new(),
        detail_end: Vec::new(),
        details: Vec::new(),
    };
    let (row, op, field) = (Vec::new(), Vec::new(), Vec::new());
    Outcome {
        findings,
        patches: Patches { row, op, field, value_end: Vec::new(), values: Vec::new() },
    }
}

/// For each row a finding with the row's id and, from an enricher, a patch with it.
pub(crate) fn honest(ids: &Column, enricher: bool) -> Outcome {
    let mut out = nothing();
    let mut start = 0;
    for (row, stop) in (0u32..).zip(&ids.offsets) {
        let id = ids.data.get(start..*stop as usize).unwrap_or_default();
        start = *stop as usize;
        add_finding(&mut out.findings, row, 0, ID, id);
        if enricher {
            add_patch(&mut out.patches, row, if id.is_empty() { b"null" } else { id });
        }
    }
    out
}

pub(crate) fn add_finding(findings: &mut Findings, row: u32, code: u32, field: u32, detail: &[u8]) {
    findings.row.push(row);
    findings.code.push(code);
    findings.severity.push(0);
    findings.field.push(field);
    findings.details.extend_from_slice(detail);
    findings.detail_end.push(end(&findings.details));
}

fn add_patch(patches: &mut Patches, row: u32, value: &[u8]) {
    patches.row.push(row);
    patches.op.push(0);
    patches.field.push(0);
    patches.values.extend_from_slice(value);
    patches.value_end.push(end(&patches.values));
}

/// Spoils an outcome; modes that are no way to spoil it leave it as it is.
pub(crate) fn spoil(mode: &str, outcome: &mut Outcome, amount: u64) {
    spoil_findings(mode, &mut outcome.findings, amount);
    spoil_patches(mode, &mut outcome.patches, amount);
}

fn set<T>(list: &mut [T], value: T) {
    if let Some(last) = list.last_mut() {
        *last = value;
    }
}

fn spoil_findings(mode: &str, findings: &mut Findings, amount: u64) {
    match mode {
        "row-short" => drop(findings.row.pop()),
        "row-long" => findings.row.push(0),
        "code-short" => drop(findings.code.pop()),
        "severity-short" => drop(findings.severity.pop()),
        "field-short" => drop(findings.field.pop()),
        "detail-end-short" => drop(findings.detail_end.pop()),
        "row-range" => set(&mut findings.row, u32::MAX),
        "code-range" => set(&mut findings.code, 2),
        "severity-range" => set(&mut findings.severity, 4),
        "field-range" => set(&mut findings.field, JSON + 1),
        "ends-backwards" => {
            let last = end(&findings.details);
            findings.detail_end.insert(0, last);
            findings.detail_end.truncate(findings.row.len());
            add_finding(findings, 0, 0, NONE, b"");
            set(&mut findings.detail_end, 0);
        }
        "ends-beyond" => set(&mut findings.detail_end, u32::MAX),
        "details-left" => findings.details.push(b'x'),
        "detail-not-utf8" => add_finding(findings, 0, 0, NONE, b"\xff\xfe"),
        "detail-split-char" => {
            add_finding(findings, 0, 0, NONE, b"\xc3");
            add_finding(findings, 0, 0, NONE, b"\xa4");
        }
        "detail-long" => add_finding(findings, 0, 0, NONE, &[b'x'; 1025]),
        "findings-many" => {
            for _ in 0..amount {
                add_finding(findings, 0, 0, NONE, b"");
            }
        }
        "output" => {
            findings.details.resize(usize::try_from(amount).unwrap_or(usize::MAX), b'x');
        }
        _ => {}
    }
}

fn spoil_patches(mode: &str, patches: &mut Patches, amount: u64) {
    match mode {
        "patch-row-short" => drop(patches.row.pop()),
        "patch-op-short" => drop(patches.op.pop()),
        "patch-field-short" => drop(patches.field.pop()),
        "patch-end-short" => drop(patches.value_end.pop()),
        "patch-row-range" => set(&mut patches.row, u32::MAX),
        "patch-op-range" => set(&mut patches.op, 2),
        "patch-field-range" => set(&mut patches.field, 1),
        "patch-ends-beyond" => set(&mut patches.value_end, u32::MAX),
        "patch-values-left" => patches.values.push(b'1'),
        "patch-removal-with-value" => set(&mut patches.op, 1),
        "patch-no-json" => add_patch(patches, 0, b"{\"a\":}"),
        "patch-two-values" => add_patch(patches, 0, b"1 2"),
        "patch-nothing" => add_patch(patches, 0, b""),
        "patch-breaks-out" => add_patch(patches, 0, b"1,\"admin\":true"),
        "patch-not-utf8" => add_patch(patches, 0, b"\"\xff\""),
        "patch-deep" => add_patch(patches, 0, "[".repeat(100_000).as_bytes()),
        "patch-duplicate-names" => add_patch(patches, 0, b"{\"a\":1,\"a\":2}"),
        "patch-uninvited" => add_patch(patches, 0, b"1"),
        "patch-flood" => {
            for _ in 0..amount {
                patches.row.push(0);
                patches.op.push(1);
                patches.field.push(0);
                patches.value_end.push(end(&patches.values));
            }
        }
        _ => {}
    }
}
