//! A rule component of the draft of the contract's next major.
//!
//! Each row gets a finding `seen` (a warning) that tells what the context and the table say of it,
//! and one `unknown` (soft) where its `/id` is no key of table `things`; a known row's `/size` is set
//! to the table's, and that of any other removed. A row whose id is `fault` ends the call, with
//! another try where `/retry` is there.

#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the generated bindings call the host")]

#[allow(clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    //! Generated from the draft.
    wit_bindgen::generate!({
        path: "../../wit/v2.0.0",
        world: "rule",
        default_bindings_module: "crate::bindings",
        pub_export_macro: false,
    });

    struct Component;

    impl exports::tidegate::rules::rules::Guest for Component {
        fn configure(config: String) -> Result<exports::tidegate::rules::rules::Manifest, String> {
            super::configure(&config)
        }

        fn evaluate(
            context: exports::tidegate::rules::rules::Context,
        ) -> Result<exports::tidegate::rules::rules::Outcome, exports::tidegate::rules::rules::Fault>
        {
            super::evaluate(&context)
        }
    }

    export!(Component);
}

use bindings::exports::tidegate::rules::rules::{
    Code, Context, Fault, Field, Finding, Manifest, Outcome, Patch, Role, Severity, TableColumn,
    TableRef,
};
use bindings::tidegate::rules::types::{CellType, Column};
use bindings::tidegate::rules::{batch, tables};

fn configure(config: &str) -> Result<Manifest, String> {
    if config != "{}" {
        return Err("there is nothing to configure: write {}".to_owned());
    }
    let read = |pointer: &str, cell| Field { pointer: pointer.to_owned(), cell };
    let code = |name: &str, severity| Code { name: name.to_owned(), severity };
    Ok(Manifest {
        name: "preview".to_owned(),
        role: Role::Enricher,
        reads: vec![read("/id", CellType::Text), read("/retry", CellType::Json)],
        writes: vec!["/other".to_owned(), "/size".to_owned()],
        tables: vec![TableRef {
            name: "things".to_owned(),
            columns: vec![TableColumn { name: "size".to_owned(), cell: CellType::Text }],
        }],
        codes: vec![code("unknown", Severity::Soft), code("seen", Severity::Warn)],
    })
}

fn evaluate(context: &Context) -> Result<Outcome, Fault> {
    let columns = batch::columns(&[0, 1]);
    let [ids, retries] = columns.as_slice() else {
        let message = format!("two columns, not {}", columns.len());
        return Err(Fault { retry: false, message });
    };
    let known = tables::contains(0, ids);
    let sizes = tables::lookup(0, 0, ids);
    let (mut findings, mut patches) = (Vec::new(), Vec::new());
    for row in 0..context.rows {
        let at = row as usize;
        let id = text(ids, at);
        if id == "fault" {
            let retry = retries.validity.get(at) == Some(&2);
            return Err(Fault { retry, message: format!("row {row} of {}", context.rows) });
        }
        let event_type = context.event_types.get(at).map_or("", String::as_str);
        let detail = format!("{} {} {event_type} {id}", context.tenant, context.node);
        findings.push(Finding { row, code: 1, field: None, detail });
        let known = known.get(at) == Some(&1);
        if !known {
            findings.push(Finding { row, code: 0, field: Some(0), detail: String::new() });
        }
        let size = || format!("\"{}\"", text(&sizes, at));
        patches.push(Patch { row, field: 1, value: known.then(size) });
    }
    Ok(Outcome { findings, patches })
}

/// The text of a row; empty where it has none.
fn text(column: &Column, row: usize) -> String {
    let end = |row: usize| column.offsets.get(row).map_or(0, |end| *end as usize);
    let start = row.checked_sub(1).map_or(0, end);
    let bytes = column.data.get(start..end(row)).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
