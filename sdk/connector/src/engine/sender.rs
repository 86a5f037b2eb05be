//! One sender: takes a batch, sends it, and again what is left of it, within the retry policy. A
//! batch that is refused as a whole is halved until the events that spoil it stand alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::Method;
use tidegate_types::{Receipt, Status};
use tokio::sync::{mpsc, watch};

use super::Run;
use crate::answer::{ProblemBody, Verdict, judge};
use crate::backoff::{Backoff, Exhausted};
use crate::batch::{Work, body};
use crate::client::json_content;
use crate::options::Endpoint;
use crate::outcome::{Outcome, Pending, Settled, Unsettled};
use crate::summary::Stopped;

pub(super) struct Sender {
    run: Arc<Run>,
    settled: mpsc::Sender<Vec<Settled>>,
    stop: watch::Receiver<Option<Stopped>>,
}

/// The run was stopped while something was awaited.
struct Halted;

/// What is left to do about a part of a batch.
enum Left {
    Nothing,
    /// Both halves, each on its own.
    Halves(Vec<Pending>, Vec<Pending>),
}

/// Why the same events go again.
struct Again {
    why: String,
    after: Option<Duration>,
    /// The request failed as a whole, and not just for some of its events.
    whole: bool,
}

impl Sender {
    pub(super) fn new(run: Arc<Run>, settled: mpsc::Sender<Vec<Settled>>) -> Self {
        let stop = run.stop.subscribe();
        Self { run, settled, stop }
    }

    /// Works until there is no more work, or the run is stopped.
    pub(super) async fn work(mut self) {
        let run = Arc::clone(&self.run);
        let next = async || run.work.lock().await.recv().await;
        while let Ok(Some(work)) = self.unless_halted(next()).await {
            match work {
                Work::Batch(events) => self.settle(events).await,
                Work::Refused(settled) => self.report(vec![*settled]).await,
            }
        }
    }

    async fn unless_halted<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Halted> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(Option::is_some) => Err(Halted),
            value = future => Ok(value),
        }
    }

    async fn report(&self, settled: Vec<Settled>) {
        // The receiver goes away only together with this task.
        self.settled.send(settled).await.ok();
    }

    async fn report_all(&self, events: Vec<Pending>, outcome: &Outcome) {
        let settle = |pending: Pending| pending.settle(outcome.clone(), Duration::ZERO);
        self.report(events.into_iter().map(settle).collect()).await;
    }

    async fn settle(&mut self, events: Vec<Pending>) {
        let started = Instant::now();
        let mut parts = vec![events];
        while let Some(part) = parts.pop() {
            match self.settle_part(part, started).await {
                Left::Nothing => {}
                Left::Halves(first, second) => parts.extend([second, first]),
            }
        }
    }

    async fn settle_part(&mut self, mut events: Vec<Pending>, started: Instant) -> Left {
        let run = Arc::clone(&self.run);
        let mut backoff = Backoff::start(&run.options.retry, started);
        loop {
            let sent = Instant::now();
            let limit = backoff.attempt(sent, run.options.request_timeout);
            if backoff.attempts() > 1 {
                run.retries.fetch_add(1, Ordering::Relaxed);
            }
            let verdict = {
                let attempt = attempt(&run, &mut events, limit);
                self.unless_halted(attempt).await
            };
            let again = match verdict {
                Err(Halted) => return self.stopped(events).await,
                Ok(Verdict::Receipts(receipts)) => {
                    let (settled, left, after) = sort(events, receipts, sent.elapsed());
                    self.report(settled).await;
                    if left.is_empty() {
                        return Left::Nothing;
                    }
                    events = left;
                    Again { why: "its receipt says `retry`".to_owned(), after, whole: false }
                }
                Ok(Verdict::Again { why, after }) => Again { why, after, whole: true },
                Ok(Verdict::Split(problem)) => return self.split(events, problem).await,
                Ok(Verdict::Fatal(why)) => {
                    run.halt(Stopped::Refused(why.clone()));
                    let outcome = Outcome::Unsettled(Unsettled::GaveUp(why));
                    self.report_all(events, &outcome).await;
                    return Left::Nothing;
                }
            };
            let delay = backoff.next_delay(again.after, Instant::now(), &mut rand::rng());
            match delay {
                Ok(delay) => {
                    if self.unless_halted(tokio::time::sleep(delay)).await.is_err() {
                        return self.stopped(events).await;
                    }
                }
                Err(exhausted) => return self.give_up(events, again, exhausted).await,
            }
        }
    }

    async fn stopped(&self, events: Vec<Pending>) -> Left {
        self.report_all(events, &Outcome::Unsettled(Unsettled::Stopped)).await;
        Left::Nothing
    }

    /// Where whole requests fail for so long, the next batch would fare no better.
    async fn give_up(&self, events: Vec<Pending>, again: Again, exhausted: Exhausted) -> Left {
        let Again { why, after, whole } = again;
        let asked = after.map(|after| format!("; it asked to wait {} ms", after.as_millis()));
        let asked = asked.unwrap_or_default();
        let why = match exhausted {
            Exhausted::Attempts(attempts) => format!("{why} (after {attempts} attempts)"),
            Exhausted::Time(limit) => {
                format!("{why} (within the {} ms allowed{asked})", limit.as_millis())
            }
        };
        if whole {
            self.run.halt(Stopped::GaveUp(why.clone()));
        }
        self.report_all(events, &Outcome::Unsettled(Unsettled::GaveUp(why))).await;
        Left::Nothing
    }

    async fn split(&self, mut events: Vec<Pending>, problem: ProblemBody) -> Left {
        if events.len() > 1 {
            let second = events.split_off(events.len() / 2);
            return Left::Halves(events, second);
        }
        self.report_all(events, &Outcome::Refused(problem)).await;
        Left::Nothing
    }
}

async fn attempt(run: &Run, events: &mut [Pending], limit: Duration) -> Verdict {
    let now = Instant::now();
    for pending in events.iter_mut() {
        pending.attempts = pending.attempts.saturating_add(1);
        pending.since.get_or_insert(now);
    }
    run.requests.fetch_add(1, Ordering::Relaxed);
    let endpoint = run.options.endpoint;
    let path = match endpoint {
        Endpoint::Batch => "/v1/events/batch",
        Endpoint::Single => "/v1/events",
    };
    let body = body(endpoint, events);
    let answer = run.client.send(Method::POST, path, &[json_content()], body, limit).await;
    judge(endpoint, events.len(), answer)
}

/// Settled events, events to send again, and the longest wait that their receipts ask for.
fn sort(
    events: Vec<Pending>,
    receipts: Vec<Receipt>,
    ack: Duration,
) -> (Vec<Settled>, Vec<Pending>, Option<Duration>) {
    let mut settled = Vec::with_capacity(events.len());
    let mut left = Vec::new();
    let mut after = None;
    for (pending, receipt) in events.into_iter().zip(receipts) {
        match receipt.status {
            Status::Retry => {
                after = after.max(receipt.retry_after_ms.map(Duration::from_millis));
                left.push(pending);
            }
            Status::Accepted
            | Status::Quarantined
            | Status::Duplicate
            | Status::Rejected
            | Status::Conflict => settled.push(pending.settle(Outcome::Receipt(receipt), ack)),
        }
    }
    (settled, left, after)
}
