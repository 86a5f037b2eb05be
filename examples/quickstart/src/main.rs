//! The quickstart: starts the gateway, posts New York's flights to it, swaps a rule and kills the
//! process meanwhile, and counts what came of it from what is stored. `README.md` tells the same
//! steps for a person.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks by printing")]

mod data;
mod feed;
mod gateway;
mod ledger;
mod rehearsal;
mod report;
mod setup;
mod stored;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use tidegate_connector::{Connector, ConnectorOptions};

use data::expected::{Facts, JANUARY, YEAR};
use data::flights::Flights;
use feed::{BATCH, Feed, Stage};
use gateway::Gateway;
use ledger::Ledger;
use report::Run;
use setup::Prepared;

/// Posts a month of real events to a gateway, swaps a rule and kills it meanwhile, and counts.
#[derive(Parser)]
struct Arguments {
    /// The gateway's program
    #[arg(long, default_value_os_t = beside_this_program())]
    gateway: PathBuf,
    /// Leave the gateway running on its data folder
    #[arg(long)]
    keep: bool,
    /// Post the whole year; its data is fetched with pip
    #[arg(long)]
    year: bool,
    /// Do nothing but write the files of `data/` anew, into this folder
    #[arg(long, value_name = "FOLDER")]
    write_data: Option<PathBuf>,
}

fn beside_this_program() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name("tidegate")
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.write_data {
        Some(folder) => data::package::write_slice(folder).map(|()| Vec::new()),
        None => quickstart(&arguments),
    };
    match done {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("\nNot as it must be:");
            for failure in failures {
                eprintln!("  {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("quickstart: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it all; answers what is not as it must be.
fn quickstart(arguments: &Arguments) -> Result<Vec<String>> {
    let (flights, facts) = source(arguments)?;
    let folder = tempfile::Builder::new().prefix("tidegate-quickstart-").tempdir()?.keep();
    println!("Starting the gateway on {}", folder.display());
    let gateway = Arc::new(Gateway::start(&arguments.gateway, &folder)?);
    println!("Creating tenant `{}`: key, schema, tables, revisions 1 and 2", setup::TENANT);
    let prepared = setup::prepare(&gateway)?;
    println!("Posting {} events; revision 2 comes halfway, SIGKILL at four fifths", facts.events);
    let (ledger, run) = post(&gateway, &prepared, flights, facts)?;
    println!(
        "Trying revision 3 on tenant `{}`: shadow, canary, promotion, rollback",
        rehearsal::TENANT
    );
    let tried = rehearsal::run(&gateway, |key| options(&gateway, key))?;
    println!("Stopping the gateway, and counting what is stored");
    gateway.stop()?;
    let storage = folder.join(STORAGE);
    let count = report::count(&storage, &ledger, &prepared.revisions)?;
    let mut failures = count.failures(&ledger, facts, &prepared.revisions);
    failures.extend(tried.failures(&storage)?);
    if run.times.kills != 1 {
        failures.push("the gateway was not killed and started again".into());
    }
    print!("{}", report::summary(&count, &ledger, &run, &prepared.revisions, &storage));
    print!("{}", tried.summary());
    if arguments.keep {
        keep_running(&gateway, &arguments.gateway)?;
    } else if failures.is_empty() {
        keep_only(&folder, STORAGE)?;
    }
    println!("\n{}", report::json(&count, &ledger, &run)?);
    Ok(failures)
}

/// The storage folder within the data folder.
const STORAGE: &str = "parquet";

fn source(arguments: &Arguments) -> Result<(Flights, &'static Facts)> {
    if arguments.year {
        println!("Fetching the year's data");
        Ok((Flights::open(&data::package::year()?)?, &YEAR))
    } else {
        Ok((Flights::open(&data::january())?, &JANUARY))
    }
}

/// Posts everything while the stagehand swaps the revision and restarts the gateway.
fn post(
    gateway: &Arc<Gateway>,
    prepared: &Prepared,
    flights: Flights,
    facts: &Facts,
) -> Result<(Ledger, Run)> {
    let stage = Stage::new(Arc::clone(gateway));
    let [_, second] = &prepared.revisions;
    let stagehand = stage.stagehand(second)?;
    let feed = Feed::new(flights, facts.events, Arc::clone(&stage));
    let connector = Connector::new(options(gateway, &prepared.api_key))?;
    let (half, four_fifths) = (facts.events / 2, facts.events / 5 * 4);
    let mut ledger = Ledger::new();
    let mut first_half = Duration::ZERO;
    let mut acks = Vec::new();
    let mut entered = Ok(());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let summary = runtime.block_on(connector.post(feed, |settled| {
        if let Err(error) = ledger.enter(&settled) {
            entered = Err(error);
        }
        ledger.during_swap += u64::from(stage.is_swapping());
        if ledger.receipts <= four_fifths {
            acks.push(settled.ack);
        }
        if ledger.receipts == half {
            first_half = ledger.elapsed();
        }
        if ledger.receipts == four_fifths {
            stage.kill();
        }
    }));
    stage.close();
    let times = stagehand.join().ok().context("the stagehand panicked")?;
    if let (Some(stopped), Ok(_)) = (&summary.stopped, &times) {
        anyhow::bail!("posting ended early: {stopped}");
    }
    entered?;
    acks.sort_unstable();
    let run = Run {
        events_per_second: half as f64 / first_half.as_secs_f64(),
        ack_p50: quantile(&acks, 50),
        ack_p99: quantile(&acks, 99),
        times: times?,
    };
    Ok((ledger, run))
}

fn options(gateway: &Gateway, api_key: &str) -> ConnectorOptions {
    let mut options =
        ConnectorOptions::new(format!("http://{}", gateway.addresses().ingress), api_key);
    options.batch_events = BATCH as usize;
    // The flights have keys of their own.
    options.key_field = None;
    options.connections = 8;
    // The gateway is away for as long as its restart takes.
    options.retry.max_attempts = 1000;
    options.retry.max_delay = Duration::from_millis(500);
    options
}

/// The value that so many per cent of sorted values do not exceed; zero of none.
fn quantile(sorted: &[Duration], per_cent: usize) -> Duration {
    let place = (sorted.len() * per_cent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn keep_running(gateway: &Gateway, program: &Path) -> Result<()> {
    gateway.restart()?;
    let (addresses, data) = (gateway.addresses(), gateway.data().display());
    let process = gateway.process_id().context("the gateway is not running")?;
    println!(
        "\nThe gateway goes on: events on http://{}, admin API on http://{}",
        addresses.ingress, addresses.admin
    );
    println!(
        "  look:  {} --data-dir {data} revision status --tenant {}",
        program.display(),
        setup::TENANT
    );
    println!("  stop:  kill {process} && rm -r {data}");
    gateway.leave_running();
    Ok(())
}

/// Removes all of a folder but one entry: the log is preallocated and of no more use.
fn keep_only(folder: &Path, keep: &str) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == keep {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let millis =
            |values: &[u64]| values.iter().map(|v| Duration::from_millis(*v)).collect::<Vec<_>>();
        let hundred: Vec<u64> = (1..=100).collect();
        for (values, per_cent, expected) in [
            (&hundred[..], 50, 50),
            (&hundred, 99, 99),
            (&[7], 50, 7),
            (&[7], 99, 7),
            (&[1, 2, 3], 50, 2),
            (&[], 99, 0),
        ] {
            assert_eq!(
                quantile(&millis(values), per_cent),
                Duration::from_millis(expected),
                "{per_cent}"
            );
        }
    }
}
