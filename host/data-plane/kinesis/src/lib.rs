//! The sink Kinesis, and what CloudWatch is told of dropped events. The one crate that speaks to AWS.
//!
//! A message passes, in this order:
//! - `envelope`: the record's data. Kinesis has no headers, so all that is known of an event is JSON.
//! - `backlog`: what waits, a lane for each partition key; decides what is in the next call, and what
//!   an answer means for each record. Pure: it is given the time and the answers.
//! - `sink`: calls PutRecords, watches the streams, and is the [`tidegate_sinks::Sink`].
//!
//! # Limits
//!
//! | what | how much | from |
//! |---|---|---|
//! | records in a call | 500 | API reference of `PutRecords` |
//! | a record: data and partition key | 1 MiB, or what the stream says, up to 10 MiB | `MaxRecordSizeInKiB` of `DescribeStreamSummary`; "Handle large records" of the developer guide |
//! | a call: all its records | 5 MiB; 10 MiB where the stream takes records over 1 MiB | API reference of `PutRecords`, before large records and since |
//! | a partition key | 1 to 256 characters | API reference of `PutRecordsRequestEntry` |
//! | a shard | 1 MiB and 1,000 records a second | developer guide, "Quotas and limits" |
//!
//! Base64 is not counted: sizes are those of the bytes before it. Keys beyond 256 characters are cut
//! there; what is cut alike shares a lane, and so its order.
//!
//! # Order
//!
//! The entries of one call succeed and fail one by one, so a second record of a key in a call could
//! be stored where the first was not. With [`Ordering::PerKey`] a key therefore has one record under
//! way at a time: it moves one record a round trip, and calls are filled with other keys. With
//! [`Ordering::None`] a call takes whatever waits, and a retry may come after later records.
//!
//! Records are never aggregated: consumers that do not know the format, or find a record on a shard that
//! they do not expect it on, drop what is in it.

mod backlog;
mod client;
pub mod cloudwatch;
mod envelope;
mod options;
mod sink;

pub use client::{AwsAccess, Credentials};
pub use cloudwatch::{CloudWatchOptions, DropCounts, DropReporter};
pub use options::{BatchBounds, Envelope, KinesisOptions, OptionsError, Ordering};
pub use sink::KinesisSink;
