//! One expectation and how a row is judged by it.

use tidegate_sdk::{
    Batch, Boolean, Cell, Check, Code, Field, Integer, Number, Outcome, Presence, Row, Source, Text,
};

/// What is expected of a field.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) code: Code,
    /// Is a null or missing field a violation?
    pub(crate) nulls_fail: bool,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    NotNull {
        field: Field<Presence>,
    },
    Range {
        field: Field<Number>,
        low: f64,
        high: f64,
    },
    OneOfTexts {
        field: Field<Text>,
        texts: Vec<String>,
    },
    OneOfNumbers {
        field: Field<Number>,
        numbers: Vec<f64>,
    },
    OneOfBooleans {
        field: Field<Boolean>,
        booleans: Vec<bool>,
    },
    Pattern {
        field: Field<Presence>,
        check: Check,
        pattern: String,
    },
    /// In characters (Unicode scalar values); both bounds included.
    Length {
        field: Field<Text>,
        low: u64,
        high: u64,
    },
    InTable {
        field: Field<Presence>,
        check: Check,
        table: String,
    },
    Unique {
        field: Field<Presence>,
        occurrence: Field<Integer>,
    },
}

impl Expectation {
    /// Does a look at whole columns show that no row has a finding?
    pub(crate) fn is_met_by_all(&self, batch: &Batch<'_>) -> bool {
        match &self.kind {
            Kind::NotNull { field } => batch.all_present(*field),
            Kind::Pattern { check, .. } | Kind::InTable { check, .. } => batch.all_pass(*check),
            Kind::Range { .. }
            | Kind::OneOfTexts { .. }
            | Kind::OneOfNumbers { .. }
            | Kind::OneOfBooleans { .. }
            | Kind::Length { .. }
            | Kind::Unique { .. } => false,
        }
    }

    /// Adds the finding of one row where the expectation is not met.
    pub(crate) fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        match &self.kind {
            Kind::NotNull { field } => {
                self.value(row, *field, "anything", out);
            }
            Kind::Range { field, low, high } => {
                if let Some(value) = self.value(row, *field, "a number", out)
                    && !(*low..=*high).contains(&value)
                {
                    let detail = format_args!("{value} is not {}", Between(*low, *high));
                    out.finding(self.code, *field, detail);
                }
            }
            Kind::OneOfTexts { field, texts } => {
                if let Some(value) = self.value(row, *field, "text", out)
                    && !texts.iter().any(|text| text == value)
                {
                    out.finding(self.code, *field, "the text is none of the expected ones");
                }
            }
            Kind::OneOfNumbers { field, numbers } => {
                if let Some(value) = self.value(row, *field, "a number", out)
                    && !numbers.contains(&value)
                {
                    let detail = format_args!("{value} is none of the expected numbers");
                    out.finding(self.code, *field, detail);
                }
            }
            Kind::OneOfBooleans { field, booleans } => {
                if let Some(value) = self.value(row, *field, "true or false", out)
                    && !booleans.contains(&value)
                {
                    out.finding(self.code, *field, format_args!("{value} is not expected"));
                }
            }
            Kind::Pattern { field, check, pattern } => {
                let detail = format_args!("the text does not match `{pattern}`");
                self.check(row, *field, *check, detail, out);
            }
            Kind::Length { field, low, high } => self.length(row, *field, (*low, *high), out),
            Kind::InTable { field, check, table } => {
                let detail = format_args!("the text is no key of table `{table}`");
                self.check(row, *field, *check, detail, out);
            }
            Kind::Unique { field, occurrence } => {
                if self.value(row, *field, "anything", out).is_some()
                    && let Some(count @ 2..) = row.get(*occurrence).present()
                {
                    let detail =
                        format_args!("the value comes for the {count}. time in this request");
                    out.finding(self.code, *field, detail);
                }
            }
        }
    }

    /// The value to look at further. Reports a wrong type, and a null or missing field where that
    /// is a violation.
    fn value<'a, S: Source>(
        &self,
        row: &Row<'a>,
        field: S,
        wanted: &str,
        out: &mut Outcome,
    ) -> Option<<S::Kind as tidegate_sdk::Kind>::Value<'a>> {
        match row.get(field) {
            Cell::Present(value) => return Some(value),
            Cell::Missing | Cell::Null if !self.nulls_fail => {}
            Cell::Missing => out.finding(self.code, field, "the field is missing"),
            Cell::Null => out.finding(self.code, field, "the field is null"),
            Cell::OtherType => {
                let detail = format_args!("the field has another type: {wanted} is expected");
                out.finding(self.code, field, detail);
            }
        }
        None
    }

    /// Judges by a check that the host runs over text, which need not cross for it.
    fn check(
        &self,
        row: &Row<'_>,
        field: Field<Presence>,
        check: Check,
        detail: std::fmt::Arguments<'_>,
        out: &mut Outcome,
    ) {
        match row.check(check) {
            Some(true) => {}
            Some(false) => out.finding(self.code, field, detail),
            // The host checks text alone, so a value that it did not check is of another type.
            None => {
                if self.value(row, field, "text", out).is_some() {
                    let detail = "the field has another type: text is expected";
                    out.finding(self.code, field, detail);
                }
            }
        }
    }

    fn length(&self, row: &Row<'_>, field: Field<Text>, bounds: (u64, u64), out: &mut Outcome) {
        let Some(text) = self.value(row, field, "text", out) else { return };
        let length = text.chars().count() as u64;
        let (low, high) = bounds;
        if length < low {
            let detail = format_args!("the text has {length} characters, fewer than {low}");
            out.finding(self.code, field, detail);
        } else if length > high {
            let detail = format_args!("the text has {length} characters, more than {high}");
            out.finding(self.code, field, detail);
        }
    }
}

/// A range in words; an infinite bound is none.
struct Between(f64, f64);

impl std::fmt::Display for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(low, high) = self;
        match (low.is_finite(), high.is_finite()) {
            (true, true) => write!(f, "between {low} and {high}"),
            (true, false) => write!(f, "at least {low}"),
            (false, _) => write!(f, "at most {high}"),
        }
    }
}
