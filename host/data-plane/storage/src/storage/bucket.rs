//! Where a bucket is, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use super::options::OpenError;
use crate::publish::partition::encode;

/// A prefix in a bucket of S3, or of a service that speaks like it and knows conditional puts.
#[derive(Clone)]
pub struct BucketOptions {
    /// `s3://BUCKET/PREFIX`; the prefix may be missing. One storage has it for itself, for good.
    pub url: String,
    /// Empty: as the environment says (`AWS_REGION`, `AWS_DEFAULT_REGION`), otherwise `us-east-1`.
    pub region: String,
    /// `https://HOST:PORT`, or `http://` and a loopback address; empty for that of AWS, or of the
    /// environment (`AWS_ENDPOINT_URL`).
    pub endpoint: String,
    /// Empty, with the secret: as the environment or the instance says.
    pub access_key_id: String,
    pub secret_access_key: String,
    /// How long connecting may take. 5 s.
    pub connect_timeout: Duration,
    /// How long one request may take, with all its bytes; it is tried three more times. 60 s.
    pub request_timeout: Duration,
}

/// Without the secret.
impl fmt::Debug for BucketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketOptions")
            .field("url", &self.url)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl BucketOptions {
    /// The defaults that the fields' documentation gives.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            region: String::new(),
            endpoint: String::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
        }
    }

    /// The same under the node's own prefix: several nodes can be given one URL.
    #[must_use]
    pub fn of_node(self, name: &str) -> Self {
        let url = format!("{}/{}", self.url.trim_end_matches('/'), encode(name));
        Self { url, ..self }
    }

    /// Bucket and prefix; the latter without a slash at its ends.
    pub(crate) fn parts(&self) -> Option<(&str, &str)> {
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let in_bucket = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(in_bucket);
        let is_step = |step: &str| {
            !["", ".", ".."].contains(&step) && step.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_prefix = prefix.is_empty() || prefix.split('/').all(is_step);
        // Keys have 1024 bytes at most; those of files have up to 600 below the prefix.
        (is_bucket && is_prefix && prefix.len() <= 400).then_some((bucket, prefix))
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let refuse =
            |what, must_be: &str| Err(OpenError::Options { what, must_be: must_be.into() });
        let timeout = Duration::from_millis(10)..=Duration::from_secs(3600);
        if self.parts().is_none() {
            return refuse("URL", "s3://BUCKET/PREFIX");
        }
        check_endpoint(&self.endpoint)?;
        if self.access_key_id.is_empty() != self.secret_access_key.is_empty() {
            return refuse("access key", "given with its secret, or both left out");
        }
        if !timeout.contains(&self.connect_timeout) || !timeout.contains(&self.request_timeout) {
            return refuse("time for a request", "10 ms to 1 hour");
        }
        Ok(())
    }
}

/// Is there a way to it that nobody listens to?
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), OpenError> {
    let is_good = endpoint.is_empty()
        || endpoint.starts_with("https://")
        || endpoint.strip_prefix("http://").is_some_and(is_loopback);
    let must_be = "https://HOST:PORT, or http:// and a loopback address";
    if is_good {
        Ok(())
    } else {
        Err(OpenError::Options { what: "endpoint", must_be: must_be.into() })
    }
}

/// Is it `HOST:PORT`, or `HOST`, of this machine?
fn is_loopback(authority: &str) -> bool {
    let authority = authority.trim_end_matches('/');
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, expected) in [
            ("s3://bucket", Some(("bucket", ""))),
            ("s3://bucket/", Some(("bucket", ""))),
            ("s3://bucket/a/b=c", Some(("bucket", "a/b=c"))),
            ("s3://bucket/a/", Some(("bucket", "a"))),
            ("s3://bucket//a", None),
            ("s3://bucket/a/../b", None),
            ("s3://bucket/a b", None),
            ("s3://b/a", None),
            ("s3://user@bucket/a", None),
            ("https://bucket/a", None),
            ("", None),
        ] {
            assert_eq!(BucketOptions::new(url).parts(), expected, "{url}");
        }
        let of_node = |url| BucketOptions::new(url).of_node("n 1").url;
        assert_eq!(of_node("s3://bucket/a/"), "s3://bucket/a/n%201");
        assert_eq!(of_node("s3://bucket"), "s3://bucket/n%201");
    }

    #[test]
    fn plain_http_stays_on_the_machine() {
        for (endpoint, is_good) in [
            ("", true),
            ("https://s3.example", true),
            ("http://127.0.0.1:9000", true),
            ("http://localhost:9000/", true),
            ("http://[::1]:9000", true),
            ("http://10.0.0.1:9000", false),
            ("http://localhost.example", false),
            ("ftp://localhost", false),
        ] {
            let options =
                BucketOptions { endpoint: endpoint.into(), ..BucketOptions::new("s3://abc") };
            assert_eq!(options.check().is_ok(), is_good, "{endpoint}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let secret = BucketOptions {
            secret_access_key: "s3cr3t".into(),
            access_key_id: "id".into(),
            ..BucketOptions::new("s3://abc")
        };
        assert!(!format!("{secret:?}").contains("s3cr3t"));
        let half = BucketOptions { access_key_id: String::new(), ..secret };
        assert!(half.check().is_err());
    }
}
