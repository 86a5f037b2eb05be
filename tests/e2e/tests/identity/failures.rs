//! Credentials that are refused again and again.

use tidegate_e2e::{assert_quiet, problem, revision};
use tidegate_testkit::{Connection, Gateway, Tenant};

use crate::{post_with, start_with};

fn from(gateway: &Gateway, client: &str, key: &str) -> u16 {
    let headers =
        [("x-api-key", key), ("content-type", "application/json"), ("x-forwarded-for", client)];
    gateway.request("POST", "/v1/events", &headers, b"{}").status
}

/// A2, D2: beyond the bound refusals are 429, and a right key is taken all the same.
#[test]
fn refusals_of_an_address_are_bounded() {
    let (gateway, tenant) = start_with(&[("INGRESS__MAX_AUTH_FAILURES", "3")]);
    tenant.activate(&gateway, &revision::plain());
    for _ in 0..3 {
        problem(&post_with(&gateway, &["wrong"]), 401, "unauthenticated");
    }
    let answer = post_with(&gateway, &["wrong"]);
    problem(&answer, 429, "too-many-requests");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(post_with(&gateway, &[&tenant.key]).status, 202);
    // The word of a client that is no trusted proxy counts for nothing.
    assert_eq!(from(&gateway, "198.51.100.1", "wrong"), 429);
    assert_quiet(&gateway);
}

/// G3: behind a trusted proxy it is the client's own address; one key's id is bounded over all of them.
#[test]
fn refusals_behind_a_proxy() {
    let settings =
        [("INGRESS__MAX_AUTH_FAILURES", "3"), ("INGRESS__TRUSTED_PROXIES", "127.0.0.0/8, ::1")];
    let (gateway, tenant) = start_with(&settings);
    tenant.activate(&gateway, &revision::plain());
    for _ in 0..3 {
        assert_eq!(from(&gateway, "198.51.100.1", "wrong"), 401);
    }
    assert_eq!(from(&gateway, "198.51.100.1", "wrong"), 429);
    assert_eq!(from(&gateway, "198.51.100.1, 127.0.0.9", "wrong"), 429);
    assert_eq!(from(&gateway, "198.51.100.2", "wrong"), 401);

    // A secret that is made up for an id that exists, from ever new addresses.
    let (body, _) = tenant.key.rsplit_once('_').unwrap();
    let body = format!("{}{}", &body[..body.len() - 4], "0000");
    let forged = format!("{body}_{}", tidegate_types::name::secret::check_of(&body));
    let answers: Vec<u16> =
        (0..5).map(|n| from(&gateway, &format!("203.0.113.{n}"), &forged)).collect();
    assert_eq!(answers, [401, 401, 401, 429, 429]);
    assert_eq!(from(&gateway, "203.0.113.200", &tenant.key), 202);
    assert_quiet(&gateway);
}

/// G3: the client's address by the PROXY protocol, from trusted proxies alone, who must speak it.
#[test]
fn refusals_behind_a_proxy_that_speaks_the_proxy_protocol() {
    let settings = [
        ("INGRESS__MAX_AUTH_FAILURES", "2"),
        ("INGRESS__TRUSTED_PROXIES", "127.0.0.0/8"),
        ("INGRESS__CLIENT_ADDRESS", "proxy-protocol"),
        ("INGRESS__HEADER_TIMEOUT", "1s"),
    ];
    let gateway = Gateway::start_proxied(&settings, b"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n");
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    let post = |preface: &[u8], key: &str| {
        let mut connection = Connection::open(&gateway.ingress).unwrap();
        connection.send(preface).unwrap();
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        connection.request("POST", "/v1/events", &headers, b"{}").map(|answer| answer.status)
    };
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x02\x7f\0\0\x01\0\x01\0\x02";
    let first = b"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n";
    let statuses = |preface: &[u8]| [0; 3].map(|_| post(preface, "wrong").unwrap());
    assert_eq!(statuses(first), [401, 401, 429]);
    assert_eq!(statuses(second), [401, 401, 429]);
    assert_eq!(post(first, &tenant.key).unwrap(), 202);
    for none in [&b""[..], b"PROXY TCP4 nobody\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"] {
        assert!(post(none, &tenant.key).is_err(), "{}", none.escape_ascii());
    }
    assert_quiet(&gateway);
}
