//! What a component can do while it runs: burn time and memory, call what it may not, end.

use std::hint::black_box;

use crate::bindings::exports::tidegate::rules::rules::{Fault, Field, Manifest, Outcome};
use crate::bindings::tidegate::rules::types::{CellType, Column};
use crate::bindings::tidegate::rules::{batch, kernels, log, tables};
use crate::{Config, ID, TEXT, probe};

/// While it is configured.
pub(crate) fn configure(mode: &str, manifest: &mut Manifest) {
    match mode {
        "loop" => spin(u64::MAX),
        "memory" => fill_memory(),
        "panic" => panic!("configured to panic"),
        "read-batch" => drop(batch::columns(&[0])),
        "undeclared-column" => {
            manifest.reads.push(Field { pointer: "@secret".into(), cell: CellType::Text })
        }
        "undeclared-writer" => manifest.writes.push("/text".into()),
        "bad-pointer" => {
            manifest.reads.push(Field { pointer: "text".into(), cell: CellType::Text })
        }
        "bad-cell" => {
            manifest.reads.push(Field { pointer: "@node".into(), cell: CellType::Number })
        }
        "write-root" => manifest.writes = vec![String::new()],
        "write-twice" => manifest.writes = vec!["/a".into(), "/a/b".into()],
        "bad-code" => manifest.codes.push("Not A Code".into()),
        "bad-pattern" => manifest.patterns.push("(".into()),
        "huge-pattern" => manifest.patterns.push("(((\\w{100}){100}){100}){100}".into()),
        "bad-schema" => manifest.schemas.push("{\"type\":12}".into()),
        "outside-schema" => manifest.schemas.push("{\"$ref\":\"file:///etc/passwd\"}".into()),
        "many-codes" => manifest.codes = vec!["same".into(); 100_000],
        // The manifest depends on whether the host grants 8 MiB.
        "moody" => {
            if core::arch::wasm32::memory_grow::<0>(128) == usize::MAX {
                manifest.codes.push("other".into());
            }
        }
        _ => {}
    }
}

/// While it judges a poisoned batch.
pub(crate) fn evaluate(config: &Config, outcome: &mut Outcome) -> Result<(), Fault> {
    let amount = config.amount;
    match config.mode.as_str() {
        "loop" => spin(u64::MAX),
        "burn" => spin(amount),
        "poll-loop" => probe::poll_for_ever(),
        "recursion" => drop(black_box(recurse(black_box(1)))),
        "memory" => fill_memory(),
        "panic" => panic!("poisoned"),
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "transient" => return Err(Fault::Transient("come back later".into())),
        "permanent" => return Err(Fault::Permanent("never\u{1b}[31m again\n".repeat(100))),
        "transient-second-call" => second_call()?,
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "sleep-shortly" => probe::poll_timer(),
        "handles" => probe::hoard_handles(),
        "log-flood" => flood_log(amount),
        "print-flood" => flood_print(amount),
        "undeclared-read" => drop(batch::columns(&[4])),
        "read-many" => drop(batch::columns(&[TEXT; 5])),
        "read-large" => drop(batch::columns(&[TEXT; 4])),
        "match-undeclared" => drop(kernels::matches(TEXT, 1)),
        "match-wrong-cell" => drop(kernels::matches(ID, 0)),
        "range-wrong-cell" => drop(kernels::in_range(TEXT, 0.0, 1.0)),
        "conform-undeclared" => drop(kernels::conforms(ID, 1)),
        "table-undeclared" => drop(tables::contains(1, TEXT)),
        "table-column-undeclared" => drop(tables::lookup(0, 1, TEXT)),
        "count-undeclared" => log::count(1, 1),
        "match" => drop(kernels::matches(TEXT, 0)),
        "lookup-bomb" => look_up_bomb(amount),
        "lookup-keys-uneven" => drop(tables::lookup_keys(
            0,
            0,
            &Column { validity: vec![2; 3], offsets: vec![1], data: vec![b'k'] },
        )),
        "probe" => probe::report(outcome),
        _ => {}
    }
    Ok(())
}

fn spin(rounds: u64) {
    let mut sum = 0u64;
    for round in 0..rounds {
        sum = black_box(sum.wrapping_add(round));
    }
    black_box(sum);
}

#[allow(unconditional_recursion, reason = "it is to run out of stack")]
fn recurse(depth: u64) -> u64 {
    recurse(depth + 1).wrapping_add(black_box(depth))
}

fn fill_memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// Good in a new instance, transiently bad in its second poisoned call.
fn second_call() -> Result<(), Fault> {
    static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    match CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Ok(()),
        _ => Err(Fault::Transient("tired".into())),
    }
}

fn flood_log(lines: u64) {
    let long = "flood ".repeat(2000);
    for _ in 0..lines {
        log::write(log::Level::Error, &long);
        log::count(0, u64::MAX);
    }
}

fn flood_print(lines: u64) {
    for line in 0..lines {
        println!("line {line}\u{1b}[2J");
        eprintln!("error {line}");
    }
}

/// Asks for one large cell again and again with few bytes: ends that go back and forth make one
/// key stand for many rows.
fn look_up_bomb(rows: u64) {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let offsets = [1u32, 0].into_iter().cycle().take(rows).collect();
    drop(tables::lookup_keys(0, 0, &Column { validity: vec![2; rows], offsets, data: vec![b'k'] }));
}
