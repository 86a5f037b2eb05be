//! A server that speaks as S3 does: moto, with what it stores in memory.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::aws::AwsServer;
use crate::http::{Connection, Response};

/// The secret of the key, so that it can be looked for where it should not be.
const SECRET: &str = "s3cr3t-surf";

/// The server believes any signature, but wants one.
const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
);

/// A server that runs.
#[derive(Debug)]
pub struct S3 {
    server: AwsServer,
    buckets: AtomicU32,
}

/// The server that all tests of one test program share.
pub fn shared() -> &'static S3 {
    static SHARED: LazyLock<S3> = LazyLock::new(S3::start);
    &SHARED
}

impl S3 {
    /// Starts a server without buckets.
    #[must_use]
    pub fn start() -> Self {
        Self { server: AwsServer::moto(), buckets: AtomicU32::new(0) }
    }

    /// `HOST:PORT`
    #[must_use]
    pub fn address(&self) -> String {
        self.endpoint().trim_start_matches("http://").to_owned()
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// A key and its secret; any are good.
    #[must_use]
    pub fn credentials(&self) -> (&'static str, &'static str) {
        ("test", SECRET)
    }

    /// Makes an empty bucket; answers its name.
    pub fn create_bucket(&self) -> String {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        assert_eq!(self.request("PUT", &format!("/{name}"), b"").status, 200);
        name
    }

    /// The keys of all objects, or of those that begin with something, in order.
    #[must_use]
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().map_or_else(String::new, |last| encoded(last, false));
            let prefix = encoded(prefix, false);
            let path = format!("/{bucket}?list-type=2&prefix={prefix}&start-after={after}");
            let answer = self.request("GET", &path, b"");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let text = answer.text();
            let found = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            let found: Vec<String> = found.map(|key| key.replace("&amp;", "&")).collect();
            if found.is_empty() {
                return keys;
            }
            keys.extend(found);
        }
    }

    /// An object's bytes.
    #[must_use]
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let answer = self.request("GET", &object(bucket, key), b"");
        (answer.status == 200).then_some(answer.body)
    }

    /// Puts an object, whatever is there.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let answer = self.request("PUT", &object(bucket, key), bytes);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Takes an object away.
    pub fn remove(&self, bucket: &str, key: &str) {
        let answer = self.request("DELETE", &object(bucket, key), b"");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let mut connection = Connection::open(&self.address()).expect("the server listens");
        connection.request(method, path, &[SIGNED], body).expect("the server answers")
    }
}

fn object(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encoded(key, true))
}

fn encoded(text: &str, keep_slashes: bool) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        b'/' if keep_slashes => "/".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
