//! Checks a claim against the secret of its access key.

use std::time::Duration;

use millpond_digest::sha256;
use millpond_types::{Region, Timestamp};

use crate::canonical::{self, S3};
use crate::claim::{Form, ScopedClaim};
use crate::hex::{self, Hex32};
use crate::key::same;
use crate::payload::{ChunkSigning, PayloadMode};
use crate::{AuthError, AuthType, KeyCache, Mismatch, RequestParts, Secret, SignedClaim, SigningKey};

/// How far a client's clock may be off (S3 API Reference, `RequestTimeTooSkewed`).
pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// What this server accepts.
#[derive(Clone, Copy, Debug)]
pub struct VerifyPolicy<'a> {
    /// The time now.
    pub now: Timestamp,
    /// The one region of this server.
    pub region: &'a Region,
    /// The services that the request may be scoped to: usually the one it was routed to.
    pub services: &'a [&'a str],
}

/// A request whose signature is right. Made by [`SignedClaim::verify`] alone.
#[derive(Debug)]
pub struct Verified {
    pub(crate) access_key_id: String,
    pub(crate) session_token: Option<String>,
    pub(crate) auth_type: AuthType,
    pub(crate) signature_version: &'static str,
    pub(crate) signed_at: Option<Timestamp>,
    pub(crate) age: Option<Duration>,
    pub(crate) content_sha256: Option<String>,
    pub(crate) payload: PayloadMode,
}

impl Verified {
    /// The access key that signed it.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token that was signed with it; whoever issues tokens must still look at it.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Where the signature was; `name()` is the condition key `s3:authType`.
    pub fn auth_type(&self) -> AuthType {
        self.auth_type
    }

    /// The condition key `s3:signatureversion`.
    pub fn signature_version(&self) -> &'static str {
        self.signature_version
    }

    /// When it was signed, by the client's clock. Signature Version 2 does not say.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }

    /// How long ago that was; the condition key `s3:signatureAge` in milliseconds. Signature Version 2 does not say.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// The condition key `s3:x-amz-content-sha256`, as the client sent it.
    pub fn content_sha256(&self) -> Option<&str> {
        self.content_sha256.as_deref()
    }

    /// How the body is protected.
    pub fn payload(&self) -> &PayloadMode {
        &self.payload
    }

    /// How the body is protected, to make a [`PayloadDecoder`](crate::PayloadDecoder) of it.
    pub fn into_payload(self) -> PayloadMode {
        self.payload
    }
}

/// What the body's hash stands for in the canonical request.
enum PayloadHash {
    Unsigned,
    Sha256([u8; 32]),
    Chunked { signed: bool, trailer: bool },
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_CHUNKS_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_CHUNKS_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

impl PayloadHash {
    fn parse(text: &str) -> Result<Self, AuthError> {
        match text {
            UNSIGNED => Ok(Self::Unsigned),
            SIGNED_CHUNKS => Ok(Self::Chunked { signed: true, trailer: false }),
            SIGNED_CHUNKS_TRAILER => Ok(Self::Chunked { signed: true, trailer: true }),
            UNSIGNED_CHUNKS_TRAILER => Ok(Self::Chunked { signed: false, trailer: true }),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Err(AuthError::UnsupportedMechanism)
            }
            _ => match hex::parse32(text.as_bytes()) {
                Some(hash) => Ok(Self::Sha256(hash)),
                None => Err(AuthError::InvalidContentSha256(text.chars().take(128).collect())),
            },
        }
    }
}

impl PayloadMode {
    /// How the body of an anonymous request is protected: by what its `x-amz-content-sha256` says, where no signature is needed.
    ///
    /// # Errors
    ///
    /// A value that is none, or one that needs a signing key.
    pub fn anonymous(headers: &http::HeaderMap) -> Result<Self, AuthError> {
        Self::unkeyed(headers.get("x-amz-content-sha256").map(|value| value.to_str().unwrap_or_default()))
    }

    /// What `x-amz-content-sha256` says where there is no key to sign chunks with.
    pub(crate) fn unkeyed(content_sha256: Option<&str>) -> Result<Self, AuthError> {
        let Some(text) = content_sha256 else { return Ok(Self::Unsigned) };
        match PayloadHash::parse(text)? {
            PayloadHash::Unsigned => Ok(Self::Unsigned),
            PayloadHash::Sha256(hash) => Ok(Self::Sha256(hash)),
            PayloadHash::Chunked { signed: false, trailer } => Ok(Self::Chunked { signing: None, trailer }),
            PayloadHash::Chunked { signed: true, .. } => Err(AuthError::InvalidContentSha256(text.to_owned())),
        }
    }
}

impl SignedClaim<'_> {
    /// Checks all that needs no secret: scope, times, and that what must be signed is. [`verify`](Self::verify) does it too;
    /// called before the key is looked up it tells a client of its wrong region or clock first, as AWS does.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), except a signature that does not match.
    pub fn check(&self, parts: &RequestParts<'_>, policy: &VerifyPolicy<'_>) -> Result<(), AuthError> {
        match &self.form {
            Form::Four(claim) => claim.check(parts, policy),
            Form::Two(claim) => claim.check(policy),
        }
    }

    /// Checks the request's signature with the secret of its access key.
    ///
    /// `parts` must be those that the claim was read from. `keys` may be shared by all requests.
    ///
    /// # Errors
    ///
    /// A wrong scope, region, service or time; headers that are not signed; a signature that does not match.
    pub fn verify(
        &self,
        parts: &RequestParts<'_>,
        secret: &Secret,
        policy: &VerifyPolicy<'_>,
        keys: &KeyCache,
    ) -> Result<Verified, AuthError> {
        match &self.form {
            Form::Four(claim) => claim.verify(parts, secret, policy, keys),
            Form::Two(claim) => claim.verify(parts, secret, policy),
        }
    }
}

impl ScopedClaim<'_> {
    fn check(&self, parts: &RequestParts<'_>, policy: &VerifyPolicy<'_>) -> Result<(), AuthError> {
        self.check_scope(policy)?;
        self.check_time(policy.now)?;
        self.check_signed_headers(parts)
    }

    fn check_scope(&self, policy: &VerifyPolicy<'_>) -> Result<(), AuthError> {
        let wrong = |detail: String| Err(AuthError::malformed(self.via, detail));
        let day = self.credential.piece(1);
        if day != self.date.day() {
            let expected = self.date.day();
            return wrong(format!(
                "Invalid credential date \"{day}\". This date is not the same as X-Amz-Date: \"{expected}\"."
            ));
        }
        if self.credential.region() != policy.region.as_str() {
            let (given, expected) = (self.credential.region().to_owned(), policy.region.to_string());
            return Err(AuthError::WrongRegion { via: self.via, given, expected });
        }
        if !policy.services.contains(&self.credential.service()) {
            let (given, expected) = (self.credential.service(), policy.services.join("\" or \""));
            return wrong(format!("incorrect service \"{given}\". This endpoint belongs to \"{expected}\"."));
        }
        let terminator = self.credential.piece(4);
        if terminator != "aws4_request" {
            return wrong(format!("incorrect terminal \"{terminator}\". This endpoint uses \"aws4_request\"."));
        }
        Ok(())
    }

    fn check_time(&self, now: Timestamp) -> Result<(), AuthError> {
        let signed = self.date.time();
        let Some(expires) = self.expires else {
            if now.since(signed) > MAX_SKEW || signed.since(now) > MAX_SKEW {
                return Err(AuthError::TimeTooSkewed { signed, now });
            }
            return Ok(());
        };
        let end = signed.plus(Duration::from_secs(u64::from(expires)));
        if signed.since(now) > MAX_SKEW {
            return Err(AuthError::NotYetValid { expires, end, now });
        }
        if now > end {
            return Err(AuthError::Expired { expires: Some(expires), end, now });
        }
        Ok(())
    }

    /// `host` and every `x-amz-*` header must be covered: what is not signed does not count, and an `x-amz-*` header that does not
    /// count would still be acted on further in.
    fn check_signed_headers(&self, parts: &RequestParts<'_>) -> Result<(), AuthError> {
        let covered = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let mut missing = Vec::new();
        if !covered("host") {
            missing.push("host".to_owned());
        }
        for name in parts.headers.keys() {
            if name.as_str().starts_with("x-amz-") && !covered(name.as_str()) {
                missing.push(name.as_str().to_owned());
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(AuthError::HeadersNotSigned(missing)) }
    }

    /// What stands for the body, and its text in the canonical request.
    fn payload_hash(&self, parts: &RequestParts<'_>) -> Result<PayloadHash, AuthError> {
        if self.credential.service() != S3 {
            // Their signatures cover the hash of the body that came, whatever a header says of it.
            return Ok(PayloadHash::Sha256(sha256(parts.body)));
        }
        match (&self.content_sha256, self.via) {
            (Some(text), _) => PayloadHash::parse(text),
            (None, AuthType::Query) => Ok(PayloadHash::Unsigned),
            (None, AuthType::Header) if parts.has_header("x-amz-content-sha256") => {
                Err(AuthError::InvalidContentSha256(String::new()))
            }
            (None, AuthType::Header) => Err(AuthError::MissingContentSha256),
        }
    }

    fn verify(
        &self,
        parts: &RequestParts<'_>,
        secret: &Secret,
        policy: &VerifyPolicy<'_>,
        keys: &KeyCache,
    ) -> Result<Verified, AuthError> {
        self.check(parts, policy)?;
        let hash = self.payload_hash(parts)?;
        let text;
        let hash_text = match &hash {
            PayloadHash::Sha256(bytes) => {
                text = Hex32::of(bytes);
                text.as_str()
            }
            _ => self.content_sha256.as_deref().unwrap_or(UNSIGNED),
        };
        let canonical = canonical::request(parts, self.credential.service(), &self.signed_headers, hash_text)
            .map_err(|_| AuthError::InvalidUri)?;
        let string_to_sign = canonical::string_to_sign(&self.date, self.credential.scope(), &canonical.text);

        let (id, [day, region, service]) =
            (self.credential.access_key_id(), [1, 2, 3].map(|piece| self.credential.piece(piece)));
        let cached = keys.get(id, secret, day, region, service);
        let fresh = cached.is_none();
        let key = cached.unwrap_or_else(|| SigningKey::derive(secret, day, region, service));
        let expected = key.sign(&[string_to_sign.as_bytes()]);
        let matches = hex::parse32(self.signature.as_bytes()).is_some_and(|provided| same(&provided, &expected));
        if !(matches && canonical.complete) {
            return Err(AuthError::SignatureMismatch(Box::new(Mismatch {
                access_key_id: id.to_owned(),
                provided: self.signature.clone().into_owned(),
                string_to_sign,
                canonical_request: Some(canonical.text),
            })));
        }
        if fresh {
            keys.put(id, secret, [day, region, service], &key);
        }
        Ok(self.verified(policy.now, hash, key, expected))
    }

    fn verified(&self, now: Timestamp, hash: PayloadHash, key: SigningKey, signature: [u8; 32]) -> Verified {
        let payload = match hash {
            PayloadHash::Unsigned => PayloadMode::Unsigned,
            PayloadHash::Sha256(hash) => PayloadMode::Sha256(hash),
            PayloadHash::Chunked { signed, trailer } => {
                let signing =
                    signed.then(|| Box::new(ChunkSigning::new(key, &self.date, self.credential.scope(), signature)));
                PayloadMode::Chunked { signing, trailer }
            }
        };
        Verified {
            access_key_id: self.credential.access_key_id().to_owned(),
            session_token: self.session_token.as_deref().map(str::to_owned),
            auth_type: self.via,
            signature_version: canonical::ALGORITHM,
            signed_at: Some(self.date.time()),
            age: Some(now.since(self.date.time())),
            content_sha256: self.content_sha256.as_deref().map(str::to_owned),
            payload,
        }
    }
}
