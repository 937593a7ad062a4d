//! Lists in pages: `limit` and `nextToken`.

use millpond_kernel::paging::name_after;
pub(crate) use millpond_kernel::paging::{limit, token};

use crate::errors::LogsError;

/// The name behind which a page begins.
pub(crate) fn after(token: Option<&str>) -> Result<Option<String>, LogsError> {
    name_after(token).map_err(|_| LogsError::Invalid("The specified nextToken is invalid.".to_owned()))
}
