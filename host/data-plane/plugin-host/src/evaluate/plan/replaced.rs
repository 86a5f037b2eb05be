//! Rules that did not judge an event themselves since their breaker was open, and what stood in: part of
//! what the verdict depends on. An event that is judged as it was before has the same in their place.

use std::sync::Arc;

use tidegate_types::{Digest, RuleName};

use super::{PlanRule, Said};
use crate::evaluate::Batch;
use crate::evaluate::rule::NotRun;

/// A rule that did not judge an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub rule: RuleName,
    pub by: StandIn,
}

/// What stood in for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// An earlier version of it: this component with a configuration of this digest.
    Fallback { component: Digest, config: Digest },
    /// The policy for faults; the finding says why.
    OnFault { why: Arc<str> },
}

/// What was said of a rule's rows.
pub(super) struct Spoken {
    /// By the rule itself, and rows that nobody judged.
    pub(super) own: Said,
    /// By its fall-back, of these rows.
    pub(super) instead: Option<(Vec<u32>, Said)>,
}

impl PlanRule {
    /// What judges while the rule's breaker is open.
    #[must_use]
    pub fn fallback(&self) -> Option<&PlanRule> {
        self.fallback.as_deref()
    }

    /// Its fall-back, where it is the one that stood in.
    #[must_use]
    pub fn stand_in(&self, by: &StandIn) -> Option<&PlanRule> {
        self.fallback().filter(|fallback| fallback.as_stand_in() == *by)
    }

    /// How it is named where it stands in.
    pub(super) fn as_stand_in(&self) -> StandIn {
        StandIn::Fallback { component: self.rule.component, config: self.rule.config }
    }

    /// Has rows judged: by the rule, by its fall-back where its breaker is open, or by what judged
    /// before.
    pub(super) async fn say(&self, batch: &Arc<Batch>, rows: &[u32]) -> Result<Spoken, NotRun> {
        match batch.stood_in(&self.name) {
            Some(StandIn::OnFault { why }) => {
                let faults = rows.iter().map(|row| (*row, Arc::clone(why))).collect();
                return Ok(Spoken { own: Said { faults, ..Said::default() }, instead: None });
            }
            Some(by) => {
                if let Some(fallback) = self.stand_in(by) {
                    let said = fallback.rule.run(fallback.work(batch), rows).await?;
                    return Ok(Spoken {
                        own: Said::default(),
                        instead: Some((rows.to_vec(), said)),
                    });
                }
            }
            None => {}
        }
        let mut own = self.rule.run(self.work(batch), rows).await?;
        let Some(fallback) = self.fallback().filter(|_| !own.refused.is_empty()) else {
            return Ok(Spoken { own, instead: None });
        };
        let refused = std::mem::take(&mut own.refused);
        let said = fallback.rule.run(fallback.work(batch), &refused).await?;
        Ok(Spoken { own, instead: Some((refused, said)) })
    }
}
