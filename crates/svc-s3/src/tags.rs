//! Tag sets (S3 User Guide, "Categorizing your objects using tags"; API reference, PutBucketTagging).

use millpond_kernel::ServiceError;
use millpond_lake::Tags;

/// The most tags of an object.
pub const MAX_OBJECT_TAGS: usize = 10;
/// The most tags of a bucket.
pub const MAX_BUCKET_TAGS: usize = 50;
/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 128;
/// The longest value, in characters.
const MAX_VALUE_CHARS: usize = 256;

/// Judges pairs and makes a set of them.
pub fn tag_set(pairs: impl IntoIterator<Item = (String, String)>, most: usize) -> Result<Tags, ServiceError> {
    let mut tags = Tags::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > MAX_KEY_CHARS || !fits(&key) {
            return Err(invalid("The TagKey you have provided is invalid").field("TagKey", key));
        }
        if key.starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated by requester").field("TagKey", key));
        }
        if value.chars().count() > MAX_VALUE_CHARS || !fits(&value) {
            return Err(invalid("The TagValue you have provided is invalid")
                .field("TagKey", key)
                .field("TagValue", value));
        }
        if let Some(_earlier) = tags.insert(key.clone(), value) {
            return Err(invalid("Cannot provide multiple Tags with the same key").field("TagKey", key));
        }
    }
    if tags.len() > most {
        return Err(ServiceError::new("BadRequest", 400, format!("Object tags cannot be greater than {most}")));
    }
    Ok(tags)
}

/// Reads the header `x-amz-tagging`: tags as a URL's query.
pub fn from_header(header: &str) -> Result<Tags, ServiceError> {
    let malformed = || {
        ServiceError::new(
            "InvalidArgument",
            400,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
        )
        .field("ArgumentName", "x-amz-tagging")
        .field("ArgumentValue", header)
    };
    let mut pairs = Vec::new();
    for pair in header.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = |encoded: &str| crate::address::decode(&encoded.replace('+', " ")).ok_or_else(malformed);
        let key = text(key)?;
        if pairs.iter().any(|(earlier, _)| *earlier == key) {
            return Err(malformed());
        }
        pairs.push((key, text(value)?));
    }
    tag_set(pairs, MAX_OBJECT_TAGS)
}

/// Letters, digits and blanks of any script, and `+ - = . _ : / @`.
fn fits(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c))
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new("InvalidTag", 400, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let long = format!("{}=v", "k".repeat(129));
        let eleven = (0..11).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join("&");
        for (header, expected) in [
            ("", Ok(vec![])),
            ("a=1&b=2", Ok(vec![("a", "1"), ("b", "2")])),
            ("a%20b=c+d&e", Ok(vec![("a b", "c d"), ("e", "")])),
            ("a=1&a=2", Err("InvalidArgument")),
            ("a=%FF", Err("InvalidArgument")),
            ("=v", Err("InvalidTag")),
            ("aws:x=1", Err("InvalidTag")),
            ("a=%3C", Err("InvalidTag")),
            (long.as_str(), Err("InvalidTag")),
            (eleven.as_str(), Err("BadRequest")),
        ] {
            let tags = from_header(header).map_err(|e| e.code.into_owned());
            let expected = expected
                .map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Tags>())
                .map_err(str::to_owned);
            assert_eq!(tags, expected, "{header}");
        }
    }
}
