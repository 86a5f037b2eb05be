//! A stored event made ready to leave: its delivered form, its partition key, who made it.

use std::borrow::Cow;

use serde::Deserialize;
use tidegate_event::patch::{self, PatchError};
use tidegate_event::{Document, Kind as NodeKind, Pointer};

use crate::route::{Target, Targets};

/// What a message borrows.
#[derive(Debug)]
pub struct Ready<'a> {
    /// The delivered form.
    pub body: Cow<'a, [u8]>,
    pub source: Cow<'a, str>,
    pub partition_key: Cow<'a, str>,
}

/// Of an event's context, what its messages need.
#[derive(Debug, Default, Deserialize)]
pub struct Trail<'a> {
    #[serde(default)]
    pub cloud_event: bool,
    #[serde(default, borrow)]
    pub traceparent: Option<Cow<'a, str>>,
}

impl<'a> Trail<'a> {
    /// Reads the context of a record; bytes that are none say nothing.
    #[must_use]
    pub fn read(context: &'a [u8]) -> Self {
        if context.is_empty() {
            return Self::default();
        }
        serde_json::from_slice(context).unwrap_or_default()
    }
}

impl<'a> Ready<'a> {
    /// Makes an event ready for a target; with none, for the quarantine.
    ///
    /// # Errors
    /// Where the patches do not fit the original, which the host never stores.
    pub fn make(
        (tenant, targets): (&'a str, &Targets),
        target: Option<&Target>,
        original: &'a [u8],
        patches: &[u8],
    ) -> Result<Self, PatchError> {
        let body = match patches {
            [] => Cow::Borrowed(original),
            _ => Cow::Owned(patch::apply(original, patches)?),
        };
        let key = target.and_then(|target| target.key.as_ref());
        let default_source = || Cow::Owned(format!("/tenants/{tenant}"));
        if key.is_none() && targets.source.is_none() {
            let source = default_source();
            return Ok(Self { body, source, partition_key: Cow::Borrowed(tenant) });
        }
        // An event was parsed before, so it is JSON; what is not has no fields to find.
        let document = Document::parse(body.to_vec()).ok();
        let find = |pointer: Option<&Pointer>| text(document.as_ref()?, pointer?);
        let source = find(targets.source.as_ref()).map_or_else(default_source, Cow::Owned);
        let partition_key = find(key).map_or(Cow::Borrowed(tenant), Cow::Owned);
        Ok(Self { body, source, partition_key })
    }
}

/// A string, number or boolean as text that is not empty.
fn text(document: &Document, pointer: &Pointer) -> Option<String> {
    let node = pointer.resolve(document.root())?;
    let text = match node.kind() {
        NodeKind::String => node.as_str()?,
        NodeKind::Number | NodeKind::True | NodeKind::False => node.lexeme(),
        NodeKind::Null | NodeKind::Object | NodeKind::Array => return None,
    };
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_event::patch::{Op, Patch};
    use tidegate_types::SinkName;

    #[test]
    fn keys_and_sources_are_found_in_the_delivered_form() {
        let targets = Targets { source: "/from".parse().ok(), ..Targets::default() };
        let sink = SinkName::new("audit").unwrap();
        let target = Target { sink, key: "/user/id".parse().ok(), required: true };
        let mut patches = Vec::new();
        patch::encode(
            &mut patches,
            Patch { op: Op::Set, pointer: "/user/id", value: b"\"mended\"" },
        )
        .unwrap();
        for (original, patches, expected) in [
            (r#"{"user":{"id":"u1"},"from":"app"}"#, &[][..], ("u1", "app")),
            (r#"{"user":{"id":17},"from":""}"#, &[], ("17", "/tenants/acme")),
            (r#"{"user":{"id":null}}"#, &[], ("acme", "/tenants/acme")),
            (r#"{"user":{"id":""},"from":["x"]}"#, &[], ("acme", "/tenants/acme")),
            (r#"{"user":{"id":"u1"}}"#, &patches, ("mended", "/tenants/acme")),
        ] {
            let ready =
                Ready::make(("acme", &targets), Some(&target), original.as_bytes(), patches);
            let ready = ready.unwrap();
            assert_eq!((&*ready.partition_key, &*ready.source), expected, "{original}");
        }
        let ready = Ready::make(("acme", &targets), None, br#"{"user":{"id":"u1"}}"#, &[]).unwrap();
        assert_eq!(ready.partition_key, "acme");
    }

    #[test]
    fn contexts_are_read_for_what_messages_need() {
        let trail = Trail::read(br#"{"cloud_event":true,"traceparent":"00-a","key":"k"}"#);
        assert_eq!((trail.cloud_event, trail.traceparent.as_deref()), (true, Some("00-a")));
        for nothing in [&b""[..], b"{}", b"no json"] {
            assert!(!Trail::read(nothing).cloud_event);
        }
    }
}
