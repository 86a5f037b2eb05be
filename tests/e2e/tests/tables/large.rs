//! A table of a million rows comes, is activated and is looked up while events come in. What that costs
//! them is told; that none is lost or refused is held.

#![allow(clippy::print_stdout, reason = "what was measured is told")]

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_e2e::assert_quiet;
use tidegate_testkit::{Gateway, Tenant};

use crate::{CSV, checking, ok, put, status_of};

const ROWS: u32 = 1_000_000;
/// Requests before the table comes.
const BEFORE: usize = 3000;

fn table(rows: u32) -> String {
    let mut csv = String::from("tailnum,name,size,kind,note\n");
    for row in 0..rows {
        // Far from the order of the keys.
        let key = u64::from(row) * 2_654_435_761 % u64::from(rows);
        writeln!(csv, "N{key:07},\"plane, {row}\",{},jet,n{row}", row % 400).unwrap();
    }
    csv
}

/// The gateway's memory in MiB.
fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 1000].as_micros();
    println!(
        "{what}: {} requests, p50 {} µs, p99 {} µs, p99.9 {} µs, most {} µs",
        times.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}

#[test]
fn a_million_rows_stall_no_event() {
    let gateway = Gateway::start();
    let tenant = Tenant::create(&gateway, "acme");
    ok(&put(&gateway, "", CSV, b"tailnum,name\nN0000000,old\n"));
    tenant.activate(&gateway, &checking(json!({ "follow": true })));
    let csv = table(ROWS);
    let (memory, is_done) = (resident(&gateway), AtomicBool::new(false));
    let mut sent = 0;
    std::thread::scope(|scope| {
        let mut connection = gateway.connect();
        let mut post = || {
            let started = Instant::now();
            let event = json!({ "tailnum": "N0000000" }).to_string();
            let answer =
                connection.request("POST", "/v1/events", &tenant.headers(), event.as_bytes());
            let answer = answer.unwrap();
            assert_eq!(answer.status, 202, "{}", answer.text());
            sent += 1;
            started.elapsed()
        };
        told("without", (0..BEFORE).map(|_| post()).collect());
        let uploading = scope.spawn(|| {
            let started = Instant::now();
            let uploaded = put(&gateway, "", CSV, csv.as_bytes());
            is_done.store(true, Ordering::Release);
            (ok(&uploaded), started.elapsed())
        });
        let mut times = Vec::new();
        while !is_done.load(Ordering::Acquire) {
            times.push(post());
        }
        let (uploaded, took) = uploading.join().unwrap();
        assert_eq!((&uploaded["rows"], &uploaded["derived"]["number"]), (&json!(ROWS), &json!(2)));
        told("meanwhile", times);
        println!("upload to activation: {took:?} for {} MiB", csv.len() >> 20);
        told("after", (0..BEFORE).map(|_| post()).collect());
    });
    println!("memory: {memory} MiB before, {} MiB after", resident(&gateway));
    assert_eq!(gateway.status()["wal"]["durable_lsn"], sent, "an event that was lost or repeated");
    for (tailnum, expected) in
        [("N0999999", "accepted"), ("N0123456", "accepted"), ("N1000000", "quarantined")]
    {
        assert_eq!(status_of(&gateway, &tenant, tailnum), expected);
    }
    let refused = put(&gateway, "", CSV, format!("{csv}N9999999,,,,\n").as_bytes());
    assert!(
        refused.status == 400 && refused.text().contains("more than 1000000 rows"),
        "{}",
        refused.status
    );
    assert_quiet(&gateway);
}
