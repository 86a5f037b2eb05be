//! A storage over a real log, in a folder or in a bucket, and events whose content follows from their
//! number.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_event::patch::{self, Op, Patch};
use tidegate_storage::layout::Kind;
use tidegate_storage::{
    Layout, Layouts, OpenError, Quarantine, Storage, StorageOptions, StoredEvent, StoredEvents,
};
use tidegate_types::{Digest, EventId, Finding, Lsn, RuleName, Severity, UnixMillis};
use tidegate_wal::{Record, RecordBatch, Stored, Wal, WalOptions};

use crate::ground::{File, Ground};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const BEGIN: u64 = 1_700_000_000_000;

pub(crate) struct ByRevision;

impl Layouts for ByRevision {
    fn layout(&self, _: &str, _: &str, revision: &Digest) -> Arc<Layout> {
        let members = (revision.0[0] == 2).then(|| ("n".to_owned(), Kind::Integer));
        Arc::new(Layout::new(members.into_iter().collect()))
    }
}

/// A gateway's storage, and what must be in it, by position.
pub(crate) struct World {
    pub(crate) ground: Ground,
    running: Option<(Wal, Storage)>,
    /// Events as they came in.
    pub(crate) model: Vec<StoredEvent>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn on(ground: Ground) -> Self {
        // In memory where there is such a file system: the log syncs often.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut world = Self { ground, running: None, model: Vec::new(), folder };
        world.open();
        world
    }

    fn open(&mut self) {
        self.running = Some(open(&self.ground, self.folder.path(), 1000).unwrap());
    }

    pub(crate) fn wal(&self) -> &Wal {
        &self.running.as_ref().unwrap().0
    }

    pub(crate) fn quarantine(&self) -> Quarantine {
        self.storage().quarantine()
    }

    pub(crate) fn stop(&mut self) {
        drop(self.running.take());
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.open();
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.running.as_ref().unwrap().1
    }

    pub(crate) fn events(&self) -> StoredEvents {
        self.storage().events()
    }

    /// All Parquet files whose paths have a part.
    pub(crate) fn files(&self, part: &str) -> Vec<File> {
        self.ground.files(self.folder.path(), part)
    }

    pub(crate) fn append(&mut self, count: u64) {
        let first = self.model.len() as u64;
        let events: Vec<_> = (first..first + count).map(event).collect();
        append(self.wal(), &events);
        self.model.extend(events);
    }
}

/// Opens what is in a folder, and on its ground.
pub(crate) fn open(
    ground: &Ground,
    folder: &Path,
    max_settled: usize,
) -> Result<(Wal, Storage), OpenError> {
    let mut options = StorageOptions::new(folder.join("storage"));
    options.bucket = ground.bucket();
    options.flush_bytes = 60_000;
    options.max_open_partitions = 8;
    options.max_settled = max_settled;
    let (opened, _) = Storage::open(options, Arc::new(ByRevision)).unwrap();
    let mut options = WalOptions::new(folder.join("wal"));
    options.low_water_bytes = 0;
    options.segment_bytes = 32 << 10;
    options.group_bytes = 8 << 10;
    options.seal_after = Duration::from_secs(3600);
    let (wal, _) = Wal::open(options, &mut |_| ()).unwrap();
    Ok((wal.clone(), opened.start(wal)?))
}

/// The event at a position: all of it follows from the number.
pub(crate) fn event(n: u64) -> StoredEvent {
    // A clock that now and then goes back.
    let at = UnixMillis(BEGIN + n * 10 - if n.is_multiple_of(13) { 500 } else { 0 });
    let mut patches = Vec::new();
    if n.is_multiple_of(3) {
        for (op, pointer, value) in
            [(Op::Set, "/a\"b/ü~1", " [1.50 , \"\\u00fc\"] "), (Op::Remove, "/gone", "")]
        {
            patch::encode(&mut patches, Patch { op, pointer, value: value.as_bytes() }).unwrap();
        }
    }
    let finding = |rule: &str, code: &str, pointer: Option<&str>, detail: &str| Finding {
        rule: RuleName::new(rule).unwrap(),
        code: code.into(),
        severity: Severity::Soft,
        pointer: pointer.map(Into::into),
        detail: detail.into(),
    };
    let findings = match n % 4 {
        0 => vec![],
        1 => vec![finding("airports", "late", Some("/n"), "says \"no\"\n")],
        2 => vec![finding("airports", "early", None, ""), finding("other", "late", Some(""), "ü")],
        _ => vec![finding("other", "early", None, "")],
    };
    let findings =
        if findings.is_empty() { vec![] } else { serde_json::to_vec(&findings).unwrap() };
    let padding = "x".repeat((n * 37 % 400) as usize);
    StoredEvent {
        event_id: EventId::from_parts(at, 0, n),
        lsn: Lsn(n),
        tenant: if n % 7 == 2 { "other" } else { "acme" }.to_owned(),
        event_type: match n % 5 {
            0 => "flight/../é".to_owned(),
            1 => "t".repeat(255),
            _ => "flight".to_owned(),
        },
        status: if n % 6 == 1 { Stored::Quarantined } else { Stored::Accepted },
        revision: Digest([1 + u8::from(n % 11 > 5); 32]),
        event_time: (!n.is_multiple_of(4)).then_some(UnixMillis(BEGIN - n % 3 * 86_400_000)),
        original: format!("{{\"n\" : {n}, \"padding\":\"{padding}\"}}").into_bytes(),
        patches,
        findings,
        context: if n.is_multiple_of(2) {
            format!("{{\"0\":{n},\"node\":\"n\\u0031\"}}").into_bytes()
        } else {
            vec![]
        },
    }
}

pub(crate) fn append(wal: &Wal, events: &[StoredEvent]) {
    events.chunks(10).for_each(|some| append_group(wal, some));
}

fn append_group(wal: &Wal, events: &[StoredEvent]) {
    let mut batch = RecordBatch::default();
    for event in events {
        batch
            .push(&Record {
                event_id: event.event_id,
                status: event.status,
                tenant: &event.tenant,
                event_type: &event.event_type,
                revision: event.revision,
                key: None,
                event_time: event.event_time,
                original: &event.original,
                patches: &event.patches,
                findings: &event.findings,
                context: &event.context,
            })
            .unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(wal.append(batch, None)).unwrap();
}
