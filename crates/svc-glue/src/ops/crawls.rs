//! Crawls and schedules: begun and stopped, their history and figures.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, paging};
use millpond_meta::key::{prefix_range, successor};
use millpond_types::{AccountId, Timestamp};

use super::crawlers::{page, reschedule, touched};
use super::databases::bad_token;
use crate::crawling::log::GROUP;
use crate::crawling::rows::{self, CrawlRow, CrawlState, CrawlerRow};
use crate::crawling::state::{Crawler, uuid};
use crate::errors::{Failure, GlueError, invalid};
use crate::inputs::Touch;
use crate::limits::{MAX_LISTED, PAGE};
use crate::state::{Core, decode};
use crate::tables;

/// Crawls of one page, unless another number is asked for.
const USUAL: usize = 20;
/// Crawls of which the median time is told.
const RECENT: u64 = 100;
/// Nanoseconds in an hour.
const HOUR: f64 = 3.6e12;

fn refused<T>(code: &'static str, text: String) -> Result<T, Failure> {
    Err(GlueError::Crawler(code, text).into())
}

pub(crate) async fn start(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::StartCrawlerInput,
) -> Result<api::StartCrawlerOutput, Failure> {
    let (pin, crawler) = touched(core, caller, account, &input.name, input).await?;
    if crawler.running().is_some() {
        return refused("CrawlerRunningException", format!("Crawler with name {} has already started", crawler.name));
    }
    let mut row = crawler.row.clone();
    let ops = core.begin_crawl((account, &crawler.name, crawler.id), &mut row);
    core.commit_crawler(pin, &crawler, &row, ops).await?;
    core.runs.news.notify_one();
    Ok(api::StartCrawlerOutput {})
}

pub(crate) async fn stop(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::StopCrawlerInput,
) -> Result<api::StopCrawlerOutput, Failure> {
    let (pin, crawler) = touched(core, caller, account, &input.name, input).await?;
    let mut row = crawler.row.clone();
    match &mut row.current {
        None => {
            return refused("CrawlerNotRunningException", format!("Crawler with name {} isn't running", crawler.name));
        }
        Some(current) if current.stopping => {
            return refused("CrawlerStoppingException", format!("Crawler with name {} is stopping", crawler.name));
        }
        Some(current) => current.stopping = true,
    }
    core.commit_crawler(pin, &crawler, &row, Vec::new()).await?;
    core.runs.stop(crawler.id);
    Ok(api::StopCrawlerOutput {})
}

/// Begins or ends following a schedule.
async fn follow(core: &Core, (pin, crawler): (millpond_kernel::Pin, Crawler), scheduled: bool) -> Result<(), Failure> {
    let name = &crawler.name;
    if crawler.row.schedule.is_none() {
        return refused("NoScheduleException", format!("Crawler with name {name} has no schedule"));
    }
    match (scheduled, crawler.row.scheduled) {
        (true, true) => {
            return refused("SchedulerRunningException", format!("The schedule of {name} is running already"));
        }
        (false, false) => {
            return refused("SchedulerNotRunningException", format!("The schedule of {name} is not running"));
        }
        _ => {}
    }
    let mut row = CrawlerRow { scheduled, ..crawler.row.clone() };
    let ops = core.arm((crawler.account, name, crawler.id), &mut row, core.clock.now())?;
    core.commit_crawler(pin, &crawler, &row, ops).await?;
    core.timers.nudge();
    Ok(())
}

pub(crate) async fn start_schedule(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::StartCrawlerScheduleInput,
) -> Result<api::StartCrawlerScheduleOutput, Failure> {
    let found = touched(core, caller, account, &input.crawler_name, input).await?;
    follow(core, found, true).await?;
    Ok(api::StartCrawlerScheduleOutput {})
}

pub(crate) async fn stop_schedule(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::StopCrawlerScheduleInput,
) -> Result<api::StopCrawlerScheduleOutput, Failure> {
    let found = touched(core, caller, account, &input.crawler_name, input).await?;
    follow(core, found, false).await?;
    Ok(api::StopCrawlerScheduleOutput {})
}

pub(crate) async fn update_schedule(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateCrawlerScheduleInput,
) -> Result<api::UpdateCrawlerScheduleOutput, Failure> {
    let (pin, crawler) = touched(core, caller, account, &input.crawler_name, input).await?;
    let mut row = CrawlerRow { updated: core.now(), version: crawler.row.version + 1, ..crawler.row.clone() };
    let mut ops = Vec::new();
    reschedule(core, &crawler, &mut row, input.schedule.as_deref().unwrap_or_default(), &mut ops)?;
    core.commit_crawler(pin, &crawler, &row, ops).await?;
    core.timers.nudge();
    Ok(api::UpdateCrawlerScheduleOutput {})
}

/// One condition of a list of crawls.
struct Filter {
    field: api::FieldName,
    operator: api::FilterOperator,
    value: String,
}

impl Filter {
    fn of(given: &api::CrawlsFilter) -> Result<Self, GlueError> {
        let (Some(field), Some(operator), Some(value)) = (given.field_name, given.filter_operator, &given.field_value)
        else {
            return invalid("A filter needs a FieldName, a FilterOperator and a FieldValue.");
        };
        let filter = Self { field, operator, value: value.clone() };
        let text = matches!(field, api::FieldName::CrawlId | api::FieldName::State);
        let equality = matches!(operator, api::FilterOperator::Eq | api::FilterOperator::Ne);
        if text && !equality {
            return invalid("CRAWL_ID and STATE are compared by EQ and NE.");
        }
        if !text && value.parse::<f64>().is_err() {
            return invalid(
                "START_TIME and END_TIME are compared with milliseconds since 1970, DPU_HOUR with a number.",
            );
        }
        Ok(filter)
    }

    #[expect(clippy::cast_precision_loss, reason = "times in milliseconds")]
    fn holds(&self, crawl: &CrawlRow, now: u64) -> bool {
        use api::FilterOperator as Is;
        let equal = |text: &str| (text == self.value) == matches!(self.operator, Is::Eq);
        let number = match self.field {
            api::FieldName::CrawlId => return equal(&uuid(&crawl.id)),
            api::FieldName::State => return equal(state(crawl).as_str()),
            api::FieldName::StartTime => (crawl.started / 1_000_000) as f64,
            api::FieldName::EndTime => match crawl.ended {
                Some(ended) => (ended / 1_000_000) as f64,
                None => return false,
            },
            api::FieldName::DpuHour => hours(crawl, now),
        };
        let Ok(value) = self.value.parse::<f64>() else { return false };
        let same = (number - value).abs() < f64::EPSILON;
        match self.operator {
            Is::Gt => number > value,
            Is::Ge => number >= value,
            Is::Lt => number < value,
            Is::Le => number <= value,
            Is::Eq => same,
            Is::Ne => !same,
        }
    }
}

fn state(crawl: &CrawlRow) -> api::CrawlerHistoryState {
    match crawl.state() {
        CrawlState::Running => api::CrawlerHistoryState::Running,
        CrawlState::Completed => api::CrawlerHistoryState::Completed,
        CrawlState::Failed => api::CrawlerHistoryState::Failed,
        CrawlState::Stopped => api::CrawlerHistoryState::Stopped,
    }
}

/// Hours that a crawl took, of the one processing unit that there is.
#[expect(clippy::cast_precision_loss, reason = "a length of time")]
fn hours(crawl: &CrawlRow, now: u64) -> f64 {
    crawl.ended.unwrap_or(now).saturating_sub(crawl.started) as f64 / HOUR
}

pub(crate) async fn history(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListCrawlsInput,
) -> Result<api::ListCrawlsOutput, Failure> {
    let (_, crawler) = touched(core, caller, account, &input.crawler_name, input).await?;
    let filters = input.filters.iter().flatten().map(Filter::of).collect::<Result<Vec<_>, _>>()?;
    let limit = paging::limit(input.max_results, USUAL);
    let (mut from, to) = prefix_range(tables::all_of(rows::CRAWLS, crawler.id));
    if let Some(after) = paging::name_after(input.next_token.as_deref()).map_err(|_| bad_token())? {
        let number = after.parse().map_err(|_| bad_token())?;
        from = from.max(successor(&rows::crawl(crawler.id, number)));
    }
    let (mut crawls, now) = (Vec::new(), core.clock.now().0);
    let mut last = None;
    loop {
        let found = core.page(from, to.clone(), PAGE).await?;
        let next = found.last().filter(|_| found.len() == PAGE).map(|(key, _)| successor(key));
        for (key, raw) in found {
            let crawl: CrawlRow = decode(&raw)?;
            if !filters.iter().all(|filter| filter.holds(&crawl, now)) {
                continue;
            }
            if crawls.len() == limit {
                return Ok(api::ListCrawlsOutput { crawls: Some(crawls), next_token: last });
            }
            crawls.push(shown(core, &crawler, &crawl, now).await?);
            last = Some(paging::token(tables::version_number(&key)?.to_string()));
        }
        match next {
            Some(next) => from = next,
            None => return Ok(api::ListCrawlsOutput { crawls: Some(crawls), next_token: None }),
        }
    }
}

async fn shown(core: &Core, crawler: &Crawler, crawl: &CrawlRow, now: u64) -> Result<api::CrawlerHistory, GlueError> {
    let body = core.crawl_body(crawler.id, crawl).await?;
    let id = uuid(&crawl.id);
    Ok(api::CrawlerHistory {
        crawl_id: Some(id.clone()),
        state: Some(state(crawl)),
        start_time: Some(Timestamp(crawl.started)),
        end_time: crawl.ended.map(Timestamp),
        summary: crawl.body.as_ref().map(|_| body.summary()),
        error_message: body.error,
        log_group: Some(GROUP.to_owned()),
        log_stream: Some(crawler.name.clone()),
        message_prefix: Some(id),
        dpu_hour: Some(hours(crawl, now)),
    })
}

pub(crate) async fn metrics(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetCrawlerMetricsInput,
) -> Result<api::GetCrawlerMetricsOutput, Failure> {
    core.authorize(caller, Touch::of(input, account, core.arn(account, "*"))).await?;
    let names = input.crawler_name_list.as_deref().unwrap_or_default();
    let (crawlers, next_token) = if names.is_empty() {
        let limit = paging::limit(input.max_results, MAX_LISTED).min(MAX_LISTED);
        page(core, account, limit, input.next_token.as_deref()).await?
    } else {
        let mut found = Vec::new();
        for name in names {
            found.extend(core.find_crawler(account, name).await?);
        }
        (found, None)
    };
    let mut all = Vec::with_capacity(crawlers.len());
    for crawler in &crawlers {
        all.push(metrics_of(core, crawler).await?);
    }
    Ok(api::GetCrawlerMetricsOutput { crawler_metrics_list: Some(all), next_token })
}

#[expect(clippy::cast_precision_loss, reason = "seconds")]
async fn metrics_of(core: &Core, crawler: &Crawler) -> Result<api::CrawlerMetrics, GlueError> {
    let (mut times, mut last) = (Vec::new(), None);
    let newest = crawler.row.crawls;
    for number in (newest.saturating_sub(RECENT) + 1..=newest).rev() {
        let Some(crawl) = core.find_crawl(crawler.id, number).await? else { continue };
        let Some(ended) = crawl.ended else { continue };
        times.push(ended.saturating_sub(crawl.started) as f64 / 1e9);
        if last.is_none() {
            last = Some(crawl);
        }
    }
    let runtime = times.first().copied().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let body = match &last {
        Some(crawl) => core.crawl_body(crawler.id, crawl).await?,
        None => Default::default(),
    };
    let left = match crawler.running() {
        Some(current) => (median - core.clock.now().0.saturating_sub(current.started) as f64 / 1e9).max(0.0),
        None => 0.0,
    };
    let count = |count: u64| Some(i32::try_from(count).unwrap_or(i32::MAX));
    Ok(api::CrawlerMetrics {
        crawler_name: Some(crawler.name.clone()),
        time_left_seconds: Some(left),
        still_estimating: Some(crawler.running().is_some() && last.is_none()),
        last_runtime_seconds: Some(runtime),
        median_runtime_seconds: Some(median),
        tables_created: count(body.tables.added),
        tables_updated: count(body.tables.updated),
        tables_deleted: count(body.tables.deleted),
    })
}
