//! SigV4: presigned URLs, and signed headers where a URL cannot do it ("Authenticating Requests" in the S3 API reference).

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

const EXPIRES_SECONDS: u32 = 3600;
/// What stands for the body's hash when the body is not signed.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Signs for one server and one key pair. The signing key of the day is derived once, at the start.
#[derive(Clone)]
pub struct Signer {
    host: String,
    access_key: String,
    region: String,
    service: &'static str,
    key: Hmac<Sha256>,
    day: String,
    /// The session token and its percent-encoded form, of temporary credentials.
    token: Option<(String, String)>,
}

impl Signer {
    /// A signer whose signatures hold today (a run over midnight UTC stays valid: the scope's day is that of the
    /// signature's own date, which is fixed with it).
    pub fn new(host: &str, access_key: &str, secret_key: &str, region: &str) -> Self {
        Self::of(host, access_key, secret_key, region, "s3")
    }

    /// As [`Self::new`], for requests to another service.
    pub fn of(host: &str, access_key: &str, secret_key: &str, region: &str, service: &'static str) -> Self {
        let day = stamp()[..8].to_owned();
        let mut key = format!("AWS4{secret_key}").into_bytes();
        for part in [day.as_str(), region, service, "aws4_request"] {
            key = keyed(&key).chain_update(part).finalize().into_bytes().to_vec();
        }
        Self {
            host: host.to_owned(),
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service,
            key: keyed(&key),
            day,
            token: None,
        }
    }

    /// Signs with the temporary credentials that a session token belongs to.
    pub fn use_token(&mut self, token: &str) {
        let mut encoded = String::with_capacity(token.len() * 2);
        for byte in token.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        self.token = Some((token.to_owned(), encoded));
    }

    /// The Host header.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A presigned request target: `path` and `query` are already percent-encoded, and `query` is sorted and sorts
    /// after `X-Amz-*` (lower-case names do).
    pub fn presign(&self, method: &str, path: &str, query: &str) -> String {
        let date = self.date();
        let mut full = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}%2F{}%2Fs3%2Faws4_request&X-Amz-Date={date}\
             &X-Amz-Expires={EXPIRES_SECONDS}",
            self.access_key, self.day, self.region
        );
        if let Some((_, encoded)) = &self.token {
            full.push_str("&X-Amz-Security-Token=");
            full.push_str(encoded);
        }
        full.push_str("&X-Amz-SignedHeaders=host");
        if !query.is_empty() {
            full.push('&');
            full.push_str(query);
        }
        let request = format!("{method}\n{path}\n{full}\nhost:{}\n\nhost\n{UNSIGNED}", self.host);
        let signature = self.signature(&date, &request);
        format!("{path}?{full}&X-Amz-Signature={signature}")
    }

    /// The headers of a request that is signed in its Authorization header. `payload` is the hex SHA-256 of the body;
    /// `extra` are further headers to sign, names in lower case.
    pub fn headers(
        &self,
        method: &str,
        path: &str,
        query: &str,
        payload: &str,
        extra: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let date = self.date();
        let mut headers: Vec<(String, String)> = vec![
            ("host".into(), self.host.clone()),
            ("x-amz-content-sha256".into(), payload.into()),
            ("x-amz-date".into(), date.clone()),
        ];
        headers.extend(self.token.iter().map(|(token, _)| ("x-amz-security-token".to_owned(), token.clone())));
        headers.extend(extra.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        headers.sort();
        let mut lines = String::new();
        for (name, value) in &headers {
            let _ = writeln!(lines, "{name}:{value}");
        }
        let names = headers.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(";");
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
        let signature = self.signature(&date, &request);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/{}/{}/aws4_request, SignedHeaders={names}, Signature={signature}",
            self.access_key, self.day, self.region, self.service
        );
        headers.push(("authorization".into(), authorization));
        headers
    }

    fn signature(&self, date: &str, request: &str) -> String {
        let hash = hex::encode(Sha256::digest(request.as_bytes()));
        let text =
            format!("AWS4-HMAC-SHA256\n{date}\n{}/{}/{}/aws4_request\n{hash}", self.day, self.region, self.service);
        hex::encode(self.key.clone().chain_update(text).finalize().into_bytes())
    }

    /// Now; but the last second of the signer's day once that day is over, so that date and scope agree.
    fn date(&self) -> String {
        let now = stamp();
        if now.starts_with(&self.day) { now } else { format!("{}T235959Z", self.day) }
    }
}

/// The hex SHA-256 of a body.
pub fn sha256(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

#[expect(clippy::disallowed_methods, reason = "signatures need the real time; nothing here is simulated")]
fn stamp() -> String {
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of "Authenticating Requests: Using Query Parameters" in the S3 API reference, with its date and
    /// expiry fixed by hand.
    #[test]
    fn signs_as_the_reference_does() {
        let mut signer = Signer::new(
            "examplebucket.s3.amazonaws.com",
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "us-east-1",
        );
        signer.day = "20130524".to_owned();
        let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_vec();
        for part in ["20130524", "us-east-1", "s3", "aws4_request"] {
            key = keyed(&key).chain_update(part).finalize().into_bytes().to_vec();
        }
        signer.key = keyed(&key);
        let request = "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524\
                       %2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400\
                       &X-Amz-SignedHeaders=host\nhost:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD";
        assert_eq!(
            signer.signature("20130524T000000Z", request),
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }
}
