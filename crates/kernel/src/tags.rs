//! Tags of resources, as all services have them: pairs whose keys stand once and do not begin with `aws:` (Tagging AWS Resources User Guide).

use std::collections::BTreeMap;

/// Tags as they are kept.
pub type Tags = BTreeMap<String, String>;

/// Why tags cannot be. Each service has its own words and codes for it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadTags {
    /// A key that begins with `aws:`.
    #[error("Tag keys that begin with aws: are reserved.")]
    Reserved(String),
    /// A key that stands twice.
    #[error("Duplicate tag keys.")]
    Twice(String),
    /// More than a resource has.
    #[error("A resource has at most {0} tags.")]
    TooMany(usize),
}

/// The tags of a request. Lengths are the model's to check.
pub fn checked(given: impl IntoIterator<Item = (String, String)>, most: usize) -> Result<Tags, BadTags> {
    let mut tags = Tags::new();
    for (key, value) in given {
        if is_reserved(&key) {
            return Err(BadTags::Reserved(key));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(BadTags::Twice(key));
        }
    }
    few(&tags, most)?;
    Ok(tags)
}

/// Adds tags to those that are there.
pub fn add(tags: &mut Tags, more: Tags, most: usize) -> Result<(), BadTags> {
    tags.extend(more);
    few(tags, most)
}

/// Whether there are no more than a resource has.
pub fn few(tags: &Tags, most: usize) -> Result<(), BadTags> {
    if tags.len() > most { Err(BadTags::TooMany(most)) } else { Ok(()) }
}

/// Whether a key is one that only AWS gives.
pub fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

/// Whether all characters of a key or value are such as most services take.
pub fn has_plain_characters(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tags_can_be() {
        let tags = |pairs: &[(&str, &str)]| {
            checked(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())), 2)
        };
        let two = tags(&[("a", "1"), ("b", "")]);
        assert_eq!(two, Ok([("a", "1"), ("b", "")].map(|(key, value)| (key.into(), value.into())).into()));
        assert_eq!(tags(&[("a", "1"), ("a", "1")]), Err(BadTags::Twice("a".into())));
        assert_eq!(tags(&[("AWS:x", "1")]), Err(BadTags::Reserved("AWS:x".into())));
        assert_eq!(tags(&[("a", ""), ("b", ""), ("c", "")]), Err(BadTags::TooMany(2)));
        let mut all = two.unwrap();
        assert_eq!(add(&mut all, tags(&[("a", "2")]).unwrap(), 2), Ok(()));
        assert_eq!(add(&mut all, tags(&[("c", "2")]).unwrap(), 2), Err(BadTags::TooMany(2)));
        for (text, plain) in [("aß 1_.:/=+-@", true), ("a*", false), ("", true)] {
            assert_eq!(has_plain_characters(text), plain, "{text}");
        }
        assert!(!is_reserved("aws") && !is_reserved("äws:") && is_reserved("aWs:"));
    }
}
