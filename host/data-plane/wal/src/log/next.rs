//! The next segment, made ready by a thread of its own, so that the writer never waits for room to
//! be reserved unless it is faster than that.
//!
//! Where there is no room (disk, low-water mark, or the log's own budget) the thread waits until it
//! is asked again: each append that needs a segment asks, and so does each truncation. That is how
//! the log recovers from a full disk by itself.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::is_full;
use crate::log::shared::Shared;
use crate::segment::{self, Header};

/// A segment that is on the disk under its name and has no frames yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) file: File,
    pub(crate) sequence: u64,
    pub(crate) id: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
enum State {
    Wanted,
    Ready(Prepared),
    /// The last try found no room.
    Full,
    Stopped,
}

/// Why there is no next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSegment {
    Full,
    Stopped,
}

/// The place where the next segment is handed over.
#[derive(Debug)]
pub(crate) struct Next {
    state: Mutex<State>,
    changed: Condvar,
}

impl Next {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Wanted), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        let mut current = self.lock();
        if !matches!(*current, State::Stopped) {
            *current = state;
        }
        drop(current);
        self.changed.notify_all();
    }

    fn wait_while(&self, condition: fn(&mut State) -> bool) -> MutexGuard<'_, State> {
        let woken = self.changed.wait_while(self.lock(), condition);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for another try where the last one found no room.
    pub(crate) fn retry(&self) {
        let mut state = self.lock();
        if matches!(*state, State::Full) {
            *state = State::Wanted;
            self.changed.notify_all();
        }
    }

    /// Takes the next segment, and has another one made. Waits for one try at most.
    pub(crate) fn take(&self) -> Result<Prepared, NoSegment> {
        self.retry();
        let mut state = self.wait_while(|state| matches!(state, State::Wanted));
        let taken = std::mem::replace(&mut *state, State::Wanted);
        match taken {
            State::Ready(prepared) => {
                drop(state);
                self.changed.notify_all();
                Ok(prepared)
            }
            State::Full | State::Wanted => {
                *state = State::Full;
                Err(NoSegment::Full)
            }
            State::Stopped => {
                *state = State::Stopped;
                Err(NoSegment::Stopped)
            }
        }
    }

    pub(crate) fn stop(&self) {
        *self.lock() = State::Stopped;
        self.changed.notify_all();
    }
}

/// The thread's life: one segment after the other, until stopped.
pub(crate) fn run(shared: &Arc<Shared>, mut sequence: u64) {
    let _watch = shared.watch_for_panic();
    loop {
        let state = shared.next.wait_while(|state| matches!(state, State::Ready(_) | State::Full));
        if matches!(*state, State::Stopped) {
            return;
        }
        drop(state);
        match prepare(shared, sequence) {
            Ok(Some(prepared)) => {
                sequence += 1;
                shared.next.set(State::Ready(prepared));
            }
            Ok(None) => shared.next.set(State::Full),
            Err(error) => {
                shared.next.stop();
                shared.fatal("prepare a segment", &error);
                return;
            }
        }
    }
}

/// Makes a segment; `None` where there is no room.
fn prepare(shared: &Shared, sequence: u64) -> io::Result<Option<Prepared>> {
    let options = &shared.options;
    let bytes = options.segment_bytes;
    let allocated = shared.allocated_bytes.load(Ordering::Relaxed);
    let free = options.disk.free_bytes(&options.directory)?;
    if allocated + bytes > options.max_bytes || free < options.low_water_bytes + bytes {
        return Ok(None);
    }
    let id = segment::new_id()?;
    let durable = segment::HEADER_BYTES as u64;
    let header = Header { sequence, id, durable, replaces: None, bytes };
    match segment::create(&*options.disk, &options.directory, &header, &[]) {
        Ok(file) => {
            shared.allocated_bytes.fetch_add(bytes, Ordering::Relaxed);
            Ok(Some(Prepared { file, sequence, id, bytes }))
        }
        Err(error) if is_full(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
