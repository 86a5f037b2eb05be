//! What a verdict depends on besides the event, its id and the revision: it is stored with the
//! event, so that the verdict can be had again.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_plugin_host::{Judgement, Occurrences, Replaced, StandIn};
use tidegate_types::{Digest, RuleName};

use super::Identity;
use crate::force::revision::Revision;
use crate::stage::decode::Form;

/// The context of one event. As stored, it is a JSON object with the members that say something;
/// empty bytes where none does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// `cloud_event`: it came as a CloudEvent, whose attributes are its envelope.
    pub cloud_event: bool,
    /// `key`: the key, where it came in a header and a rule could read it.
    pub key: Option<Box<str>>,
    /// `node`: the name of the gateway that judged, where a rule could read it.
    pub node: Option<Arc<str>>,
    /// `replaced`: rules that did not judge, each with the component and the configuration that stood
    /// in, or with the reason why nothing did (`on_fault`).
    pub replaced: Vec<Replaced>,
    /// `earlier`: the revision whose rules stood in, where some did.
    pub earlier: Option<Digest>,
    /// `traceparent`: W3C trace context that it came with.
    pub traceparent: Option<Box<str>>,
    /// Members named by host columns such as `@occurrence`: the numbers that rules could read.
    pub occurrences: Occurrences,
}

/// Bytes that are no context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the context of an event: {0}")]
pub struct InvalidContext(String);

impl Context {
    pub(crate) fn of(
        revision: &Revision,
        identity: &Identity,
        judgement: &Judgement,
        form: Form,
        node: &Arc<str>,
    ) -> Self {
        let header_key = identity.key.as_ref().filter(|keyed| keyed.from_header);
        Self {
            cloud_event: form.is_cloud_event(),
            key: header_key.filter(|_| revision.plan.reads_key()).map(|keyed| keyed.text.clone()),
            node: revision.plan.reads_node().then(|| Arc::clone(node)),
            occurrences: judgement.occurrences.clone(),
            ..Self::default()
        }
        .judged_by(revision, &judgement.replaced)
    }

    /// The same event's where a revision has judged it now, with these rules replaced.
    #[must_use]
    pub fn judged_by(self, revision: &Revision, replaced: &[Replaced]) -> Self {
        let earlier = revision.earlier.filter(|_| replaced.iter().any(is_fallback));
        Self { replaced: replaced.to_vec(), earlier, ..self }
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Map::new();
        if self.cloud_event {
            all.insert("cloud_event".to_owned(), true.into());
        }
        if let Some(key) = &self.key {
            all.insert("key".to_owned(), (**key).into());
        }
        if let Some(node) = &self.node {
            all.insert("node".to_owned(), (**node).into());
        }
        if !self.replaced.is_empty() {
            let replaced: Vec<Value> = self.replaced.iter().map(written).collect();
            all.insert("replaced".to_owned(), replaced.into());
        }
        if let Some(earlier) = &self.earlier {
            all.insert("earlier".to_owned(), earlier.to_string().into());
        }
        if let Some(trace) = &self.traceparent {
            all.insert("traceparent".to_owned(), (**trace).into());
        }
        for (column, number) in &self.occurrences {
            all.insert(column.to_string(), (*number).into());
        }
        if all.is_empty() { Vec::new() } else { Value::Object(all).to_string().into_bytes() }
    }

    /// Reads what was stored. Members that are not known are passed over.
    ///
    /// # Errors
    /// Where the bytes are no JSON object, or a member has another form.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidContext> {
        let mut out = Self::default();
        if bytes.is_empty() {
            return Ok(out);
        }
        let all: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| InvalidContext(error.to_string()))?;
        for (name, value) in all {
            let wrong = || InvalidContext(format!("`{name}` has another form"));
            match name.as_str() {
                "cloud_event" => out.cloud_event = value.as_bool().ok_or_else(wrong)?,
                "key" => out.key = Some(value.as_str().ok_or_else(wrong)?.into()),
                "node" => out.node = Some(value.as_str().ok_or_else(wrong)?.into()),
                "replaced" => {
                    let all = value.as_array().ok_or_else(wrong)?.iter().map(read);
                    out.replaced = all.collect::<Option<_>>().ok_or_else(wrong)?;
                }
                "traceparent" => out.traceparent = Some(value.as_str().ok_or_else(wrong)?.into()),
                "earlier" => out.earlier = Some(digest(&value).ok_or_else(wrong)?),
                column if column.starts_with('@') => {
                    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                    out.occurrences.push((column.into(), number.ok_or_else(wrong)?));
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

fn is_fallback(replaced: &Replaced) -> bool {
    matches!(replaced.by, StandIn::Fallback { .. })
}

fn written(replaced: &Replaced) -> Value {
    let rule = &replaced.rule;
    match &replaced.by {
        StandIn::Fallback { component, config } => {
            json!({ "rule": rule, "component": component, "config": config })
        }
        StandIn::OnFault { why } => json!({ "rule": rule, "on_fault": **why }),
    }
}

fn read(value: &Value) -> Option<Replaced> {
    let rule = RuleName::new(value.get("rule")?.as_str()?).ok()?;
    let by = match value.get("on_fault") {
        Some(why) => StandIn::OnFault { why: why.as_str()?.into() },
        None => {
            let (component, config) = (value.get("component")?, value.get("config")?);
            StandIn::Fallback { component: digest(component)?, config: digest(config)? }
        }
    };
    Some(Replaced { rule, by })
}

fn digest(value: &Value) -> Option<Digest> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        let full = Context {
            cloud_event: true,
            key: Some("k".into()),
            node: Some("n\"1".into()),
            replaced: vec![
                Replaced {
                    rule: RuleName::new("late").expect("a name"),
                    by: StandIn::Fallback { component: Digest::of(b"a"), config: Digest::of(b"b") },
                },
                Replaced {
                    rule: RuleName::new("odd").expect("a name"),
                    by: StandIn::OnFault { why: "\"open\"".into() },
                },
            ],
            earlier: Some(Digest::of(b"c")),
            traceparent: Some("00-a-b-01".into()),
            occurrences: vec![("@occurrence".into(), 2), ("@occurrence/a".into(), 7)],
        };
        for context in [Context::default(), full] {
            assert_eq!(Context::parse(&context.to_bytes()), Ok(context));
        }
        assert_eq!(Context::default().to_bytes(), b"");
        for wrong in [
            "[]",
            "{",
            r#"{"key":1}"#,
            r#"{"@occurrence":-1}"#,
            r#"{"cloud_event":1}"#,
            r#"{"earlier":"x"}"#,
            r#"{"replaced":{}}"#,
            r#"{"replaced":[{"rule":"late"}]}"#,
        ] {
            assert!(Context::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(Context::parse(br#"{"later":1}"#), Ok(Context::default()));
    }
}
