//! One group of records as bytes: what is written and synced at a time.
//!
//! All integers are little-endian. A frame begins at a multiple of 8 bytes and has a length that is
//! one, so that its header never straddles two sectors.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `TGF1` |
//! | 4 | 4 | CRC-32C (RFC 3720, appendix B.4) of everything after this field, padding included |
//! | 8 | 8 | id of the segment: a frame belongs to one file |
//! | 16 | 8 | lsn of the first record |
//! | 24 | 4 | number of records; 0 is a seal, whose lsn is that of the next record |
//! | 28 | 4 | bytes of the records |
//! | 32 | | the records, then zeros up to a multiple of 8 |

use tidegate_types::Lsn;

use crate::record::take_chunk;

/// Bytes before the records; also the length of a seal.
pub(crate) const HEADER_BYTES: usize = 32;

const MAGIC: [u8; 4] = *b"TGF1";

/// A frame that was read and is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) first: Lsn,
    pub(crate) count: u32,
    pub(crate) records: &'a [u8],
    /// Bytes of the whole frame.
    pub(crate) length: usize,
}

impl Frame<'_> {
    /// The position after its last record.
    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.first.0.saturating_add(u64::from(self.count)))
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAFrame {
    #[error("there is no frame")]
    Magic,
    #[error("a frame of another segment")]
    Segment,
    #[error("a frame that is longer than its segment")]
    Length,
    #[error("a frame whose checksum does not match")]
    Checksum,
}

/// Bytes of a frame for so many bytes of records.
pub(crate) fn length(record_bytes: usize) -> usize {
    HEADER_BYTES + record_bytes.next_multiple_of(8)
}

/// Writes a frame to the end of `out`, whose length must be a multiple of 8. `parts` together are
/// the records.
pub(crate) fn encode<'a>(
    out: &mut Vec<u8>,
    segment: u64,
    first: Lsn,
    count: u32,
    parts: impl Iterator<Item = &'a [u8]> + Clone,
) {
    let start = out.len();
    let bytes: usize = parts.clone().map(<[u8]>::len).sum();
    out.reserve(length(bytes));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&segment.to_le_bytes());
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    let bytes_field = u32::try_from(bytes).expect("a group is smaller than a segment: 1 GiB");
    out.extend_from_slice(&bytes_field.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.resize(start + length(bytes), 0);
    let frame = out.get_mut(start..).expect("the frame was just written");
    let (head, covered) = frame.split_at_mut_checked(8).expect("a frame has a header");
    if let Some(field) = head.last_chunk_mut::<4>() {
        *field = crc32c::crc32c(covered).to_le_bytes();
    }
}

/// Reads only the header: the length of the whole frame, unchecked. For reading just as much as is
/// needed before [`parse`].
pub(crate) fn peek_length(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let bytes = u32::from_le_bytes(*header.last_chunk()?) as usize;
    header.starts_with(&MAGIC).then(|| length(bytes))
}

/// The frame at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8], segment: u64) -> Result<Frame<'_>, NotAFrame> {
    let mut rest = bytes;
    if take_chunk(&mut rest) != Some(MAGIC) {
        return Err(NotAFrame::Magic);
    }
    let crc = take_chunk(&mut rest).map(u32::from_le_bytes).ok_or(NotAFrame::Length)?;
    let covered = rest;
    let owner = take_chunk(&mut rest).map(u64::from_le_bytes).ok_or(NotAFrame::Length)?;
    if owner != segment {
        return Err(NotAFrame::Segment);
    }
    let first = take_chunk(&mut rest).map(u64::from_le_bytes).ok_or(NotAFrame::Length)?;
    let count = take_chunk(&mut rest).map(u32::from_le_bytes).ok_or(NotAFrame::Length)?;
    let record_bytes =
        take_chunk(&mut rest).map(u32::from_le_bytes).ok_or(NotAFrame::Length)? as usize;
    let length = length(record_bytes);
    let covered = covered.get(..length - 8).ok_or(NotAFrame::Length)?;
    if crc32c::crc32c(covered) != crc {
        return Err(NotAFrame::Checksum);
    }
    let records = rest.get(..record_bytes).ok_or(NotAFrame::Length)?;
    Ok(Frame { first: Lsn(first), count, records, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0xAA; 8];
        encode(&mut out, 77, Lsn(5), 3, parts.iter().copied());
        out.split_off(8)
    }

    #[test]
    fn frames_of_every_length_come_back_and_are_aligned() {
        for bytes in 0..40 {
            let payload: Vec<u8> = (1..=bytes).collect();
            let (left, right) = payload.split_at(payload.len() / 2);
            let out = encoded(&[left, right]);
            assert_eq!(out.len() % 8, 0);
            let frame = parse(&out, 77).expect("own frame");
            assert_eq!(frame.records, payload);
            assert_eq!((frame.first, frame.count, frame.end()), (Lsn(5), 3, Lsn(8)));
            assert_eq!(frame.length, out.len());
            assert_eq!(peek_length(out.first_chunk().unwrap()), Some(out.len()));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let out = encoded(&[b"a record"]);
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad, 77).is_err(), "bit {bit}");
        }
        for cut in 0..out.len() {
            assert!(parse(&out[..cut], 77).is_err(), "cut {cut}");
        }
        assert_eq!(parse(&out, 78), Err(NotAFrame::Segment));
    }
}
