//! Pauses and latest moments that have passed.

use std::time::Instant;

use tidegate_sinks::Failure;

use super::{Backlog, LaneId, Record, Report, State};

impl<S> Backlog<S> {
    /// Lanes whose pause is over are ready.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        for place in super::Place::ALL {
            let side = self.side_mut(place);
            let later = side.waiting.split_off(&(now, u64::MAX));
            let over = std::mem::replace(&mut side.waiting, later);
            side.paused_until = side.paused_until.filter(|until| *until > now);
            for id in over.into_values() {
                self.make_ready(&id);
            }
        }
    }

    /// Messages whose latest moment has passed are reported. What a call has stays with it, so that
    /// nothing of its key overtakes it.
    pub(super) fn expire(&mut self, now: Instant, reports: &mut Vec<Report<S>>) {
        while let Some(entry) = self.deadlines.first_entry() {
            let (latest, number) = *entry.key();
            if latest > now {
                return;
            }
            let id = entry.remove();
            reports.extend(self.expire_one(&id, number, now));
        }
    }

    fn expire_one(&mut self, id: &LaneId, number: u64, now: Instant) -> Option<Report<S>> {
        let lane = self.lanes.get_mut(id)?;
        let at = lane.records.binary_search_by_key(&number, |record| record.number).ok()?;
        if at == 0 && lane.state == State::UnderWay {
            let record = lane.records.front_mut()?;
            let slip = record.slip.take()?;
            record.is_unknown = true;
            return Some((slip, Err(failure(record, "no answer yet", None))));
        }
        let is_throttled = self.side(id.place).throttled_until.is_some_and(|until| now < until);
        let mut record = if at == 0 {
            self.unlist_first(id);
            self.pop_first(id)?
        } else {
            let record = self.lanes.get_mut(id)?.records.remove(at)?;
            self.forget(id, &record);
            record
        };
        let is_throttled = is_throttled || record.is_throttled;
        let retry_after = is_throttled.then(|| self.pause(record.failures.max(1)));
        let slip = record.slip.take()?;
        Some((slip, Err(failure(&record, "it was not sent in time", retry_after))))
    }
}

fn failure<S>(
    record: &Record<S>,
    otherwise: &str,
    retry_after: Option<std::time::Duration>,
) -> Failure {
    let why = record.why.clone().unwrap_or_else(|| otherwise.into());
    Failure::Errored { why, retry_after, unknown: record.is_unknown }
}
