//! Access key ids that tell their account.
//!
//! Sixteen characters of base32 (RFC 4648, without padding) follow four that say what the key is: 80 bits, the first of which is set, then
//! the account's number in 40, the rest random. AWS's own ids have been built so for years, and tools read accounts from them.

use millpond_io::Random;
use millpond_types::AccountId;

/// What long-term access keys begin with.
pub(crate) const LONG_TERM: &str = "AKIA";
/// What temporary ones begin with.
pub(crate) const TEMPORARY: &str = "ASIA";

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const CHARACTERS: u32 = 16;
const BITS: u32 = 80;
/// Bits behind the account's number.
const RANDOM_BITS: u32 = 39;

/// A new id of an account.
pub(crate) fn new(kind: &str, account: AccountId, random: &dyn Random) -> String {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    // Twelve digits are less than 2^40.
    let number: u64 = account.as_str().parse().unwrap_or_default();
    let tail = u128::from(u64::from_le_bytes(bytes) >> (u64::BITS - RANDOM_BITS));
    let value = 1 << (BITS - 1) | u128::from(number) << RANDOM_BITS | tail;
    let mut id = String::with_capacity(kind.len() + CHARACTERS as usize);
    id.push_str(kind);
    for at in (0..CHARACTERS).rev() {
        id.push(char::from(ALPHABET[(value >> (5 * at)) as usize & 31]));
    }
    id
}

/// The account that an id tells; `None` when it is built otherwise, as keys that an operator chose are.
pub(crate) fn account(id: &str) -> Option<AccountId> {
    let body = id.strip_prefix(LONG_TERM).or_else(|| id.strip_prefix(TEMPORARY))?;
    if body.len() != CHARACTERS as usize {
        return None;
    }
    let mut value = 0_u128;
    for byte in body.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        value = value << 5 | digit as u128;
    }
    let number = (value >> RANDOM_BITS) as u64 & ((1 << 40) - 1);
    let built = value >> (BITS - 1) == 1 && number < 1_000_000_000_000;
    built.then(|| format!("{number:012}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn an_id_tells_its_account() {
        for text in ["000000000000", "123456789012", "999999999999", "000000000001"] {
            let wanted: AccountId = text.parse().unwrap();
            let ids = [new(TEMPORARY, wanted, &SystemRandom), new(TEMPORARY, wanted, &SystemRandom)];
            assert_ne!(ids[0], ids[1]);
            for id in ids {
                assert_eq!((id.len(), &id[..4], account(&id)), (20, "ASIA", Some(wanted)), "{id}");
            }
        }
    }

    #[test]
    fn aws_ids_are_read_as_aws_does() {
        // From a published description of the scheme.
        for (id, expected) in [
            ("ASIAQNZGKIQY56JQ7WML", Some("029608264753")),
            ("AKIAIOSFODNN7EXAMPLE", None),
            ("AKIA", None),
            ("ASIAQNZGKIQY56JQ7WM1", None),
            ("AROAQNZGKIQY56JQ7WML", None),
            ("ASIA7777777777777777", None),
        ] {
            assert_eq!(account(id).map(|account| account.to_string()).as_deref(), expected, "{id}");
        }
    }
}
