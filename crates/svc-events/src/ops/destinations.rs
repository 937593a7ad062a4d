//! API destinations: HTTP endpoints that events are sent to.

use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::{Caller, Pin};
use millpond_types::{AccountId, Timestamp};

use crate::destinations::check_endpoint;
use crate::errors::{EventsError, Failure};
use crate::inputs::Input;
use crate::limits::MAX_DESTINATIONS;
use crate::memory::{Change, of_account};
use crate::model::{Connection, Destination};
use crate::paging::page;
use crate::rows::DestinationRow;
use crate::state::{Core, Draft};
use crate::tables;

fn no_destination(verb: &str, name: &str) -> EventsError {
    EventsError::NotFound(format!(
        "Failed to {verb} the api-destination(s). An api-destination '{name}' does not exist."
    ))
}

impl Core {
    async fn on_destination<I: Input>(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(Pin, AccountId, Option<Arc<Destination>>), EventsError> {
        let account = self.account_of(caller);
        let found = self.maps().destinations.get(&(account, name.to_owned())).cloned();
        let arn = found.as_ref().map_or_else(|| self.names.destination(account, name, 0), |it| it.arn.clone());
        let pin = self.on_own::<I>(caller, arn).await?;
        Ok((pin, account, found))
    }

    /// The connection of an ARN, if it is there.
    pub fn connection_of(&self, arn: &str) -> Option<Arc<Connection>> {
        let (account, name, _) = self.names.with_id(arn, "connection")?;
        let found = self.maps().connections.get(&(account, name.to_owned())).cloned();
        found.filter(|connection| connection.arn.as_str() == arn)
    }

    /// The API destination of an ARN, if it is there.
    pub fn destination_of(&self, arn: &str) -> Option<Arc<Destination>> {
        let (account, name, _) = self.names.with_id(arn, "api-destination")?;
        let found = self.maps().destinations.get(&(account, name.to_owned())).cloned();
        found.filter(|destination| destination.arn.as_str() == arn)
    }

    fn own_connection(&self, account: AccountId, arn: &str) -> Result<(), EventsError> {
        let found = self.connection_of(arn).filter(|connection| connection.account == account);
        found.map(drop).ok_or_else(|| EventsError::NotFound(format!("Connection '{arn}' does not exist.")))
    }

    /// Active as long as its connection is authorized.
    fn destination_state(&self, destination: &Destination) -> api::ApiDestinationState {
        let connection = self.connection_of(&destination.stored.row.connection);
        match connection.map(|connection| connection.state) {
            Some(api::ConnectionState::Authorized) => api::ApiDestinationState::Active,
            _ => api::ApiDestinationState::Inactive,
        }
    }

    async fn put_destination(
        &self,
        pin: Pin,
        account: AccountId,
        name: &str,
        before: Option<&Destination>,
        row: DestinationRow,
    ) -> Result<Arc<Destination>, Failure> {
        let mut draft = Draft::new();
        let key = tables::named(tables::DESTINATIONS, account, name);
        let stored = draft.put(key, before.map(|before| &before.stored.bytes), row);
        let it = Destination::of(account, name.to_owned(), &self.names, stored).map(Arc::new);
        let it = it.ok_or_else(|| EventsError::Internal("an API destination cannot be read back".to_owned()))?;
        draft.change(Change::Destination(Arc::clone(&it)));
        self.commit(Some(pin), draft).await?;
        Ok(it)
    }
}

fn rate(given: Option<i32>) -> Option<u32> {
    given.and_then(|rate| u32::try_from(rate).ok())
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateApiDestinationInput,
) -> Result<api::CreateApiDestinationOutput, Failure> {
    let name = &input.name;
    let (pin, account, before) = core.on_destination::<api::CreateApiDestinationInput>(caller, name).await?;
    check_endpoint("InvocationEndpoint", &input.invocation_endpoint)?;
    core.own_connection(account, &input.connection_arn)?;
    if before.is_some() {
        return Err(EventsError::Exists(format!("An api-destination '{name}' already exists.")).into());
    }
    if of_account(&core.maps().destinations, account).count() >= MAX_DESTINATIONS {
        return Err(EventsError::limit().into());
    }
    let now = core.now();
    let row = DestinationRow {
        id: crate::names::new_uuid(&*core.random).to_be_bytes().to_vec(),
        description: input.description.clone(),
        connection: input.connection_arn.clone(),
        endpoint: input.invocation_endpoint.clone(),
        method: input.http_method.as_str().to_owned(),
        rate: rate(input.invocation_rate_limit_per_second),
        created: now.0,
        modified: now.0,
    };
    let it = core.put_destination(pin, account, name, None, row).await?;
    Ok(api::CreateApiDestinationOutput {
        api_destination_arn: Some(it.arn.to_string()),
        api_destination_state: Some(core.destination_state(&it)),
        creation_time: Some(now),
        last_modified_time: Some(now),
    })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UpdateApiDestinationInput,
) -> Result<api::UpdateApiDestinationOutput, Failure> {
    let name = &input.name;
    let (pin, account, before) = core.on_destination::<api::UpdateApiDestinationInput>(caller, name).await?;
    let before = before.ok_or_else(|| no_destination("update", name))?;
    let mut row = before.stored.row.clone();
    if let Some(endpoint) = &input.invocation_endpoint {
        check_endpoint("InvocationEndpoint", endpoint)?;
        row.endpoint.clone_from(endpoint);
    }
    if let Some(connection) = &input.connection_arn {
        core.own_connection(account, connection)?;
        row.connection.clone_from(connection);
    }
    if let Some(method) = input.http_method {
        row.method = method.as_str().to_owned();
    }
    row.description = input.description.clone().or(row.description);
    row.rate = rate(input.invocation_rate_limit_per_second).or(row.rate);
    row.modified = core.now().0;
    let it = core.put_destination(pin, account, name, Some(&before), row).await?;
    Ok(api::UpdateApiDestinationOutput {
        api_destination_arn: Some(it.arn.to_string()),
        api_destination_state: Some(core.destination_state(&it)),
        creation_time: Some(Timestamp(it.stored.row.created)),
        last_modified_time: Some(Timestamp(it.stored.row.modified)),
    })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteApiDestinationInput,
) -> Result<api::DeleteApiDestinationOutput, Failure> {
    let name = &input.name;
    let (pin, account, before) = core.on_destination::<api::DeleteApiDestinationInput>(caller, name).await?;
    let it = before.ok_or_else(|| no_destination("delete", name))?;
    let mut draft = Draft::new().urgent();
    draft.delete(tables::named(tables::DESTINATIONS, account, name), &it.stored.bytes);
    draft.change(Change::DestinationGone((account, name.clone())));
    core.commit(Some(pin), draft).await?;
    Ok(api::DeleteApiDestinationOutput {})
}

fn shown(core: &Core, it: &Destination) -> api::ApiDestination {
    let row = &it.stored.row;
    api::ApiDestination {
        api_destination_arn: Some(it.arn.to_string()),
        name: Some(it.name.clone()),
        api_destination_state: Some(core.destination_state(it)),
        connection_arn: Some(row.connection.clone()),
        invocation_endpoint: Some(row.endpoint.clone()),
        http_method: Some(it.method),
        invocation_rate_limit_per_second: row.rate.and_then(|rate| i32::try_from(rate).ok()),
        creation_time: Some(Timestamp(row.created)),
        last_modified_time: Some(Timestamp(row.modified)),
    }
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeApiDestinationInput,
) -> Result<api::DescribeApiDestinationOutput, Failure> {
    let (_, _, it) = core.on_destination::<api::DescribeApiDestinationInput>(caller, &input.name).await?;
    let it = it.ok_or_else(|| no_destination("describe", &input.name))?;
    let all = shown(core, &it);
    Ok(api::DescribeApiDestinationOutput {
        api_destination_arn: all.api_destination_arn,
        name: all.name,
        description: it.stored.row.description.clone(),
        api_destination_state: all.api_destination_state,
        connection_arn: all.connection_arn,
        invocation_endpoint: all.invocation_endpoint,
        http_method: all.http_method,
        invocation_rate_limit_per_second: all.invocation_rate_limit_per_second,
        creation_time: all.creation_time,
        last_modified_time: all.last_modified_time,
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListApiDestinationsInput,
) -> Result<api::ListApiDestinationsOutput, Failure> {
    core.on_account::<api::ListApiDestinationsInput>(caller).await?;
    let page = page(input.limit, input.next_token.as_deref())?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let (found, next_token) = {
        let maps = core.maps();
        let fitting = of_account(&maps.destinations, core.account_of(caller)).filter(|(name, it)| {
            name.starts_with(prefix) && input.connection_arn.as_ref().is_none_or(|arn| it.stored.row.connection == *arn)
        });
        page.cut(fitting.map(|(name, it)| (name.clone(), Arc::clone(it))))
    };
    let destinations = found.iter().map(|it| shown(core, it)).collect();
    Ok(api::ListApiDestinationsOutput { api_destinations: Some(destinations), next_token })
}
