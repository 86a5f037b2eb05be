//! `tidegate post` against a gateway that is busy, breaks off, rejects, or never answers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::server::{Reply, Request, serve};
use crate::support::{data_dir, ran, run, tidegate, write};

fn receipt(status: &str) -> Value {
    json!({
        "event_id": "0192d4e5-8a7c-7def-bfff-ffffffffffff",
        "received_at": "2024-10-29T00:00:00.000Z",
        "status": status,
    })
}

fn events(request: &Request) -> Vec<Value> {
    assert_eq!(
        (request.line.as_str(), request.header("x-api-key")),
        ("POST /v1/events/batch", "tg_live_key")
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["events"].as_array().unwrap().clone()
}

fn receipts(list: &[Value]) -> Reply {
    Some((202, json!({ "receipts": list }).to_string()))
}

const POST: [&str; 3] = ["post", "--api-key-file", "api-key"];

#[test]
fn a_compressed_csv_is_stored_once_whatever_happens() {
    let stored = Arc::new(Mutex::new(BTreeMap::new()));
    let (seen, requests) = (Arc::clone(&stored), Mutex::new(0));
    let address = serve(move |request| {
        let mut requests = requests.lock().unwrap();
        *requests += 1;
        match *requests % 10 {
            0 => return Some((503, r#"{"title":"busy","retry_after_ms":1}"#.to_owned())),
            1 => return Some((429, String::new())),
            _ => {}
        }
        let mut stored = seen.lock().unwrap();
        let list = events(request).into_iter().enumerate().map(|(place, event)| {
            if place % 3 == 2 && *requests < 20 {
                return receipt("retry");
            }
            let key = event["key"].as_str().unwrap().to_owned();
            let first = stored.insert(key, event).is_none();
            receipt(if first { "accepted" } else { "duplicate" })
        });
        receipts(&list.collect::<Vec<_>>())
    });
    let folder = data_dir(address);
    let mut csv = "flight,delay,tail\n".to_owned();
    for n in 0..2000 {
        csv.push_str(&format!("{n},{},N{n}\n", if n % 2 == 0 { "-1.5" } else { "" }));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv.as_bytes()).unwrap();
    write(&folder, "flights.csv.gz", gzip.finish().unwrap());

    let options =
        ["flights.csv.gz", "--key-field", "key", "--text", "flight", "--batch", "50", "--json"];
    let ran = run(folder.path(), &[&POST[..], &options].concat(), b"");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let summary: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&summary["events"], &summary["unsettled"]), (&json!(2000), &json!(0)), "{summary}");
    assert_eq!(summary["statuses"]["accepted"], json!(2000), "{summary}");
    assert!(summary["retries"].as_u64().unwrap() > 8, "{summary}");
    assert!(summary["ack_ms"]["p99"].as_f64().unwrap() > 0.0, "{summary}");
    let stored = stored.lock().unwrap();
    assert_eq!(stored.len(), 2000);
    let flights: BTreeMap<_, _> =
        stored.values().map(|event| (event["flight"].as_str().unwrap(), event)).collect();
    assert_eq!((&flights["8"]["delay"], &flights["9"]["delay"]), (&json!(-1.5), &json!(null)));
    drop(flights);
    drop(stored);

    let again = run(folder.path(), &[&POST[..], &options].concat(), b"");
    let summary: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(summary["statuses"]["duplicate"], json!(2000), "the keys are the same: {summary}");
}

#[test]
fn what_is_rejected_is_told_and_is_a_failure() {
    let address = serve(|request| {
        let list = events(request).into_iter().map(|event| match event["n"].as_u64() {
            Some(1) => {
                let mut receipt = receipt("rejected");
                receipt["findings"] = json!([
                    {"rule": "required", "code": "missing", "severity": "hard", "pointer": "/tail", "detail": "it is not there"},
                ]);
                receipt
            }
            Some(2) => receipt("conflict"),
            Some(3) => receipt("quarantined"),
            _ => receipt("accepted"),
        });
        receipts(&list.collect::<Vec<_>>())
    });
    let folder = data_dir(address);
    let input = b"{\"n\":0}\n\n{\"n\":1}\r\n{\"n\":2}\n{\"n\":3}\n{\"n\":\n";
    let ran = run(folder.path(), &POST, input);
    assert_eq!(ran.code, 1);
    let lines: Vec<_> = ran.err.lines().collect();
    assert_eq!(lines[0], "event 2: rejected; required/missing at /tail: it is not there");
    assert_eq!(lines[1], "event 3: conflict: its key came before with another payload");
    assert!(
        lines[2].starts_with("event 5: cannot be sent: the event is not valid JSON: "),
        "{}",
        lines[2]
    );
    assert_eq!(lines.len(), 3);
    for line in [
        "events          5", "accepted        1", "quarantined     1", "rejected        1",
        "cannot be sent  1", "required  missing  1",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let allowed = run(folder.path(), &[&POST[..], &["--allow-rejected"]].concat(), input);
    assert_eq!((allowed.code, allowed.err.lines().count()), (0, 3));
}

#[test]
fn a_wrong_key_ends_it_at_once() {
    let address = serve(|_| {
        Some((401, r#"{"title":"valid credentials are needed","detail":"unknown key"}"#.to_owned()))
    });
    let folder = data_dir(address);
    let ran = run(folder.path(), &POST, b"{}\n");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("error: the gateway refused: valid credentials are needed: unknown key"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("unsettled     1"), "{}", ran.out);
}

#[test]
fn an_input_that_breaks_off_is_a_failure() {
    let address = serve(|request| receipts(&vec![receipt("accepted"); events(request).len()]));
    let folder = data_dir(address);
    write(&folder, "ragged.csv", "a,b\n1,2\n3\n");
    write(&folder, "good.ndjson", "{}\n{}\n");
    let ran = run(
        folder.path(),
        &[&POST[..], &["good.ndjson", "ragged.csv", "good.ndjson"]].concat(),
        b"",
    );
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error: the input cannot be read: ragged.csv: "), "{}", ran.err);
    assert!(ran.out.contains("accepted      3"), "{}", ran.out);
    let ran = run(folder.path(), &[&POST[..], &["none.csv"]].concat(), b"");
    assert!(ran.code == 1 && ran.err.contains("none.csv"), "{}", ran.err);
}

#[test]
fn an_interrupt_ends_it_with_the_summary_so_far() {
    let (arrived, waiting) = sync_channel(1);
    let address = serve(move |request| {
        if events(request).iter().any(|event| event["n"] == 1) {
            arrived.send(()).unwrap();
            return None;
        }
        receipts(&[receipt("accepted")])
    });
    let folder = data_dir(address);
    let options = ["--batch", "1", "--connections", "1"];
    let mut child = tidegate(folder.path(), &[&POST[..], &options].concat()).spawn().unwrap();
    // Standard input stays open: the interrupt must not wait for its end.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"n\":0}\n{\"n\":1}\n").unwrap();
    waiting.recv().unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    drop(input);
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("accepted      1") && ran.out.contains("unsettled     1"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("event 2: unsettled: stopped before its answer came"), "{}", ran.err);
    assert!(ran.err.contains("error: stopped on request"), "{}", ran.err);
}
