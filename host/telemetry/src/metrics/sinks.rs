//! Sinks, the forwarders that bring the log to them, and what places of one kind tell besides.

use crate::metric::metrics;

metrics! {
    /// Messages that the sink has taken, dead letters among them.
    TAKEN: counter "tidegate_sink_messages_taken_total" [sink];
    /// Bytes of the bodies of messages that the sink has taken.
    BYTES_TAKEN: counter "tidegate_sink_taken_bytes_total" [sink];
    /// Messages that the sink's place has acknowledged.
    DELIVERED: counter "tidegate_sink_messages_delivered_total" [sink];
    /// Messages that were not delivered and may go well another time.
    ERRORED: counter "tidegate_sink_messages_errored_total" [sink];
    /// Of the errored messages, those that may be there all the same, and twice when they are sent again.
    UNKNOWN: counter "tidegate_sink_messages_unknown_total" [sink];
    /// Messages that the sink's place refuses for good.
    REJECTED: counter "tidegate_sink_messages_rejected_total" [sink];
    /// Dead letters that were written.
    DEAD_LETTERS: counter "tidegate_sink_dead_letters_total" [sink];
    /// Dead letters that were only counted, in one that stands for them.
    DEAD_LETTERS_COMPACTED: counter "tidegate_sink_dead_letters_compacted_total" [sink];
    /// Dead letters that were refused themselves.
    DEAD_LETTERS_LOST: counter "tidegate_sink_dead_letters_lost_total" [sink];
    /// Events whose answer waited for the sink.
    EVENTS_RECEIVED: counter "tidegate_sink_events_received_total" [sink];
    /// Events that were answered 503 because the sink did not take them.
    EVENTS_DROPPED: counter "tidegate_sink_events_dropped_total" [sink];
    /// Messages that were taken and are not acknowledged yet.
    OPEN: gauge "tidegate_sink_messages_open" [sink];
    /// Records of the log behind the sink's position, also those that go elsewhere.
    LAG: gauge "tidegate_sink_lag_records" [sink];
    /// 1 while events that wait for the sink are answered 503 at once.
    BREAKER_OPEN: gauge "tidegate_sink_breaker_open" [sink];
    /// From sending messages together to the last report on them.
    DELIVERY_DURATION: histogram "tidegate_sink_delivery_duration_seconds" [sink];
    /// Messages in the Kafka client that are not reported yet.
    KAFKA_CLIENT_MESSAGES: gauge "tidegate_kafka_client_messages" [sink];
    /// PutRecords calls that were made.
    KINESIS_CALLS: counter "tidegate_kinesis_calls_total" [sink];
    /// PutRecords calls that failed as a whole.
    KINESIS_FAILED_CALLS: counter "tidegate_kinesis_failed_calls_total" [sink, reason];
    /// Records in calls, each as often as it was sent.
    KINESIS_SENT_RECORDS: counter "tidegate_kinesis_sent_records_total" [sink];
    /// Bytes of these records and their keys.
    KINESIS_SENT_BYTES: counter "tidegate_kinesis_sent_bytes_total" [sink];
    /// What became of records; those throttled and failed are tried again.
    KINESIS_RECORDS: counter "tidegate_kinesis_records_total" [sink, outcome];
    /// Records that wait or are under way.
    KINESIS_WAITING_RECORDS: gauge "tidegate_kinesis_waiting_records" [sink];
    /// Bytes that they take.
    KINESIS_WAITING_BYTES: gauge "tidegate_kinesis_waiting_bytes" [sink];
    /// Calls that have not been answered.
    KINESIS_CALLS_UNDER_WAY: gauge "tidegate_kinesis_calls_under_way" [sink];
    /// Open shards of the stream.
    KINESIS_SHARDS: gauge "tidegate_kinesis_shards" [sink, stream];
    /// For how long the stream keeps records.
    KINESIS_RETENTION: gauge "tidegate_kinesis_retention_seconds" [sink, stream];
    /// The largest record that the stream takes, key included.
    KINESIS_RECORD_LIMIT: gauge "tidegate_kinesis_record_limit_bytes" [sink, stream];
    /// Events that came for the stream.
    CLOUDWATCH_RECEIVED: counter "tidegate_cloudwatch_received_events_total" [stream];
    /// Of them, those turned away: throttled, or a full queue.
    CLOUDWATCH_DROPPED: counter "tidegate_cloudwatch_dropped_events_total" [stream];
    /// Events that CloudWatch knows of.
    CLOUDWATCH_REPORTED: counter "tidegate_cloudwatch_reported_events_total" [stream];
    /// Calls to CloudWatch that failed.
    CLOUDWATCH_FAILURES: counter "tidegate_cloudwatch_report_failures_total" [stream];
}
