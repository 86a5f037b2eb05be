//! What became of tokens, counted since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::identity as metrics;

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

    /// All outcomes are there from the start.
    pub(crate) fn report(&self, page: &mut Page) {
        let accepted = [("verified", &self.verified), ("remembered", &self.remembered)];
        let refused = Refusal::ALL.iter().map(|refusal| refusal.as_str()).zip(&self.refused);
        for (outcome, counter) in accepted.into_iter().chain(refused) {
            page.put(&metrics::TOKENS, &[outcome], counter.load(Ordering::Relaxed));
        }
    }
}
