//! Events that are delivered before they are acknowledged: one shipment to each sink, and what is heard
//! of it.
//!
//! The answer waits for the required sinks, up to a time. What has not been heard of by then is
//! answered 503, and heard to its end in the background, so that the retry finds its key committed
//! where the event got there after all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::{LoggedKeys, SentKeys, Settled};
use tidegate_sinks::{Failure, Kind, Message, Outlet, Outlets, Ready, Reports, Target};
use tidegate_types::{EventId, Finding, Problem, ProblemType, SinkName};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{RETRY_AFTER_MS, Request, findings_json, settle};
use crate::event::{Event, Outcome, host_finding};
use crate::stage::evaluate::Verdict;

/// Events that are not sent, because a sink that they need does not work.
#[derive(Default)]
pub(super) struct Shut {
    /// By their places, with when to try again.
    pub(super) rows: Vec<(usize, u64)>,
    pub(super) problem: Option<Problem>,
}

/// The sinks that the answer waits for, of an event of which this became.
fn required(event: &Event, settled: Settled) -> Vec<(&SinkName, Option<&Target>)> {
    let Some(identity) = event.open().and_then(|open| open.identity.as_ref()) else {
        return Vec::new();
    };
    let targets = &identity.route.targets;
    match settled {
        Settled::Accepted => {
            let required = targets.sinks.iter().filter(|target| target.required);
            required.map(|target| (&target.sink, Some(target))).collect()
        }
        Settled::Quarantined => targets.quarantine.iter().map(|sink| (sink, None)).collect(),
    }
}

/// Leaves out events whose required sinks have not worked for some time.
pub(super) fn admitted(
    verdicts: Vec<Verdict>,
    events: &[Event],
    outlets: &Outlets,
) -> (Vec<Verdict>, Shut) {
    if verdicts.is_empty() {
        return (verdicts, Shut::default());
    }
    // Asked once for the request: an open breaker lets one through now and then.
    let mut asked: BTreeMap<SinkName, bool> = BTreeMap::new();
    let mut shut = Shut::default();
    let verdicts = verdicts.into_iter().filter(|(at, settled, _)| {
        let Some(event) = events.get(*at) else { return false };
        for (sink, _) in required(event, *settled) {
            let outlet = outlets.get(sink);
            if let Some(outlet) = outlet {
                outlet.received(1);
            }
            let works = *asked
                .entry(sink.clone())
                .or_insert_with(|| outlet.is_some_and(|outlet| outlet.admits()));
            if !works {
                let why = "it has not taken anything for some time";
                if let Some(outlet) = outlet {
                    outlet.dropped(1, why);
                }
                shut.rows.push((*at, RETRY_AFTER_MS));
                shut.problem.get_or_insert_with(|| unavailable(sink, why, RETRY_AFTER_MS));
                return false;
            }
        }
        true
    });
    (verdicts.collect(), shut)
}

/// Events that were sent and are not heard of yet.
pub(super) struct Sent {
    rows: Vec<Row>,
    shipments: Vec<Shipment>,
    keys: Option<SentKeys>,
    until: Instant,
}

struct Row {
    at: usize,
    event_id: EventId,
    settled: Settled,
    findings: Vec<u8>,
}

/// What was sent to one sink.
struct Shipment {
    outlet: Arc<Outlet>,
    /// Rows, by the numbers of their messages.
    rows: Vec<usize>,
    heard: oneshot::Receiver<Reports>,
}

/// What became of a row at its sinks.
#[derive(Clone, Debug)]
enum Fate {
    Delivered,
    Errored { sink: SinkName, why: Arc<str>, retry_after_ms: u64 },
    Rejected { sink: SinkName, code: &'static str, why: Arc<str> },
}

/// Sends events to their sinks. Their claims leave `keys`.
pub(super) fn send(
    verdicts: Vec<Verdict>,
    events: &mut [Event],
    request: &Request<'_>,
    outlets: &Outlets,
    keys: &mut LoggedKeys,
) -> Sent {
    let until = Instant::now() + outlets.timeout();
    if verdicts.is_empty() {
        return Sent { rows: Vec::new(), shipments: Vec::new(), keys: None, until };
    }
    let places: Vec<u32> =
        verdicts.iter().map(|(at, ..)| u32::try_from(*at).unwrap_or(u32::MAX)).collect();
    let keys = Some(keys.split_off(&places));
    let rows: Vec<Row> = verdicts
        .iter()
        .filter_map(|(at, settled, judgement)| {
            let event_id = events.get(*at)?.event_id;
            Some(Row { at: *at, event_id, settled: *settled, findings: findings_json(judgement) })
        })
        .collect();
    let shipments = ship(&verdicts, &rows, events, request, (outlets, until));
    for row in &rows {
        settle(events, row.at, Outcome::Retry { after_ms: RETRY_AFTER_MS });
    }
    Sent { rows, shipments, keys, until }
}

/// A message in the making: its row, and what it borrows.
type Making<'a> = (usize, Ready<'a>);

fn ship(
    verdicts: &[Verdict],
    rows: &[Row],
    events: &[Event],
    request: &Request<'_>,
    (outlets, until): (&Outlets, Instant),
) -> Vec<Shipment> {
    let mut loads: BTreeMap<(&SinkName, bool), Vec<Making<'_>>> = BTreeMap::new();
    for (number, (row, (_, settled, judgement))) in rows.iter().zip(verdicts).enumerate() {
        let Some(event) = events.get(row.at) else { continue };
        let open = event.open().and_then(|open| Some((open, open.identity.as_ref()?)));
        let Some((open, identity)) = open else { continue };
        let targets = &identity.route.targets;
        let original = open.node().lexeme().as_bytes();
        let mut load = |sink, target, required| {
            let from = (request.tenant.as_str(), &**targets);
            match Ready::make(from, target, original, &judgement.patches) {
                Ok(ready) => loads.entry((sink, required)).or_default().push((number, ready)),
                // The host checks that patches fit before it takes them.
                Err(error) => tracing::error!(%error, "an event has no delivered form"),
            }
        };
        for (sink, target) in required(event, *settled) {
            load(sink, target, true);
        }
        if *settled == Settled::Accepted {
            for target in targets.sinks.iter().filter(|target| !target.required) {
                load(&target.sink, Some(target), false);
            }
        }
    }
    let mut shipments = Vec::new();
    for ((sink, required), load) in loads {
        let Some(outlet) = outlets.get(sink) else { continue };
        let messages: Vec<Message<'_>> = load
            .iter()
            .filter_map(|(number, ready)| {
                message(rows.get(*number)?, ready, (events, request), until)
            })
            .collect();
        let (tell, heard) = oneshot::channel();
        // An optional sink's failures are counted by its outlet, and nobody waits for them.
        dispatch(outlet, &messages, move |reports| drop(tell.send(reports)));
        if required {
            let rows = load.iter().map(|(number, _)| *number).collect();
            shipments.push(Shipment { outlet: Arc::clone(outlet), rows, heard });
        }
    }
    shipments
}

fn message<'a>(
    row: &'a Row,
    ready: &'a Ready<'_>,
    (events, request): (&'a [Event], &'a Request<'_>),
    until: Instant,
) -> Option<Message<'a>> {
    let identity = events.get(row.at)?.open()?.identity.as_ref()?;
    Some(Message {
        event_id: row.event_id,
        tenant: request.tenant.as_str(),
        event_type: identity.route.event_type.as_str(),
        source: &ready.source,
        event_time: identity.event_time,
        partition_key: &ready.partition_key,
        revision: request.in_force.on(identity.side).digest,
        traceparent: request.trace,
        kind: match row.settled {
            Settled::Accepted => Kind::Accepted,
            Settled::Quarantined => Kind::Quarantined { findings: &row.findings },
        },
        cloud_event: request.form.is_cloud_event(),
        body: &ready.body,
        latest: Some(until),
        generation: None,
    })
}

/// Sends what there is room for; the rest is reported at once.
fn dispatch(
    outlet: &Arc<Outlet>,
    messages: &[Message<'_>],
    done: impl FnOnce(Reports) + Send + 'static,
) {
    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
    let ticket = outlet.ticket(count, done);
    let taken = outlet.send(messages, &ticket, 0);
    for number in u32::try_from(taken).unwrap_or(u32::MAX)..count {
        let (why, retry_after) = ("its queue is full".into(), Some(Duration::from_secs(1)));
        ticket.slip(number).failed(Failure::Errored { why, retry_after, unknown: false });
    }
}

impl Sent {
    /// Waits for the sinks, up to the time, and settles events and keys by what is heard. Answers why
    /// an event was not delivered, where one was not.
    pub(super) async fn settle(
        mut self,
        events: &mut [Event],
        tasks: &TaskTracker,
    ) -> Option<Problem> {
        let keys = self.keys.take()?;
        let until = tokio::time::Instant::from_std(self.until);
        let mut fates = vec![Fate::Delivered; self.rows.len()];
        let hearing = hear(&mut self.shipments, &mut fates);
        if tokio::time::timeout_at(until, hearing).await.is_err() {
            return self.leave(keys, fates, tasks);
        }
        let problem = self.tell(events, &fates);
        keys.settle(&committed(&self.rows, &fates)).await;
        problem
    }

    /// Settles the events; counts those that were dropped.
    fn tell(&mut self, events: &mut [Event], fates: &[Fate]) -> Option<Problem> {
        let mut problem = None;
        for (row, fate) in self.rows.iter_mut().zip(fates) {
            let outcome = match fate {
                Fate::Delivered => {
                    let findings = std::mem::take(&mut row.findings);
                    Outcome::Stored { settled: row.settled, findings }
                }
                Fate::Errored { sink, why, retry_after_ms } => {
                    if let Some(shipment) =
                        self.shipments.iter().find(|one| one.outlet.name() == sink)
                    {
                        shipment.outlet.dropped(1, why);
                    }
                    problem.get_or_insert_with(|| unavailable(sink, why, *retry_after_ms));
                    Outcome::Retry { after_ms: *retry_after_ms }
                }
                Fate::Rejected { sink, code, why } => {
                    let detail = format!("sink `{sink}` refuses it ({code}): {why}");
                    Outcome::Rejected {
                        findings: vec![host_finding(Finding::SINK_REJECTED, "", detail)],
                    }
                }
            };
            settle(events, row.at, outcome);
        }
        problem
    }

    /// The time is over: what is left is heard in the background.
    fn leave(
        mut self,
        keys: SentKeys,
        mut fates: Vec<Fate>,
        tasks: &TaskTracker,
    ) -> Option<Problem> {
        let late = self.shipments.iter().find(|shipment| !shipment.heard.is_terminated());
        let problem = late.map(|shipment| {
            let why = "it did not answer in time; send the events again with the same keys";
            let rows = shipment.rows.len() as u64;
            shipment.outlet.dropped(rows, why);
            unavailable(shipment.outlet.name(), why, RETRY_AFTER_MS)
        });
        tasks.spawn(async move {
            hear(&mut self.shipments, &mut fates).await;
            keys.settle(&committed(&self.rows, &fates)).await;
        });
        problem
    }
}

/// Waits for all shipments and notes the worst that each row met.
async fn hear(shipments: &mut [Shipment], fates: &mut [Fate]) {
    for shipment in shipments.iter_mut().filter(|shipment| !shipment.heard.is_terminated()) {
        // A ticket always tells; what went away with its process is not heard here.
        let reports = (&mut shipment.heard).await.unwrap_or_default();
        for (number, failure) in reports {
            let row = shipment.rows.get(number as usize);
            let Some(fate) = row.and_then(|row| fates.get_mut(*row)) else { continue };
            let sink = shipment.outlet.name().clone();
            *fate = match (failure, &fate) {
                (_, Fate::Rejected { .. }) => continue,
                (Failure::Rejected { code, why }, _) => Fate::Rejected { sink, code, why },
                (Failure::Errored { why, retry_after, .. }, _) => {
                    let millis = retry_after.map(|after| after.as_millis());
                    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
                    let retry_after_ms = millis.unwrap_or(RETRY_AFTER_MS);
                    Fate::Errored { sink, why, retry_after_ms }
                }
            };
        }
    }
}

fn committed(rows: &[Row], fates: &[Fate]) -> Vec<(u32, EventId, Settled)> {
    let delivered = rows.iter().zip(fates).filter(|(_, fate)| matches!(fate, Fate::Delivered));
    let row = |(row, _): (&Row, &Fate)| {
        (u32::try_from(row.at).unwrap_or(u32::MAX), row.event_id, row.settled)
    };
    delivered.map(row).collect()
}

fn unavailable(sink: &SinkName, why: &str, retry_after_ms: u64) -> Problem {
    let detail = format!("sink `{sink}` does not take events: {why}");
    Problem::new(ProblemType::SinkUnavailable, detail).retry_after(retry_after_ms)
}
