//! Request headers that ask for what is not carried out. Accepting them in silence would promise what is not kept.

use http::HeaderMap;
use millpond_kernel::ServiceError;

use crate::acl::GRANT_HEADERS;

/// Headers whose presence is refused, whatever they say.
const NOT_CARRIED_OUT: &[&str] = &[
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-event-hold",
    "x-amz-object-lock-event-hold-duration-days",
    "x-amz-object-lock-event-hold-duration-years",
    "x-amz-object-annotation-directive",
    "x-amz-bypass-governance-retention",
    "x-amz-mfa",
    "x-amz-write-offset-bytes",
    "x-amz-rename-source",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-if-match-initiated-time",
    "x-amz-source-if-match",
];

/// What may follow `x-amz-checksum-`.
const KNOWN_CHECKSUMS: &[&str] = &["crc32", "crc32c", "crc64nvme", "sha1", "sha256", "mode", "algorithm", "type"];

/// Refuses what is not carried out.
pub fn check(headers: &HeaderMap) -> Result<(), ServiceError> {
    // Most requests have few headers, so that walking them beats asking for each of ours.
    for name in headers.keys() {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            continue;
        }
        if let Some(found) = NOT_CARRIED_OUT.iter().find(|refused| **refused == name) {
            return Err(ServiceError::new(
                "NotImplemented",
                501,
                format!("A header you provided implies functionality that is not implemented: {found}"),
            )
            .field("Header", *found));
        }
        if let Some(algorithm) = name.strip_prefix("x-amz-checksum-").filter(|rest| !KNOWN_CHECKSUMS.contains(rest)) {
            return Err(ServiceError::not_implemented(&format!("The checksum algorithm {algorithm}")));
        }
    }
    Ok(())
}

/// Where objects belong to the bucket's owner (BucketOwnerEnforced), ACLs that say just this are accepted, no others.
pub fn check_acls(headers: &HeaderMap) -> Result<(), ServiceError> {
    if GRANT_HEADERS.iter().any(|(name, _)| headers.contains_key(*name)) {
        return Err(acl_not_supported());
    }
    match headers.get("x-amz-acl").map_or("private", |canned| canned.to_str().unwrap_or_default()) {
        "private" | "bucket-owner-full-control" => Ok(()),
        "public-read" | "public-read-write" | "authenticated-read" | "aws-exec-read" | "bucket-owner-read"
        | "log-delivery-write" => Err(acl_not_supported()),
        other => Err(crate::errors::invalid_argument("x-amz-acl", Some(other), "The canned ACL is not known.")),
    }
}

/// AWS's answer to ACLs in a bucket whose owner owns all.
pub fn acl_not_supported() -> ServiceError {
    ServiceError::new("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_promise_what_is_not_kept() {
        for (name, value, expected) in [
            ("x-amz-acl", "private", None),
            ("x-amz-acl", "bucket-owner-full-control", None),
            ("x-amz-acl", "public-read", Some("AccessControlListNotSupported")),
            ("x-amz-acl", "nonsense", Some("InvalidArgument")),
            ("x-amz-grant-read", "id=1", Some("AccessControlListNotSupported")),
            ("x-amz-object-lock-mode", "GOVERNANCE", Some("NotImplemented")),
            ("x-amz-checksum-xxhash64", "AAAAAAAAAAA=", Some("NotImplemented")),
            ("x-amz-checksum-crc32", "AAAAAA==", None),
            ("x-amz-meta-a", "b", None),
            ("x-amz-request-payer", "requester", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(
                check(&headers).and_then(|()| check_acls(&headers)).err().map(|e| e.code.into_owned()).as_deref(),
                expected,
                "{name}: {value}"
            );
        }
    }
}
