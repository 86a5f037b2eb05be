//! What the breaker and the counters say of a sink that a test drives.

use std::sync::{Mutex, mpsc};

use tidegate_types::{Digest, EventId, UnixMillis};

use super::*;
use crate::message::Kind;
use crate::ticket::{Failure, Slip};

/// Keeps slips until the test reports them.
struct Held {
    room: usize,
    slips: Mutex<Vec<Slip>>,
}

impl Sink for Held {
    fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize {
        let mut slips = self.slips.lock().unwrap();
        let taken = messages.len().min(self.room - slips.len());
        slips.extend((0..taken).map(|at| ticket.slip(first + u32::try_from(at).unwrap())));
        taken
    }

    fn wait_for_room(&self, _: Duration) {}

    fn failing(&self) -> Option<String> {
        Some("held".to_owned())
    }

    fn flush(&self, _: Duration) -> bool {
        self.slips.lock().unwrap().is_empty()
    }

    fn report(&self, _: &str, _: &mut tidegate_telemetry::Page) {}
}

fn message(body: &[u8]) -> Message<'_> {
    Message {
        event_id: EventId::from_parts(UnixMillis(1), 0, 0),
        tenant: "acme",
        event_type: "flight",
        source: "/tests",
        event_time: None,
        partition_key: "acme",
        revision: Digest::of(b""),
        traceparent: None,
        kind: Kind::Accepted,
        cloud_event: false,
        body,
        latest: None,
        generation: None,
    }
}

fn outlet(stall_after: Duration) -> (Outlet, Arc<Held>) {
    let held = Arc::new(Held { room: 2, slips: Mutex::default() });
    let options = OutletOptions { stall_after, probe_every: Duration::from_secs(3600) };
    (Outlet::new(SinkName::new("held").unwrap(), held.clone(), options), held)
}

fn errored() -> Failure {
    Failure::Errored { why: "no".into(), retry_after: None, unknown: true }
}

#[test]
fn messages_are_counted_once_and_what_was_not_taken_is_not_open() {
    let (outlet, held) = outlet(Duration::from_secs(3600));
    let (tell, told) = mpsc::sync_channel(1);
    let ticket = outlet.ticket(2, move |reports| tell.send(reports).unwrap());
    assert_eq!(outlet.send(&[message(b"abc"), message(b"de"), message(b"f")], &ticket, 0), 2);
    let stats = outlet.stats();
    assert_eq!((stats.taken, stats.bytes, stats.full, stats.open), (2, 5, 1, 2));
    for slip in held.slips.lock().unwrap().drain(..) {
        slip.delivered();
    }
    let stats = outlet.stats();
    assert_eq!((stats.delivered, stats.open, stats.took.iter().sum()), (2, 0, 1u64));
    assert_eq!(told.recv(), Ok(Vec::new()));
}

#[test]
fn the_breaker_opens_without_deliveries_lets_one_probe_through_and_closes_with_the_next() {
    // Everything is late at once.
    let (outlet, held) = outlet(Duration::ZERO);
    assert_eq!((outlet.admits(), outlet.standing()), (true, Standing::Working));
    let ticket = outlet.ticket(1, drop);
    outlet.send(&[message(b"")], &ticket, 0);
    assert!(matches!(outlet.standing(), Standing::Stalled { why: Some(_), .. }));
    assert!(!outlet.admits(), "the first probe is an hour away");
    let slip = || held.slips.lock().unwrap().pop().unwrap();
    slip().failed(errored());
    assert!(!outlet.admits(), "nothing has been delivered since");
    let ticket = outlet.ticket(1, drop);
    outlet.send(&[message(b"")], &ticket, 0);
    slip().delivered();
    assert_eq!((outlet.admits(), outlet.standing()), (true, Standing::Working));
    let stats = outlet.stats();
    assert_eq!((stats.errored, stats.unknown, stats.delivered), (1, 1, 1));
}

#[test]
fn probes_come_one_at_a_time() {
    let (outlet, held) = outlet(Duration::ZERO);
    let outlet = Outlet {
        options: OutletOptions { probe_every: Duration::ZERO, ..outlet.options },
        ..outlet
    };
    outlet.send(&[message(b"")], &outlet.ticket(1, drop), 0);
    assert!(!outlet.admits(), "what is under way tells as much");
    held.slips.lock().unwrap().pop().unwrap().failed(errored());
    assert!(outlet.admits(), "one may try");
    outlet.send(&[message(b"")], &outlet.ticket(1, drop), 0);
    assert!(!outlet.admits(), "another need not");
}
