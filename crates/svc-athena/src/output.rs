//! Where results go: `OutputLocation` and what else `ResultConfiguration` says (Athena User Guide, "Specify a query result location").

use millpond_api_athena as api;

use crate::errors::{AthenaError, invalid, unserved};
use crate::tables::ResultsRow;

/// What Athena says where neither the request nor its work group names a location.
pub(crate) const NO_LOCATION: &str = "No output location provided. An output location is required either through the Workgroup result configuration setting or as an API input.";

/// Bucket and key of a location `s3://BUCKET/KEY`.
pub(crate) fn split(location: &str) -> Option<(&str, &str)> {
    let rest = location.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, key))
}

/// The location of a query's object in the folder that a configuration names.
pub(crate) fn object(folder: &str, name: &str) -> String {
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    format!("{folder}/{name}")
}

fn location(given: &str) -> Result<String, AthenaError> {
    match split(given) {
        Some(_) => Ok(given.to_owned()),
        None => invalid(format!("outputLocation is not a valid S3 path: {given}")),
    }
}

fn encryption(given: &api::EncryptionConfiguration) -> Result<(String, String), AthenaError> {
    match (&given.encryption_option, &given.kms_key) {
        (api::EncryptionOption::CseKms, _) => unserved("EncryptionOption CSE_KMS, encryption by the client itself,"),
        (api::EncryptionOption::SseKms, None) => invalid("KmsKey is required with the EncryptionOption SSE_KMS."),
        (api::EncryptionOption::SseS3, Some(_)) => invalid("KmsKey is not allowed with the EncryptionOption SSE_S3."),
        (option, key) => Ok((option.as_str().to_owned(), key.clone().unwrap_or_default())),
    }
}

/// What a request says.
pub(crate) fn configured(given: Option<&api::ResultConfiguration>) -> Result<ResultsRow, AthenaError> {
    let Some(given) = given else { return Ok(ResultsRow::default()) };
    let (encryption, kms_key) =
        given.encryption_configuration.as_ref().map(encryption).transpose()?.unwrap_or_default();
    Ok(ResultsRow {
        location: given.output_location.as_deref().map(location).transpose()?.unwrap_or_default(),
        encryption,
        kms_key,
        owner: given.expected_bucket_owner.clone().unwrap_or_default(),
        full_control: given.acl_configuration.is_some(),
    })
}

/// What an update leaves of it.
pub(crate) fn updated(mut row: ResultsRow, with: &api::ResultConfigurationUpdates) -> Result<ResultsRow, AthenaError> {
    let both = |given: bool, removed: Option<bool>, what: &str| match (given, removed) {
        (true, Some(true)) => invalid(format!("{what} and Remove{what} cannot be specified together.")),
        _ => Ok(removed == Some(true)),
    };
    if both(with.output_location.is_some(), with.remove_output_location, "OutputLocation")? {
        row.location.clear();
    }
    if let Some(given) = &with.output_location {
        row.location = location(given)?;
    }
    let given = &with.encryption_configuration;
    if both(given.is_some(), with.remove_encryption_configuration, "EncryptionConfiguration")? {
        (row.encryption, row.kms_key) = Default::default();
    }
    if let Some(given) = given {
        (row.encryption, row.kms_key) = encryption(given)?;
    }
    if both(with.expected_bucket_owner.is_some(), with.remove_expected_bucket_owner, "ExpectedBucketOwner")? {
        row.owner.clear();
    }
    if let Some(given) = &with.expected_bucket_owner {
        row.owner.clone_from(given);
    }
    if both(with.acl_configuration.is_some(), with.remove_acl_configuration, "AclConfiguration")? {
        row.full_control = false;
    }
    row.full_control |= with.acl_configuration.is_some();
    Ok(row)
}

/// What holds for a query: the work group's settings where it enforces them, or where the request says nothing.
pub(crate) fn effective(request: ResultsRow, group: &ResultsRow, enforced: bool) -> Result<ResultsRow, AthenaError> {
    let row = if enforced || request.location.is_empty() {
        // A request may encrypt what it puts into the group's location, if the group does not enforce its own.
        let own = !enforced && !request.encryption.is_empty();
        let (encryption, kms_key) =
            if own { (request.encryption, request.kms_key) } else { (group.encryption.clone(), group.kms_key.clone()) };
        ResultsRow { encryption, kms_key, ..group.clone() }
    } else {
        request
    };
    if row.location.is_empty() { invalid(NO_LOCATION) } else { Ok(row) }
}

/// As the API shows it; `None` where nothing was said.
pub(crate) fn shown(row: &ResultsRow) -> api::ResultConfiguration {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let option = api::EncryptionOption::parse(&row.encryption);
    api::ResultConfiguration {
        output_location: some(&row.location),
        encryption_configuration: option
            .map(|encryption_option| api::EncryptionConfiguration { encryption_option, kms_key: some(&row.kms_key) }),
        expected_bucket_owner: some(&row.owner),
        acl_configuration: row
            .full_control
            .then_some(api::AclConfiguration { s3_acl_option: api::S3AclOption::BucketOwnerFullControl }),
    }
}

/// The headers with which an object is put there.
pub(crate) fn headers(row: &ResultsRow, content_type: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("content-type", content_type.to_owned())];
    match row.encryption.as_str() {
        "SSE_S3" => headers.push(("x-amz-server-side-encryption", "AES256".to_owned())),
        "SSE_KMS" => headers.extend([
            ("x-amz-server-side-encryption", "aws:kms".to_owned()),
            ("x-amz-server-side-encryption-aws-kms-key-id", row.kms_key.clone()),
        ]),
        _ => {}
    }
    if !row.owner.is_empty() {
        headers.push(("x-amz-expected-bucket-owner", row.owner.clone()));
    }
    if row.full_control {
        headers.push(("x-amz-acl", "bucket-owner-full-control".to_owned()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(location: &str, encryption: &str) -> ResultsRow {
        ResultsRow { location: location.into(), encryption: encryption.into(), ..ResultsRow::default() }
    }

    #[test]
    fn locations() {
        for (folder, object_at) in [
            ("s3://b", Some("s3://b/id.csv")),
            ("s3://b/", Some("s3://b/id.csv")),
            ("s3://b/a", Some("s3://b/a/id.csv")),
            ("s3://b/a/", Some("s3://b/a/id.csv")),
            ("s3://", None),
            ("s3:///a", None),
            ("b/a", None),
            ("https://b/a", None),
        ] {
            let given = api::ResultConfiguration { output_location: Some(folder.into()), ..Default::default() };
            let found = configured(Some(&given)).ok().map(|row| object(&row.location, "id.csv"));
            assert_eq!(found.as_deref(), object_at, "{folder}");
        }
    }

    /// Athena User Guide, "Override client-side settings".
    #[test]
    fn who_says_where() {
        for (request, group, enforced, expected) in [
            (at("s3://r", ""), at("s3://g", "SSE_S3"), false, Ok(at("s3://r", ""))),
            (at("s3://r", "SSE_KMS"), at("s3://g", "SSE_S3"), true, Ok(at("s3://g", "SSE_S3"))),
            (at("", ""), at("s3://g", "SSE_S3"), false, Ok(at("s3://g", "SSE_S3"))),
            (at("", "SSE_S3"), at("s3://g", ""), false, Ok(at("s3://g", "SSE_S3"))),
            (at("", ""), at("", ""), false, invalid(NO_LOCATION)),
            (at("s3://r", ""), at("", ""), true, invalid(NO_LOCATION)),
        ] {
            assert_eq!(effective(request.clone(), &group, enforced), expected, "{request:?} {group:?} {enforced}");
        }
    }

    #[test]
    fn encryption_that_is_refused() {
        let of = |option, key: Option<&str>| {
            encryption(&api::EncryptionConfiguration { encryption_option: option, kms_key: key.map(str::to_owned) })
        };
        assert!(matches!(of(api::EncryptionOption::CseKms, Some("k")), Err(AthenaError::Unserved(_))));
        assert!(matches!(of(api::EncryptionOption::SseKms, None), Err(AthenaError::Invalid(_))));
        assert!(matches!(of(api::EncryptionOption::SseS3, Some("k")), Err(AthenaError::Invalid(_))));
        assert_eq!(of(api::EncryptionOption::SseKms, Some("k")), Ok(("SSE_KMS".into(), "k".into())));
    }
}
