//! Lists the objects of a target and finds out what each is, by its beginning.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use millpond_crawl::{Exclusions, Found, Layout, Leaf, MAX_SAMPLE, Sniffed, classify, known, sniff};
use millpond_hive::names::is_hidden;
use millpond_kernel::{Listed, ServiceError};
use millpond_query::{Describe, FileFormat};

use super::bodies::FolderBody;
use super::check;
use super::run::{Crawl, Why, refused};
use super::schemas::{ByRole, SchemaError};

/// Objects of a target at most.
const MAX_OBJECTS: usize = 1_000_000;
/// Objects that are looked at at the same time.
const TOGETHER: usize = 8;
/// What ends the names of empty objects that stand for folders.
const FOLDER_MARK: &str = "_$folder$";

/// An include path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub bucket: String,
    /// Empty, or with a slash at its end.
    pub prefix: String,
}

impl Place {
    /// A location in it.
    pub fn at(&self, below: &str) -> String {
        format!("s3://{}/{}{below}", self.bucket, self.prefix)
    }
}

/// What was found below an include path.
pub(crate) struct Looked {
    pub place: Place,
    pub leaves: Vec<Leaf>,
    /// The name of the file that the target is, where it is no folder.
    pub single: Option<String>,
    /// The folders that have files, as [`Place::at`] has them.
    pub folders: BTreeSet<String>,
}

/// The folder of a path: empty, or with a slash at its end.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or_default()
}

/// Whether an error of one object is no reason to end a crawl: it went or changed meanwhile.
fn is_gone(error: &ServiceError) -> bool {
    ["NoSuchKey", "PreconditionFailed", "InvalidRange"].contains(&error.code.as_ref())
}

impl Crawl<'_> {
    /// Lists a target and looks at its objects; those in folders that were seen are passed over.
    pub async fn look(&self, target: &FolderBody, seen: &HashSet<String>) -> Result<Looked, Why> {
        let location = check::location(&target.path).map_err(|error| error.to_string())?;
        let mut place = Place { bucket: location.bucket.clone(), prefix: location.folder() };
        let exclusions = Exclusions::new(&target.exclusions).map_err(|error| error.to_string())?;
        let mut objects = self.list(&place.bucket, &place.prefix).await?;
        let mut single = None;
        if objects.is_empty() && place.prefix != location.prefix {
            // Perhaps the path names an object.
            objects = self.list(&location.bucket, &location.prefix).await?;
            objects.retain(|object| object.key == location.prefix);
            folder_of(&location.prefix).clone_into(&mut place.prefix);
            single = location.prefix.get(place.prefix.len()..).map(str::to_owned).filter(|_| !objects.is_empty());
        }
        let wanted = objects.into_iter().filter_map(|object| {
            let below = object.key.get(place.prefix.len()..)?.to_owned();
            let shown = object.size > 0 && !below.ends_with('/') && !below.ends_with(FOLDER_MARK) && !is_hidden(&below);
            let new = !seen.contains(&place.at(folder_of(&below)));
            (shown && new && !exclusions.has(&below)).then_some((below, object))
        });
        let wanted: Vec<(String, Listed)> = wanted.collect();
        self.log.info(format!("{}: {} objects.", place.at(""), wanted.len()));
        let leaves = self.leaves(&place, wanted, target.sample).await?;
        let folders = leaves.iter().map(|leaf| place.at(folder_of(&leaf.path))).collect();
        Ok(Looked { place, leaves, single, folders })
    }

    /// All objects whose keys begin with a prefix.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, Why> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let caller = Arc::clone(&self.caller);
            let page = self.reads.list(caller, bucket, prefix, None, after.as_deref()).await;
            let page = page.map_err(|error| refused(&error))?;
            all.extend(page.objects);
            if all.len() > MAX_OBJECTS {
                return Err(format!(
                    "s3://{bucket}/{prefix} has more than {MAX_OBJECTS} objects: name a folder in it, or exclude some."
                ));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Looks at objects, several at a time: all, or so many of each folder.
    pub async fn leaves(
        &self,
        place: &Place,
        objects: Vec<(String, Listed)>,
        sample: Option<u32>,
    ) -> Result<Vec<Leaf>, Why> {
        let mut taken: HashMap<String, u32> = HashMap::new();
        let work = objects.into_iter().map(|(below, object)| {
            let looked_at = sample.is_none_or(|most| {
                let count = taken.entry(folder_of(&below).to_owned()).or_default();
                *count += 1;
                *count <= most
            });
            async move {
                let found = if looked_at { self.look_at(&place.bucket, &object).await? } else { None };
                Ok::<_, Why>((below, object.size, found, looked_at))
            }
        });
        let mut found = stream::iter(work.collect::<Vec<_>>()).buffered(TOGETHER);
        let (mut leaves, mut last): (Vec<Leaf>, Option<Arc<Found>>) = (Vec::new(), None);
        while let Some((path, bytes, found, looked_at)) = found.try_next().await? {
            // What is nothing known is in no table.
            let Some(mut found) = found else {
                if !looked_at {
                    leaves.push(Leaf { path, found: None, records: 0, bytes });
                }
                continue;
            };
            let records = std::mem::take(&mut found.records);
            // Most files of a folder have one schema: it is held once.
            let shared = match last.take().filter(|last| **last == found) {
                Some(last) => last,
                None => Arc::new(found),
            };
            last = Some(Arc::clone(&shared));
            leaves.push(Leaf { path, found: Some(shared), records, bytes });
        }
        Ok(leaves)
    }

    /// What an object is; `None` of what no classifier knows.
    async fn look_at(&self, bucket: &str, object: &Listed) -> Result<Option<Found>, Why> {
        let path = format!("s3://{bucket}/{}", object.key);
        let unknown = |why: &str| self.log.warn(format!("{path}: classification UNKNOWN ({why})."));
        let range = 0..object.size.min(MAX_SAMPLE as u64);
        let caller = Arc::clone(&self.caller);
        let bytes = match self.reads.get_range(caller, bucket, &object.key, &object.etag, range).await {
            Ok(pieces) => pieces.concat(),
            Err(error) if is_gone(&error) => {
                unknown("it changed while the crawler ran");
                return Ok(None);
            }
            Err(error) => return Err(format!("{} ({path})", refused(&error))),
        };
        let (key, size, classifiers) = (object.key.clone(), object.size, Arc::clone(&self.classifiers));
        // What may take a while on odd input has a thread of its own.
        let sniffed = tokio::task::spawn_blocking(move || match sniff(&key, &bytes, size) {
            Sniffed::Text(text) => Err(classify(&text, &classifiers)),
            other => Ok(other),
        });
        match sniffed.await.map_err(|error| error.to_string())? {
            Err(Some(found)) => {
                if matches!(found.layout, Layout::Json { lines: false, .. }) {
                    self.log.warn(format!("{path}: JSON that is not one object a line is not read by queries."));
                }
                Ok(Some(found))
            }
            Err(None) => {
                unknown("no classifier knows it");
                Ok(None)
            }
            Ok(Sniffed::Parquet) => self.described(bucket, object, FileFormat::Parquet).await,
            Ok(Sniffed::Orc) => self.described(bucket, object, FileFormat::Orc).await,
            Ok(Sniffed::Other(what)) => {
                unknown(&format!("it is {what}"));
                Ok(None)
            }
            Ok(Sniffed::Empty | Sniffed::Text(_)) => Ok(None),
        }
    }

    async fn described(&self, bucket: &str, object: &Listed, format: FileFormat) -> Result<Option<Found>, Why> {
        let wanted = Describe {
            format: format.into(),
            bucket: bucket.to_owned(),
            key: object.key.clone(),
            etag: object.etag.clone(),
            size: object.size,
        };
        let host = ByRole { caller: Arc::clone(&self.caller), reads: Arc::clone(&self.reads) };
        match self.glue.core.schemas.describe(wanted, &host).await {
            Ok(described) => {
                let layout = if format == FileFormat::Orc { Layout::Orc } else { Layout::Parquet };
                let columns: Vec<_> = described.columns.into_iter().map(|column| (column.name, column.kind)).collect();
                Ok(Some(known(layout, &columns, described.rows)))
            }
            Err(SchemaError::Object(why)) => {
                self.log.warn(format!("s3://{bucket}/{}: classification UNKNOWN ({why}).", object.key));
                Ok(None)
            }
            Err(SchemaError::Refused(why)) => Err(why),
        }
    }
}
