//! The objects in folders: each folder listed by itself, or many at once by what they are in.

use std::collections::HashMap;

use datafusion::common::Result;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use millpond_query::ListedObject;

use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// Folders that are listed at the same time.
const TOGETHER: usize = 32;
/// From so many folders on, what they are in is listed instead.
const AT_ONCE: usize = 64;
/// Objects in none of the folders, for each folder, before they are listed one by one after all: what asking for one costs.
const STRAY: usize = 50;

/// A folder, or an object that is a table by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its bucket.
    pub bucket: String,
    /// What keys of its objects begin with; the slash at its end may be missing.
    pub prefix: String,
}

impl Place {
    /// The prefix with its slash; empty for a whole bucket.
    fn folder(&self) -> String {
        let slash = if self.prefix.is_empty() || self.prefix.ends_with('/') { "" } else { "/" };
        format!("{}{slash}", self.prefix)
    }
}

/// Whether an object of a folder is read: it has bytes, and no name below the folder begins with a dot or an underscore, as Hive has it.
fn is_read(object: &ListedObject, folder: &str) -> bool {
    let below = object.key.get(folder.len()..).unwrap_or_default();
    object.size > 0 && !object.key.ends_with('/') && !below.split('/').any(|part| part.starts_with(['.', '_']))
}

/// The objects of each place, by key.
///
/// # Errors
/// What the server refuses.
pub async fn of(remote: &Remote, places: &[Place]) -> Result<Vec<Vec<Source>>> {
    if places.len() >= AT_ONCE
        && let Some(found) = at_once(remote, places).await?
    {
        return Ok(found);
    }
    let each = places.iter().cloned().map(|place| async move { one(remote, &place).await });
    stream::iter(each).buffered(TOGETHER).try_collect().await
}

async fn one(remote: &Remote, place: &Place) -> Result<Vec<Source>> {
    let folder = place.folder();
    let mut listed = remote.list(&place.bucket, &folder).await?;
    listed.retain(|object| is_read(object, &folder));
    if listed.is_empty() && folder != place.prefix {
        listed.extend(remote.find(&place.bucket, &place.prefix).await?.filter(|object| object.size > 0));
    }
    Ok(listed.into_iter().map(|object| Source::new(place.bucket.clone(), object)).collect())
}

/// What all folders of a bucket are in, up to a slash.
fn common<'a>(mut folders: impl Iterator<Item = &'a str>) -> &'a str {
    let Some(first) = folders.next() else { return "" };
    let shared = folders.fold(first.len(), |shared, folder| {
        first.bytes().zip(folder.bytes()).take(shared).take_while(|(one, other)| one == other).count()
    });
    let end = first.as_bytes().iter().take(shared).rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    first.get(..end).unwrap_or_default()
}

/// Finds the places that objects are in.
struct Finder {
    by_folder: HashMap<String, Vec<usize>>,
    by_key: HashMap<String, Vec<usize>>,
    found: Vec<Vec<Source>>,
    alone: Vec<Option<Source>>,
    stray: usize,
}

impl Finder {
    fn new(count: usize) -> Self {
        let (found, alone) = (vec![Vec::new(); count], vec![None; count]);
        Self { by_folder: HashMap::new(), by_key: HashMap::new(), found, alone, stray: 0 }
    }

    fn add(&mut self, bucket: &str, object: ListedObject) {
        let ends = std::iter::once(0).chain(object.key.match_indices('/').map(|(at, _)| at + 1));
        let folders = ends.filter_map(|end| self.by_folder.get_key_value(object.key.get(..end)?));
        let mut is_stray = true;
        for (folder, places) in folders {
            is_stray = false;
            if is_read(&object, folder) {
                for place in places {
                    if let Some(found) = self.found.get_mut(*place) {
                        found.push(Source::new(bucket.to_owned(), object.clone()));
                    }
                }
            }
        }
        if let Some(places) = self.by_key.get(&object.key).filter(|_| object.size > 0) {
            for place in places {
                if let Some(alone) = self.alone.get_mut(*place) {
                    *alone = Some(Source::new(bucket.to_owned(), object.clone()));
                }
            }
        } else if is_stray {
            self.stray += 1;
        }
    }
}

/// Lists what the places are in; `None` where that may not be listed, or has too much else in it.
async fn at_once(remote: &Remote, places: &[Place]) -> Result<Option<Vec<Vec<Source>>>> {
    let mut buckets: HashMap<&str, Vec<(usize, String)>> = HashMap::new();
    for (at, place) in places.iter().enumerate() {
        buckets.entry(&place.bucket).or_default().push((at, place.folder()));
    }
    let mut found = vec![Vec::new(); places.len()];
    for (bucket, folders) in buckets {
        let prefixes = folders.iter().filter_map(|(at, _)| Some(places.get(*at)?.prefix.as_str()));
        let root = common(prefixes).to_owned();
        // A whole bucket has much else in it, which changes while nothing of the table does.
        if root.is_empty() {
            return Ok(None);
        }
        let mut finder = Finder::new(places.len());
        let count = folders.len();
        for (at, folder) in folders {
            let key = folder.trim_end_matches('/').to_owned();
            if places.get(at).is_some_and(|place| place.prefix == key) {
                finder.by_key.entry(key).or_default().push(at);
            }
            finder.by_folder.entry(folder).or_default().push(at);
        }
        let mut after = Some(String::new());
        while let Some(from) = after {
            let page = match remote.page(bucket, &root, from).await {
                Ok(page) => page,
                // Who may list the folders may not have to list what they are in.
                Err(Problem::Refused { code, .. }) if code == "AccessDenied" => return Ok(None),
                Err(problem) => return Err(problem.into()),
            };
            after = Some(page.next).filter(|next| !next.is_empty());
            page.objects.into_iter().for_each(|object| finder.add(bucket, object));
            if finder.stray > count.saturating_mul(STRAY) {
                return Ok(None);
            }
        }
        for ((all, mut here), alone) in found.iter_mut().zip(finder.found).zip(finder.alone) {
            if here.is_empty() {
                here.extend(alone);
            }
            all.extend(here);
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_folders_are_in() {
        for (folders, root) in [
            (vec!["a/d=1/", "a/d=2/"], "a/"),
            (vec!["a/d=1/", "a/d=1/"], "a/d=1/"),
            (vec!["a/", "b/"], ""),
            (vec!["a/", ""], ""),
            (vec!["a/bc/", "a/bd/", "a/b/"], "a/"),
            (vec![], ""),
        ] {
            assert_eq!(common(folders.iter().copied()), root, "{folders:?}");
        }
    }

    #[test]
    fn objects_are_in_every_folder_around_them() {
        let mut finder = Finder::new(3);
        for (at, folder) in ["a/", "a/b/", "c/"].into_iter().enumerate() {
            finder.by_folder.insert(folder.to_owned(), vec![at]);
        }
        finder.by_key.insert("c".to_owned(), vec![2]);
        for key in ["a/b/1", "a/_b/2", "a/b/_3", "c", "d/4", "a/"] {
            finder.add("lake", ListedObject { key: key.into(), size: 1, ..ListedObject::default() });
        }
        let keys = |sources: &[Source]| sources.iter().map(|one| one.key.clone()).collect::<Vec<_>>().join(" ");
        let found: Vec<String> = finder.found.iter().map(|sources| keys(sources)).collect();
        assert_eq!(found, ["a/b/1", "a/b/1", ""]);
        assert_eq!(finder.alone[2].as_ref().map(|one| one.key.as_str()), Some("c"));
        assert_eq!(finder.stray, 1);
    }
}
