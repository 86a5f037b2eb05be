//! The draft of the contract's next major, through bindings and an adapter of its own: shows that a
//! major can differ in what is imported, what is returned and how a call is made, and that nothing
//! beyond this file knows.

#![allow(unreachable_pub, clippy::indexing_slicing, clippy::unwrap_used, reason = "generated code")]

use std::sync::OnceLock;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Result, Store, bail};

use super::bindings::{contract, types as ours};
use super::{Adapter, Calling, ContractVersion, Guest, Prepared};
use crate::guest::state::State;

wasmtime::component::bindgen!({
    path: "../../../tests/guests/wit/v2.0.0",
    world: "rule",
    exports: { default: async },
    imports: { default: trappable },
});

use exports::tidegate::rules::rules as theirs;
use tidegate::rules::{batch, tables, types};

pub(super) const VERSION: ContractVersion = ContractVersion::new(2, 0, 0);

/// The field of a finding that is about no field, as the host has it.
const NO_FIELD: u32 = u32::MAX;

pub(super) struct Preview {
    linker: Linker<State>,
}

impl Preview {
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        let mut linker = Linker::new(engine);
        crate::guest::wasi::link(&mut linker)?;
        Rule::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self { linker })
    }
}

impl Adapter for Preview {
    fn prepare(&self, component: &Component) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(RulePre::new(self.linker.instantiate_pre(component)?)?))
    }
}

impl Prepared for RulePre<State> {
    fn start<'a>(&'a self, store: &'a mut Store<State>) -> Calling<'a, Box<dyn Guest>> {
        Box::pin(async {
            let rule = self.instantiate_async(store).await?;
            let guest: Box<dyn Guest> = Box::new(Second { rule, severities: OnceLock::new() });
            Ok(guest)
        })
    }
}

/// An instance, and what its calls need of its manifest.
struct Second {
    rule: Rule,
    /// By code, as the host numbers them.
    severities: OnceLock<Vec<u8>>,
}

impl Guest for Second {
    fn configure<'a>(
        &'a self,
        store: &'a mut Store<State>,
        config: &'a str,
    ) -> Calling<'a, Result<contract::Manifest, Vec<contract::ConfigProblem>>> {
        Box::pin(async move {
            let answer = self.rule.tidegate_rules_rules().call_configure(store, config).await?;
            Ok(match answer {
                Ok(manifest) => {
                    let severities = manifest.codes.iter().map(|code| code.severity as u8);
                    self.severities.get_or_init(|| severities.collect());
                    Ok(manifest_in(manifest))
                }
                Err(message) => {
                    Err(vec![contract::ConfigProblem { pointer: String::new(), message }])
                }
            })
        })
    }

    fn evaluate<'a>(
        &'a self,
        store: &'a mut Store<State>,
    ) -> Calling<'a, Result<contract::Outcome, contract::Fault>> {
        Box::pin(async move {
            let context = context_out(store.data());
            let answer = self.rule.tidegate_rules_rules().call_evaluate(store, &context).await?;
            let severities = self.severities.get().map_or(&[][..], Vec::as_slice);
            Ok(match answer {
                Ok(outcome) => Ok(outcome_in(outcome, severities)),
                Err(theirs::Fault { retry: true, message }) => {
                    Err(contract::Fault::Transient(message))
                }
                Err(theirs::Fault { retry: false, message }) => {
                    Err(contract::Fault::Permanent(message))
                }
            })
        })
    }
}

fn context_out(state: &State) -> theirs::Context {
    let call = state.call.as_ref();
    let rows = || call.into_iter().flat_map(|call| call.rows());
    theirs::Context {
        tenant: call.map_or("", |call| call.batch.tenant.as_str()).to_owned(),
        node: call.map_or("", |call| &call.batch.node).to_owned(),
        rows: u32::try_from(rows().count()).unwrap_or(u32::MAX),
        event_types: rows().map(|row| row.event_type.as_str().to_owned()).collect(),
    }
}

fn manifest_in(given: theirs::Manifest) -> contract::Manifest {
    let field = |it: theirs::Field| contract::Field { pointer: it.pointer, cell: cell_in(it.cell) };
    let column = |column: theirs::TableColumn| contract::TableColumn {
        name: column.name,
        cell: cell_in(column.cell),
    };
    let table = |table: theirs::TableRef| contract::TableRef {
        name: table.name,
        columns: table.columns.into_iter().map(column).collect(),
    };
    contract::Manifest {
        name: given.name,
        role: match given.role {
            theirs::Role::Validator => contract::Role::Validator,
            theirs::Role::Quality => contract::Role::Quality,
            theirs::Role::Enricher => contract::Role::Enricher,
        },
        reads: given.reads.into_iter().map(field).collect(),
        writes: given.writes,
        tables: given.tables.into_iter().map(table).collect(),
        patterns: Vec::new(),
        schemas: Vec::new(),
        codes: given.codes.into_iter().map(|code| code.name).collect(),
        metrics: Vec::new(),
    }
}

/// What is wrong in an outcome the host finds, as in any other: an unknown code keeps its number.
fn outcome_in(given: theirs::Outcome, severities: &[u8]) -> contract::Outcome {
    let mut findings = contract::Findings {
        row: Vec::new(),
        code: Vec::new(),
        severity: Vec::new(),
        field: Vec::new(),
        detail_end: Vec::new(),
        details: Vec::new(),
    };
    for theirs::Finding { row, code, field, detail } in given.findings {
        findings.row.push(row);
        findings.code.push(code);
        findings.severity.push(severities.get(code as usize).copied().unwrap_or_default());
        findings.field.push(field.unwrap_or(NO_FIELD));
        findings.details.extend_from_slice(detail.as_bytes());
        findings.detail_end.push(end(&findings.details));
    }
    let mut patches = contract::Patches {
        row: Vec::new(),
        op: Vec::new(),
        field: Vec::new(),
        value_end: Vec::new(),
        values: Vec::new(),
    };
    for theirs::Patch { row, field, value } in given.patches {
        patches.row.push(row);
        patches.op.push(u8::from(value.is_none()));
        patches.field.push(field);
        patches.values.extend_from_slice(value.unwrap_or_default().as_bytes());
        patches.value_end.push(end(&patches.values));
    }
    contract::Outcome { findings, patches }
}

fn end(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn cell_in(cell: types::CellType) -> ours::CellType {
    match cell {
        types::CellType::Text => ours::CellType::Text,
        types::CellType::Integer => ours::CellType::Integer,
        types::CellType::Number => ours::CellType::Number,
        types::CellType::Boolean => ours::CellType::Boolean,
        types::CellType::Json => ours::CellType::Json,
    }
}

fn column_in(types::Column { validity, offsets, data }: types::Column) -> ours::Column {
    ours::Column { validity, offsets, data }
}

fn column_out(ours::Column { validity, offsets, data }: ours::Column) -> types::Column {
    types::Column { validity, offsets, data }
}

impl types::Host for State {}

impl batch::Host for State {
    fn columns(&mut self, fields: Vec<u32>) -> Result<Vec<types::Column>> {
        let declared = self.manifest.as_ref().map_or(0, |manifest| manifest.reads.len());
        if fields.len() > declared {
            bail!("{} fields asked for; the manifest reads {declared}", fields.len());
        }
        let one = |field| {
            let column = super::bindings::batch::Host::columns(self, vec![field])?;
            Ok(column_out(column))
        };
        fields.into_iter().map(one).collect()
    }
}

impl tables::Host for State {
    fn contains(&mut self, table: u32, keys: types::Column) -> Result<Vec<u8>> {
        super::bindings::tables::Host::contains_keys(self, table, column_in(keys))
    }

    fn lookup(&mut self, table: u32, column: u32, keys: types::Column) -> Result<types::Column> {
        let found =
            super::bindings::tables::Host::lookup_keys(self, table, column, column_in(keys))?;
        Ok(column_out(found))
    }
}
