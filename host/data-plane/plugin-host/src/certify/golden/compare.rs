//! What a rule said, held against what a case expects.

use serde_json::{Value, json};
use tidegate_event::patch::Op;
use tidegate_golden::{Expected, ExpectedProblem, Finding, Patch};
use tidegate_types::Severity;
use tidegate_types::problem::ProblemPart;

use super::{Place, Problem, problem};
use crate::evaluate::outcome::Checked;
use crate::guest::manifest::Manifest;

/// Findings and patches of one event that are shown of a difference.
const SHOWN: usize = 8;
/// Characters of a detail that are shown.
const SHOWN_DETAIL: usize = 200;

/// An outcome in the form of an expectation.
pub(super) fn said(said: &Checked, manifest: &Manifest) -> Expected {
    let findings = said.findings.iter().map(|finding| Finding {
        row: finding.row as usize,
        code: finding.code.to_string(),
        severity: word(finding.severity).to_owned(),
        pointer: finding.field.as_ref().map(ToString::to_string),
        detail: Some(finding.detail.to_string()),
    });
    let patches = said.patches.iter().map(|patch| {
        let write = manifest.writes.get(patch.field as usize);
        let (op, value) = match patch.op {
            // The host has checked that it is JSON.
            Op::Set => ("set", Some(serde_json::from_slice(&patch.value).unwrap_or_default())),
            Op::Remove => ("remove", None),
        };
        Patch {
            row: patch.row as usize,
            op: op.to_owned(),
            pointer: write.map(|(text, _)| text.to_string()).unwrap_or_default(),
            value,
        }
    });
    Expected { findings: findings.collect(), patches: patches.collect() }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Soft => "soft",
        Severity::Hard => "hard",
    }
}

/// What is said of one row.
fn of_row(all: &Expected, row: usize) -> Expected {
    Expected {
        findings: all.findings.iter().filter(|finding| finding.row == row).cloned().collect(),
        patches: all.patches.iter().filter(|patch| patch.row == row).cloned().collect(),
    }
}

/// Rows that are judged otherwise in their batch than alone, with both.
pub(super) fn apart(whole: &Expected, alone: &Expected, rows: usize) -> Vec<(usize, Value, Value)> {
    let pairs = (0..rows).map(|row| (row, of_row(whole, row), of_row(alone, row)));
    pairs.filter(|(_, a, b)| a != b).map(|(row, a, b)| (row, show(&a), show(&b))).collect()
}

/// Rows of which something else was said than expected, with both.
pub(super) fn differences(
    expected: &Expected,
    got: &Expected,
    rows: usize,
) -> Vec<(usize, Value, Value)> {
    let named = expected.findings.iter().map(|finding| finding.row);
    let named = named.chain(expected.patches.iter().map(|patch| patch.row));
    let rows = named.max().map_or(rows, |last| rows.max(last.saturating_add(1)));
    let mut out = Vec::new();
    // A case may name any row; those beyond its events are few.
    for row in (0..rows).filter(|row| *row < super::MOST_ROWS) {
        let expected = of_row(expected, row);
        let mut got = of_row(got, row);
        for (at, finding) in got.findings.iter_mut().enumerate() {
            if expected.findings.get(at).is_some_and(|asked| asked.detail.is_none()) {
                finding.detail = None;
            }
        }
        if expected != got {
            out.push((row, show(&expected), show(&got)));
        }
    }
    out
}

/// What is said of one row, with few and short texts: a report is read by people.
fn show(said: &Expected) -> Value {
    let mut said = said.clone();
    let more = said.findings.len().saturating_sub(SHOWN) + said.patches.len().saturating_sub(SHOWN);
    said.findings.truncate(SHOWN);
    said.patches.truncate(SHOWN);
    for detail in said.findings.iter_mut().filter_map(|finding| finding.detail.as_mut()) {
        detail.truncate(detail.floor_char_boundary(SHOWN_DETAIL));
    }
    let mut value = json!(said);
    if let (Some(members), 1..) = (value.as_object_mut(), more) {
        members.insert("left_off".into(), more.into());
    }
    value
}

/// The problems of a configuration that a case expects.
pub(super) fn problems(
    expected: &[ExpectedProblem],
    got: &[ProblemPart],
    place: Place,
) -> Option<Problem> {
    let same = expected.len() == got.len()
        && expected.iter().zip(got).all(|(expected, got)| {
            got.pointer == expected.pointer && got.detail.contains(&expected.message)
        });
    let shown = got
        .iter()
        .take(4 * SHOWN)
        .map(|part| json!({ "pointer": part.pointer, "message": part.detail }));
    (!same).then(|| Problem {
        expected: Some(json!(expected)),
        got: Some(shown.collect()),
        ..problem("the rule finds other problems in the configuration than the case expects", place)
    })
}
