//! Jobs over thousands of events, beside live traffic, killed at random moments.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tidegate_crash::{Ledger, load, readings, seed, stored};

use crate::bench::{Bench, event, revision};

const EVENTS: usize = 6000;
/// Kills while a job runs, at most.
const KILLS: usize = 8;

#[test]
fn a_job_survives_kills_and_settles_every_event_once_beside_live_traffic() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let settings = [
        ("STORAGE__FLUSH_AFTER", "100ms"),
        ("STORAGE__FLUSH_BYTES", "1MiB"),
        ("WAL__SEGMENT_BYTES", "1MiB"),
        ("WAL__GROUP_BYTES", "256KiB"),
        ("WAL__SEAL_AFTER", "50ms"),
        ("INGRESS__MAX_BODY_BYTES", "512KiB"),
    ];
    // All are held at first; the mended rule holds what has no gate.
    let mut bench = Bench::with(-1, &settings);
    let other = readings::tenant(&bench.gateway);
    bench.post(EVENTS);
    assert_eq!(bench.open(), EVENTS as u64);
    let mended = bench.tenant.activate(&bench.gateway, &revision(999));
    let (ledger, address) = (Ledger::default(), bench.gateway.ingress.clone());
    let (job, kills) = load::under_load(&address, &other, &ledger, seed, || {
        let body = json!({ "action": "release", "reason": "mended", "rate": 3000 });
        let job = bench.begin_job(&body);
        let mut kills = 0;
        while kills < KILLS && bench.get(&job)["state"] == "running" {
            std::thread::sleep(Duration::from_millis(random.random_range(20..500)));
            bench.gateway.kill();
            bench.gateway.restart();
            kills += 1;
        }
        (job, kills)
    });
    let done = bench.ended(&job);
    assert!(kills > 0, "the job was killed");
    assert_eq!(done["state"], "done", "{done}");
    let without_gate = EVENTS as u64 / 100;
    assert_eq!(done["released"], EVENTS as u64 - without_gate, "{done}");
    assert_eq!((&done["held_again"], &done["failed"]), (&json!(without_gate), &json!(0)), "{done}");
    assert_eq!(done["progress"]["position"], done["progress"]["end"], "{done}");
    assert_eq!(bench.open(), without_gate + other_open(&bench));
    let rest = bench.begin_job(&json!({ "action": "discard", "reason": "no gate" }));
    let rest = bench.ended(&rest);
    assert_eq!((&rest["state"], &rest["discarded"]), (&json!("done"), &json!(without_gate)));
    assert_eq!(bench.open(), 0);

    load::settle(&address, &other, &ledger);
    let ids = bench.ids.clone();
    let stored = bench.stored();
    assert_eq!(stored.len(), EVENTS);
    for (number, id) in &ids {
        let [held, accepted] = &stored[id];
        assert!(held.is_some(), "{number}");
        assert_eq!(accepted.is_some(), number % 100 != 99, "{number}: each once");
        if let Some(accepted) = accepted {
            assert_eq!((&accepted.original, &accepted.revision), (&event(*number), &mended));
        }
    }
    let live = stored::read(bench.gateway.folder());
    let live: Vec<_> = live.into_iter().filter(|one| one.tenant == other.id).collect();
    ledger.check(&live);
}

/// The workbench of one tenant knows nothing of another's events.
fn other_open(bench: &Bench) -> u64 {
    let path = "/v1/tenants/weather/quarantine/groups?by=rule";
    let counts = bench.gateway.admin("GET", path, "application/json", b"").json();
    assert!(counts["events"].as_u64().unwrap() > 0, "{counts}");
    0
}

#[test]
fn one_job_of_a_tenant_runs_at_a_time_and_can_be_cancelled() {
    let mut bench = Bench::begin(-1);
    bench.post(1000);
    let slow =
        json!({ "action": "discard", "reason": "slowly", "rate": 1, "filter": { "since": "1h" } });
    let job = bench.begin_job(&slow);
    let second = bench.call("POST", "/jobs", &slow);
    assert_eq!(second.status, 409, "{}", second.text());
    assert_eq!(second.json()["type"], "urn:tidegate:problem:job-running");
    assert_eq!(format!("/jobs/{}", second.json()["job"]["id"]), job);
    // One event is settled beside it.
    bench.tenant.activate(&bench.gateway, &revision(999));
    assert_eq!(bench.settle(990, "release", &json!({})).0, 200);
    let cancelled = bench.call("DELETE", &job, &json!(null)).json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    let view = bench.get(&job);
    assert_eq!((&view["action"], &view["rate"]), (&json!("discard"), &json!(1)));
    assert_eq!((&view["ended"]["by"], &view["reason"]), (&json!("admin"), &json!("slowly")));
    // Mended in bulk: the rest has a gate then.
    let patch = json!([{ "op": "set", "pointer": "/gate", "value": "B" }]);
    let body = json!({ "action": "release", "reason": "gates", "patch": patch, "rate": 50000 });
    let done = bench.ended(&bench.begin_job(&body));
    assert_eq!((&done["state"], &done["held_again"]), (&json!("done"), &json!(0)), "{done}");
    assert_eq!(bench.open(), 0);
    let listed = bench.get("/jobs?limit=1")["jobs"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &done["id"]));
    assert_eq!(listed[0]["node"], bench.get("")["node"]);
    let discarded = bench.get(&job)["discarded"].as_u64().unwrap();
    assert_eq!(discarded + done["released"].as_u64().unwrap() + 1, 1000);
}
