//! Posts events to a Tidegate gateway: batches, several connections, retries until each event is
//! settled or given up, memory bounded however many there are.
//!
//! [`Connector::post`] delivers what an iterator gives, now:
//!
//! ```no_run
//! # async fn example(lines: std::io::Lines<std::io::BufReader<std::fs::File>>) -> Result<(), Box<dyn std::error::Error>> {
//! use tidegate_connector::{Connector, ConnectorOptions};
//!
//! let key = std::fs::read_to_string("api-key")?;
//! let connector = Connector::new(ConnectorOptions::new("http://127.0.0.1:8080", key.trim()))?;
//! let events = lines.map(|line| Ok(line?.into()));
//! let summary = connector.post(events, |settled| drop(settled)).await;
//! assert!(summary.is_complete());
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::send`] takes an event into memory, or into a spool on disk, and tasks in the background
//! deliver it:
//!
//! ```no_run
//! # async fn example(key: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tidegate_connector::{Client, ClientOptions};
//!
//! let mut options = ClientOptions::new("http://127.0.0.1:8080", key);
//! options.spool = Some("/var/spool/readings".into());
//! let client = Client::open(options, |settled| println!("{:?}", settled.outcome)).await?;
//! client.send(r#"{"eventType":"reading","n":3}"#).await?; // on the disk when this returns
//! let report = client.close(Duration::from_secs(10)).await;
//! println!("{} stay for the next start", report.spooled);
//! # Ok(())
//! # }
//! ```
//!
//! An event is settled by a receipt that says `accepted`, `quarantined`, `duplicate`, `rejected` or
//! `conflict`. Connection errors, 408, 409, 429, 5xx and receipts that say `retry` are tried again
//! with exponential backoff and full jitter, and only what is unsettled is sent again. An event that
//! was stored but whose answer was lost comes back as `duplicate`, provided that it carries the
//! idempotency key that the tenant's revision points at; one that has none gets one, once, when it is
//! taken up ([`ConnectorOptions::key_field`]).

mod client;
mod delivery;
mod event;
mod exchange;
mod options;
mod outcome;
mod post;
mod spool;

pub use client::{Client, CloseReport, OpenError, SendError};
pub use event::InvalidEvent;
pub use exchange::answer::ProblemBody;
pub use exchange::client::{
    Answer, ClientError, Credential, HttpClient, TokenFuture, TokenSource, json_content,
};
pub use exchange::connect::{Identity, TlsOptions};
pub use options::{
    ClientOptions, ConnectorOptions, Encoding, Endpoint, InvalidOptions, RequestHook, RetryPolicy,
};
pub use outcome::{Held, Outcome, RequestRecord, Settled, Unsettled};
pub use post::summary::{Stopped, Summary};
pub use post::{Connector, InputError};
pub use spool::SpoolError;

/// What stands there compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
