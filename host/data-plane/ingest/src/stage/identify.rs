//! What the envelope says: the event's type and with it its route, its key, source, own time and
//! tenant. Where they are is said by the revision, or by CloudEvents.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_dedup::{DedupKey, Fingerprint};
use tidegate_event::{Kind, Node, Pointer, canonical};
use tidegate_types::{EventType, Finding, Problem, ProblemType, TenantId, UnixMillis};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::{Decoded, Form};
use crate::event::{Event, Identity, Keyed, State, host_finding};
use crate::revision::{Revision, Route};

/// Bytes that a key may have.
const MAX_KEY_BYTES: usize = 255;

/// Events that know what they are.
#[derive(Debug)]
pub struct Identified {
    pub(super) tenant: TenantId,
    pub(super) revision: Arc<Revision>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) received_at: UnixMillis,
    pub(super) events: Vec<Event>,
}

/// Reads every event's envelope. Events whose envelope is wrong are rejected one by one.
///
/// # Errors
/// Where the `Idempotency-Key` header is wrong, stands on a batch, or contradicts the event.
pub fn identify(decoded: Decoded, headers: &HeaderMap) -> Result<Identified, Problem> {
    let Decoded { tenant, revision, place, form, received_at, mut events } = decoded;
    let header = header_key(headers)?;
    if header.is_some() && !form.is_single() {
        let detail =
            "the header Idempotency-Key names one event: in a batch each event carries its own key";
        return Err(Problem::new(ProblemType::InvalidIdempotencyKey, detail));
    }
    for event in &mut events {
        let State::Open(open) = &mut event.state else { continue };
        match identity(open.node(), &tenant, &revision, form, header.as_deref()) {
            Ok(identity) => open.identity = Some(identity),
            Err(Wrong::Event(findings)) => event.reject(findings),
            Err(Wrong::Header(problem)) => return Err(problem),
        }
    }
    Ok(Identified { tenant, revision, place, form, received_at, events })
}

enum Wrong {
    Event(Vec<Finding>),
    Header(Problem),
}

impl From<Finding> for Wrong {
    fn from(finding: Finding) -> Self {
        Self::Event(vec![finding])
    }
}

fn identity(
    node: Node<'_>,
    tenant: &TenantId,
    revision: &Revision,
    form: Form,
    header: Option<&str>,
) -> Result<Identity, Wrong> {
    let route = Arc::clone(route(node, revision, form)?);
    check_tenant(node, &route, tenant)?;
    let event_time = attribute(node, route.time.as_ref(), form, "time")
        .and_then(|value| value.as_str())
        .and_then(UnixMillis::parse_rfc3339);
    let key = keyed(node, &route, tenant, form, header)?;
    Ok(Identity { route, key, event_time })
}

/// The value at the route's pointer, or else the CloudEvents attribute.
fn attribute<'d>(
    node: Node<'d>,
    pointer: Option<&Pointer>,
    form: Form,
    name: &str,
) -> Option<Node<'d>> {
    match pointer {
        Some(pointer) => pointer.resolve(node),
        None if form.is_cloud_event() => node.get(name),
        None => None,
    }
}

fn route<'r>(node: Node<'_>, revision: &'r Revision, form: Form) -> Result<&'r Arc<Route>, Wrong> {
    let (named, at) = if form.is_cloud_event() {
        (node.get("type"), "/type")
    } else {
        match &revision.type_pointer {
            Some(pointer) => (pointer.resolve(node), pointer.as_str()),
            None => (None, ""),
        }
    };
    let name = match named {
        Some(value) => {
            let text = value.as_str().and_then(|text| EventType::new(text).ok());
            text.ok_or_else(|| {
                host_finding("event-type", at, "the event's type must be a text of 1 to 200 bytes")
            })?
        }
        None => revision
            .default_type
            .clone()
            .ok_or_else(|| host_finding("event-type", at, "the event does not say its type"))?,
    };
    let unknown = || host_finding("event-type", at, "the tenant takes no events of this type");
    Ok(revision.routes.get(&name).ok_or_else(unknown)?)
}

fn check_tenant(node: Node<'_>, route: &Route, tenant: &TenantId) -> Result<(), Wrong> {
    let Some(pointer) = &route.tenant else { return Ok(()) };
    match pointer.resolve(node).and_then(|value| value.as_str()) {
        Some(named) if named == tenant.as_str() => Ok(()),
        Some(_) => Err(host_finding(
            "tenant",
            pointer.as_str(),
            "the event names another tenant than the credentials",
        )
        .into()),
        None => {
            Err(host_finding("tenant", pointer.as_str(), "the event must name its tenant").into())
        }
    }
}

fn keyed(
    node: Node<'_>,
    route: &Route,
    tenant: &TenantId,
    form: Form,
    header: Option<&str>,
) -> Result<Option<Keyed>, Wrong> {
    let at = route.key.as_ref().map_or("/id", Pointer::as_str);
    let own_value =
        attribute(node, route.key.as_ref(), form, "id").filter(|value| value.kind() != Kind::Null);
    let own = match own_value {
        None => None,
        Some(value) => {
            let text =
                value.as_str().or_else(|| (value.kind() == Kind::Number).then(|| value.lexeme()));
            let fits = text.filter(|text| !text.is_empty() && text.len() <= MAX_KEY_BYTES);
            Some(fits.ok_or_else(|| {
                host_finding("key", at, "the key must be a text or number of 1 to 255 bytes")
            })?)
        }
    };
    if let (Some(header), Some(own)) = (header, own)
        && header != own
    {
        let detail = "the header Idempotency-Key differs from the event's own key";
        return Err(Wrong::Header(Problem::new(ProblemType::InvalidIdempotencyKey, detail).at(at)));
    }
    let Some(text) = own.or(header) else { return Ok(None) };
    let source = attribute(node, route.source.as_ref(), form, "source")
        .and_then(|value| value.as_str())
        .unwrap_or("");
    Ok(Some(Keyed {
        text: text.into(),
        key: DedupKey::of(tenant, source, text),
        fingerprint: Fingerprint(canonical::fingerprint(node, own_value)),
    }))
}

/// The `Idempotency-Key` header: a Structured Field string in quotes (RFC 9651, section 3.3.3), or bare.
fn header_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = |detail: &str| Problem::new(ProblemType::InvalidIdempotencyKey, detail);
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(wrong("the header Idempotency-Key is there more than once"));
    }
    let text = value
        .to_str()
        .map_err(|_| wrong("the header Idempotency-Key must be visible ASCII"))?
        .trim();
    let text = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => unquoted(rest).ok_or_else(|| {
            wrong("the quoted Idempotency-Key is not closed, or holds a wrong escape")
        })?,
    };
    if text.is_empty() || text.len() > MAX_KEY_BYTES {
        return Err(wrong("the Idempotency-Key must have 1 to 255 characters"));
    }
    Ok(Some(text))
}

fn unquoted(rest: &str) -> Option<String> {
    let inner = rest.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => out.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_keys() {
        let long = "x".repeat(256);
        for (value, expected) in [
            ("abc", Some("abc")),
            ("\"abc\"", Some("abc")),
            ("\"a\\\"b\\\\\"", Some("a\"b\\")),
            (" k ", Some("k")),
            ("", None),
            ("\"\"", None),
            ("\"abc", None),
            ("\"a\"b\"", None),
            ("\"\\n\"", None),
            ("\"a\\\"", None),
            (&long, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", value.parse().unwrap());
            let key = header_key(&headers);
            assert_eq!(key.as_ref().ok().and_then(|key| key.as_deref()), expected, "{value}");
        }
        let mut twice = HeaderMap::new();
        twice.append("idempotency-key", "a".parse().unwrap());
        twice.append("idempotency-key", "a".parse().unwrap());
        assert!(header_key(&twice).is_err());
        assert_eq!(header_key(&HeaderMap::new()), Ok(None));
    }
}
