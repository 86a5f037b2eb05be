//! `tidegate plugin keygen` and `sign`. Files are made new, never written over: a secret key that is
//! gone cannot be had back.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use http::HeaderValue;
use serde_json::json;
use tidegate_distribution::{SecretKey, Signature};

use super::super::files;
use super::MAX_BYTES;
use crate::output::Printer;

const MAX_KEY_BYTES: u64 = 4096;

pub(super) fn keygen(print: Printer, file: &Path) -> anyhow::Result<()> {
    let key = SecretKey::generate()
        .map_err(|error| anyhow::anyhow!("the operating system gave no random bytes: {error}"))?;
    let public = key.public();
    let public_file = with_ending(file, ".pub");
    create(file, &key.to_pem(), 0o600)?;
    create(&public_file, &public.to_pem(), 0o644)?;
    let id = public.id();
    let made = json!({ "id": id, "secret_key": file, "public_key": public_file });
    print.answer(&made, || {
        format!("key {id}: secret in {}, public in {}", file.display(), public_file.display())
    })?;
    Ok(())
}

pub(super) fn sign(print: Printer, file: &Path, key: &Path) -> anyhow::Result<()> {
    let text = String::from_utf8(files::read_whole(key, MAX_KEY_BYTES)?);
    let text = text.with_context(|| format!("{} is no key", key.display()))?;
    let key: SecretKey = text.parse().with_context(|| key.display().to_string())?;
    // As it is: a compressed file would be signed as another component than the one in it.
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_BYTES, "{}: it is too large", file.display());
    let signature_file = with_ending(file, ".sig");
    let id = key.public().id();
    create(&signature_file, &format!("{}\n", key.sign(&bytes)), 0o644)?;
    let made = json!({ "key": id, "signature": signature_file });
    print.answer(&made, || format!("signed by key {id}: {}", signature_file.display()))?;
    Ok(())
}

/// The signature in a file that is named, or in the one that `sign` writes, where it is there.
pub(super) fn beside(file: &Path, named: Option<&Path>) -> anyhow::Result<Option<HeaderValue>> {
    let usual = with_ending(file, ".sig");
    let Some(from) = named.or_else(|| usual.is_file().then_some(&*usual)) else { return Ok(None) };
    let text = String::from_utf8(files::read_whole(from, MAX_KEY_BYTES)?).unwrap_or_default();
    let signature: Signature = text.parse().with_context(|| from.display().to_string())?;
    Ok(Some(HeaderValue::try_from(signature.to_string())?))
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn create(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("{} cannot be made", path.display()))
}
