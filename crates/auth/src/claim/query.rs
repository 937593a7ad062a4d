//! Presigned requests (S3 API Reference, "Authenticating Requests: Using Query Parameters").

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::version_two::is_amz;

use super::{
    ALGORITHM, AmzDate, AuthError, AuthType, Credential, MAX_EXPIRES_SECONDS, RequestParts, ScopedClaim, decode_query,
    pieces, single, valid_signed_headers,
};

/// A parameter's decoded name, without an allocation where nothing is escaped. A name that does not decode is none of ours.
fn name_of(raw: &str) -> Cow<'_, str> {
    decode_query(raw).unwrap_or(Cow::Borrowed(""))
}

/// Whether a query carries a signature of Version 4, and of Version 2: one parameter is enough, so that a half-signed request is
/// refused, not anonymous.
pub(super) fn signs(query: &str) -> (bool, bool) {
    let (mut four, mut two) = (false, false);
    for (name, _) in pieces(query) {
        match &*name_of(name) {
            "X-Amz-Algorithm" | "X-Amz-Credential" | "X-Amz-Signature" => four = true,
            "AWSAccessKeyId" | "Signature" => two = true,
            _ => {}
        }
    }
    (four, two)
}

/// The parameters that make a signature; they are known by this spelling alone.
const IN_ONE_CASE: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// The parameters of a presigned request.
#[derive(Default)]
struct Parameters<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    security_token: Option<Cow<'a, str>>,
    content_sha256: Option<Cow<'a, str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Parameters<'a> {
    fn read(query: &'a str) -> Result<Self, AuthError> {
        let mut found = Self::default();
        for (name, value) in pieces(query) {
            let name = name_of(name);
            let place = match &*name {
                "X-Amz-Algorithm" => &mut found.algorithm,
                "X-Amz-Credential" => &mut found.credential,
                "X-Amz-Date" => &mut found.date,
                "X-Amz-Expires" => &mut found.expires,
                "X-Amz-SignedHeaders" => &mut found.signed_headers,
                "X-Amz-Signature" => &mut found.signature,
                "X-Amz-Security-Token" => &mut found.security_token,
                // SDKs that move headers into the query write it in their own case; S3 reads headers there in any.
                name if name.eq_ignore_ascii_case("X-Amz-Content-Sha256") => &mut found.content_sha256,
                name if IN_ONE_CASE.iter().any(|known| name.eq_ignore_ascii_case(known)) => {
                    return Err(AuthError::QueryMalformed(format!("{name} must be written with capitals")));
                }
                name if is_amz(name) => {
                    let value = decode_query(value).ok_or(AuthError::InvalidUri)?;
                    found.headers.push(header(&name.to_ascii_lowercase(), &value)?);
                    continue;
                }
                _ => continue,
            };
            let value = decode_query(value).ok_or(AuthError::InvalidUri)?;
            if place.replace(value).is_some() {
                return Err(AuthError::QueryMalformed(format!("{name} must be given once")));
            }
        }
        Ok(found)
    }
}

/// A parameter as the header it stands for: SDKs may move every `x-amz-*` header into the query, where it is signed as well, and S3
/// acts on it there.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), AuthError> {
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.trim().as_bytes())) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(malformed("A parameter that stands for a header is not valid as one")),
    }
}

/// A parameter that stands for a header comes once, and where the header is there too it says the same.
fn check_headers(moved: &[(HeaderName, HeaderValue)], parts: &RequestParts<'_>) -> Result<(), AuthError> {
    for (at, (name, value)) in moved.iter().enumerate() {
        let twice = moved[..at].iter().any(|(earlier, _)| earlier == name);
        let other = parts.headers.get_all(name).iter().any(|sent| sent != value);
        if twice || other {
            return Err(AuthError::QueryMalformed(format!("{name} must be given once")));
        }
    }
    Ok(())
}

fn malformed(text: &str) -> AuthError {
    AuthError::QueryMalformed(text.to_owned())
}

/// Reads the parameters of a presigned request.
pub(super) fn parse<'a>(parts: &RequestParts<'a>) -> Result<ScopedClaim<'a>, AuthError> {
    let found = Parameters::read(parts.query)?;
    if found.algorithm.as_deref().is_some_and(|algorithm| algorithm != ALGORITHM) {
        return Err(AuthError::UnsupportedMechanism);
    }
    let Parameters {
        algorithm: Some(_),
        credential: Some(credential),
        date: Some(date),
        expires: Some(expires),
        signed_headers: Some(signed_headers),
        signature: Some(signature),
        security_token,
        content_sha256,
        headers,
    } = found
    else {
        return Err(malformed(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        ));
    };
    let credential = Credential::parse(credential).ok_or_else(|| {
        malformed(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        )
    })?;
    let date = AmzDate::parse(&date)
        .ok_or_else(|| malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    check_headers(&headers, parts)?;
    if !valid_signed_headers(&signed_headers) {
        return Err(malformed("X-Amz-SignedHeaders is malformed"));
    }
    Ok(ScopedClaim {
        via: AuthType::Query,
        credential,
        signed_headers,
        signature,
        date,
        session_token: security_token.or_else(|| single(parts, "x-amz-security-token").map(Cow::Borrowed)),
        expires: Some(seconds(&expires)?),
        content_sha256: content_sha256.or_else(|| single(parts, "x-amz-content-sha256").map(Cow::Borrowed)),
        headers,
    })
}

/// `X-Amz-Expires`: decimal digits, 1 to 604800.
fn seconds(text: &str) -> Result<u32, AuthError> {
    // Longer numbers are too large whatever they say, once their zeros are gone.
    let digits = text.trim_start_matches('0');
    if text.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) {
        return Err(malformed("X-Amz-Expires must be non-negative"));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed("X-Amz-Expires should be a number"));
    }
    match digits.parse::<u32>() {
        Ok(seconds) if seconds <= MAX_EXPIRES_SECONDS => Ok(seconds),
        Err(_) if digits.is_empty() => Err(malformed("X-Amz-Expires must be at least 1")),
        _ => Err(malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_of_presigned_requests() {
        for (text, expected) in [
            ("1", Some(1)),
            ("604800", Some(604_800)),
            ("0086400", Some(86_400)),
            ("604801", None),
            ("0", None),
            ("00", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
            (" 1", None),
            ("4294967297", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn parameters_that_stand_for_headers() {
        for (query, expected) in [
            (
                "X-Amz-Date=1&x-amz-meta-a=b%20c&X-Amz-ACL=private",
                Some(vec![("x-amz-meta-a", "b c"), ("x-amz-acl", "private")]),
            ),
            ("x-id=PutObject&versionId=1", Some(vec![])),
            ("x-amz-meta-a=b%0D%0Ax-evil:1", None),
            ("x-amz-security-token=t", None),
        ] {
            let found = Parameters::read(query).ok().map(|found| found.headers);
            let found = found.as_ref().map(|headers| {
                headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn which_queries_are_signed() {
        for (query, expected) in [
            ("", (false, false)),
            ("prefix=X-Amz-Signature", (false, false)),
            ("X-Amz-Signature=1", (true, false)),
            ("a&X-Amz-Credential", (true, false)),
            ("X%2DAmz%2dAlgorithm=1", (true, false)),
            ("AWSAccessKeyId=1&Signature=2&Expires=3", (false, true)),
            ("Signature=2", (false, true)),
            ("signature=2&Expires=3", (false, false)),
            ("%53ignature=2&X-Amz-Signature=1", (true, true)),
        ] {
            assert_eq!(signs(query), expected, "{query}");
        }
    }
}
