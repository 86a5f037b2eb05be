//! Objects under a prefix, for threads: each call waits for its answer. A thread of its own speaks to
//! the server, so it makes no difference whether the caller is within a runtime.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, RetryConfig,
};
use tokio::runtime::Runtime;

use super::transport::Connector;
use crate::storage::bucket::{BucketOptions, check_endpoint};
use crate::storage::options::OpenError;

/// How often a request is sent again.
pub(super) const RETRIES: usize = 3;
/// How long after the first one.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(30);
/// The first pause; it grows.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Objects that are fetched at once where many are.
const AT_ONCE: usize = 16;

/// What became of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Something is there. It may be what this put has sent the first time.
    Taken,
}

/// A prefix in a bucket.
pub(super) struct Objects {
    store: Arc<AmazonS3>,
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
    url: String,
    prefix: String,
}

impl Objects {
    /// Sends nothing yet.
    pub(super) fn new(options: &BucketOptions) -> Result<Self, OpenError> {
        let failed =
            |what| move |source| OpenError::Io { what, path: (&options.url).into(), source };
        let wrong = || OpenError::Options { what: "URL", must_be: "s3://BUCKET/PREFIX".into() };
        let (bucket, prefix) = options.parts().ok_or_else(wrong)?;
        let builder = builder(options, bucket);
        // It may be that of the environment.
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        check_endpoint(&endpoint.unwrap_or_default())?;
        let store = builder.build().map_err(io::Error::other);
        let store = Arc::new(store.map_err(failed("speak to"))?);
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("storage-s3").enable_all().build();
        let runtime = Some(runtime.map_err(failed("start the thread for"))?);
        let (url, prefix) = (options.url.trim_end_matches('/').to_owned(), prefix.to_owned());
        Ok(Self { store, runtime, url, prefix })
    }

    pub(super) fn name(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            PathBuf::from(&self.url)
        } else {
            format!("{}/{path}", self.url).into()
        }
    }

    fn key(&self, path: &str) -> io::Result<Path> {
        let whole = if self.prefix.is_empty() {
            path.to_owned()
        } else {
            format!("{}/{path}", self.prefix)
        };
        Path::parse(whole).map_err(io::Error::other)
    }

    /// Waits until the thread has done it.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, answer) = std::sync::mpsc::sync_channel(1);
        if let Some(runtime) = &self.runtime {
            // The receiver is there until it has an answer.
            runtime.spawn(async move { drop(done.send(work.await)) });
        }
        answer
            .recv()
            .unwrap_or_else(|error| Err(Error::Generic { store: "S3", source: Box::new(error) }))
    }

    /// Puts an object where there is none of that name.
    pub(super) fn put_new(&self, path: &str, bytes: Bytes) -> io::Result<Put> {
        let (store, key) = (Arc::clone(&self.store), self.key(path)?);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.wait(async move { store.put_opts(&key, bytes.into(), options).await }) {
            Ok(_) => Ok(Put::Done),
            Err(Error::AlreadyExists { .. }) => Ok(Put::Taken),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Is an object whose name is taken the wanted one? One with more bytes is not.
    ///
    /// # Errors
    /// Also where it is not there: a put of that name may be under way, and another try will tell.
    pub(super) fn holds(
        &self,
        path: &str,
        most_bytes: u64,
        is_same: impl FnOnce(&[u8]) -> bool,
    ) -> io::Result<bool> {
        let (store, key) = (Arc::clone(&self.store), self.key(path)?);
        let found = there(self.wait(async move {
            let head = store.head(&key).await?;
            if head.size > most_bytes {
                return Ok(None);
            }
            store.get(&key).await?.bytes().await.map(Some)
        }))?;
        let unknown = || io::Error::other("its name was taken, and then it was not there");
        Ok(found.ok_or_else(unknown)?.is_some_and(|bytes| is_same(&bytes)))
    }

    /// A part of an object that has so many bytes in all.
    ///
    /// # Errors
    /// Of kind `InvalidData` where it has not.
    pub(super) fn get_range(
        &self,
        path: &str,
        range: Range<u64>,
        of_bytes: u64,
    ) -> io::Result<Option<Bytes>> {
        let (store, key) = (Arc::clone(&self.store), self.key(path)?);
        let wanted = range.end - range.start;
        let found = there(self.wait(async move {
            let range = Some(GetRange::Bounded(range));
            let options = GetOptions { range, ..GetOptions::default() };
            match store.get_opts(&key, options).await {
                Ok(got) => Ok((got.meta.size, got.bytes().await?)),
                Err(error @ Error::NotFound { .. }) => Err(error),
                // It may be too short for the range.
                Err(error) => match store.head(&key).await?.size {
                    bytes if bytes == of_bytes => Err(error),
                    bytes => Ok((bytes, Bytes::new())),
                },
            }
        }))?;
        let Some((bytes, part)) = found else { return Ok(None) };
        if bytes == of_bytes && part.len() as u64 == wanted {
            return Ok(Some(part));
        }
        let found = format!("it has {bytes} bytes, and {of_bytes} by the manifest");
        Err(io::Error::new(io::ErrorKind::InvalidData, found))
    }

    /// Many small objects, in the order of their paths.
    pub(super) fn get_all(&self, paths: &[String]) -> io::Result<Vec<Bytes>> {
        let keys: io::Result<Vec<Path>> = paths.iter().map(|path| self.key(path)).collect();
        let store = Arc::clone(&self.store);
        let gets = keys?.into_iter().map(move |key| {
            let store = Arc::clone(&store);
            async move { store.get(&key).await?.bytes().await }
        });
        let all = futures_util::stream::iter(gets).buffered(AT_ONCE).try_collect();
        self.wait(all).map_err(io::Error::other)
    }

    /// The paths of all objects in a folder, in order; with `after`, of those behind it.
    pub(super) fn list(&self, folder: &str, after: Option<&str>) -> io::Result<Vec<String>> {
        let store = Arc::clone(&self.store);
        let prefix = self.key(folder)?;
        let after = after.map(|path| self.key(path)).transpose()?;
        let found: Vec<Path> = self
            .wait(async move {
                let found = match &after {
                    Some(after) => store.list_with_offset(Some(&prefix), after),
                    None => store.list(Some(&prefix)),
                };
                found.map_ok(|meta| meta.location).try_collect().await
            })
            .map_err(io::Error::other)?;
        let begin = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        Ok(found.iter().filter_map(|key| key.as_ref().get(begin..)).map(str::to_owned).collect())
    }

    /// Removes an object, also where it is gone.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let (store, key) = (Arc::clone(&self.store), self.key(path)?);
        there(self.wait(async move { store.delete(&key).await })).map(drop)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // Nobody waits for an answer any more. Dropped as it is it would block, which panics within
        // another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn there<T>(result: Result<T, Error>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn builder(options: &BucketOptions, bucket: &str) -> AmazonS3Builder {
    let backoff = BackoffConfig { init_backoff: PAUSE, max_backoff: LONGEST_PAUSE, base: 2. };
    let retry = RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR };
    let BucketOptions { connect_timeout, request_timeout, .. } = *options;
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retry)
        .with_allow_http(true)
        .with_http_connector(Connector { connect_timeout, request_timeout });
    for (key, value) in [
        (AmazonS3ConfigKey::Region, &options.region),
        (AmazonS3ConfigKey::Endpoint, &options.endpoint),
        (AmazonS3ConfigKey::AccessKeyId, &options.access_key_id),
        (AmazonS3ConfigKey::SecretAccessKey, &options.secret_access_key),
    ] {
        if !value.is_empty() {
            builder = builder.with_config(key, value);
        }
    }
    builder
}
