//! Networks, and the client behind a proxy.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;

/// A range of addresses, such as `10.0.0.0/8`; one address is a range too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a network is an address, or an address and the number of its leading bits, such as 10.0.0.0/8")]
pub struct InvalidNetwork;

/// IPv4 addresses that came over an IPv6 socket are IPv4 addresses all the same.
fn number(address: IpAddr) -> (u128, u8) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, width), (other, other_width)) = (number(self.address), number(address));
        let differing = width - self.bits;
        width == other_width && (own ^ other).checked_shr(u32::from(differing)).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let address = address.to_canonical();
        let width = number(address).1;
        let bits = bits.map_or(Ok(width), |bits| bits.parse::<u8>().map_err(|_| InvalidNetwork))?;
        if bits <= width { Ok(Self { address, bits }) } else { Err(InvalidNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The most addresses read from `X-Forwarded-For`: longer chains of proxies are not configured by anyone.
const MAX_FORWARDED: usize = 16;

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
    fn networks() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.8", false),
            ("10.0.0.7/32", "::ffff:10.0.0.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:9::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "localhost", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }

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
