//! `tidegate key import`: takes over keys that another system has made, of which it kept the hashes: a
//! CSV file with a header, as `\copy api_keys TO 'keys.csv' CSV HEADER` writes it from PostgreSQL.
//!
//! Columns: `tenant_id`, `key_hash` (64 hexadecimal digits, or `\x` and those), and, where they are there,
//! `id`, `name`, `scopes` (separated by spaces or commas, or a list as PostgreSQL or JSON writes it),
//! `rate_limit`, `is_active`, `expires_at`. Others are left alone.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::super::super::Context;
use crate::client::{Body, path};
use crate::output::remark;

/// Takes over every key of a file. A key that is there already is left as it is.
pub(super) fn run(context: &Context, file: &Path) -> anyhow::Result<()> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut reader = csv::Reader::from_reader(opened);
    let columns = reader.headers().context("the first line is no CSV header")?.clone();
    for needed in ["tenant_id", "key_hash"] {
        if !columns.iter().any(|column| column == needed) {
            bail!("{} has no column `{needed}`", file.display());
        }
    }
    let mut taken = 0u64;
    for record in reader.records() {
        let record = record.context("a line is not CSV")?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields = columns.iter().zip(record.iter()).filter(|(_, text)| !text.is_empty());
        let imported = import(context, &fields.collect());
        imported.with_context(|| {
            format!(
                "{}, line {line}: stopped after {taken} keys; mend it and import the file again: keys \
                 that are there already are left as they are",
                file.display()
            )
        })?;
        taken += 1;
    }
    context.print.answer(&json!({ "keys": taken }), || format!("took over {taken} keys"))?;
    remark("their holders go on sending what they send today");
    Ok(())
}

fn import(context: &Context, fields: &HashMap<&str, &str>) -> anyhow::Result<()> {
    let tenant = fields.get("tenant_id").context("the line names no tenant")?;
    let wanted = request(fields)?;
    context.admin.post(&path(&["tenants", tenant, "keys"]), Body::Json(wanted))?;
    Ok(())
}

/// One line as the request for its key.
fn request(fields: &HashMap<&str, &str>) -> anyhow::Result<Value> {
    let hash = fields.get("key_hash").context("the line has no hash")?;
    let mut wanted = Map::new();
    wanted.insert("key_hash".to_owned(), hash.trim_start_matches("\\x").into());
    let name = fields.get("name").copied().unwrap_or("imported");
    wanted.insert("name".to_owned(), name.into());
    if let Some(id) = fields.get("id") {
        wanted.insert("id".to_owned(), (*id).into());
    }
    if let Some(scopes) = fields.get("scopes") {
        let separators = [' ', ',', '{', '}', '[', ']', '"', '\''];
        let scopes: Vec<&str> =
            scopes.split(separators).filter(|scope| !scope.is_empty()).collect();
        wanted.insert("scopes".to_owned(), json!(scopes));
    }
    if let Some(limit) = fields.get("rate_limit") {
        let limit: u64 = limit.parse().context("rate_limit is not a whole number")?;
        wanted.insert("rate_limit".to_owned(), limit.into());
    }
    if let Some(active) = fields.get("is_active") {
        let active = match active.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" => true,
            "f" | "false" | "0" => false,
            _ => bail!("is_active is neither true nor false"),
        };
        wanted.insert("is_active".to_owned(), active.into());
    }
    if let Some(time) = fields.get("expires_at") {
        wanted.insert("expires_at".to_owned(), rfc3339(time).into());
    }
    Ok(Value::Object(wanted))
}

/// PostgreSQL writes `2027-01-01 00:00:00+00`; without an offset it is taken as UTC.
fn rfc3339(text: &str) -> String {
    let mut time = text.replacen(' ', "T", 1);
    let offset = time.get(10..).and_then(|rest| rest.rfind(['+', '-']));
    match offset.map(|at| time.len() - 10 - at) {
        None if !time.ends_with(['Z', 'z']) => time.push('Z'),
        // An offset of hours alone.
        Some(3) => time.push_str(":00"),
        _ => {}
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_other_systems_write_them() {
        let hash = "ab".repeat(32);
        for (fields, expected) in [
            (vec![], json!({ "key_hash": hash, "name": "imported" })),
            (
                vec![
                    ("id", "7f0c"),
                    ("name", "edge 1"),
                    ("scopes", "{events:write,events:read}"),
                    ("rate_limit", "500"),
                    ("is_active", "f"),
                    ("expires_at", "2027-01-01 00:00:00+00"),
                    ("last_used_at", "2026-01-01 00:00:00+00"),
                ],
                json!({
                    "key_hash": hash, "id": "7f0c", "name": "edge 1",
                    "scopes": ["events:write", "events:read"], "rate_limit": 500,
                    "is_active": false, "expires_at": "2027-01-01T00:00:00+00:00",
                }),
            ),
            (
                vec![("scopes", "[\"events:write\"]"), ("is_active", "TRUE")],
                json!({ "key_hash": hash, "name": "imported", "scopes": ["events:write"], "is_active": true }),
            ),
        ] {
            let mut line = HashMap::from([("tenant_id", "acme")]);
            let written = format!("\\x{hash}");
            line.insert("key_hash", &written);
            line.extend(fields);
            assert_eq!(request(&line).unwrap(), expected);
        }
        for broken in [("rate_limit", "many"), ("is_active", "perhaps")] {
            let line = HashMap::from([("key_hash", hash.as_str()), broken]);
            assert!(request(&line).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn times_of_other_systems() {
        for (text, expected) in [
            ("2027-01-01 00:00:00+00", "2027-01-01T00:00:00+00:00"),
            ("2027-01-01 00:00:00.123456-05:30", "2027-01-01T00:00:00.123456-05:30"),
            ("2027-01-01 00:00:00", "2027-01-01T00:00:00Z"),
            ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(text), expected);
        }
    }
}
