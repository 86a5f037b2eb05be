//! Quotas: how many requests, events and bytes a key and a tenant may send.
//!
//! A quota is a token bucket: it holds `burst` tokens at most and gains `limit` of them evenly over each
//! `window`. One that is full is as good as none, so a store keeps those alone from which something
//! was taken lately. What cannot be parted and is larger than a whole bucket is let through when the
//! bucket is full, and paid for afterwards: otherwise it could never be sent.

mod bucket;
mod local;

pub use bucket::{Got, State, per_micro};
pub use local::LocalBuckets;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidegate_types::TenantId;
use tidegate_types::quota::{Dimension, Quota};

/// A boxed future, the same type as `futures::future::BoxFuture`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whose bucket, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    pub tenant: TenantId,
    /// The id of one of its keys; `None` for the tenant as a whole.
    pub key: Option<Arc<str>>,
    pub dimension: Dimension,
}

/// What is asked of a bucket.
#[derive(Clone, Debug)]
pub struct Ask {
    pub bucket: Bucket,
    pub quota: Quota,
    pub want: u64,
    /// The least part of it that is of use; `want` where it is all or nothing.
    pub least: u64,
}

/// The buckets could not be asked: nothing is known of what may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    pub reason: Arc<str>,
    /// When to try again.
    pub retry_after: Duration,
}

/// Where buckets are kept: in this process, or where all nodes share them.
pub trait Buckets: Send + Sync + 'static {
    /// Takes from several buckets; the answers are in the order of what was asked.
    ///
    /// # Errors
    /// Where the buckets cannot be reached.
    fn take<'a>(&'a self, asks: &'a [Ask]) -> BoxFuture<'a, Result<Vec<Got>, Unavailable>>;

    /// Puts back what was taken and not used. Where that fails the bucket is poorer for a while.
    fn put_back<'a>(&'a self, what: &'a [(Bucket, Quota, u64)]) -> BoxFuture<'a, ()>;
}
