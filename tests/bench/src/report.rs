//! Rows of a report, and the table that people read.

use serde::Serialize;

/// One measured figure beside its reference.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) bench: String,
    pub(crate) case: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// The reference, measured in the same run, in the same unit.
    pub(crate) reference: f64,
    pub(crate) ratio: f64,
}

impl Row {
    /// From several rounds of (value, reference): the medians, and the median of the ratios.
    pub(crate) fn of(
        bench: &str,
        case: impl Into<String>,
        unit: &str,
        rounds: &[(f64, f64)],
    ) -> Self {
        let median = |pick: &dyn Fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            bench: bench.to_owned(),
            case: case.into(),
            value: median(&|round| round.0),
            unit: unit.to_owned(),
            reference: median(&|round| round.1),
            ratio: median(&|round| round.0 / round.1),
        }
    }
}

/// The head of the Markdown table.
pub(crate) const HEAD: &str =
    "| bench | case | value | unit | reference | ratio |\n|---|---|---:|---|---:|---:|\n";

/// The rows of a Markdown table.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let Row { bench, case, value, unit, reference, ratio } = row;
        out.push_str(&format!(
            "| {bench} | {case} | {value:.3} | {unit} | {reference:.3} | {ratio:.3} |\n"
        ));
    }
    out
}
