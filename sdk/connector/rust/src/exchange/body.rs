//! Bodies of requests: events joined to a batch, and compressed where that pays.

use std::io::{self, Write as _};

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::options::{Encoding, Endpoint};
use crate::outcome::Pending;

const LEAST_COMPRESSED: usize = 1024;
/// Gateways refuse what grows too much, as a bomb.
const MOST_RATIO: usize = 100;

/// The body of one request.
pub(crate) fn body(endpoint: Endpoint, events: &[Pending]) -> Bytes {
    const OPEN: &[u8] = b"{\"events\":[";
    const CLOSE: &[u8] = b"]}";
    match (endpoint, events) {
        (Endpoint::Single, [only]) => only.event.clone(),
        (Endpoint::Single | Endpoint::Batch, events) => {
            let inner: usize = events.iter().map(|pending| pending.event.len() + 1).sum();
            let mut body = BytesMut::with_capacity(OPEN.len() + inner + CLOSE.len());
            body.put_slice(OPEN);
            for (place, pending) in events.iter().enumerate() {
                if place > 0 {
                    body.put_u8(b',');
                }
                body.put_slice(&pending.event);
            }
            body.put_slice(CLOSE);
            body.freeze()
        }
    }
}

/// Does a body of this length go compressed, where that pays?
pub(crate) fn is_worth_it(encoding: Encoding, length: usize) -> bool {
    encoding != Encoding::Identity && length >= LEAST_COMPRESSED
}

/// The body as it is sent, and the name of its encoding. Takes milliseconds for a megabyte.
pub(crate) fn encoded(
    body: Bytes,
    encoding: Encoding,
) -> io::Result<(Bytes, Option<&'static str>)> {
    let (small, name) = match encoding {
        Encoding::Identity => return Ok((body, None)),
        Encoding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
            writer.write_all(&body)?;
            (writer.finish()?, "gzip")
        }
        Encoding::Zstd => (zstd::encode_all(body.as_ref(), 0)?, "zstd"),
    };
    if small.len() >= body.len() || small.len().saturating_mul(MOST_RATIO) < body.len() {
        return Ok((body, None));
    }
    Ok((small.into(), Some(name)))
}
