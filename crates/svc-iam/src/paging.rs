//! Pages of lists: `Marker`, `MaxItems`, `IsTruncated`.

use millpond_kernel::paging;

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

/// The page behind `marker` of items in ascending order of their keys.
pub(crate) fn page<T>(
    marker: Option<&str>,
    max_items: Option<i32>,
    items: impl IntoIterator<Item = (String, T)>,
) -> Result<Page<T>, IamError> {
    let wrong = |_| IamError::Validation(format!("Invalid Marker: {}", marker.unwrap_or_default()));
    let wanted = paging::Page::new(paging::limit(max_items, limits::PAGE), marker).map_err(wrong)?;
    let (items, marker) = wanted.cut(items);
    Ok(Page { items, marker })
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
