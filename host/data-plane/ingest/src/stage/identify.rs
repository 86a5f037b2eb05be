//! What the envelope says: the event's type and with it its route, its key, source, own time and
//! tenant. Where they are is said by the revision, or by CloudEvents.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use tidegate_dedup::{DedupKey, Fingerprint};
use tidegate_event::{Kind, Node, Pointer, canonical};
use tidegate_types::{EventId, EventType, Finding, Problem, ProblemType, TenantId, UnixMillis};
use tokio::sync::OwnedSemaphorePermit;

use super::admit::meter::Metered;
use super::decode::Form;
use crate::event::{Event, Identity, Keyed, State, host_finding};
use crate::force::revision::{Revision, Route};
use crate::force::rollout::{InForce, Side};

/// Bytes that a key may have.
const MAX_KEY_BYTES: usize = 255;

/// Events that know what they are.
#[derive(Debug)]
pub struct Identified {
    pub(super) tenant: TenantId,
    pub(super) in_force: Arc<InForce>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) received_at: UnixMillis,
    pub(super) events: Vec<Event>,
}

impl Identified {
    /// The key of a single event as the header `Idempotency-Key` of its answer has it.
    pub(crate) fn told_key(&self) -> Option<HeaderValue> {
        let event = self.events.first().filter(|_| self.form.is_single())?;
        told(&event.open()?.identity.as_ref()?.key.as_ref()?.text)
    }
}

/// As it is, or, where that could be taken for a quoted one, quoted (RFC 9651, section 3.3.3). A header
/// holds nothing but visible ASCII: others are not told.
fn told(key: &str) -> Option<HeaderValue> {
    if !key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    let quoted = || format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
    let is_plain = !key.starts_with(['"', ' ']) && !key.ends_with(' ');
    if is_plain { key.parse().ok() } else { quoted().parse().ok() }
}

/// Reads every event's envelope. Events whose envelope is wrong are rejected one by one.
///
/// # Errors
/// Where the `Idempotency-Key` header is wrong, stands on a batch, or contradicts the event.
pub fn identify(metered: Metered, headers: &HeaderMap) -> Result<Identified, Problem> {
    let Metered { tenant, write, in_force, place, form, received_at, mut events } = metered;
    let (header, cloud_event) = (header_key(headers)?, form.is_cloud_event());
    if header.is_some() && !form.is_single() {
        let detail =
            "the header Idempotency-Key names one event: in a batch each event carries its own key";
        return Err(Problem::new(ProblemType::InvalidIdempotencyKey, detail));
    }
    for event in &mut events {
        let State::Open(open) = &mut event.state else { continue };
        let envelope = Envelope { tenant: &tenant, cloud_event, header: header.as_deref() };
        match judged_by(&in_force, open.node(), event.event_id, &envelope) {
            Ok(identity) if write.covers(&identity.route.event_type) => {
                open.identity = Some(identity);
            }
            Ok(identity) => {
                in_force.on(identity.side).stats.refused(1);
                event.reject(vec![not_allowed(&identity.route.event_type)]);
            }
            Err((side, Wrong::Event(findings))) => {
                in_force.on(side).stats.refused(1);
                event.reject(findings);
            }
            Err((_, Wrong::Header(problem))) => return Err(problem),
        }
    }
    Ok(Identified { tenant, in_force, place, form, received_at, events })
}

fn not_allowed(event_type: &EventType) -> Finding {
    let detail = format!("the credentials do not allow events of the type `{event_type}`");
    host_finding(Finding::SCOPE, "", detail)
}

/// What an event is, for the revision that judges it.
fn judged_by(
    in_force: &InForce,
    node: Node<'_>,
    id: EventId,
    envelope: &Envelope<'_>,
) -> Result<Identity, (Side, Wrong)> {
    let identity =
        identity(node, &in_force.revision, envelope).map_err(|wrong| (Side::Active, wrong))?;
    let key = identity.key.as_ref().map(|keyed| keyed.key);
    let Some(candidate) = in_force.canary(key, id) else { return Ok(identity) };
    match self::identity(node, candidate, envelope) {
        Ok(identity) => Ok(Identity { side: Side::Candidate, ..identity }),
        Err(wrong) => Err((Side::Candidate, wrong)),
    }
}

/// What is known of an event besides itself.
pub(crate) struct Envelope<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) cloud_event: bool,
    /// The key in the request's header.
    pub(crate) header: Option<&'a str>,
}

pub(crate) enum Wrong {
    Event(Vec<Finding>),
    Header(Problem),
}

impl From<Finding> for Wrong {
    fn from(finding: Finding) -> Self {
        Self::Event(vec![finding])
    }
}

/// Reads an event's envelope as a revision has it.
pub(crate) fn identity(
    node: Node<'_>,
    revision: &Revision,
    envelope: &Envelope<'_>,
) -> Result<Identity, Wrong> {
    let route = Arc::clone(route(node, revision, envelope.cloud_event)?);
    check_tenant(node, &route, envelope.tenant)?;
    let event_time = attribute(node, route.time.as_ref(), envelope.cloud_event, "time")
        .and_then(|value| value.as_str())
        .and_then(UnixMillis::parse_rfc3339);
    let key = keyed(node, &route, envelope)?;
    Ok(Identity { route, key, event_time, side: Side::Active })
}

/// The value at the route's pointer, or else the CloudEvents attribute.
fn attribute<'d>(
    node: Node<'d>,
    pointer: Option<&Pointer>,
    cloud_event: bool,
    name: &str,
) -> Option<Node<'d>> {
    match pointer {
        Some(pointer) => pointer.resolve(node),
        None if cloud_event => node.get(name),
        None => None,
    }
}

fn route<'r>(
    node: Node<'_>,
    revision: &'r Revision,
    cloud_event: bool,
) -> Result<&'r Arc<Route>, Wrong> {
    let (named, at) = if cloud_event {
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
            Finding::OTHER_TENANT,
            pointer.as_str(),
            "the event names another tenant than the credentials",
        )
        .into()),
        None => {
            Err(host_finding("tenant", pointer.as_str(), "the event must name its tenant").into())
        }
    }
}

fn keyed(node: Node<'_>, route: &Route, envelope: &Envelope<'_>) -> Result<Option<Keyed>, Wrong> {
    let Envelope { tenant, cloud_event, header } = *envelope;
    let at = route.key.as_ref().map_or("/id", Pointer::as_str);
    let own_value = attribute(node, route.key.as_ref(), cloud_event, "id")
        .filter(|value| value.kind() != Kind::Null);
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
    let source = attribute(node, route.source.as_ref(), cloud_event, "source")
        .and_then(|value| value.as_str())
        .unwrap_or("");
    Ok(Some(Keyed {
        text: text.into(),
        key: DedupKey::of(tenant, source, text),
        fingerprint: Fingerprint(canonical::fingerprint(node, own_value)),
        from_header: own.is_none(),
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
    let is_visible = |text: &&str| !text.contains('\t');
    let text = value.to_str().ok().filter(is_visible);
    let text =
        text.ok_or_else(|| wrong("the header Idempotency-Key must be visible ASCII"))?.trim();
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
    fn a_key_is_told_as_it_would_be_read() {
        for (key, expected) in [
            ("k-1", Some("k-1")),
            ("a \"b\"", Some("a \"b\"")),
            ("\"b\\", Some("\"\\\"b\\\\\"")),
            (" k", Some("\" k\"")),
            ("k ", Some("\"k \"")),
            ("ключ", None),
            ("a\u{7f}", None),
            ("a\nb", None),
        ] {
            let value = told(key);
            let text = value.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(text, expected, "{key}");
            if let Some(value) = value {
                let headers = HeaderMap::from_iter([(
                    http::HeaderName::from_static("idempotency-key"),
                    value,
                )]);
                assert_eq!(header_key(&headers).unwrap().as_deref(), Some(key));
            }
        }
    }

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
            ("a\tb", None),
            ("\"a\tb\"", None),
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

    /// A6: quoted keys against the test vectors of the HTTP working group (github.com/httpwg/
    /// structured-field-tests, `string.json`), which lie beside the repository where they are; without
    /// them this checks nothing. What a key may not be, though a string may: empty, or too long.
    #[test]
    fn quoted_keys_are_strings_of_structured_fields() {
        let file = "shared/vectors/structured-fields/string.json";
        let above = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let Some(text) =
            above.map(|folder| folder.join(file)).find_map(|path| std::fs::read(path).ok())
        else {
            return;
        };
        let cases: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        let mut checked = 0;
        for case in cases {
            let lines: Vec<&str> =
                case["raw"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
            let [line] = lines.as_slice() else { continue };
            // Without a quote it is a bare key.
            let Ok(value) = http::HeaderValue::from_str(line) else { continue };
            if !line.starts_with('"') {
                continue;
            }
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", value);
            let read = header_key(&headers).ok().flatten();
            let expected = case["expected"][0].as_str().filter(|text| {
                case["must_fail"] != true && (1..=MAX_KEY_BYTES).contains(&text.len())
            });
            assert_eq!(read.as_deref(), expected, "{}", case["name"]);
            checked += 1;
        }
        assert!(checked > 5, "{checked}");
    }
}
