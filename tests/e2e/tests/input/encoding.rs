//! Content types and encodings: unknown ones, broken ones, and ones that grow.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tidegate_e2e::{problem, receipts, request};
use tidegate_testkit::{Gateway, Response, Tenant};

use crate::{assert_unharmed, start};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 19).unwrap()
}

fn send(gateway: &Gateway, tenant: &Tenant, encoding: &str, body: &[u8]) -> Response {
    let headers = request::headers(tenant, "application/json", &[("content-encoding", encoding)]);
    gateway.request("POST", "/v1/events", &headers, body)
}

/// 415 for what we do not read, and the answer says what we do.
#[test]
fn content_types_and_encodings() {
    let (gateway, tenant) = start(&[]);
    for content_type in [
        "text/plain",
        "application/xml",
        "application/json; charset=latin-1",
        "application/json; charset=\"utf-16\"",
        "json",
        "*/*",
        "application/jsonx",
        "multipart/form-data; boundary=x",
        "",
        "application/cloudevents+xml",
        "application/json, text/plain",
    ] {
        let headers = request::headers(&tenant, content_type, &[]);
        let problem = problem(
            &gateway.request("POST", "/v1/events", &headers, b"{}"),
            415,
            "unsupported-media-type",
        );
        assert!(
            problem["detail"].as_str().is_some_and(|text| text.contains("send ")),
            "{content_type}: {problem}"
        );
    }
    let none = [("x-api-key", tenant.key.as_str())];
    problem(&gateway.request("POST", "/v1/events", &none, b"{}"), 415, "unsupported-media-type");
    let two =
        request::headers(&tenant, "application/json", &[("content-type", "application/json")]);
    problem(&gateway.request("POST", "/v1/events", &two, b"{}"), 415, "unsupported-media-type");
    for encoding in
        ["br", "deflate", "compress", "gzip, gzip", "zstd, gzip", "gzip;q=1", "aws-chunked"]
    {
        let answer = send(&gateway, &tenant, encoding, b"{}");
        problem(&answer, 415, "unsupported-media-type");
        assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"), "{encoding}");
    }
    for content_type in [
        "application/json;charset=UTF-8",
        "APPLICATION/JSON ; charset=\"utf-8\"",
        "application/json; profile=x",
    ] {
        let answer = gateway.request(
            "POST",
            "/v1/events",
            &request::headers(&tenant, content_type, &[]),
            b"{}",
        );
        assert_eq!(answer.status, 202, "{content_type}: {}", answer.text());
    }
    assert_unharmed(&gateway, &tenant);
}

/// Bodies that are not what their encoding says: 400 `malformed-encoding`.
#[test]
fn broken_compression() {
    let (gateway, tenant) = start(&[]);
    let (text, other) = (gzip(b"{\"a\":\"some text\"}"), zstd(b"{\"a\":\"some text\"}"));
    let mut wrong_sum = text.clone();
    let end = wrong_sum.len();
    wrong_sum[end - 8] ^= 1;
    let mut flipped = other.clone();
    flipped[5] ^= 0xff;
    let trailing = [other.as_slice(), b"more"].concat();
    // A frame header that asks for a window of 2 GiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    for (encoding, body) in [
        ("gzip", &b"{}"[..]),
        ("gzip", b"\x1f\x8b"),
        ("gzip", &text[..text.len() - 4]),
        ("gzip", &text[..12]),
        ("gzip", &wrong_sum),
        ("gzip", &other),
        ("zstd", b"{}"),
        ("zstd", &other[..other.len() - 3]),
        ("zstd", &other[..4]),
        ("zstd", &flipped),
        ("zstd", &text),
        ("zstd", &trailing),
        ("zstd", &window),
    ] {
        let answer = send(&gateway, &tenant, encoding, body);
        assert_eq!(answer.status, 400, "{encoding} {body:x?}: {}", answer.text());
        problem(&answer, 400, "malformed-encoding");
    }
    for (encoding, body) in [("gzip", gzip(b"")), ("zstd", zstd(b"")), ("gzip", gzip(b"{\"a\""))] {
        problem(&send(&gateway, &tenant, encoding, &body), 400, "malformed-json");
    }
    for (encoding, body) in
        [("gzip", &text), ("x-gzip", &text), ("zstd", &other), ("ZSTD, identity", &other)]
    {
        assert_eq!(send(&gateway, &tenant, encoding, body).status, 202, "{encoding}");
    }
    assert_unharmed(&gateway, &tenant);
}

/// A small body that holds gigabytes is refused before it is large, and costs no memory.
#[test]
fn decompression_bombs() {
    let (gateway, tenant) = start(&[]);
    let spaces = vec![b' '; 256 << 20];
    let (zipped, zstandard) = (gzip(&spaces), zstd(&spaces));
    drop(spaces);
    let before = peak_memory(&gateway);
    for _ in 0..20 {
        problem(&send(&gateway, &tenant, "gzip", &zipped), 413, "too-large");
        problem(&send(&gateway, &tenant, "zstd", &zstandard), 413, "too-large");
    }
    // Within the size of a body, and still of a ratio that no events have.
    let small = gzip(&vec![b' '; 2 << 20]);
    problem(&send(&gateway, &tenant, "gzip", &small), 413, "too-large");
    // Many small members, each of them honest.
    let members = gzip(&vec![b' '; 100 << 10]).repeat(200);
    problem(&send(&gateway, &tenant, "gzip", &members), 413, "too-large");
    let grown = peak_memory(&gateway) - before;
    // The allocator keeps a few bodies' worth for each thread, and not one for each request.
    assert!(grown < 96 << 20, "{grown} bytes of memory for bodies that were refused");
    assert_unharmed(&gateway, &tenant);
}

/// The most memory that the process has had, in bytes.
pub(crate) fn peak_memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A body is as large as it is decompressed: too large is 413, whether it says its length or not,
/// and a client that goes on sending still reads the answer.
#[test]
fn oversized_bodies() {
    let (gateway, tenant) =
        start(&[("INGRESS__MAX_BODY_BYTES", "64KiB"), ("INGRESS__MAX_EVENT_BYTES", "32KiB")]);
    let line = "{\"a\":\"0123456789\"}\n";
    let fits = line.repeat((64 << 10) / line.len());
    let headers = request::headers(&tenant, "application/x-ndjson", &[]);
    assert_eq!(
        receipts(&gateway.request("POST", "/v1/events", &headers, &fits.as_bytes()[..19000])).len(),
        1000
    );
    let over = vec![b'\n'; (64 << 10) + 1];
    let huge = vec![b'\n'; 8 << 20];
    for body in [&over, &huge] {
        let whole = request::bytes("POST", "/v1/events", &headers, body);
        let mut chunked = request::head(
            "POST",
            "/v1/events",
            &request::headers(&tenant, "application/x-ndjson", &[("transfer-encoding", "chunked")]),
        );
        for chunk in body.chunks(16 << 10) {
            chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        for bytes in [whole, chunked] {
            let answer = gateway
                .connect()
                .exchange(&bytes)
                .expect("an answer, although the body is not read");
            problem(&answer, 413, "too-large");
        }
    }
    let headers =
        request::headers(&tenant, "application/x-ndjson", &[("content-encoding", "gzip")]);
    problem(&gateway.request("POST", "/v1/events", &headers, &gzip(&over)), 413, "too-large");
    // Announced and never sent: the answer does not wait for it.
    let mut announced = gateway.connect();
    let head = request::head(
        "POST",
        "/v1/events",
        &request::headers(&tenant, "application/json", &[("content-length", "1000000000")]),
    );
    announced.send(&head).unwrap();
    problem(&announced.receive().unwrap(), 413, "too-large");
    tidegate_e2e::assert_quiet(&gateway);
}
