//! Which addresses may be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use millpond_types::Network;

/// Decides by address. What is not reachable from everywhere on the internet is inside, by the special-purpose registries
/// of IANA (RFC 6890), and refused unless the operator has allowed it.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Vec<Network>,
}

impl Guard {
    /// One that lets these networks be called besides those outside.
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether an address may be called.
    pub fn permits(&self, address: IpAddr) -> bool {
        // ::ffff:a.b.c.d is the IPv4 address to the system that connects.
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(address)) || is_outside(address)
    }
}

fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_outside_v4(address),
        IpAddr::V6(address) => is_outside_v6(address),
    }
}

fn is_outside_v4(address: Ipv4Addr) -> bool {
    let inside = match address.octets() {
        // This network, loopback, private.
        [0 | 10 | 127, ..] => true,
        // Shared by the customers of one carrier.
        [100, b, ..] => (64..128).contains(&b),
        // Link-local, where clouds have their metadata.
        [169, 254, ..] => true,
        // Private.
        [172, b, ..] => (16..32).contains(&b),
        [192, 168, ..] => true,
        // Protocol assignments, documentation, and the anycast of 6to4.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Benchmarks of networks.
        [198, 18 | 19, ..] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !inside
}

fn is_outside_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let inside = match segments {
        // NAT64: as good as the IPv4 address in its last four bytes.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            return is_outside_v4(Ipv4Addr::new(a, b, c, d));
        }
        // Protocol assignments, with Teredo, which tunnels to IPv4 addresses of any kind; documentation; 6to4, likewise.
        [0x2001, b, ..] if b < 0x200 || b == 0xdb8 => true,
        [0x2002, ..] => true,
        [0x3fff, b, ..] if b < 0x1000 => true,
        // Global unicast is 2000::/3 alone: all others are loopback, unspecified, unique-local, link-local, multicast,
        // local NAT64, forms of IPv4 addresses, or unassigned.
        [a, ..] => !(0x2000..0x4000).contains(&a),
    };
    !inside
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, and whether it lies outside.
    const ADDRESSES: &[(&str, bool)] = &[
        ("8.8.8.8", true),
        ("1.1.1.1", true),
        ("9.255.255.255", true),
        ("11.0.0.0", true),
        ("100.63.255.255", true),
        ("100.128.0.0", true),
        ("126.255.255.255", true),
        ("128.0.0.0", true),
        ("169.253.255.255", true),
        ("169.255.0.0", true),
        ("172.15.255.255", true),
        ("172.32.0.0", true),
        ("192.167.255.255", true),
        ("192.169.0.0", true),
        ("223.255.255.255", true),
        ("2606:4700:4700::1111", true),
        ("2a00:1450::1", true),
        ("2001:4860:4860::8888", true),
        ("64:ff9b::8.8.8.8", true),
        ("::ffff:8.8.8.8", true),
        // This network and unspecified.
        ("0.0.0.0", false),
        ("0.255.255.255", false),
        ("::", false),
        // Loopback.
        ("127.0.0.1", false),
        ("127.255.255.255", false),
        ("::1", false),
        // Private and unique-local.
        ("10.0.0.0", false),
        ("10.255.255.255", false),
        ("172.16.0.0", false),
        ("172.31.255.255", false),
        ("192.168.0.0", false),
        ("192.168.255.255", false),
        ("fc00::1", false),
        ("fdff:ffff::1", false),
        // Shared.
        ("100.64.0.0", false),
        ("100.127.255.255", false),
        // Link-local and site-local.
        ("169.254.0.0", false),
        ("169.254.169.254", false),
        ("169.254.255.255", false),
        ("fe80::1", false),
        ("febf::1", false),
        ("fec0::1", false),
        // Multicast, reserved and broadcast.
        ("224.0.0.1", false),
        ("239.255.255.255", false),
        ("240.0.0.1", false),
        ("255.255.255.255", false),
        ("ff02::1", false),
        // For protocols, documentation and benchmarks.
        ("192.0.0.8", false),
        ("192.0.2.1", false),
        ("192.88.99.1", false),
        ("198.18.0.1", false),
        ("198.51.100.1", false),
        ("203.0.113.1", false),
        ("2001:db8::1", false),
        ("3fff::1", false),
        ("100::1", false),
        // IPv4 addresses in other forms.
        ("::ffff:127.0.0.1", false),
        ("::ffff:10.0.0.1", false),
        ("::ffff:169.254.169.254", false),
        ("::127.0.0.1", false),
        ("::8.8.8.8", false),
        ("64:ff9b::127.0.0.1", false),
        ("64:ff9b::169.254.169.254", false),
        ("64:ff9b::10.1.2.3", false),
        ("64:ff9b:1::8.8.8.8", false),
        ("2002:7f00:1::1", false),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", false),
    ];

    #[test]
    fn only_what_lies_outside_may_be_called() {
        let guard = Guard::default();
        for (address, outside) in ADDRESSES {
            assert_eq!(guard.permits(address.parse().unwrap()), *outside, "{address}");
        }
    }

    #[test]
    fn what_is_allowed_may_be_called_in_all_its_forms_and_nothing_else() {
        let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (address, permitted) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("fd00::1", true),
            ("::1", false),
            ("10.0.0.1", false),
            ("64:ff9b::127.0.0.1", false),
            ("::127.0.0.1", false),
            ("fc00::1", false),
            ("8.8.8.8", true),
        ] {
            assert_eq!(guard.permits(address.parse().unwrap()), permitted, "{address}");
        }
        // Allowing all of IPv4 allows no address of IPv6.
        let guard = Guard::new(vec!["0.0.0.0/0".parse().unwrap()]);
        assert!(guard.permits("10.0.0.1".parse().unwrap()));
        assert!(!guard.permits("::1".parse().unwrap()));
    }
}
