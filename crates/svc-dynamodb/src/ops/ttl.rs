//! Time to live of a table: switching it, and telling how it stands.

use millpond_api_dynamodb::{
    DescribeTimeToLiveInput, DescribeTimeToLiveOutput, TimeToLiveDescription, TimeToLiveStatus, UpdateTimeToLiveInput,
    UpdateTimeToLiveOutput,
};
use millpond_kernel::Caller;

use crate::errors::{Failure, invalid};
use crate::state::Core;
use crate::tables::TtlRow;
use crate::ttl::fill;

pub(crate) async fn describe(
    core: &Core,
    caller: &Caller,
    input: &DescribeTimeToLiveInput,
) -> Result<DescribeTimeToLiveOutput, Failure> {
    let (_, table) = core.on_table::<DescribeTimeToLiveInput>(caller, &input.table_name).await?;
    let (status, attribute_name) = match &table.row.ttl {
        Some(ttl) if ttl.filling => (TimeToLiveStatus::Enabling, Some(ttl.attribute.clone())),
        Some(ttl) => (TimeToLiveStatus::Enabled, Some(ttl.attribute.clone())),
        None if fill::is_under_way(core, table.id).await? => (TimeToLiveStatus::Disabling, None),
        None => (TimeToLiveStatus::Disabled, None),
    };
    let description = TimeToLiveDescription { time_to_live_status: Some(status), attribute_name };
    Ok(DescribeTimeToLiveOutput { time_to_live_description: Some(description) })
}

/// Switches it. It counts from the answer on; what there was before is gone through in the background.
pub(crate) async fn update(
    core: &Core,
    caller: &Caller,
    input: &UpdateTimeToLiveInput,
) -> Result<UpdateTimeToLiveOutput, Failure> {
    let (authorized, table) = core.on_table::<UpdateTimeToLiveInput>(caller, &input.table_name).await?;
    let given = &input.time_to_live_specification;
    match (&table.row.ttl, given.enabled) {
        (None, false) => return Err(invalid("TimeToLive is already disabled").into()),
        (Some(now), _) if now.attribute != given.attribute_name => {
            let text = format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is {}",
                now.attribute
            );
            return Err(invalid(text).into());
        }
        (Some(_), true) => return Err(invalid("TimeToLive is already enabled").into()),
        _ => {}
    }
    // AWS takes up to an hour for a change, and refuses another one meanwhile; here that is as long as items are gone through.
    if fill::is_under_way(core, table.id).await? {
        return Err(invalid("Time to live has been modified multiple times within a fixed interval").into());
    }
    let mut row = table.row.clone();
    row.ttl = given.enabled.then(|| TtlRow { attribute: given.attribute_name.clone(), filling: true });
    row.ttl_changed = core.millis();
    row.shape += 1;
    let op = if given.enabled { fill::begin(table.id) } else { fill::begin_clearing(table.id) };
    core.rewrite(Some(authorized.pin()), &table, &row, vec![op]).await?;
    core.filling.notify_one();
    Ok(UpdateTimeToLiveOutput { time_to_live_specification: Some(given.clone()) })
}
