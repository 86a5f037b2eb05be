//! Servers that others wrote: what is sent is read back with GetRecords.

use std::collections::BTreeMap;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use aws_smithy_http_client::Builder;
use tidegate_kinesis::{KinesisOptions, Ordering};
use tidegate_sinks::Failure;
use tidegate_testkit::AwsServer;
use tokio::runtime::Runtime;

use crate::support::{
    Event, PATIENCE, Rig, STREAM, bare, eventually, numbers, of_size, options, runtime,
};

const MIB: usize = 1024 * 1024;

/// A server, and a client that does not know of sinks.
struct Peer {
    server: AwsServer,
    /// How many calls it can take at once.
    calls: usize,
    client: Client,
    runtime: Runtime,
}

impl Peer {
    /// It stores records of calls that come together under one number, and so loses some.
    fn moto() -> Self {
        Self::new(AwsServer::moto(), 1)
    }

    fn kinesalite() -> Self {
        Self::new(AwsServer::kinesalite(), 16)
    }

    fn kinesis_local() -> Self {
        Self::new(AwsServer::kinesis_local(), 16)
    }

    fn new(server: AwsServer, calls: usize) -> Self {
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .endpoint_url(server.endpoint())
            .http_client(Builder::new().build_http())
            .build();
        Self { server, calls, client: Client::from_conf(config), runtime: runtime() }
    }

    fn create(&self, shards: i32) {
        let create = self.client.create_stream().stream_name(STREAM).shard_count(shards);
        eventually("the stream is made", || self.runtime.block_on(create.clone().send()).is_ok());
        let describe = self.client.describe_stream_summary().stream_name(STREAM);
        eventually("the stream is there", || {
            let answer = self.runtime.block_on(describe.clone().send());
            answer.is_ok_and(|answer| {
                let summary = answer.stream_description_summary();
                summary.is_some_and(|summary| *summary.stream_status() == StreamStatus::Active)
            })
        });
    }

    /// Everything in the stream, by key.
    fn read(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        self.runtime.block_on(async {
            let mut by_key: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
            let shards = self.client.list_shards().stream_name(STREAM).send().await.unwrap();
            for shard in shards.shards() {
                let first = self.client.get_shard_iterator().stream_name(STREAM);
                let first = first.shard_id(shard.shard_id());
                let first = first.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
                let mut iterator = first.unwrap().shard_iterator;
                while let Some(at) = iterator.take() {
                    let answer = self.client.get_records().shard_iterator(at).send().await.unwrap();
                    for record in answer.records() {
                        let key = record.partition_key().to_owned();
                        by_key.entry(key).or_default().push(record.data().as_ref().to_vec());
                    }
                    if !answer.records().is_empty() || answer.millis_behind_latest() != Some(0) {
                        iterator = answer.next_shard_iterator;
                    }
                }
            }
            by_key
        })
    }
}

/// Patient: a call that is given up too early may be there twice.
fn patient(peer: &Peer) -> KinesisOptions {
    let mut options = options(&peer.server.endpoint());
    (options.call_timeout, options.calls) = (PATIENCE, peer.calls);
    options
}

/// Streams of two shards: events come back, each key in its order.
fn round_trip(peer: &Peer, count: usize) {
    peer.create(2);
    for ordering in [Ordering::PerKey, Ordering::None] {
        let mut options = patient(peer);
        options.ordering = ordering;
        let rig = Rig::start(options);
        let name = |n: usize| format!("{ordering:?}-{}", n % 40);
        let events: Vec<Event> = (0..count).map(|n| Event::new(name(n), n)).collect();
        assert_eq!(rig.reports(&events), []);
        for (key, mut numbers) in numbers(&peer.read()) {
            let Some(residue) = key.strip_prefix(&format!("{ordering:?}-")) else { continue };
            let residue: usize = residue.parse().unwrap();
            if ordering == Ordering::None {
                numbers.sort_unstable();
            }
            let expected: Vec<usize> = (0..count).filter(|n| n % 40 == residue).collect();
            assert_eq!(numbers, expected, "{key}");
        }
    }
    assert_eq!(peer.read().len(), 80);
}

/// What the sink thinks fits is taken, and what it refuses is not sent.
fn limits(peer: &Peer) {
    peer.create(1);
    let mut options = bare(patient(peer));
    options.ordering = Ordering::None;
    options.batch.bytes = 10 * MIB;
    let rig = Rig::start(options);
    // Six in one go: more than a call holds.
    let mut events = vec![of_size("k", MIB - 1), of_size("k", MIB), of_size("k", MIB + 1)];
    events.extend(vec![of_size("k", MIB); 4]);
    let reports = rig.reports(&events);
    assert!(
        matches!(reports.as_slice(), [(2, Failure::Rejected { code: "too-large", .. })]),
        "{reports:?}"
    );
    let many: Vec<Event> = (0..1001).map(|n| of_size(&format!("m{n}"), 100)).collect();
    assert_eq!(rig.reports(&many), []);
    let refused = "tidegate_kinesis_failed_calls_total{sink=\"main\",reason=\"refused\"}";
    assert_eq!(rig.counter(refused), 0);
    let stored = peer.read();
    let mut sizes: Vec<usize> = stored["k"].iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [MIB - 2, MIB - 1, MIB - 1, MIB - 1, MIB - 1, MIB - 1]);
    assert_eq!(stored.len(), 1 + 1001);
}

/// A server that forgets everything when it goes: its stream is made anew.
fn restart(peer: &Peer) {
    peer.create(1);
    let rig = Rig::start(options(&peer.server.endpoint()));
    assert_eq!(rig.reports(&[Event::new("k", 1)]), []);
    peer.server.kill();
    let told = rig.send(&[Event::new("k", 2), Event::new("k", 3)]);
    eventually("it is told", || tidegate_sinks::Sink::failing(&*rig.sink).is_some());
    peer.server.restart();
    peer.create(1);
    assert_eq!(crate::support::reports(&told), []);
    assert_eq!(numbers(&peer.read())["k"], [2, 3]);
}

#[test]
fn moto_takes_everything() {
    round_trip(&Peer::moto(), 400);
}

#[test]
fn moto_refuses_nothing_that_is_sent() {
    limits(&Peer::moto());
}

#[test]
fn moto_gets_everything_after_a_restart() {
    restart(&Peer::moto());
}

#[test]
fn kinesalite_takes_everything() {
    round_trip(&Peer::kinesalite(), 400);
}

#[test]
fn kinesalite_refuses_nothing_that_is_sent() {
    limits(&Peer::kinesalite());
}

#[test]
fn kinesalite_gets_everything_after_a_restart() {
    restart(&Peer::kinesalite());
}

#[test]
fn kinesis_local_takes_everything() {
    round_trip(&Peer::kinesis_local(), 200);
}

#[test]
fn kinesis_local_refuses_nothing_that_is_sent() {
    limits(&Peer::kinesis_local());
}
