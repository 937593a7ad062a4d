//! Events that callers put, and patterns that they try.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Caller, ContextValue, Pin};
use millpond_meta::Op;
use millpond_pattern::{Event, Pattern};

use crate::errors::{EventsError, Failure};
use crate::event::envelope::New;
use crate::event::json::Json;
use crate::inputs::Touched;
use crate::limits::MAX_ENTRIES_BYTES;
use crate::model::Bus;
use crate::names::{BusName, new_uuid, uuid};
use crate::rows::{self, EventRow};
use crate::state::{Core, Draft};
use crate::tables;

/// Bytes of an entry (User Guide, "Calculating Amazon EventBridge PutEvents event entry size").
fn size(entry: &api::PutEventsRequestEntry) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let resources: usize = entry.resources.iter().flatten().map(String::len).sum();
    entry.time.map_or(0, |_| 14) + text(&entry.source) + text(&entry.detail_type) + text(&entry.detail) + resources
}

/// Why an entry is not taken: code and message.
type Refused = (&'static str, String);

/// What must be there, in AWS's words.
fn required(name: &str, value: Option<&String>) -> Result<(), Refused> {
    match value {
        Some(value) if !value.is_empty() => Ok(()),
        _ => {
            let text = format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
            Err(("InvalidArgument", text))
        }
    }
}

fn checked(entry: &api::PutEventsRequestEntry) -> Result<(), Refused> {
    required("Source", entry.source.as_ref())?;
    required("DetailType", entry.detail_type.as_ref())?;
    required("Detail", entry.detail.as_ref())?;
    if entry.source.as_deref().is_some_and(|source| source.starts_with("aws.")) {
        return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
    }
    let detail = entry.detail.as_deref().and_then(Json::parse);
    if !detail.is_some_and(Json::is_object) {
        return Err(("MalformedDetail", "Detail is malformed.".to_owned()));
    }
    Ok(())
}

/// The changes by which an event gets onto a bus.
pub(crate) fn append(core: &Core, bus: &BusName, mut row: EventRow, json: &str) -> Result<Vec<Op>, EventsError> {
    let mut ops = Vec::new();
    core.fill_in(&mut row, json, || core.random.u128(), &mut ops)?;
    ops.push(Op::Append { stream: tables::events(bus.account, &bus.name), value: rows::encode(&row) });
    Ok(ops)
}

impl Core {
    /// Whether a caller may put such an event onto a bus.
    pub async fn may_put(
        &self,
        pin: Pin,
        caller: &Caller,
        bus: (&BusName, Option<&Arc<Bus>>),
        (source, detail_type): (&str, &str),
    ) -> Result<Pin, EventsError> {
        let touched = Touched::of_bus(self.names.bus(bus.0), bus.0.account, bus.1)
            .text("events:source", source)
            .text("events:detail-type", detail_type)
            .key("events:eventBusInvocation", ContextValue::Bool(!caller.via().is_empty()));
        Ok(self.decide::<api::PutEventsInput>(pin, caller, touched).await?.pin())
    }

    /// Whether an event goes to a default bus that is not there yet, which memory must follow.
    pub fn needs_bus(&self, caller: &Caller, input: &api::PutEventsInput) -> bool {
        let own = self.account_of(caller);
        let unborn = |text: &Option<String>| {
            let bus = self.names.bus_meant(own, text.as_deref()).ok().and_then(|name| self.bus(&name));
            bus.is_some_and(|bus| bus.stored.is_none())
        };
        input.entries.iter().any(|entry| unborn(&entry.event_bus_name))
    }

    async fn entry(
        &self,
        pin: Pin,
        caller: &Caller,
        entry: &api::PutEventsRequestEntry,
        draft: &mut Draft,
        needed: &mut BTreeMap<BusName, Arc<Bus>>,
    ) -> Result<Result<String, Refused>, EventsError> {
        let name = self.names.bus_meant(self.account_of(caller), entry.event_bus_name.as_deref())?;
        let bus = self.bus(&name);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (source, detail_type) = (text(&entry.source), text(&entry.detail_type));
        self.may_put(pin, caller, (&name, bus.as_ref()), (&source, &detail_type)).await?;
        if let Err(refused) = checked(entry) {
            return Ok(Err(refused));
        }
        let Some(bus) = bus else {
            return Ok(Err(("ResourceNotFoundException", format!("Event bus {} does not exist.", name.name))));
        };
        let Some(detail) = entry.detail.as_deref().and_then(Json::parse) else {
            return Ok(Err(("MalformedDetail", "Detail is malformed.".to_owned())));
        };
        let id = uuid(new_uuid(&*self.random));
        let event = New {
            id: &id,
            detail_type: &detail_type,
            source: &source,
            account: self.account_of(caller),
            time: entry.time.unwrap_or(caller.received()),
            region: self.names.region(),
            resources: entry.resources.as_deref().unwrap_or_default(),
            detail,
        };
        let body = event.write();
        if Event::parse(body.as_bytes()).is_err() {
            // Nested more deeply than events are matched.
            return Ok(Err(("MalformedDetail", "Detail is malformed.".to_owned())));
        }
        if needed.insert(name.clone(), Arc::clone(&bus)).is_none() {
            draft.need(self, &bus)?;
        }
        let (ingested, causes) = (self.clock.now().0, caller.causes().clone());
        let row = EventRow { id: id.clone(), ingested, causes, ..EventRow::default() };
        draft.ops(append(self, &name, row, &body)?);
        Ok(Ok(id))
    }
}

pub(crate) async fn events(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::PutEventsInput,
) -> Result<api::PutEventsOutput, Failure> {
    let pin = core.kernel.epoch().now();
    if input.endpoint_id.is_some() {
        return Err(EventsError::not_implemented("EndpointId (global endpoints)").into());
    }
    if input.entries.iter().map(size).sum::<usize>() > MAX_ENTRIES_BYTES {
        let reason = "Total size of the entries in the request is over the limit.";
        return Err(EventsError::Validation(reason.to_owned()).into());
    }
    let (mut draft, mut needed, mut results) = (Draft::new(), BTreeMap::new(), Vec::new());
    for entry in &input.entries {
        results.push(core.entry(pin, caller, entry, &mut draft, &mut needed).await?);
    }
    if !needed.is_empty() {
        core.commit(Some(pin), draft).await?;
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    let entry = |result: Result<String, Refused>| match result {
        Ok(id) => api::PutEventsResultEntry { event_id: Some(id), ..Default::default() },
        Err((code, message)) => api::PutEventsResultEntry {
            event_id: None,
            error_code: Some(code.to_owned()),
            error_message: Some(message),
        },
    };
    Ok(api::PutEventsOutput {
        failed_entry_count: Some(i32::try_from(failed).unwrap_or(i32::MAX)),
        entries: Some(results.into_iter().map(entry).collect()),
    })
}

/// What an event must have to be tried (API reference, TestEventPattern).
const MANDATORY: &[&str] = &["id", "account", "source", "time", "region", "resources", "detail-type"];

pub(crate) async fn test_pattern(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::TestEventPatternInput,
) -> Result<api::TestEventPatternOutput, Failure> {
    core.on_account::<api::TestEventPatternInput>(caller).await?;
    let pattern = Pattern::parse(&input.event_pattern).map_err(|error| EventsError::Pattern(error.to_string()))?;
    let wrong = |reason: &str| EventsError::parameter("Event", reason);
    let event = Json::parse(&input.event).filter(|event| event.is_object());
    let event = event.ok_or_else(|| wrong("It is not a JSON object."))?;
    if let Some(missing) = MANDATORY.iter().find(|name| event.member(name).is_none()) {
        return Err(wrong(&format!("{missing} is a required argument.")).into());
    }
    let event = Event::parse(event.text().as_bytes()).map_err(|error| wrong(&error.to_string()))?;
    Ok(api::TestEventPatternOutput { result: Some(pattern.matches(&event)) })
}
