//! What became of tokens, counted since the start.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Refusal;

/// Tokens by outcome.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    verified: AtomicU64,
    remembered: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counts {
    pub(crate) fn verified(&self) {
        self.verified.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remembered(&self) {
        self.remembered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        if let Some(counter) = self.refused.get(refusal as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As Prometheus reads it. All outcomes are there from the start.
    pub(crate) fn prometheus(&self, out: &mut String) {
        out.push_str("# HELP tidegate_tokens_total Bearer tokens by outcome.\n");
        out.push_str("# TYPE tidegate_tokens_total counter\n");
        let accepted = [("verified", &self.verified), ("remembered", &self.remembered)];
        let refused = Refusal::ALL.iter().map(|refusal| refusal.as_str()).zip(&self.refused);
        for (outcome, counter) in accepted.into_iter().chain(refused) {
            let count = counter.load(Ordering::Relaxed);
            let line = writeln!(out, "tidegate_tokens_total{{outcome=\"{outcome}\"}} {count}");
            line.expect("writing to a String does not fail");
        }
    }
}
