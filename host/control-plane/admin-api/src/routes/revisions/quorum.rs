//! Before a revision becomes active on nodes that share the catalog, enough of them must have it
//! ready: an activation that only some nodes can follow would leave the fleet in two minds.

use std::time::{Duration, Instant};

use tidegate_catalog::{Catalog, NodeRecord, NodeRevision, NodeRevisionState};
use tidegate_types::{Digest, Problem, ProblemType, TenantId};

use crate::state::AdminState;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(25);
/// Nodes that a problem names.
const MOST_NAMES: usize = 8;

/// How many of the nodes that are not lost must be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// The one that is asked is enough.
    One,
    /// More than half.
    Majority,
    All,
}

impl Quorum {
    fn of(self, nodes: usize) -> usize {
        match self {
            Self::One => nodes.min(1),
            Self::Majority => nodes / 2 + usize::from(nodes > 0),
            Self::All => nodes,
        }
    }
}

/// Waits until enough nodes have a revision ready. A node that is alone is always enough.
///
/// # Errors
/// 503 where they have not in time, or where too many cannot run it; nothing is changed then.
pub(super) async fn ready(
    state: &AdminState,
    tenant: &TenantId,
    digest: Digest,
) -> Result<(), Problem> {
    if !state.catalog.is_shared() || state.limits.activation_quorum == Quorum::One {
        return Ok(());
    }
    let owner = tenant.clone();
    state.catalog(move |catalog: &Catalog| catalog.prepare(&owner, &digest)).await?;
    let done = wait(state, tenant, digest).await;
    let owner = tenant.clone();
    state.catalog(move |catalog: &Catalog| catalog.end_preparation(&owner, &digest)).await?;
    done
}

async fn wait(state: &AdminState, tenant: &TenantId, digest: Digest) -> Result<(), Problem> {
    let (begun, lost_after) = (Instant::now(), state.limits.node_lost_after);
    loop {
        let owner = tenant.clone();
        let read = move |catalog: &Catalog| {
            Ok((catalog.nodes(lost_after)?, catalog.node_revisions(&owner, lost_after)?))
        };
        let (nodes, reports) = state.catalog(read).await?;
        let fleet = Fleet::of(&nodes, &reports, &digest);
        match fleet.verdict(state.limits.activation_quorum) {
            Some(true) => return Ok(()),
            Some(false) => return Err(fleet.problem("too many nodes cannot run the revision")),
            None if begun.elapsed() > state.limits.activation_timeout => {
                return Err(fleet.problem("too few nodes have the revision ready"));
            }
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The nodes that are not lost, by how far they are.
#[derive(Debug, Default)]
struct Fleet {
    ready: usize,
    waiting: Vec<String>,
    failed: Vec<String>,
}

impl Fleet {
    fn of(nodes: &[NodeRecord], reports: &[NodeRevision], digest: &Digest) -> Self {
        let mut fleet = Self::default();
        for node in nodes.iter().filter(|node| !node.is_lost) {
            let name = &node.report.name;
            let of_node = reports.iter().find(|one| one.node == *name && one.digest == *digest);
            match of_node.map(|report| report.state) {
                Some(NodeRevisionState::Compiled | NodeRevisionState::Active) => fleet.ready += 1,
                Some(NodeRevisionState::Failed) => {
                    let detail = of_node.map_or("", |report| report.detail.as_str());
                    fleet.failed.push(format!("{name} ({detail})"));
                }
                Some(NodeRevisionState::Fetching) | None => fleet.waiting.push(name.clone()),
            }
        }
        fleet
    }

    /// Are enough ready, or can they not become enough?
    fn verdict(&self, quorum: Quorum) -> Option<bool> {
        let all = self.ready + self.waiting.len() + self.failed.len();
        let needed = quorum.of(all);
        if all > 0 && self.ready >= needed {
            return Some(true);
        }
        (all > 0 && self.ready + self.waiting.len() < needed).then_some(false)
    }

    fn problem(&self, what: &str) -> Problem {
        let names = |names: &[String]| {
            names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ")
        };
        let mut detail = format!("{what}, and nothing was changed: {} ready", self.ready);
        if !self.waiting.is_empty() {
            detail.push_str(&format!("; not ready: {}", names(&self.waiting)));
        }
        if !self.failed.is_empty() {
            detail.push_str(&format!("; failed: {}", names(&self.failed)));
        }
        Problem::new(ProblemType::Unavailable, detail).retry_after(5000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(ready: usize, waiting: usize, failed: usize) -> Fleet {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect();
        Fleet { ready, waiting: names(waiting), failed: names(failed) }
    }

    #[test]
    fn enough_are_enough_and_too_few_are_told_early() {
        use Quorum::{All, Majority, One};
        for (quorum, nodes, expected) in [
            (One, (1, 2, 0), Some(true)),
            (One, (0, 3, 0), None),
            (Majority, (1, 2, 0), None),
            (Majority, (2, 1, 0), Some(true)),
            (Majority, (2, 0, 1), Some(true)),
            (Majority, (1, 0, 2), Some(false)),
            (Majority, (2, 2, 0), None),
            (Majority, (3, 1, 0), Some(true)),
            (All, (2, 1, 0), None),
            (All, (3, 0, 0), Some(true)),
            (All, (2, 0, 1), Some(false)),
            (All, (0, 0, 0), None),
        ] {
            let (ready, waiting, failed) = nodes;
            assert_eq!(
                fleet(ready, waiting, failed).verdict(quorum),
                expected,
                "{quorum:?} {nodes:?}"
            );
        }
    }
}
