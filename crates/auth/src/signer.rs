//! A client's side of Signature Version 4, by header. It shares the canonical form with the server, so it proves nothing about that; published
//! examples and AWS's own suite do.

use http::{HeaderMap, HeaderName, HeaderValue};
use millpond_digest::sha256;
use millpond_types::Timestamp;

use crate::canonical::{self, ALGORITHM, S3};
use crate::hex::Hex32;
use crate::{AmzDate, RequestParts, Secret, SigningKey};

/// Credentials and the scope they sign for.
#[derive(Clone)]
pub struct Signer {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// The region.
    pub region: String,
    /// The service, such as `s3`.
    pub service: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What protects the body.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The SHA-256 of these bytes.
    Body(&'a [u8]),
    /// A literal value of `x-amz-content-sha256`, such as `UNSIGNED-PAYLOAD`.
    Literal(&'a str),
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl Signer {
    /// A signer of long-term credentials.
    pub fn new(access_key_id: &str, secret_key: &str, region: &str, service: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_key: secret_key.to_owned(),
            session_token: None,
            region: region.to_owned(),
            service: service.to_owned(),
        }
    }

    pub(crate) fn scope(&self, date: &AmzDate) -> String {
        format!("{}/{}/{}/aws4_request", date.day(), self.region, self.service)
    }

    pub(crate) fn key(&self, date: &AmzDate) -> SigningKey {
        SigningKey::derive(&Secret::new(&self.secret_key), date.day(), &self.region, &self.service)
    }

    pub(crate) fn signature(&self, parts: &RequestParts<'_>, signed: &str, hash: &str, date: &AmzDate) -> [u8; 32] {
        let text = canonical::request(parts, &self.service, signed, hash).map(|c| c.text).unwrap_or_default();
        self.key(date).sign(&[canonical::string_to_sign(date, &self.scope(date), &text).as_bytes()])
    }

    /// Signs a request by header: all headers that are there, `host` among them, and those that this adds: `x-amz-date`,
    /// `x-amz-content-sha256` for S3, `x-amz-security-token`, `authorization`. Returns the signature.
    pub fn sign(
        &self,
        (method, path, query): (&str, &str, &str),
        headers: &mut HeaderMap,
        payload: Payload<'_>,
        now: Timestamp,
    ) -> [u8; 32] {
        let date = AmzDate::from(now);
        let hash = match payload {
            Payload::Body(body) => Hex32::of(&sha256(body)).as_str().to_owned(),
            Payload::Literal(text) => text.to_owned(),
        };
        put(headers, "x-amz-date", date.as_str());
        if self.service == S3 {
            put(headers, "x-amz-content-sha256", &hash);
        }
        if let Some(token) = &self.session_token {
            put(headers, "x-amz-security-token", token);
        }
        let signed = names(headers);
        let parts = RequestParts { method, path, query, headers, authority: None, body: &[], host_bucket: None };
        let signature = self.signature(&parts, &signed, &hash, &date);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={signed}, Signature={}",
            self.access_key_id,
            self.scope(&date),
            Hex32::of(&signature).as_str()
        );
        put(headers, "authorization", &authorization);
        signature
    }
}

/// The names of all headers, sorted, as `SignedHeaders` wants them.
pub(crate) fn names(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).filter(|name| *name != "authorization").collect();
    names.sort_unstable();
    names.join(";")
}
