//! The forwarder over a real log and a place that a test drives: against a model, and case by case.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test: a panic is its failure")]

mod cases;
mod model;
mod place;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_sinks::{ForwardOptions, Forwarder, Outlet, OutletOptions, Routing, Target, Targets};
use tidegate_types::revision::delivery::Ack;
use tidegate_types::{Digest, EventId, SinkName, UnixMillis};
use tidegate_wal::{Record, RecordBatch, Stored, Wal, WalOptions};

const PATIENCE: Duration = Duration::from_secs(60);

/// Events of the type `sent` go to the sink `out` by their key, others nowhere.
#[derive(Default)]
struct Routes {
    /// Answers an error so many times.
    failing: Mutex<u32>,
}

impl Routing for Routes {
    fn targets(&self, _: &str, event_type: &str, _: &Digest) -> Result<Arc<Targets>, String> {
        let mut failing = self.failing.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return Err("the catalog is away".to_owned());
        }
        let sink = SinkName::new("out").unwrap();
        let target = Target { sink: sink.clone(), key: "/k".parse().ok(), required: true };
        let sinks = if event_type == "sent" { vec![target] } else { Vec::new() };
        let quarantine = (event_type == "sent").then_some(sink);
        Ok(Arc::new(Targets { ack: Ack::Durable, sinks, quarantine, source: None }))
    }
}

fn open(folder: &Path) -> Wal {
    let mut options = WalOptions::new(folder.join("wal"));
    options.segment_bytes = 64 << 10;
    options.max_bytes = 64 << 20;
    options.group_bytes = 16 << 10;
    options.low_water_bytes = 0;
    Wal::open(options, &mut |_| {}).unwrap().0
}

/// Appends events; each is its number, its key, and whether it goes to the sink.
fn append(wal: &Wal, events: &[(u64, String, bool)]) {
    let mut batch = RecordBatch::default();
    for (number, key, sent) in events {
        let original = format!(r#"{{"n":{number},"k":"{key}"}}"#);
        let record = Record {
            event_id: EventId::from_parts(UnixMillis(*number), 0, 0),
            status: Stored::Accepted,
            tenant: "acme",
            event_type: if *sent { "sent" } else { "kept" },
            revision: Digest::of(b"r"),
            key: None,
            event_time: None,
            original: original.as_bytes(),
            patches: b"",
            findings: b"",
            context: b"",
        };
        batch.push(&record).unwrap();
    }
    wal.append_blocking(batch).unwrap();
}

fn forwarder(
    folder: &Path,
    wal: &Wal,
    place: &Arc<place::Place>,
    routes: &Arc<Routes>,
) -> Forwarder {
    let outlet = Outlet::new(
        SinkName::new("out").unwrap(),
        Arc::clone(place) as _,
        OutletOptions::default(),
    );
    let mut options = ForwardOptions::new(folder.join("out.position"));
    options.cursor_every = Duration::from_millis(5);
    options.retry_after = Duration::from_millis(1);
    options.retry_at_most = Duration::from_millis(5);
    options.in_flight_bytes = 8 << 10;
    Forwarder::place(Arc::new(outlet), wal.clone(), options).start(Arc::clone(routes) as _).unwrap()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often each number is there.
fn counted(numbers: impl Iterator<Item = u64>) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for number in numbers {
        *counts.entry(number).or_default() += 1;
    }
    counts
}
