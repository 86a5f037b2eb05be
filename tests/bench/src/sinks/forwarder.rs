//! The forwarder as a library: from a log that is full to a sink that does nothing, and to a real topic
//! against the bare client with the same records.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tidegate_kafka::{KafkaOptions, KafkaSink, Linger};
use tidegate_sinks::{
    ForwardOptions, Forwarder, Message, Outlet, OutletOptions, Routing, Sink, Target, Targets,
    Ticket,
};
use tidegate_telemetry::Page;
use tidegate_testkit::kafka;
use tidegate_types::event_id::Minter;
use tidegate_types::{Digest, SinkName, UnixMillis};
use tidegate_wal::{Record, RecordBatch, Stored, Wal, WalOptions};

use super::bare;
use crate::report::Row;

const RECORDS: usize = 1_000_000;
const GROUP: usize = 1000;

/// Takes everything and has it at once.
struct Null;

impl Sink for Null {
    fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize {
        for (number, message) in (first..).zip(messages) {
            std::hint::black_box(message.body);
            ticket.slip(number).delivered();
        }
        messages.len()
    }

    fn wait_for_room(&self, _: Duration) {}

    fn failing(&self) -> Option<String> {
        None
    }

    fn flush(&self, _: Duration) -> bool {
        true
    }

    fn report(&self, _: &str, _: &mut Page) {}
}

/// Everything goes to the sink.
struct All(Arc<Targets>);

impl Routing for All {
    fn targets(&self, _: &str, _: &str, _: &Digest) -> Result<Arc<Targets>, String> {
        Ok(Arc::clone(&self.0))
    }
}

fn name() -> anyhow::Result<SinkName> {
    Ok(SinkName::new("out")?)
}

/// A log of many records of the benchmark's event.
fn filled(folder: &Path) -> anyhow::Result<Wal> {
    let mut options = WalOptions::new(folder.join("wal"));
    options.max_bytes = 8 << 30;
    let (wal, _) = Wal::open(options, &mut |_| {})?;
    let event = include_str!("../../data/event.json").trim();
    let mut minter = Minter::new()?;
    for _ in 0..RECORDS / GROUP {
        let mut batch = RecordBatch::default();
        for _ in 0..GROUP {
            batch.push(&Record {
                event_id: minter.mint(UnixMillis::now()),
                status: Stored::Accepted,
                tenant: "bench",
                event_type: "audit",
                revision: Digest::of(b"revision"),
                key: None,
                event_time: Some(UnixMillis::now()),
                original: event.as_bytes(),
                patches: b"",
                findings: b"",
                context: b"",
            })?;
        }
        wal.append_blocking(batch)?;
    }
    Ok(wal)
}

/// Records a second from the log to a sink.
fn forwarded(wal: &Wal, folder: &Path, round: usize, sink: Arc<dyn Sink>) -> anyhow::Result<f64> {
    let outlet = Arc::new(Outlet::new(name()?, sink, OutletOptions::default()));
    let target = Target { sink: name()?, key: None, required: true };
    let targets = Arc::new(Targets { sinks: vec![target], ..Targets::default() });
    let options = ForwardOptions::new(folder.join(format!("position-{round}")));
    let placed = Forwarder::place(outlet, wal.clone(), options);
    let begun = Instant::now();
    let mut forwarder = placed.start(Arc::new(All(targets)))?;
    anyhow::ensure!(forwarder.drain(Instant::now() + Duration::from_secs(120)), "not forwarded");
    Ok(RECORDS as f64 / begun.elapsed().as_secs_f64())
}

/// The headers that the forwarder gives each record, made once.
fn headers() -> OwnedHeaders {
    let id = "0199a7c2-0000-7000-8000-000000000000";
    let revision = Digest::of(b"revision").to_string();
    [
        ("content-type", "application/json"),
        ("tidegate-event-id", id),
        ("tidegate-tenant", "bench"),
        ("tidegate-revision", &*revision),
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "bench"),
        ("ce_type", "audit"),
        ("ce_time", "2026-11-22T00:00:00.000Z"),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Records a second that the bare client writes; with headers, records as the forwarder writes them.
fn bare(bootstrap: &str, headers: Option<&OwnedHeaders>) -> anyhow::Result<f64> {
    let producer: BaseProducer = bare::producer(bootstrap, "5").create()?;
    let event = include_str!("../../data/event.json").trim();
    let begun = Instant::now();
    for _ in 0..RECORDS {
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(bare::TOPIC).payload(event);
        if let Some(headers) = headers {
            record = record.key("bench").headers(headers.clone());
        }
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(1));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(RECORDS as f64 / begun.elapsed().as_secs_f64())
}

pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let wal = filled(folder.path())?;
    let broker = kafka::shared().bootstrap();
    let (mut null, mut topic, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let headers = headers();
    for round in 0..=rounds {
        let nothing = forwarded(&wal, folder.path(), round * 2, Arc::new(Null))?;
        let mut options = KafkaOptions::new(&broker, "forwarded");
        options.linger = Linger::Fixed(Duration::from_millis(5));
        let sink = Arc::new(KafkaSink::start(options)?);
        let kafka = forwarded(&wal, folder.path(), round * 2 + 1, sink)?;
        let (reference, with_headers) = (bare(&broker, None)?, bare(&broker, Some(&headers))?);
        if round > 0 {
            null.push((nothing, 500_000.0));
            topic.push((kafka, reference));
            whole.push((kafka, with_headers));
        }
    }
    Ok(vec![
        Row::of(
            "sinks/forwarder",
            "log to a null sink, against the mark of 500,000",
            "records/s",
            &null,
        ),
        Row::of(
            "sinks/forwarder",
            "log to Kafka, linger 5 ms, against the bare client",
            "records/s",
            &topic,
        ),
        Row::of(
            "sinks/forwarder",
            "log to Kafka, linger 5 ms, against the bare client with the same headers",
            "records/s",
            &whole,
        ),
    ])
}
