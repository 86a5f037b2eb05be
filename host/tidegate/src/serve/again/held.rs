//! Events in quarantine, looked at: listed, counted in groups, shown one by one.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidegate_admin_api::{HeldFilter, HeldGroup};
use tidegate_catalog::{Catalog, Selector};
use tidegate_storage::StoredEvent;
use tidegate_storage::quarantine::{
    Counts, GroupBy, Grouping, HeldLookup, HeldPage, OpenEvents, Settlement,
};
use tidegate_storage::read::{Cursor, Filter, PageLimit, ReadError};
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{
    Digest, EventId, EventType, Finding, Lsn, Problem, ProblemType, TenantId, UnixMillis,
};

use super::unreadable;
use crate::serve::data_plane::Node;

/// Bytes of events in one page of a list.
const PAGE_BYTES: usize = 8 << 20;
/// Pages without a match that are looked at for one request.
const LOOKS: usize = 20;

/// An event that was held, and what became of it.
#[derive(Serialize)]
struct HeldView<'a> {
    node: &'a str,
    event_id: EventId,
    state: &'a str,
    received_at: String,
    event_type: &'a str,
    event_time: Option<String>,
    revision: Digest,
    lsn: Lsn,
    findings: Vec<Finding>,
    context: Option<&'a RawValue>,
    original: &'a RawValue,
    settlement: Option<Value>,
    /// Where it was mended before it was released.
    #[serde(skip_serializing_if = "Option::is_none")]
    mended: Option<&'a RawValue>,
}

impl Node {
    pub(super) async fn open_page(
        &self,
        tenant: &TenantId,
        filter: &HeldFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Value, Problem> {
        let mark = self.mark(tenant);
        let after = after.map(|text| cursor(text, &mark)).transpose()?;
        let quarantine = self.storage.quarantine();
        let scan = quarantine.open_events(tenant.as_str(), stored_filter(filter), after);
        let limit = PageLimit { events: limit as usize, bytes: PAGE_BYTES };
        let page = blocking(move || some_page(scan, limit)).await?;
        let next = (!page.is_last).then(|| format!("{:x}.{mark}", page.next.0.0));
        let events: Vec<Value> = page.events.iter().map(|held| listed(held.event())).collect();
        Ok(json!({
            "node": self.gateway.node(), "events": events, "next": next,
            "expired_files": page.expired_files,
        }))
    }

    /// Tells cursors of this tenant and node from others.
    fn mark(&self, tenant: &TenantId) -> String {
        let of = format!("{}\0{}", tenant.as_str(), self.gateway.node());
        Digest::of(of.as_bytes()).to_string().chars().skip("sha256:".len()).take(8).collect()
    }

    pub(super) async fn count_open(
        &self,
        tenant: &TenantId,
        filter: &HeldFilter,
        by: HeldGroup,
    ) -> Result<Value, Problem> {
        let (quarantine, owner) = (self.storage.quarantine(), tenant.clone());
        let filter = stored_filter(filter);
        let counted = self.ask(move |catalog| {
            let revisions = Revisions::of(catalog, &owner);
            let plugin = |revision: &str, rule: &str| revisions.plugin(revision, rule);
            let schema = |revision: &str, of: &str| revisions.schema(revision, of);
            let by = match by {
                HeldGroup::Rule => Grouping::By(GroupBy::Rule),
                HeldGroup::Code => Grouping::By(GroupBy::Code),
                HeldGroup::Type => Grouping::By(GroupBy::EventType),
                HeldGroup::Revision => Grouping::By(GroupBy::Revision),
                HeldGroup::Hour => Grouping::By(GroupBy::Hour),
                HeldGroup::Day => Grouping::By(GroupBy::Day),
                HeldGroup::Plugin => Grouping::Rules(&plugin),
                HeldGroup::Schema => Grouping::Types(&schema),
            };
            Ok(quarantine.count(owner.as_str(), filter, by))
        });
        let counted = counted.await.map_err(|error| unreadable(&*error))?;
        let Counts { events, groups, in_other_groups, expired_files } =
            counted.map_err(|error| unreadable(&error))?;
        let groups: Vec<Value> = groups
            .into_iter()
            .map(|(group, events)| json!({ "group": group, "events": events }))
            .collect();
        Ok(json!({
            "node": self.gateway.node(), "events": events, "groups": groups,
            "in_other_groups": in_other_groups, "expired_files": expired_files,
        }))
    }

    pub(super) async fn view_held(
        &self,
        tenant: &TenantId,
        event_id: EventId,
    ) -> Result<String, Problem> {
        let (event, settlement, is_settled) = match self.look_up(tenant, event_id).await? {
            HeldLookup::Open(held) => (held.event().clone(), None, false),
            HeldLookup::Settled { event, settlement } => (event, settlement, true),
            other => return Err(self.not_held(&other)),
        };
        let state = match &settlement {
            None if is_settled => "settled",
            None => "open",
            Some(settlement) => settlement.action.as_str(),
        };
        let raw = |bytes| raw(bytes).ok_or_else(|| super::damaged(&event, "its text"));
        let released = settlement.as_ref().and_then(|one| one.released.as_ref());
        let mended = released.filter(|released| released.original != event.original);
        let view = HeldView {
            node: self.gateway.node(),
            event_id,
            state,
            received_at: event.received_at().to_rfc3339(),
            event_type: &event.event_type,
            event_time: event.event_time.map(UnixMillis::to_rfc3339),
            revision: event.revision,
            lsn: event.lsn,
            findings: event.findings().ok_or_else(|| super::damaged(&event, "its findings"))?,
            context: match event.context.as_slice() {
                [] => None,
                context => Some(raw(context)?),
            },
            original: raw(&event.original)?,
            settlement: settlement.as_ref().map(settled),
            mended: mended.map(|released| raw(&released.original)).transpose()?,
        };
        serde_json::to_string(&view).map_err(|error| unreadable(&error))
    }

    pub(super) async fn look_up(
        &self,
        tenant: &TenantId,
        event_id: EventId,
    ) -> Result<HeldLookup, Problem> {
        let (quarantine, owner) = (self.storage.quarantine(), tenant.clone());
        blocking(move || quarantine.get(owner.as_str(), event_id)).await
    }

    /// Why there is nothing to show or to settle.
    pub(super) fn not_held(&self, lookup: &HeldLookup) -> Problem {
        let detail = match lookup {
            HeldLookup::NotHeld(_) => "the event was accepted when it came in".to_owned(),
            HeldLookup::Expired => "the file that held the event was removed".to_owned(),
            _ => format!(
                "no such event is in quarantine on node {}; other nodes have their own",
                self.gateway.node()
            ),
        };
        Problem::new(ProblemType::NotFound, detail)
    }
}

pub(super) async fn blocking<T, E, F>(work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| unreadable(&error))?;
    done.map_err(|error| unreadable(&error))
}

/// A page with events, the last one, or what many files without a match leave.
fn some_page(mut scan: OpenEvents, limit: PageLimit) -> Result<HeldPage, ReadError> {
    let mut expired_files = 0;
    let mut looks = 0;
    loop {
        let page = scan.next_page(limit)?;
        (expired_files, looks) = (expired_files + page.expired_files, looks + 1);
        if !page.events.is_empty() || page.is_last || looks == LOOKS {
            return Ok(HeldPage { expired_files, ..page });
        }
    }
}

pub(super) fn stored_filter(filter: &HeldFilter) -> Filter {
    let [since, until] = filter.times();
    Filter {
        since,
        until,
        event_types: filter.event_type.iter().map(ToString::to_string).collect(),
        status: None,
        revision: filter.revision,
        rule: filter.rule.clone(),
        code: filter.code.clone(),
    }
}

fn cursor(text: &str, mark: &str) -> Result<Cursor, Problem> {
    let position = text.split_once('.').filter(|(_, of)| *of == mark);
    let position = position.and_then(|(position, _)| u64::from_str_radix(position, 16).ok());
    position.map(|position| Cursor(Lsn(position))).ok_or_else(|| {
        let detail = "after is the `next` of a page of this tenant, from this node";
        Problem::new(ProblemType::InvalidRequest, detail)
    })
}

fn listed(event: &StoredEvent) -> Value {
    json!({
        "event_id": event.event_id,
        "received_at": event.received_at().to_rfc3339(),
        "event_type": event.event_type,
        "event_time": event.event_time.map(UnixMillis::to_rfc3339),
        "revision": event.revision,
        "lsn": event.lsn,
        "findings": event.findings(),
    })
}

/// What was decided about an event.
pub(super) fn settled(settlement: &Settlement) -> Value {
    let mut view = json!({
        "event_id": settlement.event_id,
        "action": settlement.action.as_str(),
        "at": settlement.at.to_rfc3339(),
        "by": settlement.by,
        "reason": settlement.reason,
        "lsn": settlement.lsn,
    });
    if let (Some(members), Some(released)) = (view.as_object_mut(), &settlement.released) {
        members.insert("revision".to_owned(), json!(released.revision));
        members.insert("findings".to_owned(), json!(released.findings()));
    }
    view
}

fn raw(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(bytes).ok()
}

/// The documents of revisions that have judged.
struct Revisions<'a> {
    catalog: &'a Catalog,
    tenant: &'a TenantId,
    known: RefCell<HashMap<String, Option<RevisionDocument>>>,
}

impl<'a> Revisions<'a> {
    fn of(catalog: &'a Catalog, tenant: &'a TenantId) -> Self {
        Self { catalog, tenant, known: RefCell::default() }
    }

    fn find<T>(
        &self,
        revision: &str,
        read: impl FnOnce(&RevisionDocument) -> Option<T>,
    ) -> Option<T> {
        let mut known = self.known.borrow_mut();
        let document = known.entry(revision.to_owned()).or_insert_with(|| {
            let which = Selector::Digest(revision.parse().ok()?);
            let found = self.catalog.revision(self.tenant, &which);
            found.map(|stored| stored.document).ok()
        });
        read(document.as_ref()?)
    }

    /// The component of a rule; the host's own findings are its own.
    fn plugin(&self, revision: &str, rule: &str) -> String {
        let component = self.find(revision, |document| {
            let rule = document.rules.iter().find(|one| one.name.as_str() == rule)?;
            Some(rule.component)
        });
        component.map_or_else(|| rule.to_owned(), |digest| digest.to_string())
    }

    fn schema(&self, revision: &str, event_type: &str) -> String {
        let schema = self.find(revision, |document| {
            document.event_types.get(&EventType::new(event_type).ok()?)?.schema
        });
        schema.map_or_else(|| "none".to_owned(), |digest| digest.to_string())
    }
}
