//! The sink against the client library's own mock of a cluster, which answers requests with the errors
//! that it is told to: whatever a broker answers, everything is reported, and what is reported
//! delivered is in the topic in the order of its key.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tidegate_kafka::{KafkaOptions, KafkaSink};
use tidegate_sinks::{Failure, Kind, Message, Outlet, OutletOptions, Reports};
use tidegate_types::{Digest, EventId, SinkName, UnixMillis};

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;

fn message<'a>(number: u64, key: &'a str, body: &'a [u8]) -> Message<'a> {
    Message {
        event_id: EventId::from_parts(UnixMillis(number), 0, 0),
        tenant: "acme",
        event_type: "t",
        source: "/s",
        event_time: None,
        partition_key: key,
        revision: Digest::of(b"r"),
        traceparent: None,
        kind: Kind::Accepted,
        cloud_event: false,
        body,
        latest: None,
        generation: None,
    }
}

fn outlet(bootstrap: String, topic: &str) -> Outlet {
    let sink = KafkaSink::start(KafkaOptions::new(bootstrap, topic)).unwrap();
    Outlet::new(SinkName::new("out").unwrap(), Arc::new(sink), OutletOptions::default())
}

/// Sends numbered messages of four keys; waits for the reports.
fn send(outlet: &Outlet, from: u64, count: u64) -> Reports {
    let (tell, told) = mpsc::sync_channel(1);
    let ticket = outlet.ticket(u32::try_from(count).unwrap(), move |reports| {
        tell.send(reports).unwrap();
    });
    for number in 0..count {
        let (body, key) = ((from + number).to_string(), format!("key-{}", number % 4));
        let message = message(from + number, &key, body.as_bytes());
        let taken = outlet.send(&[message], &ticket, u32::try_from(number).unwrap());
        assert_eq!(taken, 1, "there is room");
    }
    told.recv_timeout(PATIENCE).expect("everything is reported")
}

/// What the topic holds: the numbers of each key in order.
fn read(bootstrap: &str, topic: &str) -> BTreeMap<String, Vec<u64>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "g");
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut wanted = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        wanted.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&wanted).unwrap();
    let (mut ended, mut found) = (0, BTreeMap::<String, Vec<u64>>::new());
    let deadline = Instant::now() + PATIENCE;
    while ended < PARTITIONS {
        assert!(Instant::now() < deadline, "the topic is not read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => {
                let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
                let number = std::str::from_utf8(record.payload().unwrap()).unwrap();
                found.entry(key).or_default().push(number.parse().unwrap());
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => println!("{error}"),
            None => {}
        }
    }
    found
}

/// Every error that a broker may answer a produce request with (Kafka's protocol guide, error codes),
/// and whether the message is refused for good by it.
const ERRORS: [(RDKafkaRespErr, bool); 14] = [
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_MSG, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, true),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, false),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, true),
    (RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, false),
];

#[test]
fn whatever_the_broker_answers_nothing_is_lost_and_order_holds() {
    for (error, refuses) in ERRORS {
        let cluster: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).unwrap();
        let bootstrap = cluster.bootstrap_servers();
        cluster.create_topic("t", PARTITIONS, 1).unwrap();
        let outlet = outlet(bootstrap.clone(), "t");
        assert_eq!(send(&outlet, 0, 40), [], "without an error");
        cluster.request_errors(RDKafkaApiKey::Produce, &[error, error]);
        let reports = send(&outlet, 40, 40);
        let delivered = |number: u64| {
            number < 40 || !reports.iter().any(|(at, _)| u64::from(*at) == number - 40)
        };
        for (at, failure) in &reports {
            let rejected = matches!(failure, Failure::Rejected { .. });
            assert!(!rejected || refuses, "{error:?}: message {at}: {failure:?}");
        }
        let found = read(&bootstrap, "t");
        let count = |number: u64| found.values().flatten().filter(|one| **one == number).count();
        for number in (0..80).filter(|number| delivered(*number)) {
            assert!(
                count(number) >= 1,
                "{error:?}: {number} was reported delivered and is not there"
            );
        }
        for (key, numbers) in &found {
            let mut firsts = Vec::new();
            numbers.iter().for_each(|number| {
                if !firsts.contains(number) {
                    firsts.push(*number);
                }
            });
            assert!(firsts.is_sorted(), "{error:?}: {key}: {firsts:?}");
        }
        // It goes on, with a new producer where the old one had to be given up.
        let passes = (0..5).any(|_| send(&outlet, 80, 40).is_empty());
        assert!(passes, "{error:?}: afterwards everything passes again");
    }
}

#[test]
fn a_cluster_that_is_down_is_waited_for() {
    let cluster: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).unwrap();
    cluster.create_topic("t", PARTITIONS, 1).unwrap();
    let outlet = outlet(cluster.bootstrap_servers(), "t");
    assert_eq!(send(&outlet, 0, 4), []);
    cluster.broker_down(1).unwrap();
    let (tell, told) = mpsc::sync_channel(1);
    let ticket = outlet.ticket(1, move |reports| tell.send(reports).unwrap());
    assert_eq!(outlet.send(&[message(9, "key-1", b"9")], &ticket, 0), 1);
    assert!(told.recv_timeout(Duration::from_millis(1500)).is_err(), "it is not given up");
    assert!(outlet.sink().failing().is_some(), "it says why");
    cluster.broker_up(1).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Vec::new()));
    // The report is heard a moment before the client has let go of the message.
    let deadline = Instant::now() + PATIENCE;
    while outlet.sink().failing().is_some() {
        assert!(Instant::now() < deadline, "it works again and says that it does not");
        std::thread::yield_now();
    }
    assert_eq!(read(&cluster.bootstrap_servers(), "t")["key-1"], [1, 9]);
}
