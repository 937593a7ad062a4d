//! The header `Authorization` (S3 API Reference, "Authenticating Requests: Using the Authorization Header").

use std::borrow::Cow;

use http::HeaderValue;

use super::{
    ALGORITHM, AmzDate, AuthError, AuthType, Credential, MAX_AUTHORIZATION_BYTES, RequestParts, ScopedClaim, single,
    valid_signed_headers,
};

fn malformed(detail: &str) -> AuthError {
    AuthError::HeaderMalformed(detail.to_owned())
}

/// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…` and the headers that belong to it.
pub(super) fn parse<'a>(value: &'a HeaderValue, parts: &RequestParts<'a>) -> Result<ScopedClaim<'a>, AuthError> {
    if value.len() > MAX_AUTHORIZATION_BYTES {
        return Err(malformed("the authorization header is too long."));
    }
    let text = value.to_str().map_err(|_| malformed("the authorization header is not text."))?.trim();
    let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    match scheme {
        ALGORITHM => {}
        "AWS" => return Err(AuthError::UnsupportedMechanism),
        other if other.starts_with("AWS4-") => return Err(AuthError::UnsupportedMechanism),
        _ => return Err(AuthError::UnsupportedType),
    }
    let [credential, signed_headers, signature] = components(rest)?;
    let credential = Credential::parse(Cow::Borrowed(credential)).ok_or_else(|| {
        malformed("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
    })?;
    if !valid_signed_headers(signed_headers) {
        return Err(malformed("the SignedHeaders component is malformed."));
    }
    Ok(ScopedClaim {
        via: AuthType::Header,
        credential,
        signed_headers: Cow::Borrowed(signed_headers),
        signature: Cow::Borrowed(signature),
        date: date(parts)?,
        session_token: single(parts, "x-amz-security-token").map(Cow::Borrowed),
        expires: None,
        content_sha256: single(parts, "x-amz-content-sha256").map(Cow::Borrowed),
        headers: Vec::new(),
    })
}

/// The three components, each exactly once, in any order.
fn components(text: &str) -> Result<[&str; 3], AuthError> {
    const NAMES: [&str; 3] = ["Credential", "SignedHeaders", "Signature"];
    let mut found: [Option<&str>; 3] = [None; 3];
    for component in text.split(',') {
        let component = component.trim();
        let wrong = || malformed(&format!("the authorization component \"{component}\" is malformed."));
        let (name, value) = component.split_once('=').ok_or_else(wrong)?;
        let place = NAMES.iter().position(|known| *known == name).ok_or_else(wrong)?;
        if value.is_empty() || found[place].replace(value).is_some() {
            return Err(wrong());
        }
    }
    match found {
        [Some(credential), Some(signed_headers), Some(signature)] => Ok([credential, signed_headers, signature]),
        _ => Err(malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature.",
        )),
    }
}

/// `X-Amz-Date`, or `Date` where that is missing. Twice is as bad as never: which one was meant?
fn date(parts: &RequestParts<'_>) -> Result<AmzDate, AuthError> {
    let once = |name: &str| {
        let mut values = parts.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value.to_str().unwrap_or_default()),
            (Some(_), Some(_)) => Some(""),
            (None, _) => None,
        }
    };
    match (once("x-amz-date"), once("date")) {
        (Some(text), _) => AmzDate::parse(text),
        (None, Some(text)) => AmzDate::parse_http(text),
        (None, None) => None,
    }
    .ok_or(AuthError::MissingDate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_components() {
        for (text, good) in [
            ("Credential=a,SignedHeaders=b,Signature=c", true),
            ("Signature=c,  Credential=a ,\tSignedHeaders=b", true),
            ("Credential=a=b,SignedHeaders=b,Signature=c", true),
            ("", false),
            ("Credential=a,SignedHeaders=b", false),
            ("Credential=a,SignedHeaders=b,Signature=", false),
            ("Credential=a,SignedHeaders=b,Signature=c,", false),
            ("Credential=a,SignedHeaders=b,Signature=c,Signature=c", false),
            ("Credential=a,SignedHeaders=b,Signature=c,More=d", false),
            ("credential=a,SignedHeaders=b,Signature=c", false),
        ] {
            assert_eq!(components(text).is_ok(), good, "{text}");
        }
    }
}
