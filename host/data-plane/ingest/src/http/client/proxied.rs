//! The client's address where a proxy tells it before anything else: the PROXY protocol, versions 1
//! and 2 (HAProxy, `proxy-protocol.txt`).

use std::io;
use std::net::IpAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::options::{ClientAddress, IngressOptions};

/// The shortest header, `PROXY UNKNOWN` with its line's end. No more may be read before it is known
/// which version it is.
const SHORTEST: usize = 15;
/// Bytes of version 2 before the length's value counts.
const FIXED: usize = 16;
/// The longest line of version 1.
const LONGEST_LINE: usize = 107;
/// Bytes of addresses and notes in version 2 that are read; proxies add some tens.
const MOST_NOTES: usize = 2048;

/// Who is at the other end of a connection: the peer itself, or, where a trusted proxy must say so
/// first, whom it says.
///
/// # Errors
/// Where a trusted proxy does not say it.
pub(in super::super) async fn client(
    stream: &mut TcpStream,
    peer: IpAddr,
    options: &IngressOptions,
) -> io::Result<IpAddr> {
    let peer = peer.to_canonical();
    let tells = options.client_address == ClientAddress::ProxyProtocol
        && options.trusted_proxies.iter().any(|network| network.contains(&peer));
    if !tells {
        return Ok(peer);
    }
    let header = header(stream).await?;
    source(&header).map(|told| told.map_or(peer, |told| told.to_canonical()))
}

/// Reads the header and not a byte more.
async fn header(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; SHORTEST];
    stream.read_exact(&mut bytes).await?;
    if bytes.starts_with(v2::PROTOCOL_PREFIX) {
        let last = stream.read_u8().await?;
        bytes.push(last);
        let length = usize::from(u16::from_be_bytes([bytes.get(14).copied().unwrap_or(0), last]));
        if length > MOST_NOTES {
            return Err(malformed("its header is too long"));
        }
        bytes.resize(FIXED + length, 0);
        stream.read_exact(bytes.get_mut(FIXED..).unwrap_or_default()).await?;
    } else if bytes.starts_with(b"PROXY ") {
        while !bytes.ends_with(b"\r\n") {
            if bytes.len() == LONGEST_LINE {
                return Err(malformed("its line is too long"));
            }
            bytes.push(stream.read_u8().await?);
        }
    } else {
        return Err(malformed("it does not begin with one"));
    }
    Ok(bytes)
}

/// Whose connection the proxy has passed on; `None` where it is its own, or it does not know.
fn source(header: &[u8]) -> io::Result<Option<IpAddr>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => {
                Some(addresses.source_address.into())
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => {
                Some(addresses.source_address.into())
            }
            _ => None,
        }),
        HeaderResult::V1(Err(error)) => Err(malformed(&error.to_string())),
        HeaderResult::V2(Err(error)) => Err(malformed(&error.to_string())),
    }
}

fn malformed(how: &str) -> io::Error {
    let text = format!("a trusted proxy sent no PROXY protocol header: {how}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_connection_it_is() {
        let v2 = |rest: &[u8]| [v2::PROTOCOL_PREFIX, rest].concat();
        let four = [203, 0, 113, 7, 10, 0, 0, 1, 0, 80, 1, 187];
        let six = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[9], &[0; 16], &[0, 80, 1, 187]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 80 443\r\n".to_vec(), Some(Some("203.0.113.7"))),
            (b"PROXY TCP6 2001:db8::9 ::1 80 443\r\n".to_vec(), Some(Some("2001:db8::9"))),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(None)),
            (b"PROXY TCP4 203.0.113.777 10.0.0.1 80 443\r\n".to_vec(), None),
            (b"PROXY UDP4 203.0.113.7 10.0.0.1 80 443\r\n".to_vec(), None),
            (v2(&[&[0x21, 0x11, 0, 12][..], &four].concat()), Some(Some("203.0.113.7"))),
            (v2(&[&[0x21, 0x21, 0, 36][..], &six].concat()), Some(Some("2001:db8::9"))),
            // The proxy's own, to see whether we are there.
            (v2(&[&[0x20, 0x11, 0, 12][..], &four].concat()), Some(None)),
            (v2(&[0x21, 0x00, 0, 0]), Some(None)),
            (v2(&[&[0x31, 0x11, 0, 12][..], &four].concat()), None),
            (v2(&[0x21, 0x11, 0, 4, 1, 2, 3, 4]), None),
        ] {
            let expected = expected.map(|told| told.map(|text| text.parse::<IpAddr>().unwrap()));
            assert_eq!(source(&header).ok(), expected, "{}", header.escape_ascii());
        }
    }
}
