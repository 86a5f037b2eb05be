//! What a connector is told: where to, how much at once, how long to try. Checked once.

use std::time::Duration;

use crate::client::{ClientError, Credential};

/// Which endpoint takes the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/events/batch`: many events per request.
    #[default]
    Batch,
    /// `POST /v1/events`: one event per request.
    Single,
}

/// When to try again, and when to give up.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// How often one event is sent at most, the first time included. 1 or more. Default 10.
    pub max_attempts: u32,
    /// How long one batch is tried at most, waiting included. Default 2 minutes.
    pub max_elapsed: Duration,
    /// The wait before the second attempt is random between 0 and this, doubled each attempt.
    /// Default 100 ms.
    pub first_delay: Duration,
    /// The doubling stops here. Default 10 s.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            max_elapsed: Duration::from_secs(120),
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
        }
    }
}

/// Everything a [`Connector`](crate::Connector) needs to know.
#[derive(Clone)]
pub struct ConnectorOptions {
    /// `http://HOST:PORT` of the gateway.
    pub url: String,
    pub credential: Credential,
    pub endpoint: Endpoint,
    /// Events per request, 1 to 1000. Default 100; always 1 for [`Endpoint::Single`].
    pub batch_events: usize,
    /// Bytes of events per request, 1 or more; a larger event goes alone. Default 2 MiB.
    pub batch_bytes: usize,
    /// Requests at once, 1 to 1024. Default 8.
    pub connections: usize,
    /// How long one request may take before it counts as failed. Default 30 s.
    pub request_timeout: Duration,
    pub retry: RetryPolicy,
}

impl ConnectorOptions {
    /// The defaults, for a gateway and a producer's key.
    #[must_use]
    pub fn new(url: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credential: Credential::ApiKey(api_key.into()),
            endpoint: Endpoint::Batch,
            batch_events: 100,
            batch_bytes: 2 << 20,
            connections: 8,
            request_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        let in_range = |what, value: usize, max: usize| {
            if (1..=max).contains(&value) {
                Ok(())
            } else {
                Err(InvalidOptions::OutOfRange { what, value, max })
            }
        };
        in_range("the number of events per batch", self.batch_events, 1000)?;
        in_range("the number of bytes per batch", self.batch_bytes, 1 << 30)?;
        in_range("the number of connections", self.connections, 1024)?;
        in_range("the number of attempts", self.retry.max_attempts as usize, u32::MAX as usize)
    }
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    #[error("{what} must be 1 to {max}, not {value}")]
    OutOfRange { what: &'static str, value: usize, max: usize },
    #[error(transparent)]
    Client(#[from] ClientError),
}
