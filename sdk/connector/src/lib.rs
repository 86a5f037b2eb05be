//! Posts events to a Tidegate gateway: batches, several connections, retries until each event is
//! settled or given up, memory bounded however long the input is.
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
//! An event is settled by a receipt that says `accepted`, `quarantined`, `duplicate`, `rejected` or
//! `conflict`. Connection errors, 408, 409, 429, 5xx and receipts that say `retry` are tried again
//! with exponential backoff and full jitter, and only what is unsettled is sent again. An event that
//! was stored but whose answer was lost comes back as `duplicate`, provided that it carries the
//! idempotency key that the tenant's revision points at; an event without a key may be stored twice.

// In the order an event passes them.
mod answer;
mod backoff;
mod batch;
mod client;
mod engine;
mod options;
mod outcome;
mod summary;

pub use answer::ProblemBody;
pub use client::{Answer, ClientError, Credential, HttpClient, json_content};
pub use engine::{Connector, InputError};
pub use options::{ConnectorOptions, Endpoint, InvalidOptions, RetryPolicy};
pub use outcome::{Outcome, Settled, Unsettled};
pub use summary::{Stopped, Summary};
