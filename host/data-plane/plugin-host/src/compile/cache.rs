//! Compiled code on disk.
//!
//! One file per component digest and engine compatibility: `NAME.cwasm` is 32 bytes of
//! HMAC-SHA256 over the name and the code, then the code. The MAC's key is made once and kept in
//! the same folder, which only the gateway's user can read. A file whose MAC does not match is
//! removed and compiled again. The MAC guards against damage and against files that others put
//! there; whoever can read the key can already replace the program. Code that no start has loaded
//! for thirty days, of old components and old versions of the gateway, is removed.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tidegate_types::UnixMillis;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAC_BYTES: usize = 32;
/// How long code is kept that nobody loads.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

/// The folder of compiled code cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the folder of compiled code `{path}` cannot be used: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the folder of compiled code `{0}` must not be open to other users: chmod 700")]
    Open(PathBuf),
    #[error("compiled code, or the key to it, disappeared right after it was written")]
    Vanished,
    #[error("no random key could be made: {0}")]
    Random(getrandom::Error),
}

/// What there is of a component's code.
pub(super) enum Loaded {
    Code(Component),
    Absent,
    /// It needs more than the engine gives to any component.
    Unfit(String),
}

#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

impl Cache {
    pub(super) fn open(folder: &Path) -> Result<Self, CacheError> {
        let fail = |source| CacheError::Io { path: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
        let mode = fs::metadata(folder).map_err(fail)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(CacheError::Open(folder.to_owned()));
        }
        let key = read_or_make_key(&folder.join("mac-key"))?;
        let cache = Self { folder: folder.to_owned(), key };
        cache.remove_unused(now()).map_err(fail)?;
        Ok(cache)
    }

    /// Removes code that was last loaded, and leftovers that were written, long before `now`.
    fn remove_unused(&self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let ours = path.extension().is_some_and(|ending| ending == "cwasm" || ending == "new");
            let used = entry.metadata()?.modified()?;
            if ours && now.duration_since(used).is_ok_and(|age| age > UNUSED) {
                tracing::info!(file = %path.display(), "compiled code that nobody uses is removed");
                match fs::remove_file(&path) {
                    // Another gateway that shares the folder was first.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    fn mac(&self, name: &str) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(&self.key)
            .expect("HMAC takes keys of any length");
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac
    }

    /// Loads code. Code that cannot be trusted is removed, and absent.
    pub(super) fn load(&self, name: &str, engine: &Engine) -> Result<Loaded, CacheError> {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Absent),
            Err(source) => return Err(CacheError::Io { path, source }),
        };
        let trusted = bytes.split_at_checked(MAC_BYTES).and_then(|(tag, code)| {
            let mut mac = self.mac(name);
            mac.update(code);
            mac.verify_slice(tag).ok().map(|()| code)
        });
        let loaded = trusted.and_then(|code| {
            #[allow(
                unsafe_code,
                reason = "the MAC proves that this program's own compiler wrote the code"
            )]
            let component = unsafe { Component::deserialize(engine, code) };
            match component {
                Ok(component) => Some(Loaded::Code(component)),
                // Real code that the engine does not take: it wants more than the pool gives.
                Err(error) => {
                    Engine::detect_precompiled(code).map(|_| Loaded::Unfit(format!("{error:#}")))
                }
            }
        });
        if loaded.is_some() {
            // The time of the last use; without it the code is compiled again one day.
            let touched = fs::File::open(&path).and_then(|f| f.set_modified(now()));
            touched.unwrap_or_else(|error| tracing::warn!(name, %error, "use not noted"));
        } else {
            tracing::warn!(name, "compiled code does not match its mac, compiling again");
            fs::remove_file(&path).map_err(|source| CacheError::Io { path, source })?;
        }
        Ok(loaded.unwrap_or(Loaded::Absent))
    }

    pub(super) fn store(&self, name: &str, code: &[u8]) -> Result<(), CacheError> {
        let mut mac = self.mac(name);
        mac.update(code);
        let tag = mac.finalize().into_bytes();
        let (path, new) = (self.path(name), self.folder.join(format!("{name}.new")));
        let write = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&tag)?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| CacheError::Io { path: self.path(name), source })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.cwasm"))
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(UnixMillis::now().0)
}

/// The key of the folder. Where several processes make it at once, all take the same one.
fn read_or_make_key(path: &Path) -> Result<[u8; 32], CacheError> {
    let fail = |source| CacheError::Io { path: path.to_owned(), source };
    let read = || fs::read(path).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if let Some(key) = read() {
        return Ok(key);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(CacheError::Random)?;
    let new = path.with_extension(format!("{}.new", getrandom::u64().map_err(CacheError::Random)?));
    let write = || -> io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&key)?;
        file.sync_all()?;
        match fs::hard_link(&new, path) {
            // Another process was first, unless what stands there is no key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && read().is_some() => {
                fs::remove_file(&new)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::rename(&new, path),
            linked => linked.and_then(|()| fs::remove_file(&new)),
        }
    };
    write().map_err(fail)?;
    read().ok_or(CacheError::Vanished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_nobody_has_used_for_long_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("ours");
        let cache = Cache::open(folder.path()).expect("a cache");
        cache.store("used", b"code").expect("room");
        cache.store("unused", b"code").expect("room");
        let now = super::now();
        let age = |name: &str, days: u64| {
            let file = fs::File::options().write(true).open(cache.path(name)).expect("stored");
            let day = Duration::from_secs(24 * 3600);
            file.set_modified(now - day * u32::try_from(days).expect("few")).expect("our file");
        };
        age("used", 29);
        age("unused", 31);
        cache.remove_unused(now).expect("readable");
        assert!(cache.path("used").exists() && !cache.path("unused").exists());
        assert!(folder.path().join("mac-key").exists());
    }
}
