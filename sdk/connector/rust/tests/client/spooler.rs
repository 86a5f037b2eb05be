//! What was taken is delivered after kill -9: this test program starts itself as a child that sends
//! through a spool, and kills it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tidegate_connector::{Client, ClientOptions};

use crate::server::Server;

const CHILD: &str = "TIDEGATE_CONNECTOR_SPOOLER";

fn options(url: &str, folder: &Path) -> ClientOptions {
    let mut options = ClientOptions::new(url, "k");
    options.spool = Some(folder.to_owned());
    options.spool_bytes = 1 << 20;
    options.batch_age = Duration::from_millis(1);
    options.connector.retry.first_delay = Duration::from_millis(1);
    options.connector.retry.max_delay = Duration::from_millis(10);
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_is_delivered_after_kill_9() {
    if let Ok(words) = std::env::var(CHILD) {
        return spool_until_killed(&words).await;
    }
    let delivered: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let seen = Arc::clone(&delivered);
    let server = Server::start(move |index, got| {
        if index % 7 == 3 {
            return json!({ "status": 503, "text": "" });
        }
        for event in got.events.iter().flatten() {
            seen.lock().unwrap().insert(event["idempotencyKey"].as_str().unwrap().to_owned());
        }
        if index % 11 == 5 {
            json!({ "break": true })
        } else {
            json!({ "status": 202, "receipts": "accepted" })
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut random = SmallRng::seed_from_u64(7);
    let mut taken: Vec<u64> = Vec::new();
    for _ in 0..6 {
        let start = taken.last().copied().unwrap_or(0) + 1000;
        let words = format!("{} {} {start}", server.url, folder.path().display());
        let lines = random.random_range(5..400);
        let told = tokio::task::spawn_blocking(move || run_and_kill(&words, lines)).await.unwrap();
        taken.extend(told);
    }
    let client = Client::open(options(&server.url, folder.path()), |_| ()).await.unwrap();
    assert!(client.flush(Duration::from_secs(60)).await);
    client.close(Duration::from_secs(10)).await;
    assert!(taken.len() > 100);
    let delivered = delivered.lock().unwrap();
    let lost: Vec<_> = taken.iter().filter(|n| !delivered.contains(&format!("k-{n}"))).collect();
    assert_eq!(lost, Vec::<&u64>::new());
}

/// Kills a child after so many events that it has told as taken; answers all that it has told.
fn run_and_kill(words: &str, lines: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spooler::what_was_taken_is_delivered_after_kill_9", "--nocapture"])
        .env(CHILD, words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let number = line.strip_prefix("taken ").and_then(|rest| rest.strip_suffix('.'));
        let Some(number) = number else { continue };
        told.push(number.parse().unwrap());
        if told.len() == lines {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the child ended by itself");
    child.wait().unwrap();
    told
}

async fn spool_until_killed(words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    let [url, folder, start] = words[..] else { panic!("{words:?}") };
    let client = Client::open(options(url, Path::new(folder)), |_| ()).await.unwrap();
    for n in start.parse::<u64>().unwrap().. {
        let event: Value = json!({ "idempotencyKey": format!("k-{n}"), "n": n });
        client.send(event.to_string()).await.unwrap();
        // A line that the kill cuts lacks its point, and may be of any number.
        let mut out = std::io::stdout().lock();
        writeln!(out, "taken {n}.").unwrap();
    }
}
