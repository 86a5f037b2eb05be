//! Reading bodies: bounded in bytes, in time, and in what they may grow to when decompressed.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tidegate_types::{Problem, ProblemType};

use crate::options::IngressOptions;

/// Reads and decompresses a body of at most so many bytes.
///
/// # Errors
/// 413 where it is larger than it may be, compressed or not; 408 where it takes too long; 415 for an
/// unknown encoding; 400 where it ends early or does not match its encoding.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    most: usize,
    options: &IngressOptions,
) -> Result<Bytes, Problem> {
    let coding = coding(headers)?;
    let read = tokio::time::timeout(options.body_timeout, collect(body, most)).await;
    let bytes = read.map_err(|_| {
        let detail =
            format!("the body did not arrive within {} ms", options.body_timeout.as_millis());
        Problem::new(ProblemType::RequestTimeout, detail)
    })??;
    match coding {
        Coding::Identity => Ok(bytes),
        Coding::Gzip => decompress(
            flate2::read::MultiGzDecoder::new(bytes.as_ref()),
            bytes.len(),
            (most, options.max_compression_ratio),
        ),
        Coding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(bytes.as_ref());
            let mut decoder = decoder.map_err(|_| not_as_encoded("zstd"))?;
            // The window that a frame asks for is memory that we must have.
            decoder.window_log_max(23).map_err(|_| not_as_encoded("zstd"))?;
            decompress(decoder, bytes.len(), (most, options.max_compression_ratio))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let mut codings = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity");
    let coding = match codings.next().as_deref() {
        None => Some(Coding::Identity),
        Some("gzip" | "x-gzip") => Some(Coding::Gzip),
        Some("zstd") => Some(Coding::Zstd),
        Some(_) => None,
    };
    match (coding, codings.next()) {
        (Some(coding), None) => Ok(coding),
        (None, _) | (Some(_), Some(_)) => Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "Content-Encoding must be gzip or zstd, once",
        )),
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        ProblemType::TooLarge,
        format!("a body may have {limit} bytes, decompressed too; send the events in parts"),
    )
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    use hyper::body::Body as _;
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Problem::new(ProblemType::InvalidRequest, "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > limit {
            return Err(too_large(limit));
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity((first.len() + data.len()) * 2);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// Decompresses at most what a body may have, and at most the ratio that honest content reaches.
fn decompress(
    mut reader: impl Read,
    compressed: usize,
    (most, ratio): (usize, u32),
) -> Result<Bytes, Problem> {
    let limit = most.min(compressed.saturating_mul(ratio as usize));
    let mut out = Vec::with_capacity(limit.min(compressed.saturating_mul(4)));
    let read = (&mut reader).take(limit as u64 + 1).read_to_end(&mut out);
    read.map_err(|_| not_as_encoded("its Content-Encoding"))?;
    if out.len() > limit {
        return Err(too_large(limit));
    }
    Ok(out.into())
}

fn not_as_encoded(coding: &str) -> Problem {
    Problem::new(ProblemType::MalformedEncoding, format!("the body is not valid {coding}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings() {
        for (values, expected) in [
            (&[][..], Ok(Coding::Identity)),
            (&["identity"], Ok(Coding::Identity)),
            (&["GZIP"], Ok(Coding::Gzip)),
            (&["zstd, identity"], Ok(Coding::Zstd)),
            (&["br"], Err(415)),
            (&["gzip, gzip"], Err(415)),
            (&["gzip", "zstd"], Err(415)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(coding(&headers).map_err(|p| p.kind.status()), expected, "{values:?}");
        }
    }
}
