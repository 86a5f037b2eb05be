//! SIGKILL at random moments of administration: while components are admitted, while revisions are
//! swapped and candidates tried, and while stored events are replayed. After the next start each act
//! was done or was not, never half, and what the gateway tells of it agrees (D5, P3, P6).

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test: a panic is its failure")]

#[cfg(test)]
mod admission;
#[cfg(test)]
mod history;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod swaps;

use std::ops::Range;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tidegate_testkit::{Connection, Gateway};

const JSON: &str = "application/json";

/// A kill in the middle of a write leaves a torn tail, which is told.
const TORN: [&str; 1] = ["torn tail"];

fn get(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.admin("GET", path, JSON, b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn list(value: &Value, member: &str) -> Vec<Value> {
    value[member].as_array().unwrap_or_else(|| panic!("no {member}: {value}")).clone()
}

/// A random moment; nothing is waited for.
fn pause(random: &mut StdRng, millis: Range<u64>) {
    let micros = random.random_range(millis.start * 1000..millis.end * 1000);
    std::thread::sleep(Duration::from_micros(micros));
}

/// A POST that the kill may come before, within or after; its answer, where one came.
fn post_and_kill(
    gateway: &mut Gateway,
    path: &str,
    (content_type, body): (&str, &[u8]),
    kill_after: impl FnOnce(),
) -> Option<(u16, Value)> {
    let token = std::fs::read_to_string(gateway.folder().join("admin-token")).unwrap();
    let (authorization, address) = (format!("Bearer {}", token.trim()), gateway.admin.clone());
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || {
            let headers =
                [("authorization", authorization.as_str()), ("content-type", content_type)];
            let answer = Connection::open(&address)?.request("POST", path, &headers, body)?;
            Ok::<_, std::io::Error>((answer.status, answer.json()))
        });
        kill_after();
        gateway.kill();
        asking.join().unwrap().ok()
    })
}
