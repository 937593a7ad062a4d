//! System and user metadata between headers and the lake
//! (S3 User Guide, "Working with object metadata").

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use millpond_kernel::ServiceError;
use millpond_lake::Metadata;
use millpond_wire::headers::LISTS;

use crate::{errors, words};

/// The most bytes of user metadata, names and values together.
const MAX_USER_BYTES: usize = 2 * 1024;
const USER_PREFIX: &str = "x-amz-meta-";

/// Classes that differ from `STANDARD` in price and place alone; reads are the same, so they are kept and shown.
const PRICED: &[&str] = &["REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"];
/// Classes whose objects cannot be read without a restore, which is not carried out.
const ARCHIVES: &[&str] = &[
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
    "FSX_ONTAP",
    "AWS_BACKUP_WARM",
    "AWS_BACKUP_LOW_COST_WARM",
];

/// What a request's headers say about the object that it writes.
pub fn from_headers(headers: &HeaderMap) -> Result<Metadata, ServiceError> {
    Ok(Metadata {
        content_type: text(headers, "content-type")?,
        content_encoding: text(headers, "content-encoding")?.and_then(|value| without_aws_chunked(&value)),
        content_disposition: text(headers, "content-disposition")?,
        content_language: text(headers, "content-language")?,
        cache_control: text(headers, "cache-control")?,
        expires: text(headers, "expires")?,
        website_redirect: text(headers, "x-amz-website-redirect-location")?.map(website_redirect).transpose()?,
        user: user(headers)?,
        storage_class: storage_class(headers)?,
        ..Metadata::default()
    })
}

/// The storage class that a request names; `None` for `STANDARD`.
pub fn storage_class(headers: &HeaderMap) -> Result<Option<String>, ServiceError> {
    let Some(class) = text(headers, "x-amz-storage-class")? else { return Ok(None) };
    if class == "STANDARD" {
        return Ok(None);
    }
    if PRICED.contains(&class.as_str()) {
        return Ok(Some(class));
    }
    if ARCHIVES.contains(&class.as_str()) {
        return Err(ServiceError::new(
            "NotImplemented",
            501,
            format!(
                "The storage class {class} is not implemented: its objects could not be read back. Choose STANDARD."
            ),
        )
        .field("StorageClass", class));
    }
    Err(ServiceError::new("InvalidStorageClass", 400, "The storage class you specified is not valid")
        .field("StorageClassRequested", class))
}

fn website_redirect(target: String) -> Result<String, ServiceError> {
    if target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://") {
        return Ok(target);
    }
    Err(ServiceError::new(
        "InvalidRedirectLocation",
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ))
}

fn user(headers: &HeaderMap) -> Result<BTreeMap<String, String>, ServiceError> {
    let mut user = BTreeMap::new();
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(USER_PREFIX) else { continue };
        // Several headers of one name are one list (RFC 9110, section 5.3).
        let values: Vec<String> = headers.get_all(name).iter().map(user_text).collect();
        user.insert(short.to_owned(), values.join(","));
    }
    let bytes: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_USER_BYTES {
        return Err(ServiceError::new(
            "MetadataTooLarge",
            400,
            "Your metadata headers exceed the maximum allowed metadata size",
        )
        .field("Size", bytes.to_string())
        .field("MaxSizeAllowed", MAX_USER_BYTES.to_string()));
    }
    Ok(user)
}

/// The text of a value of user metadata: UTF-8, which is what clients send that care, or else Latin-1, in which every byte means something;
/// with its encoded words decoded.
fn user_text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => words::decoded(text),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The value of a header of the system, which comes back as it is. Bytes that are no UTF-8 would come back as others, and are refused.
fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, ServiceError> {
    let refused = |why: &str| Err(errors::invalid_argument(name, None, why));
    let mut found: Option<String> = None;
    for value in headers.get_all(name) {
        let Ok(line) = std::str::from_utf8(value.as_bytes()) else { return refused("The header is not UTF-8.") };
        match &mut found {
            None => found = Some(line.to_owned()),
            Some(whole) if LISTS.contains(&name) => {
                whole.push_str(", ");
                whole.push_str(line);
            }
            Some(first) if first == line => {}
            Some(_) => return refused("The header comes more than once, with different values."),
        }
    }
    if found.as_ref().is_some_and(|text| text.chars().any(|c| c.is_control() && c != '\t')) {
        return refused("The header has control characters.");
    }
    Ok(found.filter(|text| !text.is_empty()))
}

/// `Content-Encoding` without `aws-chunked`, which tells how the request was framed, not what the object is.
fn without_aws_chunked(value: &str) -> Option<String> {
    let kept: Vec<&str> =
        value.split(',').map(str::trim).filter(|v| !v.is_empty() && !v.eq_ignore_ascii_case("aws-chunked")).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// Adds an object's metadata to the headers of an answer.
pub fn to_headers(metadata: &Metadata, headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, value: &Option<String>| {
        if let Some(value) = value {
            crate::answer::set(headers, name, value);
        }
    };
    set(http::header::CONTENT_ENCODING, &metadata.content_encoding);
    set(http::header::CONTENT_DISPOSITION, &metadata.content_disposition);
    set(http::header::CONTENT_LANGUAGE, &metadata.content_language);
    set(http::header::CACHE_CONTROL, &metadata.cache_control);
    set(http::header::EXPIRES, &metadata.expires);
    set(HeaderName::from_static("x-amz-website-redirect-location"), &metadata.website_redirect);
    set(HeaderName::from_static("x-amz-storage-class"), &metadata.storage_class);
    let content_type = metadata.content_type.as_deref().unwrap_or("binary/octet-stream");
    crate::answer::set(headers, http::header::CONTENT_TYPE, content_type);
    for (name, value) in &metadata.user {
        if let Ok(name) = HeaderName::from_bytes(format!("{USER_PREFIX}{name}").as_bytes()) {
            crate::answer::set(headers, name, &words::encoded(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| {
                (HeaderName::from_bytes(n.as_bytes()).unwrap(), HeaderValue::from_bytes(v.as_bytes()).unwrap())
            })
            .collect()
    }

    #[test]
    fn metadata_comes_back_as_it_went() {
        let sent = headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked,gzip"),
            ("x-amz-meta-name", "värde"),
            ("x-amz-meta-word", "=?utf-8?q?v=C3=A4rde?="),
            ("content-disposition", "attachment; filename=\"värde\""),
            ("x-amz-storage-class", "STANDARD_IA"),
        ]);
        let metadata = from_headers(&sent).unwrap();
        assert_eq!(metadata.content_encoding.as_deref(), Some("gzip"));
        let mut shown = HeaderMap::new();
        to_headers(&metadata, &mut shown);
        assert_eq!(shown["content-type"], "text/plain");
        assert_eq!(shown["x-amz-meta-name"], "=?UTF-8?B?dsOkcmRl?=");
        assert_eq!(shown["x-amz-meta-word"], "=?UTF-8?B?dsOkcmRl?=");
        assert_eq!(shown["content-disposition"].as_bytes(), "attachment; filename=\"värde\"".as_bytes());
        assert_eq!(shown["x-amz-storage-class"], "STANDARD_IA");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_latin1_or_refused() {
        let latin = HeaderValue::from_bytes(b"v\xe4rde").unwrap();
        let mut sent = headers(&[]);
        sent.insert("x-amz-meta-name", latin.clone());
        let metadata = from_headers(&sent).unwrap();
        assert_eq!(metadata.user["name"], "värde");
        sent.insert("content-disposition", latin);
        assert_eq!(from_headers(&sent).unwrap_err().code, "InvalidArgument");
    }

    #[test]
    fn lines_that_repeat() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            pairs.iter().for_each(|(name, value)| _ = map.append(*name, HeaderValue::from_static(value)));
            from_headers(&map)
        };
        let lists =
            [("cache-control", "no-cache"), ("cache-control", "private"), ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")];
        let metadata = of(&lists).unwrap();
        assert_eq!(metadata.cache_control.as_deref(), Some("no-cache, private"));
        assert_eq!(metadata.user["a"], "1,2");
        let metadata = of(&[("content-encoding", "gzip"), ("content-encoding", "aws-chunked")]).unwrap();
        assert_eq!(metadata.content_encoding.as_deref(), Some("gzip"));
        assert!(of(&[("content-type", "a/b"), ("content-type", "a/b")]).is_ok());
        assert_eq!(of(&[("content-type", "a/b"), ("content-type", "c/d")]).unwrap_err().code, "InvalidArgument");
    }

    #[test]
    fn refusals() {
        let large = "x".repeat(MAX_USER_BYTES);
        for (name, value, expected) in [
            ("x-amz-storage-class", "GLACIER", "NotImplemented"),
            ("x-amz-storage-class", "CHEAP", "InvalidStorageClass"),
            ("x-amz-website-redirect-location", "ftp://x", "InvalidRedirectLocation"),
            ("x-amz-meta-a", large.as_str(), "MetadataTooLarge"),
        ] {
            assert_eq!(from_headers(&headers(&[(name, value)])).unwrap_err().code, expected, "{name}");
        }
    }
}
