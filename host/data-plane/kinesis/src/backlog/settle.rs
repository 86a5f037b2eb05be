//! What the answer to a call means for its records.

use std::sync::Arc;
use std::time::Instant;

use tidegate_sinks::Failure;

use super::{Backlog, Call, CallEntry, Place, Report};

/// The answer to a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// One for each entry, in their order.
    Entries(Vec<Entry>),
    /// The same for all entries.
    Failed(Trouble),
    /// Something in the call can never be stored.
    Refused(Arc<str>),
}

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Stored,
    Failed { why: Arc<str>, is_throttled: bool },
    Refused(Arc<str>),
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) why: Arc<str>,
    /// It may have been carried out all the same.
    pub(crate) is_unknown: bool,
    pub(crate) is_throttled: bool,
}

impl<S> Backlog<S> {
    /// A call has ended.
    pub(crate) fn settle(&mut self, call: Call, answer: Answer, now: Instant) -> Vec<Report<S>> {
        self.calls = self.calls.saturating_sub(1);
        let Call { place, entries } = call;
        match answer {
            Answer::Entries(results) => {
                self.recovered(place);
                // An answer with too few results says nothing of the others.
                let missing = || Entry::Failed { why: "no result".into(), is_throttled: false };
                let results = results.into_iter().chain(std::iter::repeat_with(missing));
                let each = entries.into_iter().zip(results);
                each.filter_map(|(entry, result)| self.settle_one(&entry, result, now)).collect()
            }
            Answer::Failed(trouble) => {
                self.failed(place, &trouble, now);
                for entry in entries {
                    self.again(&entry, &trouble, now);
                }
                Vec::new()
            }
            Answer::Refused(why) => self.refused(entries, &why, now),
        }
    }

    fn recovered(&mut self, place: Place) {
        let side = self.side_mut(place);
        side.failures = 0;
        side.paused_until = None;
    }

    /// Calls that were under way together fail together: that is one failure.
    fn failed(&mut self, place: Place, trouble: &Trouble, now: Instant) {
        let side = self.side_mut(place);
        let failures = side.failures + 1;
        if side.paused_until.is_none_or(|until| until <= now) {
            side.failures = failures;
            let until = now + self.pause(failures);
            self.side_mut(place).paused_until = Some(until);
        }
        if trouble.is_throttled {
            self.throttled(place, now);
        }
    }

    fn throttled(&mut self, place: Place, now: Instant) {
        let until = now + self.options.retry_most;
        self.side_mut(place).throttled_until = Some(until);
    }

    fn settle_one(&mut self, entry: &CallEntry, result: Entry, now: Instant) -> Option<Report<S>> {
        match result {
            Entry::Stored => Some((self.under_way(entry)?.slip?, Ok(()))),
            Entry::Refused(why) => Some((
                self.under_way(entry)?.slip?,
                Err(Failure::Rejected { code: "refused", why }),
            )),
            Entry::Failed { why, is_throttled } => {
                let trouble = Trouble { why, is_unknown: false, is_throttled };
                let failures = self.note(entry, &trouble, now)?;
                let until = now + self.pause(failures);
                self.make_wait(&entry.lane, until);
                if is_throttled {
                    self.throttled(entry.lane.place, now);
                }
                None
            }
        }
    }

    /// The record of a call that failed may go again as soon as its stream does.
    fn again(&mut self, entry: &CallEntry, trouble: &Trouble, now: Instant) {
        if self.note(entry, trouble, now).is_some() {
            self.make_ready(&entry.lane);
        }
    }

    /// Notes a failure; answers how many there were. None where nobody waits for it any more.
    fn note(&mut self, entry: &CallEntry, trouble: &Trouble, now: Instant) -> Option<u32> {
        let record = self.lanes.get_mut(&entry.lane)?.records.front_mut();
        let record = record.filter(|record| record.number == entry.number)?;
        record.failures += 1;
        record.why = Some(Arc::clone(&trouble.why));
        record.is_unknown |= trouble.is_unknown;
        record.is_throttled = trouble.is_throttled;
        record.due = now;
        let (failures, is_over) = (record.failures, record.slip.is_none());
        if is_over {
            self.pop_first(&entry.lane);
        }
        (!is_over).then_some(failures)
    }

    /// Which of them it is shows when they go in smaller company.
    fn refused(&mut self, entries: Vec<CallEntry>, why: &Arc<str>, now: Instant) -> Vec<Report<S>> {
        let company = entries.len() / 2;
        if company == 0 {
            let each = entries.into_iter();
            let refused = |entry| self.settle_one(&entry, Entry::Refused(Arc::clone(why)), now);
            return each.filter_map(refused).collect();
        }
        let trouble = Trouble { why: Arc::clone(why), is_unknown: false, is_throttled: false };
        for entry in entries {
            if self.note(&entry, &trouble, now).is_some() {
                let first =
                    self.lanes.get_mut(&entry.lane).and_then(|lane| lane.records.front_mut());
                if let Some(record) = first {
                    record.company = company;
                }
                self.make_ready(&entry.lane);
            }
        }
        Vec::new()
    }

    /// Takes the record of a call out of its lane.
    fn under_way(&mut self, entry: &CallEntry) -> Option<super::Record<S>> {
        let first = self.lanes.get(&entry.lane)?.records.front()?;
        if first.number == entry.number { self.pop_first(&entry.lane) } else { None }
    }
}
