//! Trails bring events to a bucket. None can be made here, so that there are none; what lookups find needs none.

use millpond_api_cloudtrail::{DescribeTrailsInput, DescribeTrailsOutput, ListTrailsInput, ListTrailsOutput};
use millpond_kernel::{Authorized, ServiceError};

use crate::{On, errors};

/// Names of trails that are not there are passed over, as by AWS.
pub(crate) fn described(_: &Authorized<On<DescribeTrailsInput>>) -> DescribeTrailsOutput {
    DescribeTrailsOutput { trail_list: Some(Vec::new()) }
}

/// The one page, to which no token leads.
pub(crate) fn listed(authorized: &Authorized<On<ListTrailsInput>>) -> Result<ListTrailsOutput, ServiceError> {
    if authorized.get().input.next_token.is_some() {
        return Err(errors::list_token());
    }
    Ok(ListTrailsOutput { trails: Some(Vec::new()), next_token: None })
}
