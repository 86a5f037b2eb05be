//! Load: threads that post readings, each in batches of all sizes, most of them new, some sent
//! again on purpose, some that another thread sends as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tidegate_testkit::{Connection, Response, Tenant};

use crate::answers;
use crate::ledger::Ledger;
use crate::readings;

/// How many threads post.
const THREADS: u64 = 3;
/// The pause before another try where nobody listens, or the gateway asked for a pause.
const PAUSE: Duration = Duration::from_millis(5);
/// How long it may take until all is settled: longer than any claim lasts.
const SETTLING: Duration = Duration::from_secs(60);

/// Posts while `during` runs, and answers what it answers. Everything sent and answered is in the
/// ledger.
pub fn under_load<R>(
    address: &str,
    tenant: &Tenant,
    ledger: &Ledger,
    seed: u64,
    during: impl FnOnce() -> R,
) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also where `during` panics: the scope waits for its threads.
        let _stop = StopOnDrop(&stop);
        for number in 0..THREADS {
            let mut poster = Poster::new(address, tenant, ledger, number, seed);
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    poster.step();
                }
            });
        }
        during()
    })
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends events again until a receipt has told what became of each.
pub fn settle(address: &str, tenant: &Tenant, ledger: &Ledger) {
    let mut poster = Poster::new(address, tenant, ledger, THREADS, 0);
    let deadline = Instant::now() + SETTLING;
    loop {
        let keys = ledger.unsettled();
        if keys.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "never settled: {keys:?}");
        for keys in keys.chunks(500) {
            poster.post(keys);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Sends events that were taken once more: each must be answered as a duplicate of the first.
pub fn replay(address: &str, tenant: &Tenant, ledger: &Ledger, keys: &[String]) {
    let mut poster = Poster::new(address, tenant, ledger, THREADS, 0);
    for keys in keys.chunks(500) {
        let open = poster.post(keys);
        assert!(open.is_empty(), "what is settled is not in flight: {open:?}");
    }
}

/// One thread's view.
struct Poster<'a> {
    address: String,
    tenant: &'a Tenant,
    ledger: &'a Ledger,
    connection: Option<Connection>,
    random: StdRng,
    number: u64,
    /// The number of its next new event.
    next: u64,
    /// Keys whose outcome is open.
    open: Vec<String>,
}

impl<'a> Poster<'a> {
    fn new(address: &str, tenant: &'a Tenant, ledger: &'a Ledger, number: u64, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed.wrapping_add(number));
        let (address, connection, open) = (address.to_owned(), None, Vec::new());
        Self { address, tenant, ledger, connection, random, number, next: 0, open }
    }

    fn step(&mut self) {
        let keys = self.choose();
        let open = self.post(&keys);
        self.open.extend(open);
    }

    fn choose(&mut self) -> Vec<String> {
        let size = match self.random.random_range(0..10) {
            0..3 => 1,
            3..8 => self.random.random_range(2..40),
            _ => self.random.random_range(100..300),
        };
        (0..size).map(|_| self.choose_key()).collect()
    }

    fn choose_key(&mut self) -> String {
        let near = self.random.random_range(0..50);
        let (owner, number) = match self.random.random_range(0..100) {
            0..10 if !self.open.is_empty() => return self.open.swap_remove(0),
            10..15 => (self.number, self.random.random_range(0..=self.next)),
            15..20 => (self.number, self.next.saturating_sub(near)),
            20..25 => ((self.number + 1) % THREADS, self.next + near),
            _ => {
                self.next += 1;
                (self.number, self.next)
            }
        };
        format!("thread-{owner}-{number}")
    }

    /// Posts events; answers the keys whose outcome is open still.
    fn post(&mut self, keys: &[String]) -> Vec<String> {
        self.ledger.send(keys);
        let answer =
            self.exchange(keys).ok().and_then(|response| answers::receipts(&response, keys.len()));
        let Some(receipts) = answer else {
            self.connection = None;
            std::thread::sleep(PAUSE);
            return keys.to_vec();
        };
        let heard = keys.iter().zip(&receipts);
        heard
            .filter(|(key, receipt)| !self.ledger.hear(key, receipt))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn exchange(&mut self, keys: &[String]) -> std::io::Result<Response> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(Connection::open(&self.address)?),
        };
        match keys {
            [key] => {
                let body = readings::reading(key).to_string();
                connection.request("POST", "/v1/events", &self.tenant.headers(), body.as_bytes())
            }
            _ => {
                let events: Vec<Value> = keys.iter().map(|key| readings::reading(key)).collect();
                self.tenant.post_batch_on(connection, &events)
            }
        }
    }
}
