//! What cannot be set here yet answers as AWS does where it is unset.

use std::sync::Arc;

use millpond_api_logs as api;
use millpond_kernel::Caller;
use millpond_types::AccountId;

use super::groups::on_group;
use crate::errors::Failure;
use crate::inputs::Touch;
use crate::state::Core;

pub(crate) async fn metric_filters(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DescribeMetricFiltersInput,
) -> Result<api::DescribeMetricFiltersOutput, Failure> {
    match &input.log_group_name {
        Some(name) => drop(on_group(core, caller, account, input, name).await?),
        None => drop(core.authorize(caller, Touch::all(core, input, account)).await?),
    }
    Ok(api::DescribeMetricFiltersOutput { metric_filters: Some(Vec::new()), next_token: None })
}

pub(crate) async fn subscription_filters(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DescribeSubscriptionFiltersInput,
) -> Result<api::DescribeSubscriptionFiltersOutput, Failure> {
    on_group(core, caller, account, input, &input.log_group_name).await?;
    Ok(api::DescribeSubscriptionFiltersOutput { subscription_filters: Some(Vec::new()), next_token: None })
}
