//! Archives: what came to a bus, kept.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_events as api;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::{Arrival, Caller};
use millpond_meta::{Cond, Op, Scan};
use millpond_pattern::Pattern;
use millpond_types::{AccountId, Timestamp};
use std::ops::Bound;
use std::time::Duration;

use crate::errors::{EventsError, Failure};
use crate::inputs::{Input, Touched};
use crate::limits::MAX_ARCHIVES;
use crate::memory::{Change, of_account};
use crate::model::Archive;
use crate::names::BusName;
use crate::paging::page;
use crate::rows::{ArchiveRow, BusRow};
use crate::state::{Core, Draft};
use crate::tables;

/// Owner of the timers that remove events which are kept no longer.
const OWNER: &str = "events-archives";
/// How often that is looked for.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// Events that are removed by one commit.
const PURGED: usize = 200;

fn no_archive(name: &str) -> EventsError {
    EventsError::NotFound(format!("Archive {name} does not exist."))
}

impl Core {
    /// The bus of the caller's account that an ARN names, which must be there.
    pub fn source_bus(&self, caller: &Caller, arn: &str) -> Result<BusName, EventsError> {
        let wrong = || EventsError::parameter("EventSourceArn", "It names no event bus of this account and region.");
        let name = self.names.bus_of(arn).filter(|bus| bus.account == self.account_of(caller)).ok_or_else(wrong)?;
        self.bus(&name).ok_or_else(|| EventsError::no_bus(&name.name))?;
        Ok(name)
    }

    fn archive(&self, account: AccountId, name: &str) -> Option<Arc<Archive>> {
        self.maps().archives.get(&(account, name.to_owned())).cloned()
    }

    async fn on_archive<I: Input>(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(millpond_kernel::Pin, AccountId, Option<Arc<Archive>>), EventsError> {
        let account = self.account_of(caller);
        let pin = self.on_own::<I>(caller, self.names.archive(account, name)).await?;
        Ok((pin, account, self.archive(account, name)))
    }

    /// How many events an archive has, and their bytes.
    async fn counts(&self, archive: &Archive) -> Result<(i64, i64), EventsError> {
        let mut counts = [0; 2];
        for (what, count) in (0u8..).zip(&mut counts) {
            let row = self.kv.get(&tables::archive_count(archive.id, what)).await?;
            let number = row.and_then(|row| Some(i64::from_le_bytes(row.as_ref().try_into().ok()?)));
            *count = number.unwrap_or_default();
        }
        Ok((counts[0], counts[1]))
    }

    fn put_archive(
        &self,
        draft: &mut Draft,
        account: AccountId,
        name: &str,
        before: Option<&Archive>,
        row: ArchiveRow,
    ) -> Result<Arc<Archive>, EventsError> {
        let key = tables::named(tables::ARCHIVES, account, name);
        let purge = row.retention_days > 0 && before.is_none_or(|before| before.stored.row.retention_days == 0);
        if purge {
            let due = self.timers.due(self.clock.now().plus(PURGE_EVERY));
            draft.op(Timers::set(due, OWNER, &row.id, tables::named(tables::ARCHIVES, account, name)));
        }
        let stored = draft.put(key, before.map(|before| &before.stored.bytes), row);
        let archive = Archive::of(account, name.to_owned(), self.names.archive(account, name), stored).map(Arc::new);
        let archive = archive.ok_or_else(|| EventsError::Internal("an archive cannot be read back".to_owned()))?;
        draft.change(Change::Archive(Arc::clone(&archive)));
        Ok(archive)
    }
}

fn checked_pattern(text: Option<&String>) -> Result<Option<String>, EventsError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    Pattern::parse(text).map_err(|error| EventsError::Pattern(error.to_string()))?;
    Ok(Some(text.clone()))
}

fn days(days: Option<i32>) -> u32 {
    days.and_then(|days| u32::try_from(days).ok()).unwrap_or_default()
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateArchiveInput,
) -> Result<api::CreateArchiveOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let (account, name) = (core.account_of(caller), &input.archive_name);
    let source = core.names.bus_of(&input.event_source_arn);
    let mut touched = Touched::plain(core.names.archive(account, name), account);
    if let Some(source) = source.filter(|source| source.account == account) {
        touched = touched.and(core.names.bus(&source), account);
    }
    let pin = core.decide::<api::CreateArchiveInput>(pin, caller, touched).await?.pin();
    if input.kms_key_identifier.as_ref().is_some_and(|key| !key.is_empty()) {
        return Err(EventsError::not_implemented("KmsKeyIdentifier of an archive").into());
    }
    let pattern = checked_pattern(input.event_pattern.as_ref())?;
    let source = core.source_bus(caller, &input.event_source_arn)?;
    if core.archive(account, name).is_some() {
        return Err(EventsError::Exists(format!("Archive {name} already exists.")).into());
    }
    if core.maps().archives_of(&source).len() >= MAX_ARCHIVES {
        return Err(EventsError::limit().into());
    }
    let bus = core.bus(&source).ok_or_else(|| EventsError::no_bus(&source.name))?;
    let mut bus_row: BusRow = bus.row();
    bus_row.next_number = bus_row.next_number.max(1) + 1;
    let now = core.now();
    let row = ArchiveRow {
        id: core.random.u128().to_be_bytes().to_vec(),
        bus: source.name.clone(),
        description: input.description.clone(),
        pattern,
        retention_days: days(input.retention_days),
        created: now.0,
        number: bus_row.next_number - 1,
    };
    let mut draft = Draft::new();
    draft.bus(core, &bus, bus_row)?;
    let archive = core.put_archive(&mut draft, account, name, None, row)?;
    core.commit(Some(pin), draft).await?;
    Ok(api::CreateArchiveOutput {
        archive_arn: Some(archive.arn.to_string()),
        state: Some(api::ArchiveState::Enabled),
        state_reason: None,
        creation_time: Some(now),
    })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UpdateArchiveInput,
) -> Result<api::UpdateArchiveOutput, Failure> {
    let name = &input.archive_name;
    let (pin, account, archive) = core.on_archive::<api::UpdateArchiveInput>(caller, name).await?;
    if input.kms_key_identifier.as_ref().is_some_and(|key| !key.is_empty()) {
        return Err(EventsError::not_implemented("KmsKeyIdentifier of an archive").into());
    }
    let pattern = checked_pattern(input.event_pattern.as_ref())?;
    let archive = archive.ok_or_else(|| no_archive(name))?;
    let mut row = archive.stored.row.clone();
    row.description = input.description.clone().or(row.description);
    row.pattern = pattern.or(row.pattern);
    row.retention_days = input.retention_days.map_or(row.retention_days, |given| days(Some(given)));
    let created = Timestamp(row.created);
    let mut draft = Draft::new();
    core.put_archive(&mut draft, account, name, Some(&archive), row)?;
    core.commit(Some(pin), draft).await?;
    Ok(api::UpdateArchiveOutput {
        archive_arn: Some(archive.arn.to_string()),
        state: Some(api::ArchiveState::Enabled),
        state_reason: None,
        creation_time: Some(created),
    })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteArchiveInput,
) -> Result<api::DeleteArchiveOutput, Failure> {
    let name = &input.archive_name;
    let (pin, account, archive) = core.on_archive::<api::DeleteArchiveInput>(caller, name).await?;
    let archive = archive.ok_or_else(|| no_archive(name))?;
    let mut draft = Draft::new().urgent();
    draft.delete(tables::named(tables::ARCHIVES, account, name), &archive.stored.bytes);
    draft.op(Op::Delete(tables::archive_count(archive.id, 0)));
    draft.op(Op::Delete(tables::archive_count(archive.id, 1)));
    // What it holds goes by and by, by a timer of its own.
    let due = core.timers.due(core.clock.now());
    draft.op(Timers::set(due, OWNER, &archive.id.to_be_bytes(), bytes::Bytes::new()));
    draft.change(Change::ArchiveGone((account, name.clone())));
    core.commit(Some(pin), draft).await?;
    core.timers.nudge();
    Ok(api::DeleteArchiveOutput {})
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeArchiveInput,
) -> Result<api::DescribeArchiveOutput, Failure> {
    let name = &input.archive_name;
    let (_, _, archive) = core.on_archive::<api::DescribeArchiveInput>(caller, name).await?;
    let archive = archive.ok_or_else(|| no_archive(name))?;
    let row = &archive.stored.row;
    let (events, bytes) = core.counts(&archive).await?;
    let bus = BusName { account: archive.account, name: row.bus.clone() };
    Ok(api::DescribeArchiveOutput {
        archive_arn: Some(archive.arn.to_string()),
        archive_name: Some(name.clone()),
        event_source_arn: Some(core.names.bus(&bus).to_string()),
        description: row.description.clone(),
        event_pattern: row.pattern.clone(),
        state: Some(api::ArchiveState::Enabled),
        state_reason: None,
        kms_key_identifier: None,
        retention_days: Some(i32::try_from(row.retention_days).unwrap_or(i32::MAX)),
        size_bytes: Some(bytes),
        event_count: Some(events),
        creation_time: Some(Timestamp(row.created)),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListArchivesInput,
) -> Result<api::ListArchivesOutput, Failure> {
    core.on_account::<api::ListArchivesInput>(caller).await?;
    let given = [input.name_prefix.is_some(), input.event_source_arn.is_some(), input.state.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let reason = "At most one of NamePrefix, EventSourceArn and State is given.";
        return Err(EventsError::Validation(reason.to_owned()).into());
    }
    let source = input.event_source_arn.as_deref().map(|arn| core.source_bus(caller, arn)).transpose()?;
    let page = page(input.limit, input.next_token.as_deref())?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let (found, next_token) = {
        let maps = core.maps();
        let fitting = of_account(&maps.archives, core.account_of(caller)).filter(|(name, archive)| {
            name.starts_with(prefix)
                && source.as_ref().is_none_or(|bus| archive.stored.row.bus == bus.name)
                && input.state.is_none_or(|state| state == api::ArchiveState::Enabled)
        });
        page.cut(fitting.map(|(name, archive)| (name.clone(), Arc::clone(archive))))
    };
    let mut archives = Vec::new();
    for archive in found {
        let (events, bytes) = core.counts(&archive).await?;
        let row = &archive.stored.row;
        let bus = BusName { account: archive.account, name: row.bus.clone() };
        archives.push(api::Archive {
            archive_name: Some(archive.name.clone()),
            event_source_arn: Some(core.names.bus(&bus).to_string()),
            state: Some(api::ArchiveState::Enabled),
            state_reason: None,
            retention_days: Some(i32::try_from(row.retention_days).unwrap_or(i32::MAX)),
            size_bytes: Some(bytes),
            event_count: Some(events),
            creation_time: Some(Timestamp(row.created)),
        });
    }
    Ok(api::ListArchivesOutput { archives: Some(archives), next_token })
}

/// Removes events that archives keep no longer, and those of deleted archives.
pub(crate) struct Purge(pub Arc<Core>);

impl Purge {
    /// A timer's id is the archive's, its value the archive's key; none for one that is deleted.
    async fn fire(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let core = &self.0;
        let id = timer.id.as_ref().try_into().map(u128::from_be_bytes);
        let id = id.map_err(|_| StepError::Failed("the timer of an archive cannot be read".to_owned()))?;
        let mut arrival = Arrival::default();
        let archive = tables::names_of(&timer.value).ok().and_then(|(account, [name])| core.archive(account, &name));
        let archive = archive.filter(|archive| archive.id == id);
        let until = match (&archive, timer.value.is_empty()) {
            (Some(archive), _) if archive.stored.row.retention_days > 0 => {
                // Counters go with the archive.
                arrival.conds.push(Cond::Equals(timer.value.clone(), archive.stored.bytes.clone()));
                archive.oldest(core.clock.now())
            }
            (None, true) => Timestamp(u64::MAX),
            // It keeps everything now, or was deleted, which set a timer of its own.
            _ => return Ok(arrival),
        };
        let from = Bound::Included(tables::of_archive(id));
        let to = Bound::Excluded(match until.0 {
            u64::MAX => millpond_meta::key::prefix_end(&tables::of_archive(id)),
            _ => tables::archived_from(id, until),
        });
        let page = core.kv.scan(Scan { from, to, reverse: false, limit: PURGED }).await?;
        let mut bytes = 0;
        for (key, value) in &page {
            arrival.ops.extend(crate::consumer::beside(value));
            arrival.ops.push(Op::Delete(key.clone()));
            bytes += crate::consumer::length(value);
        }
        if archive.is_some() && !page.is_empty() {
            let count = i64::try_from(page.len()).unwrap_or(i64::MAX);
            arrival.ops.push(Op::Add(tables::archive_count(id, 0), -count));
            arrival.ops.push(Op::Add(tables::archive_count(id, 1), -bytes));
        }
        let more = page.len() == PURGED;
        if more || archive.is_some() {
            let pause = if more { Duration::from_millis(20) } else { PURGE_EVERY };
            let due = core.clock.now().plus(pause).max(Timestamp(timer.due.0 + 1));
            arrival.ops.push(Timers::set(due, OWNER, &timer.id, timer.value.clone()));
        }
        Ok(arrival)
    }
}

impl Alarm for Purge {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        Self::fire(self, timer).boxed()
    }
}
