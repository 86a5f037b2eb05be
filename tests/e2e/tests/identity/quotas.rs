//! How much may be sent: quotas of keys and tenants, what is told of them, and changes while running.

mod together;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem, receipts, revision, statuses};
use tidegate_testkit::{Gateway, Response, Tenant};

use crate::{make_key, start, start_with};

fn set(gateway: &Gateway, path: &str, quotas: &Value) {
    let body = json!({ "quotas": quotas }).to_string();
    let path = format!("/v1/tenants/acme/{path}");
    let answer = gateway.admin("PUT", &path, "application/json", body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// So many in an hour: none comes back during a test.
fn an_hour(limit: u64) -> Value {
    json!({ "limit": limit, "window_seconds": 3600 })
}

fn limit_of(answer: &Response) -> (Option<&str>, Option<&str>) {
    (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining"))
}

/// D3: a key has its requests per minute; every answer to it tells what is left, refusals of its events too.
#[test]
fn requests_of_a_key() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let made = make_key(&gateway, &tenant, &json!({ "name": "k", "rate_limit": 10_000 }));
    let other = Tenant { key: made["key"].as_str().unwrap().to_owned(), ..tenant.clone() };
    let answer = other.post(&gateway, &revision::audit_event("a"));
    assert_eq!((answer.status, limit_of(&answer)), (202, (Some("10000"), Some("9999"))));
    assert_eq!(answer.header("ratelimit-policy"), Some("\"key-requests\";q=10000;w=60"));
    assert_eq!(answer.header("ratelimit"), Some("\"key-requests\";r=9999;t=1"));

    let id = made["id"].as_str().unwrap();
    set(&gateway, &format!("keys/{id}/quotas"), &json!({ "requests": an_hour(4) }));
    for (event, status, left) in [
        (revision::audit_event("b"), 202, "3"),
        (json!({ "key": "c" }), 400, "2"),
        (revision::audit_event("b"), 202, "1"),
    ] {
        let answer = other.post(&gateway, &event);
        assert_eq!((answer.status, limit_of(&answer).1), (status, Some(left)), "{event}");
    }
    // A body that is none counts as well.
    let answer = gateway.request("POST", "/v1/events", &other.headers(), b"{");
    problem(&answer, 400, "malformed-json");
    assert_eq!(limit_of(&answer), (Some("4"), Some("0")));
    let answer = other.post(&gateway, &revision::audit_event("d"));
    let told = problem(&answer, 429, "quota-exceeded");
    assert_eq!(told["violated-policies"], json!(["key-requests"]));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(limit_of(&answer), (Some("4"), Some("0")));
    // The tenant's other key, and readers, are not concerned.
    assert_eq!(tenant.post(&gateway, &revision::audit_event("d")).status, 202);
    set(&gateway, &format!("keys/{id}/quotas"), &Value::Null);
    // That fills no bucket, but one request comes back every 6 ms.
    let begun = Instant::now();
    while other.post(&gateway, &revision::audit_event("e")).status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing comes back");
    }
    assert_quiet(&gateway);
}

/// A header that is a list of texts, each with numbers and texts beside it, as a reader of Structured
/// Fields (RFC 9651) takes it.
fn list_of(answer: &Response, name: &str) -> Vec<(String, Vec<(String, String)>)> {
    let list: sfv::List = sfv::Parser::new(answer.header(name).unwrap()).parse().unwrap();
    let items = list.into_iter().map(|entry| match entry {
        sfv::ListEntry::Item(item) => {
            let text = item.bare_item.as_string().unwrap().as_str().to_owned();
            let beside = item.params.into_iter().map(|(key, value)| {
                let value = value.as_string().map_or_else(
                    || i64::from(value.as_integer().unwrap()).to_string(),
                    |text| text.as_str().to_owned(),
                );
                (key.as_str().to_owned(), value)
            });
            (text, beside.collect())
        }
        sfv::ListEntry::InnerList(_) => panic!("{name} holds a list"),
    });
    items.collect()
}

/// D3: the headers of the IETF's draft are Structured Fields that another reader understands.
#[test]
fn what_is_left_is_told_in_structured_fields() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let quotas = json!({ "requests": an_hour(5), "events": an_hour(10), "bytes": an_hour(1000) });
    set(&gateway, "quotas", &quotas);
    let answer = tenant.post(&gateway, &json!({}));
    let beside = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let policies = list_of(&answer, "ratelimit-policy");
    let named: Vec<_> = policies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["key-requests", "tenant-requests", "tenant-events", "tenant-bytes"]);
    assert_eq!(policies[1].1, beside(&[("q", "5"), ("w", "3600")]));
    assert_eq!(policies[2].1, beside(&[("q", "10"), ("qu", "events"), ("w", "3600")]));
    assert_eq!(policies[3].1, beside(&[("q", "1000"), ("qu", "content-bytes"), ("w", "3600")]));
    let left = list_of(&answer, "ratelimit");
    let left: Vec<_> = left.iter().map(|(name, beside)| (name.as_str(), &*beside[0].1)).collect();
    assert_eq!(
        left[1..],
        [("tenant-requests", "4"), ("tenant-events", "9"), ("tenant-bytes", "998")]
    );
}

/// A7, D3: of a batch that is over its first events that fit are taken; the others may be sent again.
#[test]
fn the_part_of_a_batch_that_fits() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    set(&gateway, "quotas", &json!({ "events": an_hour(10) }));
    let events: Vec<_> = (0..7).map(|n| json!({ "key": format!("k{n}") })).collect();
    assert_eq!(tenant.post_batch(&gateway, &events).status, 202);
    let answer = tenant.post_batch(&gateway, &events);
    assert_eq!(
        statuses(&answer),
        ["duplicate", "duplicate", "duplicate", "retry", "retry", "retry", "retry"]
    );
    assert!(receipts(&answer)[3]["retry_after_ms"].as_u64().unwrap() > 0);
    let left = answer.header("ratelimit").unwrap();
    assert!(left.contains("\"tenant-events\";r=0;t="), "{left}");
    let told = problem(&tenant.post_batch(&gateway, &events), 429, "quota-exceeded");
    assert_eq!(told["violated-policies"], json!(["tenant-events"]));
    problem(&tenant.post(&gateway, &json!({})), 429, "quota-exceeded");
    // More room is there with the answer; events that were refused have left nothing behind.
    set(&gateway, "quotas", &Value::Null);
    assert_eq!(statuses(&tenant.post_batch(&gateway, &events)), ["duplicate"; 7]);
    assert_quiet(&gateway);
}

/// Nothing of a batch where the tenant has it so, and bytes are counted as texts of events.
#[test]
fn all_or_nothing_and_bytes() {
    let (gateway, tenant) = start_with(&[("QUOTAS__TENANT_BYTES", "1KiB")]);
    tenant.activate(&gateway, &revision::plain());
    let event = |n: usize| json!({ "key": format!("k{n}"), "v": "x".repeat(80) });
    let events: Vec<_> = (0..12).map(event).collect();
    let size = events[0].to_string().len();
    let fit = 1024 / size;
    let all = statuses(&tenant.post_batch(&gateway, &events));
    assert_eq!(all.iter().filter(|status| *status == "accepted").count(), fit, "{all:?}");
    assert_eq!(all[fit..], vec!["retry"; 12 - fit]);

    let quotas = json!({ "bytes": an_hour(1024), "over": "nothing" });
    set(&gateway, "quotas", &quotas);
    let answer = tenant.post_batch(&gateway, &events);
    assert_eq!(
        problem(&answer, 429, "quota-exceeded")["violated-policies"],
        json!(["tenant-bytes"])
    );
    set(&gateway, "quotas", &json!({ "events": an_hour(12), "over": "nothing" }));
    assert_eq!(tenant.post_batch(&gateway, &events).status, 202);
    assert_quiet(&gateway);
}

/// What may be sent is read back, and what is no quota is refused with what one is.
#[test]
fn quotas_are_shown_and_checked() {
    let (gateway, tenant) = start();
    let path = "/v1/tenants/acme/quotas";
    let show = || gateway.admin("GET", path, "application/json", b"").json();
    assert_eq!(show()["quotas"], Value::Null);
    let quotas =
        json!({ "requests": { "limit": 5, "window_seconds": 1, "burst": 2 }, "over": "nothing" });
    set(&gateway, "quotas", &quotas);
    assert_eq!(show()["quotas"], quotas);
    assert_eq!(show()["keys"][0]["rate_limit"], 1_000_000_000);
    for wrong in [
        json!({ "quotas": { "requests": { "limit": 0 } } }),
        json!({ "quotas": { "requests": { "limit": 5, "window_seconds": 0 } } }),
        json!({ "quotas": { "calls": { "limit": 5 } } }),
        json!({ "quotas": { "over": "all" } }),
        json!({ "limit": 5 }),
    ] {
        let answer = gateway.admin("PUT", path, "application/json", wrong.to_string().as_bytes());
        problem(&answer, 400, "invalid-request");
    }
    let unknown = "/v1/tenants/acme/keys/unknown/quotas";
    let answer = gateway.admin("PUT", unknown, "application/json", b"{\"quotas\":null}");
    problem(&answer, 404, "not-found");
    assert_eq!(tenant.post(&gateway, &json!({})).status, 503, "no revision; and still known");
    assert_quiet(&gateway);
}
