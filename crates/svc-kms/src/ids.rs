//! Names of keys, of their material and of grants: random, and never used again.

use std::fmt;

use millpond_io::Random;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
}

/// `N` bytes written as lower-case hexadecimal digits; others are refused, so that an id has one form.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// A key's id: a UUID of version 4 (RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyId(pub [u8; 16]);

/// Where a UUID has its hyphens, as digits before them.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl KeyId {
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let groups: Vec<&str> = text.split('-').collect();
        if groups.len() != GROUPS.len() || groups.iter().zip(GROUPS).any(|(group, length)| group.len() != length) {
            return None;
        }
        parse_hex(&groups.concat()).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = String::with_capacity(32);
        push_hex(&mut digits, &self.0);
        let mut rest = digits.as_str();
        for (at, length) in GROUPS.into_iter().enumerate() {
            let (group, behind) = rest.split_at(length);
            write!(f, "{}{group}", if at == 0 { "" } else { "-" })?;
            rest = behind;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 32 random bytes, shown as 64 digits, as AWS shows the ids of grants and of key material.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LongId(pub [u8; 32]);

/// The id of a key's material.
pub(crate) type MaterialId = LongId;
/// The id of a grant.
pub(crate) type GrantId = LongId;

impl LongId {
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        Self(bytes)
    }

    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for LongId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = String::with_capacity(64);
        push_hex(&mut digits, &self.0);
        f.write_str(&digits)
    }
}

impl fmt::Debug for LongId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::SeededRandom;

    use super::*;

    #[test]
    fn ids_have_one_form() {
        let id = KeyId::random(&SeededRandom::new(7));
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
        assert_eq!(KeyId::parse(&text), Some(id));
        let long = LongId::random(&SeededRandom::new(7));
        assert_eq!(LongId::parse(&long.to_string()), Some(long));
        for bad in
            [text.to_uppercase(), text.replace('-', ""), format!("{text}0"), text.replacen('-', "", 1), "é".repeat(18)]
        {
            assert_eq!(KeyId::parse(&bad), None, "{bad}");
        }
        assert_eq!(LongId::parse(&long.to_string()[1..]), None);
    }
}
