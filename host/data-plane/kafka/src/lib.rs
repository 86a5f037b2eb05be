//! Kafka as a sink.
//!
//! What is taken is never given up: `acks=all`, the idempotent producer, and no timeout of messages
//! (`message.timeout.ms=0`), since one that timed out may have been written and would be there twice
//! when it is sent again. So a message is reported delivered, rejected (the broker or the client
//! refuses this very message), or errored because the producer as a whole has failed; then a new
//! producer is made, and who sent the message sends it again.
//!
//! A full queue of the client is not an error: [`KafkaSink`] takes fewer messages.
//!
//! Partitions are chosen as Java's clients choose them (`murmur2_random`). A record is a CloudEvent in
//! the binary mode of the Kafka protocol binding 1.0.2 (section 3.2: attributes are headers `ce_…`), or
//! in the structured mode (section 3.3) where the event itself came as a CloudEvent; see [`headers`].
//!
//! Sources: librdkafka's INTRODUCTION.md ("Idempotent Producer", "Message reliability") and
//! CONFIGURATION.md, version 2.12.

pub mod headers;

mod context;
mod failure;
mod options;
mod producer;
pub mod redrive;
mod sink;
mod topic;

pub use options::{Compression, KafkaOptions, Linger, Sasl, SaslMechanism, Tls};
pub use sink::{KafkaSink, StartError};
pub use topic::TopicFinding;
