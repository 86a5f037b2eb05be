//! Replays of stored events. They live as long as the gateway's process.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tidegate_crash::{log, seed, stored};
use tidegate_testkit::{Gateway, Response, Tenant};

use crate::{JSON, TORN, pause};

const EVENTS: usize = 12_000;
const KILLS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(30);

/// Holds flights that are later than a maximum.
fn revision(max: i64) -> Value {
    json!({
        "default_type": "flight",
        "event_types": { "flight": { "key": "/id" } },
        "rules": [{ "name": "late", "component": "expectations", "config": { "expectations": [
            { "name": "delay", "field": "/delay", "expect": { "range": { "max": max } }, "severity": "soft_fail" }] } }]
    })
}

struct Bench {
    gateway: Gateway,
    tenant: Tenant,
    candidate: String,
    /// Replays that were begun.
    ids: HashSet<u64>,
}

impl Bench {
    /// Of a thousand events in a row nine are later than 990, fifteen later than 984.
    fn begin() -> Self {
        let gateway = Gateway::start_with(&[("STORAGE__FLUSH_AFTER", "100ms")]);
        let tenant = Tenant::create(&gateway, "flights");
        tenant.activate(&gateway, &revision(990));
        let mut connection = gateway.connect();
        for from in (0..EVENTS).step_by(500) {
            let event = |n| json!({ "id": format!("f-{n}"), "delay": n % 1000 });
            let events: Vec<Value> = (from..from + 500).map(event).collect();
            let answer = tenant.post_batch_on(&mut connection, &events).unwrap();
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
        let candidate = tenant.revision(&gateway, &revision(984)).json()["digest"].clone();
        let candidate = candidate.as_str().unwrap().to_owned();
        Self { gateway, tenant, candidate, ids: HashSet::new() }
    }

    fn call(&self, method: &str, path: &str) -> Response {
        self.gateway.admin(method, &format!("/v1/tenants/{}/{path}", self.tenant.id), JSON, b"")
    }

    /// Begins a replay; answers its path.
    fn start(&mut self) -> String {
        let begun = self.call("POST", &format!("revisions/{}/replays", self.candidate));
        assert_eq!(begun.status, 202, "{}", begun.text());
        let id = begun.json()["id"].as_u64().unwrap();
        assert!(self.ids.insert(id), "replay {id} is another one already: {:?}", self.ids);
        format!("replays/{id}")
    }

    /// The replay's state. Only where it is done are there numbers, and then all of them.
    fn state(&self, replay: &str) -> String {
        let view = self.call("GET", replay).json();
        let state = view["state"].as_str().unwrap_or_else(|| panic!("no state: {view}"));
        if state == "done" {
            let diff = &view["diff"];
            let flips =
                json!([{ "from": "accepted", "to": "quarantined", "events": EVENTS / 1000 * 6 }]);
            assert_eq!((&diff["seen"], &diff["flips"]), (&json!(EVENTS), &flips), "{view}");
        } else {
            assert!(view.get("diff").is_none(), "half of the numbers: {view}");
        }
        state.to_owned()
    }

    /// A replay of a process before is told as such, not as one that runs or has ended.
    fn assert_gone(&self, replay: &str) {
        let answer = self.call("GET", replay);
        assert_eq!(answer.status, 404, "{replay}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("begin it again"), "{detail}");
    }

    fn until_done(&self, replay: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.state(replay).as_str() {
                "done" => return,
                "running" => assert!(Instant::now() < deadline, "{replay} does not end"),
                other => panic!("{replay} is {other}"),
            }
        }
    }
}

/// D5, P3: a replay that a kill interrupts is over, is told so, and never mistaken for another; what is
/// stored stays as it was.
#[test]
fn a_replay_ends_with_all_its_numbers_or_is_gone() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut bench = Bench::begin();
    bench.gateway.wait_published();
    let mut before = Vec::new();
    let mut interrupted = 0;
    for _ in 0..KILLS {
        let replay = bench.start();
        pause(&mut random, 0..120);
        let state = bench.state(&replay);
        interrupted += usize::from(state == "running");
        bench.gateway.kill();
        bench.gateway.restart();
        before.push(replay);
        before.iter().for_each(|replay| bench.assert_gone(replay));
        // Begun anew it has all the numbers.
        let again = bench.start();
        before.iter().for_each(|replay| bench.assert_gone(replay));
        bench.until_done(&again);
        before.push(again);
    }
    // A gateway that is told to stop does not wait for it, and ends well.
    let last = bench.start();
    assert_eq!(bench.state(&last), "running");
    assert!(bench.gateway.terminate(), "{}", bench.gateway.log());
    let stored = stored::read(bench.gateway.folder());
    assert_eq!(stored.len(), EVENTS, "nothing was added and nothing taken away");
    let held = stored.iter().filter(|event| event.quarantined).count();
    assert_eq!(held, EVENTS / 1000 * 9, "each event as it was judged");
    log::assert_quiet(&bench.gateway.log(), &TORN);
    println!("{interrupted} of {KILLS} kills while the replay ran");
}
