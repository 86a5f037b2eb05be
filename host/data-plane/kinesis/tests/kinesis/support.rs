//! A sink in use by a test, the messages that it sends, and what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_kinesis::{AwsAccess, Credentials, Envelope, KinesisOptions, KinesisSink};
use tidegate_sinks::{Failure, Kind, Message, Outlet, OutletOptions, Reports, Sink as _};
use tidegate_telemetry::{Format, Page};
use tidegate_types::{Digest, EventId, SinkName, UnixMillis};
use tokio::runtime::Runtime;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The stream of most tests, and that for dead letters.
pub(crate) const STREAM: &str = "events";
pub(crate) const DEAD: &str = "dead";

/// How the servers for tests are reached.
pub(crate) fn access(endpoint: &str) -> AwsAccess {
    AwsAccess {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(endpoint.to_owned()),
        credentials: Some(Credentials {
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
            session_token: None,
        }),
    }
}

/// Quick in everything.
pub(crate) fn options(endpoint: &str) -> KinesisOptions {
    let mut options = KinesisOptions::new(STREAM);
    options.access = access(endpoint);
    options.batch.linger = Duration::from_millis(1);
    options.retry_first = Duration::from_millis(2);
    options.retry_most = Duration::from_millis(20);
    options
}

/// A message of a test.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
    pub(crate) latest: Option<Duration>,
    pub(crate) is_dead: bool,
}

impl Event {
    pub(crate) fn new(key: impl Into<String>, number: usize) -> Self {
        let body = format!("{{\"n\":{number}}}").into_bytes();
        Self { key: key.into(), body, latest: None, is_dead: false }
    }

    /// To be sent within so long.
    pub(crate) fn within(self, latest: Duration) -> Self {
        Self { latest: Some(latest), ..self }
    }

    fn message(&self) -> Message<'_> {
        let reason =
            tidegate_sinks::Reason { code: "refused", detail: "why", sink: "main", stands_for: 1 };
        Message {
            event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, 0),
            tenant: "acme",
            event_type: "test.made",
            source: "/tests",
            event_time: None,
            partition_key: &self.key,
            revision: Digest::of(b""),
            traceparent: None,
            kind: if self.is_dead { Kind::Dead(reason) } else { Kind::Accepted },
            cloud_event: false,
            body: &self.body,
            latest: self.latest.map(|latest| Instant::now() + latest),
            generation: None,
        }
    }
}

/// A sink, and the runtime that it runs in.
pub(crate) struct Rig {
    pub(crate) sink: Arc<KinesisSink>,
    pub(crate) outlet: Outlet,
    _runtime: Runtime,
}

impl Rig {
    pub(crate) fn start(options: KinesisOptions) -> Self {
        let runtime = runtime();
        let sink = {
            let _inside = runtime.enter();
            KinesisSink::start(options).expect("the options are good")
        };
        let name = SinkName::new("main").expect("a name");
        let outlet = Outlet::new(name, sink.clone(), OutletOptions::default());
        Self { sink, outlet, _runtime: runtime }
    }

    /// Sends what there is room for; answers how many were taken, and where the reports come.
    pub(crate) fn try_send(&self, events: &[Event]) -> (usize, Receiver<Reports>) {
        let (tell, told) = sync_channel(1);
        let messages: Vec<Message<'_>> = events.iter().map(Event::message).collect();
        let count = u32::try_from(events.len()).expect("few");
        let ticket = self.outlet.ticket(count, move |reports| drop(tell.send(reports)));
        (self.outlet.send(&messages, &ticket, 0), told)
    }

    /// Sends all, waiting for room; answers where the reports come.
    pub(crate) fn send(&self, events: &[Event]) -> Receiver<Reports> {
        let (tell, told) = sync_channel(1);
        let messages: Vec<Message<'_>> = events.iter().map(Event::message).collect();
        let count = u32::try_from(events.len()).expect("few");
        let ticket = self.outlet.ticket(count, move |reports| drop(tell.send(reports)));
        let (mut done, deadline) = (0, Instant::now() + PATIENCE);
        while done < messages.len() {
            let first = u32::try_from(done).expect("few");
            done += self.outlet.send(&messages[done..], &ticket, first);
            if done < messages.len() {
                assert!(Instant::now() < deadline, "there is never room");
                self.sink.wait_for_room(PATIENCE);
            }
        }
        told
    }

    /// Sends all, and waits for the reports.
    pub(crate) fn reports(&self, events: &[Event]) -> Reports {
        reports(&self.send(events))
    }

    /// The one failure of one event.
    pub(crate) fn failure(&self, event: &Event) -> Failure {
        let mut reports = self.reports(std::slice::from_ref(event));
        assert_eq!(reports.len(), 1, "it was delivered");
        reports.remove(0).1
    }

    /// Its metrics.
    pub(crate) fn told(&self) -> String {
        Page::of(|page| self.sink.report("main", page)).text(Format::Prometheus)
    }

    /// The value of a counter.
    pub(crate) fn counter(&self, row: &str) -> u64 {
        let text = self.told();
        let found = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {row} in {text}")).parse().expect("a number")
    }
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

pub(crate) fn reports(told: &Receiver<Reports>) -> Reports {
    told.recv_timeout(PATIENCE).expect("everything is reported")
}

/// Waits for something that comes by itself.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// The number that [`Event::new`] gave to what is in a record.
pub(crate) fn number(data: &[u8]) -> usize {
    let record: Value = serde_json::from_slice(data).expect("a record is JSON");
    assert_eq!((&record["tenantid"], &record["specversion"]), (&"acme".into(), &"1.0".into()));
    usize::try_from(record["data"]["n"].as_u64().expect("a number")).expect("a small one")
}

/// The numbers of records by key.
pub(crate) fn numbers(by_key: &BTreeMap<String, Vec<Vec<u8>>>) -> BTreeMap<String, Vec<usize>> {
    let numbers = |records: &Vec<Vec<u8>>| records.iter().map(|data| number(data)).collect();
    by_key.iter().map(|(key, records)| (key.clone(), numbers(records))).collect()
}

/// An event that is its record, key included, of so many bytes.
pub(crate) fn of_size(key: &str, size: usize) -> Event {
    let (head, tail) = ("{\"tenantId\":\"acme\",\"x\":\"", "\"}");
    let filled = size - key.len() - head.len() - tail.len();
    let body = format!("{head}{}{tail}", "x".repeat(filled)).into_bytes();
    Event { body, ..Event::new(key, 0) }
}

/// Options for [`of_size`].
pub(crate) fn bare(mut options: KinesisOptions) -> KinesisOptions {
    options.envelope = Envelope::Event;
    options
}
