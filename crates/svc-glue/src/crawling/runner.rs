//! Begins crawls that wait, several at a time, and ends those that somebody stops. All of it is told by rows: a crawl that the server's end
//! interrupted has failed, and its crawler is ready again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millpond_meta::{Batch, Cond, Op};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::bodies::CrawlBody;
use super::rows::{self, CrawlRow, CrawlState, WhoseRow};
use super::run;
use super::state::{Crawler, found};
use crate::Glue;
use crate::errors::GlueError;
use crate::state::{Core, decode};
use crate::tables::{self, Id};

/// Crawls at the same time.
const SIDE_BY_SIDE: usize = 4;
/// How often crawls that schedules have begun are looked for.
const TICK: Duration = Duration::from_millis(500);
/// What is said of a crawl that did not come to its end.
const INTERRUPTED: &str = "The server stopped while the crawler ran. What was written by then stays; run it again.";

/// Crawls of this process.
#[derive(Default)]
pub(crate) struct Runs {
    live: Mutex<HashMap<Id, watch::Sender<bool>>>,
    /// Told when a crawl waits.
    pub news: Notify,
}

impl Runs {
    fn live(&self) -> MutexGuard<'_, HashMap<Id, watch::Sender<bool>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a crawl; its row says so already.
    pub fn stop(&self, id: Id) {
        if let Some(stop) = self.live().get(&id) {
            stop.send_replace(true);
        }
    }
}

impl Glue {
    /// Runs crawls until `stop`.
    pub async fn run_crawls(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        if let Err(error) = self.interrupted().await {
            tracing::error!(%error, "crawls that were left by an earlier start cannot be ended");
        }
        let mut tasks = JoinSet::new();
        loop {
            let news = self.core.runs.news.notified();
            if let Err(error) = self.launch(&mut tasks).await {
                tracing::warn!(%error, "crawls that wait cannot be read");
            }
            tokio::select! {
                () = &mut stop => break,
                () = news => {}
                () = tokio::time::sleep(TICK) => {}
                Some(_) = tasks.join_next() => {}
            }
        }
        tasks.shutdown().await;
    }

    async fn waiting(&self) -> Result<Vec<Crawler>, GlueError> {
        let mut all = Vec::new();
        for (key, raw) in self.core.rows(Bytes::from_static(&[rows::OPEN])).await? {
            let whose: WhoseRow = decode(&raw)?;
            match found(&self.core, &whose).await? {
                Some(crawler) if crawler.row.current.is_some() => all.push(crawler),
                // A crawler that is gone, or whose crawl is over.
                _ => {
                    let ops = vec![Op::Delete(key.clone())];
                    let conds = vec![Cond::Equals(key, raw)];
                    let _ = self.core.kv.commit(Batch { conds, ops, urgent: true, ..Batch::default() }).await;
                }
            }
        }
        Ok(all)
    }

    /// Crawls that an earlier start began.
    async fn interrupted(&self) -> Result<(), GlueError> {
        for crawler in self.waiting().await? {
            let number = crawler.row.current.as_ref().map(|current| current.number).unwrap_or_default();
            if self.core.find_crawl(crawler.id, number).await?.is_some_and(|crawl| crawl.begun) {
                let body = CrawlBody { error: Some(INTERRUPTED.to_owned()), ..CrawlBody::default() };
                self.core.end_crawl(&crawler, CrawlState::Failed, &body).await?;
            }
        }
        Ok(())
    }

    async fn launch(&self, tasks: &mut JoinSet<()>) -> Result<(), GlueError> {
        for crawler in self.waiting().await? {
            let (stop, stopped) = watch::channel(false);
            {
                let mut live = self.core.runs.live();
                if live.len() >= SIDE_BY_SIDE || live.contains_key(&crawler.id) {
                    continue;
                }
                live.insert(crawler.id, stop);
            }
            let place = Place { core: Arc::clone(&self.core), id: crawler.id };
            let glue = self.clone();
            tasks.spawn(async move {
                let _place = place;
                if let Err(error) = glue.crawl(&crawler, stopped).await {
                    tracing::error!(%error, crawler = crawler.name, "a crawl cannot be ended");
                }
            });
        }
        Ok(())
    }

    /// One crawl, from its beginning to its end.
    async fn crawl(&self, crawler: &Crawler, mut stopped: watch::Receiver<bool>) -> Result<(), GlueError> {
        let Some(current) = crawler.row.current else { return Ok(()) };
        let Some(crawl) = self.core.find_crawl(crawler.id, current.number).await? else { return Ok(()) };
        let key = rows::crawl(crawler.id, current.number);
        let begun = CrawlRow { begun: true, ..crawl.clone() };
        let ops = vec![Op::Put(key.clone(), tables::encode(&begun))];
        let conds = vec![Cond::Equals(key, tables::encode(&crawl))];
        let committed = self.core.kv.commit(Batch { conds, ops, ..Batch::default() }).await;
        committed.map_err(|error| GlueError::Internal(error.to_string()))?;
        if current.stopping {
            return self.core.end_crawl(crawler, CrawlState::Stopped, &CrawlBody::default()).await;
        }
        let told = run::Told::default();
        let ended = tokio::select! {
            ended = run::run(self, crawler, &crawl.id, &told) => Some(ended),
            _ = stopped.wait_for(|stop| *stop) => None,
        };
        let (state, error) = match ended {
            Some(Ok(())) => (CrawlState::Completed, None),
            Some(Err(why)) => (CrawlState::Failed, Some(why)),
            None => (CrawlState::Stopped, None),
        };
        self.core.end_crawl(crawler, state, &told.body(error)).await
    }
}

/// A place among those that run, until it is dropped.
struct Place {
    core: Arc<Core>,
    id: Id,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.runs.live().remove(&self.id);
        self.core.runs.news.notify_one();
    }
}
