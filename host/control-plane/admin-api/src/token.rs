//! Who asks. The admin token, in a file of the data folder, opens everything; access tokens, which
//! the catalog keeps, open what their scopes say.

pub(crate) mod act;
pub(crate) mod guard;
pub(crate) mod refusals;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;
use tidegate_types::Digest;

/// A token has at least so many characters, so that nobody can guess it.
const MIN_CHARACTERS: usize = 32;
const MAX_CHARACTERS: usize = 512;

/// How the audit log calls those who have shown no token.
pub(crate) const UNKNOWN: &str = "unknown";

/// The token that requests must carry. Only its SHA-256 is kept.
pub struct AdminToken(Digest);

/// Why there is no token to work with.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("an admin token is {MIN_CHARACTERS} to {MAX_CHARACTERS} visible ASCII characters")]
    Form,
    #[error("cannot use the admin token in {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

impl AdminToken {
    /// Takes a token's text.
    ///
    /// # Errors
    /// Where it is not 32 to 512 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&text.len());
        if !fits || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Form);
        }
        Ok(Self(Digest::of(text.as_bytes())))
    }

    /// Reads the token from a file; where there is no file, draws a token of 256 bits and writes it
    /// there, readable by its owner alone. White space around the token does not count.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or holds no token.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::File { path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(4 * MAX_CHARACTERS as u64).read_to_string(&mut text).map_err(failed)?;
                Self::new(text.trim())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut random = [0u8; 32];
                getrandom::fill(&mut random).map_err(TokenError::Random)?;
                let text = format!("tg_admin_{}", Digest(random).hex());
                write(path, &text).map_err(failed)?;
                Self::new(&text)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Is this the token? Takes the same time wherever the texts differ.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        Digest::of(presented).0.ct_eq(&self.0.0).into()
    }
}

/// The file has its whole content or is not there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let incoming = path.with_extension("incoming");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&incoming)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&incoming, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_created_token_is_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-token");
        let created = AdminToken::load_or_create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(created.matches(text.trim().as_bytes()));
        let loaded = AdminToken::load_or_create(&path).unwrap();
        assert!(loaded.matches(text.trim().as_bytes()));
        assert!(!loaded.matches(text.as_bytes()));
        assert!(!loaded.matches(b""));
    }

    #[test]
    fn weak_tokens_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-token");
        for text in
            ["", "short", &"a".repeat(31), &"a".repeat(513), &format!("a b{}", "c".repeat(40))]
        {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(AdminToken::load_or_create(&path), Err(TokenError::Form)), "{text:?}");
        }
    }
}
