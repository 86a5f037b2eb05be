//! Where a key set is read from: an address or a file.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use super::InvalidKeySet;
use super::transport::Transport;
use crate::{Bounds, KeySource};

/// A file is looked at this often, and as soon again where a token asks for a key that is not in it.
const FILE_EVERY: Duration = Duration::from_secs(1);

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no whole answer: {0}")]
    Broken(String),
    #[error("no whole answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("the answer has the status {0}, not 200; redirects are not followed")]
    Status(u16),
    #[error("there are more than {0} bytes, which is all that is taken")]
    TooLarge(usize),
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] InvalidKeySet),
}

pub(crate) enum Source {
    Url { uri: Uri, transport: Box<Transport>, timeout: Duration, most_bytes: usize },
    File { path: PathBuf, most_bytes: usize },
}

/// The times from one look at a source to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Where nobody asks.
    pub(crate) refresh: Duration,
    /// At least.
    pub(crate) interval: Duration,
}

impl Source {
    pub(crate) fn new(source: &KeySource, transport: &Transport, bounds: &Bounds) -> Self {
        let most_bytes = bounds.max_bytes;
        match source {
            KeySource::Url(uri) => {
                let (uri, transport) = (uri.clone(), Box::new(transport.clone()));
                let timeout = bounds.timeout;
                Self::Url { uri, transport, timeout, most_bytes }
            }
            KeySource::File(path) => Self::File { path: path.clone(), most_bytes },
        }
    }

    pub(crate) fn pace(&self, bounds: &Bounds) -> Pace {
        let pace = Pace { refresh: bounds.refresh, interval: bounds.interval };
        match self {
            Self::Url { .. } => pace,
            Self::File { .. } => Pace {
                refresh: pace.refresh.min(FILE_EVERY),
                interval: pace.interval.min(FILE_EVERY),
            },
        }
    }

    pub(super) async fn read(&self) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Url { uri, transport, timeout, most_bytes } => {
                transport.get(uri, *timeout, *most_bytes).await
            }
            Self::File { path, most_bytes } => {
                let (path, most_bytes) = (path.clone(), *most_bytes);
                let reading = tokio::task::spawn_blocking(move || read_file(&path, most_bytes));
                reading.await.map_err(io::Error::other)?
            }
        }
    }
}

fn read_file(path: &Path, most_bytes: usize) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most_bytes {
        return Err(FetchError::TooLarge(most_bytes));
    }
    Ok(bytes)
}
