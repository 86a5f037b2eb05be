//! A stream of Kinesis as a sink.

use std::time::Duration;

use tidegate_types::{SinkName, TenantId};

use super::NAME;
use super::kafka::Switch;
use crate::rule::choice::{OneOf, Word};
use crate::rule::table::table;
use crate::rule::text::{Secret, SecretText, TENANTS, Text};
use crate::rule::{count, size, time};

table! {
    /// A stream of Kinesis as a sink.
    KinesisSink in "sinks.kinesis" {
        /// What routes call it.
        name: SinkName = NAME;
        /// Tenants whose events may go there.
        tenants: Vec<TenantId> = TENANTS;
        /// The stream. It must be there.
        stream: String = Text { default: "", form: "the name of a stream, or its ARN" };
        /// The stream for dead letters.
        dead_letter_stream: String =
            Text { default: "", form: "the name of a stream, or its ARN; empty: none" };
        /// The region.
        region: String = Text { default: "", form: "a region; empty: as the environment says" };
        /// Where Kinesis is, for private endpoints and servers that speak as it does.
        endpoint: String = Text { default: "", form: "a URL; empty: that of AWS" };
        /// As whom.
        access_key_id: String =
            Text { default: "", form: "a key's id; empty: as the environment or the instance says" };
        /// The secret of that key.
        secret_access_key: Secret =
            SecretText { nothing: "empty: as the environment or the instance says" };
        /// What a record is: a CloudEvent with the event as its data, or the event alone with a member
        /// `tenantId`.
        envelope: Envelope = OneOf(Envelope::Cloudevents);
        /// `per-key`: events of one key are stored in their order, one call after the other. `none`: in any.
        ordering: Ordering = OneOf(Ordering::PerKey);
        /// Records in one call.
        batch_records: usize = count("500", "1", "500");
        /// Bytes in one call.
        batch_bytes: usize = size("5MiB", "1KiB", "10MiB");
        /// How long a record waits for others.
        linger: Duration = time("50ms", "1ms", "10s");
        /// Calls under way at once.
        calls: usize = count("16", "1", "256");
        /// How long a call may take.
        call_timeout: Duration = time("10s", "100ms", "2m");
        /// Records that may wait to be sent. With the ack level `delivered`, more are answered 503.
        queue_messages: usize = count("100000", "1", "100000000");
        /// Bytes that may wait to be sent.
        queue_bytes: usize = size("256MiB", "1MiB", "1TiB");
        /// Is CloudWatch told how many events came, and how many were turned away (`event_drop`)?
        cloudwatch: Switch = OneOf(Switch::Off);
        /// Where CloudWatch is, where it is not that of AWS.
        cloudwatch_endpoint: String = Text { default: "", form: "a URL; empty: as the environment says, or that of AWS" };
        /// The namespace there.
        cloudwatch_namespace: String = Text { default: "Tidegate", form: "a text" };
        /// How often it is told.
        cloudwatch_interval: Duration = time("10s", "10ms", "5m");
    }
}

impl KinesisSink {
    fn check(&self) -> Result<(), String> {
        if self.name == (NAME.none)() {
            return Err("`name` is missing: write what routes call the sink".to_owned());
        }
        if self.stream.is_empty() {
            return Err("`stream` is missing: write its name or ARN".to_owned());
        }
        if self.access_key_id.is_empty() != self.secret_access_key.is_empty() {
            return Err("`access_key_id` and `secret_access_key` go together".to_owned());
        }
        Ok(())
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    Cloudevents,
    Event,
}

impl Word for Envelope {
    const ALL: &'static [(&'static str, Self)] =
        &[("cloudevents", Self::Cloudevents), ("event", Self::Event)];
}

/// In which order records of a key are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    PerKey,
    None,
}

impl Word for Ordering {
    const ALL: &'static [(&'static str, Self)] = &[("per-key", Self::PerKey), ("none", Self::None)];
}
