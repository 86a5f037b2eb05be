//! Reads a topic from its beginning to its end: the oracle of what was delivered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::PATIENCE;

/// A record of a topic.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub value: Vec<u8>,
}

impl Record {
    /// The value as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The id that the receipt names.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.headers["tidegate-event-id"]
    }
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "tests");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.set("isolation.level", "read_committed").set("allow.auto.create.topics", "false");
    config.create().expect("a consumer")
}

/// All that the topic holds now; nothing where it is not there. By partition and offset.
#[must_use]
pub fn read_topic(bootstrap: &str, topic: &str) -> Vec<Record> {
    let consumer = consumer(bootstrap);
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
    let partitions = metadata.topics()[0].partitions().len();
    let mut wanted = TopicPartitionList::new();
    let mut open = 0;
    for partition in (0..partitions).map(|partition| i32::try_from(partition).unwrap()) {
        let (low, high) =
            consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker answers");
        if high > low {
            wanted.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            open += 1;
        }
    }
    consumer.assign(&wanted).expect("partitions can be assigned");
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while open > 0 {
        assert!(Instant::now() < deadline, "the topic is not read to its end");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("the topic cannot be read: {error}"),
            None => {}
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key().unwrap_or_default()),
        headers: headers
            .map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default())))
            .collect(),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}

/// Waits until a topic has so many records, and answers them.
#[must_use]
pub fn wait_records(bootstrap: &str, topic: &str, count: usize) -> Vec<Record> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let records = read_topic(bootstrap, topic);
        if records.len() >= count {
            return records;
        }
        let found = records.len();
        assert!(Instant::now() < deadline, "{topic} has {found} records, and {count} are due");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Changes a setting of a topic.
pub fn set_topic(bootstrap: &str, topic: &str, name: &str, value: &str) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", bootstrap).create().expect("a client");
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let changed = runtime.block_on(admin.alter_configs([&change], &AdminOptions::new()));
    assert!(changed.expect("the broker answers").iter().all(Result::is_ok));
}

/// Writes a record as it was read.
pub fn write_record(bootstrap: &str, topic: &str, record: &Record) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", bootstrap).create().expect("a producer");
    let mut headers = OwnedHeaders::new();
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let message = BaseRecord::to(topic).key(&record.key).payload(&record.value).headers(headers);
    producer.send(message).map_err(|(error, _)| error).expect("there is room");
    producer.flush(PATIENCE).expect("it is written");
}
