//! What a connector is told: where to, how much at once, how long to try. Checked once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::client::{ClientError, Credential, HttpClient};
use crate::exchange::connect::TlsOptions;
use crate::outcome::RequestRecord;

/// Which endpoint takes the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/events/batch`: many events per request.
    #[default]
    Batch,
    /// `POST /v1/events`: one event per request.
    Single,
}

/// How bodies of 1024 bytes or more are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Identity,
    Gzip,
    Zstd,
}

/// Called after each request, with what metrics are made of; by several tasks at once.
pub type RequestHook = Arc<dyn Fn(&RequestRecord) + Send + Sync>;

/// When to try again, and when to give up.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// How often one event is sent at most, the first time included. 1 or more. Default 10. Spooled
    /// events are tried until they are settled.
    pub max_attempts: u32,
    /// How long one batch is tried at most, waiting included. Default 2 minutes. Not for spooled
    /// events.
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
    /// `http://HOST:PORT` of the gateway, with or without a path before the API's own; `https://` where
    /// the crate is built with the feature `tls`.
    pub url: String,
    pub tls: TlsOptions,
    pub credential: Credential,
    pub endpoint: Endpoint,
    /// The member of an event that holds its idempotency key: the one that the tenant's revision
    /// points at. An event without it gets one when it is taken up. `None`: events go as they are,
    /// and one that is sent again may be stored twice. Default `idempotencyKey`.
    pub key_field: Option<String>,
    /// Events per request, 1 to 1000. Default 100; always 1 for [`Endpoint::Single`].
    pub batch_events: usize,
    /// Bytes of events per request, 1 or more; a larger event goes alone. Default 2 MiB.
    pub batch_bytes: usize,
    pub encoding: Encoding,
    /// Requests at once, 1 to 1024. Default 8.
    pub connections: usize,
    /// How long one request may take before it counts as failed. Default 30 s.
    pub request_timeout: Duration,
    pub retry: RetryPolicy,
    pub on_request: Option<RequestHook>,
}

impl ConnectorOptions {
    /// The defaults, for a gateway and a producer's key.
    #[must_use]
    pub fn new(url: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: TlsOptions::default(),
            credential: Credential::ApiKey(api_key.into()),
            endpoint: Endpoint::Batch,
            key_field: Some("idempotencyKey".to_owned()),
            batch_events: 100,
            batch_bytes: 2 << 20,
            encoding: Encoding::Identity,
            connections: 8,
            request_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            on_request: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        in_range("the number of events per batch", self.batch_events, 1, 1000)?;
        in_range("the number of bytes per batch", self.batch_bytes, 1, 1 << 30)?;
        in_range("the number of connections", self.connections, 1, 1024)?;
        in_range("the number of attempts", self.retry.max_attempts as usize, 1, u32::MAX as usize)?;
        if self.key_field.as_deref() == Some("") {
            return Err(InvalidOptions::EmptyKeyField);
        }
        Ok(())
    }

    /// What speaks to the gateway.
    pub(crate) fn http_client(&self) -> Result<HttpClient, ClientError> {
        HttpClient::with_tls(&self.url, Some(&self.credential), self.connections, &self.tls)
    }

    /// Events of one request.
    pub(crate) fn most_events(&self) -> usize {
        match self.endpoint {
            Endpoint::Batch => self.batch_events,
            Endpoint::Single => 1,
        }
    }
}

/// Everything a [`Client`](crate::Client) needs to know.
#[derive(Clone)]
pub struct ClientOptions {
    /// How events are delivered. Here the default of `connections` is 4, of `batch_bytes` 1 MiB.
    pub connector: ConnectorOptions,
    /// How long events wait for others to fill their batch. Default 50 ms.
    pub batch_age: Duration,
    /// Events in memory, without a spool, until they are settled. Default 10,000.
    pub queue_events: usize,
    /// Bytes of these events. Default 64 MiB.
    pub queue_bytes: usize,
    /// Folder of the spool, made where it is missing. It belongs to one client at a time.
    pub spool: Option<PathBuf>,
    /// What the spool's segments may have on disk, 4 KiB or more. Default 1 GiB.
    pub spool_bytes: u64,
}

impl ClientOptions {
    /// The defaults, for a gateway and a producer's key.
    #[must_use]
    pub fn new(url: impl Into<String>, api_key: impl Into<String>) -> Self {
        let connector = ConnectorOptions::new(url, api_key);
        Self {
            connector: ConnectorOptions { connections: 4, batch_bytes: 1 << 20, ..connector },
            batch_age: Duration::from_millis(50),
            queue_events: 10_000,
            queue_bytes: 64 << 20,
            spool: None,
            spool_bytes: 1 << 30,
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidOptions> {
        self.connector.check()?;
        let age = usize::try_from(self.batch_age.as_secs()).unwrap_or(usize::MAX);
        in_range("the age of a batch in seconds", age, 0, 86_400)?;
        in_range("the number of events in memory", self.queue_events, 1, 1 << 31)?;
        in_range("the number of bytes in memory", self.queue_bytes, 1, 1 << 40)?;
        let spool = usize::try_from(self.spool_bytes).unwrap_or(usize::MAX);
        in_range("the number of bytes of the spool", spool, 4096, 1 << 50)
    }
}

fn in_range(
    what: &'static str,
    value: usize,
    min: usize,
    max: usize,
) -> Result<(), InvalidOptions> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(InvalidOptions::OutOfRange { what, value, min, max })
    }
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    #[error("{what} must be {min} to {max}, not {value}")]
    OutOfRange { what: &'static str, value: usize, min: usize, max: usize },
    #[error("the name of the member that holds the key is empty")]
    EmptyKeyField,
    #[error(transparent)]
    Client(#[from] ClientError),
}
