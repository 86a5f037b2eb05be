//! `exchanges.json`: what is sent, when, and what comes of it; by `Connector::post`, by `Client::send`, and
//! through a spool.

use std::collections::BTreeMap;
use std::future::ready;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use tidegate_connector::{
    Client, ClientOptions, Connector, Credential, Encoding, Endpoint, Outcome, RequestRecord,
    Settled, TokenSource,
};
use tidegate_types::Status;

use crate::server::{Got, Server};

/// Gives out one token after the other.
struct Tokens {
    list: Vec<String>,
    at: AtomicUsize,
}

impl TokenSource for Tokens {
    fn token(&self, renew: bool) -> tidegate_connector::TokenFuture<'_> {
        let at = self.at.fetch_add(usize::from(renew), Ordering::Relaxed) + usize::from(renew);
        Box::pin(ready(Ok(self.list[at].clone())))
    }
}

fn options(url: &str, given: &Map<String, Value>) -> ClientOptions {
    let mut options = ClientOptions::new(url, "tg_test_key");
    options.batch_age = Duration::from_secs(3600);
    let connector = &mut options.connector;
    connector.connections = 1;
    connector.request_timeout = Duration::from_secs(5);
    connector.retry.first_delay = Duration::from_millis(1);
    connector.retry.max_delay = Duration::from_millis(4);
    for (name, value) in given {
        let number = value.as_u64().unwrap_or_default();
        match name.as_str() {
            "batch_events" => connector.batch_events = number as usize,
            "batch_bytes" => connector.batch_bytes = number as usize,
            "max_attempts" => connector.retry.max_attempts = number as u32,
            "max_elapsed_ms" => connector.retry.max_elapsed = Duration::from_millis(number),
            "request_timeout_ms" => connector.request_timeout = Duration::from_millis(number),
            "encoding" => {
                connector.encoding = match value.as_str().unwrap() {
                    "gzip" => Encoding::Gzip,
                    "zstd" => Encoding::Zstd,
                    other => panic!("{other}"),
                }
            }
            "endpoint" => {
                assert_eq!(value, "single");
                connector.endpoint = Endpoint::Single;
            }
            "bearer" => {
                let list = value.as_array().unwrap().iter();
                let list = list.map(|token| token.as_str().unwrap().to_owned()).collect();
                connector.credential =
                    Credential::Tokens(Arc::new(Tokens { list, at: AtomicUsize::new(0) }));
            }
            other => panic!("{other}"),
        }
    }
    options
}

fn expanded(event: &Value) -> String {
    let mut event = event.clone();
    if let Some(pad) = event.get("pad").cloned() {
        let (repeat, salt) = (pad["repeat"].as_str().unwrap(), pad["salt"].as_u64().unwrap_or(0));
        let times = pad["times"].as_u64().unwrap();
        event["pad"] =
            (0..times).map(|n| format!("{repeat}{}", n * salt)).collect::<String>().into();
    }
    event.to_string()
}

fn key_of(event: &[u8]) -> Value {
    serde_json::from_slice::<Value>(event).unwrap()["idempotencyKey"].clone()
}

/// Outcomes in the order of the events.
async fn posted(options: ClientOptions, events: Vec<String>) -> Vec<Settled> {
    let mut told = BTreeMap::new();
    let connector = Connector::new(options.connector).unwrap();
    let events = events.into_iter().map(|event| Ok(event.into()));
    connector.post(events, |settled| assert!(told.insert(settled.index, settled).is_none())).await;
    told.into_values().collect()
}

async fn sent(
    mut options: ClientOptions,
    spool: Option<&Path>,
    events: Vec<String>,
) -> Vec<Settled> {
    options.spool = spool.map(Path::to_owned);
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let client = Client::open(options, move |settled| teller.lock().unwrap().push(settled.clone()));
    let client = client.await.unwrap();
    let mut keys = Vec::new();
    for event in events {
        keys.push(Value::from(client.send(event).await.unwrap()));
    }
    let report = client.close(Duration::from_secs(20)).await;
    assert_eq!(report.spooled, 0);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), keys.len());
    let of = |key: &Value| told.iter().find(|settled| key_of(&settled.event) == *key);
    keys.iter().map(|key| of(key).expect("each event has its outcome").clone()).collect()
}

async fn check(case: &Value, mode: &str) {
    let server = Server::with_replies(case["server"].as_array().unwrap().clone()).await;
    let empty = Map::new();
    let mut options = options(&server.url, case["options"].as_object().unwrap_or(&empty));
    let records: Arc<Mutex<Vec<RequestRecord>>> = Arc::default();
    let hook = Arc::clone(&records);
    options.connector.on_request =
        Some(Arc::new(move |record: &RequestRecord| hook.lock().unwrap().push(record.clone())));
    let events = case["events"].as_array().unwrap().iter().map(expanded).collect();
    let folder = tempfile::tempdir().unwrap();
    let outcomes = match mode {
        "post" => posted(options, events).await,
        "send" => sent(options, None, events).await,
        _ => sent(options, Some(folder.path()), events).await,
    };
    let requests = case["requests"].as_array().unwrap();
    check_requests(requests, &server.got());
    check_outcomes(case["outcomes"].as_array().unwrap(), &outcomes);
    let records = records.lock().unwrap();
    assert_eq!(records.len(), requests.len());
    for (row, record) in case["metrics"].as_array().into_iter().flatten().zip(records.iter()) {
        assert_eq!(row["events"], record.events);
        assert_eq!(row["attempt"], record.attempt);
        assert_eq!(row["http_status"], record.http_status.unwrap_or(0));
        for (status, count) in Status::ALL.iter().zip(record.receipts) {
            let expected = row["receipts"][status.as_str()].as_u64().unwrap_or(0);
            assert_eq!(expected, count as u64, "{}", status.as_str());
        }
    }
}

fn check_requests(expected: &[Value], got: &[Got]) {
    let sent: Vec<Option<Vec<Value>>> = got
        .iter()
        .map(|got| Some(got.events.as_ref()?.iter().map(|e| e["idempotencyKey"].clone()).collect()))
        .collect();
    let mut minted: BTreeMap<String, Value> = BTreeMap::new();
    let mut named = Vec::new();
    for (at, row) in expected.iter().enumerate() {
        named.push(row["keys"].as_array().map(|keys| {
            let key = |(place, name): (usize, &Value)| match name.as_str().unwrap() {
                new if new.starts_with('$') => {
                    let key = || sent[at].as_ref().unwrap()[place].clone();
                    minted.entry(new.to_owned()).or_insert_with(key).clone()
                }
                name => name.into(),
            };
            keys.iter().enumerate().map(key).collect::<Vec<Value>>()
        }));
    }
    assert_eq!(named, sent);
    for (row, got) in expected.iter().zip(got) {
        for (name, value) in [
            ("method", Value::from(got.method.as_str())),
            ("path", got.path.as_str().into()),
            ("connection", got.connection.into()),
        ] {
            assert_eq!(*row.get(name).unwrap_or(&value), value);
        }
        for (name, value) in row["headers"].as_object().into_iter().flatten() {
            assert_eq!(value.as_str(), got.headers.get(name).map(String::as_str), "{name}");
        }
    }
    for (row, pair) in expected.iter().skip(1).zip(got.windows(2)) {
        let [before, after] = pair else { unreachable!() };
        let Some(answered) = before.answered else { continue };
        let waited = after.at.duration_since(answered);
        let least = Duration::from_millis(row["min_wait_ms"].as_u64().unwrap_or(0));
        let most = Duration::from_millis(row["max_wait_ms"].as_u64().unwrap_or(u64::MAX));
        assert!((least..=most).contains(&waited), "{waited:?}");
    }
}

fn check_outcomes(expected: &[Value], outcomes: &[Settled]) {
    assert_eq!(expected.len(), outcomes.len());
    for (row, settled) in expected.iter().zip(outcomes) {
        let (status, why) = match &settled.outcome {
            Outcome::Receipt(receipt) => (receipt.status.as_str(), String::new()),
            Outcome::Refused(problem) => ("refused", problem.to_string()),
            Outcome::Unsettled(why) => ("undelivered", format!("{why:?}")),
        };
        assert_eq!(row["status"], status);
        let attempts = Value::from(settled.attempts);
        assert_eq!(*row.get("attempts").unwrap_or(&attempts), attempts);
        assert!(why.contains(row["why"].as_str().unwrap_or_default()), "{why}");
        let Outcome::Receipt(receipt) = &settled.outcome else { continue };
        let codes: Value = receipt.findings.iter().map(|f| Value::from(f.code.as_ref())).collect();
        assert_eq!(*row.get("findings").unwrap_or(&codes), codes);
        let receipt = serde_json::to_value(receipt).unwrap();
        for name in ["event_id", "first_status"] {
            assert_eq!(*row.get(name).unwrap_or(&receipt[name]), receipt[name]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_go_as_the_table_says() {
    let table: Value =
        serde_json::from_str(include_str!("../../../conformance/exchanges.json")).unwrap();
    for case in table["cases"].as_array().unwrap() {
        let modes = case["modes"].as_array().map_or(vec!["post", "send", "spool"], |modes| {
            modes.iter().map(|mode| mode.as_str().unwrap()).collect()
        });
        for mode in modes {
            eprintln!("{} ({mode})", case["name"]);
            check(case, mode).await;
        }
    }
}
