//! `/v1/tenants/{tenant}/quarantine`: the events that rules hold on this node, and what is decided
//! about them. The data plane has them, and keeps what was decided; jobs over many of them are in the
//! catalog.

pub(crate) mod jobs;

use axum::extract::{Request, State};
use serde::Deserialize;
use tidegate_catalog::Catalog;
use tidegate_types::{Digest, EventId, EventType, Problem, TenantId, UnixMillis};

use crate::answer::{self, Answer};
use crate::data_plane::workbench::{HeldDecision, HeldFilter, HeldGroup, HeldPatch};
use crate::request::{self, Asked, At, from_json};
use crate::routes::revisions::replays::moment;
use crate::state::AdminState;
use crate::token::act::who;

/// Bytes of a reason, as the log keeps it.
const MAX_REASON: usize = 4096;
/// Changes to one event.
const MAX_PATCHES: usize = 100;
/// Bytes of a rule's name or a code that is looked for.
const MAX_NAME: usize = 200;

/// Which events are meant, in a query or in the body of a job.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    rule: Option<String>,
    code: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    revision: Option<String>,
    /// RFC 3339, or how long ago: `90s`, `15m`, `1h`, `7d`.
    since: Option<String>,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct ListQuery {
    #[serde(flatten)]
    filter: Filter,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct GroupsQuery {
    #[serde(flatten)]
    filter: Filter,
    by: HeldGroup,
}

/// What a filter's members are called where they were sent: `{at}/rule`.
fn checked(filter: Filter, at: &str) -> Result<HeldFilter, Problem> {
    let wrong = |name: &str, detail: String| request::bad(detail).at(format!("{at}/{name}"));
    let now = UnixMillis::now();
    let time = |text: Option<String>, name: &str| match text {
        None => Ok(None),
        Some(text) => moment(&text, now).map(|time| Some(time.0)).ok_or_else(|| {
            let detail = "a time is RFC 3339, or how long ago: 90s, 15m, 1h or 7d";
            wrong(name, format!("{name}: {detail}"))
        }),
    };
    let name = |text: Option<String>, name: &str| match text {
        Some(text) if text.is_empty() || text.len() > MAX_NAME => {
            Err(wrong(name, format!("{name} has 1 to {MAX_NAME} bytes")))
        }
        text => Ok(text),
    };
    let event_type = filter.event_type.map(|text| EventType::new(&text)).transpose();
    let revision = filter.revision.map(|text| text.parse::<Digest>()).transpose();
    Ok(HeldFilter {
        rule: name(filter.rule, "rule")?,
        code: name(filter.code, "code")?,
        event_type: event_type.map_err(|error| wrong("type", format!("type: {error}")))?,
        revision: revision.map_err(|_| {
            wrong("revision", "revision is a digest: sha256: and 64 hexadecimal digits".to_owned())
        })?,
        since: time(filter.since, "since")?,
        until: time(filter.until, "until")?,
    })
}

/// A tenant that is there.
async fn known(state: &AdminState, tenant: &str) -> Result<TenantId, Problem> {
    let tenant = request::tenant(tenant)?;
    let owner = tenant.clone();
    state.catalog(move |catalog: &Catalog| catalog.tenant(&owner)).await?;
    Ok(tenant)
}

fn event(text: &str) -> Result<EventId, Problem> {
    text.parse().map_err(|_| request::bad("an event id has the form of a UUID, as in its receipt"))
}

pub(in crate::routes) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let ListQuery { filter, after, limit } = query;
    let filter = checked(filter, "")?;
    let limit = request::limit(limit)?;
    let tenant = known(&state, &tenant).await?;
    let workbench = state.data_plane.workbench();
    let page = workbench.open_events(&tenant, &filter, after.as_deref(), limit).await?;
    answer::ok(&page)
}

pub(in crate::routes) async fn groups(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<GroupsQuery>,
) -> Answer {
    let GroupsQuery { filter, by } = query;
    let filter = checked(filter, "")?;
    let tenant = known(&state, &tenant).await?;
    answer::ok(&state.data_plane.workbench().groups(&tenant, &filter, by).await?)
}

pub(in crate::routes) async fn one(
    State(state): State<AdminState>,
    At((tenant, event_id)): At<(String, String)>,
) -> Answer {
    let event_id = event(&event_id)?;
    let tenant = known(&state, &tenant).await?;
    answer::text(state.data_plane.workbench().held(&tenant, event_id).await?)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseBody {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    patch: Vec<HeldPatch>,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiscardBody {
    reason: String,
}

fn release_of(body: ReleaseBody) -> Result<HeldDecision, Problem> {
    let ReleaseBody { reason, patch, force } = body;
    if patch.len() > MAX_PATCHES {
        return Err(request::bad(format!("at most {MAX_PATCHES} changes to an event")).at("/patch"));
    }
    for (place, one) in patch.iter().enumerate() {
        let (HeldPatch::Set { pointer, .. } | HeldPatch::Remove { pointer }) = one;
        if !request::is_pointer(pointer) {
            let detail = "is a JSON pointer (RFC 6901) of at most 1024 bytes, such as /actor/id";
            return Err(
                request::bad(format!("pointer {detail}")).at(format!("/patch/{place}/pointer"))
            );
        }
    }
    Ok(HeldDecision::Release { reason: reasonable(reason)?, patch, force })
}

fn discard_of(body: DiscardBody) -> Result<HeldDecision, Problem> {
    if body.reason.trim().is_empty() {
        return Err(request::bad("an event is discarded for a reason: give one").at("/reason"));
    }
    Ok(HeldDecision::Discard { reason: reasonable(body.reason)? })
}

fn reasonable(reason: String) -> Result<String, Problem> {
    if reason.len() > MAX_REASON {
        return Err(request::bad(format!("a reason has at most {MAX_REASON} bytes")).at("/reason"));
    }
    Ok(reason)
}

pub(in crate::routes) async fn release(
    State(state): State<AdminState>,
    At(at): At<(String, String)>,
    request: Request,
) -> Answer {
    let body = request::optional_json(&state, request).await?;
    let body: ReleaseBody = body.map(|body| from_json(&body)).transpose()?.unwrap_or_default();
    settle(&state, at, release_of(body)?).await
}

pub(in crate::routes) async fn discard(
    State(state): State<AdminState>,
    At(at): At<(String, String)>,
    request: Request,
) -> Answer {
    let body = request::json_body(&state, request).await?;
    settle(&state, at, discard_of(from_json(&body)?)?).await
}

async fn settle(
    state: &AdminState,
    (tenant, event_id): (String, String),
    decision: HeldDecision,
) -> Answer {
    let event_id = event(&event_id)?;
    let (tenant, by) = (known(state, &tenant).await?, who());
    let settled = state.data_plane.workbench().settle(&tenant, event_id, &decision, &by).await;
    match settled {
        Ok(settled) => answer::ok(&settled),
        Err(not) => Ok(answer::explained(&not.problem, not.about)),
    }
}
