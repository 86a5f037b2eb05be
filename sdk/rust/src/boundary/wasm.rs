//! The boundary on Wasm: bindings generated from the contract, and their translation.
#![allow(unsafe_code, reason = "the generated bindings call the host")]
#![allow(unreachable_pub, reason = "the export macro names generated items")]

use crate::boundary::{CellType, Column, Declared};
use crate::log::Level;
use crate::outcome::Outcome;
use crate::rule::config::Problem;
use crate::rule::{Instance, Role, Rule};

pub mod bindings {
    //! Generated from the contract.
    wit_bindgen::generate!({
        path: "../../wit/v1.0.0",
        world: "rule",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "tidegate_sdk::__component::bindings",
    });
}

/// What later minors of the contract added, generated from each of them and imported apart: so a
/// component asks for the first version that has what it uses, and for no later one.
mod since_1_1 {
    #![allow(clippy::allow_attributes_without_reason, reason = "generated code")]
    wit_bindgen::generate!({
        path: "../../wit/v1.1.0",
        inline: "package tidegate:sdk; world since { import tidegate:rules/tables@1.1.0; }",
        generate_all,
    });
    pub(super) use tidegate::rules::{tables, types};
}

use bindings::exports::tidegate::rules::rules as exported;
use bindings::tidegate::rules::{batch, kernels, log, tables, types};

pub use exported::Guest;
pub type ConfigureAnswer = Result<exported::Manifest, Vec<exported::ConfigProblem>>;
pub type EvaluateAnswer = Result<exported::Outcome, exported::Fault>;

/// The exported `configure`: fills the component's one instance.
pub fn configure<R: Rule>(slot: &mut Option<Instance<R>>, config: &str) -> ConfigureAnswer {
    let problems_out = |all: Vec<Problem>| all.into_iter().map(problem_out).collect::<Vec<_>>();
    let (instance, declared) = Instance::<R>::configure(config).map_err(problems_out)?;
    *slot = Some(instance);
    Ok(manifest_out::<R>(declared))
}

/// The exported `evaluate`.
pub fn evaluate<R: Rule>(slot: Option<&Instance<R>>) -> EvaluateAnswer {
    match slot {
        Some(instance) => Ok(outcome_out(instance.evaluate())),
        None => Err(exported::Fault::Permanent("evaluate was called before configure".to_owned())),
    }
}

pub(crate) fn rows() -> usize {
    batch::rows() as usize
}

pub(crate) fn columns(fields: &[u32]) -> Column {
    column_in(batch::columns(fields))
}

pub(crate) fn matches(field: u32, pattern: u32) -> Vec<u8> {
    kernels::matches(field, pattern)
}

pub(crate) fn conforms(field: u32, schema: u32) -> Vec<u8> {
    kernels::conforms(field, schema)
}

pub(crate) fn in_range(field: u32, low: f64, high: f64) -> Vec<u8> {
    kernels::in_range(field, low, high)
}

pub(crate) fn contains(table: u32, field: u32) -> Vec<u8> {
    tables::contains(table, field)
}

pub(crate) fn lookup(table: u32, column: u32, field: u32) -> Column {
    column_in(tables::lookup(table, column, field))
}

pub(crate) fn lookup_keys(table: u32, column: u32, keys: Column) -> Column {
    let Column { validity, offsets, data } = keys;
    column_in(tables::lookup_keys(table, column, &types::Column { validity, offsets, data }))
}

/// Since 1.1.0.
pub(crate) fn contains_keys(table: u32, keys: Column) -> Vec<u8> {
    let Column { validity, offsets, data } = keys;
    let keys = since_1_1::types::Column { validity, offsets, data };
    since_1_1::tables::contains_keys(table, &keys)
}

pub(crate) fn generation(table: u32) -> u64 {
    tables::generation(table)
}

pub(crate) fn write_log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message);
}

pub(crate) fn count(metric: u32, delta: u64) {
    log::count(metric, delta);
}

fn column_in(column: types::Column) -> Column {
    let types::Column { validity, offsets, data } = column;
    Column { validity, offsets, data }
}

fn cell_out(cell: CellType) -> types::CellType {
    match cell {
        CellType::Text => types::CellType::Text,
        CellType::Integer => types::CellType::Integer,
        CellType::Number => types::CellType::Number,
        CellType::Boolean => types::CellType::Boolean,
        CellType::Json => types::CellType::Json,
    }
}

fn problem_out(problem: Problem) -> exported::ConfigProblem {
    exported::ConfigProblem { pointer: problem.pointer, message: problem.message }
}

fn manifest_out<R: Rule>(declared: Declared) -> exported::Manifest {
    let table = |(name, columns): (String, Vec<(String, CellType)>)| exported::TableRef {
        name,
        columns: columns
            .into_iter()
            .map(|(name, cell)| exported::TableColumn { name, cell: cell_out(cell) })
            .collect(),
    };
    exported::Manifest {
        name: R::NAME.to_owned(),
        role: match R::ROLE {
            Role::Validator => exported::Role::Validator,
            Role::Quality => exported::Role::Quality,
            Role::Enricher => exported::Role::Enricher,
        },
        reads: declared
            .reads
            .into_iter()
            .map(|(pointer, cell)| exported::Field { pointer, cell: cell_out(cell) })
            .collect(),
        writes: declared.writes,
        tables: declared.tables.into_iter().map(table).collect(),
        patterns: declared.patterns,
        schemas: declared.schemas,
        codes: declared.codes,
        metrics: declared.metrics,
    }
}

fn outcome_out(outcome: Outcome) -> exported::Outcome {
    let (findings, patches) = (outcome.findings, outcome.patches);
    exported::Outcome {
        findings: exported::Findings {
            row: findings.row,
            code: findings.code,
            severity: findings.severity,
            field: findings.field,
            detail_end: findings.detail_end,
            details: findings.details,
        },
        patches: exported::Patches {
            row: patches.row,
            op: patches.op,
            field: patches.field,
            value_end: patches.value_end,
            values: patches.values,
        },
    }
}
