//! A disk whose power can go away: what was not synced is then there, or not, sector by sector.
//!
//! Names follow the same rule: of the operations on names since the last sync of the directory, the
//! last ones are undone, and any deletion may be.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_wal::disk::{Disk, SystemDisk};

const SECTOR_BYTES: usize = 512;

/// How to undo a write.
struct Unsynced {
    file: File,
    inode: u64,
    offset: u64,
    before: Vec<u8>,
}

/// How to undo an operation on names.
enum Name {
    Created(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, over: Option<PathBuf> },
    Removed { path: PathBuf, kept: PathBuf },
}

#[derive(Default)]
struct State {
    writes: Vec<Unsynced>,
    names: Vec<Name>,
    operations: u64,
    off: bool,
    /// Where deleted files are kept until their deletion is durable.
    kept: u64,
}

/// What the power cut does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The process alone was killed: everything stays.
    Process,
    /// By chance.
    Power { seed: u64 },
}

pub(crate) struct PowerDisk {
    state: Mutex<State>,
    /// How many operations still work.
    lasts: AtomicU64,
    /// A directory on the same file system, outside of the log.
    shelf: PathBuf,
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl PowerDisk {
    /// A disk that goes away after so many operations.
    pub(crate) fn new(shelf: &Path, lasts: u64) -> Self {
        Self { state: Mutex::default(), lasts: AtomicU64::new(lasts), shelf: shelf.to_owned() }
    }

    /// Was there an operation that found no power?
    pub(crate) fn is_off(&self) -> bool {
        self.state.lock().unwrap().off
    }

    fn begin(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state.lock().unwrap();
        state.operations += 1;
        if state.off || state.operations > self.lasts.load(Ordering::SeqCst) {
            state.off = true;
            return Err(gone());
        }
        Ok(state)
    }

    fn remember(state: &mut State, file: &File, offset: u64, bytes: usize) -> io::Result<()> {
        let mut before = vec![0; bytes];
        let mut read = 0;
        while read < bytes {
            match file.read_at(&mut before[read..], offset + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        let inode = file.metadata()?.ino();
        state.writes.push(Unsynced { file: file.try_clone()?, inode, offset, before });
        Ok(())
    }

    fn keep(&self, state: &mut State, path: &Path) -> io::Result<PathBuf> {
        state.kept += 1;
        let kept = self.shelf.join(format!("{}", state.kept));
        if kept.exists() {
            std::fs::remove_file(&kept)?;
        }
        std::fs::hard_link(path, &kept)?;
        Ok(kept)
    }

    /// Takes the power away for good and does to the files what that does.
    pub(crate) fn cut(&self, cut: Cut) {
        let mut state = self.state.lock().unwrap();
        state.off = true;
        let Cut::Power { seed } = cut else { return };
        let mut chance = Chance(seed);
        for write in std::mem::take(&mut state.writes).iter().rev() {
            for (at, sector) in (0..).step_by(SECTOR_BYTES).zip(write.before.chunks(SECTOR_BYTES)) {
                if chance.below(2) == 0 {
                    write.file.write_all_at(sector, write.offset + at).unwrap();
                }
            }
        }
        let names = std::mem::take(&mut state.names);
        let stay = chance.below(names.len() as u64 + 1) as usize;
        for (at, name) in names.iter().enumerate().rev() {
            let undone = at >= stay;
            match name {
                Name::Created(path) if undone => std::fs::remove_file(path).unwrap(),
                Name::Renamed { from, to, over } if undone => {
                    std::fs::rename(to, from).unwrap();
                    if let Some(over) = over {
                        std::fs::hard_link(over, to).unwrap();
                    }
                }
                Name::Removed { path, kept } if undone || chance.below(2) == 0 => {
                    if !path.exists() {
                        std::fs::hard_link(kept, path).unwrap();
                    }
                }
                Name::Created(_) | Name::Renamed { .. } | Name::Removed { .. } => {}
            }
        }
    }
}

/// splitmix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

impl Disk for PowerDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let mut state = self.begin()?;
        if path.exists() {
            // Left over by a crash and made anew: undone as a deletion.
            let kept = self.keep(&mut state, path)?;
            SystemDisk.remove(path)?;
            state.names.push(Name::Removed { path: path.to_owned(), kept });
        }
        let file = SystemDisk.create(path, bytes)?;
        state.names.push(Name::Created(path.to_owned()));
        Ok(file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.begin()?;
        Self::remember(&mut state, file, offset, bytes.len())?;
        SystemDisk.write_at(file, bytes, offset)
    }

    fn erase(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        let mut state = self.begin()?;
        Self::remember(&mut state, file, offset, bytes as usize)?;
        SystemDisk.erase(file, offset, bytes)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let mut state = self.begin()?;
        let inode = file.metadata()?.ino();
        state.writes.retain(|write| write.inode != inode);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let over = if to.exists() { Some(self.keep(&mut state, to)?) } else { None };
        SystemDisk.rename(from, to)?;
        state.names.push(Name::Renamed { from: from.to_owned(), to: to.to_owned(), over });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let kept = self.keep(&mut state, path)?;
        SystemDisk.remove(path)?;
        state.names.push(Name::Removed { path: path.to_owned(), kept });
        Ok(())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        self.begin()?.names.clear();
        Ok(())
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        Ok(u64::MAX / 2)
    }
}
