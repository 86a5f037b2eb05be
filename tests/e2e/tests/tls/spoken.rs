//! TLS and nothing else, on both listeners.

use std::time::Duration;

use tidegate_e2e::revision;
use tidegate_testkit::{Authority, Connection, Gateway, Tenant, Trust};

use crate::{LISTENERS, ping, plain_trust, settings, start};

/// D10, item "TLS": events and administration, each in TLS; what is plain is not answered, and costs
/// nobody else anything.
#[test]
fn both_listeners_speak_tls_alone() {
    let authority = Authority::new("roots");
    let listener = settings(&authority.issue("gateway"), None);
    let gateway = start(&listener, &[], plain_trust(&authority));
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    let headers = [("x-api-key", tenant.key.as_str()), ("content-type", "application/json")];
    let mut open = gateway.connect();
    assert_eq!(open.request("POST", "/v1/events", &headers, b"{}").unwrap().status, 202);

    for address in [&gateway.ingress, &gateway.admin] {
        let mut plain = Connection::open(address).unwrap();
        plain.send(b"GET /v1/ping HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let said = plain.read_to_end().unwrap();
        assert!(!String::from_utf8_lossy(&said).contains("HTTP/1.1"), "{said:?}");
        let stranger = plain_trust(&Authority::new("others"));
        let refused = Connection::open_tls(address, &stranger).unwrap_err().to_string();
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }
    assert_eq!(ping(&mut open).unwrap(), 200);
}

/// HTTP/2 where the client speaks it, HTTP/1.1 otherwise.
#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new("roots");
    let listener = settings(&authority.issue("gateway"), None);
    let gateway = start(&listener, &[], plain_trust(&authority));
    for (address, offered, agreed) in [
        (&gateway.ingress, &[&b"h2"[..], b"http/1.1"][..], &b"h2"[..]),
        (&gateway.ingress, &[b"http/1.1"], b"http/1.1"),
        (&gateway.ingress, &[], b""),
        (&gateway.admin, &[b"h2", b"http/1.1"], b"http/1.1"),
    ] {
        let trust = Trust::new(&authority, None, offered);
        let connection = Connection::open_tls(address, &trust).unwrap();
        assert_eq!(connection.agreed().unwrap().0, agreed, "{offered:?}");
    }
}

/// A client that does not finish its handshake loses its place in time, and holds up no stop.
#[test]
fn a_handshake_is_bounded_in_time() {
    let authority = Authority::new("roots");
    let listener = settings(&authority.issue("gateway"), None);
    let limits = [("INGRESS__MAX_CONNECTIONS", "1"), ("INGRESS__HEADER_TIMEOUT", "300ms")];
    let mut gateway = start(&listener, &limits, plain_trust(&authority));
    let mut slow = Connection::open(&gateway.ingress).unwrap();
    // The first bytes of a ClientHello.
    slow.send(&[0x16, 0x03, 0x01, 0x02]).unwrap();
    // The only place is free again.
    assert_eq!(ping(&mut gateway.connect()).unwrap(), 200);
    assert_eq!(slow.read_to_end().unwrap(), b"");

    let limits = [("INGRESS__HEADER_TIMEOUT", "10m"), ("INGRESS__DRAIN_TIMEOUT", "50s")];
    let mut patient = start(&listener, &limits, plain_trust(&authority));
    let held = Connection::open(&patient.ingress).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = std::time::Instant::now();
    assert!(patient.terminate());
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(held);
    assert!(gateway.terminate());
}

/// What is wrong with the files is told, and the gateway does not start without what was asked for.
#[test]
fn unusable_files_stop_the_start() {
    let authority = Authority::new("roots");
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (one_pem, one_key) = (one.certificate.to_str().unwrap(), one.key.to_str().unwrap());
    let (empty, other_key) = (empty.to_str().unwrap(), other.key.to_str().unwrap());
    for (certificate, key, client_ca, told) in [
        ("/nonexistent.pem", one_key, "", "/nonexistent.pem cannot be read"),
        (empty, one_key, "", "does not hold certificates in PEM: there is none"),
        (one_pem, one_pem, "", "does not hold a private key in PEM"),
        (one_pem, other_key, "", "cannot be used together"),
        (one_pem, one_key, empty, "does not hold certificates in PEM: there is none"),
    ] {
        for listener in LISTENERS {
            let said = Gateway::start_refused(&[
                (&format!("{listener}__TLS_CERTIFICATE"), certificate),
                (&format!("{listener}__TLS_KEY"), key),
                (&format!("{listener}__TLS_CLIENT_CA"), client_ca),
            ]);
            assert!(said.contains(told), "{told}: {said}");
            assert!(said.contains("has no TLS"), "{said}");
        }
    }
}
