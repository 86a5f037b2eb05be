//! Content in files named by digest: `blobs/HEX`, HEX being the 64 hexadecimal digits of the
//! content's SHA-256. A file is written as `blobs/incoming/HEX.RANDOM`, synced, renamed, and the
//! folder synced, so that a name that exists has its whole content. Every read is verified.
//!
//! A blob is durable before the database names it. A crash in between leaves a file that nothing
//! names; storing the same content again takes it up.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tidegate_types::Digest;

use crate::CatalogError;

pub(crate) struct Blobs {
    folder: PathBuf,
    incoming: PathBuf,
}

impl Blobs {
    /// Opens the folder `blobs` in a catalog's folder, and removes what a crash left half written.
    pub(crate) fn open(catalog: &Path) -> Result<Self, CatalogError> {
        let folder = catalog.join("blobs");
        let incoming = folder.join("incoming");
        create_folder(&incoming)?;
        let entries = std::fs::read_dir(&incoming).map_err(failed("list", &incoming))?;
        for entry in entries {
            let path = entry.map_err(failed("list", &incoming))?.path();
            std::fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        sync_folder(catalog)?;
        Ok(Self { folder, incoming })
    }

    /// Stores content; when it returns, the content is durable. What is there already is read and
    /// compared, and written anew where it is damaged.
    pub(crate) fn put(&self, content: &[u8]) -> Result<Digest, CatalogError> {
        let digest = Digest::of(content);
        match self.get(&digest, content.len() as u64) {
            // The file may have been renamed by a process that died before it synced the folder.
            Ok(_) => sync_folder(&self.folder)?,
            Err(CatalogError::DamagedBlob { .. }) => self.write(&digest, content)?,
            Err(other) => return Err(other),
        }
        Ok(digest)
    }

    fn write(&self, digest: &Digest, content: &[u8]) -> Result<(), CatalogError> {
        let random = getrandom::u64().map_err(CatalogError::Random)?;
        let incoming = self.incoming.join(format!("{}.{random:016x}", digest.hex()));
        let path = self.path(digest);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let written = options.open(&incoming).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| std::fs::rename(&incoming, &path)) {
            // Nothing more can be done about the leftover here; the next start removes it.
            std::fs::remove_file(&incoming).ok();
            return Err(failed("write", &path)(error));
        }
        sync_folder(&self.folder)
    }

    /// Reads content of at most `limit` bytes and verifies it.
    pub(crate) fn get(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, CatalogError> {
        let damaged = |reason| CatalogError::DamagedBlob { digest: *digest, reason };
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(damaged("the file is missing"));
            }
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let mut content = Vec::new();
        let mut bounded = file.take(limit.saturating_add(1));
        bounded.read_to_end(&mut content).map_err(failed("read", &path))?;
        if content.len() as u64 > limit {
            return Err(damaged("the file is longer than what was stored"));
        }
        if Digest::of(&content) != *digest {
            return Err(damaged("the file has another digest"));
        }
        Ok(content)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}

/// A folder that only its owner can read, with its parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), CatalogError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CatalogError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(std::io::Error) -> CatalogError {
    move |source| CatalogError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_verified_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let digest = blobs.put(b"tide").unwrap();
        assert_eq!(blobs.get(&digest, 4).unwrap(), b"tide");
        assert!(matches!(blobs.get(&digest, 3), Err(CatalogError::DamagedBlob { .. })));

        for damage in [&b"tidy"[..], b"", b"tides"] {
            std::fs::write(blobs.path(&digest), damage).unwrap();
            assert!(matches!(blobs.get(&digest, 10), Err(CatalogError::DamagedBlob { .. })));
            assert_eq!(blobs.put(b"tide").unwrap(), digest);
            assert_eq!(blobs.get(&digest, 4).unwrap(), b"tide");
        }
        let missing = Digest::of(b"never stored");
        assert!(matches!(blobs.get(&missing, 10), Err(CatalogError::DamagedBlob { .. })));
    }

    #[test]
    fn half_written_files_are_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        std::fs::write(blobs.incoming.join("half"), b"ti").unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(&blobs.incoming).unwrap().count(), 0);
    }
}
