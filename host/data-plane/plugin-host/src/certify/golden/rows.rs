//! A case's events, host columns and tables, as a rule is given them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_event::Document;
use tidegate_golden::TableRow;
use tidegate_types::{EventId, EventType, TenantId, UnixMillis};

use super::{NamedCase, Place, Problem, Work, problem};
use crate::evaluate::Row;
use crate::guest::manifest::{Manifest, TableRef};
use crate::table::Table;

/// When the events of cases are received, unless a case says otherwise: 2020-01-01.
const RECEIVED_AT: UnixMillis = UnixMillis(1_577_836_800_000);

/// # Errors
/// What is wrong with the case.
pub(super) fn work(
    case: &NamedCase<'_>,
    tenant: &TenantId,
    manifest: &Manifest,
) -> Result<Work, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut read = |text: &str, place: Place| match Document::parse(text.as_bytes().to_vec()) {
        Ok(document) => Some(document),
        Err(error) => {
            problems.push(problem(format!("this is no event: {error}"), place));
            None
        }
    };
    let events: Vec<Option<Document>> = (case.case.events.iter().enumerate())
        .map(|(row, event)| read(event.get(), case.event(row)))
        .collect();
    let columns = |row: usize| case.case.host.get(row).map_or("{}", |columns| columns.get());
    let given: Vec<Option<Document>> =
        (0..events.len()).map(|row| read(columns(row), case.event(row))).collect();
    let mut tables = Vec::new();
    for wanted in &manifest.tables {
        match table(case, wanted) {
            Ok(table) => tables.push(Arc::new(table)),
            Err(why) => problems.push(problem(why, case.place())),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let given: Arc<[Document]> = given.into_iter().flatten().collect();
    let rows = events.into_iter().flatten().zip(given.iter()).zip(0u64..);
    let rows = rows.map(|((event, columns), at)| Row {
        document: Arc::new(event),
        root: 0,
        event_id: EventId::from_parts(RECEIVED_AT, 0, at),
        event_type: event_type(),
        key: columns.root().get("@key").and_then(|key| key.as_str()).map(Into::into),
    });
    Ok(Work::new(tenant, rows.collect(), Some(Arc::clone(&given)), tables.into(), manifest))
}

/// What the rule sees is what the case says; this stands where nothing reads it.
pub(in crate::certify) fn event_type() -> EventType {
    EventType::new("golden").expect("a good name")
}

/// The table of a case, with the columns that the rule declares: a cell that is left out is empty.
fn table(case: &NamedCase<'_>, wanted: &TableRef) -> Result<Table, String> {
    let rows = case.case.tables.get(&*wanted.name);
    let rows = rows.ok_or_else(|| format!("the case has no table `{}`", wanted.name))?;
    let key = rows.first().and_then(|row| row.0.first()).map_or("key", |(name, _)| name);
    let named = rows.iter().flat_map(|row| row.0.iter().map(|(name, _)| name.as_str()));
    let declared = wanted.columns.iter().map(|(name, _)| name.as_str());
    let names: BTreeSet<&str> = named.chain(declared).chain([key]).collect();
    let cell = |row: &TableRow, name: &str| {
        let found = row.0.iter().find(|(other, _)| other == name);
        found.and_then(|(_, cell)| cell.clone()).unwrap_or_default()
    };
    let cells = rows.iter().map(|row| names.iter().map(|name| cell(row, name)).collect());
    let columns = names.iter().map(|name| (*name).to_owned()).collect();
    Table::new(1, columns, key, cells)
        .map_err(|error| format!("table `{}` of the case: {error}", wanted.name))
}
