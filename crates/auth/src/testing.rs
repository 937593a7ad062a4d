//! What tests sign besides: presigned queries, and bodies in signed and unsigned chunks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use millpond_digest::sha256;
use millpond_types::Timestamp;

use crate::canonical::{ALGORITHM, S3};
use crate::hex::Hex32;
use crate::key::HmacSha1;
use crate::payload::ChunkSigning;
use crate::percent::{Keep, encode};
use crate::signer::names;
pub use crate::signer::{Payload, Signer};
use crate::trailers::Trailers;
use crate::{AmzDate, RequestParts, Secret};

impl Signer {
    /// Presigns a request over `headers` (`host` among them) and returns its query, which begins with `query`.
    pub fn presign(
        &self,
        (method, path, query): (&str, &str, &str),
        headers: &HeaderMap,
        expires_seconds: u64,
        now: Timestamp,
    ) -> String {
        let date = AmzDate::from(now);
        let signed = names(headers);
        let credential = format!("{}/{}", self.access_key_id, self.scope(&date));
        let expires = expires_seconds.to_string();
        let mut pairs = vec![
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", date.as_str()),
            ("X-Amz-Expires", &expires),
            ("X-Amz-SignedHeaders", &signed),
        ];
        if let Some(token) = &self.session_token {
            pairs.push(("X-Amz-Security-Token", token));
        }
        let mut text = query.as_bytes().to_vec();
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push(b'&');
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            encode(&mut text, value.as_bytes(), Keep::Unreserved);
        }
        let mut query = String::from_utf8_lossy(&text).into_owned();
        let hash = if self.service == S3 {
            "UNSIGNED-PAYLOAD".to_owned()
        } else {
            Hex32::of(&sha256(b"")).as_str().to_owned()
        };
        let parts =
            RequestParts { method, path, query: &query, headers, authority: None, body: &[], host_bucket: None };
        let signature = self.signature(&parts, &signed, &hash, &date);
        query.push_str("&X-Amz-Signature=");
        query.push_str(Hex32::of(&signature).as_str());
        query
    }

    /// The query of a request presigned by Signature Version 2, for a string to sign and the seconds since the epoch that stand in
    /// its fourth line.
    pub fn presign_version_two(&self, string_to_sign: &str, expires: u64) -> String {
        let signature = STANDARD.encode(HmacSha1::of(&Secret::new(&self.secret_key), string_to_sign.as_bytes()));
        let mut text = format!("AWSAccessKeyId={}&Expires={expires}&Signature=", self.access_key_id).into_bytes();
        encode(&mut text, signature.as_bytes(), Keep::Unreserved);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A body of signed chunks (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, with trailers `…-TRAILER`) that follows the signature which
    /// [`sign`](Self::sign) returned. The chunk of size 0 is added.
    pub fn chunked(
        &self,
        seed: [u8; 32],
        chunks: &[&[u8]],
        trailers: Option<&[(&str, &str)]>,
        now: Timestamp,
    ) -> Vec<u8> {
        let date = AmzDate::from(now);
        let mut chain = ChunkSigning::new(self.key(&date), &date, &self.scope(&date), seed);
        let mut body = Vec::new();
        for chunk in chunks.iter().copied().chain([&b""[..]]) {
            let signature = chain.chunk(&sha256(chunk));
            let line = format!("{:x};chunk-signature={}\r\n", chunk.len(), Hex32::of(&signature).as_str());
            body.extend_from_slice(line.as_bytes());
            body.extend_from_slice(chunk);
            if !chunk.is_empty() {
                body.extend_from_slice(b"\r\n");
            }
        }
        if let Some(trailers) = trailers {
            lines(&mut body, trailers);
            let signature = Trailers::of(trailers).sign(&mut chain);
            lines(&mut body, &[("x-amz-trailer-signature", Hex32::of(&signature).as_str())]);
        }
        body.extend_from_slice(b"\r\n");
        body
    }
}

/// A body of unsigned chunks with trailers (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`). The chunk of size 0 is added.
pub fn unsigned_chunked(chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n");
    lines(&mut body, trailers);
    body.extend_from_slice(b"\r\n");
    body
}

fn lines(body: &mut Vec<u8>, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
}
