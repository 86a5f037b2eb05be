//! What a verdict depends on besides the event, its id and the revision: it is stored with the
//! event, so that the verdict can be had again.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidegate_plugin_host::{Judgement, Occurrences};

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
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        let full = Context {
            cloud_event: true,
            key: Some("k".into()),
            node: Some("n\"1".into()),
            occurrences: vec![("@occurrence".into(), 2), ("@occurrence/a".into(), 7)],
        };
        for context in [Context::default(), full] {
            assert_eq!(Context::parse(&context.to_bytes()), Ok(context));
        }
        assert_eq!(Context::default().to_bytes(), b"");
        for wrong in ["[]", "{", r#"{"key":1}"#, r#"{"@occurrence":-1}"#, r#"{"cloud_event":1}"#] {
            assert!(Context::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(Context::parse(br#"{"later":1}"#), Ok(Context::default()));
    }
}
