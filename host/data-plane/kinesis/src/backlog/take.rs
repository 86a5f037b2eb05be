//! Which records are in the next call.

use std::time::Instant;

use tidegate_sinks::Failure;

use super::{Backlog, Call, CallEntry, LaneId, Place, Report};
use crate::options::MOST_RECORDS;

impl<S> Backlog<S> {
    /// The next call to a stream, if it is time for one. Records that its limits refuse are reported.
    pub(super) fn take(
        &mut self,
        place: Place,
        now: Instant,
        reports: &mut Vec<Report<S>>,
    ) -> Option<Call> {
        while self.calls < self.options.calls && self.is_time(place, now) {
            let entries = self.entries(place, now, reports);
            if !entries.is_empty() {
                self.calls += 1;
                return Some(Call { place, entries });
            }
        }
        None
    }

    fn is_time(&self, place: Place, now: Instant) -> bool {
        let (side, batch) = (self.side(place), &self.options.batch);
        let Some(((due, _), _)) = side.ready.first_key_value() else { return false };
        let bytes = batch.bytes.min(side.limits.call_bytes());
        let is_full = side.ready.len() >= batch.records || side.ready_bytes >= bytes;
        side.paused_until.is_none_or(|until| until <= now) && (self.hurry || is_full || *due <= now)
    }

    /// Those that have waited longest, up to a limit. None where all that are ready were refused or
    /// have to wait.
    fn entries(
        &mut self,
        place: Place,
        now: Instant,
        reports: &mut Vec<Report<S>>,
    ) -> Vec<CallEntry> {
        let limits = self.side(place).limits;
        let most_bytes = self.options.batch.bytes.min(limits.call_bytes());
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut most = self.options.batch.records.min(MOST_RECORDS);
        while let Some((_, id)) = self.side(place).ready.first_key_value() {
            let id = id.clone();
            let Some(first) = self.lanes.get(&id).and_then(|lane| lane.records.front()) else {
                break;
            };
            let (size, company) = (first.size(&id), first.company);
            if size > limits.record_bytes() {
                reports.extend(self.refuse_for_size(&id, size, limits.record_bytes()));
                continue;
            }
            if size > limits.sure_record_bytes() {
                self.unlist_first(&id);
                self.make_wait(&id, now + self.options.retry_first);
                continue;
            }
            let is_full = entries.len() >= most.min(company) || bytes + size > most_bytes;
            if is_full && !entries.is_empty() {
                break;
            }
            most = most.min(company);
            bytes += size;
            let (number, data) = (first.number, first.data.clone());
            self.unlist_first(&id);
            entries.push(CallEntry { lane: id, number, data });
        }
        entries
    }

    fn refuse_for_size(&mut self, id: &LaneId, size: usize, limit: usize) -> Option<Report<S>> {
        self.unlist_first(id);
        let record = self.pop_first(id)?;
        Some((record.slip?, Err(too_large(size, limit))))
    }
}

/// The stream never takes a record of this size.
pub(crate) fn too_large(size: usize, limit: usize) -> Failure {
    let why = format!("the record has {size} bytes, key included, and the stream takes {limit}");
    Failure::Rejected { code: "too-large", why: why.into() }
}
