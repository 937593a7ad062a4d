//! Lists in pages: `MaxResults` and `NextToken`, which has the key of the last row.

use millpond_kernel::paging;
use millpond_meta::Key;

use crate::errors::SchedulerError;
use crate::limits::MAX_LISTED;

/// The token of the page behind this row. The account in the key is left out.
pub(crate) fn token(last: &Key) -> String {
    paging::token(last.get(13..).unwrap_or_default())
}

/// What stands behind the account in the key of the last row of the page before.
pub(crate) fn after(token: Option<&str>) -> Result<Option<Vec<u8>>, SchedulerError> {
    paging::key_after(token).map_err(|_| SchedulerError::Validation("The NextToken is not valid.".to_owned()))
}

/// How many items a page has.
pub(crate) fn limit(given: Option<i32>) -> usize {
    paging::limit(given, MAX_LISTED)
}
