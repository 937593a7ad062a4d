//! Lists a page at a time: the marker is the name of the last item, encoded.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::errors::{LambdaError, parameter};
use crate::limits::MAX_LISTED;

/// A page of what is in order of its keys, behind the marker, and the marker of the next page.
pub(crate) fn page<K: Ord + Clone, T>(
    all: impl Iterator<Item = (K, T)>,
    marker: Option<&str>,
    given: Option<i32>,
    parse: impl Fn(&str) -> Option<K>,
    show: impl Fn(&K) -> String,
) -> Result<(Vec<T>, Option<String>), LambdaError> {
    let wrong = || parameter("Invalid marker.");
    let after = match marker.filter(|marker| !marker.is_empty()) {
        Some(marker) => {
            let text = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(text.as_deref().and_then(parse).ok_or_else(wrong)?)
        }
        None => None,
    };
    let limit = given.and_then(|given| usize::try_from(given).ok()).filter(|given| *given > 0);
    let limit = limit.unwrap_or(MAX_LISTED).min(MAX_LISTED);
    let mut rest = all.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let (mut items, mut last) = (Vec::new(), None);
    for (key, item) in rest.by_ref().take(limit) {
        items.push(item);
        last = Some(key);
    }
    let next = rest.next().and(last).map(|last| URL_SAFE_NO_PAD.encode(show(&last)));
    Ok((items, next))
}

/// As [`page`], by names.
pub(crate) fn by_name<T>(
    all: impl Iterator<Item = (String, T)>,
    marker: Option<&str>,
    given: Option<i32>,
) -> Result<(Vec<T>, Option<String>), LambdaError> {
    page(all, marker, given, |text| Some(text.to_owned()), Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another() {
        let all = || (1..=7u64).map(|number| (number, number * 10));
        let get =
            |marker: Option<&str>, given| page(all(), marker, given, |text| text.parse().ok(), u64::to_string).unwrap();
        let (first, marker) = get(None, Some(3));
        assert_eq!(first, [10, 20, 30]);
        let (second, marker) = get(marker.as_deref(), Some(3));
        assert_eq!(second, [40, 50, 60]);
        let (third, marker) = get(marker.as_deref(), Some(3));
        assert_eq!((third, marker), (vec![70], None));
        assert_eq!(get(None, None).0.len(), 7);
        assert!(page(all(), Some("!"), None, |text| text.parse().ok(), u64::to_string).is_err());
    }
}
