//! A folder on disk. The steps, and what a crash between them leaves, are told in `publish`.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Content, Place, PlaceError};
use crate::manifest::{Entry, remove_if_there};
use crate::publish::partition::{ROOTS, UNFINISHED};
use crate::publish::{Step, Steps};

/// Most folders that are remembered as durable; with more, all are checked again.
const SETTLED_FOLDERS: usize = 16_384;
/// Status, tenant, type and date.
const FOLDERS_DEEP: u32 = 4;

/// A storage folder.
pub(crate) struct Disk {
    folder: PathBuf,
    /// Folders whose own names this process has made durable.
    settled: Mutex<HashSet<PathBuf>>,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), settled: Mutex::default() }
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        // The set is whole after every statement.
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders of these files, and for each one above them that this process has not made
    /// durable yet, its parent.
    fn to_sync(&self, paths: &[String]) -> BTreeSet<PathBuf> {
        let settled = self.settled();
        let mut folders = BTreeSet::new();
        for folder in paths.iter().filter_map(|path| Path::new(path).parent()) {
            folders.insert(folder.to_owned());
            let unsettled = folder.ancestors().take_while(|at| !settled.contains(*at));
            folders.extend(unsettled.filter_map(Path::parent).map(Path::to_owned));
        }
        folders
    }
}

impl Place for Disk {
    fn name(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn open(&self, path: &str, _: u64) -> io::Result<Option<Arc<dyn Content>>> {
        match File::open(self.name(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) => {
                let bytes = file.metadata()?.len();
                Ok(Some(Arc::new(DiskFile { file, bytes })))
            }
        }
    }

    fn write(&self, path: &str, bytes: Vec<u8>, steps: &mut Steps) -> Result<(), PlaceError> {
        let path = self.name(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(PlaceError::io(folder))?;
        }
        let path = unfinished(&path);
        let mut write = || {
            remove_if_there(&path)?;
            steps.before(Step::WriteFile)?;
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(&bytes)?;
            steps.before(Step::SyncFile)?;
            file.sync_all()
        };
        write().map_err(PlaceError::io(&path))
    }

    fn finish(&self, paths: &[String], steps: &mut Steps) -> Result<(), PlaceError> {
        for path in paths {
            let path = self.name(path);
            let renamed = steps.before(Step::Rename);
            let renamed = renamed.and_then(|()| std::fs::rename(unfinished(&path), &path));
            renamed.map_err(PlaceError::io(&path))?;
        }
        let folders = self.to_sync(paths);
        for folder in &folders {
            let synced = steps.before(Step::SyncFolder);
            let synced = synced.and_then(|()| sync_folder(&self.folder.join(folder)));
            synced.map_err(PlaceError::io(folder))?;
        }
        let mut settled = self.settled();
        if settled.len() > SETTLED_FOLDERS {
            settled.clear();
        }
        settled.extend(folders);
        Ok(())
    }

    fn discard(&self, path: &str) {
        let path = self.name(path);
        for path in [unfinished(&path), path] {
            if let Err(error) = remove_if_there(&path) {
                tracing::warn!(path = %path.display(), %error, "unpublished file not removed");
            }
        }
    }

    fn files(&self) -> Result<Vec<String>, PlaceError> {
        let mut found = Vec::new();
        for root in ROOTS {
            walk(&self.folder, root, 1, &mut found).map_err(PlaceError::io(&self.folder))?;
        }
        Ok(found)
    }

    fn remove(&self, path: &str) -> Result<(), PlaceError> {
        let path = self.name(path);
        remove_if_there(&path).map_err(PlaceError::io(&path))
    }

    /// The manifest in the folder is what readers believe.
    fn announce(&self, _: &Entry, _: &[u8], _: &mut Steps) -> Result<(), PlaceError> {
        Ok(())
    }
}

fn walk(folder: &Path, at: &str, depth: u32, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder.join(at)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = format!("{at}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < FOLDERS_DEEP {
            walk(folder, &path, depth + 1, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

struct DiskFile {
    file: File,
    bytes: u64,
}

impl Content for DiskFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, from: u64, bytes: usize) -> io::Result<Bytes> {
        let mut content = vec![0; bytes];
        self.file.read_exact_at(&mut content, from)?;
        Ok(content.into())
    }
}
