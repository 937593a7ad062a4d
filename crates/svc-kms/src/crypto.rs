//! What is computed with keys: ciphertexts, their format, and message authentication codes.
//!
//! A ciphertext is
//!
//! ```text
//! format (1 byte, 0x01) | key id (16) | material id (32) | salt (16) | encrypted plaintext | tag (16)
//! ```
//!
//! encrypted by AES-256-GCM under a key of its own, which HKDF with SHA-256 (RFC 5869) makes of the material and the random salt: with
//! 128 random bits there is no limit to how many messages a key may encrypt (NIST SP 800-108 and SP 800-38D, section 8.3, bound keys that
//! are used directly). Everything before the encrypted plaintext and the encryption context are authenticated. Key and material can
//! be read from it by anybody, which is how it is decrypted without naming a key, and after rotations.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use millpond_api_kms::MacAlgorithmSpec;
use millpond_io::Random;
use millpond_seal::Key as Bytes32;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::ids::{KeyId, LongId, MaterialId};

const FORMAT: u8 = 1;
const SALT: usize = 16;
/// Format, key id, material id.
const NAMES: usize = 1 + 16 + 32;
const HEAD: usize = NAMES + SALT;
const TAG: usize = 16;
/// What the message keys are derived for; part of the format.
const PURPOSE: &[u8] = b"millpond kms message";

/// Secret bytes of a key, wiped when they are dropped. Has no text form, so that no log can hold it.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A ciphertext that is not of the key, or was changed, or is bound to another context; or a key that cannot be used so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unusable;

/// What a ciphertext says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Names {
    pub key: KeyId,
    pub material: MaterialId,
}

impl Names {
    /// Of a ciphertext; `None` when it is none of ours.
    pub fn of(blob: &[u8]) -> Option<Self> {
        if blob.len() < HEAD + TAG {
            return None;
        }
        let (format, rest) = blob.split_first()?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (material, _) = rest.split_first_chunk::<32>()?;
        (*format == FORMAT).then_some(Self { key: KeyId(*key), material: LongId(*material) })
    }
}

/// What is authenticated beside the plaintext: the head, then the context's pairs in the order of their keys, each text with its length before it.
fn authenticated(head: &[u8], context: Option<&BTreeMap<String, String>>) -> Vec<u8> {
    let mut all = head.to_vec();
    for text in context.into_iter().flatten().flat_map(|(key, value)| [key, value]) {
        all.extend_from_slice(&(text.len() as u64).to_be_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    all
}

impl Secret {
    /// New material.
    pub fn random(random: &dyn Random, bytes: usize) -> Self {
        let mut secret = Zeroizing::new(vec![0; bytes]);
        random.fill(&mut secret);
        Self(secret)
    }

    /// Material that was opened.
    pub fn opened(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    fn message_key(&self, salt: &[u8]) -> Result<LessSafeKey, Unusable> {
        let bytes: &[u8; 32] = self.0.as_slice().try_into().map_err(|_| Unusable)?;
        let key = Bytes32::from_bytes(bytes).derive(salt, &[PURPOSE]);
        UnboundKey::new(&AES_256_GCM, key.expose()).map(LessSafeKey::new).map_err(|_| Unusable)
    }

    /// Encrypts.
    pub fn encrypt(
        &self,
        random: &dyn Random,
        names: Names,
        context: Option<&BTreeMap<String, String>>,
        plain: &[u8],
    ) -> Result<Vec<u8>, Unusable> {
        let mut blob = Vec::with_capacity(HEAD + plain.len() + TAG);
        blob.push(FORMAT);
        blob.extend_from_slice(&names.key.0);
        blob.extend_from_slice(&names.material.0);
        let mut salt = [0; SALT];
        random.fill(&mut salt);
        blob.extend_from_slice(&salt);
        let aad = authenticated(&blob, context);
        let mut body = Zeroizing::new(plain.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let key = self.message_key(&salt)?;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut body).map_err(|_| Unusable)?;
        blob.extend_from_slice(&body);
        blob.extend_from_slice(tag.as_ref());
        Ok(blob)
    }

    /// Decrypts.
    pub fn decrypt(
        &self,
        context: Option<&BTreeMap<String, String>>,
        blob: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unusable> {
        let (head, body) = blob.split_at_checked(HEAD).ok_or(Unusable)?;
        let key = self.message_key(&head[NAMES..])?;
        let mut plain = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let aad = authenticated(head, context);
        let length = key.open_in_place(nonce, Aad::from(aad), &mut plain).map_err(|_| Unusable)?.len();
        plain.truncate(length);
        Ok(plain)
    }

    /// The message authentication code (RFC 2104).
    pub fn mac(&self, algorithm: MacAlgorithmSpec, message: &[u8]) -> Result<Vec<u8>, Unusable> {
        fn of<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Result<Vec<u8>, Unusable> {
            let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|_| Unusable)?;
            mac.update(message);
            Ok(mac.finalize().into_bytes().to_vec())
        }
        match algorithm {
            MacAlgorithmSpec::HmacSha224 => of::<Hmac<Sha224>>(&self.0, message),
            MacAlgorithmSpec::HmacSha256 => of::<Hmac<Sha256>>(&self.0, message),
            MacAlgorithmSpec::HmacSha384 => of::<Hmac<Sha384>>(&self.0, message),
            MacAlgorithmSpec::HmacSha512 => of::<Hmac<Sha512>>(&self.0, message),
        }
    }

    /// Whether a code is the message's; in a time that does not depend on where they differ.
    pub fn verifies(&self, algorithm: MacAlgorithmSpec, message: &[u8], code: &[u8]) -> Result<bool, Unusable> {
        use subtle::ConstantTimeEq;
        let right = self.mac(algorithm, message)?;
        Ok(right.as_slice().ct_eq(code).into())
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn ciphertexts_open_with_their_context_alone_and_bear_no_change() {
        let secret = Secret::random(&SystemRandom, 32);
        let names = Names { key: KeyId::random(&SystemRandom), material: LongId::random(&SystemRandom) };
        let bound = context(&[("a", "b"), ("c", "d")]);
        for plain in [&b"x"[..], &[7; 4096]] {
            let blob = secret.encrypt(&SystemRandom, names, Some(&bound), plain).unwrap();
            assert_eq!(Names::of(&blob), Some(names));
            assert_eq!(**secret.decrypt(Some(&bound), &blob).unwrap(), *plain);
            assert!(!blob.windows(plain.len()).any(|window| window == plain) || plain.len() == 1);
            for other in [
                None,
                Some(context(&[])),
                Some(context(&[("a", "b")])),
                Some(context(&[("a", "bc"), ("", "d")])),
                Some(context(&[("a", "d"), ("c", "b")])),
                Some(context(&[("A", "b"), ("c", "d")])),
            ] {
                assert!(secret.decrypt(other.as_ref(), &blob).is_err(), "{other:?}");
            }
            assert!(Secret::random(&SystemRandom, 32).decrypt(Some(&bound), &blob).is_err());
            for byte in (0..blob.len()).filter(|byte| *byte < 200 || byte % 97 == 0) {
                let mut changed = blob.clone();
                changed[byte] ^= 0x10;
                assert!(secret.decrypt(Some(&bound), &changed).is_err(), "byte {byte}");
                assert!(secret.decrypt(Some(&bound), &blob[..byte]).is_err(), "cut at {byte}");
            }
            assert_ne!(secret.encrypt(&SystemRandom, names, Some(&bound), plain).unwrap(), blob);
        }
        // An absent context is an empty one, as in AWS.
        let blob = secret.encrypt(&SystemRandom, names, None, b"x").unwrap();
        assert_eq!(**secret.decrypt(Some(&context(&[])), &blob).unwrap(), *b"x");
    }

    #[test]
    fn what_is_no_ciphertext_of_ours_has_no_names() {
        for blob in [&b""[..], &[1; HEAD + TAG - 1], &[2; 100], &[0; 200]] {
            assert_eq!(Names::of(blob), None);
        }
        assert_eq!(format!("{:?}", Secret::random(&SystemRandom, 32)), "Secret(…)");
    }

    #[test]
    fn codes_are_those_of_rfc_4231() {
        // Test case 2: key "Jefe".
        let secret = Secret::opened(Zeroizing::new(b"Jefe".to_vec()));
        for (algorithm, start, length) in [
            (MacAlgorithmSpec::HmacSha224, [0xa3, 0x0e, 0x01, 0x09], 28),
            (MacAlgorithmSpec::HmacSha256, [0x5b, 0xdc, 0xc1, 0x46], 32),
            (MacAlgorithmSpec::HmacSha384, [0xaf, 0x45, 0xd2, 0xe3], 48),
            (MacAlgorithmSpec::HmacSha512, [0x16, 0x4b, 0x7a, 0x7b], 64),
        ] {
            let code = secret.mac(algorithm, b"what do ya want for nothing?").unwrap();
            assert_eq!((&code[..4], code.len()), (&start[..], length), "{algorithm}");
            assert!(secret.verifies(algorithm, b"what do ya want for nothing?", &code).unwrap());
            assert!(!secret.verifies(algorithm, b"what do ya want for nothing!", &code).unwrap());
            assert!(!secret.verifies(algorithm, b"what do ya want for nothing?", &code[..27]).unwrap());
        }
    }
}
