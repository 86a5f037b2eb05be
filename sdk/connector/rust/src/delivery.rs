//! One sender: takes a batch, sends it, and again what is left of it, within the retry policy. A
//! batch that is refused as a whole is halved until the events that spoil it stand alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use tidegate_types::{Receipt, Status};
use tokio::sync::{mpsc, watch};

use crate::exchange::answer::{ProblemBody, Verdict, judge};
use crate::exchange::backoff::{Backoff, Exhausted};
use crate::exchange::body::{body, encoded, is_worth_it};
use crate::exchange::client::{Credential, HttpClient, bearer, json_content};
use crate::options::{ConnectorOptions, Endpoint};
use crate::outcome::{Held, Outcome, Pending, RequestRecord, Settled, Unsettled};
use crate::post::summary::Stopped;

/// What becomes of the rest where whole requests failed for as long as the policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// The next batch would fare no better: the run ends.
    EndRun,
    /// The next batch has attempts of its own.
    NextBatch,
    /// The policy's limits do not hold: it is tried for ever.
    Forever,
}

/// Whose events are delivered.
pub(crate) trait Owner: Send + Sync {
    /// What it took and has not settled.
    fn held(&self) -> Held;

    /// Told the first reason to stop, before the events that it is about are settled.
    fn halted(&self, why: &Stopped);
}

/// What the senders of one run, or of one client, share.
pub(crate) struct Delivery {
    options: Arc<ConnectorOptions>,
    http: HttpClient,
    persistence: Persistence,
    owner: Arc<dyn Owner>,
    /// Why everything must end now; the first reason stays.
    stop: watch::Sender<Option<Stopped>>,
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
}

impl Delivery {
    pub(crate) fn new(
        options: Arc<ConnectorOptions>,
        http: HttpClient,
        persistence: Persistence,
        owner: Arc<dyn Owner>,
    ) -> Self {
        let (stop, _) = watch::channel(None);
        let (requests, retries) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { options, http, persistence, owner, stop, requests, retries }
    }

    pub(crate) fn halt(&self, why: Stopped) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                self.owner.halted(&why);
                *stop = Some(why);
            }
            first
        });
    }

    /// Why it has ended early.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.stop.borrow().clone()
    }
}

/// One sender over one connection.
pub(crate) struct Sender {
    run: Arc<Delivery>,
    settled: mpsc::Sender<Vec<Settled>>,
    stop: watch::Receiver<Option<Stopped>>,
    /// The last token was refused.
    renew: bool,
}

/// The run was stopped while something was awaited.
pub(crate) struct Halted;

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
    pub(crate) fn new(run: Arc<Delivery>, settled: mpsc::Sender<Vec<Settled>>) -> Self {
        let stop = run.stop.subscribe();
        Self { run, settled, stop, renew: false }
    }

    pub(crate) async fn unless_halted<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, Halted> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(Option::is_some) => Err(Halted),
            value = future => Ok(value),
        }
    }

    pub(crate) async fn report(&self, settled: Vec<Settled>) {
        // The receiver goes away only together with this task.
        self.settled.send(settled).await.ok();
    }

    async fn report_all(&self, events: Vec<Pending>, outcome: &Outcome) {
        let settle = |pending: Pending| pending.settle(outcome.clone(), Duration::ZERO);
        self.report(events.into_iter().map(settle).collect()).await;
    }

    /// Settles a whole batch.
    pub(crate) async fn settle(&mut self, events: Vec<Pending>) {
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
        let policy = &run.options.retry;
        let mut backoff = match run.persistence {
            Persistence::EndRun | Persistence::NextBatch => Backoff::start(policy, started),
            Persistence::Forever => Backoff::endless(policy),
        };
        loop {
            let sent = Instant::now();
            let limit = backoff.attempt(sent, run.options.request_timeout);
            if backoff.attempts() > 1 {
                run.retries.fetch_add(1, Ordering::Relaxed);
            }
            let verdict = {
                let attempt = attempt(&run, &mut events, backoff.attempts(), limit, self.renew);
                self.unless_halted(attempt).await
            };
            let verdict = verdict.map(|attempted| self.renewing(attempted));
            let again = match verdict {
                Err(Halted) => return self.stopped(events).await,
                Ok(Verdict::Receipts(receipts, after)) => {
                    let (settled, left) = sort(events, receipts, sent.elapsed());
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
        if whole && self.run.persistence == Persistence::EndRun {
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

    /// A token that is refused may have expired: the next request asks for another, once.
    fn renewing(&mut self, attempted: Attempted) -> Verdict {
        let Attempted { verdict, status } = attempted;
        let is_refused =
            status == Some(401) && matches!(self.run.options.credential, Credential::Tokens(_));
        let was_refused = std::mem::replace(&mut self.renew, is_refused);
        match verdict {
            Verdict::Fatal(why) if is_refused && !was_refused => {
                Verdict::Again { why, after: None }
            }
            verdict => verdict,
        }
    }
}

/// What came of one request.
struct Attempted {
    verdict: Verdict,
    status: Option<u16>,
}

async fn attempt(
    run: &Delivery,
    events: &mut [Pending],
    attempt: u32,
    limit: Duration,
    renew: bool,
) -> Attempted {
    let now = Instant::now();
    for pending in events.iter_mut() {
        pending.attempts = pending.attempts.saturating_add(1);
        pending.since.get_or_insert(now);
    }
    run.requests.fetch_add(1, Ordering::Relaxed);
    let (body, encoding) = compressed(run, body(run.options.endpoint, events)).await;
    let body_bytes = body.len();
    let (verdict, status) = match headers(run, encoding, renew).await {
        Ok(headers) => exchange(run, events.len(), &headers, body, limit).await,
        Err(why) => (Verdict::Again { why, after: None }, None),
    };
    if let Some(on_request) = &run.options.on_request {
        on_request(&RequestRecord {
            events: events.len(),
            attempt,
            http_status: status,
            event_bytes: events.iter().map(|pending| pending.event.len()).sum(),
            body_bytes,
            elapsed: now.elapsed(),
            receipts: counted(&verdict),
            held: run.owner.held(),
        });
    }
    Attempted { verdict, status }
}

async fn exchange(
    run: &Delivery,
    sent: usize,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
    limit: Duration,
) -> (Verdict, Option<u16>) {
    let endpoint = run.options.endpoint;
    let path = match endpoint {
        Endpoint::Batch => "/v1/events/batch",
        Endpoint::Single => "/v1/events",
    };
    let answer = run.http.send(Method::POST, path, headers, body, limit).await;
    let status = answer.as_ref().ok().map(|answer| answer.status.as_u16());
    (judge(endpoint, sent, answer), status)
}

/// Compresses away from the tasks; where that fails, the body goes as it is.
async fn compressed(run: &Delivery, body: Bytes) -> (Bytes, Option<&'static str>) {
    let encoding = run.options.encoding;
    if !is_worth_it(encoding, body.len()) {
        return (body, None);
    }
    let plain = body.clone();
    let work = tokio::task::spawn_blocking(move || encoded(body, encoding));
    match work.await {
        Ok(Ok(encoded)) => encoded,
        Ok(Err(_)) | Err(_) => (plain, None),
    }
}

/// The headers of one request, or why there is no token for them.
async fn headers(
    run: &Delivery,
    encoding: Option<&'static str>,
    renew: bool,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = vec![json_content()];
    if let Some(encoding) = encoding {
        headers.push((CONTENT_ENCODING, HeaderValue::from_static(encoding)));
    }
    if let Credential::Tokens(source) = &run.options.credential {
        let token = source.token(renew).await;
        let token = token.map_err(|error| format!("there is no token: {error}"))?;
        headers.push(bearer(&token).map_err(|error| format!("there is no token: {error}"))?);
    }
    Ok(headers)
}

fn counted(verdict: &Verdict) -> [usize; Status::ALL.len()] {
    let receipts = match verdict {
        Verdict::Receipts(receipts, _) => receipts.as_slice(),
        Verdict::Again { .. } | Verdict::Split(_) | Verdict::Fatal(_) => &[],
    };
    Status::ALL.map(|status| receipts.iter().filter(|receipt| receipt.status == status).count())
}

/// Settled events, and events to send again.
fn sort(
    events: Vec<Pending>,
    receipts: Vec<Receipt>,
    ack: Duration,
) -> (Vec<Settled>, Vec<Pending>) {
    let mut settled = Vec::with_capacity(events.len());
    let mut left = Vec::new();
    for (pending, receipt) in events.into_iter().zip(receipts) {
        match receipt.status {
            Status::Retry => left.push(pending),
            Status::Accepted
            | Status::Quarantined
            | Status::Duplicate
            | Status::Rejected
            | Status::Conflict => settled.push(pending.settle(Outcome::Receipt(receipt), ack)),
        }
    }
    (settled, left)
}
