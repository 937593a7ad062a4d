//! Event buses.

use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::Caller;
use millpond_meta::key::successor;
use millpond_meta::{Batch, Op, Position, Scan};

use crate::errors::{EventsError, Failure};
use crate::inputs::Touched;
use crate::limits::{MAX_BUSES, PAGE};
use crate::model::Bus;
use crate::names::{BusName, DEFAULT};
use crate::ops::tags;
use crate::paging::page;
use crate::rows::BusRow;
use crate::state::{Core, Draft};
use crate::tables;

fn refuse_unserved(
    key: Option<&String>,
    dead: Option<&api::DeadLetterConfig>,
    log: Option<&api::LogConfig>,
) -> Result<(), EventsError> {
    let given = [
        key.filter(|key| !key.is_empty()).map(|_| "KmsKeyIdentifier of an event bus"),
        dead.filter(|dead| dead.arn.is_some()).map(|_| "DeadLetterConfig of an event bus"),
        log.filter(|log| log.level.is_some_and(|level| level != api::Level::Off)).map(|_| "LogConfig"),
    ];
    match given.into_iter().flatten().next() {
        Some(what) => Err(EventsError::not_implemented(what)),
        None => Ok(()),
    }
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateEventBusInput,
) -> Result<api::CreateEventBusOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let name = BusName { account: core.account_of(caller), name: input.name.clone() };
    let arn = core.names.bus(&name);
    let given = input.tags.as_deref().unwrap_or_default();
    let touched = Touched::plain(arn.clone(), name.account).tagged(given);
    let authorized = core.decide::<api::CreateEventBusInput>(pin, caller, touched).await?;
    if input.event_source_name.is_some() {
        return Err(EventsError::not_implemented("EventSourceName (partner event buses)").into());
    }
    refuse_unserved(input.kms_key_identifier.as_ref(), input.dead_letter_config.as_ref(), input.log_config.as_ref())?;
    let tags = tags::checked(given)?;
    if name.name.contains('/') {
        return Err(EventsError::parameter("Name", "The name of a custom event bus has no slash.").into());
    }
    let exists = core.maps().held(&name).is_some() || name.name == DEFAULT;
    if exists {
        return Err(EventsError::Exists(format!("Event bus {} already exists.", name.name)).into());
    }
    if core.maps().buses_of(name.account).count() >= MAX_BUSES {
        return Err(EventsError::limit().into());
    }
    let now = core.now().0;
    let description = input.description.clone();
    // Archives of a bus that had this name go on, with their numbers.
    let next_number = core.maps().archives_of(&name).iter().map(|archive| archive.stored.row.number + 1).max();
    let next_number = next_number.unwrap_or(1);
    let row = BusRow { created: now, modified: now, description, tags, next_number, ..BusRow::default() };
    let mut draft = Draft::new();
    draft.bus(core, &Arc::new(Bus::unborn(name, arn.clone())), row)?;
    // Events of a bus that had this name lie behind its reader's beginning.
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::CreateEventBusOutput {
        event_bus_arn: Some(arn.to_string()),
        description: input.description.clone(),
        ..api::CreateEventBusOutput::default()
    })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteEventBusInput,
) -> Result<api::DeleteEventBusOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let name = BusName { account: core.account_of(caller), name: input.name.clone() };
    let bus = core.bus(&name);
    let touched = Touched::of_bus(core.names.bus(&name), name.account, bus.as_ref());
    let authorized = core.decide::<api::DeleteEventBusInput>(pin, caller, touched).await?;
    if name.name == DEFAULT {
        return Err(EventsError::Validation("Cannot delete event bus default.".to_owned()).into());
    }
    // As with AWS, what is not there is deleted.
    let Some(bus) = bus else { return Ok(api::DeleteEventBusOutput {}) };
    let Some(stored) = &bus.stored else { return Ok(api::DeleteEventBusOutput {}) };
    let has_rules = core.maps().held(&name).is_some_and(|held| !held.rules.is_empty());
    if has_rules {
        let reason = format!("Event bus {} can't be deleted since it has rules.", name.name);
        return Err(EventsError::Validation(reason).into());
    }
    let mut draft = Draft::new().urgent();
    draft.delete(tables::bus(name.account, &name.name), &stored.bytes);
    draft.end(core, &bus);
    if bus.policy.is_some() {
        draft.policies();
    }
    let done = core.commit(Some(authorized.pin()), draft).await?;
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let stream = tables::events(name.account, &name.name);
        if let Err(error) = core.sweep(stream, done.commit).await {
            tracing::warn!(%error, "the events of a deleted bus could not be removed yet");
        }
    });
    Ok(api::DeleteEventBusOutput {})
}

impl Core {
    /// Removes the events of a stream that nobody reads, up to a commit.
    pub async fn sweep(&self, stream: millpond_meta::Key, until: u64) -> Result<(), EventsError> {
        let last = Position { commit: until, index: u16::MAX };
        let to = std::ops::Bound::Included([&stream[..], &last.to_bytes()].concat().into());
        let mut from = std::ops::Bound::Included(stream.clone());
        loop {
            let scan = Scan { from, to: to.clone(), reverse: false, limit: PAGE / 10 };
            let page = self.kv.scan(scan).await?;
            let Some((key, _)) = page.last() else { return Ok(()) };
            from = std::ops::Bound::Included(successor(key));
            let mut ops = Vec::new();
            for (key, value) in page.iter().filter(|(key, _)| key.len() == stream.len() + 10) {
                ops.extend(crate::consumer::beside(value));
                ops.push(Op::Delete(key.clone()));
            }
            let batch = Batch { ops, urgent: true, ..Batch::default() };
            self.kv.commit(batch).await.map_err(|error| EventsError::Internal(error.to_string()))?;
        }
    }
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UpdateEventBusInput,
) -> Result<api::UpdateEventBusOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let own = core.account_of(caller);
    let name = core.names.bus_meant(own, input.name.as_deref())?;
    let bus = core.bus(&name);
    let touched = Touched::of_bus(core.names.bus(&name), name.account, bus.as_ref());
    let authorized = core.decide::<api::UpdateEventBusInput>(pin, caller, touched).await?;
    refuse_unserved(input.kms_key_identifier.as_ref(), input.dead_letter_config.as_ref(), input.log_config.as_ref())?;
    let bus = bus.ok_or_else(|| EventsError::no_bus(&name.name))?;
    let row = BusRow { description: input.description.clone(), modified: core.now().0, ..bus.row() };
    let mut draft = Draft::new();
    draft.bus(core, &bus, row)?;
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::UpdateEventBusOutput {
        arn: Some(bus.arn.to_string()),
        name: Some(name.name),
        description: input.description.clone(),
        ..api::UpdateEventBusOutput::default()
    })
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeEventBusInput,
) -> Result<api::DescribeEventBusOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let name = core.names.bus_meant(core.account_of(caller), input.name.as_deref())?;
    let bus = core.bus(&name);
    let touched = Touched::of_bus(core.names.bus(&name), name.account, bus.as_ref());
    core.decide::<api::DescribeEventBusInput>(pin, caller, touched).await?;
    let bus = bus.ok_or_else(|| EventsError::no_bus(&name.name))?;
    let shown = shown(&bus);
    Ok(api::DescribeEventBusOutput {
        name: shown.name,
        arn: shown.arn,
        description: shown.description,
        policy: shown.policy,
        creation_time: shown.creation_time,
        last_modified_time: shown.last_modified_time,
        ..api::DescribeEventBusOutput::default()
    })
}

fn shown(bus: &Bus) -> api::EventBus {
    let row = bus.stored.as_ref().map(|stored| &stored.row);
    let time = |of: fn(&BusRow) -> u64| row.map(|row| millpond_types::Timestamp(of(row)));
    api::EventBus {
        name: Some(bus.name.name.clone()),
        arn: Some(bus.arn.to_string()),
        description: row.and_then(|row| row.description.clone()),
        policy: row.and_then(|row| row.policy.as_ref()).map(|policy| policy.text.clone()),
        creation_time: time(|row| row.created),
        last_modified_time: time(|row| row.modified),
        managed_by: None,
    }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListEventBusesInput,
) -> Result<api::ListEventBusesOutput, Failure> {
    core.on_account::<api::ListEventBusesInput>(caller).await?;
    let account = core.account_of(caller);
    let page = page(input.limit, input.next_token.as_deref())?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let maps = core.maps();
    let default = BusName { account, name: DEFAULT.to_owned() };
    let mut all: std::collections::BTreeMap<String, Arc<Bus>> =
        maps.buses_of(account).map(|held| (held.bus.name.name.clone(), Arc::clone(&held.bus))).collect();
    if let Some(bus) = maps.bus(&default, &core.names) {
        all.insert(DEFAULT.to_owned(), bus);
    }
    let fitting = all.into_iter().filter(|(name, _)| name.starts_with(prefix));
    let (buses, next_token) = page.cut(fitting.map(|(name, bus)| (name, shown(&bus))));
    Ok(api::ListEventBusesOutput { event_buses: Some(buses), next_token })
}
