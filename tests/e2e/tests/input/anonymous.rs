//! C7: a path that takes events without a credential.

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Response, Tenant};

const SHOP: (&str, &str) = ("origin", "https://shop.example");
const JSON: (&str, &str) = ("content-type", "application/json");

fn start(settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let mut all = vec![
        ("ANONYMOUS__PATH", "/events"),
        ("ANONYMOUS__TENANT", "web"),
        ("ANONYMOUS__EVENT_TYPES", "click"),
        ("ANONYMOUS__ORIGINS", "https://shop.example"),
    ];
    all.extend_from_slice(settings);
    let gateway = Gateway::start_with(&all);
    let tenant = Tenant::create(&gateway, "web");
    tenant.activate(
        &gateway,
        &json!({
            "type_pointer": "/type",
            "event_types": { "click": { "key": "/key" }, "order": { "key": "/key" } },
        }),
    );
    (gateway, tenant)
}

fn post(gateway: &Gateway, headers: &[(&str, &str)], event: &Value) -> Response {
    let headers = [headers, &[JSON]].concat();
    gateway.request("POST", "/events", &headers, event.to_string().as_bytes())
}

fn click(key: &str) -> Value {
    json!({ "type": "click", "key": key })
}

#[test]
fn events_are_taken_without_a_credential_and_belong_to_the_one_tenant() {
    let (gateway, _) = start(&[]);
    let answer = post(&gateway, &[], &click("a"));
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["status"], "accepted");
    let again = post(&gateway, &[SHOP], &click("a"));
    assert_eq!(again.json()["status"], "duplicate");
    // Other types need a credential, and so does every other path.
    let order = post(&gateway, &[], &json!({ "type": "order", "key": "o" }));
    assert_eq!(order.status, 403, "{}", order.text());
    let body = click("b").to_string();
    assert_eq!(gateway.request("POST", "/v1/events", &[JSON], body.as_bytes()).status, 401);
    let id = answer.json()["event_id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.request("GET", &format!("/v1/events/{id}"), &[], b"").status, 401);
    assert_eq!(
        gateway.metric("tidegate_tenant_events_total{tenant=\"web\",outcome=\"accepted\"}"),
        1.0
    );
}

#[test]
fn who_shows_a_credential_is_taken_by_it() {
    let (gateway, tenant) = start(&[]);
    let key = ("x-api-key", tenant.key.as_str());
    let order = json!({ "type": "order", "key": "o" });
    assert_eq!(post(&gateway, &[key], &order).status, 202);
    assert_eq!(post(&gateway, &[("x-api-key", "tg_nobody")], &click("a")).status, 401);
    assert_eq!(post(&gateway, &[("authorization", "Bearer x")], &click("a")).status, 401);
}

#[test]
fn each_client_address_has_a_bound_of_its_own() {
    let settings =
        [("ANONYMOUS__REQUESTS_PER_ADDRESS", "2"), ("INGRESS__TRUSTED_PROXIES", "127.0.0.0/8")];
    let (gateway, tenant) = start(&settings);
    let from = |address: &str, key: &str| {
        let client = ("x-forwarded-for", address);
        post(&gateway, &[client], &click(key))
    };
    let statuses: Vec<u16> =
        ["a", "b", "c"].iter().map(|key| from("198.51.100.1", key).status).collect();
    assert_eq!(statuses, [202, 202, 429]);
    let over = from("198.51.100.1", "d");
    assert_eq!(over.json()["violated-policies"], json!(["address-requests"]), "{}", over.text());
    assert!(over.header("retry-after").is_some());
    assert_eq!(from("198.51.100.2", "e").status, 202);
    // Hosts of one network of IPv6 share theirs.
    let of_network: Vec<u16> =
        (1..=3).map(|n| from(&format!("2001:db8::{n}"), &format!("f{n}")).status).collect();
    assert_eq!(of_network, [202, 202, 429]);
    let key = ("x-api-key", tenant.key.as_str());
    let answer = post(&gateway, &[key, ("x-forwarded-for", "198.51.100.1")], &click("g"));
    assert_eq!(answer.status, 202, "a key is not concerned");
}

/// One request is one event, and not a large one: what an address may send is bounded by requests.
#[test]
fn single_small_events_alone_are_taken() {
    let (gateway, tenant) = start(&[("INGRESS__MAX_EVENT_BYTES", "1KiB")]);
    let lines = format!("{}\n{}\n", click("a"), click("b"));
    for (content_type, body) in
        [("application/x-ndjson", lines.as_str()), ("application/cloudevents-batch+json", "[]")]
    {
        let headers = [("content-type", content_type)];
        let answer = gateway.request("POST", "/events", &headers, body.as_bytes());
        assert_eq!(answer.status, 415, "{content_type}: {}", answer.text());
    }
    let large = json!({ "type": "click", "key": "c", "text": "x".repeat(1024) });
    assert_eq!(post(&gateway, &[], &large).status, 413);
    assert_eq!(tenant.post(&gateway, &large).status, 400, "elsewhere the event alone is too large");
}

#[test]
fn scripts_of_allowed_pages_may_send_and_read_the_answer() {
    let (gateway, _) = start(&[]);
    let preflight = |origin| {
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        gateway.request("OPTIONS", "/events", &asked, b"")
    };
    let allowed = preflight("https://shop.example");
    assert_eq!(allowed.status, 204);
    for (name, expected) in [
        ("access-control-allow-origin", "https://shop.example"),
        ("access-control-allow-methods", "POST"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        assert_eq!(allowed.header(name), Some(expected), "{name}");
    }
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("content-type"));
    let other = preflight("https://evil.example");
    assert_eq!(other.header("access-control-allow-origin"), None);
    assert_eq!(other.header("access-control-allow-methods"), None);
    let sent = post(&gateway, &[SHOP], &click("a"));
    assert_eq!(sent.header("access-control-allow-origin"), Some("https://shop.example"));
    // A page reads what was wrong, too.
    let wrong = post(&gateway, &[SHOP], &json!({ "type": "nothing", "key": "k" }));
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(post(&gateway, &[("origin", "https://evil.example")], &click("b")).status, 403);
    let get = gateway.request("GET", "/events", &[], b"");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, OPTIONS")));
}
