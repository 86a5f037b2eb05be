//! Partitions: which folder a row belongs in, and the names of files there.
//!
//! `accepted/tenant=…/type=…/event_date=YYYY-MM-DD/part-<first lsn>-<last lsn>-<layout>.parquet`,
//! `quarantine/…` and `dispositions/…` likewise (the date of the latter is that of the decision); files of
//! events that were released from quarantine end in `-released.parquet`. Both lsn have 20 digits. Values are percent-encoded: all bytes but
//! ASCII letters, digits, `_`, `-` and `.`. A value longer than [`VALUE_BYTES`] then is cut and
//! ends in `~` and 16 hexadecimal digits of its SHA-256, since file systems take 255 bytes; `~`
//! itself is encoded, so cut values meet no whole ones. Each file's own metadata has the names in
//! full.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::Stored;

/// Longest encoded value in a path.
pub(crate) const VALUE_BYTES: usize = 200;
/// How files end whose bytes are not yet complete and durable.
pub(crate) const UNFINISHED: &str = ".tmp";
const ENDING: &str = ".parquet";
const RELEASED: &str = "-released.parquet";
const MILLIS_A_DAY: u64 = 86_400_000;
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// Which event times decide the partition; others fall back to the time of receipt.
///
/// The bounds depend on the row alone, so a row read again lands in the same partition.
#[derive(Clone, Copy, Debug)]
pub struct DateBounds {
    /// The earliest event time.
    pub earliest: UnixMillis,
    /// How far an event time may be ahead of the receipt.
    pub ahead: Duration,
}

impl Default for DateBounds {
    /// From 1970 to a day after the receipt.
    fn default() -> Self {
        Self { earliest: UnixMillis(0), ahead: Duration::from_secs(86_400) }
    }
}

impl DateBounds {
    /// The day of a decision: that of the moment it was made.
    pub(crate) fn day_of_decision(at: UnixMillis) -> u64 {
        at.0 / MILLIS_A_DAY
    }

    /// The row's day, counted from 1970-01-01.
    pub(crate) fn day(&self, event_time: Option<UnixMillis>, event_id: EventId) -> u64 {
        let received = event_id.received_at();
        let ahead = u64::try_from(self.ahead.as_millis()).unwrap_or(u64::MAX);
        let latest = received.0.saturating_add(ahead);
        let fits = |at: &UnixMillis| at.0 >= self.earliest.0 && at.0 <= latest;
        event_time.filter(fits).unwrap_or(received).0 / MILLIS_A_DAY
    }
}

/// Which events a file has, and in what form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DataSet {
    /// Accepted as they came in.
    Accepted,
    /// Accepted when they were released from quarantine: in the same folders as the others.
    Released,
    Quarantine,
    /// What was decided about events in quarantine.
    Dispositions,
}

impl DataSet {
    /// The top folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Accepted | Self::Released => "accepted",
            Self::Quarantine => "quarantine",
            Self::Dispositions => "dispositions",
        }
    }

    /// What its events are. The subjects of dispositions were all quarantined.
    pub(crate) fn status(self) -> Stored {
        match self {
            Self::Accepted | Self::Released => Stored::Accepted,
            Self::Quarantine | Self::Dispositions => Stored::Quarantined,
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Released => RELEASED,
            Self::Accepted | Self::Quarantine | Self::Dispositions => ENDING,
        }
    }
}

/// The data set of an event as it came in.
impl From<Stored> for DataSet {
    fn from(status: Stored) -> Self {
        match status {
            Stored::Accepted => Self::Accepted,
            Stored::Quarantined => Self::Quarantine,
        }
    }
}

/// What the rows of one file have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    pub(crate) set: DataSet,
    pub(crate) tenant: String,
    pub(crate) event_type: String,
    pub(crate) day: u64,
    pub(crate) layout: String,
}

impl Partition {
    /// The folder, relative to the storage folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let date = UnixMillis(self.day.saturating_mul(MILLIS_A_DAY)).date();
        Path::new(self.set.folder())
            .join(format!("tenant={}", encode(&self.tenant)))
            .join(format!("type={}", encode(&self.event_type)))
            .join(format!("event_date={date}"))
    }

    /// The name of the file that holds the partition's rows of a range.
    pub(crate) fn file_name(&self, first: Lsn, last: Lsn) -> String {
        format!("part-{:020}-{:020}-{}{}", first.0, last.0, self.layout, self.set.ending())
    }
}

/// What a file's path says; the values still encoded.
pub(crate) struct PathParts<'a> {
    pub(crate) set: DataSet,
    pub(crate) tenant: &'a str,
    pub(crate) event_type: &'a str,
}

/// The parts of a path that [`Partition`] makes; `None` for any other.
pub(crate) fn parts(path: &str) -> Option<PathParts<'_>> {
    let mut steps = path.split('/');
    let set = match steps.next()? {
        "accepted" if path.ends_with(RELEASED) => DataSet::Released,
        "accepted" => DataSet::Accepted,
        "quarantine" => DataSet::Quarantine,
        "dispositions" => DataSet::Dispositions,
        _ => return None,
    };
    let tenant = steps.next()?.strip_prefix("tenant=")?;
    let event_type = steps.next()?.strip_prefix("type=")?;
    Some(PathParts { set, tenant, event_type })
}

/// The top folders of all.
pub(crate) const ROOTS: [&str; 3] = ["accepted", "quarantine", "dispositions"];

/// Is this a name that this crate gives to files, finished or not?
pub(crate) fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    name.starts_with("part-") && name.ends_with(ENDING)
}

pub(crate) fn encode(value: &str) -> String {
    let mut encoded = utf8_percent_encode(value, ENCODED).to_string();
    if encoded.len() > VALUE_BYTES {
        let hex = Digest::of(value.as_bytes()).hex();
        // Encoded text is ASCII; a cut must not split a `%xx`.
        let limit = VALUE_BYTES - 17;
        let tail = encoded.as_bytes().iter().take(limit).rev().take(2).position(|b| *b == b'%');
        encoded.truncate(limit - tail.map_or(0, |back| back + 1));
        encoded.push('~');
        encoded.extend(hex.chars().take(16));
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nasty_names_become_one_safe_folder_each() {
        for (value, expected) in [
            ("User.Created", "User.Created"),
            ("a b", "a%20b"),
            ("../../etc", "..%2F..%2Fetc"),
            ("a/b=c&d%e", "a%2Fb%3Dc%26d%25e"),
            ("flüge", "fl%C3%BCge"),
            ("~x", "%7Ex"),
            ("'\"*?", "%27%22%2A%3F"),
        ] {
            assert_eq!(encode(value), expected);
        }
    }

    proptest! {
        #[test]
        fn encoded_values_are_short_safe_and_distinct(one in any::<String>(), two in ".{180,260}") {
            for value in [&one, &two] {
                let encoded = encode(value);
                prop_assert!(encoded.len() <= VALUE_BYTES);
                prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.%~".contains(&b)));
                let plain = encoded.split('~').next().unwrap_or_default();
                let decoded = percent_encoding::percent_decode_str(plain).collect::<Vec<u8>>();
                prop_assert!(value.as_bytes().starts_with(&decoded));
                prop_assert!(encoded.contains('~') || decoded == value.as_bytes());
                prop_assert!(!plain.split('%').skip(1).any(|part| part.len() < 2));
            }
            prop_assert!((one == two) == (encode(&one) == encode(&two)));
        }
    }

    #[test]
    fn long_values_with_one_beginning_differ() {
        let long = |end: char| format!("{}{end}", "ü".repeat(100));
        assert_ne!(encode(&long('a')), encode(&long('b')));
    }

    #[test]
    fn dates() {
        let received = UnixMillis::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let id = EventId::from_parts(received, 0, 0);
        let bounds = DateBounds::default();
        let narrow =
            DateBounds { earliest: UnixMillis(received.0 - 86_400_000), ahead: Duration::ZERO };
        for (bounds, event_time, expected) in [
            (bounds, None, "2026-03-01"),
            (bounds, Some("2013-01-01T23:59:59.999Z"), "2013-01-01"),
            (bounds, Some("1970-01-01T00:00:00Z"), "1970-01-01"),
            (bounds, Some("2026-03-02T12:00:00Z"), "2026-03-02"),
            (bounds, Some("2026-03-02T12:00:00.001Z"), "2026-03-01"),
            (bounds, Some("9999-12-31T00:00:00Z"), "2026-03-01"),
            (narrow, Some("2026-02-28T12:00:00Z"), "2026-02-28"),
            (narrow, Some("2026-02-28T11:59:59Z"), "2026-03-01"),
            (narrow, Some("2026-03-01T12:00:00.001Z"), "2026-03-01"),
        ] {
            let time = event_time.map(|text| UnixMillis::parse_rfc3339(text).unwrap());
            let partition = Partition {
                set: DataSet::Quarantine,
                tenant: "acme".into(),
                event_type: "a/b".into(),
                day: bounds.day(time, id),
                layout: "0".repeat(16),
            };
            let folder = format!("quarantine/tenant=acme/type=a%2Fb/event_date={expected}");
            assert_eq!(partition.folder(), Path::new(&folder), "{event_time:?}");
        }
    }

    #[test]
    fn names_of_files() {
        let partition = Partition {
            set: DataSet::Accepted,
            tenant: "acme".into(),
            event_type: "t".into(),
            day: 0,
            layout: "0123456789abcdef".into(),
        };
        let name = partition.file_name(Lsn(7), Lsn(u64::MAX));
        assert_eq!(name, "part-00000000000000000007-18446744073709551615-0123456789abcdef.parquet");
        let released = Partition { set: DataSet::Released, ..partition };
        let path = released.folder().join(released.file_name(Lsn(7), Lsn(8)));
        let path = path.to_str().unwrap();
        assert!(
            path.ends_with("-0123456789abcdef-released.parquet")
                && is_ours("part-7-released.parquet")
        );
        let found = parts(path).unwrap();
        assert_eq!((found.set, found.tenant, found.event_type), (DataSet::Released, "acme", "t"));
        for other in ["", "notes/tenant=a/type=t/x", "accepted/x", "accepted/tenant=a/x"] {
            assert!(parts(other).is_none(), "{other}");
        }
        assert!(is_ours(&name) && is_ours(&format!("{name}{UNFINISHED}")));
        assert!(!is_ours("notes.parquet") && !is_ours("part-1.csv"));
    }
}
