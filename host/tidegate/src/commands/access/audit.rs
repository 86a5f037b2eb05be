//! `tidegate audit`: what was done, and whether the log of it is whole. The hashes are computed here
//! and not by the gateway: whoever could change the log could change its answer too.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use tidegate_catalog::{AuditRecord, audit};
use tidegate_types::Digest;

use super::super::Context;
use crate::cli::AuditCommand;
use crate::client::{encode, path};

/// Entries that are fetched at once.
const PAGE: u64 = 1000;

#[derive(Deserialize)]
struct Entries {
    entries: Vec<AuditRecord>,
}

pub(in super::super) fn run(context: &Context, command: &AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::List { tenant, limit, before } => {
            let mut query = format!("{}?limit={limit}", path(&["audit"]));
            if let Some(before) = before {
                query.push_str(&format!("&before={before}"));
            }
            if let Some(tenant) = tenant {
                query.push_str(&format!("&tenant={}", encode(tenant)));
            }
            let list = context.admin.get(&query)?;
            let columns = [
                ("SEQUENCE", "/sequence"),
                ("AT", "/entry/at"),
                ("WHO", "/entry/who"),
                ("FROM", "/entry/remote"),
                ("KIND", "/entry/kind"),
                ("METHOD", "/entry/method"),
                ("SUBJECT", "/entry/subject"),
                ("STATUS", "/entry/status"),
                ("PROBLEM", "/entry/problem"),
                ("ACT", "/entry/act"),
                ("REASON", "/entry/reason"),
            ];
            context.print.list(&list, &columns)?;
        }
        AuditCommand::Verify { expect } => verify(context, expect.as_deref())?,
    }
    Ok(())
}

fn verify(context: &Context, expect: Option<&str>) -> anyhow::Result<()> {
    let expected = expect.map(place).transpose()?;
    let mut chain = Chain::default();
    loop {
        let before = chain.oldest.as_ref().map(|oldest| oldest.sequence);
        let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
        let answer = context.admin.get(&format!("{}?limit={PAGE}{before}", path(&["audit"])))?;
        let page: Entries =
            serde_json::from_value(answer).context("the gateway's answer holds no entries")?;
        let is_last = page.entries.len() < usize::try_from(PAGE)?;
        for record in page.entries {
            if expected
                .is_some_and(|(sequence, hash)| sequence == record.sequence && hash != record.hash)
            {
                bail!("entry {} is not the one that was there before", record.sequence);
            }
            chain.add(record)?;
        }
        if is_last {
            break;
        }
    }
    let (sequence, hash) = chain.finish()?;
    if let Some((expected, _)) = expected.filter(|(expected, _)| *expected > sequence) {
        bail!("entry {expected} was there before, and the log ends with entry {sequence}");
    }
    let told = json!({ "entries": sequence, "head": format!("{sequence}:{hash}") });
    context.print.answer(&told, || format!("{sequence}:{hash}"))?;
    Ok(())
}

/// `SEQUENCE:sha256:DIGITS`
fn place(text: &str) -> anyhow::Result<(u64, Digest)> {
    let read = || {
        let (sequence, hash) = text.split_once(':')?;
        Some((sequence.parse().ok()?, hash.parse().ok()?))
    };
    read().with_context(|| format!("`{text}` is not what `tidegate audit verify` prints"))
}

/// Entries as they come, newest first.
#[derive(Default)]
struct Chain {
    head: Option<(u64, Digest)>,
    oldest: Option<AuditRecord>,
}

impl Chain {
    fn add(&mut self, record: AuditRecord) -> anyhow::Result<()> {
        if let Some(newer) = &self.oldest {
            if newer.sequence != record.sequence + 1 {
                bail!("entry {} is missing in the audit log", newer.sequence - 1);
            }
            follows(newer, &record.hash)?;
        }
        self.head.get_or_insert((record.sequence, record.hash));
        self.oldest = Some(record);
        Ok(())
    }

    /// The last entry's sequence and hash; 0 where there is none.
    fn finish(self) -> anyhow::Result<(u64, Digest)> {
        if let Some(first) = &self.oldest {
            if first.sequence != 1 {
                bail!("entry {} is missing in the audit log", first.sequence - 1);
            }
            follows(first, &audit::START)?;
        }
        Ok(self.head.unwrap_or((0, audit::START)))
    }
}

fn follows(record: &AuditRecord, previous: &Digest) -> anyhow::Result<()> {
    if audit::link(previous, record.sequence, &record.entry.text()) == record.hash {
        return Ok(());
    }
    bail!(
        "entry {} does not follow from the one before: one of the two was changed",
        record.sequence
    )
}

#[cfg(test)]
mod tests {
    use tidegate_catalog::{AuditEntry, AuditKind};

    use super::*;

    fn records(count: u64) -> Vec<AuditRecord> {
        let mut previous = audit::START;
        (1..=count)
            .map(|sequence| {
                let entry = AuditEntry {
                    act: sequence.to_string(),
                    at: String::new(),
                    body: None,
                    kind: AuditKind::Answer,
                    method: "PUT".to_owned(),
                    problem: None,
                    reason: None,
                    remote: String::new(),
                    route: String::new(),
                    skipped: 0,
                    status: Some(200),
                    subject: String::new(),
                    tenant: None,
                    token: "admin".to_owned(),
                    who: "admin".to_owned(),
                };
                let hash = audit::link(&previous, sequence, &entry.text());
                previous = hash;
                AuditRecord { entry, hash, sequence }
            })
            .collect()
    }

    fn check(records: &[AuditRecord]) -> anyhow::Result<(u64, Digest)> {
        let mut chain = Chain::default();
        records.iter().rev().try_for_each(|record| chain.add(record.clone()))?;
        chain.finish()
    }

    #[test]
    fn gaps_and_changes_are_told() {
        let whole = records(4);
        assert_eq!(check(&whole).unwrap(), (4, whole[3].hash));
        assert_eq!(check(&[]).unwrap(), (0, audit::START));
        for (missing, told) in [(0, "entry 1 is missing"), (1, "entry 2 is missing")] {
            let mut records = whole.clone();
            records.remove(missing);
            assert!(check(&records).unwrap_err().to_string().starts_with(told), "{missing}");
        }
        for changed in 0..4 {
            let mut records = whole.clone();
            records[changed].entry.who = "nobody".to_owned();
            let told = format!("entry {} does not follow", changed + 1);
            assert!(check(&records).unwrap_err().to_string().starts_with(&told), "{changed}");
            // With a hash of its own the entry after it is where it shows.
            let previous = if changed == 0 { audit::START } else { records[changed - 1].hash };
            let text = records[changed].entry.text();
            records[changed].hash = audit::link(&previous, changed as u64 + 1, &text);
            assert_eq!(check(&records).is_ok(), changed == 3, "{changed}");
        }
    }

    #[test]
    fn a_place_is_what_was_printed() {
        let hash = Digest::of(b"x");
        assert_eq!(place(&format!("7:{hash}")).unwrap(), (7, hash));
        for bad in ["", "7", "7:", "x:sha256:00", "7:sha256:00"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
