//! Requests that are wrong before their body is: methods, paths, headers, framing.

use tidegate_e2e::{problem, request};

use crate::{assert_unharmed, start};

/// What is not there is 404; what is there says which methods it takes (RFC 9110, section 15.5.6).
#[test]
fn methods_and_paths() {
    let (gateway, tenant) = start(&[]);
    let headers = tenant.headers();
    for path in [
        "/", "/v1", "/v1/", "/v1/event", "/v1/events/", "/v1/events/batch/", "/v1//events",
        "/V1/events", "/v1%2Fevents", "/v1/events/../ping", "/v1/status", "/v1/tenants",
        "/healthz", "/metrics", "/.env", "/v1/events;x", "/v1/events%00",
    ] {
        for method in ["GET", "POST"] {
            let answer = gateway.request(method, path, &headers, b"{}");
            problem(&answer, 404, "not-found");
        }
    }
    for (method, path, allowed) in [
        ("GET", "/v1/events", "POST"),
        ("PUT", "/v1/events", "POST"),
        ("DELETE", "/v1/events/batch", "POST"),
        ("PATCH", "/v1/events", "POST"),
        ("OPTIONS", "/v1/events", "POST"),
        ("TRACE", "/v1/events", "POST"),
        ("BREW", "/v1/events", "POST"),
        ("POST", "/v1/ping", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/livez", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
    ] {
        let answer = gateway.request(method, path, &headers, b"");
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    assert_eq!(gateway.request("POST", "/v1/events?a=b&c", &headers, b"{}").status, 202);
    assert_eq!(gateway.request("POST", "http://elsewhere/v1/events", &headers, b"{}").status, 202);
    for path in ["/v1/ping", "/health", "/livez", "/readyz"] {
        let answer = gateway.request("GET", path, &[], b"");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{path}"
        );
        let mut connection = gateway.connect();
        connection.send(&request::head("HEAD", path, &[("connection", "close")])).unwrap();
        let bytes = connection.read_to_end().unwrap();
        assert!(
            bytes.starts_with(b"HTTP/1.1 200") && bytes.ends_with(b"\r\n\r\n"),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert_unharmed(&gateway, &tenant);
}

/// Heads that are no HTTP, or more than we read.
#[test]
fn heads() {
    let (gateway, tenant) = start(&[]);
    let many: String = (0..70).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(20 << 10));
    let huge = format!("x-large: {}\r\n", "y".repeat(2 << 20));
    let key = format!("x-api-key: {}\r\ncontent-type: application/json\r\n", tenant.key);
    let with = |headers: &str| {
        format!("POST /v1/events HTTP/1.1\r\nhost: t\r\n{key}{headers}\r\n").into_bytes()
    };
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (with(&format!("{many}content-length: 2\r\n")), 431),
        (with(&large), 431),
        (with(&huge), 431),
        (format!("POST /{} HTTP/1.1\r\n\r\n", "p".repeat(14 << 10)).into_bytes(), 404),
        (format!("POST /{} HTTP/1.1\r\n\r\n", "p".repeat(70 << 10)).into_bytes(), 431),
        (with("no colon\r\n"), 400),
        (with("sp ace: x\r\n"), 400),
        (with(": x\r\n"), 400),
        (with("x: a\0b\r\n"), 400),
        (with("content-length: abc\r\n"), 400),
        (with("content-length: -1\r\n"), 400),
        (with("content-length: 99999999999999999999999\r\n"), 400),
        (with("content-length: 2\r\ncontent-length: 3\r\n"), 400),
        (with("transfer-encoding: gzip\r\n"), 400),
        (b"GET /v1/ping HTTP/9.9\r\n\r\n".to_vec(), 400),
        (b"nonsense\r\n\r\n".to_vec(), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        (b"G\0T / HTTP/1.1\r\n\r\n".to_vec(), 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n".to_vec(), 400),
    ];
    for (bytes, status) in cases {
        let shown: String = String::from_utf8_lossy(&bytes).chars().take(60).collect();
        let answer = gateway.connect().exchange(&bytes);
        let answer = answer.unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        assert_eq!(answer.status, status, "{shown:?}: {}", answer.text());
    }
    assert_unharmed(&gateway, &tenant);
}

/// Bodies whose frame is broken: 400, and nothing that follows them is taken for a request.
#[test]
fn frames() {
    let (gateway, tenant) = start(&[]);
    let chunked = request::head(
        "POST",
        "/v1/events",
        &request::headers(&tenant, "application/json", &[("transfer-encoding", "chunked")]),
    );
    let smuggled = b"POST /v1/events HTTP/1.1\r\nhost: t\r\n\r\n";
    for chunks in [
        &b"zz\r\n{}\r\n0\r\n\r\n"[..],
        b"2\r\n{}XX0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n{}",
        b"2;\n{}\r\n0\r\n\r\n",
        b"\r\n\r\n",
    ] {
        let mut connection = gateway.connect();
        let answer = connection.exchange(&[chunked.as_slice(), chunks, smuggled].concat());
        let shown = String::from_utf8_lossy(chunks).into_owned();
        let answer = answer.unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        problem(&answer, 400, "invalid-request");
        assert_eq!(connection.read_to_end().unwrap(), b"", "{shown:?}");
    }
    // A length and chunks at once: the chunks count (RFC 9112, section 6.3), and the connection ends.
    let both = request::headers(
        &tenant,
        "application/json",
        &[("content-length", "5"), ("transfer-encoding", "chunked")],
    );
    let bytes =
        [request::head("POST", "/v1/events", &both).as_slice(), b"2\r\n{}\r\n0\r\n\r\n"].concat();
    let status = gateway.connect().exchange(&bytes).unwrap().status;
    assert!(matches!(status, 202 | 400), "{status}");
    // A body that ends before its length. Half of it must not become an event.
    let durable = gateway.status()["wal"]["durable_lsn"].clone();
    let length = request::headers(&tenant, "application/json", &[("content-length", "100")]);
    for _ in 0..10 {
        let mut connection = gateway.connect();
        connection
            .send(&[request::head("POST", "/v1/events", &length).as_slice(), b"{\"a\":1}"].concat())
            .unwrap();
        drop(connection);
    }
    assert_eq!(gateway.status()["wal"]["durable_lsn"], durable);
    // Two requests in one packet are two requests.
    let one = request::bytes("POST", "/v1/events", &tenant.headers(), b"{}");
    let mut connection = gateway.connect();
    connection.send(&one.repeat(3)).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.receive().unwrap().status, 202);
    }
    assert_unharmed(&gateway, &tenant);
}

/// A request that is refused before its body is read does not cost the next one on its connection
/// its place, where the body is small enough to be skipped.
#[test]
fn a_refused_request_is_followed_by_others() {
    let (gateway, tenant) = start(&[]);
    let mut connection = gateway.connect();
    for _ in 0..3 {
        let refused = connection
            .request("POST", "/v1/events", &[("content-type", "application/json")], b"{\"a\":1}")
            .unwrap();
        problem(&refused, 401, "unauthenticated");
        let missing = connection.request("POST", "/nowhere", &[], b"{\"a\":1}").unwrap();
        problem(&missing, 404, "not-found");
        let taken =
            connection.request("POST", "/v1/events", &tenant.headers(), b"{\"a\":1}").unwrap();
        assert_eq!(taken.status, 202);
    }
    // A large one that is refused is still answered.
    let large = request::bytes(
        "POST",
        "/v1/events",
        &[("content-type", "application/json")],
        &vec![b' '; 3 << 20],
    );
    problem(&gateway.connect().exchange(&large).expect("an answer"), 401, "unauthenticated");
    assert_unharmed(&gateway, &tenant);
}
