//! Quotas: how many requests, events and bytes a key and a tenant may send, as token buckets: `burst`
//! tokens at most, and `limit` more of them evenly over each `window`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    Requests,
    Events,
    /// Of the events' texts, after decompression.
    Bytes,
}

impl Dimension {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Events => "events",
            Self::Bytes => "bytes",
        }
    }
}

/// A token bucket's measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "QuotaText", into = "QuotaText")]
pub struct Quota {
    limit: u64,
    window: Duration,
    burst: u64,
}

/// As it is written: `{"limit":600,"window_seconds":60,"burst":100}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaText {
    limit: u64,
    #[serde(default = "a_minute")]
    window_seconds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
}

fn a_minute() -> u64 {
    60
}

/// The most that a quota counts: the largest integer of Structured Fields (RFC 9651, section 3.3.1), which
/// double-precision numbers count one by one as well.
const MAX_TOKENS: u64 = 999_999_999_999_999;
const MAX_WINDOW_SECONDS: u64 = 24 * 60 * 60;

impl Quota {
    /// `limit` tokens in each window, `burst` of them at once.
    ///
    /// # Errors
    /// Where limit or burst are not 1 to 999,999,999,999,999, or the window is not 1 s to 24 h.
    pub fn new(limit: u64, window: Duration, burst: u64) -> Result<Self, String> {
        let seconds = window.as_secs();
        if !(1..=MAX_TOKENS).contains(&limit) || !(1..=MAX_TOKENS).contains(&burst) {
            return Err(format!("limit and burst of a quota are 1 to {MAX_TOKENS}"));
        }
        if !(1..=MAX_WINDOW_SECONDS).contains(&seconds) || window.subsec_nanos() != 0 {
            return Err(format!("the window of a quota is 1 to {MAX_WINDOW_SECONDS} seconds"));
        }
        Ok(Self { limit, window, burst })
    }

    /// So many in each minute, all of them at once where they are there.
    #[must_use]
    pub fn a_minute(limit: u32) -> Self {
        let limit = u64::from(limit.max(1));
        Self { limit, window: Duration::from_secs(60), burst: limit }
    }

    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    #[must_use]
    pub fn burst(&self) -> u64 {
        self.burst
    }
}

impl TryFrom<QuotaText> for Quota {
    type Error = String;

    fn try_from(text: QuotaText) -> Result<Self, String> {
        let window = Duration::from_secs(text.window_seconds);
        Self::new(text.limit, window, text.burst.unwrap_or(text.limit))
    }
}

impl From<Quota> for QuotaText {
    fn from(quota: Quota) -> Self {
        let Quota { limit, window, burst } = quota;
        let burst = (burst != limit).then_some(burst);
        Self { limit, window_seconds: window.as_secs(), burst }
    }
}

/// What becomes of a batch that is larger than what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// The events that fit, in their order; the others may be sent again.
    #[default]
    Part,
    /// Nothing of it.
    Nothing,
}

/// The quotas of a tenant as a whole, or of a key. What is not there is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Quota>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Quota>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Quota>,
    #[serde(default)]
    pub over: Over,
}

impl Quotas {
    /// Those that are there, each with what it counts.
    pub fn each(&self) -> impl Iterator<Item = (Dimension, Quota)> {
        let all = [
            (Dimension::Requests, self.requests),
            (Dimension::Events, self.events),
            (Dimension::Bytes, self.bytes),
        ];
        all.into_iter().filter_map(|(dimension, quota)| Some((dimension, quota?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_as_they_are_written() {
        for (text, expected) in [
            (r#"{"limit":600}"#, Some((600, 60, 600))),
            (r#"{"limit":10,"window_seconds":1,"burst":3}"#, Some((10, 1, 3))),
            (r#"{"limit":0}"#, None),
            (r#"{"limit":5,"burst":0}"#, None),
            (r#"{"limit":5,"window_seconds":0}"#, None),
            (r#"{"limit":5,"window_seconds":86401}"#, None),
            (r#"{"limit":1000000000000000}"#, None),
            (r#"{"limit":5,"per":"minute"}"#, None),
            (r#"{}"#, None),
        ] {
            let read = serde_json::from_str::<Quota>(text);
            let read = read.ok().map(|quota| (quota.limit, quota.window.as_secs(), quota.burst));
            assert_eq!(read, expected, "{text}");
        }
        let quota: Quota = serde_json::from_str(r#"{"limit":10,"burst":3}"#).unwrap();
        let text = serde_json::to_string(&quota).unwrap();
        assert_eq!(text, r#"{"limit":10,"window_seconds":60,"burst":3}"#);
        assert_eq!(serde_json::from_str::<Quota>(&text).unwrap(), quota);
    }
}
