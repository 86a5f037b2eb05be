//! From a revision as a person writes it to one that holds digests alone. Every reference that
//! leads nowhere and every rule that is broken is told, not the first alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use tidegate_catalog::{
    Admission, ArtifactName, Catalog, CatalogError, Component, JobState, Selector,
};
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::{RevisionDocument, Route, Rule, TableVersion};
use tidegate_types::{Digest, EventType, Problem, TableName, TenantId};

use crate::{answer, request};

const MAX_EVENT_TYPES: usize = 1000;
const MAX_RULES: usize = 64;
const MAX_TABLES: usize = 100;

/// A document whose references are names.
pub(crate) type WrittenDocument = RevisionDocument<String, String, TableReference>;

/// Which generation of a table: `"latest"`, a number, a digest, or both as they are stored; or
/// `{"follow": true}`, the latest and every later one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum TableReference {
    Number(u64),
    Text(String),
    Stored(TableVersion),
    Followed(Followed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Followed {
    follow: bool,
}

/// Checks what can be checked without running rules, and resolves every reference.
pub(crate) fn resolve(
    catalog: &Catalog,
    tenant: &TenantId,
    written: &WrittenDocument,
) -> Result<RevisionDocument, Problem> {
    catalog.tenant(tenant).map_err(answer::from_catalog)?;
    let mut resolver = Resolver { catalog, tenant, parts: Vec::new() };
    resolver.check_shape(written);
    let document = RevisionDocument {
        type_pointer: written.type_pointer.clone(),
        default_type: written.default_type.clone(),
        event_types: resolver.event_types(&written.event_types)?,
        rules: resolver.rules(written)?,
        tables: resolver.tables(&written.tables)?,
    };
    if resolver.parts.is_empty() {
        return Ok(document);
    }
    Err(answer::invalid("the revision cannot be used", resolver.parts))
}

struct Resolver<'a> {
    catalog: &'a Catalog,
    tenant: &'a TenantId,
    parts: Vec<ProblemPart>,
}

impl Resolver<'_> {
    fn wrong(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.parts.push(ProblemPart { pointer: pointer.into(), detail: detail.into() });
    }

    fn check_shape(&mut self, written: &WrittenDocument) {
        let count = written.event_types.len();
        if !(1..=MAX_EVENT_TYPES).contains(&count) {
            self.wrong(
                "/event_types",
                format!("must have 1 to {MAX_EVENT_TYPES} event types, not {count}"),
            );
        }
        if written.rules.len() > MAX_RULES {
            self.wrong("/rules", format!("may have at most {MAX_RULES} rules"));
        }
        if written.tables.len() > MAX_TABLES {
            self.wrong("/tables", format!("may have at most {MAX_TABLES} tables"));
        }
        self.check_pointer("/type_pointer", written.type_pointer.as_deref());
        match &written.default_type {
            Some(default) if !written.event_types.contains_key(default) => {
                self.wrong("/default_type", "is not in event_types");
            }
            _ => {}
        }
    }

    fn check_pointer(&mut self, place: &str, pointer: Option<&str>) {
        let Some(pointer) = pointer else { return };
        if !request::is_pointer(pointer) {
            let detail =
                "must be a JSON pointer (RFC 6901) of at most 1024 bytes, such as /actor/id";
            self.wrong(place, detail);
        }
    }

    fn event_types(
        &mut self,
        written: &BTreeMap<EventType, Route<String>>,
    ) -> Result<BTreeMap<EventType, Route>, Problem> {
        let mut resolved = BTreeMap::new();
        for (name, route) in written {
            let place = format!("/event_types/{}", escape(name.as_str()));
            self.check_pointer(&format!("{place}/key"), route.key.as_deref());
            self.check_pointer(&format!("{place}/time"), route.time.as_deref());
            self.check_pointer(&format!("{place}/source"), route.source.as_deref());
            self.check_pointer(&format!("{place}/tenant"), route.tenant.as_deref());
            let schema = match &route.schema {
                Some(reference) => self.schema(&format!("{place}/schema"), reference)?,
                None => None,
            };
            let route = Route {
                schema,
                key: route.key.clone(),
                time: route.time.clone(),
                source: route.source.clone(),
                tenant: route.tenant.clone(),
                ack: route.ack,
                sinks: route.sinks.clone(),
                quarantine: route.quarantine.clone(),
            };
            resolved.insert(name.clone(), route);
        }
        Ok(resolved)
    }

    fn rules(&mut self, written: &WrittenDocument) -> Result<Vec<Rule>, Problem> {
        let mut resolved = Vec::new();
        let mut names = BTreeSet::new();
        for (index, rule) in written.rules.iter().take(MAX_RULES).enumerate() {
            let place = format!("/rules/{index}");
            if !names.insert(&rule.name) {
                let detail = format!("`{}` is another rule's name already", rule.name);
                self.wrong(format!("{place}/name"), detail);
            }
            self.check_rule(&place, rule, &written.event_types);
            let component = self.component(&format!("{place}/component"), &rule.component)?;
            resolved.extend(component.map(|component| Rule {
                name: rule.name.clone(),
                component,
                config: rule.config.clone(),
                on_fault: rule.on_fault,
                event_types: rule.event_types.clone(),
            }));
        }
        Ok(resolved)
    }

    fn check_rule(
        &mut self,
        place: &str,
        rule: &Rule<String>,
        event_types: &BTreeMap<EventType, Route<String>>,
    ) {
        if matches!(rule.name.as_str(), "host" | "schema") {
            let detail = format!("`{}` is the name of the gateway's own findings", rule.name);
            self.wrong(format!("{place}/name"), detail);
        }
        if !rule.config.is_object() {
            self.wrong(format!("{place}/config"), "is not an object");
        }
        let seen = rule.event_types.iter().flatten().take(MAX_EVENT_TYPES).enumerate();
        for (index, _) in seen.filter(|(_, name)| !event_types.contains_key(*name)) {
            let detail = "is not in the revision's event_types";
            self.wrong(format!("{place}/event_types/{index}"), detail);
        }
    }

    fn schema(&mut self, place: &str, reference: &str) -> Result<Option<Digest>, Problem> {
        let found = match self.reference(place, reference) {
            None => return Ok(None),
            Some(Reference::Content(digest)) => {
                let known = self.catalog.has_schema(self.tenant, &digest);
                known_or_missing("schema", digest, known)
            }
            Some(Reference::Named(name, which)) => {
                self.catalog.schema(self.tenant, &name, &which).map(|schema| schema.digest)
            }
        };
        self.found(place, found)
    }

    fn component(&mut self, place: &str, reference: &str) -> Result<Option<Digest>, Problem> {
        let found = match self.reference(place, reference) {
            None => return Ok(None),
            Some(Reference::Content(digest)) => self.catalog.component_of(self.tenant, &digest),
            Some(Reference::Named(name, which)) => {
                self.catalog.component(self.tenant, &name, &which)
            }
        };
        let Some(found) = self.found(place, found)? else { return Ok(None) };
        if let Some(why) = not_admitted(self.catalog, self.tenant, &found)? {
            self.wrong(place, why);
        }
        Ok(Some(found.digest))
    }

    fn tables(
        &mut self,
        written: &BTreeMap<TableName, TableReference>,
    ) -> Result<BTreeMap<TableName, TableVersion>, Problem> {
        let mut resolved = BTreeMap::new();
        for (name, reference) in written {
            let place = format!("/tables/{name}");
            let which = match reference {
                TableReference::Number(generation) => Selector::Version(generation.to_string()),
                TableReference::Text(text) if text == "latest" => Selector::Latest,
                TableReference::Text(text) => match Selector::parse(text) {
                    Ok(which) => which,
                    Err(error) => {
                        self.wrong(place, error.to_string());
                        continue;
                    }
                },
                TableReference::Stored(stored) => Selector::Version(stored.generation.to_string()),
                TableReference::Followed(Followed { follow: true }) => Selector::Latest,
                TableReference::Followed(Followed { follow: false }) => {
                    self.wrong(place, "write \"latest\" for a table that is not followed");
                    continue;
                }
            };
            let follow = match reference {
                TableReference::Number(_) | TableReference::Text(_) => false,
                TableReference::Stored(stored) => stored.follow,
                TableReference::Followed(followed) => followed.follow,
            };
            let found = self.catalog.table(self.tenant, name, &which);
            let found = found.map(|table| TableVersion {
                digest: table.digest,
                generation: table.generation,
                follow,
            });
            let Some(found) = self.found(&place, found)? else { continue };
            match reference {
                TableReference::Stored(stored) if *stored != found => {
                    let detail =
                        format!("generation {} has the digest {}", found.generation, found.digest);
                    self.wrong(place, detail);
                }
                _ => drop(resolved.insert(name.clone(), found)),
            }
        }
        Ok(resolved)
    }

    fn reference(&mut self, place: &str, text: &str) -> Option<Reference> {
        let parsed = Reference::parse(text);
        parsed.map_err(|error| self.wrong(place, error.to_string())).ok()
    }

    /// What is not there is the client's mistake, every other failure ends the work.
    fn found<T>(
        &mut self,
        place: &str,
        found: Result<T, CatalogError>,
    ) -> Result<Option<T>, Problem> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error @ CatalogError::NotFound { .. }) => {
                self.wrong(place, error.to_string());
                Ok(None)
            }
            Err(other) => Err(answer::from_catalog(other)),
        }
    }
}

/// Why a component may not judge events: its admission is under way, or has failed.
///
/// # Errors
/// Where the catalog fails.
pub(crate) fn not_admitted(
    catalog: &Catalog,
    tenant: &TenantId,
    component: &Component,
) -> Result<Option<String>, Problem> {
    let (name, version) = (&component.name, &component.version);
    let Some(number) = component.job.filter(|_| component.admission != Admission::Admitted) else {
        return Ok(None);
    };
    let job = catalog.job(tenant, number).map_err(answer::from_catalog)?;
    let failed = job.steps.iter().find(|step| step["state"] == "failed");
    Ok(Some(match (component.admission, failed) {
        (Admission::Failed, Some(step)) => format!(
            "version {version} of plugin `{name}` failed in the step `{}`: {}; job {number} tells all",
            step["step"].as_str().unwrap_or_default(),
            step.pointer("/problems/0/detail").and_then(Value::as_str).unwrap_or_default(),
        ),
        (Admission::Failed, None) => {
            format!("version {version} of plugin `{name}` failed; job {number} tells why")
        }
        (Admission::Pending | Admission::Admitted, _) if job.state == JobState::Error => format!(
            "version {version} of plugin `{name}` could not be put to the proof; send it again"
        ),
        (Admission::Pending | Admission::Admitted, _) => format!(
            "version {version} of plugin `{name}` is not yet admitted; job {number} is {}",
            job.state.as_str()
        ),
    }))
}

/// How a document names a schema or plugin: `name`, `name@version`, or a digest.
enum Reference {
    Content(Digest),
    Named(ArtifactName, Selector),
}

impl Reference {
    fn parse(text: &str) -> Result<Self, CatalogError> {
        if let Selector::Digest(digest) = Selector::parse(text)? {
            return Ok(Self::Content(digest));
        }
        let (name, which) = match text.split_once('@') {
            Some((name, version)) => (name, Selector::Version(version.to_owned())),
            None => (text, Selector::Latest),
        };
        Ok(Self::Named(ArtifactName::new(name)?, which))
    }
}

fn known_or_missing(
    what: &'static str,
    digest: Digest,
    known: Result<bool, CatalogError>,
) -> Result<Digest, CatalogError> {
    if known? {
        return Ok(digest);
    }
    Err(CatalogError::NotFound { what, name: digest.to_string() })
}

/// A member's name within a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
