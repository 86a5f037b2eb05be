//! A durable position in the log: how far somebody has come who reads it.
//!
//! A file of 36 bytes, written anew and renamed each time. All integers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `TGCOMMIT` |
//! | 8 | 4 | CRC-32C of everything after this field |
//! | 12 | 8 | the position |
//! | 20 | 16 | the first half of SHA-256 over what it is about: its names, each but the last after its length in 8 bytes |
//!
//! A file that is missing, damaged, or about something else counts as the beginning of the log: who
//! reads does more than is needed once again.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tidegate_types::{Digest, Lsn};

const MAGIC: [u8; 8] = *b"TGCOMMIT";
const BYTES: usize = 36;

/// The file and what it says.
#[derive(Clone, Debug)]
pub struct Cursor {
    path: PathBuf,
    about: [u8; 16],
    written: Option<Lsn>,
}

impl Cursor {
    /// Answers the cursor and the position that it says. `about` are the names of what it is about.
    #[must_use]
    pub fn open(path: PathBuf, about: &[&str]) -> (Self, Lsn) {
        let mut names = Vec::new();
        for (at, name) in about.iter().enumerate() {
            if at + 1 < about.len() {
                names.extend_from_slice(&(name.len() as u64).to_le_bytes());
            }
            names.extend_from_slice(name.as_bytes());
        }
        let mut about = [0; 16];
        about.iter_mut().zip(Digest::of(&names).0).for_each(|(to, from)| *to = from);
        let written = read(&path, about);
        (Self { path, about, written }, written.unwrap_or_default())
    }

    /// What the file says, where it says something.
    #[must_use]
    pub fn written(&self) -> Option<Lsn> {
        self.written
    }

    /// Makes a position durable. Blocks for the disk.
    ///
    /// # Errors
    /// Where the file cannot be written, synced or renamed; what it said stands.
    pub fn write(&mut self, lsn: Lsn) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&encode(lsn, self.about))?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.written = Some(lsn);
        Ok(())
    }
}

fn encode(lsn: Lsn, about: [u8; 16]) -> Vec<u8> {
    let covered = [&lsn.0.to_le_bytes()[..], &about].concat();
    [&MAGIC[..], &crc32c::crc32c(&covered).to_le_bytes(), &covered].concat()
}

fn read(path: &Path, about: [u8; 16]) -> Option<Lsn> {
    let bytes = std::fs::read(path).ok().filter(|bytes| bytes.len() == BYTES)?;
    let lsn = Lsn(u64::from_le_bytes(bytes.get(12..20)?.try_into().ok()?));
    (bytes == encode(lsn, about)).then_some(lsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commits");
        let open = |place, prefix| Cursor::open(path.clone(), &[place, prefix]);
        assert_eq!(open("a:1", "p").1, Lsn(0));
        for lsn in [7, u64::MAX, 9] {
            open("a:1", "p").0.write(Lsn(lsn)).unwrap();
            let (cursor, from) = open("a:1", "p");
            assert_eq!((cursor.written(), from), (Some(Lsn(lsn)), Lsn(lsn)));
        }
        for (place, prefix) in [("a:2", "p"), ("a:1", "q"), ("a:", "1p")] {
            let (cursor, from) = open(place, prefix);
            assert_eq!((cursor.written(), from), (None, Lsn(0)), "{place} {prefix}");
        }
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bad).unwrap();
            assert_eq!(open("a:1", "p").1, Lsn(0), "bit {bit}");
        }
        for cut in 0..good.len() {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert_eq!(open("a:1", "p").1, Lsn(0), "cut {cut}");
        }
    }
}
