//! Redis is cut off, stands still, is killed, is full, and would forget keys, all under load: while that
//! lasts nothing is accepted, and afterwards everything goes through, once (A10).

use std::time::Duration;

use serde_json::json;
use tidegate_crash::{Ledger, load, log, readings, seed, stored};
use tidegate_testkit::{Gateway, Redis, Tenant};

use crate::{metric, settings, wait_until};

/// What the gateway says of it, and no more.
const EXPECTED: [&str; 4] = [
    "redis cannot be used",
    "keys of the log are not committed yet",
    "redis refused a command",
    "keys are settled at the next start",
];

/// Claims outlast each trouble.
const LEASE: [(&str, &str); 2] = [("DEDUP__LEASE", "15s"), ("INGRESS__REQUEST_TIMEOUT", "15s")];

/// Posts single new events until one is refused as it must be; what is accepted until then is no harm.
fn refused(gateway: &Gateway, tenant: &Tenant, kind: &str, name: &str) {
    let mut number = 0;
    wait_until("an event is refused", || {
        number += 1;
        let event = json!({ "id": format!("{name}-{number}3"), "sensor": "Roof", "value": 1 });
        let response = tenant.post(gateway, &event);
        if response.status == 202 {
            return false;
        }
        let body = response.json();
        assert_eq!(response.status, 503, "{body}");
        assert!(response.header("retry-after").is_some(), "{body}");
        assert!(body["detail"].as_str().unwrap().contains("nothing was stored"), "{body}");
        body["type"] == format!("urn:tidegate:problem:{kind}")
    });
    // From here on nothing is taken at all.
    let before = gateway.status()["wal"]["durable_lsn"].clone();
    for again in 0..20 {
        let event = json!({ "id": format!("{name}-again-{again}3"), "sensor": "Roof", "value": 1 });
        assert_eq!(tenant.post(gateway, &event).status, 503);
    }
    assert_eq!(gateway.status()["wal"]["durable_lsn"], before);
}

#[test]
fn each_kind_of_trouble() {
    let redis = Redis::start();
    let url = redis.url();
    let mut gateway = Gateway::start_with(&settings(&url, &LEASE));
    let tenant = readings::tenant(&gateway);
    let event = |name: &str| json!({ "id": format!("{name}-13"), "sensor": "Roof", "value": 1 });
    type Act = fn(&Redis);
    let troubles: [(&str, &str, Act, Act); 5] = [
        ("frozen", "unavailable", Redis::freeze, Redis::thaw),
        ("killed", "unavailable", Redis::kill, Redis::restart),
        (
            "full",
            "dedup-full",
            |redis| redis.set("maxmemory", "1"),
            |redis| {
                redis.set("maxmemory", "0");
            },
        ),
        (
            "forgetful",
            "unavailable",
            |redis| redis.set("maxmemory-policy", "allkeys-lru"),
            |redis| redis.set("maxmemory-policy", "noeviction"),
        ),
        (
            "replica",
            "unavailable",
            |redis| drop(redis.command(&["REPLICAOF", "127.0.0.1", "1"])),
            |redis| drop(redis.command(&["REPLICAOF", "NO", "ONE"])),
        ),
    ];
    for (name, kind, begin, end) in troubles {
        let (before, caught) = (event(&format!("{name}-before")), event(&format!("{name}-caught")));
        assert_eq!(tenant.post(&gateway, &before).status, 202, "{name}");
        begin(&redis);
        assert_eq!(gateway.request("GET", "/livez", &[], b"").status, 200);
        refused(&gateway, &tenant, kind, name);
        assert_eq!(tenant.post(&gateway, &caught).status, 503, "{name}");
        // Its readiness does not depend on Redis: a whole fleet would be gone at once.
        assert_eq!(gateway.request("GET", "/readyz", &[], b"").status, 200);
        end(&redis);
        wait_until("the retry goes through", || tenant.post(&gateway, &caught).status == 202);
        let replay = tenant.post(&gateway, &caught).json();
        assert_eq!(replay["status"], "duplicate", "{name}: {replay}");
        let replay = tenant.post(&gateway, &before).json();
        assert_eq!(replay["status"], "duplicate", "{name}: {replay}");
    }
    let secret = redis.password();
    assert!(!gateway.log().contains(secret), "the password is nobody's business");
    assert!(gateway.terminate(), "{}", gateway.log());
    log::assert_quiet(&gateway.log(), &EXPECTED);
}

#[test]
fn cut_off_under_load() {
    let (seed, redis) = (seed(), Redis::start());
    let url = redis.url();
    let mut gateway = Gateway::start_with(&settings(&url, &LEASE));
    let (tenant, ledger) = (readings::tenant(&gateway), Ledger::default());
    let address = gateway.ingress.clone();
    let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
    load::under_load(&address, &tenant, &ledger, seed, || {
        for _ in 0..3 {
            pause(400);
            redis.freeze();
            pause(1500);
            redis.thaw();
            pause(400);
            redis.kill();
            pause(300);
            redis.restart();
        }
        pause(400);
    });
    load::settle(&address, &tenant, &ledger);
    load::replay(&address, &tenant, &ledger, &ledger.taken());
    assert_eq!(metric(&gateway, "tidegate_dedup_duplicates_stored_total"), 0);
    wait_until("all is committed", || metric(&gateway, "tidegate_dedup_uncommitted_appends") == 0);
    assert!(gateway.terminate(), "{}", gateway.log());
    let stored = stored::read(gateway.folder());
    ledger.check(&stored);
    assert_eq!(stored.len(), ledger.taken().len(), "all is settled");
    log::assert_quiet(&gateway.log(), &EXPECTED);
    println!("{} events", stored.len());
}
