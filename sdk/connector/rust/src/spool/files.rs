//! The files of a spool's folder, each written so that a crash leaves it whole or as it was.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::record::HEADER;
use super::{Position, SpoolError};

const MARK: &str = "TGPOSITION1";

/// The folder, locked for as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, and takes it.
    pub(super) fn take(path: &Path) -> Result<Self, SpoolError> {
        let failed = |error: io::Error| SpoolError::Failed(format!("{}: {error}", path.display()));
        fs::create_dir_all(path).map_err(failed)?;
        let lock = OpenOptions::new().create(true).append(true).open(path.join("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:010}.segment"))
    }

    /// The numbers of all segments, in order.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".segment"));
            let number = digits.filter(|digits| digits.len() == 10).map(str::parse::<u64>);
            numbers.extend(number.and_then(Result::ok));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn open_segment(&self, number: u64) -> io::Result<File> {
        File::open(self.segment(number))
    }

    /// An empty segment, durable, to append to.
    pub(super) fn create_segment(&self, number: u64) -> io::Result<File> {
        let path = self.segment(number);
        // What a crash left of its header must not stand before it.
        File::create(&path)?;
        let mut file = OpenOptions::new().append(true).open(&path)?;
        file.write_all(&HEADER)?;
        file.sync_all()?;
        self.sync()?;
        Ok(file)
    }

    /// A segment to append to, cut to a length, all of it durable.
    pub(super) fn cut_segment(&self, number: u64, length: u64) -> io::Result<File> {
        let file = OpenOptions::new().append(true).open(self.segment(number))?;
        file.set_len(length)?;
        file.sync_all()?;
        self.sync()?;
        Ok(file)
    }

    /// Deletes a segment, if it is there.
    pub(super) fn remove_segment(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.segment(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn read_position(&self) -> Result<Option<Position>, SpoolError> {
        let path = self.path.join("position");
        let damaged = || {
            SpoolError::Damaged(format!("the position in {} cannot be read", self.path.display()))
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Err(damaged()),
        };
        let line = text.strip_suffix('\n').ok_or_else(damaged)?;
        let words: Vec<&str> = line.split(' ').collect();
        let [MARK, segment, offset] = words.as_slice() else { return Err(damaged()) };
        match (segment.parse(), offset.parse()) {
            (Ok(segment), Ok(offset)) => Ok(Some(Position { segment, offset })),
            _ => Err(damaged()),
        }
    }

    pub(super) fn write_position(&self, position: Position) -> io::Result<()> {
        let new = self.path.join("position.new");
        let mut file = File::create(&new)?;
        file.write_all(format!("{MARK} {} {}\n", position.segment, position.offset).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join("position"))?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
