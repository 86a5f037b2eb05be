//! Records: how an event stands in a segment.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use bytes::Bytes;

pub(super) const HEADER: [u8; 8] = *b"TGSPOOL1";
/// Length and checksum.
pub(super) const PREFIX_BYTES: usize = 8;

pub(super) fn encode(event: &[u8]) -> Vec<u8> {
    let length = u32::try_from(event.len()).expect("no spool is so large that a longer event fits");
    let length = length.to_le_bytes();
    let mut record = Vec::with_capacity(PREFIX_BYTES + event.len());
    record.extend_from_slice(&length);
    record.extend_from_slice(&checksum(length, event).to_le_bytes());
    record.extend_from_slice(event);
    record
}

/// The event's bytes, of the record that begins here; nothing where there is no whole one.
pub(super) fn whole_at(data: &[u8], offset: usize) -> Option<&[u8]> {
    let (prefix, rest) = data.get(offset..)?.split_first_chunk::<PREFIX_BYTES>()?;
    let (length, crc) = split(*prefix);
    let event = rest.get(..usize::try_from(u32::from_le_bytes(length)).ok()?)?;
    (!event.is_empty() && checksum(length, event) == crc).then_some(event)
}

/// Does a whole record begin anywhere from here on? None does within an event: JSON has no byte 0, and
/// lengths below 16 MiB have one.
pub(super) fn any_whole_from(data: &[u8], offset: usize) -> bool {
    (offset..data.len()).any(|offset| whole_at(data, offset).is_some())
}

/// Reads the event of the record that begins there; nothing where it is damaged.
pub(super) fn read(file: &mut File, offset: u64) -> io::Result<Option<Bytes>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact(&mut prefix)?;
    let (length, crc) = split(prefix);
    let mut event = Vec::new();
    file.take(u64::from(u32::from_le_bytes(length))).read_to_end(&mut event)?;
    Ok((checksum(length, &event) == crc).then(|| event.into()))
}

fn split(prefix: [u8; PREFIX_BYTES]) -> ([u8; 4], u32) {
    let [a, b, c, d, rest @ ..] = prefix;
    ([a, b, c, d], u32::from_le_bytes(rest))
}

fn checksum(length: [u8; 4], event: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(event);
    hasher.finalize()
}
