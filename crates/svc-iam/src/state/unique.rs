//! Ids and secrets that are drawn by lot.

use millpond_io::Random;

/// The letters of unique ids and access key ids.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The letters of secrets.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// 85 random bits after the prefix, as AWS's ids have: 21 characters in all.
const UNIQUE: usize = 17;
/// 20 characters in all.
const ACCESS_KEY: usize = 16;
/// 240 random bits.
const SECRET: usize = 40;

/// The size of an alphabet is a power of two, so that no letter is likelier.
fn letters(random: &dyn Random, prefix: &str, count: usize, alphabet: &[u8]) -> String {
    let mut bytes = zeroize::Zeroizing::new(vec![0; count]);
    random.fill(&mut bytes);
    let mut text = String::with_capacity(prefix.len() + count);
    text.push_str(prefix);
    text.extend(
        bytes.iter().filter_map(|byte| alphabet.get(usize::from(*byte) % alphabet.len())).map(|b| char::from(*b)),
    );
    text
}

/// A unique id, such as `AIDA...`.
pub(crate) fn id(random: &dyn Random, prefix: &str) -> String {
    letters(random, prefix, UNIQUE, BASE32)
}

/// An access key id, such as `AKIA...`.
pub(crate) fn access_key(random: &dyn Random, prefix: &str) -> String {
    letters(random, prefix, ACCESS_KEY, BASE32)
}

/// A secret access key.
pub(crate) fn secret(random: &dyn Random) -> zeroize::Zeroizing<String> {
    letters(random, "", SECRET, BASE64).into()
}
