//! The client's address: the peer's, or what a trusted proxy says of it.

pub(super) mod proxied;

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::options::{ClientAddress, IngressOptions};

/// Entries that are read from the end; who passes through more proxies than that is the last of them.
const MAX_HOPS: usize = 16;

/// The address of who sent a request. Each proxy adds the address that it saw to the end of the header;
/// read from there, the first one that is no trusted proxy's is the client's. What stands before it, the
/// client itself may have written.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, options: &IngressOptions) -> IpAddr {
    let trusts =
        |address: &IpAddr| options.trusted_proxies.iter().any(|network| network.contains(address));
    let mut known = peer.to_canonical();
    if !trusts(&known) {
        return known;
    }
    let (name, told): (_, fn(&str) -> Option<&str>) = match options.client_address {
        ClientAddress::Forwarded => ("forwarded", forwarded_for),
        ClientAddress::XForwardedFor => ("x-forwarded-for", |entry| Some(entry.trim())),
        // Told with the connection.
        ClientAddress::ProxyProtocol => return known,
    };
    let values: Vec<&str> =
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("")).collect();
    let entries = values.iter().rev().flat_map(|value| value.rsplit(','));
    for entry in entries.take(MAX_HOPS) {
        // A name or `unknown`: the proxy does not say.
        let Some(address) = told(entry).and_then(read) else { return known };
        known = address.to_canonical();
        if !trusts(&known) {
            return known;
        }
    }
    known
}

/// The value of `for` in one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim_matches('"'))
    })
}

/// An address, with or without a port; that of IPv6 may stand in brackets.
fn read(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let socket = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse().ok().or_else(socket).or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_the_client() {
        let (xff, fwd) = (ClientAddress::XForwardedFor, ClientAddress::Forwarded);
        for (which, peer, header, value, expected) in [
            // Nobody else's word counts.
            (xff, "203.0.113.9", "x-forwarded-for", "198.51.100.1", "203.0.113.9"),
            (xff, "10.0.0.1", "x-forwarded-for", "198.51.100.1", "198.51.100.1"),
            (xff, "::ffff:10.0.0.1", "x-forwarded-for", "198.51.100.1", "198.51.100.1"),
            // What the client wrote stands before what the proxy saw.
            (xff, "10.0.0.1", "x-forwarded-for", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
            (xff, "10.0.0.1", "x-forwarded-for", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
            (xff, "10.0.0.1", "x-forwarded-for", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            (xff, "10.0.0.1", "x-forwarded-for", "198.51.100.1, unknown", "10.0.0.1"),
            (xff, "10.0.0.1", "x-forwarded-for", "", "10.0.0.1"),
            (xff, "10.0.0.1", "forwarded", "for=198.51.100.1", "10.0.0.1"),
            (fwd, "10.0.0.1", "forwarded", "for=198.51.100.1;proto=https", "198.51.100.1"),
            (
                fwd,
                "10.0.0.1",
                "forwarded",
                "for=1.1.1.1, For=\"[2001:db8::1]:4711\"",
                "2001:db8::1",
            ),
            (fwd, "10.0.0.1", "forwarded", "by=10.0.0.1", "10.0.0.1"),
            (fwd, "10.0.0.1", "x-forwarded-for", "198.51.100.1", "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header, value.parse().unwrap());
            let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
            let options = IngressOptions {
                trusted_proxies,
                client_address: which,
                ..IngressOptions::narrow()
            };
            let found = address(peer.parse().unwrap(), &headers, &options);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{header}: {value}");
        }
    }

    #[test]
    fn entries_of_several_lines_are_read_from_the_last() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "1.1.1.1".parse().unwrap());
        headers.append("x-forwarded-for", "198.51.100.1, 10.0.0.2".parse().unwrap());
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let options = IngressOptions { trusted_proxies, ..IngressOptions::narrow() };
        let found = address("10.0.0.1".parse().unwrap(), &headers, &options);
        assert_eq!(found, "198.51.100.1".parse::<IpAddr>().unwrap());
    }
}
