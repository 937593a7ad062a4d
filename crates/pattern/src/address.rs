//! IP addresses and blocks of them (CIDR, RFC 4632 and 4291), read as AWS's matcher does.

use std::net::Ipv6Addr;

/// An address. The two families have nothing in common; an IPv4 address in IPv6's clothes (`::ffff:a00:1`) is an IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Address {
    V4(u32),
    V6(u128),
}

/// Addresses from the first to the last, both included and of one family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Block {
    pub(crate) first: Address,
    pub(crate) last: Address,
}

impl Address {
    /// Of a text: four decimal numbers with dots, or hexadecimal groups with colons (and no dots). Anything else is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The longest has 39 characters; most texts are refused by their first byte.
        if text.len() > 39 || !text.bytes().next().is_some_and(|first| first.is_ascii_hexdigit() || first == b':') {
            return None;
        }
        if text.contains(':') {
            if text.contains('.') {
                return None;
            }
            let address: Ipv6Addr = text.parse().ok()?;
            return Some(address.to_ipv4_mapped().map_or(Self::V6(address.to_bits()), |v4| Self::V4(v4.to_bits())));
        }
        Self::parse_v4(text)
    }

    /// Leading zeros are allowed, and mean nothing.
    fn parse_v4(text: &str) -> Option<Self> {
        // As many characters as Java's reader of addresses takes.
        if text.len() > 15 {
            return None;
        }
        let (mut address, mut count) = (0_u32, 0);
        for part in text.split('.') {
            count += 1;
            if count > 4 || part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let number: u64 = part.parse().ok()?;
            address = address << 8 | u32::from(u8::try_from(number).ok()?);
        }
        (count == 4).then_some(Self::V4(address))
    }

    /// An integer in the order of the addresses; all of IPv4 stands before all of IPv6.
    pub(crate) fn key(self) -> (u8, u128) {
        match self {
            Self::V4(bits) => (4, u128::from(bits)),
            Self::V6(bits) => (6, bits),
        }
    }
}

impl Block {
    /// One address.
    pub(crate) fn of(address: Address) -> Self {
        Self { first: address, last: address }
    }

    /// Of `ADDRESS/BITS`; in words what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<_> = text.split('/').collect();
        while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        let [address, bits] = parts[..] else { return Err("Malformed CIDR, one '/' required".to_owned()) };
        let bits: i32 = bits.parse().map_err(|_| "Malformed CIDR, mask bits must be an integer".to_owned())?;
        let bits = u32::try_from(bits).map_err(|_| "Malformed CIDR, mask bits must not be negative".to_owned())?;
        match Address::parse(address) {
            None => Err(format!("Nonstandard IP address: {address}")),
            Some(Address::V4(_)) if bits > 31 => Err("IPv4 mask bits must be < 32".to_owned()),
            Some(Address::V6(_)) if bits > 127 => Err("IPv6 mask bits must be < 128".to_owned()),
            Some(Address::V4(address)) => {
                let free = u32::MAX >> bits;
                Ok(Self { first: Address::V4(address & !free), last: Address::V4(address | free) })
            }
            Some(Address::V6(address)) => {
                let free = u128::MAX >> bits;
                Ok(Self { first: Address::V6(address & !free), last: Address::V6(address | free) })
            }
        }
    }

    pub(crate) fn contains(&self, address: Address) -> bool {
        self.first <= address && address <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (a, b) in
            [("10.0.0.7", "010.000.0.07"), ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1"), ("::ffff:a00:7", "10.0.0.7")]
        {
            assert_eq!(Address::parse(a), Address::parse(b), "{a}");
            assert!(Address::parse(a).is_some(), "{a}");
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.0.0",
            "256.0.0.1",
            "10.0.0.1 ",
            "a",
            "10:30",
            "::1.2.3.4",
            ":::",
            "1.2.3.-4",
            "fe80::1%1",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn blocks_hold_their_addresses() {
        for (block, address, inside) in [
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("10.0.0.77/24", "10.0.0.0", true),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/24/", "10.0.0.1", true),
        ] {
            let address = Address::parse(address).unwrap();
            assert_eq!(Block::parse(block).unwrap().contains(address), inside, "{block}");
        }
        for block in ["10.0.0.0", "10.0.0.0/24/1", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.0/32", "::/128", "a/8", "/8"] {
            assert!(Block::parse(block).is_err(), "{block}");
        }
    }
}
