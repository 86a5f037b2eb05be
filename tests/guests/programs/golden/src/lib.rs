//! A rule component that uses every function of the contract, written against the bare contract.
//! What it was when a version was released lies in `tests/guests/golden`, and must say the same in
//! every host that speaks that version.
//!
//! Each row gets a finding `seen` that tells everything the host said of the row; where it has an
//! integer, `/seen` is set to it, else removed.

#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the generated bindings call the host")]

#[allow(clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    //! Generated from the contract.
    wit_bindgen::generate!({
        path: "../../../../wit/v1.1.0",
        world: "rule",
        default_bindings_module: "crate::bindings",
        pub_export_macro: false,
    });

    struct Component;

    impl exports::tidegate::rules::rules::Guest for Component {
        fn configure(
            config: String,
        ) -> Result<
            exports::tidegate::rules::rules::Manifest,
            Vec<exports::tidegate::rules::rules::ConfigProblem>,
        > {
            super::configure(&config)
        }

        fn evaluate()
        -> Result<exports::tidegate::rules::rules::Outcome, exports::tidegate::rules::rules::Fault>
        {
            Ok(super::evaluate())
        }
    }

    export!(Component);
}

use bindings::exports::tidegate::rules::rules::{
    ConfigProblem, Field, Findings, Manifest, Outcome, Patches, Role, TableColumn, TableRef,
};
use bindings::tidegate::rules::types::{CellType, Column};
use bindings::tidegate::rules::{batch, kernels, log, tables};

/// What it reads, in the order of the manifest.
const READS: [(&str, CellType); 6] = [
    ("/text", CellType::Text),
    ("/integer", CellType::Integer),
    ("/number", CellType::Number),
    ("/boolean", CellType::Boolean),
    ("/json", CellType::Json),
    ("@event_type", CellType::Text),
];

fn configure(config: &str) -> Result<Manifest, Vec<ConfigProblem>> {
    if config != "{}" {
        let message = "there is nothing to configure: write {}".to_owned();
        return Err(vec![ConfigProblem { pointer: "/nothing".to_owned(), message }]);
    }
    let column = |name: &str, cell| TableColumn { name: name.to_owned(), cell };
    Ok(Manifest {
        name: "golden".to_owned(),
        role: Role::Enricher,
        reads: READS
            .iter()
            .map(|(pointer, cell)| Field { pointer: (*pointer).to_owned(), cell: *cell })
            .collect(),
        writes: vec!["/seen".to_owned()],
        tables: vec![TableRef {
            name: "things".to_owned(),
            columns: vec![column("name", CellType::Text), column("size", CellType::Number)],
        }],
        patterns: vec!["^[a-z]+$".to_owned()],
        schemas: vec![r#"{"type": "array"}"#.to_owned()],
        codes: vec!["seen".to_owned()],
        metrics: vec!["rows".to_owned()],
    })
}

fn evaluate() -> Outcome {
    let rows = batch::rows() as usize;
    let fields: Vec<Vec<String>> = (0u32..)
        .zip(READS)
        .map(|(index, (_, cell))| cells(&batch::columns(&[index]), cell))
        .collect();
    let both = batch::columns(&[0, 5]);
    let answers = [
        kernels::matches(0, 0),
        kernels::conforms(4, 0),
        kernels::in_range(1, 1.0, 10.0),
        kernels::in_range(2, f64::NEG_INFINITY, 0.5),
        tables::contains(0, 0),
    ];
    let name = cells(&tables::lookup(0, 0, 0), CellType::Text);
    let size = cells(&tables::lookup(0, 1, 0), CellType::Number);
    let upper =
        cells(&tables::lookup_keys(0, 0, &upper_case(&batch::columns(&[0]))), CellType::Text);
    let known = tables::contains_keys(0, &upper_case(&batch::columns(&[0])));
    let generation = tables::generation(0);
    log::write(log::Level::Info, "the golden component judges");
    log::count(0, rows as u64);

    let mut findings = Findings {
        row: vec![],
        code: vec![0; rows],
        severity: vec![0; rows],
        field: vec![0; rows],
        detail_end: vec![],
        details: vec![],
    };
    let mut patches = Patches {
        row: vec![],
        op: vec![],
        field: vec![0; rows],
        value_end: vec![],
        values: vec![],
    };
    for row in 0..rows {
        let mut detail = String::new();
        for column in &fields {
            detail += &format!("{} ", column.get(row).map_or("", String::as_str));
        }
        detail += "| ";
        for answer in &answers {
            detail += &format!("{} ", answer.get(row).copied().unwrap_or(9));
        }
        for column in [&name, &size, &upper] {
            detail += &format!("{} ", column.get(row).map_or("", String::as_str));
        }
        detail += &format!("{} ", known.get(row).copied().unwrap_or(9));
        detail += &format!("| {generation} {}", both.validity.len() / rows);
        findings.row.push(row as u32);
        findings.details.extend_from_slice(detail.as_bytes());
        findings.detail_end.push(findings.details.len() as u32);
        let integer = fields.get(1).and_then(|cells| cells.get(row)?.strip_prefix("2:"));
        patches.row.push(row as u32);
        patches.op.push(u8::from(integer.is_none()));
        patches.values.extend_from_slice(integer.unwrap_or_default().as_bytes());
        patches.value_end.push(patches.values.len() as u32);
    }
    Outcome { findings, patches }
}

/// Each cell of a column of one field as text: its validity, and its value where it is present.
fn cells(column: &Column, cell: CellType) -> Vec<String> {
    let mut start = 0;
    let mut out = Vec::new();
    for (row, validity) in column.validity.iter().enumerate() {
        let width = match cell {
            CellType::Text | CellType::Json => {
                column.offsets.get(row).map_or(start, |end| *end as usize) - start
            }
            CellType::Integer | CellType::Number => 8,
            CellType::Boolean => 1,
        };
        let bytes = column.data.get(start..start + width).unwrap_or_default();
        start += width;
        let slot = || bytes.try_into().unwrap_or([0; 8]);
        out.push(match (validity, cell) {
            (2, CellType::Text | CellType::Json) => format!("2:{}", String::from_utf8_lossy(bytes)),
            (2, CellType::Integer) => format!("2:{}", i64::from_le_bytes(slot())),
            (2, CellType::Number) => format!("2:{}", f64::from_le_bytes(slot())),
            (2, CellType::Boolean) => format!("2:{bytes:?}"),
            (other, _) => other.to_string(),
        });
    }
    out
}

/// The texts of a column in upper case (ASCII), as computed keys.
fn upper_case(column: &Column) -> Column {
    Column {
        validity: column.validity.clone(),
        offsets: column.offsets.clone(),
        data: column.data.to_ascii_uppercase(),
    }
}
