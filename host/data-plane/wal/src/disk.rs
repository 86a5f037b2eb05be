//! The operations on files that make something durable, behind a trait so that tests can make each
//! of them fail or lose power.
//!
//! Reading is not here: what was read is checked by its CRC.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// What the log asks of a file system.
pub trait Disk: Send + Sync {
    /// Makes a new file of `bytes` zeros whose room is reserved, so that writes within it need no
    /// more. Replaces a file of that name. Not durable before [`Disk::sync_data`].
    ///
    /// # Errors
    /// Those of the file system; without room a part of the file may be left over.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File>;

    /// Writes all of `bytes` at an offset.
    ///
    /// # Errors
    /// Those of the file system; a part may have been written.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes a part of a file zeros again, without needing room. The file keeps its length.
    ///
    /// # Errors
    /// Those of the file system.
    fn erase(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()>;

    /// Returns once the file's content and length are on the disk. After an error the content is
    /// unknown and another try may falsely succeed.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// # Errors
    /// Those of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns once the names in a directory are on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Bytes that are free for us on the file system of a directory.
    ///
    /// # Errors
    /// Those of the file system.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        if bytes > 0 {
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&file, 0, bytes)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn erase(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(file, how, offset, bytes) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, offset, bytes),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

fn write_zeros(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let part = zeros.get(..(bytes - at).min(1 << 20) as usize).unwrap_or(&zeros);
        file.write_all_at(part, offset + at)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// Is it want of room, which may come back, and no fault of the disk?
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
