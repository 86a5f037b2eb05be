//! What a rule says of its rows: findings and patches, collected as the lists that cross the
//! boundary. Nothing is allocated while nothing is found.

use std::fmt::{Display, Write as _};

use crate::batch::{Cell, Kind, Row};
use crate::rule::manifest::{Code, Source, Target};

mod json;

pub use json::{RawJson, ToJson};

/// How much a finding weighs; the heaviest of a row decides its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth looking at.
    Warn,
    /// The event is quarantined.
    Soft,
    /// The event is rejected.
    Hard,
}

impl Severity {
    /// Its number in the contract.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Info => 0,
            Self::Warn => 1,
            Self::Soft => 2,
            Self::Hard => 3,
        }
    }
}

/// A finding's detail is cut to this many bytes.
pub const DETAIL_BYTES: usize = 1024;

/// The field number of a finding that is about no field.
const NO_FIELD: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) row: Vec<u32>,
    pub(crate) code: Vec<u32>,
    pub(crate) severity: Vec<u8>,
    pub(crate) field: Vec<u32>,
    pub(crate) detail_end: Vec<u32>,
    pub(crate) details: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Patches {
    pub(crate) row: Vec<u32>,
    pub(crate) op: Vec<u8>,
    pub(crate) field: Vec<u32>,
    pub(crate) value_end: Vec<u32>,
    pub(crate) values: Vec<u8>,
}

/// Collects the findings and patches of a batch. They are about the row that is being judged.
#[derive(Debug, Default)]
pub struct Outcome {
    row: u32,
    pub(crate) findings: Findings,
    pub(crate) patches: Patches,
}

impl Outcome {
    /// Makes a row the one that findings and patches are about from here on. Only a rule that
    /// overrides [`Rule::evaluate_batch`](crate::Rule::evaluate_batch) needs it.
    pub fn start_row(&mut self, row: &Row<'_>) {
        self.row = u32::try_from(row.index()).unwrap_or(u32::MAX);
    }

    /// Reports a finding about a field. `detail` is for people, cut to [`DETAIL_BYTES`]: say what
    /// is wrong and what to do; quote a value only where that helps, for details are stored.
    pub fn finding(&mut self, code: Code, about: impl Source, detail: impl Display) {
        self.push_finding(code, about.field(), &detail);
    }

    /// Reports a finding about the event as a whole.
    pub fn finding_on_event(&mut self, code: Code, detail: impl Display) {
        self.push_finding(code, NO_FIELD, &detail);
    }

    /// The value of a field that must be there with the type it is read as; reports a finding
    /// where it is not.
    pub fn require<'a, S: Source>(
        &mut self,
        row: &Row<'a>,
        field: S,
        code: Code,
    ) -> Option<<S::Kind as Kind>::Value<'a>> {
        let detail = match row.get(field) {
            Cell::Present(value) => return Some(value),
            Cell::Missing => "is missing",
            Cell::Null => "is null",
            Cell::OtherType => "has another type",
        };
        self.finding(code, field, detail);
        None
    }

    /// Sets a field to a value. Missing parent objects are created.
    pub fn set(&mut self, target: Target, value: &(impl ToJson + ?Sized)) {
        value.write_json(&mut self.patches.values);
        self.push_patch(target, 0);
    }

    /// Removes a field.
    pub fn remove(&mut self, target: Target) {
        self.push_patch(target, 1);
    }

    fn push_patch(&mut self, target: Target, op: u8) {
        let patches = &mut self.patches;
        patches.row.push(self.row);
        patches.op.push(op);
        patches.field.push(target.0);
        patches.value_end.push(u32::try_from(patches.values.len()).unwrap_or(u32::MAX));
    }

    #[cold]
    fn push_finding(&mut self, code: Code, field: u32, detail: &dyn Display) {
        let findings = &mut self.findings;
        findings.row.push(self.row);
        findings.code.push(code.index);
        findings.severity.push(code.severity.number());
        findings.field.push(field);
        let mut writer = Detail { left: DETAIL_BYTES, bytes: &mut findings.details };
        // Its one error is that the detail is full: then it has been cut, as is meant.
        write!(writer, "{detail}").ok();
        findings.detail_end.push(u32::try_from(findings.details.len()).unwrap_or(u32::MAX));
    }
}

/// Appends text up to a limit, never half a character.
struct Detail<'a> {
    left: usize,
    bytes: &'a mut Vec<u8>,
}

impl std::fmt::Write for Detail<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let cut = text.floor_char_boundary(self.left.min(text.len()));
        self.bytes.extend_from_slice(text.get(..cut).unwrap_or_default().as_bytes());
        self.left -= cut;
        if cut == text.len() { Ok(()) } else { Err(std::fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_cut_between_characters() {
        for (length, kept) in [(0, 0), (DETAIL_BYTES - 1, 1023), (DETAIL_BYTES, 1024), (2000, 1024)]
        {
            assert_eq!(detail("a".repeat(length)).len(), kept);
        }
        // "é" has two bytes, so that the limit falls inside the last one.
        assert_eq!(detail(format!("a{}", "é".repeat(600))).len(), DETAIL_BYTES - 1);
        // Written in parts: nothing follows once one part was cut.
        let start = "a".repeat(DETAIL_BYTES - 1);
        assert_eq!(detail(format_args!("{start}{}{}", "é", "b")).len(), DETAIL_BYTES - 1);
    }

    fn detail(text: impl Display) -> String {
        let mut out = Outcome::default();
        out.finding_on_event(Code { index: 0, severity: Severity::Info }, text);
        assert_eq!(out.findings.detail_end, [u32::try_from(out.findings.details.len()).unwrap()]);
        String::from_utf8(out.findings.details).unwrap()
    }
}
