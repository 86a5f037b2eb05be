//! A manifest as JSON: what admins read before they let a rule judge their events.

use serde_json::{Value, json};

use crate::guest::bindings::types::CellType;
use crate::guest::manifest::Manifest;

impl Manifest {
    /// Everything that the component declares: what it reads, writes, looks up, says and counts.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let reads = self.reads.iter();
        let tables = self.tables.iter().map(|table| {
            let columns = table.columns.iter();
            let columns = columns.map(|(name, cell)| json!({ "name": name, "cell": word(*cell) }));
            json!({ "name": &*table.name, "columns": columns.collect::<Vec<_>>() })
        });
        let texts = |list: &[std::sync::Arc<str>]| -> Vec<Value> {
            list.iter().map(|text| json!(**text)).collect()
        };
        json!({
            "name": self.name,
            "role": self.role.as_str(),
            "reads": reads
                .map(|field| json!({ "pointer": &*field.text, "cell": word(field.cell) }))
                .collect::<Vec<_>>(),
            "writes": self.writes.iter().map(|(text, _)| json!(**text)).collect::<Vec<_>>(),
            "tables": tables.collect::<Vec<_>>(),
            "patterns": self.given.patterns,
            "schemas": self.schemas.len(),
            "codes": texts(&self.codes),
            "metrics": texts(&self.metrics),
        })
    }
}

fn word(cell: CellType) -> &'static str {
    match cell {
        CellType::Text => "text",
        CellType::Integer => "integer",
        CellType::Number => "number",
        CellType::Boolean => "boolean",
        CellType::Json => "json",
    }
}
