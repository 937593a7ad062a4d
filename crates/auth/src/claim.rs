//! What a request says about who sent it, before any secret is known.

mod header;
mod query;

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::canonical::{ALGORITHM, S3};
use crate::percent::{decode_query, pieces};
use crate::{AmzDate, AuthError, RequestParts, version_two};

/// The longest `Authorization` header that is read. A long one has some 60 names of signed headers, far below this.
pub const MAX_AUTHORIZATION_BYTES: usize = 8 * 1024;

/// The most headers that one signature may cover: what a server takes in one request, and no quadratic work.
pub const MAX_SIGNED_HEADERS: usize = 128;

/// The longest life of a presigned request: seven days (S3 API Reference, "Authenticating Requests: Using Query Parameters").
pub const MAX_EXPIRES_SECONDS: u32 = 604_800;

/// What a request says about who sent it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a request, on the stack; a box would be an allocation for each")]
pub enum Claim<'a> {
    /// Nothing.
    Anonymous,
    /// That an access key signed it.
    Signed(SignedClaim<'a>),
}

/// Where a request carries its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthType {
    /// In the header `Authorization`.
    Header,
    /// In the query: a presigned request.
    Query,
}

impl AuthType {
    /// The value of the condition key `s3:authType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "REST-HEADER",
            Self::Query => "REST-QUERY-STRING",
        }
    }
}

/// An unproven claim that an access key signed the request. Only [`verify`](Self::verify) makes it worth anything.
#[derive(Debug)]
pub struct SignedClaim<'a> {
    pub(crate) form: Form<'a>,
}

/// The forms of a claim.
#[derive(Debug)]
pub(crate) enum Form<'a> {
    Four(ScopedClaim<'a>),
    Two(version_two::QueryClaim<'a>),
}

/// A claim by Signature Version 4.
#[derive(Debug)]
pub(crate) struct ScopedClaim<'a> {
    pub(crate) via: AuthType,
    pub(crate) credential: Credential<'a>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    pub(crate) date: AmzDate,
    pub(crate) session_token: Option<Cow<'a, str>>,
    /// Seconds; only in a presigned request.
    pub(crate) expires: Option<u32>,
    /// `x-amz-content-sha256` as sent.
    pub(crate) content_sha256: Option<Cow<'a, str>>,
    /// Headers that stand in the query; only in a presigned request.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl SignedClaim<'_> {
    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        match &self.form {
            Form::Four(claim) => claim.credential.access_key_id(),
            Form::Two(claim) => &claim.access_key_id,
        }
    }

    /// The session token of temporary credentials.
    pub fn session_token(&self) -> Option<&str> {
        match &self.form {
            Form::Four(claim) => claim.session_token.as_deref(),
            Form::Two(claim) => claim.session_token.as_deref(),
        }
    }

    /// Where the signature is.
    pub fn auth_type(&self) -> AuthType {
        match &self.form {
            Form::Four(claim) => claim.via,
            Form::Two(_) => AuthType::Query,
        }
    }

    /// The region in the scope; Signature Version 2 has none.
    pub fn region(&self) -> Option<&str> {
        match &self.form {
            Form::Four(claim) => Some(claim.credential.region()),
            Form::Two(_) => None,
        }
    }

    /// The service in the scope, such as `s3` or `sts`: tells which service is meant. Signature Version 2 is for S3 alone.
    pub fn service(&self) -> &str {
        match &self.form {
            Form::Four(claim) => claim.credential.service(),
            Form::Two(_) => S3,
        }
    }

    /// Query parameters that stand for headers and are signed as such, with names and values as headers have them: `x-amz-*`
    /// in a presigned request. Where the request has the header too it says the same. Whoever acts on the
    /// request must take them for headers; they are as unproven as the claim.
    pub fn headers_in_query(&self) -> &[(HeaderName, HeaderValue)] {
        match &self.form {
            Form::Four(claim) => &claim.headers,
            Form::Two(claim) => &claim.headers,
        }
    }
}

/// `<access key id>/<YYYYMMDD>/<region>/<service>/aws4_request`.
#[derive(Debug)]
pub(crate) struct Credential<'a> {
    text: Cow<'a, str>,
    /// Where the four slashes are.
    slashes: [usize; 4],
}

impl<'a> Credential<'a> {
    /// Splits from the right, so that an access key id may have slashes. None when there are too few or a piece is empty.
    pub(crate) fn parse(text: Cow<'a, str>) -> Option<Self> {
        let mut slashes = [0; 4];
        let mut end = text.len();
        for slash in slashes.iter_mut().rev() {
            *slash = text[..end].rfind('/')?;
            if *slash + 1 == end {
                return None;
            }
            end = *slash;
        }
        (slashes[0] > 0).then_some(Self { text, slashes })
    }

    pub(crate) fn access_key_id(&self) -> &str {
        &self.text[..self.slashes[0]]
    }

    /// Piece 1 is the day, 2 the region, 3 the service, 4 the terminator.
    pub(crate) fn piece(&self, number: usize) -> &str {
        let end = self.slashes.get(number).copied().unwrap_or(self.text.len());
        &self.text[self.slashes[number - 1] + 1..end]
    }

    pub(crate) fn region(&self) -> &str {
        self.piece(2)
    }

    pub(crate) fn service(&self) -> &str {
        self.piece(3)
    }

    /// All behind the access key id.
    pub(crate) fn scope(&self) -> &str {
        &self.text[self.slashes[0] + 1..]
    }
}

/// Reads what a request says about who sent it.
///
/// # Errors
///
/// A signature that does not parse, of an unsupported mechanism, or more than one.
pub fn claim<'a>(parts: &RequestParts<'a>) -> Result<Claim<'a>, AuthError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next();
    let (four, two) = query::signs(parts.query);
    if headers.next().is_some() || [header.is_some(), four, two].iter().filter(|way| **way).count() > 1 {
        return Err(AuthError::SeveralMechanisms);
    }
    let form = match header {
        Some(value) => header::parse(value, parts).map(Form::Four),
        None if four => query::parse(parts).map(Form::Four),
        None if two => version_two::parse(parts).map(Form::Two),
        None => return Ok(Claim::Anonymous),
    };
    form.map(|form| Claim::Signed(SignedClaim { form }))
}

/// Whether a list of signed headers is well formed: lower-case names, none twice, not too many.
fn valid_signed_headers(list: &str) -> bool {
    let mut seen: Vec<&str> = Vec::with_capacity(16);
    list.split(';').all(|name| {
        let fresh = seen.len() < MAX_SIGNED_HEADERS && !seen.contains(&name);
        seen.push(name);
        fresh && !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
    })
}

/// The text of a header that may be there once.
fn single<'a>(parts: &RequestParts<'a>, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let table = [
            ("AK/20130524/us-east-1/s3/aws4_request", Some(("AK", "20130524", "us-east-1", "s3", "aws4_request"))),
            ("A/K/20130524/r/s/t", Some(("A/K", "20130524", "r", "s", "t"))),
            ("/20130524/r/s/t", None),
            ("AK//r/s/t", None),
            ("AK/d/r/s/", None),
            ("AK/d/r/s", None),
            ("", None),
            ("////", None),
        ];
        for (text, expected) in table {
            let parsed = Credential::parse(Cow::Borrowed(text));
            let got = parsed.as_ref().map(|c| (c.access_key_id(), c.piece(1), c.piece(2), c.piece(3), c.piece(4)));
            assert_eq!(got, expected, "{text}");
        }
        assert_eq!(Credential::parse(Cow::Borrowed("AK/d/r/s/t")).unwrap().scope(), "d/r/s/t");
    }

    #[test]
    fn lists_of_signed_headers() {
        let many = (0..=MAX_SIGNED_HEADERS).map(|n| format!("h{n}")).collect::<Vec<_>>();
        for (list, good) in [
            ("host", true),
            ("host;x-amz-date", true),
            ("x;host", true),
            ("", false),
            ("host;", false),
            ("host;host", false),
            ("Host", false),
            ("host; x", false),
            (many[1..].join(";").as_str(), true),
            (many.join(";").as_str(), false),
        ] {
            assert_eq!(valid_signed_headers(list), good, "{list}");
        }
    }
}
