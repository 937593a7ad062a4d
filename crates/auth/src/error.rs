//! Why a request is not authenticated, and what S3 answers then.

use millpond_types::Timestamp;

use crate::AuthType;
use crate::hex::spaced;
use crate::time::extended;
use crate::verify::MAX_SKEW;

/// Why a request is not authenticated. Texts and fields are those of the S3 API Reference, "Error responses".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Two `Authorization` headers, or a header and a signed query.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
    )]
    SeveralMechanisms,
    /// An `Authorization` header of no AWS scheme.
    #[error("Unsupported Authorization Type")]
    UnsupportedType,
    /// Signature Version 2 in a header, 4A or another algorithm.
    #[error("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")]
    UnsupportedMechanism,
    /// The `Authorization` header does not parse, or names a wrong scope.
    #[error("The authorization header is malformed; {0}")]
    HeaderMalformed(String),
    /// The signed query does not parse, or names a wrong scope.
    #[error("{0}")]
    QueryMalformed(String),
    /// A request presigned by Signature Version 2 that does not parse, or is good for too long.
    #[error("{0}")]
    VersionTwoDenied(String),
    /// Query parameters that Signature Version 2 does not cover.
    #[error(
        "There were query parameters present in the request which Signature Version 2 does not sign. Please use AWS4-HMAC-SHA256."
    )]
    ParametersNotSigned(Vec<String>),
    /// The scope names another region.
    #[error("{}", region_text(.via, .given, .expected))]
    WrongRegion {
        /// How the request is signed.
        via: AuthType,
        /// The region in the request's scope.
        given: String,
        /// The region of this server.
        expected: String,
    },
    /// Neither `X-Amz-Date` nor `Date` says when it was signed.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    MissingDate,
    /// Headers that must be signed and are not.
    #[error("There were headers present in the request which were not signed")]
    HeadersNotSigned(Vec<String>),
    /// An S3 request signed by header without `x-amz-content-sha256`.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    MissingContentSha256,
    /// An `x-amz-content-sha256` that is no hash and no known word.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    )]
    InvalidContentSha256(String),
    /// Signed too long ago, or too far in the future.
    #[error("The difference between the request time and the current time is too large.")]
    TimeTooSkewed {
        /// When it was signed.
        signed: Timestamp,
        /// When it came.
        now: Timestamp,
    },
    /// A presigned request after its end.
    #[error("Request has expired")]
    Expired {
        /// Seconds it was good for; Signature Version 2 does not say.
        expires: Option<u32>,
        /// Its end.
        end: Timestamp,
        /// When it came.
        now: Timestamp,
    },
    /// A presigned request before its time.
    #[error("Request is not yet valid")]
    NotYetValid {
        /// Seconds it is good for.
        expires: u32,
        /// Its end.
        end: Timestamp,
        /// When it came.
        now: Timestamp,
    },
    /// The path or query has a percent sign that two hexadecimal digits do not follow.
    #[error("Couldn't parse the specified URI.")]
    InvalidUri,
    /// No key of this id; found by whoever keeps the secrets.
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    UnknownAccessKey(String),
    /// A session token that is not good; found by whoever issues them.
    #[error("The provided token is malformed or otherwise invalid.")]
    InvalidToken,
    /// A session token that is too old; found by whoever issues them.
    #[error("The provided token has expired.")]
    ExpiredToken,
    /// The signature is not the one that the secret makes.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    )]
    SignatureMismatch(Box<Mismatch>),
}

/// What the server signed, shown to the client to find the difference. All of it comes from the client's own request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The access key id.
    pub access_key_id: String,
    /// The signature that came.
    pub provided: String,
    /// The string to sign.
    pub string_to_sign: String,
    /// The canonical request; bytes, since header values may be any bytes. Signature Version 2 has none.
    pub canonical_request: Option<Vec<u8>>,
}

impl Mismatch {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("AWSAccessKeyId", self.access_key_id.clone()),
            ("StringToSign", self.string_to_sign.clone()),
            ("SignatureProvided", self.provided.clone()),
            ("StringToSignBytes", spaced(self.string_to_sign.as_bytes())),
        ];
        if let Some(canonical) = &self.canonical_request {
            fields.push(("CanonicalRequest", String::from_utf8_lossy(canonical).into_owned()));
            fields.push(("CanonicalRequestBytes", spaced(canonical)));
        }
        fields
    }
}

fn region_text(via: &AuthType, given: &str, expected: &str) -> String {
    let start = match via {
        AuthType::Header => "The authorization header is malformed",
        AuthType::Query => "Error parsing the X-Amz-Credential parameter",
    };
    format!("{start}; the region '{given}' is wrong; expecting '{expected}'")
}

impl AuthError {
    /// A malformed scope or value, said of where the request carries it.
    pub(crate) fn malformed(via: AuthType, detail: impl std::fmt::Display) -> Self {
        match via {
            AuthType::Header => Self::HeaderMalformed(detail.to_string()),
            AuthType::Query => Self::QueryMalformed(format!("Error parsing the X-Amz-Credential parameter; {detail}")),
        }
    }

    /// S3's error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SeveralMechanisms | Self::UnsupportedType | Self::InvalidContentSha256(_) => "InvalidArgument",
            Self::UnsupportedMechanism | Self::MissingContentSha256 => "InvalidRequest",
            Self::HeaderMalformed(_) | Self::WrongRegion { via: AuthType::Header, .. } => {
                "AuthorizationHeaderMalformed"
            }
            Self::QueryMalformed(_) | Self::WrongRegion { via: AuthType::Query, .. } => {
                "AuthorizationQueryParametersError"
            }
            Self::MissingDate
            | Self::HeadersNotSigned(_)
            | Self::ParametersNotSigned(_)
            | Self::VersionTwoDenied(_)
            | Self::Expired { .. }
            | Self::NotYetValid { .. } => "AccessDenied",
            Self::TimeTooSkewed { .. } => "RequestTimeTooSkewed",
            Self::InvalidUri => "InvalidURI",
            Self::UnknownAccessKey(_) => "InvalidAccessKeyId",
            Self::InvalidToken => "InvalidToken",
            Self::ExpiredToken => "ExpiredToken",
            Self::SignatureMismatch(_) => "SignatureDoesNotMatch",
        }
    }

    /// The error code of services other than S3 ("Common Errors" in their API references).
    pub fn common_code(&self) -> &'static str {
        match self {
            Self::UnknownAccessKey(_) | Self::InvalidToken => "InvalidClientTokenId",
            Self::ExpiredToken => "ExpiredToken",
            Self::TimeTooSkewed { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::WrongRegion { .. }
            | Self::SignatureMismatch(_) => "SignatureDoesNotMatch",
            _ => "IncompleteSignature",
        }
    }

    /// S3's HTTP status.
    pub fn status(&self) -> u16 {
        match self.code() {
            "AccessDenied" | "RequestTimeTooSkewed" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => 403,
            _ => 400,
        }
    }

    /// The HTTP status of services other than S3.
    pub fn common_status(&self) -> u16 {
        if self.common_code() == "IncompleteSignature" { 400 } else { 403 }
    }

    /// The text for the client.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What else the error body says: element name and text.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::SeveralMechanisms | Self::UnsupportedType => vec![("ArgumentName", "Authorization".to_owned())],
            Self::InvalidContentSha256(value) => {
                vec![("ArgumentName", "x-amz-content-sha256".to_owned()), ("ArgumentValue", value.clone())]
            }
            Self::WrongRegion { expected, .. } => vec![("Region", expected.clone())],
            Self::HeadersNotSigned(names) => vec![("HeadersNotSigned", names.join(", "))],
            Self::ParametersNotSigned(names) => vec![("ParametersNotSigned", names.join(", "))],
            Self::TimeTooSkewed { signed, now } => vec![
                ("RequestTime", crate::AmzDate::from(*signed).to_string()),
                ("ServerTime", extended(*now)),
                ("MaxAllowedSkewMilliseconds", MAX_SKEW.as_millis().to_string()),
            ],
            Self::Expired { expires, end, now } => {
                let seconds = expires.map(|seconds| ("X-Amz-Expires", seconds.to_string()));
                let times = [("Expires", extended(*end)), ("ServerTime", extended(*now))];
                seconds.into_iter().chain(times).collect()
            }
            Self::NotYetValid { expires, end, now } => vec![
                ("X-Amz-Expires", expires.to_string()),
                ("Expires", extended(*end)),
                ("ServerTime", extended(*now)),
            ],
            Self::UnknownAccessKey(id) => vec![("AWSAccessKeyId", id.clone())],
            Self::SignatureMismatch(mismatch) => mismatch.fields(),
            _ => Vec::new(),
        }
    }
}
