//! A revision in force: its document made into things that run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_event::{Pointer, Schema, SchemaLimits};
use tidegate_plugin_host::host::AdmitError;
use tidegate_plugin_host::{
    Batch, EvaluateError, Judgement, Plan, PlanRule, PluginHost, Table, Tables,
};
use tidegate_sinks::Targets;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::{self, RevisionDocument};
use tidegate_types::{Digest, EventType, SinkName, TenantId};

use super::stats::Stats;

/// Everything that decides a tenant's events.
pub struct Revision {
    pub digest: Digest,
    pub(crate) type_pointer: Option<Pointer>,
    pub(crate) default_type: Option<EventType>,
    pub(crate) routes: HashMap<EventType, Arc<Route>, ahash::RandomState>,
    pub(crate) plan: Plan,
    /// The revision whose rules its rules fall back to.
    pub earlier: Option<Digest>,
    /// What it has done on this node.
    pub stats: Stats,
}

impl std::fmt::Debug for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Revision").field(&self.digest).finish()
    }
}

/// What is done with the events of one type.
#[derive(Debug)]
pub struct Route {
    pub(crate) event_type: EventType,
    pub(crate) schema: Option<Schema>,
    pub(crate) key: Option<Pointer>,
    pub(crate) time: Option<Pointer>,
    pub(crate) source: Option<Pointer>,
    pub(crate) tenant: Option<Pointer>,
    /// Where its events go.
    pub(crate) targets: Arc<Targets>,
}

/// Where the parts of a revision come from, by digest.
pub trait Artifacts: Send + Sync {
    /// The bytes of a component.
    ///
    /// # Errors
    /// Says why it cannot be had.
    fn component(&self, digest: &Digest) -> Result<Bytes, String>;
    /// The text of a schema.
    ///
    /// # Errors
    /// Says why it cannot be had.
    fn schema(&self, digest: &Digest) -> Result<Vec<u8>, String>;
    /// A generation of a reference table.
    ///
    /// # Errors
    /// Says why it cannot be had.
    fn table(&self, version: &revision::TableVersion) -> Result<Arc<Table>, String>;
    /// May the tenant's events go to this sink of the node?
    ///
    /// # Errors
    /// Says why not.
    fn sink(&self, tenant: &TenantId, sink: &SinkName) -> Result<(), String>;
}

impl Revision {
    /// Makes the parts of a document run: compiles schemas and components, configures rules. Rules
    /// that fault too often fall back to those of an earlier revision.
    ///
    /// # Errors
    /// Every problem found, by pointers into the document.
    pub async fn build(
        tenant: &TenantId,
        document: &RevisionDocument,
        earlier: Option<&RevisionDocument>,
        host: &PluginHost,
        artifacts: &dyn Artifacts,
        schemas: &SchemaLimits,
    ) -> Result<Self, Vec<ProblemPart>> {
        let mut problems = Problems::default();
        let type_pointer = problems.pointer("/type_pointer", document.type_pointer.as_deref());
        if let Some(name) = &document.default_type
            && !document.event_types.contains_key(name)
        {
            problems.add("/default_type", format!("`{name}` is not among the event types"));
        }
        let mut routes: HashMap<_, _, ahash::RandomState> = HashMap::default();
        for (name, route) in &document.event_types {
            let at = step("/event_types", name.as_str());
            routes.insert(
                name.clone(),
                Arc::new(problems.route(
                    &at,
                    (name, route),
                    (tenant, document),
                    artifacts,
                    schemas,
                )),
            );
        }
        let mut tables = Tables::new();
        for (name, version) in &document.tables {
            match artifacts.table(version) {
                Ok(table) => drop(tables.insert(name.clone(), table)),
                Err(why) => problems.add(&step("/tables", name.as_str()), why),
            }
        }
        let mut rules = Vec::new();
        for (place, rule) in document.rules.iter().enumerate() {
            let at = format!("/rules/{place}");
            problems.rule_names(&at, place, rule, document);
            match admit(tenant, rule, host, artifacts, &tables).await {
                Ok(mut admitted) => {
                    if let Some(earlier) = fallback(earlier, rule, document) {
                        let earlier = admit(tenant, &earlier, host, artifacts, &tables).await;
                        set_fallback(&mut admitted, earlier);
                    }
                    rules.push(admitted);
                }
                Err(found) => problems.under(&at, found),
            }
        }
        let plan = match Plan::new(rules) {
            Ok(plan) => Some(plan),
            Err(error) => {
                problems.under("", error.0);
                None
            }
        };
        match plan {
            Some(plan) if problems.0.is_empty() => {
                let (digest, default_type) = (document.digest(), document.default_type.clone());
                Ok(Self {
                    digest,
                    type_pointer,
                    default_type,
                    routes,
                    plan,
                    earlier: earlier.map(RevisionDocument::digest),
                    stats: Stats::default(),
                })
            }
            Some(_) | None => Err(problems.0),
        }
    }

    /// The rules, in the order in which they run.
    #[must_use]
    pub fn rules(&self) -> &[PlanRule] {
        self.plan.rules()
    }

    /// Runs the rules over the events of a request; where it is a single one, together with others.
    pub(crate) async fn run(&self, batch: Batch) -> Result<Vec<Judgement>, EvaluateError> {
        let begun = Instant::now();
        let judgements = match batch.rows.as_slice() {
            [row] => {
                let row = row.clone();
                vec![self.plan.evaluate_one(&batch.tenant, &batch.node, row).await?]
            }
            _ => self.plan.evaluate(batch).await?,
        };
        self.stats.judged(&judgements, begun.elapsed());
        Ok(judgements)
    }

    /// Runs the rules over some of the events of a request.
    pub(crate) async fn run_part(
        &self,
        whole: &Batch,
        rows: &[usize],
    ) -> Result<Vec<Judgement>, EvaluateError> {
        let begun = Instant::now();
        let judgements = self.plan.evaluate_part(whole, rows).await?;
        self.stats.judged(&judgements, begun.elapsed());
        Ok(judgements)
    }
}

/// The rule of the same name in an earlier revision, where it is another one and its tables are
/// there: it judges while this one faults too often.
fn fallback(
    earlier: Option<&RevisionDocument>,
    rule: &revision::Rule,
    document: &RevisionDocument,
) -> Option<revision::Rule> {
    let earlier = earlier?;
    let same_tables = earlier.tables.keys().all(|name| document.tables.contains_key(name));
    let found = earlier.rules.iter().find(|other| other.name == rule.name)?;
    let differs = (found.component, &found.config) != (rule.component, &rule.config);
    (differs && same_tables).then(|| found.clone())
}

/// A rule that cannot fall back is used without.
fn set_fallback(rule: &mut PlanRule, earlier: Result<PlanRule, Vec<ProblemPart>>) {
    match earlier.map(|earlier| rule.set_fallback(earlier)) {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::debug!(rule = rule.name().as_str(), %why, "no fall-back"),
        Err(_) => {
            let why = "the earlier version cannot be admitted";
            tracing::debug!(rule = rule.name().as_str(), why, "no fall-back");
        }
    }
}

async fn admit(
    tenant: &TenantId,
    rule: &revision::Rule,
    host: &PluginHost,
    artifacts: &dyn Artifacts,
    tables: &Tables,
) -> Result<PlanRule, Vec<ProblemPart>> {
    let at = |pointer: &str, detail: String| vec![ProblemPart { pointer: pointer.into(), detail }];
    let bytes = artifacts.component(&rule.component).map_err(|why| at("/component", why))?;
    let compiled = host
        .compile_as(rule.component, bytes)
        .await
        .map_err(|error| at("/component", error.to_string()))?;
    let (name, types) = (rule.name.clone(), rule.event_types.clone());
    host.admit(tenant, name, &compiled.component, &rule.config, rule.on_fault, types, tables)
        .await
        .map_err(|error| {
            match error {
                AdmitError::Exhausted => at("/component", error.to_string()),
                // What the component says is about its configuration, what the host says names its place.
                AdmitError::Problems(problems) => problems
                    .into_iter()
                    .map(|ProblemPart { pointer, detail }| {
                        let own = pointer.starts_with("/manifest") || pointer == "/tables";
                        ProblemPart {
                            pointer: if own { pointer } else { format!("/config{pointer}") },
                            detail,
                        }
                    })
                    .collect(),
            }
        })
}

fn step(pointer: &str, name: &str) -> String {
    let mut out = pointer.to_owned();
    tidegate_event::pointer::push_step(&mut out, name);
    out
}

#[derive(Default)]
struct Problems(Vec<ProblemPart>);

impl Problems {
    fn add(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(ProblemPart { pointer: pointer.into(), detail: detail.into() });
    }

    fn under(&mut self, prefix: &str, problems: Vec<ProblemPart>) {
        self.0.extend(problems.into_iter().map(|ProblemPart { pointer, detail }| ProblemPart {
            pointer: format!("{prefix}{pointer}"),
            detail,
        }));
    }

    fn pointer(&mut self, at: &str, text: Option<&str>) -> Option<Pointer> {
        let parsed = text?.parse::<Pointer>();
        parsed.map_err(|error| self.add(at, error.to_string())).ok()
    }

    fn route(
        &mut self,
        at: &str,
        (name, route): (&EventType, &revision::Route),
        (tenant, document): (&TenantId, &RevisionDocument),
        artifacts: &dyn Artifacts,
        limits: &SchemaLimits,
    ) -> Route {
        let schema = route.schema.and_then(|digest| {
            let compiled = artifacts.schema(&digest).and_then(|text| {
                Schema::compile(&text, limits)
                    .map_err(|error| format!("{}: {error}", error.pointer))
            });
            compiled.map_err(|why| self.add(&format!("{at}/schema"), why)).ok()
        });
        let known = |sink: &SinkName| artifacts.sink(tenant, sink);
        let targets = Targets::read(route, !document.rules.is_empty(), known);
        let targets = targets.unwrap_or_else(|found| {
            self.under(at, found);
            Targets::default()
        });
        Route {
            targets: Arc::new(targets),
            event_type: name.clone(),
            schema,
            key: self.pointer(&format!("{at}/key"), route.key.as_deref()),
            time: self.pointer(&format!("{at}/time"), route.time.as_deref()),
            source: self.pointer(&format!("{at}/source"), route.source.as_deref()),
            tenant: self.pointer(&format!("{at}/tenant"), route.tenant.as_deref()),
        }
    }

    fn rule_names(
        &mut self,
        at: &str,
        place: usize,
        rule: &revision::Rule,
        document: &RevisionDocument,
    ) {
        if document.rules.iter().take(place).any(|other| other.name == rule.name) {
            self.add(&format!("{at}/name"), format!("there is another rule `{}`", rule.name));
        }
        for (place, name) in rule.event_types.iter().flatten().enumerate() {
            if !document.event_types.contains_key(name) {
                self.add(
                    &format!("{at}/event_types/{place}"),
                    format!("`{name}` is not among the event types"),
                );
            }
        }
        if matches!(rule.name.as_str(), "host" | "schema") {
            self.add(&format!("{at}/name"), "this name is the host's own");
        }
    }
}
