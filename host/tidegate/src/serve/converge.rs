//! Keeps this node on what the catalog says, whichever node was told, and reports how far it is.
//! A node whose catalog is its own is told by its own admin API alone.

pub(super) mod membership;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_admin_api::DataPlane as _;
use tidegate_catalog::{Catalog, CatalogError, NodeReport, NodeRevisionState, Watch};
use tidegate_config::Config;
use tidegate_types::{Digest, TenantId};
use tokio::task::JoinHandle;

use super::data_plane::Node;

/// A node reports so many times before others take it for lost.
const REPORTS: u32 = 6;

/// Starts the task.
///
/// # Errors
/// Where the catalog cannot be watched, or another node has taken this one's name while it started.
pub(super) async fn start(
    config: &Config,
    node: &Arc<Node>,
    report: NodeReport,
) -> anyhow::Result<JoinHandle<()>> {
    if !node.catalog.is_shared() {
        return Ok(tokio::spawn(async {}));
    }
    let (catalog, poll) = (Arc::clone(&node.catalog), config.catalog.poll_interval);
    let watch = tokio::task::spawn_blocking(move || catalog.watch(poll)).await?;
    let watch = watch.context("the catalog cannot be watched")?;
    let (own, lost_after) = (report.clone(), config.catalog.node_lost_after);
    node.ask(move |catalog| catalog.report_node(&own, lost_after)).await?;
    let converging = Converging {
        node: Arc::clone(node),
        watch,
        report,
        is_ousted: false,
        lost_after,
        heard: 0,
        told: HashMap::new(),
    };
    Ok(tokio::spawn(converging.run()))
}

/// How far a node is with what a tenant's events are to be judged by.
type Told = (NodeRevisionState, String);

struct Converging {
    node: Arc<Node>,
    watch: Watch,
    report: NodeReport,
    /// Another node has taken the name.
    is_ousted: bool,
    lost_after: Duration,
    /// The version that was heard last.
    heard: u64,
    /// What the catalog knows from this node already.
    told: HashMap<(TenantId, Digest), Told>,
}

impl Converging {
    async fn run(mut self) {
        let mut heard = self.watch.subscribe();
        let mut report = tokio::time::interval(self.lost_after / REPORTS);
        let mut was_reached = true;
        loop {
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return },
                _ = report.tick() => {}
            }
            let now = heard.borrow_and_update().clone();
            if let Some(problem) = now.problem.as_ref().filter(|_| was_reached) {
                tracing::warn!(problem, "catalog out of reach: events go on as they were judged");
            }
            was_reached = now.problem.is_none();
            if !was_reached {
                continue;
            }
            if let Err(error) = self.converge(now.version).await {
                tracing::warn!(cause = format!("{error:#}"), "node does not keep up with catalog");
            }
        }
    }

    async fn converge(&mut self, version: u64) -> anyhow::Result<()> {
        let is_new = version > self.heard;
        self.heard = version;
        let published = if version > self.node.applied.load(Ordering::Acquire) {
            self.node.publish(None).await
        } else {
            Ok(())
        };
        let states = self.states(is_new).await?;
        self.report(states).await?;
        published.map_err(|problem| anyhow::anyhow!("{problem}"))
    }

    /// How far this node is with the active revision of each tenant, with candidates, and with those
    /// that are about to become active: these are tried anew when something has changed, which may be
    /// that somebody asks for them.
    async fn states(&self, is_new: bool) -> anyhow::Result<HashMap<(TenantId, Digest), Told>> {
        let read = |catalog: &Catalog| {
            let rollouts = catalog.running_rollouts()?;
            Ok((catalog.active_revisions()?, rollouts, catalog.preparations()?))
        };
        let (active, rollouts, prepared) = self.node.ask(read).await?;
        for (tenant, revision) in prepared.iter().filter(|_| is_new) {
            self.node.failing.forget(tenant, &revision.digest);
        }
        let snapshot = self.node.gateway.snapshot();
        let mut states = HashMap::with_capacity(active.len());
        let active = active.into_iter().map(|active| (active.tenant, active.revision));
        let candidates = rollouts.into_iter().map(|rollout| (rollout.tenant, rollout.candidate));
        for (tenant, revision) in active.chain(candidates).chain(prepared) {
            let in_force = snapshot.in_force(&tenant).map(|known| known.revision.digest);
            let told = if in_force == Some(revision.digest) {
                (NodeRevisionState::Active, String::new())
            } else {
                match self.node.running(&tenant, &revision).await {
                    Ok(_) => (NodeRevisionState::Compiled, String::new()),
                    Err(error) => (NodeRevisionState::Failed, format!("{error:#}")),
                }
            };
            states.insert((tenant, revision.digest), told);
        }
        Ok(states)
    }

    async fn report(&mut self, states: HashMap<(TenantId, Digest), Told>) -> anyhow::Result<()> {
        let version_applied = self.node.applied.load(Ordering::Acquire);
        let report = NodeReport { version_applied, ..self.report.clone() };
        let known = std::mem::take(&mut self.told);
        let lost_after = self.lost_after;
        // Where this fails everything is told again.
        let told = self.node.ask(move |catalog| {
            catalog.report_node(&report, lost_after)?;
            // A failure may have been forgotten by who asks for the revision anew.
            let is_news = |(of, told): &(&(TenantId, Digest), &Told)| {
                told.0 == NodeRevisionState::Failed || known.get(*of) != Some(*told)
            };
            for (of, told) in states.iter().filter(is_news) {
                let ((tenant, digest), (state, detail)) = (of, told);
                catalog.report_revision(&report.name, tenant, digest, *state, detail)?;
            }
            Ok(states)
        });
        let told = told.await;
        let is_ousted = told.as_ref().is_err_and(is_name_taken);
        if let (true, false, Err(error)) = (is_ousted, self.is_ousted, &told) {
            tracing::error!(cause = %error, "another node took this one's name: it is not reported");
        }
        self.is_ousted = is_ousted;
        self.told = if is_ousted { HashMap::new() } else { told? };
        Ok(())
    }
}

fn is_name_taken(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CatalogError::NodeNameTaken { .. }))
}
