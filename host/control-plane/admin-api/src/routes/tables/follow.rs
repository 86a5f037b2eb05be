//! Tables that are followed: each new generation makes a revision, derived from the active one, that has
//! it in place of the one before, and activates it on the same path as any other.
//!
//! It is the state that counts, not the upload: whatever was missed (a crash, a revision that could not
//! be built) is made good at the next upload, activation or start. After a rollback nothing is followed
//! until someone activates a revision again: who goes back wants to stay there.

use serde_json::{Map, Value, json};
use tidegate_catalog::{Activation, ActivationKind, Catalog, CatalogError, Selector};
use tidegate_types::revision::{KERNELS, RevisionDocument};
use tidegate_types::{Digest, Problem, TenantId};

use crate::answer;
use crate::routes::revisions::activations::publish_or_withdraw;
use crate::state::AdminState;
use crate::token::act::{self, Act};

/// Puts the latest generation of every followed table of a tenant in force. Answers the activation, where
/// one was needed. Called within a change.
pub(crate) async fn catch_up(
    state: &AdminState,
    tenant: &TenantId,
) -> Result<Option<Activation>, Problem> {
    let owner = tenant.clone();
    let found = state.catalog(move |catalog| behind(catalog, &owner)).await?;
    let Some((from, document)) = found else { return Ok(None) };
    let derived = derive(state, tenant.clone(), from, document).await;
    if let Err(problem) = &derived {
        tracing::warn!(tenant = tenant.as_str(), %problem, "followed table not put in force");
    }
    derived.map(Some)
}

/// The active revision and its document with the latest generations, where it follows any table that
/// has a newer one.
fn behind(
    catalog: &Catalog,
    tenant: &TenantId,
) -> Result<Option<(Digest, RevisionDocument)>, CatalogError> {
    let Some(active) = catalog.active(tenant)? else { return Ok(None) };
    if active.kind == ActivationKind::Rollback {
        return Ok(None);
    }
    let revision = catalog.revision(tenant, &Selector::Digest(active.digest))?;
    // Other kernels are another revision: an admin decides on that.
    if revision.kernels != KERNELS {
        return Ok(None);
    }
    let mut document = revision.document.clone();
    for (name, version) in document.tables.iter_mut().filter(|(_, version)| version.follow) {
        let latest = catalog.table(tenant, name, &Selector::Latest)?;
        (version.digest, version.generation) = (latest.digest, latest.generation);
    }
    Ok((document != revision.document).then_some((active.digest, document)))
}

async fn derive(
    state: &AdminState,
    tenant: TenantId,
    from: Digest,
    document: RevisionDocument,
) -> Result<Activation, Problem> {
    let checked = state.data_plane.check_revision(&tenant, &document).await;
    checked.map_err(|parts| {
        answer::invalid("the active revision cannot use the table's new generation", parts)
    })?;
    let (by, whose) = (act::who(), tenant.clone());
    let work = move |catalog: &Catalog| catalog.activate_derived(&tenant, &document, &from, &by);
    let put = state.catalog(work).await?;
    publish_or_withdraw(state, &whose, put).await
}

/// The members that an upload's answer has of it.
pub(crate) fn told(derived: Result<Option<Activation>, Problem>) -> Map<String, Value> {
    let (derived, problem) = match derived {
        Ok(None) => (Value::Null, Value::Null),
        Ok(Some(made)) => (json!({ "number": made.number, "digest": made.digest }), Value::Null),
        Err(problem) => (Value::Null, problem.to_json()),
    };
    Map::from_iter([("derived".to_owned(), derived), ("derive_problem".to_owned(), problem)])
}

impl AdminState {
    /// Puts in force what uploads before the last end of the program could not. Called once, when the
    /// data plane has what the catalog says.
    ///
    /// # Errors
    /// Where the catalog fails. A tenant whose revision cannot be derived keeps the one it has.
    pub async fn catch_up(&self) -> Result<(), Problem> {
        let active = self.catalog(|catalog| catalog.active_revisions()).await?;
        let following = active
            .into_iter()
            .filter(|active| active.revision.document.followed().next().is_some());
        for tenant in following.map(|active| active.tenant) {
            let reason = "a followed table had a newer generation when the gateway started";
            let act = Act::by_itself("followed-table", &tenant, "activations", reason);
            let state = self.clone();
            let done = self.change(async move { Ok(catch_up(&state, &tenant).await) });
            // What failed is logged.
            drop(act::within(act, done).await?);
        }
        Ok(())
    }
}
