//! Who may send, how much, and what was sent before: API keys against bearer tokens, and Redis against the
//! process. Events are of the usual size, without schema and rules, so that this is most of the work;
//! key, quotas of key and tenant, claim, commit and a synced log are part of every figure.

pub(crate) mod stages;

use serde_json::json;
use tidegate_testkit::{Gateway, Oidc, Redis, Tenant};

use crate::http::{BATCH, batch, event};
use crate::report::Row;
use crate::wrk::{self, CONNECTIONS};

const SECONDS: u32 = 4;

/// Quotas that are metered and never reached.
const METERED: [(&str, &str); 3] = [
    ("QUOTAS__TENANT_REQUESTS", "1000000000"),
    ("QUOTAS__TENANT_EVENTS", "100000000000"),
    ("QUOTAS__TENANT_BYTES", "100TiB"),
];

/// What both gateways have: room for all that is sent.
const ROOM: [(&str, &str); 3] =
    [("DEDUP__MAX_KEYS", "40000000"), ("WAL__MAX_BYTES", "16GiB"), ("LOG__LEVEL", "warn")];

fn start(settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let gateway = Gateway::start_with(&[&METERED[..], &ROOM, settings].concat());
    let tenant = Tenant::create(&gateway, "bench");
    let revision = json!({
        "default_type": "audit",
        "event_types": { "audit": { "key": "/actor/id" } },
    });
    tenant.activate(&gateway, &revision);
    (gateway, tenant)
}

/// One side of a comparison: where it posts to, as whom.
struct Side<'a> {
    gateway: &'a Gateway,
    headers: &'a [(&'a str, &'a str)],
}

/// Measures singles and batches of two sides in turn.
fn compare(
    name: &str,
    value: &Side<'_>,
    reference: &Side<'_>,
    rounds: usize,
) -> anyhow::Result<Vec<Row>> {
    let (single, batch) = (event(""), batch());
    let mut rows = Vec::new();
    for (case, path, template, factor) in [
        ("single events", "/v1/events", &single, 1.0),
        ("batches of 100", "/v1/events/batch", &batch, BATCH as f64),
    ] {
        let (mut rates, mut tails) = (Vec::new(), Vec::new());
        // The first round warms both up and does not count.
        for round in 0..=rounds {
            let measure = |side: &Side<'_>| {
                wrk::run(&side.gateway.ingress, path, template, side.headers, SECONDS)
            };
            let (reference, value) = (measure(reference)?, measure(value)?);
            if round > 0 {
                let rate = |measured: wrk::Measured| measured.requests_per_second * factor;
                rates.push((rate(value), rate(reference)));
                tails.push((value.p99_ms, reference.p99_ms));
            }
        }
        let case = format!("{name}: {case}, {CONNECTIONS} connections");
        rows.push(Row::of("identity", case.clone(), "events/s", &rates));
        rows.push(Row::of("identity", format!("{case}, p99"), "ms", &tails));
    }
    Ok(rows)
}

/// As operators run it: what it has on its disk is a second old at most. But for the rewriting of its log,
/// which would take half of the machine for as long as what is stored doubles every few seconds.
fn redis() -> Redis {
    Redis::start_with(&[("appendfsync", "everysec"), ("auto-aof-rewrite-percentage", "0")])
}

/// Keys and quotas in Redis against the same in the process, and tokens against API keys.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let redis = redis();
    let issuer = Oidc::start();
    let (url, issuers) = (redis.url(), issuer.as_setting());
    let shared = [("DEDUP__STORE", "redis"), ("QUOTAS__STORE", "redis"), ("REDIS__URL", &url)];
    let (local, of_local) = start(&[("JWT__ISSUERS", &issuers)]);
    let (shared, of_shared) = start(&shared);
    let by_key = Side { gateway: &local, headers: &of_local.headers() };
    let in_redis = Side { gateway: &shared, headers: &of_shared.headers() };
    let mut rows = compare("Redis against the process", &in_redis, &by_key, rounds)?;

    let lasting = json!({ "exp": 4_000_000_000_u64 });
    let bearer = format!("Bearer {}", issuer.token("bench", "events:write", &lasting));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let by_token = Side { gateway: &local, headers: &headers };
    rows.extend(compare("token against key", &by_token, &by_key, rounds)?);
    Ok(rows)
}
