//! Presigned requests by Signature Version 2, which botocore still makes for S3 in `us-east-1` unless it is told otherwise
//! (Amazon S3 Developer Guide, "Signing and authenticating REST requests", "Query string request authentication
//! alternative"). Nothing else is accepted of Version 2.
//!
//! What Version 2 leaves open is closed here: a query parameter that it does not sign is refused unless it cannot widen what
//! was signed, so that a URL which was signed for one operation cannot be made into another; and so is a value that reads like a further parameter once it is
//! decoded, as it stands in the string to sign. That string does not name the host, and says the time of expiry alone.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use millpond_types::Timestamp;

use crate::key::{HmacSha1, same};
use crate::percent::decode_query;
use crate::{
    AuthError, AuthType, MAX_EXPIRES_SECONDS, MAX_SKEW, Mismatch, PayloadMode, RequestParts, Secret, Verified,
    VerifyPolicy,
};

/// The name that Version 2 bears in its `Authorization` header; the condition key `s3:signatureversion`.
pub(crate) const NAME: &str = "AWS";

/// Query parameters that are part of the string to sign: those of the developer guide and what SDKs have added since.
/// Sorted.
const SIGNED_PARAMETERS: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Parameters that are let through unsigned: they choose the page and the form of a listing that the signature allows whole.
/// `prefix` is not among them, since who signs it believes it to bind. Sorted.
const UNSIGNED_PARAMETERS: &[&str] = &[
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "x-id",
];

/// How much of a client's own text an error repeats.
const MAX_SHOWN_CHARS: usize = 64;

const SECURITY_TOKEN: &str = "x-amz-security-token";
const CONTENT_SHA256: &str = "x-amz-content-sha256";
const CONTENT_MD5: &str = "content-md5";

/// An unproven claim that an access key presigned the request by Version 2.
#[derive(Debug)]
pub(crate) struct QueryClaim<'a> {
    pub(crate) access_key_id: Cow<'a, str>,
    signature: Cow<'a, str>,
    /// As sent: so it is signed.
    expires: Cow<'a, str>,
    end: u64,
    pub(crate) session_token: Option<String>,
    /// `x-amz-*` parameters, which stand for headers; sorted by name.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Signed parameters, decoded and sorted by name.
    parameters: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
}

fn denied(text: &str) -> AuthError {
    AuthError::VersionTwoDenied(text.to_owned())
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

/// The query, sorted into what it is for.
#[derive(Default)]
struct Parameters<'a> {
    access_key_id: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    signed: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    unsigned: Vec<String>,
}

impl<'a> Parameters<'a> {
    fn read(parts: &RequestParts<'a>) -> Result<Self, AuthError> {
        let mut found = Self::default();
        for piece in parts.query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').map_or((piece, None), |(name, value)| (name, Some(value)));
            let name = decode_query(name).ok_or(AuthError::InvalidUri)?;
            let value = value.map(|value| decode_query(value).ok_or(AuthError::InvalidUri)).transpose()?;
            found.sort_in(parts, name, value)?;
        }
        found.headers.sort_unstable_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
        found.signed.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let twice = found.headers.windows(2).any(|pair| pair[0].0 == pair[1].0)
            || found.signed.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if twice {
            return Err(denied("A query parameter must be given once"));
        }
        Ok(found)
    }

    fn sort_in(
        &mut self,
        parts: &RequestParts<'a>,
        name: Cow<'a, str>,
        value: Option<Cow<'a, str>>,
    ) -> Result<(), AuthError> {
        let place = match &*name {
            "AWSAccessKeyId" => &mut self.access_key_id,
            "Signature" => &mut self.signature,
            "Expires" => &mut self.expires,
            known if SIGNED_PARAMETERS.binary_search(&known).is_ok() => {
                if value.as_deref().is_some_and(reads_like_more) {
                    return Err(denied("The value of a query parameter reads like another one; use AWS4-HMAC-SHA256"));
                }
                self.signed.push((name, value));
                return Ok(());
            }
            other if is_amz(other) => {
                self.headers.push(header(other, value.as_deref().unwrap_or_default())?);
                return Ok(());
            }
            // botocore repeats these headers in the query. The headers themselves are signed and count.
            CONTENT_MD5 | "content-type" => {
                let sent = once(parts.headers, &name)?;
                if sent.is_some_and(|sent| Some(sent) != value.as_deref().map(str::as_bytes)) {
                    return Err(denied("A header differs from the query parameter of its name"));
                }
                return Ok(());
            }
            known if UNSIGNED_PARAMETERS.binary_search(&known).is_ok() => return Ok(()),
            other => {
                self.unsigned.push(shown(other));
                return Ok(());
            }
        };
        if place.replace(value.unwrap_or_default()).is_some() {
            return Err(AuthError::VersionTwoDenied(format!("{name} must be given once")));
        }
        Ok(())
    }
}

/// Whether a parameter stands for a header.
pub(crate) fn is_amz(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}

/// A parameter as the header it stands for. What no header could say, such as a line's end, would forge the string to sign.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), AuthError> {
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.trim())) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(AuthError::VersionTwoDenied(format!("{} stands for a header and is not valid as one", shown(name)))),
    }
}

/// Whether a decoded value ends in what would be a signed parameter of its own, were it not for its escapes.
fn reads_like_more(value: &str) -> bool {
    value.split('&').skip(1).any(|piece| {
        let name = piece.split_once('=').map_or(piece, |(name, _)| name);
        SIGNED_PARAMETERS.binary_search(&name).is_ok()
    })
}

/// The value of a header that may be there once.
fn once<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, AuthError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(AuthError::VersionTwoDenied(format!("The header {name} must be given once"))),
        (value, None) => Ok(value.map(|value| value.as_bytes().trim_ascii())),
    }
}

/// Seconds since the epoch: decimal digits.
fn seconds(text: &str) -> Result<u64, AuthError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| {
        AuthError::VersionTwoDenied(format!("Invalid date (should be seconds since epoch): {}", shown(text)))
    })
}

/// Reads the parameters of a presigned request.
pub(crate) fn parse<'a>(parts: &RequestParts<'a>) -> Result<QueryClaim<'a>, AuthError> {
    let found = Parameters::read(parts)?;
    let (Some(access_key_id), Some(signature), Some(expires)) = (found.access_key_id, found.signature, found.expires)
    else {
        return Err(denied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        ));
    };
    if !found.unsigned.is_empty() {
        return Err(AuthError::ParametersNotSigned(found.unsigned));
    }
    for (name, value) in &found.headers {
        if parts.headers.contains_key(name) && once(parts.headers, name.as_str())? != Some(value.as_bytes()) {
            return Err(denied("A header differs from the query parameter of its name"));
        }
    }
    let end = seconds(&expires)?;
    let mut claim = QueryClaim {
        access_key_id,
        signature,
        expires,
        end,
        session_token: None,
        headers: found.headers,
        parameters: found.signed,
    };
    claim.session_token = claim.text_of(parts, SECURITY_TOKEN);
    Ok(claim)
}

impl QueryClaim<'_> {
    /// The parameter that stands for a header.
    fn parameter(&self, name: &str) -> Option<&HeaderValue> {
        let place = self.headers.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.headers.get(place).map(|(_, value)| value)
    }

    /// A header's text, where a parameter may stand for it.
    fn text_of(&self, parts: &RequestParts<'_>, name: &str) -> Option<String> {
        let value = self.parameter(name).or_else(|| parts.headers.get(name))?;
        value.to_str().ok().map(str::to_owned)
    }

    /// Checks what needs no secret.
    pub(crate) fn check(&self, policy: &VerifyPolicy<'_>) -> Result<(), AuthError> {
        if !policy.services.contains(&crate::canonical::S3) {
            return Err(AuthError::UnsupportedMechanism);
        }
        // The signer's clock may be ahead, as for Version 4.
        let latest = policy.now.seconds() + u64::from(MAX_EXPIRES_SECONDS) + MAX_SKEW.as_secs();
        if self.end > latest {
            return Err(denied("Expires must be less than a week (604800 seconds) ahead"));
        }
        let end = Timestamp::from_seconds(self.end);
        if policy.now > end {
            return Err(AuthError::Expired { expires: None, end, now: policy.now });
        }
        Ok(())
    }

    /// Checks the signature.
    pub(crate) fn verify(
        &self,
        parts: &RequestParts<'_>,
        secret: &Secret,
        policy: &VerifyPolicy<'_>,
    ) -> Result<Verified, AuthError> {
        self.check(policy)?;
        let content_sha256 = self.text_of(parts, CONTENT_SHA256);
        let payload = PayloadMode::unkeyed(content_sha256.as_deref())?;
        let text = self.string_to_sign(parts)?;
        let expected = HmacSha1::of(secret, &text);
        let provided = STANDARD.decode(self.signature.as_bytes()).ok();
        if !provided.and_then(|bytes| bytes.try_into().ok()).is_some_and(|bytes| same::<20>(&bytes, &expected)) {
            return Err(AuthError::SignatureMismatch(Box::new(Mismatch {
                access_key_id: self.access_key_id.clone().into_owned(),
                provided: self.signature.clone().into_owned(),
                string_to_sign: String::from_utf8_lossy(&text).into_owned(),
                canonical_request: None,
            })));
        }
        Ok(Verified {
            access_key_id: self.access_key_id.clone().into_owned(),
            session_token: self.session_token.clone(),
            auth_type: AuthType::Query,
            signature_version: NAME,
            signed_at: None,
            age: None,
            content_sha256,
            payload,
        })
    }

    /// `method \n md5 \n type \n expires \n x-amz headers, a line each, resource`. Bytes, since header values may be any bytes.
    fn string_to_sign(&self, parts: &RequestParts<'_>) -> Result<Vec<u8>, AuthError> {
        let mut text = Vec::with_capacity(256 + parts.path.len() + parts.query.len());
        for line in [
            parts.method.as_bytes(),
            once(parts.headers, CONTENT_MD5)?.unwrap_or_default(),
            once(parts.headers, CONTENT_TYPE.as_str())?.unwrap_or_default(),
            self.expires.as_bytes(),
        ] {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        self.amz_headers(&mut text, parts);
        self.resource(&mut text, parts);
        Ok(text)
    }

    /// All of them, whoever added them: sorted by name, values of one name joined by commas.
    fn amz_headers(&self, text: &mut Vec<u8>, parts: &RequestParts<'_>) {
        let sent = parts.headers.keys().filter(|name| name.as_str().starts_with("x-amz-"));
        let mut names: Vec<&str> =
            sent.map(HeaderName::as_str).chain(self.headers.iter().map(|(name, _)| name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            let parameter = self.parameter(name);
            // Where there are both they are the same.
            let values =
                parameter.into_iter().chain(parts.headers.get_all(name).iter().filter(|_| parameter.is_none()));
            for (index, value) in values.enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(value.as_bytes().trim_ascii());
            }
            text.push(b'\n');
        }
    }

    /// The bucket where the host names it, the path as sent, and the parameters that count.
    fn resource(&self, text: &mut Vec<u8>, parts: &RequestParts<'_>) {
        if let Some(bucket) = parts.host_bucket {
            text.push(b'/');
            text.extend_from_slice(bucket.as_bytes());
        }
        text.extend_from_slice(parts.path.as_bytes());
        // A bucket alone ends in a slash there, whether or not it does in the path.
        let alone = parts.path.strip_prefix('/').is_some_and(|bucket| !bucket.is_empty() && !bucket.contains('/'));
        if parts.host_bucket.is_none() && alone {
            text.push(b'/');
        }
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            text.push(if index == 0 { b'?' } else { b'&' });
            text.extend_from_slice(name.as_bytes());
            if let Some(value) = value {
                text.push(b'=');
                text.extend_from_slice(value.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(SIGNED_PARAMETERS.is_sorted() && UNSIGNED_PARAMETERS.is_sorted());
        for (name, signed) in [("acl", true), ("website", true), ("Acl", false), ("prefix", false), ("", false)] {
            assert_eq!(SIGNED_PARAMETERS.binary_search(&name).is_ok(), signed, "{name}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("1", Some(1)),
            ("0", Some(0)),
            ("01767225600", Some(1_767_225_600)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1.5", None),
            ("1e9", None),
            ("NaN", None),
            ("inf", None),
            ("0x10", None),
            ("١", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn values_that_read_like_parameters() {
        for (value, expected) in [
            ("", false),
            ("attachment; filename=\"a&b.txt\"", false),
            ("a&acl", true),
            ("a&versionId=5", true),
            ("a&b&versionId=5", true),
            ("acl", false),
            ("a&aclx", false),
        ] {
            assert_eq!(reads_like_more(value), expected, "{value}");
        }
    }
}
