//! New data, told outside: a notice for each published file, in the order of the manifest, to a sink.
//!
//! A cursor says up to which publication notices were acknowledged. After a start, and where publications
//! went by faster than notices, it goes on from the manifest: no publication is left out. What was told and
//! not yet noted is told again after a crash, under the same `id`. A notice that the sink refuses for good
//! is told in the log alone. A sink that is down holds up notices alone.
//!
//! The first time it begins with what is published from then on; with a cursor that is damaged, or of
//! another storage, with all that there is.

mod notice;
mod run;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tidegate_sinks::Outlet;
use tidegate_storage::Storage;
use tidegate_types::Lsn;
use tidegate_wal::Cursor;

use run::Run;

/// Whom to tell, and how the node and its files are called.
pub struct NoticeOptions {
    pub outlet: Arc<Outlet>,
    /// This node's name.
    pub node: String,
    /// What paths of files are relative to: a folder, or `s3://BUCKET/PREFIX`.
    pub storage: String,
    /// The file of the cursor.
    pub cursor: PathBuf,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    #[error("cannot write {path}: {source}", path = path.display())]
    Cursor { path: PathBuf, source: std::io::Error },
    #[error("the thread for notices cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The thread that tells.
pub struct Notices {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Notices {
    /// Begins to tell.
    ///
    /// # Errors
    /// [`NoticeError`]
    pub fn start(options: NoticeOptions, storage: Arc<Storage>) -> Result<Self, NoticeError> {
        // Listening first: what is published while the manifest is read is told as well.
        let published = storage.published();
        let is_first = !options.cursor.exists();
        let about = ["notices", &options.node, &options.storage];
        let (mut cursor, told) = Cursor::open(options.cursor.clone(), &about);
        let last = storage.published_before();
        let told = match told.0 {
            _ if is_first => last,
            // Of another storage: everything of this one is new.
            told if told > last => 0,
            told => told,
        };
        if is_first {
            let path = options.cursor.clone();
            cursor.write(Lsn(told)).map_err(|source| NoticeError::Cursor { path, source })?;
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let run = Run::new(options, storage, (cursor, told), Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("notices".to_owned())
            .spawn(move || run.until_stopped(published))
            .map_err(NoticeError::Thread)?;
        Ok(Self { stopping, thread: Some(thread) })
    }

    /// Ends, with the publication under way: to be called after the storage was closed, since the thread
    /// waits for it. What was not acknowledged by then is told after the next start. Blocks.
    pub fn close(mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for notices panicked");
        }
    }
}
