//! Benchmarks. Each measures a thing and its reference in turn, in one run, on one machine, and
//! reports the ratio: absolute figures drift with the machine, ratios hold.

#![allow(clippy::print_stdout, reason = "the report is what the program is for")]

mod bare;
mod http;
mod identity;
mod plugin_host;
mod plugins;
mod report;
mod sinks;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use report::Row;

/// Runs the benchmarks and prints a Markdown table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which one: `plugin-host`, `http`, `identity`, `plugins`, `sinks` or one of its parts, such as `sinks/kafka`; all
    /// where it is left out.
    name: Option<String>,
    /// Also writes the rows as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How many rounds of each measurement; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

type Bench = fn(usize) -> anyhow::Result<Vec<Row>>;

const BENCHES: [(&str, Bench); 13] = [
    ("plugin-host", plugin_host::run),
    ("http", http::run),
    ("identity/stages", identity::stages::run),
    ("identity/gateway", identity::run),
    ("plugins/swaps", plugins::swaps::run),
    ("plugins/nodes", plugins::nodes::run),
    ("plugins/fleet", plugins::fleet::run),
    ("plugins/neighbours", plugins::neighbours::run),
    ("plugins/slow", plugins::neighbours::slow),
    ("sinks/kafka", sinks::kafka::run),
    ("sinks/durable", sinks::durable::run),
    ("sinks/forwarder", sinks::forwarder::run),
    ("sinks/sustained", sinks::sustained::run),
];

fn main() -> anyhow::Result<ExitCode> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // The reference server is a process of its own, so that it does not share the generator's memory.
    match given.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bare", address] => return bare::serve(address).map(|()| ExitCode::SUCCESS),
        ["bare-kafka", address, bootstrap, linger] => {
            return sinks::bare::serve(address, bootstrap, linger).map(|()| ExitCode::SUCCESS);
        }
        ["compile", rest @ ..] => {
            let rest: Vec<String> = rest.iter().map(|text| (*text).to_owned()).collect();
            return Ok(tidegate_plugin_host::compile::child::main(&rest));
        }
        _ => {}
    }
    let arguments = Arguments::parse();
    let wanted = |name: &str| {
        let given = arguments.name.as_deref();
        given.is_none_or(|given| given == name || name.split('/').next() == Some(given))
    };
    let chosen: Vec<_> = BENCHES.iter().filter(|(name, _)| wanted(name)).collect();
    let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no such benchmark: {}", names.join(", "));
    let mut rows = Vec::new();
    print!("{}", report::HEAD);
    for (_, bench) in chosen {
        let measured = bench(arguments.rounds)?;
        print!("{}", report::markdown(&measured));
        rows.extend(measured);
    }
    if let Some(path) = arguments.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
