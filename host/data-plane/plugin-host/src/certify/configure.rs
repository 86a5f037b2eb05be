//! The fourth step: what the component declares for each configuration of its golden cases, and
//! for an empty one where it takes that.

use serde_json::json;

use super::golden::NamedCase;
use super::report::{Place, Step, Trouble};
use super::trial::{Configured, Refusal, configure};
use crate::compile::Component;
use crate::host::PluginHost;
use crate::limits::Limits;

const EMPTY: &str = "{}";
/// Manifests that are written into the report.
const MAX_MANIFESTS: usize = 8;

/// The configurations that a component took.
pub(super) struct Rules(pub(super) Vec<Configured>);

impl Rules {
    pub(super) fn find(&self, config: &str) -> Option<&Configured> {
        self.0.iter().find(|rule| rule.config == config)
    }
}

/// Configures the component for all of them.
///
/// # Errors
/// Where the host has no room.
pub(super) async fn all(
    host: &PluginHost,
    component: &Component,
    cases: &[NamedCase<'_>],
    limits: &Limits,
) -> Result<(Step, Option<Rules>), Trouble> {
    let mut step = Step::default();
    step.under(limits, &host.limits.load());
    let mut rules = Rules(Vec::new());
    let takes_empty = match one(host, component, EMPTY, limits, &mut step).await? {
        Ok(configured) => {
            rules.0.push(configured);
            true
        }
        // It may want settings; the golden cases have them.
        Err(Refusal::Config(_)) => false,
        Err(refusal) => {
            tell(&mut step, refusal, &Place::default());
            false
        }
    };
    for NamedCase { file, case } in cases {
        let config = case.config.get();
        if case.expect.is_none() || rules.find(config).is_some() || step.full() {
            continue;
        }
        match one(host, component, config, limits, &mut step).await? {
            Ok(configured) => rules.0.push(configured),
            Err(refusal) => {
                let line = Some(case.line_of(case.config));
                tell(
                    &mut step,
                    refusal,
                    &Place { case: Some(file.clone()), line, ..Place::default() },
                );
            }
        }
    }
    describe(&mut step, &rules, takes_empty);
    Ok(step.with(rules))
}

async fn one(
    host: &PluginHost,
    component: &Component,
    config: &str,
    limits: &Limits,
    step: &mut Step,
) -> Result<Result<Configured, Refusal>, Trouble> {
    match host.source(component, config.to_owned()) {
        Ok(source) => configure(source, limits).await,
        Err(why) => {
            step.problem(why.clone(), Place::default(), "build it again for this contract");
            Ok(Err(Refusal::Fault(why)))
        }
    }
}

fn tell(step: &mut Step, refusal: Refusal, place: &Place) {
    let (problems, mend) = match refusal {
        Refusal::Config(problems) => {
            (problems, "mend the case's configuration, or let the rule take it")
        }
        Refusal::Manifest(problems) => {
            (problems, "mend what the rule declares when it is configured")
        }
        Refusal::Fault(why) => {
            let detail = format!("the component could not be configured: {why}");
            let mend = "let `configure` end, within its time and memory, for every configuration: \
                        what it cannot take is answered as problems";
            return step.problem(detail, place.clone(), mend);
        }
    };
    for problem in problems {
        let place = Place { pointer: Some(problem.pointer), ..place.clone() };
        step.problem(problem.detail, place, mend);
    }
}

fn describe(step: &mut Step, rules: &Rules, takes_empty: bool) {
    step.fact("takes_empty_configuration", takes_empty);
    step.fact("configurations", rules.0.len());
    let manifests = rules.0.iter().map(|rule| &rule.manifest);
    let most = |count: fn(&crate::Manifest) -> usize| {
        manifests.clone().map(|manifest| count(manifest)).max().unwrap_or(0)
    };
    step.fact("reads", most(|manifest| manifest.reads.len()));
    step.fact("writes", most(|manifest| manifest.writes.len()));
    step.fact("tables", most(|manifest| manifest.tables.len()));
    step.fact("codes", most(|manifest| manifest.codes.len()));
    step.fact("patterns", most(|manifest| manifest.given.patterns.len()));
    step.fact("schemas", most(|manifest| manifest.schemas.len()));
    if let Some(rule) = rules.0.first() {
        step.fact("role", rule.manifest.role.as_str());
    } else if !step.failed() {
        step.skipped(
            "the component takes no empty configuration, and has no golden case with another: \
             add cases with `tidegate plugin pack COMPONENT --cases FOLDER`",
        );
    }
    let shown = rules.0.iter().take(MAX_MANIFESTS).map(|rule| {
        let config: serde_json::Value = serde_json::from_str(&rule.config).unwrap_or_default();
        json!({ "configuration": config, "manifest": rule.manifest.to_json() })
    });
    step.fact("manifests", shown.collect::<Vec<_>>());
}
