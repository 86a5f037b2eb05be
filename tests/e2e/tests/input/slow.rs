//! Clients that are slow, or say nothing at all, do not hold on to the gateway.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tidegate_e2e::{problem, request};

use crate::{assert_unharmed, start};

/// Far longer than the limits that the tests set, far shorter than the defaults.
const SOON: Duration = Duration::from_secs(8);

/// 408 for a body that does not arrive, also where it trickles.
#[test]
fn slow_bodies() {
    let (gateway, tenant) = start(&[("INGRESS__BODY_TIMEOUT", "300ms")]);
    for start in [&b""[..], b"{\"a\":", b"{\"a\":1}"] {
        let mut connection = gateway.connect();
        let headers = request::headers(&tenant, "application/json", &[("content-length", "1000")]);
        connection.send(&request::head("POST", "/v1/events", &headers)).unwrap();
        connection.send(start).unwrap();
        let begun = Instant::now();
        let answer = connection.receive().unwrap();
        problem(&answer, 408, "request-timeout");
        assert!(begun.elapsed() < SOON);
        assert_eq!(answer.header("connection"), Some("close"));
        connection.read_to_end().unwrap();
    }
    // The limit is on the whole body: a byte now and then does not extend it.
    let mut connection = gateway.connect();
    let headers =
        request::headers(&tenant, "application/json", &[("transfer-encoding", "chunked")]);
    connection.send(&request::head("POST", "/v1/events", &headers)).unwrap();
    let begun = Instant::now();
    while connection.send(b"1\r\n \r\n").is_ok() {
        assert!(begun.elapsed() < SOON, "a trickling body is still read");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 0);
    assert_unharmed(&gateway, &tenant);
}

/// A connection whose headers do not arrive is closed, whatever it has sent so far: nothing, the
/// beginning of HTTP/1.1, or the beginning of HTTP/2's preface.
#[test]
fn slow_headers() {
    let (gateway, tenant) = start(&[("INGRESS__HEADER_TIMEOUT", "300ms")]);
    for sent in [
        &b"POST /v1/ev"[..],
        b"POST /v1/events HTTP/1.1\r\nhost: t\r\n",
        b"",
        b"PRI * HTTP/2.0\r\n",
        b"P",
    ] {
        let mut connection = gateway.connect();
        connection.send(sent).unwrap();
        let begun = Instant::now();
        let end = connection.read_to_end();
        let shown = String::from_utf8_lossy(sent);
        assert!(
            !matches!(&end, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "{shown:?} stays open"
        );
        assert!(begun.elapsed() < SOON, "{shown:?}");
    }
    assert_unharmed(&gateway, &tenant);
}
