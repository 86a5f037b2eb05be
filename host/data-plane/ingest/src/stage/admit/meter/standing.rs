//! What is left to a sender, as headers: those of the IETF draft
//! (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy`, `RateLimit`, Structured Fields of RFC
//! 9651), and `X-RateLimit-Limit`, `-Remaining` and `-Reset` for the quota of which the least is left.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_quota::{Ask, Bucket, Got};
use tidegate_types::quota::{Dimension, Quota};

const GROWS: &str = "a text takes all that is written";

/// What is left, for each quota.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Vec<Left>);

#[derive(Clone, Debug)]
struct Left {
    name: String,
    dimension: Dimension,
    quota: Quota,
    remaining: u64,
    /// Milliseconds until all of it is there.
    full_ms: u64,
}

/// `key-requests`, `tenant-bytes`, `address-requests`.
pub(super) fn name(bucket: &Bucket) -> String {
    let whose = match bucket.key.as_deref() {
        Some(id) if id.starts_with("address:") => "address",
        Some(_) => "key",
        None => "tenant",
    };
    format!("{whose}-{}", bucket.dimension.as_str())
}

impl Standing {
    pub(super) fn of(asks: &[Ask], got: &[Got]) -> Self {
        let left = asks.iter().zip(got).map(|(ask, got)| Left {
            name: name(&ask.bucket),
            dimension: ask.bucket.dimension,
            quota: ask.quota,
            remaining: got.remaining,
            full_ms: got.full_ms,
        });
        Self(left.collect())
    }

    /// So much was put back, by the place of what was asked.
    pub(super) fn put_back(&mut self, unused: &[(usize, u64)]) {
        for (at, tokens) in unused {
            if let Some(left) = self.0.get_mut(*at) {
                left.remaining = (left.remaining + tokens).min(left.quota.burst());
            }
        }
    }

    /// Adds the headers. There are none where nothing is bounded.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        // By cross-multiplication: which has the smaller part of its burst left?
        let scarcest = self.0.iter().min_by(|a, b| {
            let (a_part, b_part) = (
                u128::from(a.remaining) * u128::from(b.quota.burst()),
                u128::from(b.remaining) * u128::from(a.quota.burst()),
            );
            a_part.cmp(&b_part)
        });
        let Some(scarcest) = scarcest else { return };
        let (mut policy, mut now) = (String::with_capacity(64), String::with_capacity(64));
        for left in &self.0 {
            let separator = if policy.is_empty() { "" } else { ", " };
            let unit = match left.dimension {
                Dimension::Requests => "",
                Dimension::Events => ";qu=\"events\"",
                Dimension::Bytes => ";qu=\"content-bytes\"",
            };
            let Left { name, quota, remaining, .. } = left;
            let (limit, window) = (quota.limit(), quota.window().as_secs());
            write!(policy, "{separator}\"{name}\";q={limit}{unit};w={window}").expect(GROWS);
            write!(now, "{separator}\"{name}\";r={remaining};t={}", seconds(left.full_ms))
                .expect(GROWS);
        }
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        for (name, value) in [
            ("x-ratelimit-limit", scarcest.quota.limit()),
            ("x-ratelimit-remaining", scarcest.remaining),
            ("x-ratelimit-reset", seconds(scarcest.full_ms)),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}
