//! The life of the thread that tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tidegate_sinks::{Failure, Kind, Message, NO_REVISION, Reports};
use tidegate_storage::manifest::ManifestError;
use tidegate_storage::{Publication, Published, Storage, Told};
use tidegate_types::event_id::Minter;
use tidegate_types::{EventId, Lsn, UnixMillis};
use tidegate_wal::Cursor;

use crate::{NoticeOptions, notice};

/// Publications that are read at once: the manifest is read from its beginning each time.
const MOST: usize = 4096;
/// Between two looks whether it is to end.
const LISTEN: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Run {
    options: NoticeOptions,
    storage: Arc<Storage>,
    cursor: Cursor,
    /// The last publication that was told.
    told: u64,
    stopping: Arc<AtomicBool>,
    minter: Option<Minter>,
}

/// It is to end.
struct Stopped;

impl Run {
    pub(crate) fn new(
        options: NoticeOptions,
        storage: Arc<Storage>,
        (cursor, told): (Cursor, u64),
        stopping: Arc<AtomicBool>,
    ) -> Self {
        Self { options, storage, cursor, told, stopping, minter: Minter::new().ok() }
    }

    /// Until it is told to, or the storage has ended and all is told.
    pub(crate) fn until_stopped(mut self, mut published: Published) {
        // What was published before this start and not told.
        if self.catch_up().is_err() {
            return;
        }
        while let Some(told) = published.blocking_next() {
            let done = match told {
                Told::Published(one) if one.sequence <= self.told => Ok(()),
                Told::Published(one) if one.sequence == self.told + 1 => self.tell(&one),
                Told::Published(_) | Told::Missed(_) => self.catch_up(),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells what the manifest has and the cursor has not.
    fn catch_up(&mut self) -> Result<(), Stopped> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.storage.publications(self.told + 1, MOST) {
                Ok(found) if found.is_empty() => return Ok(()),
                Ok(found) => found.iter().try_for_each(|one| self.tell(one))?,
                Err(error) => {
                    self.complain(&error);
                    self.wait(&mut pause)?;
                }
            }
        }
    }

    fn complain(&self, error: &ManifestError) {
        let sink = self.options.outlet.name().as_str();
        tracing::error!(sink, %error, "publications cannot be read, and nobody is told of them");
    }

    /// Tells one publication until it is acknowledged, and notes that it is.
    fn tell(&mut self, publication: &Publication) -> Result<(), Stopped> {
        if self.is_stopping() {
            return Err(Stopped);
        }
        let mut pause = FIRST_PAUSE;
        while !self.send(publication)? {
            self.wait(&mut pause)?;
        }
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.cursor.write(Lsn(publication.sequence)) {
            tracing::error!(%error, "it cannot be noted what was told");
            self.wait(&mut pause)?;
        }
        self.told = publication.sequence;
        Ok(())
    }

    /// Sends the notices of a publication; answers whether all of them are settled. One that the sink
    /// refuses for good is left out, with a line in the log.
    fn send(&mut self, publication: &Publication) -> Result<bool, Stopped> {
        let Some(minter) = self.minter.as_mut() else {
            self.minter = Minter::new().ok();
            return Ok(false);
        };
        let (node, storage) = (self.options.node.as_str(), self.options.storage.as_str());
        let source = notice::source(node);
        let files = publication.files.iter().enumerate();
        let bodies: Vec<(EventId, &str, Vec<u8>)> = files
            .map(|(number, file)| {
                let body = notice::body((node, storage), publication, number, file);
                (minter.mint(UnixMillis::now()), file.tenant.as_str(), body)
            })
            .collect();
        let messages: Vec<Message<'_>> = bodies
            .iter()
            .map(|(event_id, tenant, body)| Message {
                event_id: *event_id,
                tenant,
                event_type: notice::TYPE,
                source: &source,
                event_time: None,
                partition_key: tenant,
                revision: NO_REVISION,
                traceparent: None,
                kind: Kind::Accepted,
                cloud_event: true,
                body,
                latest: None,
                generation: None,
            })
            .collect();
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let (tell, told) = mpsc::sync_channel::<Reports>(1);
        let outlet = Arc::clone(&self.options.outlet);
        let ticket = outlet.ticket(count, move |reports| drop(tell.send(reports)));
        let mut sent = 0;
        while sent < messages.len() {
            let rest = messages.get(sent..).unwrap_or_default();
            sent += outlet.send(rest, &ticket, u32::try_from(sent).unwrap_or(u32::MAX));
            if sent < messages.len() {
                if self.is_stopping() {
                    return Err(Stopped);
                }
                outlet.sink().wait_for_room(LISTEN);
            }
        }
        drop(ticket);
        let reports = loop {
            match told.recv_timeout(LISTEN) {
                Ok(reports) => break reports,
                Err(mpsc::RecvTimeoutError::Timeout) if !self.is_stopping() => {}
                Err(_) => return Err(Stopped),
            }
        };
        let mut is_settled = true;
        for (_, failure) in reports {
            match failure {
                Failure::Errored { .. } => is_settled = false,
                Failure::Rejected { code, why } => {
                    let (sink, sequence) = (outlet.name().as_str(), publication.sequence);
                    tracing::error!(sink, sequence, code, %why, "a notice of new data is refused");
                }
            }
        }
        Ok(is_settled)
    }

    fn wait(&self, pause: &mut Duration) -> Result<(), Stopped> {
        let mut left = *pause;
        while !left.is_zero() {
            if self.is_stopping() {
                return Err(Stopped);
            }
            let step = left.min(LISTEN);
            std::thread::sleep(step);
            left -= step;
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
