//! Where the files of a test are: in a folder, or with the feature `s3` also in a bucket of a real server.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_storage::BucketOptions;
use tidegate_storage::manifest::{self, Entry};
#[cfg(feature = "s3")]
use tidegate_testkit::s3;

#[derive(Clone, Debug)]
pub(crate) enum Ground {
    Folder,
    #[cfg(feature = "s3")]
    Bucket(String),
}

/// A Parquet file that lies there.
pub(crate) struct File {
    /// Relative to the storage.
    pub(crate) path: String,
    pub(crate) bytes: Bytes,
}

/// Each of them.
pub(crate) fn each() -> Vec<Ground> {
    vec![
        Ground::Folder,
        #[cfg(feature = "s3")]
        bucket(),
    ]
}

/// Now and then a bucket, since that takes its time.
pub(crate) fn any_ground() -> impl Strategy<Value = Ground> {
    prop_oneof![
        9 => Just(Ground::Folder),
        1 => (0..1u8).prop_map(|_| each().pop().unwrap_or(Ground::Folder)),
    ]
}

#[cfg(feature = "s3")]
fn bucket() -> Ground {
    Ground::Bucket(s3::shared().create_bucket())
}

#[cfg(feature = "s3")]
const PREFIX: &str = "events/a%20node";

impl Ground {
    pub(crate) fn bucket(&self) -> Option<BucketOptions> {
        match self {
            Self::Folder => None,
            #[cfg(feature = "s3")]
            Self::Bucket(name) => {
                let (key, secret) = s3::shared().credentials();
                let options = BucketOptions {
                    endpoint: s3::shared().endpoint(),
                    access_key_id: key.to_owned(),
                    secret_access_key: secret.to_owned(),
                    ..BucketOptions::new(format!("s3://{name}/events"))
                };
                Some(options.of_node("a node"))
            }
        }
    }

    /// All Parquet files whose paths have a part.
    pub(crate) fn files(&self, folder: &Path, part: &str) -> Vec<File> {
        let mut found = match self {
            Self::Folder => below(&folder.join("storage")),
            #[cfg(feature = "s3")]
            Self::Bucket(name) => {
                let keys = s3::shared().keys(name, PREFIX);
                let files = keys.iter().filter(|key| key.ends_with(".parquet")).map(|key| File {
                    path: key.strip_prefix(PREFIX).unwrap().trim_start_matches('/').to_owned(),
                    bytes: s3::shared().get(name, key).unwrap().into(),
                });
                files.collect()
            }
        };
        found.retain(|file| format!("/{}", file.path).contains(part));
        found
    }

    /// What whoever reads the manifest finds.
    pub(crate) fn entries(&self, folder: &Path) -> Vec<Entry> {
        match self {
            Self::Folder => manifest::read(&folder.join("storage")).unwrap(),
            #[cfg(feature = "s3")]
            Self::Bucket(name) => {
                let keys = s3::shared().keys(name, &format!("{PREFIX}/manifest/"));
                let lines = keys.iter().map(|key| s3::shared().get(name, key).unwrap());
                lines.map(|line| manifest::from_line(&line).unwrap()).collect()
            }
        }
    }

    pub(crate) fn remove(&self, folder: &Path, path: &str) {
        match self {
            Self::Folder => std::fs::remove_file(folder.join("storage").join(path)).unwrap(),
            #[cfg(feature = "s3")]
            Self::Bucket(name) => s3::shared().remove(name, &format!("{PREFIX}/{path}")),
        }
    }

    /// Puts other bytes in a file's place.
    pub(crate) fn overwrite(&self, folder: &Path, path: &str, bytes: &[u8]) {
        match self {
            Self::Folder => std::fs::write(folder.join("storage").join(path), bytes).unwrap(),
            #[cfg(feature = "s3")]
            Self::Bucket(name) => s3::shared().put(name, &format!("{PREFIX}/{path}"), bytes),
        }
    }
}

fn below(storage: &Path) -> Vec<File> {
    let mut folders = vec![storage.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                let bytes = std::fs::read(&path).unwrap().into();
                let path = path.strip_prefix(storage).unwrap().to_str().unwrap().to_owned();
                found.push(File { path, bytes });
            }
        }
    }
    found.sort_by(|one, two| one.path.cmp(&two.path));
    found
}
