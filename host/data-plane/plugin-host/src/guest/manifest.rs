//! A component's manifest, checked: pointers parsed, patterns and schemas compiled, bounds held.

use std::sync::Arc;

use tidegate_event::{Pointer, Schema, SchemaLimits};
use tidegate_types::problem::ProblemPart;

use super::bindings::contract;
use super::bindings::types::CellType;
use super::pattern::Pattern;

/// Entries of each of a manifest's lists.
const MAX_ENTRIES: usize = 256;

/// What a rule is for; rules run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Validator,
    Quality,
    Enricher,
}

impl Role {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Quality => "quality",
            Self::Enricher => "enricher",
        }
    }
}

/// A field that a rule reads.
#[derive(Clone, Debug)]
pub struct Field {
    /// As written in the manifest.
    pub text: Arc<str>,
    pub source: Source,
    pub(crate) cell: CellType,
}

/// Where a field comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Event(Pointer),
    Tenant,
    EventId,
    EventType,
    Key,
    Node,
    ReceivedAt,
    /// Counted over the event's key, or over the value at a place.
    Occurrence(Option<Pointer>),
}

/// A reference table that a rule uses.
#[derive(Clone, Debug)]
pub struct TableRef {
    pub name: Arc<str>,
    pub(crate) columns: Vec<(String, CellType)>,
}

/// A manifest that the host has admitted.
#[derive(Debug)]
pub struct Manifest {
    pub name: String,
    pub role: Role,
    pub reads: Vec<Field>,
    pub writes: Vec<(Arc<str>, Pointer)>,
    pub tables: Vec<TableRef>,
    pub(super) patterns: Vec<Pattern>,
    pub(crate) schemas: Vec<Schema>,
    pub codes: Vec<Arc<str>>,
    pub metrics: Vec<Arc<str>>,
    /// As the component gave it, to be compared with what its other instances give.
    pub(crate) given: contract::Manifest,
}

impl Manifest {
    /// Checks a manifest; answers every problem found. Pointers in the problems are into the
    /// manifest.
    pub(crate) fn admit(given: contract::Manifest) -> Result<Self, Vec<ProblemPart>> {
        let mut check = Check::default();
        for (name, len) in [
            ("reads", given.reads.len()),
            ("writes", given.writes.len()),
            ("tables", given.tables.len()),
            ("patterns", given.patterns.len()),
            ("schemas", given.schemas.len()),
            ("codes", given.codes.len()),
            ("metrics", given.metrics.len()),
        ] {
            if len > MAX_ENTRIES {
                check.problem(
                    format!("/{name}"),
                    format!("{len} entries; at most {MAX_ENTRIES} are taken"),
                );
            }
        }
        if check.problems.is_empty() {
            let manifest = check.parts(given);
            if check.problems.is_empty() {
                return Ok(manifest);
            }
        }
        Err(check.problems)
    }
}

#[derive(Default)]
struct Check {
    problems: Vec<ProblemPart>,
}

impl Check {
    fn problem(&mut self, pointer: String, detail: impl Into<String>) {
        let pointer = format!("/manifest{pointer}");
        self.problems.push(ProblemPart { pointer, detail: detail.into() });
    }

    /// Keeps what is good of a list, and a problem for each entry that is not.
    fn each<T, U>(
        &mut self,
        list: &str,
        items: &[T],
        mut f: impl FnMut(&T) -> Result<U, String>,
    ) -> Vec<U> {
        let mut out = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            match f(item) {
                Ok(value) => out.push(value),
                Err(detail) => self.problem(format!("/{list}/{place}"), detail),
            }
        }
        out
    }

    fn parts(&mut self, given: contract::Manifest) -> Manifest {
        let role = match given.role {
            contract::Role::Validator => Role::Validator,
            contract::Role::Quality => Role::Quality,
            contract::Role::Enricher => Role::Enricher,
        };
        if role != Role::Enricher && !given.writes.is_empty() {
            self.problem("/writes".into(), "only an enricher may write");
        }
        let reads = self.each("reads", &given.reads, field);
        let writes = self.each("writes", &given.writes, |text| write(text));
        for (place, (text, pointer)) in writes.iter().enumerate() {
            if writes.iter().take(place).any(|(_, other)| other.overlaps(pointer)) {
                self.problem(
                    format!("/writes/{place}"),
                    format!("`{text}` overlaps another write of this rule"),
                );
            }
        }
        let tables = self.each("tables", &given.tables, |table| {
            let columns = table.columns.iter().map(|c| (c.name.clone(), c.cell)).collect();
            Ok(TableRef { name: table.name.as_str().into(), columns })
        });
        let patterns = self.each("patterns", &given.patterns, |text| Pattern::compile(text));
        let schemas = self.each("schemas", &given.schemas, |schema| {
            Schema::compile(schema.as_bytes(), &SchemaLimits::default())
                .map_err(|error| format!("{}: {}", error.pointer, error.message))
        });
        let codes = self.each("codes", &given.codes, |code| word(code));
        let metrics = self.each("metrics", &given.metrics, |metric| word(metric));
        let name = given.name.chars().take(128).collect();
        Manifest { name, role, reads, writes, tables, patterns, schemas, codes, metrics, given }
    }
}

fn field(given: &contract::Field) -> Result<Field, String> {
    let text = given.pointer.as_str();
    let cell = given.cell;
    let (source, fitting): (Source, &[CellType]) = match text {
        "@tenant" => (Source::Tenant, &[CellType::Text]),
        "@event_id" => (Source::EventId, &[CellType::Text]),
        "@event_type" => (Source::EventType, &[CellType::Text]),
        "@key" => (Source::Key, &[CellType::Text]),
        "@node" => (Source::Node, &[CellType::Text]),
        "@received_at" => (Source::ReceivedAt, &[CellType::Integer, CellType::Text]),
        _ => match text.strip_prefix("@occurrence") {
            Some("") => (Source::Occurrence(None), &[CellType::Integer]),
            Some(rest) => {
                let pointer = rest.parse().map_err(|error| format!("{error}"))?;
                (Source::Occurrence(Some(pointer)), &[CellType::Integer])
            }
            None if text.starts_with('@') => {
                return Err(format!("there is no host column `{text}`"));
            }
            None => {
                let pointer = text.parse().map_err(|error| format!("{error}"))?;
                return Ok(Field { text: text.into(), source: Source::Event(pointer), cell });
            }
        },
    };
    if !fitting.contains(&cell) {
        return Err(format!("the host column `{text}` has another cell type"));
    }
    Ok(Field { text: text.into(), source, cell })
}

fn write(text: &str) -> Result<(Arc<str>, Pointer), String> {
    let pointer: Pointer = text.parse().map_err(|error| format!("{error}"))?;
    if pointer.is_root() {
        return Err("the whole event cannot be written".into());
    }
    Ok((text.into(), pointer))
}

fn word(text: &str) -> Result<Arc<str>, String> {
    let fits =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
        return Err(format!("`{text}` must be 1 to 64 of a-z, 0-9, -, _ and ."));
    }
    Ok(text.into())
}
