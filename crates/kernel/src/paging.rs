//! Lists in pages: a page ends with a token that says behind which item the next one begins, so that a change between two pages moves nothing that is
//! still to come. Tokens are opaque: nobody is to build one from a name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The first byte of what a token says, by which one is known.
const VERSION: u8 = b'1';

/// A token that was not given out for such a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the token was not given out for this list")]
pub struct BadToken;

/// The token of the page behind an item, by its name or another key that items are in the order of.
pub fn token(last: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode([&[VERSION], last.as_ref()].concat())
}

/// The key behind which a page begins; none for the first page.
pub fn key_after(token: Option<&str>) -> Result<Option<Vec<u8>>, BadToken> {
    let Some(token) = token else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    bytes.strip_prefix(&[VERSION]).map(|key| Some(key.to_vec())).ok_or(BadToken)
}

/// The name behind which a page begins; none for the first page.
pub fn name_after(token: Option<&str>) -> Result<Option<String>, BadToken> {
    key_after(token)?.map(String::from_utf8).transpose().map_err(|_| BadToken)
}

/// How many items a page has; models keep the number in its range.
pub fn limit(given: Option<i32>, usual: usize) -> usize {
    given.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0).unwrap_or(usual)
}

/// The first items, each with its key, and the token of the next page, if there is one.
pub fn cut<T>(limit: usize, items: impl IntoIterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
    let (mut items, mut page, mut last) = (items.into_iter(), Vec::new(), None);
    for (key, item) in items.by_ref().take(limit) {
        last = Some(key);
        page.push(item);
    }
    let more = last.filter(|_| items.next().is_some());
    (page, more.map(token))
}

/// Which page of a list is wanted, of a list that lies in memory as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    limit: usize,
    after: Option<String>,
}

impl Page {
    /// A page of at most `limit` items.
    pub fn new(limit: usize, token: Option<&str>) -> Result<Self, BadToken> {
        Ok(Self { limit, after: name_after(token)? })
    }

    /// The items of the page, of all items in the order of their keys, and the token of the next one, if there is one.
    pub fn cut<T>(&self, all: impl IntoIterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
        let after = self.after.as_ref();
        cut(self.limit, all.into_iter().skip_while(|(key, _)| after.is_some_and(|after| key <= after)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let all = || ["a", "b", "c", "d", "e"].into_iter().map(|name| (name.to_owned(), name));
        for limit in 1..=6 {
            let (mut next, mut seen) = (None::<String>, Vec::new());
            loop {
                let (items, token) = Page::new(limit, next.as_deref()).unwrap().cut(all());
                assert!(items.len() <= limit && !items.is_empty());
                seen.extend(items);
                next = token;
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(seen, ["a", "b", "c", "d", "e"], "{limit}");
        }
        assert_eq!(Page::new(5, None).unwrap().cut(Vec::<(String, ())>::new()), (vec![], None));
        // What went meanwhile is no place that is missed.
        let behind = Page::new(5, Some(&token("bb"))).unwrap();
        assert_eq!(behind.cut(all()).0, ["c", "d", "e"]);
    }

    #[test]
    fn tokens_of_other_lists() {
        for bad in ["é", "%%%", "AAAA", "", "YQ"] {
            assert_eq!(key_after(Some(bad)), Err(BadToken), "{bad}");
        }
        assert_eq!(name_after(Some(&token([0xFF]))), Err(BadToken));
        assert_eq!(key_after(Some(&token([0xFF]))), Ok(Some(vec![0xFF])));
        assert_eq!((limit(None, 7), limit(Some(0), 7), limit(Some(3), 7)), (7, 7, 3));
    }
}
