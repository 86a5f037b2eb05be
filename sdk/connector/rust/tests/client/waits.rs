//! The client in time: who waits, for how long, and what is told at the end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_connector::{
    Client, ClientOptions, InvalidEvent, Outcome, SendError, Settled, Stopped, Unsettled,
};

use crate::server::Server;

const LONG: Duration = Duration::from_secs(30);

fn accepted() -> Value {
    json!({ "status": 202, "receipts": "accepted" })
}

fn options(server: &Server) -> ClientOptions {
    let mut options = ClientOptions::new(server.url.as_str(), "k");
    options.connector.retry.first_delay = Duration::from_millis(1);
    options.connector.retry.max_delay = Duration::from_millis(4);
    options
}

/// A client, and what it tells.
async fn open(options: ClientOptions) -> (Client, Arc<Mutex<Vec<Settled>>>) {
    let told: Arc<Mutex<Vec<Settled>>> = Arc::default();
    let teller = Arc::clone(&told);
    let client = Client::open(options, move |settled| teller.lock().unwrap().push(settled.clone()));
    (client.await.unwrap(), told)
}

#[tokio::test]
async fn send_waits_for_room_or_tells() {
    for kind in ["events", "bytes", "spool"] {
        let folder = tempfile::tempdir().unwrap();
        // Busy for as long as the test wants, and then ready.
        let busy = Arc::new(Mutex::new(true));
        let is_busy = Arc::clone(&busy);
        let server = Server::start(move |_, _| {
            if *is_busy.lock().unwrap() { json!({ "status": 503, "text": "" }) } else { accepted() }
        })
        .await;
        let mut options = options(&server);
        options.connector.batch_events = 1;
        options.connector.retry.max_attempts = u32::MAX;
        match kind {
            "events" => options.queue_events = 3,
            "bytes" => options.queue_bytes = 3 * 153,
            _ => {
                options.spool = Some(folder.path().to_owned());
                options.spool_bytes = 4096;
            }
        }
        let (client, told) = open(options).await;
        let event = format!(r#"{{"idempotencyKey":"k","pad":"{}"}}"#, "x".repeat(121));
        let mut taken = 0;
        loop {
            match client.send_within(event.clone(), Duration::from_millis(50)).await {
                Ok(key) => assert_eq!(key.as_deref(), Some("k")),
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
            taken += 1;
        }
        assert_eq!(taken, if kind == "spool" { 25 } else { 3 });
        assert_eq!(client.held().events, taken);
        let mut waiting = Box::pin(client.send(event));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
        assert!(early.is_err(), "{kind}: it did not wait");
        *busy.lock().unwrap() = false;
        waiting.await.unwrap();
        assert!(client.flush(LONG).await, "{kind}");
        assert_eq!(told.lock().unwrap().len(), taken + 1);
        client.close(LONG).await;
    }
}

#[tokio::test]
async fn what_is_appended_is_delivered_though_its_sender_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| accepted()).await;
    let mut options = options(&server);
    options.spool = Some(folder.path().to_owned());
    let (client, told) = open(options).await;
    for n in 0..50 {
        let mut sending = Box::pin(client.send(format!(r#"{{"n":{n}}}"#)));
        // Polled once: the disk has it in hand, and nobody waits for it.
        tokio::select! { biased; _ = &mut sending => {}, () = std::future::ready(()) => {} }
    }
    client.send(r#"{"n":50}"#).await.unwrap();
    assert!(client.flush(LONG).await);
    assert!(client.close(LONG).await.spooled == 0 && !told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_never_fits_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_replies(Vec::new()).await;
    let mut memory = options(&server);
    memory.queue_bytes = 100;
    let mut spool = options(&server);
    spool.spool = Some(folder.path().to_owned());
    spool.spool_bytes = 4096;
    for options in [memory, spool] {
        let (client, _) = open(options).await;
        let sent = client.send(format!(r#"{{"pad":"{}"}}"#, "x".repeat(5000))).await;
        assert!(matches!(sent, Err(SendError::Invalid(InvalidEvent::TooLong))), "{sent:?}");
    }
}

#[tokio::test]
async fn age_ends_the_wait_for_company_and_flush_does_too() {
    let server = Server::start(|_, _| accepted()).await;
    let mut options = options(&server);
    options.batch_age = Duration::from_millis(200);
    let (client, told) = open(options.clone()).await;
    let begun = Instant::now();
    client.send(r#"{"n":1}"#).await.unwrap();
    client.send(r#"{"n":2}"#).await.unwrap();
    while client.held().events > 0 {
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(199));
    assert_eq!(server.got().len(), 1);
    assert_eq!(told.lock().unwrap().len(), 2);
    client.close(LONG).await;
    options.batch_age = Duration::from_secs(3600);
    let (client, _) = open(options).await;
    client.send(r#"{"n":3}"#).await.unwrap();
    assert!(client.flush(LONG).await);
    assert_eq!(client.held().events, 0);
}

#[tokio::test]
async fn close_tells_what_was_not_delivered() {
    for keep in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(|_, _| json!({ "hang": true })).await;
        let mut options = options(&server);
        options.connector.connections = 1;
        options.connector.batch_events = 2;
        options.spool = keep.then(|| folder.path().to_owned());
        let (client, told) = open(options).await;
        for n in 0..5 {
            client.send(format!(r#"{{"n":{n}}}"#)).await.unwrap();
        }
        while server.got().is_empty() {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        let report = client.close(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        let told = told.lock().unwrap();
        if keep {
            assert_eq!((report.spooled, report.undelivered.len(), told.len()), (5, 0, 0));
            continue;
        }
        assert_eq!((report.spooled, report.undelivered.len(), told.len()), (0, 5, 5));
        let lost = report.undelivered.iter();
        let lost: Vec<_> = lost.map(|settled| (settled.index, settled.attempts)).collect();
        assert_eq!(lost, [(0, 1), (1, 1), (2, 0), (3, 0), (4, 0)]);
        for settled in told.iter() {
            assert!(matches!(settled.outcome, Outcome::Unsettled(Unsettled::Stopped)));
        }
    }
}

#[tokio::test]
async fn refused_credentials_stop_the_client_and_a_spool_keeps_the_rest() {
    for keep in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let refused = json!({ "status": 403, "body": { "title": "the API key was revoked" } });
        let server = Server::with_replies(vec![refused, accepted()]).await;
        let mut options = options(&server);
        options.batch_age = Duration::from_secs(3600);
        options.spool = keep.then(|| folder.path().to_owned());
        let (client, told) = open(options.clone()).await;
        client.send(r#"{"n":1}"#).await.unwrap();
        client.send(r#"{"n":2}"#).await.unwrap();
        assert!(!client.flush(LONG).await);
        let sent = client.send(r#"{"n":3}"#).await;
        let Err(SendError::Stopped(Stopped::Refused(why))) = sent else { panic!("{sent:?}") };
        assert!(why.contains("revoked"), "{why}");
        let report = client.close(LONG).await;
        assert_eq!(report.spooled, if keep { 2 } else { 0 });
        assert_eq!(told.lock().unwrap().len(), if keep { 0 } else { 2 });
        if keep {
            let (client, told) = open(options).await;
            assert!(client.flush(LONG).await);
            assert_eq!(told.lock().unwrap().len(), 2);
            let got = server.got();
            assert_eq!(got[0].events, got[1].events);
        }
    }
}

#[tokio::test]
async fn a_callback_that_panics_stops_the_client_and_settles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| accepted()).await;
    let mut options = options(&server);
    options.spool = Some(folder.path().to_owned());
    let client = Client::open(options.clone(), |_| panic!("the ledger is gone")).await.unwrap();
    client.send(r#"{"n":1}"#).await.unwrap();
    assert!(!client.flush(LONG).await);
    assert_eq!(client.stopped(), Some(Stopped::Callback));
    assert!(matches!(client.send(r#"{"n":2}"#).await, Err(SendError::Stopped(_))));
    drop(client);
    // The folder is free when the tasks of the first are gone.
    let (client, told) = loop {
        let told: Arc<Mutex<Vec<Settled>>> = Arc::default();
        let teller = Arc::clone(&told);
        let opened = Client::open(options.clone(), move |settled| {
            teller.lock().unwrap().push(settled.clone());
        });
        match opened.await {
            Ok(client) => break (client, told),
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
    };
    assert!(client.flush(LONG).await);
    assert_eq!(told.lock().unwrap().len(), 1);
}
