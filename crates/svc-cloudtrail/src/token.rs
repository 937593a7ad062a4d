//! The token with which a lookup goes on: a place in the trail, sealed, good for the same lookup alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millpond_io::Random;
use millpond_meta::Position;
use millpond_seal::{Purpose, Vault};

/// The token of a place. `lookup` names what is looked up, and for whom.
pub fn seal(vault: &Vault, random: &dyn Random, lookup: &str, before: Position) -> Option<String> {
    let sealed = vault.seal(random, Purpose::PageToken, lookup.as_bytes(), &before.to_bytes()).ok()?;
    Some(STANDARD.encode(sealed))
}

/// The place of a token; `None` when it was not sealed for this lookup.
pub fn open(vault: &Vault, lookup: &str, token: &str) -> Option<Position> {
    let sealed = STANDARD.decode(token).ok()?;
    let plain = vault.open(Purpose::PageToken, lookup.as_bytes(), &sealed).ok()?;
    (plain.len() == 10).then(|| Position::from_key(&plain)).flatten()
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn a_token_is_good_for_its_lookup_alone() {
        let vault = Vault::for_tests();
        let place = Position { commit: 7, index: 3 };
        let token = seal(&vault, &SystemRandom, "a", place).unwrap();
        assert_eq!(open(&vault, "a", &token), Some(place));
        for (lookup, token) in [("b", token.as_str()), ("a", &token[4..]), ("a", ""), ("a", "no base64!")] {
            assert_eq!(open(&vault, lookup, token), None, "{lookup} {token}");
        }
    }
}
