//! The client behind a proxy.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;
use millpond_types::Network;

/// The most addresses read from `X-Forwarded-For`: longer chains of proxies are not configured by anyone.
const MAX_FORWARDED: usize = 16;

/// The address of all functions: of a network that nobody has (RFC 5737, TEST-NET-1).
const FUNCTIONS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Where a request came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    /// The client's address: the peer, or whom the trusted proxies name.
    pub(crate) address: IpAddr,
    /// Whether the client's connection is encrypted.
    pub(crate) secure: bool,
    /// Whether the client speaks to us without a proxy that we know of or that shows itself.
    pub(crate) direct: bool,
}

impl Origin {
    /// A function that came by its door: its connection leaves the machine nowhere, and it is no operator. It has the loopback address of a network of
    /// its own: a policy for programs of this machine does not mean it.
    pub(crate) fn function() -> Self {
        Self { address: FUNCTIONS, secure: true, direct: false }
    }
}

/// The client behind `peer`. Each proxy appends the address that it saw, so the list is read from its end for as long as
/// the one who wrote an entry is trusted.
pub(crate) fn origin(peer: IpAddr, secure: bool, headers: &HeaderMap, trusted: &[Network]) -> Origin {
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut found = Origin { address: peer.to_canonical(), secure, direct: !headers.contains_key("x-forwarded-for") };
    if trusted.is_empty() || !trusts(peer) {
        return found;
    }
    let mut protocols = headers.get_all("x-forwarded-proto").iter();
    if let (Some(protocol), None) = (protocols.next(), protocols.next()) {
        found.secure = protocol.as_bytes().eq_ignore_ascii_case(b"https");
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let entries = lines.flat_map(|line| line.to_str().unwrap_or("unreadable").rsplit(','));
    for entry in entries.take(MAX_FORWARDED) {
        // An entry that is no address ends the chain at the last proxy that is known.
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        found.address = address.to_canonical();
        if !trusts(address) {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("127.0.0.1", vec![], "127.0.0.1"),
            ("127.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", vec!["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", vec!["1.2.3.4", "198.51.100.1, 10.1.1.1"], "198.51.100.1"),
            ("127.0.0.1", vec!["1.2.3.4, junk, 10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", vec!["junk"], "127.0.0.1"),
            ("127.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let found = origin(peer.parse().unwrap(), false, &headers, &trusted);
            assert_eq!(found.address, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
            assert_eq!(found.direct, forwarded.is_empty());
        }
    }

    #[test]
    fn the_protocol_is_believed_likewise() {
        let trusted: Vec<Network> = vec!["127.0.0.1".parse().unwrap()];
        for (peer, secure, protocols, expected) in [
            ("127.0.0.1", false, vec!["https"], true),
            ("127.0.0.1", true, vec!["http"], false),
            ("127.0.0.1", false, vec!["https", "https"], false),
            ("203.0.113.9", false, vec!["https"], false),
            ("203.0.113.9", true, vec!["http"], true),
        ] {
            let mut headers = HeaderMap::new();
            for protocol in protocols {
                headers.append("x-forwarded-proto", protocol.parse().unwrap());
            }
            assert_eq!(origin(peer.parse().unwrap(), secure, &headers, &trusted).secure, expected);
        }
    }
}
