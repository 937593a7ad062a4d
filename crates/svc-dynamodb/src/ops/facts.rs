//! What a client may ask of the service itself, and what is never set here.

use millpond_api_dynamodb::{
    ContinuousBackupsDescription, ContinuousBackupsStatus, DescribeContinuousBackupsInput,
    DescribeContinuousBackupsOutput, DescribeEndpointsInput, DescribeEndpointsOutput, DescribeLimitsInput,
    DescribeLimitsOutput, Endpoint, PointInTimeRecoveryDescription, PointInTimeRecoveryStatus,
};
use millpond_kernel::Caller;

use crate::errors::{DynamoError, Failure};
use crate::inputs::Touch;
use crate::limits;
use crate::ops::tables::own;
use crate::state::Core;

/// Minutes for which clients may remember the endpoint, as AWS says.
const ENDPOINT_MINUTES: i64 = 1440;

pub(crate) async fn limits(
    core: &Core,
    caller: &Caller,
    _: &DescribeLimitsInput,
) -> Result<DescribeLimitsOutput, Failure> {
    let touch = Touch::nothing("dynamodb:DescribeLimits", own(caller)?);
    core.decide::<DescribeLimitsInput>(core.kernel.epoch().now(), caller, vec![touch], Vec::new()).await?;
    let of_table = i64::try_from(limits::MAX_UNITS).ok();
    Ok(DescribeLimitsOutput {
        account_max_read_capacity_units: Some(limits::ACCOUNT_UNITS),
        account_max_write_capacity_units: Some(limits::ACCOUNT_UNITS),
        table_max_read_capacity_units: of_table,
        table_max_write_capacity_units: of_table,
    })
}

/// The address that the client has used already: there is one server. `host` is as it was sent.
pub(crate) async fn endpoints(
    core: &Core,
    caller: &Caller,
    _: &DescribeEndpointsInput,
    host: &str,
) -> Result<DescribeEndpointsOutput, Failure> {
    let touch = Touch::nothing("dynamodb:DescribeEndpoints", own(caller)?);
    core.decide::<DescribeEndpointsInput>(core.kernel.epoch().now(), caller, vec![touch], Vec::new()).await?;
    let endpoint = Endpoint { address: host.to_owned(), cache_period_in_minutes: ENDPOINT_MINUTES };
    Ok(DescribeEndpointsOutput { endpoints: vec![endpoint] })
}

/// There are no backups; a table looks as one whose recovery was never switched on.
pub(crate) async fn continuous_backups(
    core: &Core,
    caller: &Caller,
    input: &DescribeContinuousBackupsInput,
) -> Result<DescribeContinuousBackupsOutput, Failure> {
    let found = core.on_table::<DescribeContinuousBackupsInput>(caller, &input.table_name).await;
    found.map_err(|error| match error {
        DynamoError::NotFound(_) => DynamoError::NoBackups(input.table_name.clone()),
        other => other,
    })?;
    let recovery = PointInTimeRecoveryDescription {
        point_in_time_recovery_status: Some(PointInTimeRecoveryStatus::Disabled),
        ..PointInTimeRecoveryDescription::default()
    };
    Ok(DescribeContinuousBackupsOutput {
        continuous_backups_description: Some(ContinuousBackupsDescription {
            continuous_backups_status: ContinuousBackupsStatus::Disabled,
            point_in_time_recovery_description: Some(recovery),
        }),
    })
}
