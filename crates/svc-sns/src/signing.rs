//! The key that proves that messages are this server's, and its certificate.
//!
//! It is made when it is first needed, sealed in the store, and never changed. RSA is what the protocol asks for (SHA1withRSA in signatures of version
//! 1, SHA256withRSA in those of version 2); ring, which the rest uses, neither makes such keys nor signs SHA-1.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_io::{Clock, Random};
use millpond_meta::{Batch, CommitError, Cond, Kv, Op};
use millpond_seal::{Purpose, Vault};
use millpond_types::Timestamp;
use prost::Message;
use rand_core::{TryCryptoRng, TryRng};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use sha2::Digest;
use tokio::sync::OnceCell;

use crate::envelope::{Envelope, Proof};
use crate::errors::SnsError;
use crate::rows::{self, SigningRow};
use crate::{certificate, tables};

/// Bits of the key, as AWS's certificates have them.
const BITS: usize = 2_048;
/// How long the certificate is good for: as long as anyone keeps messages.
const YEARS: u64 = 50;
const YEAR_SECONDS: u64 = 31_556_952;

/// Our randomness in the terms of the signing crate.
struct Rng<'a>(&'a dyn Random);

impl TryRng for Rng<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Rng<'_> {}

/// A key with its certificate.
pub(crate) struct Signer {
    old: SigningKey<sha1::Sha1>,
    new: SigningKey<sha2::Sha256>,
    /// PEM.
    pub certificate: String,
    /// The certificate's file name: by its digest, so that a name never means another certificate.
    pub file: String,
}

/// The parameters of [`Signer::make`] and of reading it.
pub(crate) struct Keeper {
    kv: Arc<dyn Kv>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    signer: OnceCell<Arc<Signer>>,
}

fn failed(what: &str, error: impl std::fmt::Display) -> SnsError {
    SnsError::Internal(format!("the key that signs messages {what}: {error}"))
}

impl Signer {
    fn new(key: rsa::PrivateKey, certificate: String) -> Self {
        let digest = hex::encode(sha2::Sha256::digest(certificate.as_bytes()));
        let file = format!("SimpleNotificationService-{}.pem", &digest[..32]);
        Self { old: SigningKey::new(key.clone()), new: SigningKey::new(key), certificate, file }
    }

    /// The signature of a document, by version; base64.
    pub fn sign(&self, random: &dyn Random, version: &str, text: &str) -> Result<String, SnsError> {
        let (mut rng, text) = (Rng(random), text.as_bytes());
        let signature = match version {
            "2" => self.new.try_sign_with_rng(&mut rng, text).map(|signature| signature.to_vec()),
            _ => self.old.try_sign_with_rng(&mut rng, text).map(|signature| signature.to_vec()),
        };
        signature.map(|bytes| STANDARD.encode(bytes)).map_err(|error| failed("does not sign", error))
    }
}

/// A new key, in PKCS#8, and its certificate. Takes some hundred milliseconds.
fn make(random: &dyn Random, now: Timestamp) -> Result<(rsa::PrivateKey, String), SnsError> {
    let mut rng = Rng(random);
    let key = rsa::PrivateKey::new(&mut rng, BITS).map_err(|error| failed("cannot be made", error))?;
    let public = key.to_public_key().to_public_key_der().map_err(|error| failed("cannot be written", error))?;
    let until = Timestamp::from_seconds(now.seconds() + YEARS * YEAR_SECONDS);
    let text = certificate::to_be_signed(random.u64(), "sns.millpond", now, until, public.as_bytes());
    let signature = SigningKey::<sha2::Sha256>::new(key.clone()).try_sign_with_rng(&mut rng, &text);
    let signature = signature.map_err(|error| failed("does not sign", error))?.to_vec();
    let der = STANDARD.encode(certificate::signed(&text, &signature));
    // Lines of 64 characters (RFC 7468).
    let lines: Vec<&str> = der.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    Ok((key, pem))
}

impl Keeper {
    pub fn new(kv: Arc<dyn Kv>, vault: Arc<Vault>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { kv, vault, clock, random, signer: OnceCell::new() }
    }

    /// The key, made if there is none yet.
    pub async fn signer(&self) -> Result<&Arc<Signer>, SnsError> {
        self.signer.get_or_try_init(|| self.load()).await
    }

    /// The key if there is one: who asks for a certificate makes none.
    pub async fn existing(&self) -> Result<Option<Arc<Signer>>, SnsError> {
        if let Some(signer) = self.signer.get() {
            return Ok(Some(Arc::clone(signer)));
        }
        self.read().await
    }

    async fn read(&self) -> Result<Option<Arc<Signer>>, SnsError> {
        let Some(row) = self.kv.get(&tables::signing()).await? else { return Ok(None) };
        let row = SigningRow::decode(row).map_err(|error| failed("is damaged", error))?;
        let opened = self.vault.open(Purpose::SigningKey, &[], &row.key);
        let key = opened.map_err(|_| failed("cannot be opened", "it was sealed under another key"))?;
        let key = rsa::PrivateKey::from_pkcs8_der(&key).map_err(|error| failed("is damaged", error))?;
        Ok(Some(Arc::new(Signer::new(key, row.certificate))))
    }

    async fn load(&self) -> Result<Arc<Signer>, SnsError> {
        loop {
            if let Some(found) = self.read().await? {
                return Ok(found);
            }
            let (random, now) = (Arc::clone(&self.random), self.clock.now());
            let made = tokio::task::spawn_blocking(move || make(&*random, now)).await;
            let (key, certificate) = made.map_err(|error| failed("cannot be made", error))??;
            let der = key.to_pkcs8_der().map_err(|error| failed("cannot be written", error))?;
            let sealed = self.vault.seal(&*self.random, Purpose::SigningKey, &[], der.as_bytes());
            let sealed = sealed.map_err(|error| failed("cannot be sealed", error))?;
            let row = rows::encode(&SigningRow { key: sealed.into(), certificate: certificate.clone() });
            let (conds, ops) = (vec![Cond::Absent(tables::signing())], vec![Op::Put(tables::signing(), row)]);
            match self.kv.commit(Batch { conds, ops, ..Batch::default() }).await {
                Ok(_) => return Ok(Arc::new(Signer::new(key, certificate))),
                // Somebody else has made one.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(failed("cannot be kept", error)),
            }
        }
    }

    /// Signs a document, away from the threads that serve: it takes milliseconds.
    pub async fn prove(&self, envelope: &Envelope<'_>, version: &'static str, base: &str) -> Result<Proof, SnsError> {
        let signer = Arc::clone(self.signer().await?);
        let certificate_url = format!("{base}/_millpond/sns/{}", signer.file);
        let (random, text) = (Arc::clone(&self.random), envelope.signed_text());
        let signed = tokio::task::spawn_blocking(move || signer.sign(&*random, version, &text)).await;
        let signature = signed.map_err(|error| failed("does not sign", error))??;
        Ok(Proof { version, signature, certificate_url })
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::{ManualClock, SystemRandom};
    use millpond_meta::MemoryKv;
    use rsa::pkcs1v15::{Signature, VerifyingKey};
    use rsa::signature::{Keypair, Verifier};

    use super::*;

    fn keeper(kv: &MemoryKv) -> Keeper {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        Keeper::new(Arc::new(kv.clone()), Arc::new(Vault::for_tests()), clock, Arc::new(SystemRandom))
    }

    #[tokio::test]
    async fn the_key_is_made_once_sealed_and_signs_in_both_versions() {
        let kv = MemoryKv::new();
        let first = keeper(&kv);
        assert!(first.existing().await.unwrap().is_none());
        let signer = Arc::clone(first.signer().await.unwrap());
        let again = keeper(&kv).existing().await.unwrap().unwrap();
        assert_eq!(again.certificate, signer.certificate);
        let row = millpond_meta::View::get(&kv, &tables::signing()).await.unwrap().unwrap();
        let der = signer.new.as_ref().to_pkcs8_der().unwrap();
        assert!(!row.windows(16).any(|window| window == &der.as_bytes()[200..216]));
        for version in ["1", "2"] {
            let began = std::time::Instant::now();
            let signature = STANDARD.decode(signer.sign(&SystemRandom, version, "text").unwrap()).unwrap();
            println!("a signature takes {:?}", began.elapsed());
            let signature = Signature::try_from(signature.as_slice()).unwrap();
            let (old, new): (VerifyingKey<sha1::Sha1>, VerifyingKey<sha2::Sha256>) =
                (again.old.verifying_key(), again.new.verifying_key());
            assert_eq!(old.verify(b"text", &signature).is_ok(), version == "1");
            assert_eq!(new.verify(b"text", &signature).is_ok(), version == "2");
        }
    }
}
