//! One crawl: what it works with, and its course.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use millpond_crawl::{Classifier, Config, Grouping, plan};
use millpond_kernel::{Caller, Catalog, CatalogDatabase, ObjectReads, Rejection, ServiceError};

use super::bodies::{ChangesBody, CrawlBody, CrawlerBody, FolderBody};
use super::check;
use super::existing::Existing;
use super::log::{GROUP, Level, Log};
use super::look::{Looked, Place};
use super::state::{Crawler, uuid};
use crate::Glue;
use crate::errors::GlueError;

/// Names of tables that are remembered of each kind of change.
const MAX_NAMES: usize = 100;
/// Bytes of the sentence that a crawl failed with.
const MAX_SENTENCE: usize = 4_096;

/// A kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Added,
    Updated,
    Deleted,
}

/// What a crawl has changed so far.
#[derive(Default)]
pub(crate) struct Told(Mutex<CrawlBody>);

fn count(changes: &mut ChangesBody, change: Change) -> &mut u64 {
    match change {
        Change::Added => &mut changes.added,
        Change::Updated => &mut changes.updated,
        Change::Deleted => &mut changes.deleted,
    }
}

impl Told {
    pub fn table(&self, change: Change, name: &str) {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count(&mut body.tables, change) += 1;
        let names = match change {
            Change::Added => &mut body.added,
            Change::Updated => &mut body.updated,
            Change::Deleted => &mut body.deleted,
        };
        if names.len() < MAX_NAMES {
            names.push(name.to_owned());
        }
    }

    pub fn partitions(&self, change: Change, how_many: usize) {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count(&mut body.partitions, change) += how_many as u64;
    }

    pub fn body(&self, error: Option<String>) -> CrawlBody {
        let mut error = error;
        if let Some(text) = &mut error {
            let mut end = text.len().min(MAX_SENTENCE);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        CrawlBody { error, ..self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }
}

/// Why a crawl fails: the sentence that its history has.
pub(crate) type Why = String;

/// What a service refused, as a sentence.
pub(crate) fn refused(error: &ServiceError) -> Why {
    format!("{} (Error Code: {})", error.message, error.code)
}

fn internal(error: &GlueError) -> Why {
    match error {
        GlueError::Internal(reason) => {
            tracing::error!(reason, "a crawl failed");
            "An internal error occurred.".to_owned()
        }
        other => other.to_string(),
    }
}

/// What a crawl works with.
pub(crate) struct Crawl<'a> {
    pub glue: &'a Glue,
    pub crawler: &'a Crawler,
    pub body: CrawlerBody,
    pub config: Config,
    pub classifiers: Arc<Vec<Classifier>>,
    /// A session of the crawler's role.
    pub caller: Arc<Caller>,
    pub reads: Arc<dyn ObjectReads>,
    pub log: Log,
    pub told: &'a Told,
}

/// Crawls.
pub(crate) async fn run(glue: &Glue, crawler: &Crawler, id: &[u8], told: &Told) -> Result<(), Why> {
    let core = &glue.core;
    let body = core.crawler_body(crawler).await.map_err(|error| internal(&error))?;
    let caller = match core.assume(crawler.account, &crawler.name, &body.role).await {
        Ok(caller) => Arc::new(caller),
        Err(Rejection::Failed(reason)) => return Err(internal(&GlueError::Internal(reason))),
        Err(other) => return Err(format!("Service is unable to assume the role {}: {other}", body.role)),
    };
    let group = core.arn_of_logs(crawler.account, GROUP);
    let log = Log::new(core.clock.clone(), core.kernel.log_writer(), group, crawler.name.clone(), uuid(id));
    let reads = core.kernel.object_reads().ok_or_else(|| "Objects cannot be read.".to_owned())?;
    let config = check::config(&body).map_err(|error| internal(&error))?;
    let mut classifiers = Vec::new();
    for name in &body.classifiers {
        let found = core.find_classifier(crawler.account, name).await.map_err(|error| internal(&error))?;
        let Some((row, _)) = found else { return Err(format!("Classifier {name} not found.")) };
        let classifier = core.classifier_body(&row).await.and_then(|body| body.compiled());
        classifiers.push(classifier.map_err(|error| internal(&error))?);
    }
    let classifiers = Arc::new(classifiers);
    let crawl = Crawl { glue, crawler, body, config, classifiers, caller, reads, log, told };
    crawl.log.info("Crawl started.");
    let ended = crawl.whole().await;
    match &ended {
        Ok(()) => crawl.log.info(format!("Crawl completed: {}", told.body(None).summary())),
        Err(why) => crawl.log.say(Level::Error, why),
    }
    crawl.log.flush(&crawl.caller).await;
    ended
}

impl Crawl<'_> {
    async fn whole(&self) -> Result<(), Why> {
        if !self.body.catalog.is_empty() {
            return self.catalog_targets().await;
        }
        self.make_database().await?;
        let mut existing = Existing::read(self).await?;
        match self.body.recrawl.as_str() {
            "CRAWL_EVENT_MODE" => self.by_events(&mut existing).await,
            "CRAWL_NEW_FOLDERS_ONLY" => self.new_folders(&mut existing).await,
            _ => self.everything(&mut existing).await.map(drop),
        }
    }

    async fn make_database(&self) -> Result<(), Why> {
        let name = &self.body.database;
        match self.glue.database(Arc::clone(&self.caller), name).await {
            Ok(_) => Ok(()),
            Err(error) if error.code == "EntityNotFoundException" => {
                let database = CatalogDatabase { name: name.clone(), ..CatalogDatabase::default() };
                let made = self.glue.create_database(Arc::clone(&self.caller), database).await;
                made.map_err(|error| refused(&error))?;
                self.log.info(format!("Created the database {name}."));
                Ok(())
            }
            Err(error) => Err(refused(&error)),
        }
    }

    /// Looks at all that targets have; what is gone is treated as the policy says. Gives the folders that have files.
    pub async fn everything(&self, existing: &mut Existing) -> Result<BTreeSet<String>, Why> {
        let (mut touched, mut folders) = (BTreeSet::new(), BTreeSet::new());
        for target in &self.body.folders {
            let looked = self.look(target, &HashSet::new()).await?;
            folders.extend(looked.folders.iter().cloned());
            self.write_planned(existing, looked, &mut touched, false).await?;
        }
        self.delete_others(existing, &touched).await?;
        Ok(folders)
    }

    /// Plans what was looked at, and writes it.
    pub async fn write_planned(
        &self,
        existing: &mut Existing,
        looked: Looked,
        touched: &mut BTreeSet<String>,
        only_new: bool,
    ) -> Result<(), Why> {
        let Looked { place, leaves, single, .. } = looked;
        let (mut planned, deep) = plan(leaves, self.grouping(&place));
        if deep > 0 {
            self.log.warn(format!(
                "{deep} objects lie more than {} folders deep and were left out.",
                millpond_crawl::MAX_FOLDERS_DEEP
            ));
        }
        for table in planned.iter_mut().filter(|_| single.is_some()) {
            table.file.clone_from(&single);
        }
        self.write(existing, &place, planned, touched, only_new).await?;
        self.log.flush(&self.caller).await;
        Ok(())
    }

    fn grouping(&self, place: &Place) -> Grouping {
        // The bucket is level 1, and each folder of the include path one more.
        let own = 1 + place.prefix.matches('/').count();
        Grouping { combine: self.config.combine, level: self.config.level.map(|level| level.saturating_sub(own)) }
    }

    /// Looks at folders that no crawl before has.
    async fn new_folders(&self, existing: &mut Existing) -> Result<(), Why> {
        let seen: HashSet<String> = self.glue.core.seen(self.crawler.id).await?;
        if seen.is_empty() {
            let folders = self.everything(existing).await?;
            return self.glue.core.saw(self.crawler.id, folders).await;
        }
        let mut touched = BTreeSet::new();
        for target in &self.body.folders {
            let looked = self.look(target, &seen).await?;
            let folders = looked.folders.clone();
            self.log.info(format!("{} folders are new.", folders.len()));
            self.add(existing, looked, &mut touched).await?;
            self.glue.core.saw(self.crawler.id, folders).await?;
        }
        Ok(())
    }

    /// Adds what is new: to tables that there are, or as tables of its own.
    pub async fn add(
        &self,
        existing: &mut Existing,
        looked: Looked,
        touched: &mut BTreeSet<String>,
    ) -> Result<(), Why> {
        let rest = self.attach(existing, &looked.place, looked.leaves).await?;
        if rest.is_empty() {
            return Ok(());
        }
        self.write_planned(existing, Looked { leaves: rest, ..looked }, touched, true).await
    }

    /// A target of a table's folder.
    pub fn target_of(location: &str) -> FolderBody {
        FolderBody { path: location.to_owned(), ..FolderBody::default() }
    }
}
