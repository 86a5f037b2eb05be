//! Opening a spool: what is whole is kept, what is torn at the end is cut, and what is damaged is refused
//! before anything is changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::Path;

use super::files::Folder;
use super::record::{HEADER, PREFIX_BYTES, any_whole_from, whole_at};
use super::{Position, SpoolError, State};
use crate::outcome::Held;

/// The state, and how many torn bytes were cut.
pub(super) fn open(path: &Path) -> Result<(State, u64), SpoolError> {
    let folder = Folder::take(path)?;
    let failed = |error: io::Error| SpoolError::Failed(format!("{}: {error}", path.display()));
    let position = folder.read_position()?;
    let all = folder.segments().map_err(failed)?;
    let from = position.map(|position| position.segment);
    let (gone, kept): (Vec<u64>, Vec<u64>) =
        all.into_iter().partition(|&number| from.is_some_and(|from| number < from));
    let first = from.or(kept.first().copied()).unwrap_or(1);
    let in_a_row = kept.iter().copied().eq((first..).take(kept.len()));
    if !in_a_row || (position.is_some() && kept.is_empty()) {
        let what = format!("a segment is missing in {}", path.display());
        return Err(SpoolError::Damaged(what));
    }
    let position = position.unwrap_or(Position::start_of(first));
    let last = kept.last().copied().unwrap_or(first);
    let mut scan = Scan {
        folder: &folder,
        position,
        last,
        held: Held::default(),
        sizes: BTreeMap::new(),
        torn_bytes: 0,
    };
    for &number in &kept {
        scan.segment(number)?;
    }
    let Scan { held, mut sizes, torn_bytes, .. } = scan;
    for number in gone {
        folder.remove_segment(number).map_err(failed)?;
    }
    // What a killed process left in the page cache is not on the disk yet.
    let size = sizes.get(&last).copied().unwrap_or_default();
    let file = if size < HEADER.len() as u64 {
        sizes.insert(last, HEADER.len() as u64);
        folder.create_segment(last)
    } else {
        folder.cut_segment(last, size)
    };
    let file = file.map_err(failed)?;
    let written = Held { events: held.events, bytes: held.bytes + held.events };
    let state = State {
        folder,
        failed: None,
        sizes,
        last,
        file,
        reader: None,
        position,
        cursor: position,
        held,
        written,
        synced: written,
        read: Held::default(),
        open: VecDeque::new(),
        settled: BTreeSet::new(),
    };
    Ok((state, torn_bytes))
}

/// Counts the events from the position on.
struct Scan<'f> {
    folder: &'f Folder,
    position: Position,
    last: u64,
    held: Held,
    sizes: BTreeMap<u64, u64>,
    torn_bytes: u64,
}

impl Scan<'_> {
    fn segment(&mut self, number: u64) -> Result<(), SpoolError> {
        let path = self.folder.segment(number);
        let damaged = |what: &str| Err(SpoolError::Damaged(format!("{} {what}", path.display())));
        let misplaced = || {
            let folder = self.folder.path().display();
            Err(SpoolError::Damaged(format!(
                "the position in {folder} is not where an event begins"
            )))
        };
        let data = fs::read(&path);
        let data =
            data.map_err(|error| SpoolError::Failed(format!("{}: {error}", path.display())))?;
        let is_last = number == self.last;
        let start = match self.position {
            Position { segment, offset } if segment == number => offset,
            _ => HEADER.len() as u64,
        };
        if !data.starts_with(&HEADER) {
            let is_torn = HEADER.starts_with(&data) || data.iter().all(|&byte| byte == 0);
            if !is_last || !is_torn {
                return damaged("has no header of a spool's segment");
            }
            if start > HEADER.len() as u64 {
                return misplaced();
            }
            self.torn_bytes += data.len() as u64;
            self.sizes.insert(number, 0);
            return Ok(());
        }
        let mut end = HEADER.len();
        let mut met_start = end as u64 == start;
        let mut held = self.held;
        while let Some(event) = whole_at(&data, end) {
            if end as u64 >= start {
                held.events += 1;
                held.bytes += event.len();
            }
            end += PREFIX_BYTES + event.len();
            met_start |= end as u64 == start;
        }
        let is_torn = is_last && end as u64 >= start && !any_whole_from(&data, end);
        if end < data.len() && !is_torn {
            return damaged(&format!("is damaged at byte {end}"));
        }
        if !met_start {
            return misplaced();
        }
        self.held = held;
        self.torn_bytes += (data.len() - end) as u64;
        self.sizes.insert(number, end as u64);
        Ok(())
    }
}
