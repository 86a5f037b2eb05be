//! Which appends may be in the log without being committed. The least position among them is where
//! the log has to be read from should this process end now.
//!
//! An append's own position is known only when it is durable, so the durable end at the moment before
//! stands for it: what is appended later stands after it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tidegate_dedup::AppendToken;
use tidegate_types::Lsn;
use tidegate_wal::Wal;

pub(super) struct Appends {
    state: Mutex<State>,
    /// Something is to be made up for.
    pub(super) failed: tokio::sync::Notify,
}

struct State {
    next: u64,
    /// Under way; positions ascend with the tokens.
    running: BTreeMap<AppendToken, Lsn>,
    /// To be read from the log now.
    due: Option<Lsn>,
    /// To be read from the log at that time.
    later: Option<(Lsn, Instant)>,
    /// Being read from the log.
    reading: Option<Lsn>,
}

fn least(one: Option<Lsn>, other: Option<Lsn>) -> Option<Lsn> {
    one.into_iter().chain(other).min()
}

impl Appends {
    /// What stands at `from` and after it is to be read from the log first of all.
    pub(super) fn new(from: Lsn) -> Self {
        let running = BTreeMap::new();
        let state = State { next: 0, running, due: Some(from), later: None, reading: None };
        Self { state: Mutex::new(state), failed: tokio::sync::Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, wal: &Wal) -> AppendToken {
        let mut state = self.lock();
        let token = AppendToken(state.next);
        state.next += 1;
        // Under the lock, so that positions ascend.
        state.running.insert(token, wal.durable_end());
        token
    }

    pub(super) fn end(&self, token: AppendToken) {
        self.lock().running.remove(&token);
    }

    /// The append is to be read from the log, not before `at`.
    pub(super) fn commit_later(&self, token: AppendToken, at: Instant) {
        let mut state = self.lock();
        let Some(from) = state.running.remove(&token) else { return };
        if at <= Instant::now() {
            state.due = least(state.due, Some(from));
        } else {
            let (before, when) = state.later.map_or((from, at), |(lsn, when)| (lsn, when));
            state.later = Some((before.min(from), when.max(at)));
        }
        drop(state);
        self.failed.notify_one();
    }

    /// From where the log is to be read now, where it is. [`Self::read`] has to follow.
    pub(super) fn take(&self, now: Instant) -> Option<Lsn> {
        let mut state = self.lock();
        if let Some((from, _)) = state.later.take_if(|(_, at)| *at <= now) {
            state.due = least(state.due, Some(from));
        }
        let due = state.due.take();
        state.reading = due;
        due
    }

    /// The log was read: to its end, or up to a position from where it has to be read again.
    pub(super) fn read(&self, again_from: Option<Lsn>) {
        let mut state = self.lock();
        state.reading = None;
        state.due = least(state.due, again_from);
    }

    /// The position below which everything is committed.
    pub(super) fn settled(&self, wal: &Wal) -> Lsn {
        // Before the lock: what begins after this stands at this position or after it.
        let end = wal.durable_end();
        let state = self.lock();
        let running = state.running.first_key_value().map(|(_, lsn)| *lsn);
        let later = state.later.map(|(lsn, _)| lsn);
        let open = [running, state.due, later, state.reading];
        open.into_iter().flatten().fold(end, Lsn::min)
    }

    /// How many appends are not known to be committed; a reading of the log counts as one.
    pub(super) fn open(&self) -> u64 {
        let state = self.lock();
        let reading = state.due.or(state.reading).or(state.later.map(|(lsn, _)| lsn));
        state.running.len() as u64 + u64::from(reading.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_types::{Digest, EventId};
    use tidegate_wal::{Record, RecordBatch, Stored, WalOptions};

    use super::*;

    fn append(wal: &Wal) {
        let mut batch = RecordBatch::default();
        let record = Record {
            event_id: EventId([1; 16]),
            status: Stored::Accepted,
            tenant: "acme",
            event_type: "event",
            revision: Digest([0; 32]),
            key: None,
            event_time: None,
            original: b"{}",
            patches: b"",
            findings: b"",
            context: b"",
        };
        batch.push(&record).unwrap();
        wal.append_blocking(batch).unwrap();
    }

    #[test]
    fn the_least_position_that_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = WalOptions::new(folder.path());
        (options.segment_bytes, options.max_bytes) = (64 << 10, 1 << 20);
        (options.group_bytes, options.queue_bytes) = (4 << 10, 64 << 10);
        options.low_water_bytes = 0;
        let (wal, _) = Wal::open(options, &mut |_| {}).unwrap();
        let appends = Appends::new(Lsn(0));
        let now = Instant::now();
        append(&wal);
        assert_eq!(appends.settled(&wal), Lsn(0), "nothing has been read yet");
        assert_eq!(appends.take(now), Some(Lsn(0)));
        assert_eq!(appends.settled(&wal), Lsn(0), "it is being read");
        appends.read(None);
        assert_eq!((appends.settled(&wal), appends.open()), (Lsn(1), 0));

        let first = appends.begin(&wal);
        append(&wal);
        let second = appends.begin(&wal);
        append(&wal);
        assert_eq!((appends.settled(&wal), appends.open()), (Lsn(1), 2));
        appends.end(second);
        assert_eq!(appends.settled(&wal), Lsn(1));
        appends.end(first);
        assert_eq!(appends.settled(&wal), Lsn(3));

        let failed = appends.begin(&wal);
        append(&wal);
        appends.commit_later(failed, now);
        assert_eq!((appends.take(now), appends.settled(&wal)), (Some(Lsn(3)), Lsn(3)));
        appends.read(Some(Lsn(3)));
        assert_eq!((appends.take(now), appends.settled(&wal)), (Some(Lsn(3)), Lsn(3)));
        appends.read(None);
        assert_eq!(appends.settled(&wal), Lsn(4));

        let (abandoned, hour) = (appends.begin(&wal), now + Duration::from_secs(3600));
        appends.commit_later(abandoned, hour);
        append(&wal);
        assert_eq!((appends.take(now), appends.settled(&wal)), (None, Lsn(4)));
        assert_eq!((appends.take(hour), appends.settled(&wal)), (Some(Lsn(4)), Lsn(4)));
        appends.read(None);
        assert_eq!((appends.settled(&wal), appends.open()), (Lsn(5), 0));
    }
}
