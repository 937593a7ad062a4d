//! Crawlers as they are read and changed.

use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::timers::Timers;
use millpond_kernel::{Caller, PassRole, Pin, Rejection, ServiceCall};
use millpond_meta::key::prefix_range;
use millpond_meta::{Cond, Key, Op};
use millpond_types::{AccountId, Arn, RequestId, Timestamp};

use super::bodies::{ClassifierBody, CrawlBody, CrawlerBody};
use super::check;
use super::rows::{self, ClassifierRow, CrawlRow, CrawlState, CrawlerRow, CurrentRow};
use crate::errors::{Failure, GlueError, invalid};
use crate::state::{Core, decode};
use crate::tables::{self, Id};

/// The service's principal.
pub(crate) const PRINCIPAL: &str = "glue.amazonaws.com";
/// The owner of the service's timers.
pub(crate) const OWNER: &str = "glue";
/// Crawls of a crawler that are remembered.
pub(crate) const MAX_CRAWLS: u64 = 1_000;
/// What the sessions of crawlers' roles are called.
const SESSION: &str = "AWS-Crawler";

/// A crawler as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Crawler {
    pub account: AccountId,
    pub name: String,
    pub id: Id,
    pub key: Key,
    pub row: CrawlerRow,
    pub raw: Bytes,
}

impl Crawler {
    /// It is as it was read.
    pub fn unchanged(&self) -> Cond {
        Cond::Equals(self.key.clone(), self.raw.clone())
    }

    pub fn put(&self, row: &CrawlerRow) -> Op {
        Op::Put(self.key.clone(), tables::encode(row))
    }

    /// `RUNNING`, `STOPPING` or `READY`.
    pub fn running(&self) -> Option<&CurrentRow> {
        self.row.current.as_ref()
    }
}

pub(crate) fn no_crawler(name: &str) -> GlueError {
    GlueError::NotFound(format!("Crawler entry with name {name} does not exist"))
}

pub(crate) fn no_classifier(name: &str) -> GlueError {
    GlueError::NotFound(format!("Classifier {name} not found."))
}

fn id_of(bytes: &[u8]) -> Result<Id, GlueError> {
    let id = <[u8; 16]>::try_from(bytes).map_err(|_| GlueError::Internal("a row without an id".to_owned()))?;
    Ok(Id::from_be_bytes(id))
}

pub(crate) fn crawler_of(account: AccountId, key: Key, raw: Bytes) -> Result<Crawler, GlueError> {
    let row: CrawlerRow = decode(&raw)?;
    Ok(Crawler { account, name: rows::name_of(&key)?, id: id_of(&row.id)?, key, row, raw })
}

/// An id as people see it.
pub(crate) fn uuid(id: &[u8]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

impl Core {
    pub fn crawler_arn(&self, account: AccountId, name: &str) -> Arn {
        self.arn(account, &format!("crawler/{name}"))
    }

    pub async fn find_crawler(&self, account: AccountId, name: &str) -> Result<Option<Crawler>, GlueError> {
        let key = rows::crawler(account, name);
        self.kv.get(&key).await?.map(|raw| crawler_of(account, key, raw)).transpose()
    }

    pub async fn crawler_body(&self, crawler: &Crawler) -> Result<CrawlerBody, GlueError> {
        Ok(self.kept(crawler.id, &crawler.row.body).await?)
    }

    pub async fn find_classifier(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<(ClassifierRow, Bytes)>, GlueError> {
        let raw = self.kv.get(&rows::classifier(account, name)).await?;
        raw.map(|raw| Ok((decode(&raw)?, raw))).transpose()
    }

    pub async fn classifier_body(&self, row: &ClassifierRow) -> Result<ClassifierBody, GlueError> {
        Ok(self.kept(0, &row.body).await?)
    }

    pub async fn find_crawl(&self, crawler: Id, number: u64) -> Result<Option<CrawlRow>, GlueError> {
        let raw = self.kv.get(&rows::crawl(crawler, number)).await?;
        Ok(raw.map(|raw| decode(&raw)).transpose()?)
    }

    pub async fn crawl_body(&self, crawler: Id, row: &CrawlRow) -> Result<CrawlBody, GlueError> {
        match &row.body {
            Some(kept) => Ok(self.kept(crawler, kept).await?),
            None => Ok(CrawlBody::default()),
        }
    }

    /// A session of a crawler's role.
    pub async fn assume(&self, account: AccountId, name: &str, role: &str) -> Result<Caller, Rejection> {
        let missing = || Rejection::Failed("roles cannot be assumed".to_owned());
        let roles = self.kernel.roles().ok_or_else(missing)?;
        let call = ServiceCall {
            source_arn: Some(self.crawler_arn(account, name)),
            source_account: Some(account),
            request_id: RequestId(self.random.u128()),
            now: self.clock.now(),
            causes: Vec::new(),
        };
        roles.assume(&check::role_arn(role, account), &self.identity, SESSION, call).await
    }

    /// Whether the caller may pass a role to crawlers, and they may assume it.
    pub async fn may_pass(&self, caller: &Caller, account: AccountId, name: &str, role: &str) -> Result<(), Failure> {
        let arn = check::role_arn(role, account);
        let Some(pass) = PassRole::new(&arn, PRINCIPAL, Some(self.crawler_arn(account, name))) else {
            return Err(GlueError::Invalid(format!("{role} is neither the name nor the ARN of a role.")).into());
        };
        self.kernel.authorize(caller, pass).await.map_err(GlueError::from)?;
        match self.assume(account, name, role).await {
            Ok(_) => Ok(()),
            Err(Rejection::Failed(reason)) => Err(GlueError::Internal(reason).into()),
            Err(_) => Ok(invalid(format!(
                "Service is unable to assume provided role. Please verify role's TrustPolicy ({arn} must exist and trust {PRINCIPAL})."
            ))?),
        }
    }

    /// Sets the timer of a schedule anew: the changes, in `row` and in the store.
    pub fn arm(
        &self,
        crawler: (AccountId, &str, Id),
        row: &mut CrawlerRow,
        now: Timestamp,
    ) -> Result<Vec<Op>, GlueError> {
        let (account, name, id) = crawler;
        let mut ops: Vec<Op> =
            row.due.take().map(|due| Timers::clear(Timestamp(due), OWNER, &id.to_be_bytes())).into_iter().collect();
        if let (Some(text), true) = (&row.schedule, row.scheduled)
            && let Some(next) = check::schedule(text)?.after(now)
        {
            let due = self.timers.due(next);
            row.due = Some(due.0);
            ops.push(Timers::set(due, OWNER, &id.to_be_bytes(), rows::whose(account, name, id)));
        }
        Ok(ops)
    }

    /// Begins a crawl: the changes, in `row` and in the store. The runner finds it.
    pub fn begin_crawl(&self, crawler: (AccountId, &str, Id), row: &mut CrawlerRow) -> Vec<Op> {
        let (account, name, id) = crawler;
        row.crawls += 1;
        let (number, started) = (row.crawls, self.clock.now().0);
        row.current = Some(CurrentRow { number, started, stopping: false });
        let crawl = CrawlRow {
            id: self.random_id().to_be_bytes().to_vec(),
            state: CrawlState::Running.into(),
            started,
            ..CrawlRow::default()
        };
        let mut ops = vec![
            Op::Put(rows::crawl(id, number), tables::encode(&crawl)),
            Op::Put(rows::open(id), rows::whose(account, name, id)),
        ];
        if let Some(old) = number.checked_sub(MAX_CRAWLS).filter(|old| *old > 0) {
            ops.push(Op::Delete(rows::crawl(id, old)));
        }
        ops
    }

    /// Ends a crawl, whatever else changes meanwhile.
    pub async fn end_crawl(&self, crawler: &Crawler, state: CrawlState, body: &CrawlBody) -> Result<(), GlueError> {
        self.kernel
            .again(|| async {
                let Some(now) = self.find_crawler(crawler.account, &crawler.name).await? else { return Ok(()) };
                let Some(current) = now.row.current.filter(|_| now.id == crawler.id) else { return Ok(()) };
                let Some(crawl) = self.find_crawl(now.id, current.number).await? else { return Ok(()) };
                let mut ops = vec![Op::Delete(rows::open(now.id))];
                let body = Some(self.keep(now.id, body, &mut ops)?);
                let crawl = CrawlRow { state: state.into(), ended: Some(self.clock.now().0), body, ..crawl };
                ops.push(Op::Put(rows::crawl(now.id, current.number), tables::encode(&crawl)));
                ops.push(now.put(&CrawlerRow { current: None, ..now.row.clone() }));
                let batch =
                    millpond_meta::Batch { conds: vec![now.unchanged()], ops, urgent: true, ..Default::default() };
                self.kv.commit(batch).await?;
                Ok::<(), Failure>(())
            })
            .await
    }

    /// The changes by which what a crawler leaves goes.
    pub fn forget_crawls(id: Id) -> Vec<Op> {
        let (from, to) = prefix_range(tables::all_of(rows::CRAWLS, id));
        vec![Op::DeleteRange(from, to)]
    }

    /// Commits a change of a crawler.
    pub async fn commit_crawler(
        &self,
        pin: Pin,
        crawler: &Crawler,
        row: &CrawlerRow,
        mut ops: Vec<Op>,
    ) -> Result<(), Failure> {
        ops.push(crawler.put(row));
        self.commit(pin, vec![crawler.unchanged()], ops, false).await
    }
}

/// Whose crawl or timer a row is about, if the crawler is there still.
pub(crate) async fn found(core: &Arc<Core>, whose: &rows::WhoseRow) -> Result<Option<Crawler>, GlueError> {
    let account = whose.account.parse().map_err(|_| GlueError::Internal("a row names no account".to_owned()))?;
    let crawler = core.find_crawler(account, &whose.name).await?;
    Ok(crawler.filter(|crawler| crawler.row.id == whose.id))
}
