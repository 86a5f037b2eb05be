//! The input's side of a run: how it ends, how it is stopped, and how far it is read ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::server::{Reply, serve};
use crate::support::{Ledger, events_of, numbered, options, receipt, receipts};
use bytes::Bytes;
use tidegate_connector::{Connector, InputError, Stopped};
use tokio::sync::Notify;

fn accept(body: &str) -> Reply {
    Reply::Answer(202, receipts(&vec![receipt("accepted"); events_of(body).len()]))
}

#[tokio::test]
async fn an_input_that_fails_is_sent_up_to_there() {
    let address = serve(|got| accept(&got.body)).await;
    let connector = Connector::new(options(address)).unwrap();
    let failing =
        numbered(150).chain(std::iter::once(Err("line 151: torn".into()))).chain(numbered(9));
    let mut ledger = Ledger::default();
    let summary = connector.post(failing, |settled| ledger.record(settled)).await;
    assert_eq!(ledger.count("accepted"), 150);
    assert_eq!(summary.stopped, Some(Stopped::Input("line 151: torn".to_owned())));
    assert!(!summary.is_complete());
}

#[tokio::test]
async fn an_input_that_panics_is_no_complete_input() {
    let address = serve(|got| accept(&got.body)).await;
    let connector = Connector::new(options(address)).unwrap();
    let panicking = numbered(10).map(|event: Result<Bytes, InputError>| match event {
        Ok(event) if event.ends_with(b":5}") => panic!("on purpose"),
        other => other,
    });
    let summary = connector.post(panicking, drop).await;
    assert!(matches!(summary.stopped, Some(Stopped::Input(_))), "{:?}", summary.stopped);
}

#[tokio::test]
async fn broken_lines_are_refused_without_spoiling_their_batch() {
    let address = serve(|got| accept(&got.body)).await;
    let connector = Connector::new(options(address)).unwrap();
    let lines = ["{\"a\":1}", "{\"a\":", "[1,2]", "{} {}", "\u{feff}{}", "null"];
    let mut ledger = Ledger::default();
    let events = lines.map(|line| Ok(Bytes::from_static(line.as_bytes())));
    let summary = connector.post(events, |settled| ledger.record(settled)).await;
    assert_eq!((ledger.count("accepted"), ledger.count("refused")), (3, 3));
    assert_eq!((summary.refused, summary.requests), (3, 1));
}

#[tokio::test]
async fn a_stop_ends_what_hangs_and_tells_what_is_unsettled() {
    let arrived = Arc::new(Notify::new());
    let seen = Arc::clone(&arrived);
    let address = serve(move |got| {
        if got.body.contains(r#""n":0}"#) {
            return accept(&got.body);
        }
        seen.notify_one();
        Reply::Hang
    })
    .await;
    let mut options = options(address);
    options.connections = 1;
    let connector = Connector::new(options).unwrap();
    let mut ledger = Ledger::default();
    let stop = arrived.notified();
    let summary =
        connector.post_until(numbered(u64::MAX), stop, |settled| ledger.record(settled)).await;
    assert_eq!(summary.stopped, Some(Stopped::Asked));
    assert_eq!((ledger.count("accepted"), ledger.count("unsettled: Stopped")), (100, 100));
    assert_eq!((summary.events, summary.unsettled, summary.requests), (200, 100, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_ahead_is_bounded() {
    let address = serve(|got| accept(&got.body)).await;
    let mut options = options(address);
    (options.connections, options.batch_events) = (4, 10);
    let settled_count = Arc::new(AtomicU64::new(0));
    let settled = Arc::clone(&settled_count);
    // In each connection's hands, queued, told but not yet counted, being gathered.
    let bound = (4 + 4 + 8 + 1) * 10;
    let events = (0u64..).zip(numbered(20_000)).map(move |(read, event)| {
        let ahead = read - settled.load(Ordering::SeqCst);
        if ahead > bound { Err(format!("{ahead} events ahead").into()) } else { event }
    });
    let connector = Connector::new(options).unwrap();
    let count = |_| {
        settled_count.fetch_add(1, Ordering::SeqCst);
    };
    let summary = connector.post(events, count).await;
    assert_eq!((summary.stopped.clone(), summary.events), (None, 20_000));
    assert!(summary.all_taken());
}
