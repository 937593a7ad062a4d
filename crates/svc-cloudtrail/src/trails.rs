//! Operations on trails.

use std::sync::Arc;

use bytes::Bytes;
use millpond_api_cloudtrail as api;
use millpond_kernel::{Authorized, ServiceError};
use millpond_types::{AccountId, BucketName, Timestamp};
use prost::Message;

use crate::name::Named;
use crate::state::{MAX_TRAILS, OfAccount};
use crate::tables::{self, StatusRow, TrailRow};
use crate::{Call, Input, On, errors, selectors, state, tags};

/// Characters of the prefix of keys (API reference, CreateTrail).
const MAX_PREFIX: usize = 200;

/// What a trail can be asked for and is not carried out.
#[derive(Default)]
struct NotCarriedOut<'a> {
    topic: Option<&'a String>,
    log_group: Option<&'a String>,
    log_role: Option<&'a String>,
    key: Option<&'a String>,
    validation: Option<bool>,
    organization: Option<bool>,
    recursive: Option<bool>,
}

impl NotCarriedOut<'_> {
    /// Refuses by name. An empty text is how clients take something away: there is nothing to be taken away.
    fn refuse(&self) -> Result<(), ServiceError> {
        let given = |value: Option<&String>| value.is_some_and(|value| !value.is_empty());
        for (is, what) in [
            (given(self.topic), "Notification of log files (SnsTopicName)"),
            (given(self.log_group), "Delivery to CloudWatch Logs (CloudWatchLogsLogGroupArn)"),
            (given(self.log_role), "Delivery to CloudWatch Logs (CloudWatchLogsRoleArn)"),
            (given(self.key), "Encryption of log files with a key of the trail's (KmsKeyId)"),
            (self.validation == Some(true), "Validation of log files (EnableLogFileValidation)"),
            (self.recursive == Some(true), "Recording of the log files' own delivery (RecursiveLogging)"),
        ] {
            if is {
                return Err(ServiceError::not_implemented(what));
            }
        }
        if self.organization == Some(true) { Err(errors::no_organization()) } else { Ok(()) }
    }
}

fn checked(bucket: &str, prefix: Option<&str>) -> Result<(), ServiceError> {
    bucket.parse::<BucketName>().map_err(|_| errors::bucket_name(bucket))?;
    match prefix {
        Some(prefix) if prefix.chars().count() > MAX_PREFIX => Err(errors::prefix()),
        _ => Ok(()),
    }
}

fn the_one<I>(on: On<I>) -> Result<(I, Named), ServiceError> {
    let On { input, named, .. } = on;
    let named = named.into_iter().next().ok_or_else(ServiceError::internal)?;
    Ok((input, named))
}

impl Call<'_> {
    /// The trail that an operation names.
    fn found<I: Input>(&self, authorized: Authorized<On<I>>) -> Result<(Arc<TrailRow>, Named), ServiceError> {
        let (_, named) = the_one(authorized.into_inner())?;
        let missing = || errors::no_trail(&named.name, named.account);
        let trail = self.inner.trails.find(named.account, &named.name).ok_or_else(missing)?;
        Ok((trail, named))
    }

    fn arn(&self, account: AccountId, name: &str) -> Option<String> {
        Some(state::arn(self.inner.parts.kernel.region(), account, name).to_string())
    }

    /// Whether files can be delivered as a trail says.
    async fn deliverable(&self, account: AccountId, trail: &TrailRow) -> Result<(), ServiceError> {
        let may = self.inner.files.may_deliver(account, trail).await;
        may.map_err(|error| errors::bucket(error, &trail.bucket))
    }

    fn shown(&self, account: AccountId, trail: &TrailRow) -> api::Trail {
        api::Trail {
            name: Some(trail.name.clone()),
            s3_bucket_name: Some(trail.bucket.clone()),
            s3_key_prefix: trail.prefix.clone(),
            include_global_service_events: Some(trail.global),
            is_multi_region_trail: Some(trail.multi_region),
            home_region: Some(self.inner.parts.kernel.region().to_string()),
            trail_arn: self.arn(account, &trail.name),
            log_file_validation_enabled: Some(false),
            has_custom_event_selectors: Some(!trail.basic.is_empty() || !trail.advanced.is_empty()),
            has_insight_selectors: Some(false),
            is_organization_trail: Some(false),
            ..api::Trail::default()
        }
    }
}

/// CreateTrail. It does not log yet.
pub async fn create(
    call: &Call<'_>,
    authorized: Authorized<On<api::CreateTrailInput>>,
) -> Result<api::CreateTrailOutput, ServiceError> {
    let pin = authorized.pin();
    let (input, named) = the_one(authorized.into_inner())?;
    let refused = NotCarriedOut {
        topic: input.sns_topic_name.as_ref(),
        log_group: input.cloud_watch_logs_log_group_arn.as_ref(),
        log_role: input.cloud_watch_logs_role_arn.as_ref(),
        key: input.kms_key_id.as_ref(),
        validation: input.enable_log_file_validation,
        organization: input.is_organization_trail,
        recursive: input.recursive_logging,
    };
    refused.refuse()?;
    checked(&input.s3_bucket_name, input.s3_key_prefix.as_deref())?;
    let trail = TrailRow {
        id: Bytes::copy_from_slice(&call.inner.parts.random.u128().to_be_bytes()),
        name: named.name.clone(),
        bucket: input.s3_bucket_name,
        prefix: input.s3_key_prefix.filter(|prefix| !prefix.is_empty()),
        global: input.include_global_service_events.unwrap_or(true),
        multi_region: input.is_multi_region_trail.unwrap_or(false),
        tags: tags::of(input.tags_list.unwrap_or_default())?,
        ..TrailRow::default()
    };
    if trail.multi_region && !trail.global {
        return Err(errors::multi_region_is_global());
    }
    call.deliverable(named.account, &trail).await?;
    let account = named.account;
    let made = trail.clone();
    let change = move |before: Option<&TrailRow>, own: &OfAccount| match before {
        Some(_) => Err(errors::trail_exists(&made.name, account)),
        None if own.len() >= MAX_TRAILS => Err(errors::too_many_trails(account, MAX_TRAILS)),
        None => Ok(Some(made)),
    };
    call.inner.trails.change(account, named.name, pin, change).await?;
    let api::Trail { name, s3_bucket_name, s3_key_prefix, trail_arn, .. } = call.shown(account, &trail);
    Ok(api::CreateTrailOutput {
        name,
        s3_bucket_name,
        s3_key_prefix,
        include_global_service_events: Some(trail.global),
        is_multi_region_trail: Some(trail.multi_region),
        trail_arn,
        log_file_validation_enabled: Some(false),
        is_organization_trail: Some(false),
        ..api::CreateTrailOutput::default()
    })
}

/// UpdateTrail: what is not named stays.
pub async fn update(
    call: &Call<'_>,
    authorized: Authorized<On<api::UpdateTrailInput>>,
) -> Result<api::UpdateTrailOutput, ServiceError> {
    let pin = authorized.pin();
    let (input, named) = the_one(authorized.into_inner())?;
    let refused = NotCarriedOut {
        topic: input.sns_topic_name.as_ref(),
        log_group: input.cloud_watch_logs_log_group_arn.as_ref(),
        log_role: input.cloud_watch_logs_role_arn.as_ref(),
        key: input.kms_key_id.as_ref(),
        validation: input.enable_log_file_validation,
        organization: input.is_organization_trail,
        recursive: input.recursive_logging,
    };
    refused.refuse()?;
    let missing = errors::no_trail(&named.name, named.account);
    let before = call.inner.trails.find(named.account, &named.name).ok_or_else(|| missing.clone())?;
    let updated = move |before: &TrailRow| {
        let mut trail = before.clone();
        trail.bucket = input.s3_bucket_name.unwrap_or(trail.bucket);
        if let Some(prefix) = input.s3_key_prefix {
            trail.prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        }
        trail.global = input.include_global_service_events.unwrap_or(trail.global);
        trail.multi_region = input.is_multi_region_trail.unwrap_or(trail.multi_region);
        trail
    };
    let wanted = updated.clone()(&before);
    checked(&wanted.bucket, wanted.prefix.as_deref())?;
    if wanted.multi_region && !wanted.global {
        return Err(errors::multi_region_is_global());
    }
    call.deliverable(named.account, &wanted).await?;
    let change = move |before: Option<&TrailRow>, _: &OfAccount| before.map(updated).map(Some).ok_or(missing);
    let (account, name) = (named.account, named.name);
    let Some(trail) = call.inner.trails.change(account, name, pin, change).await? else {
        return Err(ServiceError::internal());
    };
    let api::Trail { name, s3_bucket_name, s3_key_prefix, trail_arn, .. } = call.shown(account, &trail);
    Ok(api::UpdateTrailOutput {
        name,
        s3_bucket_name,
        s3_key_prefix,
        include_global_service_events: Some(trail.global),
        is_multi_region_trail: Some(trail.multi_region),
        trail_arn,
        log_file_validation_enabled: Some(false),
        is_organization_trail: Some(false),
        ..api::UpdateTrailOutput::default()
    })
}

/// DeleteTrail. What it selected and no file has yet is gone with it.
pub async fn delete(
    call: &Call<'_>,
    authorized: Authorized<On<api::DeleteTrailInput>>,
) -> Result<api::DeleteTrailOutput, ServiceError> {
    let pin = authorized.pin();
    let (_, named) = the_one(authorized.into_inner())?;
    let missing = errors::no_trail(&named.name, named.account);
    let change = move |before: Option<&TrailRow>, _: &OfAccount| before.map(|_| None).ok_or(missing);
    call.inner.trails.change(named.account, named.name, pin, change).await?;
    Ok(api::DeleteTrailOutput {})
}

/// GetTrail.
pub fn get(
    call: &Call<'_>,
    authorized: Authorized<On<api::GetTrailInput>>,
) -> Result<api::GetTrailOutput, ServiceError> {
    let (trail, named) = call.found(authorized)?;
    Ok(api::GetTrailOutput { trail: Some(call.shown(named.account, &trail)) })
}

/// DescribeTrails: those that are named, or all. Names of trails that are not there are passed over.
pub fn described(
    call: &Call<'_>,
    authorized: Authorized<On<api::DescribeTrailsInput>>,
) -> Result<api::DescribeTrailsOutput, ServiceError> {
    let On { input, account, region, .. } = authorized.into_inner();
    let own = call.inner.trails.of(account);
    let names = input.trail_name_list.filter(|names| !names.is_empty());
    let list = match names {
        None => own.values().map(|trail| call.shown(account, trail)).collect(),
        Some(names) => {
            let named = names.iter().map(|name| Named::parse(name, account, &region)).collect::<Result<Vec<_>, _>>()?;
            // Other accounts' are none that the caller has a right to.
            let mine = named.iter().filter(|named| named.account == account);
            mine.filter_map(|named| own.get(&named.name)).map(|trail| call.shown(account, trail)).collect()
        }
    };
    Ok(api::DescribeTrailsOutput { trail_list: Some(list) })
}

/// ListTrails: the one page, to which no token leads.
pub fn listed(
    call: &Call<'_>,
    authorized: Authorized<On<api::ListTrailsInput>>,
) -> Result<api::ListTrailsOutput, ServiceError> {
    let On { input, account, region, .. } = authorized.into_inner();
    if input.next_token.is_some() {
        return Err(errors::list_token());
    }
    let info = |trail: &Arc<TrailRow>| api::TrailInfo {
        trail_arn: call.arn(account, &trail.name),
        name: Some(trail.name.clone()),
        home_region: Some(region.to_string()),
    };
    let trails = call.inner.trails.of(account).values().map(info).collect();
    Ok(api::ListTrailsOutput { trails: Some(trails), next_token: None })
}

/// GetTrailStatus.
pub async fn status(
    call: &Call<'_>,
    authorized: Authorized<On<api::GetTrailStatusInput>>,
) -> Result<api::GetTrailStatusOutput, ServiceError> {
    let (trail, _) = call.found(authorized)?;
    let row = call.inner.trails.kv().get(&tables::status(trail.id())).await;
    let row = row.map_err(|error| {
        tracing::error!(%error, "the status of a trail cannot be read");
        errors::failed()
    })?;
    let delivered = row.and_then(|row| StatusRow::decode(row).ok()).unwrap_or_default();
    let time = |nanos: u64| (nanos != 0).then(|| Timestamp::from_seconds(Timestamp(nanos).seconds()));
    let text = |nanos: u64| {
        let mut text = String::new();
        if let Some(time) = time(nanos) {
            millpond_wire::push_iso8601(&mut text, time, false);
        }
        Some(text)
    };
    Ok(api::GetTrailStatusOutput {
        is_logging: Some(trail.logging),
        latest_delivery_error: Some(delivered.error.clone()).filter(|error| !error.is_empty()),
        latest_delivery_time: time(delivered.delivered),
        start_logging_time: time(trail.started),
        stop_logging_time: time(trail.stopped),
        latest_delivery_attempt_time: text(delivered.attempted),
        latest_delivery_attempt_succeeded: text(if delivered.error.is_empty() { delivered.attempted } else { 0 }),
        time_logging_started: text(trail.started),
        time_logging_stopped: text(trail.stopped),
        latest_notification_attempt_time: Some(String::new()),
        latest_notification_attempt_succeeded: Some(String::new()),
        ..api::GetTrailStatusOutput::default()
    })
}

/// StartLogging. A trail that logs goes on to.
pub async fn start(
    call: &Call<'_>,
    authorized: Authorized<On<api::StartLoggingInput>>,
) -> Result<api::StartLoggingOutput, ServiceError> {
    set_logging(call, authorized, true).await?;
    Ok(api::StartLoggingOutput {})
}

/// StopLogging. What was recorded before is delivered.
pub async fn stop(
    call: &Call<'_>,
    authorized: Authorized<On<api::StopLoggingInput>>,
) -> Result<api::StopLoggingOutput, ServiceError> {
    set_logging(call, authorized, false).await?;
    Ok(api::StopLoggingOutput {})
}

async fn set_logging<I: Input>(
    call: &Call<'_>,
    authorized: Authorized<On<I>>,
    logging: bool,
) -> Result<(), ServiceError> {
    let pin = authorized.pin();
    let (_, named) = the_one(authorized.into_inner())?;
    let missing = errors::no_trail(&named.name, named.account);
    let now = call.inner.parts.clock.now().0;
    let change = move |before: Option<&TrailRow>, _: &OfAccount| {
        let mut trail = before.cloned().ok_or(missing)?;
        if trail.logging != logging {
            *(if logging { &mut trail.started } else { &mut trail.stopped }) = now;
        }
        trail.logging = logging;
        Ok(Some(trail))
    };
    call.inner.trails.change(named.account, named.name, pin, change).await.map(drop)
}

/// PutEventSelectors: in place of those that there were.
pub async fn put_selectors(
    call: &Call<'_>,
    authorized: Authorized<On<api::PutEventSelectorsInput>>,
) -> Result<api::PutEventSelectorsOutput, ServiceError> {
    let pin = authorized.pin();
    let (input, named) = the_one(authorized.into_inner())?;
    let (basic, advanced) = match (input.event_selectors, input.advanced_event_selectors) {
        (Some(basic), None) => (selectors::wanted_basic(basic)?, Vec::new()),
        (None, Some(advanced)) => (Vec::new(), selectors::wanted_advanced(advanced)?),
        _ => return Err(errors::one_kind_of_selectors()),
    };
    let missing = errors::no_trail(&named.name, named.account);
    let change = move |before: Option<&TrailRow>, _: &OfAccount| {
        let trail = before.cloned().ok_or(missing)?;
        Ok(Some(TrailRow { basic, advanced, ..trail }))
    };
    let (account, name) = (named.account, named.name);
    let Some(trail) = call.inner.trails.change(account, name, pin, change).await? else {
        return Err(ServiceError::internal());
    };
    let (event_selectors, advanced_event_selectors) = trail.shown_selectors();
    let trail_arn = call.arn(account, &trail.name);
    Ok(api::PutEventSelectorsOutput { trail_arn, event_selectors, advanced_event_selectors })
}

/// GetEventSelectors. A trail that was told nothing is about all management events.
pub fn get_selectors(
    call: &Call<'_>,
    authorized: Authorized<On<api::GetEventSelectorsInput>>,
) -> Result<api::GetEventSelectorsOutput, ServiceError> {
    let (trail, named) = call.found(authorized)?;
    let (event_selectors, advanced_event_selectors) = trail.shown_selectors();
    let trail_arn = call.arn(named.account, &trail.name);
    Ok(api::GetEventSelectorsOutput { trail_arn, event_selectors, advanced_event_selectors })
}

/// GetInsightSelectors: as of a trail that has none.
pub fn insights(
    call: &Call<'_>,
    authorized: Authorized<On<api::GetInsightSelectorsInput>>,
) -> Result<api::GetInsightSelectorsOutput, ServiceError> {
    if authorized.get().input.event_data_store.is_some() {
        return Err(ServiceError::not_implemented("An event data store"));
    }
    if authorized.get().named.is_empty() {
        return Err(errors::trail_or_store());
    }
    let (trail, _) = call.found(authorized)?;
    Err(errors::no_insights(&trail.name))
}
