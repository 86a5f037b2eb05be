//! Reads what the gateway published: every row of every Parquet file that the manifest names.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray, StructArray};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tidegate_storage::manifest;
use tidegate_types::{Digest, EventId, Finding, RuleName, Status};

/// One stored event.
#[derive(Clone, Debug)]
pub struct Stored {
    pub tenant: String,
    pub quarantined: bool,
    pub event_id: EventId,
    pub lsn: i64,
    /// The digest of the revision that judged it.
    pub revision: String,
    /// As it was posted.
    pub original: Value,
    /// As it is delivered, byte for byte, and what it says.
    pub delivered_text: String,
    pub delivered: Value,
    /// The patches as JSON; `None` where no rule changed anything.
    pub patches: Option<String>,
    pub findings: Vec<Finding>,
    /// What the verdict depended on besides event and revision; null where on nothing.
    pub context: Value,
}

impl Stored {
    /// The event's key: its member `id`.
    #[must_use]
    pub fn key(&self) -> String {
        self.original
            .get("id")
            .and_then(Value::as_str)
            .expect("stored events have their keys")
            .to_owned()
    }

    #[must_use]
    pub fn status(&self) -> Status {
        if self.quarantined { Status::Quarantined } else { Status::Accepted }
    }
}

/// Reads everything that is published in a gateway's data folder, in the order of the log. The
/// manifest must be true to the byte, and each position of the log be there once.
#[must_use]
pub fn read(data: &Path) -> Vec<Stored> {
    let folder = data.join("parquet");
    let mut stored = Vec::new();
    for entry in manifest::read(&folder).expect("a good manifest") {
        let (before, mut decisions) = (stored.len(), BTreeSet::new());
        for file in &entry.files {
            let bytes = std::fs::read(folder.join(&file.path))
                .expect("the manifest names files that are there");
            assert_eq!(
                (bytes.len() as u64, Digest::of(&bytes)),
                (file.bytes, file.sha256),
                "{}",
                file.path
            );
            if file.path.starts_with("dispositions/") {
                decisions.extend(positions(bytes.into()));
                continue;
            }
            let read = read_file(bytes.into(), &file.path, &mut stored);
            assert_eq!(read, file.rows, "{}", file.path);
        }
        let rows = stored.get_mut(before..).unwrap_or_default();
        rows.sort_unstable_by_key(|event| event.lsn);
        let positions = rows.iter().map(|event| event.lsn);
        // A released event stands at the position of its decision.
        let discarded = decisions.iter().filter(|lsn| !rows.iter().any(|row| row.lsn == **lsn));
        let mut positions: Vec<_> = positions.chain(discarded.copied()).collect();
        positions.sort_unstable();
        let positions = positions.into_iter().map(|lsn| u64::try_from(lsn).unwrap_or(u64::MAX));
        assert!(
            positions.eq(entry.first_lsn.0..=entry.last_lsn.0),
            "entry {} has each position once",
            entry.sequence
        );
    }
    stored
}

/// Fails where there are files that the manifest does not name: what a stopped gateway left behind.
pub fn assert_no_orphans(data: &Path) {
    let folder = data.join("parquet");
    let entries = manifest::read(&folder).expect("a good manifest");
    let named: HashSet<_> = entries
        .into_iter()
        .flat_map(|entry| entry.files)
        .map(|file| folder.join(file.path))
        .collect();
    let mut folders =
        ["accepted", "quarantine", "dispositions"].map(|data_set| folder.join(data_set)).to_vec();
    while let Some(at) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(named.contains(&path), "{} is not in the manifest", path.display());
            }
        }
    }
}

/// The positions of a file's rows.
fn positions(bytes: Bytes) -> Vec<i64> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
    let lsn = |batch: RecordBatch| {
        let lsn = column(&batch, "lsn").as_primitive::<arrow_array::types::Int64Type>();
        lsn.values().to_vec()
    };
    reader.expect("a Parquet file").flat_map(|batch| lsn(batch.expect("rows"))).collect()
}

fn read_file(bytes: Bytes, path: &str, out: &mut Vec<Stored>) -> u64 {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
    let mut rows = 0;
    for batch in reader.expect("a Parquet file") {
        let batch = batch.expect("rows");
        rows += batch.num_rows() as u64;
        read_batch(&batch, path, out);
    }
    rows
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"))
}

fn read_batch(batch: &RecordBatch, path: &str, out: &mut Vec<Stored>) {
    let tenant = path
        .split('/')
        .find_map(|step| step.strip_prefix("tenant="))
        .expect("files are apart by tenant");
    let text = |name| column(batch, name).as_string::<i32>();
    let (event_id, revision, delivered) = (text("event_id"), text("revision"), text("delivered"));
    let context = text("context");
    let context = |row| {
        context.is_valid(row).then(|| serde_json::from_str(context.value(row)).expect("JSON"))
    };
    let (patches, original) = (text("patches"), column(batch, "original").as_binary::<i32>());
    let lsn = column(batch, "lsn").as_primitive::<arrow_array::types::Int64Type>();
    let findings = column(batch, "findings").as_list::<i32>();
    for row in 0..batch.num_rows() {
        out.push(Stored {
            tenant: tenant.to_owned(),
            quarantined: path.starts_with("quarantine/"),
            event_id: event_id.value(row).parse().expect("an event id"),
            lsn: lsn.value(row),
            revision: revision.value(row).to_owned(),
            original: serde_json::from_slice(original.value(row)).expect("JSON"),
            delivered_text: delivered.value(row).to_owned(),
            delivered: serde_json::from_str(delivered.value(row)).expect("JSON"),
            patches: patches.is_valid(row).then(|| patches.value(row).to_owned()),
            findings: read_findings(findings.value(row).as_struct()),
            context: context(row).unwrap_or_default(),
        });
    }
}

fn read_findings(findings: &StructArray) -> Vec<Finding> {
    let text = |name| -> &StringArray {
        let column = findings.column_by_name(name);
        column.unwrap_or_else(|| panic!("findings have no {name}")).as_string()
    };
    let (rule, code, severity) = (text("rule"), text("code"), text("severity"));
    let (pointer, detail) = (text("pointer"), text("detail"));
    let finding = |row| Finding {
        rule: RuleName::new(rule.value(row)).expect("a rule's name"),
        code: code.value(row).into(),
        severity: serde_json::from_value(severity.value(row).into()).expect("a severity"),
        pointer: pointer.is_valid(row).then(|| pointer.value(row).into()),
        detail: detail.value(row).into(),
    };
    (0..findings.len()).map(finding).collect()
}
