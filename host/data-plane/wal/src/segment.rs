//! A segment file: a header, then frames, then the zeros that were reserved in advance.
//!
//! Named by its sequence number, 20 digits and `.wal`. It is made under the name with `.tmp` after
//! it, synced, renamed, and the directory synced: a `.wal` file always has a whole header.
//! All integers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `TGWALSEG` |
//! | 8 | 4 | CRC-32C of the rest of the header |
//! | 12 | 4 | version of the format: 1 |
//! | 16 | 8 | sequence number, from 1 |
//! | 24 | 8 | id: random, so that nobody can send bytes that look like a frame of this file |
//! | 32 | 8 | where the frames end that were durable when the file got its name: 64 for none |
//! | 40 | 8 | it replaces the segments from this sequence number up to its own; 0 for none |
//! | 48 | 8 | length of the file |
//! | 56 | 8 | zero |
//! | 64 | | frames |

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::disk::{Disk, is_full};
use crate::frame::{self, Frame, NotAFrame};
use crate::record::take_chunk;

/// Where the first frame stands.
pub(crate) const HEADER_BYTES: usize = 64;

/// Largest size of a segment that the options allow.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// Ending of a file that is not finished.
pub(crate) const UNFINISHED: &str = ".tmp";

const MAGIC: [u8; 8] = *b"TGWALSEG";
const VERSION: u32 = 1;

/// What the head of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sequence: u64,
    pub(crate) id: u64,
    /// What ends before this offset is damage, never a tear.
    pub(crate) durable: u64,
    /// The first of the segments that it replaces; up to itself all are.
    pub(crate) replaces: Option<u64>,
    /// The file's length; it never changes.
    pub(crate) bytes: u64,
}

impl Header {
    /// Does this segment hold what another one held?
    pub(crate) fn replaces(&self, sequence: u64) -> bool {
        self.replaces.is_some_and(|first| (first..self.sequence).contains(&sequence))
    }

    fn encode(&self) -> Vec<u8> {
        let mut covered = Vec::with_capacity(HEADER_BYTES);
        covered.extend_from_slice(&VERSION.to_le_bytes());
        let replaces = self.replaces.unwrap_or(0);
        for field in [self.sequence, self.id, self.durable, replaces, self.bytes, 0] {
            covered.extend_from_slice(&field.to_le_bytes());
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
        out.extend_from_slice(&covered);
        out
    }

    /// The header at the beginning of a file, or what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut rest = bytes.get(..HEADER_BYTES).ok_or("the file is shorter than its header")?;
        if take_chunk(&mut rest) != Some(MAGIC) {
            return Err("the header is not one of a segment");
        }
        let crc = take_chunk(&mut rest).map(u32::from_le_bytes);
        if crc != Some(crc32c::crc32c(rest)) {
            return Err("the header's checksum does not match");
        }
        if take_chunk(&mut rest).map(u32::from_le_bytes) != Some(VERSION) {
            return Err("the format is of another version");
        }
        let mut field =
            || take_chunk(&mut rest).map(u64::from_le_bytes).ok_or("the header is too short");
        let (sequence, id, durable) = (field()?, field()?, field()?);
        let (replaces, bytes) = (field()?, field()?);
        let replaces = (replaces != 0).then_some(replaces);
        Ok(Self { sequence, id, durable, replaces, bytes })
    }
}

/// The name of a segment's file.
pub(crate) fn name(sequence: u64) -> String {
    format!("{sequence:020}.wal")
}

/// The sequence number in a name of 20 digits and an ending.
pub(crate) fn parse_name(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| digits.parse().ok()).flatten()
}

/// A random id.
pub(crate) fn new_id() -> io::Result<u64> {
    getrandom::u64().map_err(|error| io::Error::other(error.to_string()))
}

/// Makes a segment, its first frames in `body`, durable under its name.
pub(crate) fn create(
    disk: &dyn Disk,
    directory: &Path,
    header: &Header,
    body: &[u8],
) -> io::Result<File> {
    publish(disk, directory, &name(header.sequence), header.bytes, &[&header.encode(), body])
}

/// Makes a whole file durable under a name: written beside it, synced, renamed, directory synced.
pub(crate) fn publish(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
    bytes: u64,
    parts: &[&[u8]],
) -> io::Result<File> {
    let path = directory.join(name);
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    let write = || {
        let file = disk.create(&unfinished, bytes)?;
        let mut offset = 0;
        for part in parts {
            disk.write_at(&file, part, offset)?;
            offset += part.len() as u64;
        }
        Ok(file)
    };
    let file = match write() {
        Err(error) if is_full(&error) => {
            // Its room is what everybody waits for. Recovery would remove it as well.
            if let Err(error) = disk.remove(&unfinished) {
                tracing::warn!(file = %unfinished.display(), %error, "unfinished file stays");
            }
            return Err(error);
        }
        other => other?,
    };
    disk.sync_data(&file)?;
    disk.rename(&unfinished, &path)?;
    disk.sync_directory(directory)?;
    Ok(file)
}

/// Reads a whole file of at most [`MAX_BYTES`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > MAX_BYTES {
        return Err(io::Error::other("it is larger than any segment"));
    }
    data.try_reserve_exact(bytes as usize)?;
    file.take(MAX_BYTES).read_to_end(&mut data)?;
    Ok(data)
}

/// The whole frames at the beginning of a segment's content.
pub(crate) struct Frames<'a> {
    data: &'a [u8],
    segment: u64,
    offset: usize,
}

impl<'a> Frames<'a> {
    /// `data` is the whole file.
    pub(crate) fn new(data: &'a [u8], segment: u64) -> Self {
        Self { data, segment, offset: HEADER_BYTES }
    }

    /// Where the next frame stands, or, at the end, where none does.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// What stands after the last whole frame.
    pub(crate) fn tail(&self) -> Tail {
        let rest = self.data.get(self.offset..).unwrap_or_default();
        let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Tail::Blank };
        let why = frame::parse(rest, self.segment).err().unwrap_or(NotAFrame::Magic);
        let later = (8..rest.len()).step_by(8).find(|at| {
            rest.get(*at..).is_some_and(|bytes| frame::parse(bytes, self.segment).is_ok())
        });
        Tail::Bad { bytes: last + 1, why, later: later.map(|at| self.offset + at) }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = frame::parse(self.data.get(self.offset..)?, self.segment).ok()?;
        self.offset += frame.length;
        Some(frame)
    }
}

/// What stands after the last whole frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros, or nothing.
    Blank,
    /// Something that is no frame.
    Bad {
        /// Up to its last byte that is not zero.
        bytes: usize,
        why: NotAFrame,
        /// Where a whole frame of this segment stands after it.
        later: Option<usize>,
    },
}

#[cfg(test)]
mod tests {
    use tidegate_types::Lsn;

    use super::*;

    const HEADER: Header =
        Header { sequence: 3, id: 99, durable: 64, replaces: Some(2), bytes: 4096 };

    fn segment(frames: &[&[u8]]) -> Vec<u8> {
        let mut data = HEADER.encode();
        for (lsn, records) in (0..).zip(frames) {
            frame::encode(&mut data, HEADER.id, Lsn(lsn), 1, [*records].into_iter());
        }
        data.resize(data.len() + 64, 0);
        data
    }

    fn tail_of(data: &[u8]) -> (usize, Tail) {
        let mut frames = Frames::new(data, HEADER.id);
        (frames.by_ref().count(), frames.tail())
    }

    #[test]
    fn headers_come_back_and_every_flip_is_noticed() {
        let bytes = HEADER.encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Header::parse(&bytes), Ok(HEADER));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&bad).is_err(), "bit {bit}");
        }
        assert!(Header::parse(&bytes[..63]).is_err());
    }

    #[test]
    fn names() {
        assert_eq!(name(7), "00000000000000000007.wal");
        assert_eq!(parse_name(&name(u64::MAX), ".wal"), Some(u64::MAX));
        for bad in ["7.wal", "00000000000000000007.keys", "+0000000000000000007.wal", ".wal"] {
            assert_eq!(parse_name(bad, ".wal"), None, "{bad}");
        }
    }

    #[test]
    fn tails() {
        let whole = segment(&[b"first", b"second"]);
        assert_eq!(tail_of(&whole), (2, Tail::Blank));
        let at_second = HEADER_BYTES + 40;
        let mut torn = whole.clone();
        torn[at_second + 33] = 0;
        let bad = Tail::Bad { bytes: 38, why: NotAFrame::Checksum, later: None };
        assert_eq!(tail_of(&torn), (1, bad));
        let mut early = whole.clone();
        early[HEADER_BYTES + 33] = 0;
        let (count, tail) = tail_of(&early);
        assert_eq!(count, 0);
        assert!(matches!(tail, Tail::Bad { later: Some(at), .. } if at == at_second));
        let mut stray = whole;
        *stray.last_mut().unwrap() = 1;
        let bad = Tail::Bad { bytes: 64, why: NotAFrame::Magic, later: None };
        assert_eq!(tail_of(&stray), (2, bad));
    }
}
