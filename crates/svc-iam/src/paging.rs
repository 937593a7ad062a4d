//! Pages of lists: in the order of a key, going on behind the last one. A change between two pages moves nothing that is still to come.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::errors::IamError;
use crate::limits;

/// A page.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on, when there are more.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    /// What every list says of its end.
    pub fn truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

/// Markers are opaque: nobody is to build one from a name.
fn marker_of(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1{key}"))
}

fn key_of(marker: &str) -> Result<String, IamError> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let key = bytes.as_deref().and_then(|text| text.strip_prefix('1')).map(str::to_owned);
    key.ok_or_else(|| IamError::Validation(format!("Invalid Marker: {marker}")))
}

/// The page behind `marker` of items in ascending order of their keys.
pub(crate) fn page<T>(
    marker: Option<&str>,
    max_items: Option<i32>,
    items: impl IntoIterator<Item = (String, T)>,
) -> Result<Page<T>, IamError> {
    let after = marker.map(key_of).transpose()?;
    let limit = max_items.and_then(|max| usize::try_from(max).ok()).unwrap_or(limits::PAGE);
    let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let (mut page, mut last) = (Page { items: Vec::new(), marker: None }, String::new());
    for (key, item) in rest.by_ref().take(limit) {
        page.items.push(item);
        last = key;
    }
    page.marker = rest.next().map(|_| marker_of(&last));
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let items = || ["a", "b", "c", "d", "e"].map(|key| (key.to_owned(), key));
        let (mut marker, mut seen) = (None, Vec::new());
        for expected in [vec!["a", "b"], vec!["c", "d"], vec!["e"]] {
            let page = page(marker.as_deref(), Some(2), items()).unwrap();
            assert_eq!(page.items, expected);
            seen.extend(page.items);
            marker = page.marker;
        }
        assert_eq!((seen.len(), marker), (5, None));
        for bad in ["a", "%%%", "AAAA"] {
            assert!(page(Some(bad), None, items()).is_err(), "{bad}");
        }
    }
}
