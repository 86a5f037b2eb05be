//! Where the events of a type go: a route of a revision, made ready to be used.

use std::sync::Arc;

use tidegate_event::Pointer;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::delivery::Ack;
use tidegate_types::revision::{RevisionDocument, Route};
use tidegate_types::{Digest, SinkName};

/// Where the events of a type go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub ack: Ack,
    pub sinks: Vec<Target>,
    /// For events that a rule holds.
    pub quarantine: Option<SinkName>,
    /// Where an event names who made it.
    pub source: Option<Pointer>,
}

/// A sink that events go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub sink: SinkName,
    /// Where the partition key is.
    pub key: Option<Pointer>,
    pub required: bool,
}

/// The routes of events in the log, by the revisions that judged them.
pub trait Routing: Send + Sync {
    /// Where the events of a type go that a revision has judged.
    ///
    /// # Errors
    /// Says why the revision cannot be read right now; the forwarder asks again.
    fn targets(
        &self,
        tenant: &str,
        event_type: &str,
        revision: &Digest,
    ) -> Result<Arc<Targets>, String>;
}

impl Targets {
    /// Reads a route. `has_rules` says whether its revision has any; `known` whether there is a sink
    /// of this name that the tenant may use.
    ///
    /// # Errors
    /// All that is wrong, by pointers below the route.
    pub fn read<S>(
        route: &Route<S>,
        has_rules: bool,
        known: impl Fn(&SinkName) -> Result<(), String>,
    ) -> Result<Self, Vec<ProblemPart>> {
        let mut problems = Vec::new();
        let mut add =
            |pointer: String, detail: String| problems.push(ProblemPart { pointer, detail });
        let mut sinks = Vec::with_capacity(route.sinks.len());
        for (at, target) in route.sinks.iter().enumerate() {
            if let Err(why) = known(&target.sink) {
                add(format!("/sinks/{at}/sink"), why);
            }
            if route.sinks.iter().take(at).any(|other| other.sink == target.sink) {
                add(format!("/sinks/{at}/sink"), format!("`{}` is there twice", target.sink));
            }
            let key = target.key.as_deref().map(str::parse::<Pointer>).transpose();
            let key = key.unwrap_or_else(|error| {
                add(format!("/sinks/{at}/key"), error.to_string());
                None
            });
            sinks.push(Target { sink: target.sink.clone(), key, required: target.required });
        }
        if let Some(Err(why)) = route.quarantine.as_ref().map(&known) {
            add("/quarantine".to_owned(), why);
        }
        if route.ack == Ack::Delivered {
            if !route.sinks.iter().any(|target| target.required) {
                let why = "with the ack level `delivered` at least one sink must be required";
                add("/sinks".to_owned(), why.to_owned());
            }
            if has_rules && route.quarantine.is_none() {
                let why = "with the ack level `delivered` the node keeps nothing: name the sink for \
                           events that a rule holds";
                add("/quarantine".to_owned(), why.to_owned());
            }
        }
        // What is wrong with it is told where routes are made.
        let source = route.source.as_deref().and_then(|text| text.parse().ok());
        let quarantine = route.quarantine.clone();
        let targets = Self { ack: route.ack, sinks, quarantine, source };
        if problems.is_empty() { Ok(targets) } else { Err(problems) }
    }

    /// Those of a type in a stored revision, whose names are not looked at again; none where the
    /// revision does not have the type.
    #[must_use]
    pub fn stored(document: &RevisionDocument, event_type: &str) -> Self {
        let route = document.event_types.get(event_type);
        let read = route.and_then(|route| Self::read(route, false, |_| Ok(())).ok());
        read.unwrap_or_default()
    }

    /// The target that is this sink.
    #[must_use]
    pub fn target(&self, sink: &SinkName) -> Option<&Target> {
        self.sinks.iter().find(|target| target.sink == *sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(route: &str, has_rules: bool) -> Vec<String> {
        let route: Route = serde_json::from_str(route).expect("a route");
        let known = |name: &SinkName| match name.as_str() {
            "audit" | "held" => Ok(()),
            other => Err(format!("no `{other}`")),
        };
        let read = Targets::read(&route, has_rules, known);
        let problems = read.err().unwrap_or_default();
        problems.into_iter().map(|part| format!("{}: {}", part.pointer, part.detail)).collect()
    }

    #[test]
    fn routes_and_what_is_wrong_with_them() {
        for (route, has_rules, expected) in [
            ("{}", true, &[][..]),
            (r#"{"sinks":[{"sink":"audit"}]}"#, true, &[]),
            (
                r#"{"sinks":[{"sink":"audit"},{"sink":"audit"}]}"#,
                true,
                &["/sinks/1/sink: `audit` is there twice"],
            ),
            (r#"{"sinks":[{"sink":"x"}]}"#, true, &["/sinks/0/sink: no `x`"]),
            (r#"{"quarantine":"x"}"#, true, &["/quarantine: no `x`"]),
            (
                r#"{"sinks":[{"sink":"audit","key":"a"}]}"#,
                true,
                &["/sinks/0/key: `a` is no JSON pointer: it must be empty or begin with `/`"],
            ),
            (r#"{"ack":"delivered","sinks":[{"sink":"audit"}]}"#, false, &[]),
            (r#"{"ack":"delivered","sinks":[{"sink":"audit"}],"quarantine":"held"}"#, true, &[]),
            (
                r#"{"ack":"delivered","sinks":[{"sink":"audit","required":false}]}"#,
                true,
                &[
                    "/sinks: with the ack level `delivered` at least one sink must be required",
                    "/quarantine: with the ack level `delivered` the node keeps nothing: name the sink for events that a rule holds",
                ],
            ),
        ] {
            assert_eq!(problems(route, has_rules), expected, "{route}");
        }
    }
}
