//! A topic of Kafka as a sink.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_types::{SinkName, TenantId};

use super::NAME;
use crate::rule::choice::{OneOf, Word};
use crate::rule::table::table;
use crate::rule::text::{Secret, SecretText, TENANTS, Text};
use crate::rule::{OptionalFile, count, size, time};

table! {
    /// A topic of Kafka as a sink.
    KafkaSink in "sinks.kafka" {
        /// What routes call it.
        name: SinkName = NAME;
        /// Tenants whose events may go there.
        tenants: Vec<TenantId> = TENANTS;
        /// Brokers to begin with.
        bootstrap: String = Text { default: "", form: "`HOST:PORT`, with commas between them" };
        /// The topic. It must be there.
        topic: String = Text { default: "", form: "the name of a topic" };
        /// Where dead letters go.
        dead_letter_topic: String =
            Text { default: "", form: "the name of a topic; empty: the topic's and `.dlq`" };
        /// How the gateway calls itself to the brokers.
        client_id: String = Text { default: "tidegate", form: "a text" };
        /// How long is waited for more records of a batch: `adaptive` sends at once while fewer than
        /// `max_in_flight` requests are under way, and what comes meanwhile makes the next ones larger;
        /// `fixed` waits for `linger_time`.
        linger: Linger = OneOf(Linger::Adaptive);
        /// See `linger`.
        linger_time: Duration = time("5ms", "0s", "1m");
        /// Requests under way to one broker: fewer make larger batches, more hide a long way to it.
        max_in_flight: u32 = count("2", "1", "5");
        /// Bytes of a batch for one partition.
        batch_bytes: u32 = size("1000000", "1KiB", "1GiB");
        /// How batches are compressed.
        compression: Compression = OneOf(Compression::Lz4);
        /// Bytes of the largest record; larger events become dead letters. The topic's
        /// `max.message.bytes` must be as large.
        max_message_bytes: u32 = size("1000000", "1000", "953MiB");
        /// Records that may wait to be sent. With the ack level `delivered`, more are answered 503.
        queue_messages: u32 = count("100000", "1", "10000000");
        /// Bytes that may wait to be sent.
        queue_bytes: u64 = size("256MiB", "1MiB", "1TiB");
        /// How long a broker may take to answer.
        request_timeout: Duration = time("30s", "1s", "5m");
        /// Is the connection secured with TLS?
        tls: Switch = OneOf(Switch::Off);
        /// Certificates (PEM) that brokers may have; those that the system trusts where there are none.
        ca_file: Option<PathBuf> = OptionalFile;
        /// What the gateway shows to brokers (PEM), where they ask for it.
        certificate_file: Option<PathBuf> = OptionalFile;
        /// The key to it.
        key_file: Option<PathBuf> = OptionalFile;
        /// How the gateway says who it is.
        sasl: SaslMechanism = OneOf(SaslMechanism::None);
        /// As whom.
        sasl_user: String = Text { default: "", form: "a text" };
        /// The password.
        sasl_password: Secret = SecretText { nothing: "empty: none" };
    }
}

impl KafkaSink {
    fn check(&self) -> Result<(), String> {
        if self.name == (NAME.none)() {
            return Err("`name` is missing: write what routes call the sink".to_owned());
        }
        if self.bootstrap.is_empty() {
            return Err("`bootstrap` is missing: write HOST:PORT of some brokers".to_owned());
        }
        if !is_topic(&self.topic) {
            return Err(format!("`topic` must be {TOPIC_FORM}"));
        }
        if !self.dead_letter_topic.is_empty() && !is_topic(&self.dead_letter_topic) {
            return Err(format!("`dead_letter_topic` must be {TOPIC_FORM}"));
        }
        if self.sasl != SaslMechanism::None && self.sasl_user.is_empty() {
            return Err("`sasl_user` is missing: write as whom the gateway speaks".to_owned());
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return Err("`certificate_file` and `key_file` go together".to_owned());
        }
        if self.tls == Switch::Off && (self.ca_file.is_some() || self.key_file.is_some()) {
            return Err("certificates are of no use without `tls = \"on\"`".to_owned());
        }
        Ok(())
    }

    /// Where dead letters go.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        match self.dead_letter_topic.as_str() {
            "" => format!("{}.dlq", self.topic),
            named => named.to_owned(),
        }
    }
}

const TOPIC_FORM: &str = "1 to 249 of letters, digits, `.`, `_` and `-`";

fn is_topic(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&text.len()) && text.bytes().all(fits) && !matches!(text, "." | "..")
}

/// How long is waited for more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    Adaptive,
    Fixed,
}

impl Word for Linger {
    const ALL: &'static [(&'static str, Self)] =
        &[("adaptive", Self::Adaptive), ("fixed", Self::Fixed)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Lz4,
    Gzip,
    Snappy,
}

impl Word for Compression {
    const ALL: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("lz4", Self::Lz4), ("gzip", Self::Gzip), ("snappy", Self::Snappy)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    None,
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Word for SaslMechanism {
    const ALL: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("plain", Self::Plain),
        ("scram-sha-256", Self::ScramSha256),
        ("scram-sha-512", Self::ScramSha512),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    Off,
    On,
}

impl Word for Switch {
    const ALL: &'static [(&'static str, Self)] = &[("off", Self::Off), ("on", Self::On)];
}
