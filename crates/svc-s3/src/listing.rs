//! What the listings have in common: page sizes, roll-up, tokens and encoding.

use millpond_api_s3 as api;
use millpond_kernel::ServiceError;
use millpond_lake::{ChecksumType, ListEntry, MAX_PAGE};
use millpond_types::AccountId;

use crate::address::encode_for_listing;
use crate::answer::quoted;
use crate::errors;

/// The page that a client asks for.
pub fn page_size(name: &'static str, asked: Option<i32>) -> Result<usize, ServiceError> {
    match asked {
        None => Ok(MAX_PAGE),
        Some(asked) => usize::try_from(asked).map(|asked| asked.min(MAX_PAGE)).map_err(|_| {
            errors::invalid_argument(
                name,
                Some(&asked.to_string()),
                "Argument maxKeys must be an integer between 0 and 2147483647",
            )
        }),
    }
}

/// How names are shown: as they are, or percent-encoded when the client asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    encoded: bool,
}

impl Names {
    /// By `encoding-type`.
    pub fn new(encoding: Option<&api::EncodingType>) -> Self {
        Self { encoded: encoding.is_some() }
    }

    /// A name.
    pub fn show(self, name: &str) -> String {
        if self.encoded { encode_for_listing(name) } else { name.to_owned() }
    }

    /// A name that there may be.
    pub fn show_some(self, name: Option<&str>) -> Option<String> {
        name.filter(|name| !name.is_empty()).map(|name| self.show(name))
    }
}

/// A continuation token: where the next page begins, in a form that says nothing to clients.
pub fn token(after: &millpond_lake::After) -> String {
    let (kind, text) = match after {
        millpond_lake::After::Start => ('s', ""),
        millpond_lake::After::Key(key) => ('k', key.as_str()),
        millpond_lake::After::Prefix(prefix) => ('p', prefix.as_str()),
    };
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE.encode(format!("{kind}{text}"))
}

/// Reads a continuation token.
pub fn from_token(token: &str) -> Result<millpond_lake::After, ServiceError> {
    use base64::Engine;
    let malformed =
        || errors::invalid_argument("continuation-token", Some(token), "The continuation token provided is incorrect");
    let bytes = base64::engine::general_purpose::URL_SAFE.decode(token).map_err(|_| malformed())?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    match text.split_at_checked(1).ok_or_else(malformed)? {
        ("s", "") => Ok(millpond_lake::After::Start),
        ("k", key) => Ok(millpond_lake::After::Key(key.to_owned())),
        ("p", prefix) => Ok(millpond_lake::After::Prefix(prefix.to_owned())),
        _ => Err(malformed()),
    }
}

/// Where a listing goes on behind a marker that a client names. A marker that ends where a common prefix ends stands for
/// the whole of it, as that is what NextMarker names.
pub fn after_marker(marker: Option<&str>, prefix: &str, delimiter: Option<&str>) -> millpond_lake::After {
    let Some(marker) = marker.filter(|marker| !marker.is_empty()) else { return millpond_lake::After::Start };
    let rolled_up = delimiter.filter(|d| !d.is_empty()).is_some_and(|delimiter| {
        marker.strip_prefix(prefix).and_then(|rest| rest.find(delimiter).map(|at| at + delimiter.len() == rest.len()))
            == Some(true)
    });
    if rolled_up {
        millpond_lake::After::Prefix(marker.to_owned())
    } else {
        millpond_lake::After::Key(marker.to_owned())
    }
}

/// An owner as listings show it.
pub fn owner(account: AccountId) -> api::Owner {
    api::Owner { id: Some(account.canonical_id()), ..api::Owner::default() }
}

/// An object as listings show it.
pub fn object(entry: ListEntry, names: Names, with_owner: bool) -> api::Object {
    let checksum = entry.checksum;
    api::Object {
        key: Some(names.show(&entry.key)),
        last_modified: Some(entry.modified),
        etag: Some(quoted(&entry.etag)),
        size: i64::try_from(entry.size).ok(),
        storage_class: Some(storage_class(entry.storage_class.as_deref())),
        owner: with_owner.then(|| owner(entry.owner)),
        checksum_algorithm: checksum.map(|(algorithm, _)| vec![checksum_algorithm(algorithm)]),
        checksum_type: checksum.map(|(_, kind)| checksum_type(kind)),
        ..api::Object::default()
    }
}

/// The class of an object in the enumeration of listings.
pub fn storage_class(class: Option<&str>) -> api::ObjectStorageClass {
    class.and_then(api::ObjectStorageClass::parse).unwrap_or(api::ObjectStorageClass::Standard)
}

/// A checksum algorithm in the API's words.
pub fn checksum_algorithm(algorithm: millpond_digest::ChecksumAlgorithm) -> api::ChecksumAlgorithm {
    use millpond_digest::ChecksumAlgorithm as Ours;
    match algorithm {
        Ours::Crc32 => api::ChecksumAlgorithm::Crc32,
        Ours::Crc32c => api::ChecksumAlgorithm::Crc32c,
        Ours::Crc64Nvme => api::ChecksumAlgorithm::Crc64nvme,
        Ours::Sha1 => api::ChecksumAlgorithm::Sha1,
        Ours::Sha256 => api::ChecksumAlgorithm::Sha256,
    }
}

/// A checksum type in the API's words.
pub fn checksum_type(kind: ChecksumType) -> api::ChecksumType {
    match kind {
        ChecksumType::FullObject => api::ChecksumType::FullObject,
        ChecksumType::Composite => api::ChecksumType::Composite,
    }
}

/// Sets the one of five members that is named for a checksum's algorithm.
macro_rules! set_checksum {
    ($target:expr, $algorithm:expr, $value:expr) => {{
        use millpond_digest::ChecksumAlgorithm as Algorithm;
        let value = Some($value);
        match $algorithm {
            Algorithm::Crc32 => $target.checksum_crc32 = value,
            Algorithm::Crc32c => $target.checksum_crc32c = value,
            Algorithm::Crc64Nvme => $target.checksum_crc64nvme = value,
            Algorithm::Sha1 => $target.checksum_sha1 = value,
            Algorithm::Sha256 => $target.checksum_sha256 = value,
        }
    }};
}
pub(crate) use set_checksum;

/// The one of five members that is set, as a checksum.
macro_rules! get_checksum {
    ($source:expr) => {{
        use millpond_digest::ChecksumAlgorithm as Algorithm;
        [
            (Algorithm::Crc32, $source.checksum_crc32.as_deref()),
            (Algorithm::Crc32c, $source.checksum_crc32c.as_deref()),
            (Algorithm::Crc64Nvme, $source.checksum_crc64nvme.as_deref()),
            (Algorithm::Sha1, $source.checksum_sha1.as_deref()),
            (Algorithm::Sha256, $source.checksum_sha256.as_deref()),
        ]
        .into_iter()
        .find_map(|(algorithm, value)| value.map(|value| (algorithm, value)))
    }};
}
pub(crate) use get_checksum;

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_lake::After;

    #[test]
    fn tokens_come_back() {
        for after in
            [After::Start, After::Key("a/ä".to_owned()), After::Prefix("a/".to_owned()), After::Key(String::new())]
        {
            assert_eq!(from_token(&token(&after)).unwrap(), after);
        }
        for bad in ["", "!", "eA==", "/w=="] {
            assert_eq!(from_token(bad).unwrap_err().code, "InvalidArgument", "{bad}");
        }
    }

    #[test]
    fn markers_at_the_end_of_a_common_prefix_stand_for_all_of_it() {
        for (marker, prefix, delimiter, expected) in [
            (None, "", None, After::Start),
            (Some(""), "", None, After::Start),
            (Some("a/"), "", Some("/"), After::Prefix("a/".to_owned())),
            (Some("a/"), "", None, After::Key("a/".to_owned())),
            (Some("a/b"), "", Some("/"), After::Key("a/b".to_owned())),
            (Some("a/b/"), "a/", Some("/"), After::Prefix("a/b/".to_owned())),
            (Some("a/b/"), "", Some("/"), After::Key("a/b/".to_owned())),
            (Some("z"), "a/", Some("/"), After::Key("z".to_owned())),
        ] {
            assert_eq!(after_marker(marker, prefix, delimiter), expected, "{marker:?} {prefix} {delimiter:?}");
        }
    }

    #[test]
    fn pages() {
        assert_eq!(page_size("max-keys", None).ok(), Some(1000));
        assert_eq!(page_size("max-keys", Some(5000)).ok(), Some(1000));
        assert_eq!(page_size("max-keys", Some(0)).ok(), Some(0));
        assert!(page_size("max-keys", Some(-1)).is_err());
    }
}
