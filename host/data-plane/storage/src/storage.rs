//! Opening a storage, and the handle of a storage that runs.

pub(crate) mod bucket;
pub(crate) mod options;

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::log as metrics;
use tidegate_types::Lsn;
use tidegate_wal::Wal;

use self::options::{OpenError, StorageOptions};
use crate::layout::Layouts;
use crate::manifest::{self, Entry, FileEntry, Manifest, ManifestError};
use crate::place::Place;
use crate::place::disk::{Disk, sync_folder};
use crate::publish::notice::{Announcer, Listeners, Publication, Published};
use crate::publish::partition::DataSet;
use crate::publish::{Publisher, Steps, orphans};
use crate::quarantine::Quarantine;
use crate::quarantine::settled::{LoadError, Settled};
use crate::read::StoredEvents;
use crate::worker::Worker;
use crate::worker::shared::Shared;
use crate::worker::thread::{Pauses, start};

/// Held by the process that writes to a storage folder.
const LOCK_NAME: &str = "LOCK";

/// A storage that is opened and waits for its log.
pub struct Opened {
    options: StorageOptions,
    layouts: Arc<dyn Layouts>,
    place: Arc<dyn Place>,
    manifest: Manifest,
    announcer: Announcer,
    published: HashSet<String>,
    /// The published files of decisions.
    decisions: Vec<FileEntry>,
    /// The folder of the manifest.
    own: PathBuf,
    lock: File,
    steps: Steps,
}

/// A storage that runs: the handle of its thread. Dropping it ends the thread after the publication
/// under way; what is not published stays in the log.
pub struct Storage {
    shared: Arc<Shared>,
    wal: Wal,
    thread: Mutex<Option<JoinHandle<()>>>,
    quarantine: Quarantine,
    listeners: Listeners,
    /// The folder of the manifest that this process writes.
    own: PathBuf,
    /// The sequence of the last entry when it was opened.
    before: u64,
    /// Keeps the folder locked.
    _lock: File,
}

/// What a storage has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageStats {
    /// The first record that is not published.
    pub published_end: Lsn,
    /// Published files, their rows and bytes, since the folder was made. A release has two rows.
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Durable records that are not published yet.
    pub lag: u64,
    /// Why the last try failed; `None` while all is well.
    pub failing: Option<String>,
    /// Failed tries since the start.
    pub failures: u64,
    /// The thread is there. `false` after closing, or after a panic.
    pub running: bool,
}

/// Why a flush did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    #[error("not all is published in time{}", why(.failing.as_deref()))]
    Timeout { failing: Option<String> },
    #[error("the storage is closed")]
    Closed,
}

fn why(failing: Option<&str>) -> String {
    failing.map_or_else(String::new, |failing| format!(": {failing}"))
}

impl Storage {
    /// Opens or makes a storage: locks its folder and reads its manifest. Answers the position from
    /// which the log is needed. Nothing is removed before [`Opened::start`] has seen that the log
    /// has it. Where the files are in a bucket, that must be within reach.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(
        options: StorageOptions,
        layouts: Arc<dyn Layouts>,
    ) -> Result<(Opened, Lsn), OpenError> {
        Opened::with_steps(options, layouts, Steps::unhindered())
    }

    /// Publishes all that is durable in the log now. Blocks; answers the first position that is
    /// not published.
    ///
    /// # Errors
    /// [`FlushError`]; after a timeout the storage goes on trying.
    pub fn flush(&self, timeout: Duration) -> Result<Lsn, FlushError> {
        let end = self.wal.durable_end();
        self.shared.ask(end);
        let state = self.shared.wait(timeout, |state| state.published_end >= end || state.ended);
        if state.published_end >= end {
            Ok(state.published_end)
        } else if state.ended {
            Err(FlushError::Closed)
        } else {
            Err(FlushError::Timeout { failing: state.failing })
        }
    }

    /// Reads what is stored, also after closing.
    #[must_use]
    pub fn events(&self) -> StoredEvents {
        self.quarantine.events()
    }

    /// Tells every publication from now on, each after readers find it. Who is slow holds nobody up,
    /// and is told how many were missed. After closing there are none.
    #[must_use]
    pub fn published(&self) -> Published {
        self.listeners.listen()
    }

    /// The sequence of the last publication before this start; 0 for none.
    #[must_use]
    pub fn published_before(&self) -> u64 {
        self.before
    }

    /// What was published, from the publication with this sequence on, as the manifest has it; at most so
    /// many. Blocks, and reads the manifest from its beginning: for those who come late.
    ///
    /// # Errors
    /// [`ManifestError`]
    pub fn publications(&self, from: u64, most: usize) -> Result<Vec<Publication>, ManifestError> {
        let mut found = Vec::new();
        let mut each = |entry: Entry, _| {
            if entry.sequence >= from && found.len() < most {
                found.push(Publication::from(entry));
            }
        };
        manifest::scan(&self.own.join(manifest::FILE_NAME), &mut each)?;
        Ok(found)
    }

    /// The events that a rule holds.
    #[must_use]
    pub fn quarantine(&self) -> Quarantine {
        self.quarantine.clone()
    }

    /// How far the storage is.
    #[must_use]
    pub fn stats(&self) -> StorageStats {
        let state = self.shared.state();
        StorageStats {
            published_end: state.published_end,
            files: state.totals.files,
            rows: state.totals.rows,
            bytes: state.totals.bytes,
            lag: self.wal.durable_end().0.saturating_sub(state.published_end.0),
            failing: state.failing,
            failures: state.failures,
            running: !state.ended,
        }
    }

    /// Tells the same.
    pub fn report(&self, page: &mut Page) {
        let stats = self.stats();
        page.put(&metrics::PUBLISHED_END, &[], stats.published_end.0);
        page.put(&metrics::STORAGE_LAG, &[], stats.lag);
        page.put(&metrics::FILES, &[], stats.files);
        page.put(&metrics::ROWS, &[], stats.rows);
        page.put(&metrics::STORAGE_FAILING, &[], stats.failing.is_some() || !stats.running);
    }

    /// Ends the thread after the publication under way. Call [`Storage::flush`] first to leave
    /// nothing to the next start. Blocks.
    pub fn close(&self) {
        self.shared.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("storage thread panicked");
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.close();
    }
}

impl Opened {
    pub(crate) fn with_steps(
        options: StorageOptions,
        layouts: Arc<dyn Layouts>,
        mut steps: Steps,
    ) -> Result<(Self, Lsn), OpenError> {
        options.check()?;
        let folder = &options.folder;
        make_root(folder).map_err(failed("make", folder))?;
        let lock = lock(folder)?;
        let (place, own) = place(&options)?;
        let (mut published, mut decisions) = (HashSet::new(), Vec::new());
        let mut collect = |entry: Entry| {
            for file in entry.files {
                published.insert(file.path.clone());
                if file.path.starts_with(DataSet::Dispositions.folder()) {
                    decisions.push(file);
                }
            }
        };
        let manifest = Manifest::open(&own, &mut collect, &mut steps)?;
        let manifest = manifest.announced_at(Arc::clone(&place));
        let (next, announcer) = (manifest.next_lsn(), Announcer::new());
        let opened = Self {
            options,
            layouts,
            place,
            manifest,
            announcer,
            published,
            decisions,
            own,
            lock,
            steps,
        };
        Ok((opened, next))
    }

    /// Checks that the log continues what is published, removes orphans, and starts the thread.
    ///
    /// # Errors
    /// [`OpenError::LogBehind`] and [`OpenError::Log`] where log and storage do not belong
    /// together, and no file was removed; [`OpenError::Io`].
    pub fn start(self, wal: Wal) -> Result<Storage, OpenError> {
        let (folder, pauses) = (self.options.folder.clone(), Pauses::of(&self.options));
        let shared = Arc::new(Shared::default());
        let (place, index) = (Arc::clone(&self.place), self.manifest.index());
        let (next, max_settled) = (self.manifest.next_lsn(), self.options.max_settled);
        let (decisions, listeners) = (self.decisions.clone(), self.announcer.listeners());
        let (own, before) = (self.own.clone(), self.manifest.next_sequence() - 1);
        let (worker, lock) = self.into_worker(wal.clone(), Arc::clone(&shared))?;
        let settled = Settled::load(&place, &decisions, &wal, next, max_settled);
        let settled = settled.map_err(|error| match error {
            LoadError::Read(error) => OpenError::Settled(error),
            LoadError::Full => OpenError::TooManySettled { max: max_settled },
        })?;
        let stored = StoredEvents::new(place, index, wal.clone());
        let quarantine = Quarantine::new(stored, Arc::new(settled), wal.clone());
        let thread = start(worker, Arc::clone(&shared), pauses);
        let thread = Mutex::new(Some(thread.map_err(failed("start the thread of", &folder))?));
        Ok(Storage { shared, wal, thread, quarantine, listeners, own, before, _lock: lock })
    }

    /// All of [`Opened::start`] but the thread. The folder is locked as long as the file is open.
    pub(crate) fn into_worker(
        self,
        wal: Wal,
        shared: Arc<Shared>,
    ) -> Result<(Worker, File), OpenError> {
        let Self { options, layouts, place, manifest, announcer, published, lock, steps, .. } =
            self;
        let next = manifest.next_lsn();
        let end = wal.durable_end();
        if end < next {
            return Err(OpenError::LogBehind { end, next });
        }
        // What an entry names is gone for good where the entry was lost and the log has been
        // truncated since: look before removing.
        wal.reader(next).next().map_err(|source| OpenError::Log { next, source })?;
        let orphans = orphans::remove(&*place, published)?;
        let name = place.name("");
        if orphans.missing > 0 {
            let place = name.display();
            tracing::error!(%place, missing = orphans.missing, "published files are missing");
        }
        tracing::info!(place = %name.display(), %next, removed = orphans.removed, "storage opened");
        let publisher = Publisher::new(place, manifest, announcer, steps);
        Ok((Worker::new(wal, publisher, &options, layouts, shared), lock))
    }
}

/// Where the files are, and the folder of the manifest that this process writes.
fn place(options: &StorageOptions) -> Result<(Arc<dyn Place>, PathBuf), OpenError> {
    let folder = &options.folder;
    match &options.bucket {
        None => Ok((Arc::new(Disk::new(folder)), folder.clone())),
        #[cfg(feature = "s3")]
        Some(bucket) => {
            let (place, own) = crate::place::s3::open(bucket, folder)?;
            Ok((Arc::new(place), own))
        }
        #[cfg(not(feature = "s3"))]
        Some(_) => Err(OpenError::WithoutS3),
    }
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { what, path: path.to_owned(), source }
}

/// Makes the folder, its own name durable too.
fn make_root(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let parents = folder.canonicalize()?;
    parents.ancestors().skip(1).take(1).try_for_each(sync_folder)
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK_NAME);
    let file = File::create(&path).map_err(failed("make", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}
