//! Where events leave: the sinks of the node, and how long they are waited for.

pub(crate) mod kafka;
pub(crate) mod kinesis;

use std::path::PathBuf;
use std::time::Duration;

use tidegate_types::SinkName;

use crate::rule::table::tables;
use crate::rule::text::Named;
use crate::rule::{UnderDataDir, count, size, time};
use crate::section::section;
use kafka::KafkaSink;
use kinesis::KinesisSink;

section! {
    /// Sinks: topics and streams that routes of revisions send events to, by name.
    Sinks in "sinks" {
        /// Topics of Kafka: `[[sinks.kafka]]`, each with the keys listed below.
        kafka: Vec<KafkaSink> = tables::<KafkaSink>();
        /// Streams of Kinesis: `[[sinks.kinesis]]`, each with the keys listed below.
        kinesis: Vec<KinesisSink> = tables::<KinesisSink>();
        /// The folder of the positions up to which each sink has the log.
        directory: PathBuf = UnderDataDir("sinks");
        /// With the ack level `delivered`: how long an answer waits for sinks. Beyond, events are answered
        /// 503.
        delivery_timeout: Duration = time("10s", "100ms", "5m");
        /// Without a delivery for so long, while events are under way, events that wait for the sink are
        /// answered 503 at once.
        stall_after: Duration = time("5s", "100ms", "5m");
        /// Bytes of the log that may be under way to one sink.
        in_flight_bytes: usize = size("32MiB", "64KiB", "4GiB");
        /// How often a sink's position is made durable. After a crash what came since is sent again.
        cursor_interval: Duration = time("500ms", "10ms", "1m");
        /// Dead letters of one tenant, event type and reason that are written in full in each minute; more
        /// are counted in one letter.
        dead_letters_per_minute: u64 = count("100", "1", "1000000");
        /// How long the node waits at its end for sinks to take what is durable; the rest is sent after
        /// the next start.
        drain_timeout: Duration = time("10s", "0s", "10m");
    }
}

/// The name of a sink, which routes use.
pub(crate) const NAME: Named<SinkName> = Named {
    form: "1 to 63 of a-z, 0-9, - and _, the first a letter or digit",
    none: || SinkName::new("unnamed").expect("it is a good name"),
};
