//! A rule component that misbehaves as its configuration says: written against the bare contract,
//! because the SDK would keep it from most of this.
//!
//! It judges rows honestly (finding `seen` with the row's `/id` as its detail; an enricher also sets
//! `/patched` to the id) until it meets a row whose `/poison` is true: then it does what `mode` says.

#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "the generated bindings call the host")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what is printed must go to the log")]

mod misdeeds;
mod outcome;
mod probe;

#[allow(clippy::allow_attributes_without_reason, reason = "generated code")]
mod bindings {
    //! Generated from the contract.
    wit_bindgen::generate!({
        path: "../../../../wit/v1.0.0",
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
            super::evaluate()
        }
    }

    export!(Component);
}

use std::sync::OnceLock;

use bindings::exports::tidegate::rules::rules::{
    ConfigProblem, Fault, Field, Manifest, Outcome, Role, TableColumn, TableRef,
};
use bindings::tidegate::rules::batch;
use bindings::tidegate::rules::types::CellType;

/// What the component is told to do.
#[derive(serde::Deserialize)]
#[serde(default)]
struct Config {
    /// What it does to a poisoned batch: see `misdeeds` and `outcome`.
    mode: String,
    /// What it does while it is configured.
    configure: String,
    /// Does it in every call, poisoned or not.
    always: bool,
    enricher: bool,
    pattern: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    /// The manifest's first write.
    write: String,
    /// How much of what the mode does.
    amount: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: "honest".into(),
            configure: String::new(),
            always: false,
            enricher: false,
            pattern: None,
            schema: None,
            table: None,
            write: "/patched".into(),
            amount: 0,
        }
    }
}

static CONFIG: OnceLock<Config> = OnceLock::new();

const POISON: u32 = 0;
const ID: u32 = 1;
const TEXT: u32 = 2;
const JSON: u32 = 3;
const CODES: [&str; 2] = ["seen", "probed"];

fn configure(config: &str) -> Result<Manifest, Vec<ConfigProblem>> {
    let config: Config = serde_json::from_str(config).map_err(|error| {
        vec![ConfigProblem { pointer: String::new(), message: error.to_string() }]
    })?;
    let mut manifest = manifest(&config);
    misdeeds::configure(&config.configure, &mut manifest);
    drop(CONFIG.set(config));
    Ok(manifest)
}

fn manifest(config: &Config) -> Manifest {
    let field = |pointer: &str, cell| Field { pointer: pointer.into(), cell };
    let table = config.table.as_ref().map(|name| TableRef {
        name: name.clone(),
        columns: vec![TableColumn { name: "value".into(), cell: CellType::Text }],
    });
    Manifest {
        name: "hostile/1".into(),
        role: if config.enricher { Role::Enricher } else { Role::Validator },
        reads: vec![
            field("/poison", CellType::Boolean),
            field("/id", CellType::Json),
            field("/text", CellType::Text),
            field("/json", CellType::Json),
        ],
        writes: if config.enricher { vec![config.write.clone()] } else { Vec::new() },
        tables: table.into_iter().collect(),
        patterns: config.pattern.iter().cloned().collect(),
        schemas: config.schema.iter().cloned().collect(),
        codes: CODES.map(String::from).to_vec(),
        metrics: vec!["calls".into()],
    }
}

fn evaluate() -> Result<Outcome, Fault> {
    let Some(config) = CONFIG.get() else {
        return Err(Fault::Permanent("evaluate came before configure".into()));
    };
    let (poison, ids) = (batch::columns(&[POISON]), batch::columns(&[ID]));
    let mut honest = outcome::honest(&ids, config.enricher);
    if config.always || poison.data.contains(&1) {
        misdeeds::evaluate(config, &mut honest)?;
        outcome::spoil(&config.mode, &mut honest, config.amount);
    }
    Ok(honest)
}
