//! Lists of what there is none of: partner event sources and global endpoints. They answer truthfully, so that tools which look before they act
//! work.

use std::sync::Arc;

use millpond_api_events as api;
use millpond_kernel::Caller;

use crate::errors::Failure;
use crate::paging::page;
use crate::state::Core;

pub(crate) async fn endpoints(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListEndpointsInput,
) -> Result<api::ListEndpointsOutput, Failure> {
    core.on_account::<api::ListEndpointsInput>(caller).await?;
    page(input.max_results, input.next_token.as_deref())?;
    Ok(api::ListEndpointsOutput { endpoints: Some(Vec::new()), next_token: None })
}

pub(crate) async fn sources(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListEventSourcesInput,
) -> Result<api::ListEventSourcesOutput, Failure> {
    core.on_account::<api::ListEventSourcesInput>(caller).await?;
    page(input.limit, input.next_token.as_deref())?;
    Ok(api::ListEventSourcesOutput { event_sources: Some(Vec::new()), next_token: None })
}

pub(crate) async fn partner_sources(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListPartnerEventSourcesInput,
) -> Result<api::ListPartnerEventSourcesOutput, Failure> {
    core.on_account::<api::ListPartnerEventSourcesInput>(caller).await?;
    page(input.limit, input.next_token.as_deref())?;
    Ok(api::ListPartnerEventSourcesOutput { partner_event_sources: Some(Vec::new()), next_token: None })
}
