//! Which checksums a client sends or asks for, and how answers show them
//! (S3 User Guide, "Checking object integrity in Amazon S3").

use http::HeaderMap;
use millpond_digest::{Checksum as Digest, ChecksumAlgorithm, Md5Digest};
use millpond_kernel::{ServiceError, VerifiedEnd};
use millpond_lake::{Checksum, ChecksumType};

use crate::errors;

/// What the client said of the bytes that it sends.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The checksum's algorithm, if the client sends a checksum.
    algorithm: Option<ChecksumAlgorithm>,
    value: Option<Digest>,
    in_trailer: bool,
    md5: Option<Md5Digest>,
}

impl Expected {
    /// Reads `x-amz-checksum-*`, `x-amz-trailer`, `x-amz-sdk-checksum-algorithm` and `Content-MD5`.
    pub fn of(headers: &HeaderMap) -> Result<Self, ServiceError> {
        let md5 = match text(headers, "content-md5")? {
            None => None,
            Some(value) => Some(Md5Digest::parse_base64(value).map_err(|_| {
                ServiceError::new("InvalidDigest", 400, "The Content-MD5 you specified was invalid.")
                    .field("Content-MD5", value)
            })?),
        };
        let value = value_in(headers)?;
        let trailer = trailer_in(headers)?;
        let declared = match text(headers, "x-amz-sdk-checksum-algorithm")? {
            None => None,
            Some(name) => Some(algorithm(name)?),
        };
        let in_trailer = trailer.is_some();
        let found = value.as_ref().map(Digest::algorithm).or(trailer);
        if value.is_some() && in_trailer {
            return Err(errors::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        if let (Some(declared), Some(found)) = (declared, found)
            && declared != found
        {
            return Err(errors::invalid_request(
                "Value for x-amz-sdk-checksum-algorithm header is invalid: it names another algorithm than the checksum.",
            ));
        }
        if declared.is_some() && found.is_none() && md5.is_none() {
            return Err(errors::invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
            ));
        }
        Ok(Self { algorithm: found, value, in_trailer, md5 })
    }

    /// The algorithm of the checksum that the client sends, if it sends one.
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.algorithm
    }

    /// Whether the client sends an MD5.
    pub fn has_md5(&self) -> bool {
        self.md5.is_some()
    }

    /// Compares with what came, now that all of it came. A checksum that the client sent and that was not computed does not fit.
    pub fn check(
        &self,
        end: &VerifiedEnd,
        md5: Option<&Md5Digest>,
        digest: Option<&Digest>,
    ) -> Result<(), ServiceError> {
        if let Some(expected) = &self.md5
            && Some(expected) != md5
        {
            let calculated = md5.map(Md5Digest::base64).unwrap_or_default();
            return Err(ServiceError::new(
                "BadDigest",
                400,
                "The Content-MD5 you specified did not match what we received.",
            )
            .field("ExpectedDigest", expected.base64())
            .field("CalculatedDigest", calculated));
        }
        let Some(algorithm) = self.algorithm else { return Ok(()) };
        let sent = if self.in_trailer { Some(from_trailer(algorithm, end)?) } else { self.value };
        // A checksum that was sent is compared with one that was computed, or the write fails.
        if sent.as_ref() == digest { Ok(()) } else { Err(errors::bad_checksum(algorithm.name())) }
    }
}

fn from_trailer(algorithm: ChecksumAlgorithm, end: &VerifiedEnd) -> Result<Digest, ServiceError> {
    let header = algorithm.header();
    let Some((_, value)) = end.trailers.iter().find(|(name, _)| name == header) else {
        return Err(ServiceError::new(
            "MalformedTrailerError",
            400,
            format!("The trailer {header} that x-amz-trailer announced did not come."),
        ));
    };
    parse(algorithm, value)
}

/// The one `x-amz-checksum-<algorithm>` header, if there is one.
pub fn value_in(headers: &HeaderMap) -> Result<Option<Digest>, ServiceError> {
    let mut found = None;
    for algorithm in ChecksumAlgorithm::ALL {
        let Some(value) = text(headers, algorithm.header())? else { continue };
        if found.is_some() {
            return Err(errors::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        found = Some(parse(algorithm, value)?);
    }
    Ok(found)
}

fn trailer_in(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, ServiceError> {
    let Some(names) = text(headers, "x-amz-trailer")? else { return Ok(None) };
    let mut found = None;
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(algorithm) = ChecksumAlgorithm::from_header(name) else {
            return Err(errors::invalid_request("The value specified in the x-amz-trailer header is not supported"));
        };
        if found.replace(algorithm).is_some() {
            return Err(errors::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    Ok(found)
}

/// The algorithm of a name that a client sent.
pub fn algorithm(name: &str) -> Result<ChecksumAlgorithm, ServiceError> {
    ChecksumAlgorithm::from_name(name).ok_or_else(|| {
        errors::invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
             [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

/// A checksum's value that a client sent in base64.
pub fn parse(algorithm: ChecksumAlgorithm, value: &str) -> Result<Digest, ServiceError> {
    Digest::parse(algorithm, value).map_err(|_| errors::bad_checksum_header(algorithm.header()))
}

/// The value as answers show it: base64, and `-N` behind a checksum of N parts' checksums.
pub fn shown(checksum: &Checksum, parts: Option<u32>) -> String {
    match (checksum.kind, parts) {
        (ChecksumType::Composite, Some(parts)) => format!("{}-{parts}", checksum.value),
        _ => checksum.value.to_string(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ServiceError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| errors::invalid_argument(name, None, "The header is not plain ASCII text."))?;
    Ok(Some(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn what_clients_say() {
        let crc32 = ("x-amz-checksum-crc32", "AAAAAA==");
        for (sent, expected) in [
            (vec![], Ok(None)),
            (vec![crc32], Ok(Some(ChecksumAlgorithm::Crc32))),
            (vec![crc32, ("x-amz-sdk-checksum-algorithm", "CRC32")], Ok(Some(ChecksumAlgorithm::Crc32))),
            (vec![("x-amz-trailer", "x-amz-checksum-sha256")], Ok(Some(ChecksumAlgorithm::Sha256))),
            (vec![crc32, ("x-amz-sdk-checksum-algorithm", "SHA1")], Err("InvalidRequest")),
            (vec![crc32, ("x-amz-checksum-crc32c", "AAAAAA==")], Err("InvalidRequest")),
            (vec![crc32, ("x-amz-trailer", "x-amz-checksum-crc32")], Err("InvalidRequest")),
            (vec![("x-amz-checksum-crc32", "AAAA")], Err("InvalidRequest")),
            (vec![("x-amz-trailer", "x-amz-meta-a")], Err("InvalidRequest")),
            (vec![("x-amz-sdk-checksum-algorithm", "MD4")], Err("InvalidRequest")),
            (vec![("content-md5", "notbase64")], Err("InvalidDigest")),
        ] {
            let found = Expected::of(&headers(&sent)).map(|e| e.algorithm()).map_err(|e| e.code.into_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{sent:?}");
        }
    }
}
