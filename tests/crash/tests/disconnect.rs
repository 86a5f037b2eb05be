//! A client that disconnects at any moment: each of its events is stored once and its key settled,
//! or not stored and its key free (D4).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tidegate_crash::{Ledger, answers, load, log, readings, seed, stored};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::Status;

/// Tries until no key of an abandoned request is in flight any more.
const TRIES: usize = 2000;

struct Sender<'a> {
    gateway: &'a Gateway,
    tenant: &'a Tenant,
    ledger: &'a Ledger,
    random: StdRng,
    /// Events of new keys so far.
    sent: usize,
    /// How often a key was in flight still when it was sent again.
    met_in_flight: usize,
}

/// How the client goes away.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// FIN: it closes.
    Close,
    /// RST: it is gone at once, with all that was on its way to it.
    Reset,
}

impl Sender<'_> {
    fn new_keys(&mut self, count: usize) -> Vec<String> {
        self.sent += count;
        (self.sent - count..self.sent).map(|number| format!("gone-{number}")).collect()
    }

    fn request(&self, keys: &[String]) -> Vec<u8> {
        let events: Vec<Value> = keys.iter().map(|key| readings::reading(key)).collect();
        let (path, body) = match events.as_slice() {
            [event] => ("/v1/events", event.to_string()),
            events => ("/v1/events/batch", json!({ "events": events }).to_string()),
        };
        let (key, length) = (&self.tenant.key, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    /// Sends the first bytes of a request, waits for a moment, and leaves.
    fn abandon(&self, request: &[u8], leave: Leave, wait: Duration) {
        let mut stream = TcpStream::connect(&self.gateway.ingress).expect("the gateway listens");
        stream.write_all(request).expect("the gateway reads");
        std::thread::sleep(wait);
        if let Leave::Reset = leave {
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .expect("a socket option");
        }
    }

    /// Sends the events again until each has its outcome; answers how many of them the abandoned
    /// request had stored.
    fn settle(&mut self, keys: &[String]) -> usize {
        self.ledger.send(keys);
        let mut open = keys.to_vec();
        let mut stored = 0;
        for _ in 0..TRIES {
            let events: Vec<Value> = open.iter().map(|key| readings::reading(key)).collect();
            let response = self.tenant.post_batch(self.gateway, &events);
            let receipts = answers::receipts(&response, open.len()).expect("the gateway has room");
            let told = std::mem::take(&mut open).into_iter().zip(receipts);
            for (key, receipt) in told {
                if !self.ledger.hear(&key, &receipt) {
                    open.push(key);
                } else if receipt.status == Status::Duplicate {
                    stored += 1;
                }
            }
            if open.is_empty() {
                return stored;
            }
            // Only while the abandoned request is worked on.
            self.met_in_flight += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("never settled: {open:?}");
    }
}

/// Keys that are not all of rejected readings.
const SIZES: [usize; 4] = [1, 2, 40, 900];

#[test]
fn cut_off_at_any_byte() {
    with_sender(|sender| {
        for leave in [Leave::Close, Leave::Reset] {
            // Within the headers, around their end, within the body, before the last byte.
            let keys = sender.new_keys(12);
            let request = sender.request(&keys);
            let head =
                request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers") + 4;
            let near = [head - 1, head, head + 1, request.len() - 1];
            for cut in (0..request.len()).step_by(97).chain(near) {
                sender.abandon(&request[..cut], leave, Duration::ZERO);
            }
            assert_eq!(sender.settle(&keys), 0, "what never arrived is not stored");
        }
    });
}

#[test]
fn gone_while_the_gateway_works() {
    with_sender(|sender| {
        let mut stored = 0;
        for round in 0..120 {
            // The first key of ten is rejected, so a single event is one of the other nine.
            sender.sent = sender.sent.next_multiple_of(10) + 1;
            let keys = sender.new_keys(SIZES[round % SIZES.len()]);
            let leave = if sender.random.random_bool(0.5) { Leave::Close } else { Leave::Reset };
            let wait = Duration::from_micros(sender.random.random_range(0..4000));
            sender.abandon(&sender.request(&keys), leave, wait);
            stored += usize::from(sender.settle(&keys) > 0);
        }
        assert!(stored > 0, "some requests arrived in full");
        println!("{stored} of 120 were stored, {} times met in flight", sender.met_in_flight);
    });
}

/// Runs a test with a sender of its own, and compares what it was told with what is stored.
fn with_sender(test: impl FnOnce(&mut Sender<'_>)) {
    let seed = seed();
    let mut gateway = Gateway::start();
    let tenant = readings::tenant(&gateway);
    let ledger = Ledger::default();
    let random = StdRng::seed_from_u64(seed);
    test(&mut Sender {
        gateway: &gateway,
        tenant: &tenant,
        ledger: &ledger,
        random,
        sent: 0,
        met_in_flight: 0,
    });
    load::replay(&gateway.ingress, &tenant, &ledger, &ledger.taken());
    assert!(gateway.terminate(), "{}", gateway.log());
    let stored = stored::read(gateway.folder());
    ledger.check(&stored);
    assert_eq!(stored.len(), ledger.taken().len());
    log::assert_quiet(&gateway.log(), &[]);
}
