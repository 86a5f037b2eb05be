//! Requests as the bytes that go over the wire, for tests that must say every one of them.

use tidegate_testkit::Tenant;

/// A request of HTTP/1.1 with its length.
#[must_use]
pub fn bytes(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = head(method, path, headers);
    out.truncate(out.len() - 2);
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// The head of a request, the empty line included.
#[must_use]
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The headers of a request with a body of some type, and more.
#[must_use]
pub fn headers<'a>(
    tenant: &'a Tenant,
    content_type: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut out = vec![("x-api-key", tenant.key.as_str()), ("content-type", content_type)];
    out.extend_from_slice(more);
    out
}
