//! What is sent again, when, how often at most, and what is never sent again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::server::{Reply, serve};
use crate::support::{Ledger, events_of, numbered, options, receipt, receipts};
use tidegate_connector::{Connector, ConnectorOptions, Endpoint, Stopped, Summary};

async fn post(options: ConnectorOptions, count: u64) -> (Summary, Ledger) {
    let mut ledger = Ledger::default();
    let connector = Connector::new(options).unwrap();
    let summary = connector.post(numbered(count), |settled| ledger.record(settled)).await;
    (summary, ledger)
}

fn all(status: &str, body: &str) -> Reply {
    Reply::Answer(202, receipts(&vec![receipt(status); events_of(body).len()]))
}

#[tokio::test]
async fn only_what_is_unsettled_goes_again() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let address = serve(move |got| {
        let numbers: Vec<u64> =
            events_of(&got.body).iter().map(|event| event["n"].as_u64().unwrap()).collect();
        let mut seen = seen.lock().unwrap();
        let first = seen.is_empty();
        let list: Vec<_> = numbers
            .iter()
            .map(|n| match n {
                _ if !first => receipt("quarantined"),
                1 | 3 => receipt("retry"),
                2 => receipt("rejected"),
                4 => receipt("conflict"),
                _ => receipt("accepted"),
            })
            .collect();
        seen.push(numbers);
        Reply::Answer(202, receipts(&list))
    })
    .await;
    let (summary, ledger) = post(options(address), 5).await;
    assert_eq!(*bodies.lock().unwrap(), [vec![0, 1, 2, 3, 4], vec![1, 3]]);
    let outcomes: Vec<_> = ledger.0.values().map(String::as_str).collect();
    assert_eq!(outcomes, ["accepted", "quarantined", "rejected", "quarantined", "conflict"]);
    assert_eq!((summary.requests, summary.retries), (2, 1));
    assert!(summary.is_complete() && !summary.all_taken());
}

#[tokio::test]
async fn the_wait_that_is_asked_for_is_kept() {
    let asked = Duration::from_millis(300);
    for (status, body) in [
        (503, r#"{"title":"busy","retry_after_ms":300}"#.to_owned()),
        (
            202,
            receipts(&[{
                let mut receipt = receipt("retry");
                receipt["retry_after_ms"] = 300.into();
                receipt
            }]),
        ),
    ] {
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&times);
        let address = serve(move |got| {
            let mut seen = seen.lock().unwrap();
            seen.push(Instant::now());
            if seen.len() == 1 {
                Reply::Answer(status, body.clone())
            } else {
                all("accepted", &got.body)
            }
        })
        .await;
        let (summary, _) = post(options(address), 1).await;
        assert!(summary.all_taken());
        let times = times.lock().unwrap();
        assert_eq!(times.len(), 2);
        assert!(times[1] - times[0] >= asked, "{:?}", times[1] - times[0]);
    }
}

#[tokio::test]
async fn a_wait_beyond_the_time_allowed_is_not_begun() {
    let address =
        serve(|_| Reply::Answer(503, r#"{"title":"busy","retry_after_ms":3600000}"#.to_owned()))
            .await;
    let (summary, ledger) = post(options(address), 3).await;
    assert!(summary.elapsed < Duration::from_secs(30));
    assert_eq!(ledger.count("unsettled"), 3);
    let Some(Stopped::GaveUp(why)) = summary.stopped else { panic!("{:?}", summary.stopped) };
    assert!(why.contains("busy") && why.contains("3600000"), "{why}");
}

#[tokio::test]
async fn a_gateway_that_is_away_ends_the_run() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = options(address);
    options.retry.max_attempts = 3;
    options.connections = 1;
    let (summary, ledger) = post(options, 250).await;
    assert_eq!((summary.requests, summary.retries), (3, 2));
    assert_eq!((ledger.0.len(), ledger.count("unsettled")), (100, 100));
    let Some(Stopped::GaveUp(why)) = summary.stopped else { panic!("{:?}", summary.stopped) };
    assert!(why.contains("no connection") && why.contains("3 attempts"), "{why}");
}

#[tokio::test]
async fn events_that_stay_in_flight_are_given_up_alone() {
    let address = serve(|got| {
        let list: Vec<_> = events_of(&got.body)
            .iter()
            .map(|event| receipt(if event["n"] == 42 { "retry" } else { "accepted" }))
            .collect();
        Reply::Answer(202, receipts(&list))
    })
    .await;
    let mut options = options(address);
    options.retry.max_attempts = 4;
    let (summary, ledger) = post(options, 500).await;
    assert_eq!(
        (ledger.0.len(), ledger.count("accepted"), ledger.count("unsettled")),
        (500, 499, 1)
    );
    assert!(ledger.0[&42].contains("4 attempts"), "{}", ledger.0[&42]);
    assert_eq!((summary.stopped, summary.unsettled, summary.retries), (None, 1, 3));
}

#[tokio::test]
async fn what_spoils_a_batch_is_found_and_refused_alone() {
    let address = serve(|got| {
        if got.body.contains(r#""n":7}"#) || got.body.contains(r#""n":61}"#) {
            return Reply::Answer(400, r#"{"title":"bad","detail":"repeated name"}"#.to_owned());
        }
        all("accepted", &got.body)
    })
    .await;
    let (summary, ledger) = post(options(address), 100).await;
    assert_eq!((ledger.count("accepted"), ledger.count("refused")), (98, 2));
    for index in [7, 61] {
        assert_eq!(ledger.0[&index], "refused: bad: repeated name");
    }
    assert!(summary.is_complete() && !summary.all_taken());
    assert!(summary.requests <= 2 * (2 * 7 + 1), "{} requests", summary.requests);
    assert_eq!(summary.retries, 0);
}

#[tokio::test]
async fn refused_credentials_end_the_run_at_once() {
    let address =
        serve(|_| Reply::Answer(401, r#"{"title":"no","detail":"unknown key"}"#.to_owned())).await;
    let (summary, ledger) = post(options(address), 100_000).await;
    assert!(summary.requests <= 8, "{}", summary.requests);
    assert!(ledger.0.len() <= 800);
    assert_eq!(summary.stopped, Some(Stopped::Refused("no: unknown key".to_owned())));
}

#[tokio::test]
async fn a_request_without_an_answer_is_sent_again() {
    let count = Mutex::new(0);
    let address = serve(move |got| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count == 1 { Reply::Hang } else { all("duplicate", &got.body) }
    })
    .await;
    let mut options = options(address);
    options.request_timeout = Duration::from_millis(100);
    let (summary, ledger) = post(options, 10).await;
    assert_eq!((ledger.count("duplicate"), summary.retries), (10, 1));
    assert!(summary.ack_quantile(1.0) < Duration::from_millis(100));
}

#[tokio::test]
async fn single_events_go_one_by_one() {
    let address = serve(|got| {
        assert_eq!(got.path, "/v1/events");
        let event: serde_json::Value = serde_json::from_str(&got.body).unwrap();
        match event["n"].as_u64().unwrap() {
            1 => Reply::Answer(400, r#"{"title":"rejected","detail":"missing /x"}"#.to_owned()),
            _ => Reply::Answer(202, receipt("accepted").to_string()),
        }
    })
    .await;
    let mut options = options(address);
    options.endpoint = Endpoint::Single;
    let (summary, ledger) = post(options, 3).await;
    let outcomes: Vec<_> = ledger.0.values().map(String::as_str).collect();
    assert_eq!(outcomes, ["accepted", "refused: rejected: missing /x", "accepted"]);
    assert_eq!(summary.requests, 3);
}
