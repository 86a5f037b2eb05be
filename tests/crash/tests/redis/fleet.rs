//! Three nodes that share nothing but Redis and PostgreSQL: a hundred thousand events, each posted up to
//! three times at any of them, while nodes are killed and Redis stands still for ten seconds (A4, A10, A11).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tidegate_crash::{Ledger, Stored, answers, load, log, readings, seed, stored};
use tidegate_testkit::{Connection, Gateway, Redis, Tenant, postgres};

use crate::{duplicates, wait_until};

const NODES: usize = 3;
const POSTERS: u64 = 4;
/// The Redis stands still for so long; a claim outlasts that and a node's restart.
const CUT: Duration = Duration::from_secs(10);
const LEASE: &str = "20s";
/// Between two requests of one poster, so that the load lasts longer than the trouble.
const PAUSE: Duration = Duration::from_millis(40);

/// How many events: a hundred thousand, or `TIDEGATE_FLEET_EVENTS`.
fn events() -> usize {
    let given = std::env::var("TIDEGATE_FLEET_EVENTS").ok();
    given.map_or(100_000, |text| text.parse().expect("TIDEGATE_FLEET_EVENTS is a number"))
}

/// Every event once, twice or three times, in any order.
fn schedule(random: &mut StdRng) -> Vec<String> {
    let mut all = Vec::new();
    for number in 0..events() {
        let key = format!("fleet-{number}");
        all.extend(std::iter::repeat_n(key, random.random_range(1..=3)));
    }
    all.shuffle(random);
    all
}

fn node(catalog: &str, redis: &str, number: usize) -> Gateway {
    let name = format!("node-{number}");
    let dedup = [("DEDUP__STORE", "redis"), ("REDIS__URL", redis), ("DEDUP__LEASE", LEASE)];
    let shared = [("CATALOG__URL", catalog), ("NODE__NAME", &name)];
    Gateway::start_with(&[&dedup[..], &shared].concat())
}

/// What posters share.
struct Load<'a> {
    addresses: [String; NODES],
    tenant: &'a Tenant,
    ledger: &'a Ledger,
    /// What is to be posted still, in any order; what no receipt has told comes back.
    open: Mutex<Vec<String>>,
    requests: AtomicU64,
    refused: AtomicU64,
}

impl Load<'_> {
    fn take(&self, most: usize) -> Vec<String> {
        let mut open = self.open.lock().unwrap();
        let from = open.len().saturating_sub(most);
        open.split_off(from)
    }

    /// Posts some at any node, until there are none.
    fn run(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        loop {
            let most =
                if random.random_range(0..10) == 0 { 1 } else { random.random_range(50..200) };
            let keys = self.take(most);
            if keys.is_empty() {
                return;
            }
            let address = &self.addresses[random.random_range(0..NODES)];
            let open = self.post(address, &keys);
            self.requests.fetch_add(1, Ordering::Relaxed);
            if !open.is_empty() {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let mut all = self.open.lock().unwrap();
                for key in open {
                    let place = random.random_range(0..=all.len());
                    all.push(key);
                    let last = all.len() - 1;
                    all.swap(place, last);
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What has to be posted again.
    fn post(&self, address: &str, keys: &[String]) -> Vec<String> {
        self.ledger.send(keys);
        let events: Vec<Value> = keys.iter().map(|key| readings::reading(key)).collect();
        let answer = Connection::open(address).and_then(|mut connection| match keys {
            [_] => {
                let body = events[0].to_string();
                let headers = self.tenant.headers();
                connection.request("POST", "/v1/events", &headers, body.as_bytes())
            }
            _ => self.tenant.post_batch_on(&mut connection, &events),
        });
        let receipts = answer.ok().and_then(|answer| answers::receipts(&answer, keys.len()));
        let Some(receipts) = receipts else { return keys.to_vec() };
        let heard = keys.iter().zip(&receipts);
        heard
            .filter(|(key, receipt)| !self.ledger.hear(key, receipt))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

/// Kills and restarts nodes until the load has ended; answers how often, and how many events stored
/// twice the killed processes had counted.
fn trouble(nodes: &mut [Gateway; NODES], random: &mut StdRng, ended: &AtomicBool) -> (u64, u64) {
    let (mut kills, mut counted) = (0, 0);
    while !ended.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(random.random_range(300..1500)));
        let node = &mut nodes[random.random_range(0..NODES)];
        counted += duplicates(node);
        node.kill();
        std::thread::sleep(Duration::from_millis(random.random_range(0..1000)));
        node.launch();
        // It is not ready before Redis answers again.
        node.wait_ready();
        kills += 1;
    }
    (kills, counted)
}

/// Events that are stored more than once, and one of each that the ledger can be held against.
fn apart(all: Vec<Stored>, ledger: &Ledger) -> (Vec<Stored>, usize) {
    let mut by_key: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
    for event in all {
        by_key.entry(event.key()).or_default().push(event);
    }
    let mut twice = 0;
    let one_each = by_key.into_iter().map(|(key, mut events)| {
        twice += events.len() - 1;
        let told = ledger.id_of(&key);
        let at = events.iter().position(|event| told == Some(event.event_id)).unwrap_or(0);
        events.swap_remove(at)
    });
    (one_each.collect(), twice)
}

#[test]
fn three_nodes_lose_nothing() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (redis, catalog) = (Redis::start(), postgres::shared().create_database());
    let url = redis.url();
    let mut nodes: [Gateway; NODES] = std::array::from_fn(|number| node(&catalog, &url, number));
    let (tenant, ledger) = (readings::tenant(&nodes[0]), Ledger::default());
    let known = |node: &Gateway| tenant.post(node, &readings::reading("known-3")).status == 202;
    wait_until("every node knows the tenant", || nodes.iter().all(known));
    ledger.send(&["known-3".to_owned()]);

    let load = Load {
        addresses: std::array::from_fn(|number| nodes[number].ingress.clone()),
        tenant: &tenant,
        ledger: &ledger,
        open: Mutex::new(schedule(&mut random)),
        requests: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    };
    let (half, ended) = (load.open.lock().unwrap().len() / 2, AtomicBool::new(false));
    let (kills, counted) = std::thread::scope(|scope| {
        let load = &load;
        let posters: Vec<_> = (0..POSTERS)
            .map(|number| scope.spawn(move || load.run(seed.wrapping_add(number))))
            .collect();
        let (nodes, random, ended) = (&mut nodes, &mut random, &ended);
        let killing = scope.spawn(move || trouble(nodes, random, ended));
        wait_until("half of it is posted", || load.open.lock().unwrap().len() <= half);
        redis.freeze();
        std::thread::sleep(CUT);
        redis.thaw();
        for poster in posters {
            poster.join().unwrap();
        }
        ended.store(true, Ordering::SeqCst);
        killing.join().unwrap()
    });
    load::settle(&nodes[0].ingress, &tenant, &ledger);
    assert_eq!(ledger.unsettled(), [""; 0]);
    let counted = counted + nodes.iter().map(duplicates).sum::<u64>();

    let mut all = Vec::new();
    for node in &mut nodes {
        assert!(node.terminate(), "{}", node.log());
        all.extend(stored::read(node.folder()));
        log::assert_quiet(&node.log(), &EXPECTED);
    }
    let (one_each, twice) = apart(all, &ledger);
    ledger.check(&one_each);
    assert_eq!(one_each.len(), ledger.taken().len(), "all is settled");
    assert!(twice as u64 <= counted, "{twice} events are stored twice, {counted} were counted");
    println!(
        "{} events in {} requests, {} of them refused in part or whole; {kills} kills; {twice} stored twice, {counted} counted",
        one_each.len(),
        load.requests.load(Ordering::Relaxed),
        load.refused.load(Ordering::Relaxed),
    );
    assert!(kills >= 3, "{kills}");
}

/// What nodes say of all this, and no more.
const EXPECTED: [&str; 6] = [
    "torn tail",
    "redis cannot be used",
    "redis refused a command",
    "keys of the log are not committed yet",
    "keys are settled at the next start",
    "a node",
];
