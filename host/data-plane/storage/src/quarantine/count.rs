//! Open events, counted in groups. Only small columns are read.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_types::{Finding, Lsn, UnixMillis};
use tidegate_wal::Record;

use super::settled::Settled;
use crate::manifest::FileEntry;
use crate::read::file::{Small, StoredFile};
use crate::read::plan::{columns, matches};
use crate::read::{Filter, ReadError, StoredEvents};

/// Most groups that are told apart.
pub const MAX_GROUPS: usize = 1000;

/// What events in one group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// The rule of a finding. An event counts once for each of its rules.
    Rule,
    /// Rule and code of a finding, as `rule/code`. An event counts once for each.
    Code,
    /// The revision that judged it.
    Revision,
    EventType,
    /// The hour in which it was received, as `2026-11-21T09:00:00.000Z`.
    Hour,
    /// The day on which it was received, as `2026-11-21`.
    Day,
}

/// The name of the group of a revision and something that it knows.
pub type Naming<'a> = &'a dyn Fn(&str, &str) -> String;

/// What decides an event's groups.
#[derive(Clone, Copy)]
pub enum Grouping<'a> {
    By(GroupBy),
    /// Named by the revision that judged and the rule of a finding. An event counts once for each
    /// name.
    Rules(Naming<'a>),
    /// Named by the revision that judged and the event's type.
    Types(Naming<'a>),
}

/// Open events in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of all groups together, each event once.
    pub events: u64,
    /// At most [`MAX_GROUPS`], those that were met first.
    pub groups: BTreeMap<String, u64>,
    /// How often an event would have counted in one more group.
    pub in_other_groups: u64,
    /// Files that may have held more, and were removed.
    pub expired_files: u64,
}

impl Counts {
    fn add(&mut self, group: &str) {
        if let Some(count) = self.groups.get_mut(group) {
            *count += 1;
        } else if self.groups.len() < MAX_GROUPS {
            self.groups.insert(group.to_owned(), 1);
        } else {
            self.in_other_groups += 1;
        }
    }
}

const HOUR_MS: u64 = 3_600_000;

fn time_group(by: GroupBy, at: UnixMillis) -> Option<String> {
    match by {
        GroupBy::Hour => Some(UnixMillis(at.0 / HOUR_MS * HOUR_MS).to_rfc3339()),
        GroupBy::Day => Some(at.date()),
        GroupBy::Rule | GroupBy::Code | GroupBy::Revision | GroupBy::EventType => None,
    }
}

impl Grouping<'_> {
    /// The column that it needs besides those of the filter.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::By(GroupBy::Rule | GroupBy::Code) => &["findings"],
            Self::By(GroupBy::Revision) | Self::Types(_) => &["revision"],
            Self::By(GroupBy::EventType | GroupBy::Hour | GroupBy::Day) => &[],
            Self::Rules(_) => &["findings", "revision"],
        }
    }

    fn finding(self, revision: &str, rule: &str, code: &str) -> String {
        match self {
            Self::By(GroupBy::Code) => format!("{rule}/{code}"),
            Self::Rules(name) => name(revision, rule),
            Self::By(_) | Self::Types(_) => rule.to_owned(),
        }
    }
}

/// One count under way.
struct Count<'a> {
    settled: &'a Settled,
    tenant: &'a str,
    filter: &'a Filter,
    by: Grouping<'a>,
    counts: Counts,
    /// The next position to look at, and the first that is not looked at any more.
    position: Lsn,
    end: Lsn,
}

/// The positions are visited as the documentation of `read` tells.
pub(super) fn count(
    stored: &StoredEvents,
    settled: &Settled,
    tenant: &str,
    filter: &Filter,
    by: Grouping<'_>,
) -> Result<Counts, ReadError> {
    let (position, end) = (Lsn(0), stored.wal.durable_end());
    let counts = Counts::default();
    let mut count = Count { settled, tenant, filter, by, counts, position, end };
    while count.position < end && !filter.is_empty() {
        count.files(stored)?;
        match count.log(stored) {
            Ok(()) => break,
            // Published, and then truncated, in the meantime.
            Err(tidegate_wal::ReadError::Truncated { .. })
                if count.position < stored.published.next_lsn() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count.counts)
}

impl Count<'_> {
    fn files(&mut self, stored: &StoredEvents) -> Result<(), ReadError> {
        let times = self.filter.times();
        let (mut entries, end) = stored.published.entries(self.position, times)?;
        while let Some(entry) = entries.next()? {
            if entry.first_lsn >= self.end {
                break;
            }
            for file in &entry.files {
                if self.filter.wants_file(self.tenant, file) {
                    self.file(stored, file)?;
                }
            }
        }
        self.position = self.position.max(end);
        Ok(())
    }

    fn file(&mut self, stored: &StoredEvents, entry: &FileEntry) -> Result<(), ReadError> {
        let Some(file) = StoredFile::open(&stored.place, entry)? else {
            self.counts.expired_files += 1;
            return Ok(());
        };
        let mut names = columns(self.filter, true);
        names.extend(self.by.columns());
        let wrong = || file.wrong("a row cannot be read");
        let mut batches = file.columns(&names)?;
        while let Some(batch) = batches.next()? {
            for row in 0..batch.rows() {
                let open = Some(self.settled);
                let found = matches(&batch, row, self.filter, open, self.position);
                match found.ok_or_else(wrong)? {
                    Some(lsn) if lsn < self.end => {
                        self.row(&file, &batch, row).ok_or_else(wrong)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, file: &StoredFile, batch: &Small, row: usize) -> Option<()> {
        self.counts.events += 1;
        match self.by {
            Grouping::By(GroupBy::Rule | GroupBy::Code) | Grouping::Rules(_) => {
                let revision = match self.by {
                    Grouping::Rules(_) => batch.text("revision", row)?,
                    Grouping::By(_) | Grouping::Types(_) => "",
                };
                let mut groups = BTreeSet::new();
                batch.findings(row, |rule, code| {
                    groups.insert(self.by.finding(revision, rule, code));
                })?;
                groups.iter().for_each(|group| self.counts.add(group));
            }
            Grouping::By(GroupBy::Revision) => self.counts.add(batch.text("revision", row)?),
            Grouping::By(GroupBy::EventType) => self.counts.add(file.event_type()),
            Grouping::By(by @ (GroupBy::Hour | GroupBy::Day)) => {
                self.counts.add(&time_group(by, batch.time("received_at", row)?)?);
            }
            Grouping::Types(name) => {
                self.counts.add(&name(batch.text("revision", row)?, file.event_type()));
            }
        }
        Some(())
    }

    fn log(&mut self, stored: &StoredEvents) -> Result<(), tidegate_wal::ReadError> {
        let mut reader = stored.wal.reader(self.position);
        while self.position < self.end {
            let Some(group) = reader.next()? else { break };
            let end = self.end;
            for (_, record) in group.records().take_while(|(lsn, _)| *lsn < end) {
                let open = self.settled.get(record.event_id).is_none();
                if open && record.tenant == self.tenant && self.filter.wants_record(&record) {
                    self.record(&record);
                }
            }
            self.position = group.end();
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) {
        self.counts.events += 1;
        match self.by {
            Grouping::By(GroupBy::Rule | GroupBy::Code) | Grouping::Rules(_) => {
                let findings = serde_json::from_slice::<Vec<Finding>>(record.findings);
                let (findings, revision) =
                    (findings.unwrap_or_default(), record.revision.to_string());
                let groups: BTreeSet<_> = findings
                    .iter()
                    .map(|one| self.by.finding(&revision, one.rule.as_str(), &one.code))
                    .collect();
                groups.iter().for_each(|group| self.counts.add(group));
            }
            Grouping::By(GroupBy::Revision) => self.counts.add(&record.revision.to_string()),
            Grouping::By(GroupBy::EventType) => self.counts.add(record.event_type),
            Grouping::By(by @ (GroupBy::Hour | GroupBy::Day)) => {
                if let Some(group) = time_group(by, record.event_id.received_at()) {
                    self.counts.add(&group);
                }
            }
            Grouping::Types(name) => {
                self.counts.add(&name(&record.revision.to_string(), record.event_type));
            }
        }
    }
}
