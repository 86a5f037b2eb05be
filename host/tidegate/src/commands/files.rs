//! Opens what commands are given as FILE: a file or standard input, plain or compressed with gzip
//! or zstd, told apart by their first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};

/// The bytes of a compressed stream that are looked at, and the read size of plain ones.
const BUFFER_BYTES: usize = 64 << 10;
/// RFC 1952, section 2.3.1.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// RFC 8878, section 3.1.1.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Is standard input meant?
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// How a path is called in messages.
pub(super) fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Opens a file or standard input and decompresses it while it is read. `taken` counts the bytes
/// that were read from the file itself.
pub(super) fn open(path: &Path, taken: Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
    let raw: Box<dyn Read + Send> =
        if is_stdin(path) { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut raw = BufReader::with_capacity(BUFFER_BYTES, Counted { inner: raw, taken });
    let start = raw.fill_buf()?;
    if start.starts_with(GZIP) {
        let plain = flate2::bufread::MultiGzDecoder::new(raw);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, plain)));
    }
    if start.starts_with(ZSTD) {
        let plain = zstd::stream::read::Decoder::with_buffer(raw)?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, plain)));
    }
    Ok(Box::new(raw))
}

/// All of it, decompressed, if that is no more than `max_bytes`.
pub(super) fn read_whole(path: &Path, max_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open(path, Arc::default())?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| name(path))?;
    if bytes.len() as u64 > max_bytes {
        bail!("{}: it is larger than {max_bytes} bytes", name(path));
    }
    Ok(bytes)
}

/// Bytes of a JSON file: more than any settings take.
const MAX_JSON_BYTES: u64 = 1 << 20;

/// A JSON file.
pub(super) fn read_json(path: &Path) -> anyhow::Result<serde_json::Value> {
    let bytes = read_whole(path, MAX_JSON_BYTES)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", name(path)))
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn compression_is_told_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"{\"a\":1}\n".repeat(20_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::bulk::compress(&text, 1).unwrap();
        for (bytes, name) in
            [(text.clone(), "plain"), (gzip.clone(), "gzip"), (zstd.clone(), "zstd")]
        {
            let file = folder.path().join(name);
            fs::write(&file, &bytes).unwrap();
            assert_eq!(read_whole(&file, 1 << 20).unwrap(), text, "{name}");
            assert!(
                read_whole(&file, text.len() as u64 - 1)
                    .unwrap_err()
                    .to_string()
                    .contains("larger")
            );
            let taken = Arc::new(AtomicU64::new(0));
            open(&file, Arc::clone(&taken)).unwrap().read_to_end(&mut Vec::new()).unwrap();
            assert_eq!(taken.load(Ordering::Relaxed), bytes.len() as u64, "{name}");
        }
        for (name, bytes) in [("torn.gz", &gzip), ("torn.zst", &zstd)] {
            let file = folder.path().join(name);
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            assert!(read_whole(&file, 1 << 20).is_err(), "{name}");
        }
        fs::write(folder.path().join("empty"), "").unwrap();
        assert!(read_whole(&folder.path().join("empty"), 1).unwrap().is_empty());
    }
}
