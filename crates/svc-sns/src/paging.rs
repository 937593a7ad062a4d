//! Lists in pages: `NextToken`.

use millpond_kernel::paging::{cut, name_after};

use crate::errors::SnsError;
use crate::limits::PAGE;

/// What a token says: after which item the list goes on.
pub(crate) fn after(token: Option<&str>) -> Result<Option<String>, SnsError> {
    name_after(token.filter(|token| !token.is_empty())).map_err(|_| SnsError::parameter("NextToken"))
}

/// A page of `items`, each with what a token would say of it, and the token for the next page.
pub(crate) fn page<T>(items: impl Iterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
    cut(PAGE, items)
}
