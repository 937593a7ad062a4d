//! What the writes of objects and parts have in common: their bytes, and their conditions.

use http::HeaderMap;
use millpond_digest::ChecksumAlgorithm;
use millpond_kernel::{Payload, ServiceError, VerifiedEnd};
use millpond_lake::{Condition, Ingest, IngestPlan, Ingested, LakeError};

use crate::checksums::Expected;
use crate::conditions::bare;
use crate::errors::{self, About};

/// Bytes that came whole and are what the client meant.
pub struct Received {
    /// The bytes.
    pub ingested: Ingested,
    /// Their checksum, by the first algorithm that was asked for.
    pub digest: Option<millpond_digest::Checksum>,
}

/// AWS's answer to a body whose length nobody told.
fn missing_length() -> ServiceError {
    ServiceError::new("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
}

/// Takes a body in, as `begin` says, and computes its checksums; the first algorithm is the one that the client sends, where it sends one. Its bytes are on disk when this returns, but no object has them yet.
pub async fn receive(
    begin: impl FnOnce(IngestPlan) -> Result<Ingest, LakeError>,
    mut payload: Payload,
    expected: &Expected,
    algorithms: Vec<ChecksumAlgorithm>,
    largest: u64,
    about: About<'_>,
) -> Result<Received, ServiceError> {
    let length = match payload.length() {
        None if !payload.is_open() => return Err(missing_length()),
        length => length,
    };
    if let Some(length) = length.filter(|length| *length > largest) {
        return Err(errors::entity_too_large(length, largest));
    }
    let plan = IngestPlan { expected_len: length, md5: true, checksums: algorithms };
    let mut ingest = begin(plan).map_err(|error| errors::from_lake(error, about))?;
    let mut size = 0;
    while let Some(chunk) = payload.next().await? {
        size += chunk.len() as u64;
        if size > largest {
            return Err(errors::entity_too_large(size, largest));
        }
        ingest.write(chunk).await.map_err(|error| errors::from_lake(error, about))?;
    }
    let end: VerifiedEnd = payload.end().ok_or_else(ServiceError::internal)?;
    let ingested = ingest.finish().await.map_err(|error| errors::from_lake(error, about))?;
    let digest = ingested.checksums.first().copied();
    expected.check(&end, ingested.md5.as_ref(), digest.as_ref())?;
    Ok(Received { ingested, digest })
}

/// The condition of a write: `If-None-Match: *` or `If-Match` with one ETag.
pub fn condition(headers: &HeaderMap) -> Result<Condition, ServiceError> {
    let text = |name: &'static str| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text("if-none-match"), text("if-match")) {
        (None, None) => Ok(Condition::Always),
        (Some("*"), None) => Ok(Condition::IfAbsent),
        (None, Some(tag)) if !tag.is_empty() && !tag.contains(',') => Ok(Condition::IfMatch(bare(tag).to_owned())),
        (none_match, _) => Err(ServiceError::new(
            "NotImplemented",
            501,
            "A header you provided implies functionality that is not implemented: a write takes If-None-Match: * or \
             If-Match with one ETag.",
        )
        .field("Header", if none_match.is_some() { "If-None-Match" } else { "If-Match" })),
    }
}

/// What a condition that failed is called in the answer.
pub fn condition_name(condition: &Condition) -> &'static str {
    match condition {
        Condition::IfAbsent => "If-None-Match",
        Condition::Always | Condition::IfMatch(_) => "If-Match",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_writes() {
        for (sent, expected) in [
            (vec![], Some(Condition::Always)),
            (vec![("if-none-match", "*")], Some(Condition::IfAbsent)),
            (vec![("if-match", "\"abc\"")], Some(Condition::IfMatch("abc".to_owned()))),
            (vec![("if-match", "abc")], Some(Condition::IfMatch("abc".to_owned()))),
            (vec![("if-none-match", "\"abc\"")], None),
            (vec![("if-match", "\"a\", \"b\"")], None),
            (vec![("if-none-match", "*"), ("if-match", "\"a\"")], None),
        ] {
            let headers: HeaderMap =
                sent.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect();
            assert_eq!(condition(&headers).ok(), expected, "{sent:?}");
        }
    }
}
