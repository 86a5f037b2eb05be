//! A disk that counts what it is asked, can be made to fail, and can be stopped at a sync.
//! Its syncs take no time, since no test here takes the power away from the real machine.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tidegate_wal::disk::{Disk, SystemDisk};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Create,
    Write,
    Erase,
    Sync,
    Rename,
    Remove,
    SyncDirectory,
}

#[derive(Default)]
struct State {
    counts: HashMap<Op, u64>,
    /// The error number that each operation answers.
    failing: HashMap<Op, i32>,
    /// Syncs wait while this is set.
    stopped: bool,
    /// A thread waits in a sync.
    at_gate: bool,
    /// What was written and synced, in order.
    order: Vec<Op>,
}

pub(crate) struct TestDisk {
    state: Mutex<State>,
    changed: Condvar,
    free: AtomicU64,
}

impl Default for TestDisk {
    fn default() -> Self {
        let free = AtomicU64::new(u64::MAX / 2);
        Self { state: Mutex::default(), changed: Condvar::new(), free }
    }
}

impl TestDisk {
    /// From now on an operation fails with an error number, or works again.
    pub(crate) fn fail(&self, op: Op, error: Option<rustix::io::Errno>) {
        let mut state = self.state.lock().unwrap();
        match error {
            Some(error) => state.failing.insert(op, error.raw_os_error()),
            None => state.failing.remove(&op),
        };
    }

    pub(crate) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn count(&self, op: Op) -> u64 {
        self.state.lock().unwrap().counts.get(&op).copied().unwrap_or(0)
    }

    /// Blocks until an operation was begun so many times.
    pub(crate) fn wait_for(&self, op: Op, count: u64) {
        let state = self.state.lock().unwrap();
        let less = |state: &mut State| state.counts.get(&op).copied().unwrap_or(0) < count;
        self.wait(state, less);
    }

    /// Has syncs wait, or go on.
    pub(crate) fn stop_syncs(&self, stopped: bool) {
        self.state.lock().unwrap().stopped = stopped;
        self.changed.notify_all();
    }

    /// Blocks until a thread waits in a sync.
    pub(crate) fn wait_for_gate(&self) {
        let state = self.state.lock().unwrap();
        self.wait(state, |state| !state.at_gate);
    }

    fn wait(&self, state: MutexGuard<'_, State>, condition: impl FnMut(&mut State) -> bool) {
        let woken = self.changed.wait_timeout_while(state, LONG, condition).unwrap();
        assert!(!woken.1.timed_out(), "what the test waits for has not happened");
    }

    /// Writes and ended syncs since the last call.
    pub(crate) fn take_order(&self) -> Vec<Op> {
        std::mem::take(&mut self.state.lock().unwrap().order)
    }

    fn begin(&self, op: Op) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        *state.counts.entry(op).or_default() += 1;
        self.changed.notify_all();
        if op == Op::Write {
            state.order.push(op);
        }
        if op == Op::Sync {
            state.at_gate = state.stopped;
            self.changed.notify_all();
            // A test that has failed does not open the gate any more.
            state = self.changed.wait_timeout_while(state, LONG, |state| state.stopped).unwrap().0;
            state.at_gate = false;
            state.order.push(op);
        }
        state.failing.get(&op).map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(*error)))
    }
}

impl Disk for TestDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        self.begin(Op::Create)?;
        SystemDisk.create(path, bytes)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.begin(Op::Write) {
            // As a real disk may: the first half is there.
            SystemDisk.write_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        SystemDisk.write_at(file, bytes, offset)
    }

    fn erase(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        self.begin(Op::Erase)?;
        SystemDisk.erase(file, offset, bytes)
    }

    fn sync_data(&self, _file: &File) -> io::Result<()> {
        self.begin(Op::Sync)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(Op::Rename)?;
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin(Op::Remove)?;
        SystemDisk.remove(path)
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        self.begin(Op::SyncDirectory)
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}
