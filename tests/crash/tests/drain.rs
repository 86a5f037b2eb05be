//! Stopping and starting: SIGTERM under load loses nothing, a damaged log stops the start and says
//! where, a torn tail does not (B9, D5).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tidegate_crash::{Ledger, answers, load, log, readings, seed, segment, stored};
use tidegate_testkit::{Connection, Gateway, Tenant};

#[test]
fn terminated_under_load() {
    let seed = seed();
    let mut gateway = Gateway::start();
    let tenant = readings::tenant(&gateway);
    let (ledger, address) = (Ledger::default(), gateway.ingress.clone());
    load::under_load(&address, &tenant, &ledger, seed, || {
        while ledger.count() < 3000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        gateway.ask_to_stop();
        let status = gateway.wait_end();
        assert_eq!(status.code(), Some(0), "{}", gateway.log());
    });
    let stored = stored::read(gateway.folder());
    ledger.check(&stored);
    stored::assert_no_orphans(gateway.folder());
    log::assert_quiet(&gateway.log(), &[]);
    // The next start knows all keys, and settles what was cut off unanswered.
    gateway.restart();
    load::settle(&gateway.ingress, &tenant, &ledger);
    load::replay(&gateway.ingress, &tenant, &ledger, &ledger.taken());
    assert!(gateway.terminate());
    ledger.check(&stored::read(gateway.folder()));
    log::assert_quiet(&gateway.log(), &[]);
}

/// With a delay, load balancers see that the gateway stops while it still takes what they send; a
/// second signal cuts the delay short.
#[test]
fn draining_with_a_delay() {
    let mut gateway = Gateway::start_with(&[("INGRESS__DRAIN_DELAY", "10m")]);
    let tenant = readings::tenant(&gateway);
    gateway.ask_to_stop();
    while gateway.request("GET", "/readyz", &[], b"").status == 200 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(gateway.request("GET", "/readyz", &[], b"").status, 503);
    let ledger = Ledger::default();
    ledger.send(&["late-1".to_owned()]);
    load::settle(&gateway.ingress, &tenant, &ledger);
    gateway.ask_to_stop();
    assert_eq!(gateway.wait_end().code(), Some(0), "{}", gateway.log());
    ledger.check(&stored::read(gateway.folder()));
}

/// A request that is on its way when the gateway is told to stop is answered, and load balancers
/// that ask meanwhile are sent elsewhere.
#[test]
fn draining() {
    let mut gateway = Gateway::start();
    let tenant = readings::tenant(&gateway);
    let key = "slow-5".to_owned();
    let body = readings::reading(&key).to_string();
    let mut slow = gateway.connect();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: test\r\nx-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        tenant.key,
        body.len()
    );
    slow.send(head.as_bytes()).expect("the gateway reads");
    // 100 says that the gateway waits for the body.
    assert_eq!(slow.receive().expect("an answer").status, 100);
    let mut asking = gateway.connect();
    asking.send(b"GET /readyz HTTP/1.1\r\nhost: te").expect("the gateway reads");
    assert_eq!(gateway.request("GET", "/readyz", &[], b"").status, 200);

    gateway.ask_to_stop();
    while Connection::open(&gateway.ingress).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    asking.send(b"st\r\n\r\n").expect("the gateway reads on");
    let answer = asking.receive().expect("an answer");
    assert_eq!(
        (answer.status, answer.json()["detail"].as_str()),
        (503, Some("the gateway is stopping"))
    );
    slow.send(body.as_bytes()).expect("the gateway reads on");
    let receipts = answers::receipts(&slow.receive().expect("an answer"), 1).expect("a receipt");
    assert_eq!(gateway.wait_end().code(), Some(0), "{}", gateway.log());
    let ledger = Ledger::default();
    ledger.send(std::slice::from_ref(&key));
    ledger.hear(&key, &receipts[0]);
    ledger.check(&stored::read(gateway.folder()));
    log::assert_quiet(&gateway.log(), &[]);
}

#[test]
fn a_damaged_log_stops_the_start() {
    let (mut gateway, tenant, ledger) = killed_with_events();
    let (path, whole, frames) = segment::last_written(gateway.folder());
    let frame = frames.iter().find(|frame| frame.len() > 100).expect("a group").clone();
    let mut damaged = whole.clone();
    damaged[frame.start + frame.len() / 2] ^= 0x10;
    std::fs::write(&path, &damaged).unwrap();
    let before = contents(&gateway.folder().join("wal"));

    gateway.launch();
    let status = gateway.wait_end();
    assert!(!status.success(), "it must not start");
    let wanted = format!("{} is damaged at byte {}", path.display(), frame.start);
    assert!(gateway.log().contains(&wanted), "`{wanted}` must be in the log: {}", gateway.log());
    assert_eq!(contents(&gateway.folder().join("wal")), before, "to refuse is to change nothing");

    std::fs::write(&path, &whole).unwrap();
    gateway.restart();
    load::replay(&gateway.ingress, &tenant, &ledger, &ledger.taken());
    assert!(gateway.terminate());
    ledger.check(&stored::read(gateway.folder()));
    log::assert_quiet(&gateway.log(), &[]);
}

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let (mut gateway, tenant, ledger) = killed_with_events();
    let (path, mut bytes, frames) = segment::last_written(gateway.folder());
    let end = frames.last().expect("frames").end;
    let group = frames.iter().find(|frame| frame.len() > 100).expect("a group").clone();
    // A group of which only a part came to the disk.
    let torn = bytes[group.start..group.start + group.len() * 3 / 4].to_vec();
    bytes[end..end + torn.len()].copy_from_slice(&torn);
    std::fs::write(&path, &bytes).unwrap();

    gateway.restart();
    assert_eq!(gateway.status()["wal"]["torn_files"], 1);
    let kept = segment::files(gateway.folder(), ".torn");
    let kept: Vec<_> = kept.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let length = torn.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    assert_eq!(kept, [&torn[..length]]);
    load::replay(&gateway.ingress, &tenant, &ledger, &ledger.taken());
    assert!(gateway.terminate());
    ledger.check(&stored::read(gateway.folder()));
    log::assert_quiet(&gateway.log(), &["torn tail"]);
}

/// A gateway that was killed with several groups in its log, none of them published.
fn killed_with_events() -> (Gateway, Tenant, Ledger) {
    let mut gateway = Gateway::start_with(&[
        ("STORAGE__FLUSH_AFTER", "1h"),
        ("INGRESS__MAX_BODY_BYTES", "512KiB"),
        ("WAL__SEGMENT_BYTES", "1MiB"),
        ("WAL__GROUP_BYTES", "256KiB"),
    ]);
    let tenant = readings::tenant(&gateway);
    let ledger = Ledger::default();
    for batch in 0..5 {
        let keys: Vec<String> =
            (0..20).map(|number| format!("kept-{}", batch * 20 + number)).collect();
        let events: Vec<Value> = keys.iter().map(|key| readings::reading(key)).collect();
        ledger.send(&keys);
        let receipts =
            answers::receipts(&tenant.post_batch(&gateway, &events), keys.len()).expect("room");
        for (key, receipt) in keys.iter().zip(&receipts) {
            ledger.hear(key, receipt);
        }
    }
    gateway.kill();
    (gateway, tenant, ledger)
}

/// The files of a folder with their bytes.
fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}
