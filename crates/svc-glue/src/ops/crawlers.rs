//! Crawlers: made, changed, shown and deleted. What they do is in `crawling`.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, paging};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::{AccountId, Timestamp};

use super::databases::bad_token;
use super::tags;
use crate::crawling::bodies::CrawlerBody;
use crate::crawling::check::{self, given};
use crate::crawling::log::GROUP;
use crate::crawling::rows::{self, CrawlState, CrawlerRow};
use crate::crawling::state::{Crawler, crawler_of, no_crawler, uuid};
use crate::errors::{Failure, GlueError, invalid};
use crate::inputs::{Input, Touch};
use crate::kept::removed;
use crate::limits::MAX_LISTED;
use crate::state::Core;
use crate::tables;

/// Crawlers of an account.
const MAX_CRAWLERS: usize = 1_000;
/// Names of one batch.
const MAX_NAMES: usize = 100;

/// A name of a crawler or classifier, as it is written. A slash would part an ARN.
pub(crate) fn checked_name(what: &str, name: &str) -> Result<(), GlueError> {
    let odd = |c: char| (c.is_control() && c != '\t') || c == '/';
    if name.trim().is_empty() || name.contains(odd) {
        return invalid(format!("{what} name {name:?} is not valid: it is empty, or has a line break or a slash."));
    }
    Ok(())
}

/// Decides about a crawler, which may be there or not.
pub(crate) async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    name: &str,
    input: &I,
) -> Result<(millpond_kernel::Pin, Crawler), Failure> {
    let found = core.find_crawler(account, name).await?;
    let touch = Touch::of(input, account, core.crawler_arn(account, name));
    let authorized = core.authorize(caller, touch.tagged(found.as_ref().map(|found| &found.row.tags))).await?;
    Ok((authorized.pin(), found.ok_or_else(|| no_crawler(name))?))
}

async fn classifiers_exist(core: &Core, account: AccountId, names: &[String]) -> Result<(), GlueError> {
    for name in names {
        if core.find_classifier(account, name).await?.is_none() {
            return Err(GlueError::NotFound(format!("Classifier {name} not found.")));
        }
    }
    Ok(())
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateCrawlerInput,
) -> Result<api::CreateCrawlerOutput, Failure> {
    checked_name("Crawler", &input.name)?;
    let tags = tags::checked(input.tags.as_ref())?;
    let arn = core.crawler_arn(account, &input.name);
    let mut touch = Touch::of(input, account, arn.clone()).tags(&tags);
    if !tags.is_empty() {
        touch = touch.needs("glue:TagResource", arn);
    }
    let authorized = core.authorize(caller, touch).await?;
    let mut body = CrawlerBody::default();
    given!(input, Some(input.role.as_str()), Some(&input.targets)).put_into(
        &mut body,
        account,
        core.kernel.region().as_str(),
    )?;
    classifiers_exist(core, account, &body.classifiers).await?;
    let schedule = input.schedule.clone().filter(|text| !text.is_empty());
    schedule.as_deref().map(check::schedule).transpose()?;
    core.may_pass(caller, account, &input.name, &body.role).await?;
    let key = rows::crawler(account, &input.name);
    if core.kv.get(&key).await?.is_some() {
        return Err(GlueError::Exists(format!("Crawler with name {} already exists", input.name)).into());
    }
    if core.rows(rows::of_account(rows::CRAWLERS, account)).await?.len() >= MAX_CRAWLERS {
        return Err(GlueError::Limit(format!("An account has at most {MAX_CRAWLERS} crawlers.")).into());
    }
    let (id, mut ops, now) = (core.random_id(), Vec::new(), core.now());
    let kept = core.keep(id, &body, &mut ops)?;
    let mut row = CrawlerRow {
        id: id.to_be_bytes().to_vec(),
        created: now,
        updated: now,
        version: 1,
        tags,
        body: kept,
        scheduled: schedule.is_some(),
        schedule,
        ..CrawlerRow::default()
    };
    ops.extend(core.arm((account, &input.name, id), &mut row, core.clock.now())?);
    ops.push(Op::Put(key.clone(), tables::encode(&row)));
    core.commit(authorized.pin(), vec![Cond::Absent(key)], ops, false).await?;
    core.timers.nudge();
    Ok(api::CreateCrawlerOutput {})
}

fn running(crawler: &Crawler) -> Result<(), GlueError> {
    match crawler.running() {
        Some(_) => Err(GlueError::Crawler(
            "CrawlerRunningException",
            format!("Crawler with name {} is running; try again when it is READY.", crawler.name),
        )),
        None => Ok(()),
    }
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateCrawlerInput,
) -> Result<api::UpdateCrawlerOutput, Failure> {
    let (pin, crawler) = touched(core, caller, account, &input.name, input).await?;
    running(&crawler)?;
    let before = core.crawler_body(&crawler).await?;
    let mut body = before.clone();
    given!(input, input.role.as_deref(), input.targets.as_ref()).put_into(
        &mut body,
        account,
        core.kernel.region().as_str(),
    )?;
    classifiers_exist(core, account, &body.classifiers).await?;
    // Who changes what a role is used for passes it as well.
    core.may_pass(caller, account, &crawler.name, &body.role).await?;
    let mut ops = removed(&crawler.row.body);
    let kept = core.keep(crawler.id, &body, &mut ops)?;
    let version = crawler.row.version + 1;
    let mut row = CrawlerRow { body: kept, updated: core.now(), version, ..crawler.row.clone() };
    if let Some(text) = &input.schedule {
        reschedule(core, &crawler, &mut row, text, &mut ops)?;
    }
    core.commit_crawler(pin, &crawler, &row, ops).await?;
    core.timers.nudge();
    Ok(api::UpdateCrawlerOutput {})
}

/// Gives a crawler another schedule; nothing takes it away.
pub(crate) fn reschedule(
    core: &Core,
    crawler: &Crawler,
    row: &mut CrawlerRow,
    text: &str,
    ops: &mut Vec<Op>,
) -> Result<(), GlueError> {
    let new = Some(text.to_owned()).filter(|text| !text.is_empty());
    new.as_deref().map(check::schedule).transpose()?;
    row.scheduled = new.is_some();
    row.schedule = new;
    ops.extend(core.arm((crawler.account, &crawler.name, crawler.id), row, core.clock.now())?);
    Ok(())
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteCrawlerInput,
) -> Result<api::DeleteCrawlerOutput, Failure> {
    let (pin, crawler) = touched(core, caller, account, &input.name, input).await?;
    running(&crawler)?;
    let (mut row, mut ops) = (crawler.row.clone(), removed(&crawler.row.body));
    row.scheduled = false;
    ops.extend(core.arm((account, &crawler.name, crawler.id), &mut row, core.clock.now())?);
    ops.extend(Core::forget_crawls(crawler.id));
    ops.push(Op::Delete(crawler.key.clone()));
    core.commit(pin, vec![crawler.unchanged()], ops, true).await?;
    core.forget_seen(crawler.id).await?;
    Ok(api::DeleteCrawlerOutput {})
}

/// A crawler as it is shown.
pub(crate) async fn show(core: &Core, crawler: &Crawler) -> Result<api::Crawler, GlueError> {
    let body = core.crawler_body(crawler).await?;
    let row = &crawler.row;
    let (state, elapsed) = match crawler.running() {
        None => (api::CrawlerState::Ready, 0),
        Some(current) => {
            let elapsed = core.clock.now().0.saturating_sub(current.started) / 1_000_000;
            let state = if current.stopping { api::CrawlerState::Stopping } else { api::CrawlerState::Running };
            (state, i64::try_from(elapsed).unwrap_or(i64::MAX))
        }
    };
    let schedule_state = if row.scheduled { api::ScheduleState::Scheduled } else { api::ScheduleState::NotScheduled };
    let schedule = row
        .schedule
        .clone()
        .map(|expression| api::Schedule { schedule_expression: Some(expression), state: Some(schedule_state) });
    Ok(api::Crawler {
        name: Some(crawler.name.clone()),
        targets: Some(body.targets()),
        role: Some(body.role),
        database_name: Some(body.database),
        description: Some(body.description).filter(|text| !text.is_empty()),
        classifiers: Some(body.classifiers),
        recrawl_policy: Some(api::RecrawlPolicy { recrawl_behavior: api::RecrawlBehavior::parse(&body.recrawl) }),
        schema_change_policy: Some(api::SchemaChangePolicy {
            update_behavior: api::UpdateBehavior::parse(&body.update),
            delete_behavior: api::DeleteBehavior::parse(&body.delete),
        }),
        lineage_configuration: Some(api::LineageConfiguration {
            crawler_lineage_settings: Some(api::CrawlerLineageSettings::Disable),
        }),
        state: Some(state),
        table_prefix: Some(body.prefix).filter(|text| !text.is_empty()),
        schedule,
        crawl_elapsed_time: Some(elapsed),
        creation_time: Some(Timestamp(row.created)),
        last_updated: Some(Timestamp(row.updated)),
        last_crawl: last_crawl(core, crawler).await?,
        version: i64::try_from(row.version).ok(),
        configuration: Some(body.configuration).filter(|text| !text.is_empty()),
        crawler_security_configuration: None,
        lake_formation_configuration: Some(api::LakeFormationConfiguration {
            use_lake_formation_credentials: Some(false),
            account_id: Some(String::new()),
        }),
        catalog_id: None,
    })
}

/// The last crawl that is over.
async fn last_crawl(core: &Core, crawler: &Crawler) -> Result<Option<api::LastCrawlInfo>, GlueError> {
    let number = match crawler.running() {
        Some(current) => current.number - 1,
        None => crawler.row.crawls,
    };
    let Some(crawl) = core.find_crawl(crawler.id, number).await? else { return Ok(None) };
    let status = match crawl.state() {
        CrawlState::Completed => api::LastCrawlStatus::Succeeded,
        CrawlState::Stopped => api::LastCrawlStatus::Cancelled,
        CrawlState::Failed | CrawlState::Running => api::LastCrawlStatus::Failed,
    };
    let body = core.crawl_body(crawler.id, &crawl).await?;
    Ok(Some(api::LastCrawlInfo {
        status: Some(status),
        error_message: body.error,
        log_group: Some(GROUP.to_owned()),
        log_stream: Some(crawler.name.clone()),
        message_prefix: Some(uuid(&crawl.id)),
        start_time: Some(Timestamp(crawl.started)),
    }))
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetCrawlerInput,
) -> Result<api::GetCrawlerOutput, Failure> {
    let (_, crawler) = touched(core, caller, account, &input.name, input).await?;
    Ok(api::GetCrawlerOutput { crawler: Some(show(core, &crawler).await?) })
}

/// A page of an account's crawlers, by name, and the token of the next one.
pub(crate) async fn page(
    core: &Core,
    account: AccountId,
    limit: usize,
    token: Option<&str>,
) -> Result<(Vec<Crawler>, Option<String>), GlueError> {
    let (mut from, to) = prefix_range(rows::of_account(rows::CRAWLERS, account));
    if let Some(name) = paging::name_after(token).map_err(|_| bad_token())? {
        from = from.max(successor(&rows::crawler(account, &name)));
    }
    let found = core.page(from, to, limit + 1).await?;
    let more = found.len() > limit;
    let page = found.into_iter().take(limit).map(|(key, raw)| crawler_of(account, key, raw));
    let page: Vec<Crawler> = page.collect::<Result<_, _>>()?;
    let next = page.last().filter(|_| more).map(|last| paging::token(&last.name));
    Ok((page, next))
}

fn all<I: Input>(core: &Core, account: AccountId, input: &I) -> Touch<I> {
    Touch::of(input, account, core.arn(account, "*"))
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetCrawlersInput,
) -> Result<api::GetCrawlersOutput, Failure> {
    core.authorize(caller, all(core, account, input)).await?;
    let limit = paging::limit(input.max_results, MAX_LISTED).min(MAX_LISTED);
    let (page, next_token) = page(core, account, limit, input.next_token.as_deref()).await?;
    let mut crawlers = Vec::with_capacity(page.len());
    for crawler in &page {
        crawlers.push(show(core, crawler).await?);
    }
    Ok(api::GetCrawlersOutput { crawlers: Some(crawlers), next_token })
}

pub(crate) async fn names(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListCrawlersInput,
) -> Result<api::ListCrawlersOutput, Failure> {
    core.authorize(caller, all(core, account, input)).await?;
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let wanted: &BTreeMap<String, String> = &input.tags.clone().unwrap_or_default();
    let (mut names, mut token) = (Vec::new(), input.next_token.clone());
    // Pages of which tags leave little are filled up.
    loop {
        let (page, next) = page(core, account, limit - names.len(), token.as_deref()).await?;
        let has = |crawler: &Crawler| wanted.iter().all(|(key, value)| crawler.row.tags.get(key) == Some(value));
        names.extend(page.into_iter().filter(has).map(|crawler| crawler.name));
        token = next;
        if token.is_none() || names.len() >= limit {
            return Ok(api::ListCrawlersOutput { crawler_names: Some(names), next_token: token });
        }
    }
}

pub(crate) async fn batch_get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchGetCrawlersInput,
) -> Result<api::BatchGetCrawlersOutput, Failure> {
    if input.crawler_names.len() > MAX_NAMES {
        return Err(GlueError::Invalid(format!("At most {MAX_NAMES} crawlers are shown together.")).into());
    }
    let (mut crawlers, mut missing) = (Vec::new(), Vec::new());
    for name in &input.crawler_names {
        match touched(core, caller, account, name, input).await {
            Ok((_, crawler)) => crawlers.push(show(core, &crawler).await?),
            Err(Failure::Error(GlueError::NotFound(_))) => missing.push(name.clone()),
            Err(other) => return Err(other),
        }
    }
    if input.crawler_names.is_empty() {
        core.authorize(caller, all(core, account, input)).await?;
    }
    Ok(api::BatchGetCrawlersOutput { crawlers: Some(crawlers), crawlers_not_found: Some(missing) })
}
