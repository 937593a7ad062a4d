//! Lists in pages: `Limit`, `Marker`, `Truncated`, `NextMarker`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::errors::KmsError;

/// Which page of a list is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    limit: usize,
    /// The name of the last item of the page before.
    after: Option<String>,
}

impl Page {
    /// The page that was asked for. `usual` items without a limit, at most `most`.
    pub fn of(limit: Option<i32>, marker: Option<&str>, usual: usize, most: usize) -> Result<Self, KmsError> {
        let limit = match limit.map(usize::try_from) {
            None => usual,
            Some(Ok(limit)) if (1..=most).contains(&limit) => limit,
            Some(_) => return Err(KmsError::Validation(format!("The limit is between 1 and {most}."))),
        };
        let after = marker.map(|marker| {
            let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| KmsError::Marker)?;
            String::from_utf8(bytes).map_err(|_| KmsError::Marker)
        });
        Ok(Self { limit, after: after.transpose()? })
    }

    /// The items of the page, of all items in the order of their names, and the marker of the next page, if there is one.
    pub fn cut<T>(&self, all: impl Iterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
        let mut behind = all.skip_while(|(name, _)| self.after.as_ref().is_some_and(|after| name <= after));
        let mut last = None;
        let mut items = Vec::new();
        for (name, item) in behind.by_ref().take(self.limit) {
            last = Some(name);
            items.push(item);
        }
        let more = behind.next().is_some();
        (items, last.filter(|_| more).map(|name| URL_SAFE_NO_PAD.encode(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all = || ["a", "b", "c", "d", "e"].into_iter().map(|name| (name.to_owned(), name));
        for limit in 1..=6 {
            let (mut marker, mut seen) = (None::<String>, Vec::new());
            loop {
                let page = Page::of(Some(limit), marker.as_deref(), 5, 6).unwrap();
                let (items, next) = page.cut(all());
                assert!(items.len() <= limit as usize && !items.is_empty());
                seen.extend(items);
                marker = next;
                if marker.is_none() {
                    break;
                }
            }
            assert_eq!(seen, ["a", "b", "c", "d", "e"], "{limit}");
        }
        assert!(Page::of(Some(7), None, 5, 6).is_err());
        assert!(Page::of(Some(0), None, 5, 6).is_err());
        assert!(Page::of(None, Some("é"), 5, 6).is_err());
        assert_eq!(Page::of(None, None, 5, 6).unwrap().cut(std::iter::empty::<(String, ())>()), (vec![], None));
    }
}
