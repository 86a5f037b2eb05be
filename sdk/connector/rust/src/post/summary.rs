//! What a run came to, counted as its events settle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tidegate_types::{Receipt, RuleName, Status};

use crate::outcome::{Outcome, Settled};

/// Distinct (rule, code) pairs that are counted apart; what comes after them is `other_findings`.
const MAX_FINDING_KINDS: usize = 10_000;
const LONGEST_ACK_MICROS: u64 = 3_600_000_000;

/// Why a run ended before its input did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The caller asked for it.
    Asked,
    /// The gateway refuses everything: wrong credentials, wrong address, an answer that makes no sense.
    Refused(String),
    /// Whole requests failed for as long as the retry policy allows.
    GaveUp(String),
    /// The input failed.
    Input(String),
    /// The spool's disk failed, or the spool is damaged.
    Spool(String),
    /// A callback panicked.
    Callback,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("stopped on request"),
            Self::Refused(why) => write!(f, "the gateway refused: {why}"),
            Self::GaveUp(why) => write!(f, "gave up: {why}"),
            Self::Input(why) => write!(f, "the input cannot be read: {why}"),
            Self::Spool(why) => f.write_str(why),
            Self::Callback => f.write_str("a callback panicked"),
        }
    }
}

/// The counts of one run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Events with an outcome of any kind.
    pub events: u64,
    /// Events without an outcome, though they were sent: stored or not.
    pub unsettled: u64,
    /// Events that cannot be sent.
    pub refused: u64,
    /// Findings on receipts, by rule and code.
    pub findings: BTreeMap<(RuleName, Arc<str>), u64>,
    pub other_findings: u64,
    /// Requests made, and how many of them were further attempts.
    pub requests: u64,
    pub retries: u64,
    /// Bytes of events that have a receipt.
    pub bytes: u64,
    pub elapsed: Duration,
    /// Why it ended early; `None` where the whole input was read and sent.
    pub stopped: Option<Stopped>,
    statuses: BTreeMap<&'static str, u64>,
    ack_micros: Histogram<u64>,
}

impl Summary {
    pub(crate) fn new() -> Self {
        let ack_micros = Histogram::new_with_bounds(1, LONGEST_ACK_MICROS, 3)
            .expect("1 to an hour with three digits are bounds that a histogram takes");
        Self {
            events: 0,
            unsettled: 0,
            refused: 0,
            findings: BTreeMap::new(),
            other_findings: 0,
            requests: 0,
            retries: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
            stopped: None,
            statuses: BTreeMap::new(),
            ack_micros,
        }
    }

    pub(crate) fn count(&mut self, settled: &Settled) {
        self.events += 1;
        match &settled.outcome {
            Outcome::Receipt(receipt) => {
                self.bytes += settled.event.len() as u64;
                let micros = u64::try_from(settled.ack.as_micros()).unwrap_or(u64::MAX);
                self.ack_micros.saturating_record(micros);
                self.count_receipt(receipt);
            }
            Outcome::Refused(_) => self.refused += 1,
            Outcome::Unsettled(_) => self.unsettled += 1,
        }
    }

    fn count_receipt(&mut self, receipt: &Receipt) {
        *self.statuses.entry(receipt.status.as_str()).or_default() += 1;
        for finding in &receipt.findings {
            let kind = (finding.rule.clone(), Arc::clone(&finding.code));
            if self.findings.len() < MAX_FINDING_KINDS || self.findings.contains_key(&kind) {
                *self.findings.entry(kind).or_default() += 1;
            } else {
                self.other_findings += 1;
            }
        }
    }

    /// Events whose receipt says this.
    #[must_use]
    pub fn status(&self, status: Status) -> u64 {
        self.statuses.get(status.as_str()).copied().unwrap_or_default()
    }

    /// Events with a receipt.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Was the whole input read, and has every event that can be sent its receipt?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none() && self.unsettled == 0
    }

    /// Did each event end as accepted, quarantined or duplicate?
    #[must_use]
    pub fn all_taken(&self) -> bool {
        let taken = Status::ALL.into_iter().filter(|status| status.is_taken());
        self.is_complete() && taken.map(|status| self.status(status)).sum::<u64>() == self.events
    }

    /// Receipts per second over the whole run.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.settled() as f64 / seconds } else { 0.0 }
    }

    /// The time within which this share (0 to 1) of the receipts came, counted from the request
    /// that brought each. Zero where there is none. Exact to three digits, up to an hour.
    #[must_use]
    pub fn ack_quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.ack_micros.value_at_quantile(share))
    }
}
