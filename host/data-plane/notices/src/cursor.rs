//! Up to which publication notices were acknowledged: a file with one number, replaced as a whole.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::NoticeError;

/// The cursor of one storage.
#[derive(Debug)]
pub(crate) struct Cursor {
    path: PathBuf,
    told: u64,
}

impl Cursor {
    /// The cursor of an earlier start, where there is one.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, NoticeError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(NoticeError::Cursor { path: path.to_owned(), source }),
        };
        match text.trim().parse() {
            Ok(told) => Ok(Some(Self { path: path.to_owned(), told })),
            Err(_) => Err(NoticeError::NoCursor { path: path.to_owned(), text }),
        }
    }

    /// A new one: everything up to this publication counts as told.
    pub(crate) fn begin(path: &Path, told: u64) -> Result<Self, NoticeError> {
        let mut cursor = Self { path: path.to_owned(), told };
        cursor.tell(told)?;
        Ok(cursor)
    }

    /// The last publication that was told.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// Everything up to this one was. A crash leaves the number of before, or this one.
    pub(crate) fn tell(&mut self, told: u64) -> Result<(), NoticeError> {
        let new = self.path.with_extension("new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(format!("{told}\n").as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        };
        write().map_err(|source| NoticeError::Cursor { path: self.path.clone(), source })?;
        self.told = told;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_after_a_restart_and_nothing_else_is_taken_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notices.position");
        assert!(Cursor::open(&path).expect("none").is_none());
        let mut cursor = Cursor::begin(&path, 3).expect("made");
        cursor.tell(7).expect("told");
        assert_eq!(Cursor::open(&path).expect("there").map(|cursor| cursor.told()), Some(7));
        std::fs::write(&path, "seven").expect("written");
        let error = Cursor::open(&path).expect_err("it is none");
        assert!(error.to_string().contains("is no cursor"), "{error}");
    }
}
