//! What stays of a truncated segment: the keys that are still in the deduplication window.
//!
//! Named like its segment, with `.keys` instead of `.wal`, and durable before the segment is
//! deleted. Deleted once all its keys are out of the window; the newest one always stays: it says
//! up to where the log has been truncated, so that a segment that went missing is noticed.
//! All integers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `TGWALKEY` |
//! | 8 | 4 | CRC-32C of everything after this field |
//! | 12 | 4 | version of the format: 1 |
//! | 16 | 8 | end: position after the segment's last record |
//! | 24 | 8 | when the youngest of its events was received, milliseconds since 1970 UTC |
//! | 32 | 8 | number of keys |
//! | 40 | 49 each | key, fingerprint, event id, then 0 accepted or 1 quarantined |

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_types::{EventId, Lsn, UnixMillis};

use crate::disk::Disk;
use crate::record::{KeyMark, Stored, take_chunk};
use crate::segment;

/// Ending of a sidecar's name.
pub(crate) const ENDING: &str = ".keys";

const MAGIC: [u8; 8] = *b"TGWALKEY";
const VERSION: u32 = 1;
const ENTRY_BYTES: usize = 49;

/// A key whose record is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) mark: KeyMark,
    pub(crate) event_id: EventId,
    pub(crate) status: Stored,
}

/// What one sidecar holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    pub(crate) end: Lsn,
    pub(crate) keys: Vec<Key>,
}

impl Sidecar {
    /// When the youngest of its events was received; the epoch where it has none.
    pub(crate) fn youngest(&self) -> UnixMillis {
        self.keys.iter().map(|key| key.event_id.received_at()).max().unwrap_or_default()
    }

    fn encode(&self) -> Vec<u8> {
        let mut covered = Vec::with_capacity(28 + self.keys.len() * ENTRY_BYTES);
        covered.extend_from_slice(&VERSION.to_le_bytes());
        for field in [self.end.0, self.youngest().0, self.keys.len() as u64] {
            covered.extend_from_slice(&field.to_le_bytes());
        }
        for key in &self.keys {
            covered.extend_from_slice(&key.mark.key);
            covered.extend_from_slice(&key.mark.fingerprint);
            covered.extend_from_slice(&key.event_id.0);
            covered.push(match key.status {
                Stored::Accepted => 0,
                Stored::Quarantined => 1,
            });
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
        out.extend_from_slice(&covered);
        out
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let short = "the file is too short";
        let mut rest = bytes;
        if take_chunk(&mut rest) != Some(MAGIC) {
            return Err("the header is not one of a key sidecar");
        }
        let crc = take_chunk(&mut rest).map(u32::from_le_bytes);
        if crc != Some(crc32c::crc32c(rest)) {
            return Err("the checksum does not match");
        }
        if take_chunk(&mut rest).map(u32::from_le_bytes) != Some(VERSION) {
            return Err("the format is of another version");
        }
        let mut field = || take_chunk(&mut rest).map(u64::from_le_bytes).ok_or(short);
        let (end, _youngest, count) = (field()?, field()?, field()?);
        if !rest.len().is_multiple_of(ENTRY_BYTES) || (rest.len() / ENTRY_BYTES) as u64 != count {
            return Err("the number of keys does not match the length");
        }
        let mut keys = Vec::with_capacity(rest.len() / ENTRY_BYTES);
        while !rest.is_empty() {
            keys.push(parse_key(&mut rest)?);
        }
        Ok(Self { end: Lsn(end), keys })
    }
}

fn parse_key(rest: &mut &[u8]) -> Result<Key, &'static str> {
    let short = "the last key is cut off";
    let key = take_chunk(rest).ok_or(short)?;
    let fingerprint = take_chunk(rest).ok_or(short)?;
    let event_id = EventId(take_chunk(rest).ok_or(short)?);
    let status = match take_chunk(rest).ok_or(short)? {
        [0] => Stored::Accepted,
        [1] => Stored::Quarantined,
        [_] => return Err("a status is neither 0 nor 1"),
    };
    Ok(Key { mark: KeyMark { key, fingerprint }, event_id, status })
}

/// The path of a segment's sidecar.
pub(crate) fn path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(name(sequence))
}

fn name(sequence: u64) -> String {
    format!("{sequence:020}{ENDING}")
}

/// Makes a sidecar durable under its name.
pub(crate) fn write(
    disk: &dyn Disk,
    directory: &Path,
    sequence: u64,
    sidecar: &Sidecar,
) -> io::Result<File> {
    let bytes = sidecar.encode();
    segment::publish(disk, directory, &name(sequence), bytes.len() as u64, &[&bytes])
}

/// Reads a sidecar; the inner error says what is wrong with its content.
pub(crate) fn read(path: &Path) -> io::Result<Result<Sidecar, &'static str>> {
    Ok(Sidecar::parse(&std::fs::read(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    fn sidecar(count: u8) -> Sidecar {
        let key = |number: u8| Key {
            mark: KeyMark { key: [number; 16], fingerprint: [number ^ 0xff; 16] },
            event_id: EventId::from_parts(UnixMillis(1000 + u64::from(number)), 0, 0),
            status: if number.is_multiple_of(2) { Stored::Accepted } else { Stored::Quarantined },
        };
        Sidecar { end: Lsn(40), keys: (0..count).map(key).collect() }
    }

    #[test]
    fn sidecars_come_back() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 1, 7] {
            write(&SystemDisk, directory.path(), 5, &sidecar(count)).unwrap();
            let back = read(&path(directory.path(), 5)).unwrap().expect("own bytes");
            assert_eq!(back, sidecar(count));
        }
        assert_eq!(sidecar(7).youngest(), UnixMillis(1006));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        let bytes = sidecar(3).encode();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Sidecar::parse(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Sidecar::parse(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }
}
