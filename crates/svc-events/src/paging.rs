//! Lists in pages: `Limit` and `NextToken`.

use millpond_kernel::paging::{BadToken, Page, limit};

use crate::errors::EventsError;
use crate::limits::PAGE_ITEMS;

/// The page that was asked for; the model bounds the limit.
pub(crate) fn page(given: Option<i32>, token: Option<&str>) -> Result<Page, EventsError> {
    let wrong = |bad: BadToken| EventsError::parameter("NextToken", &format!("It is not valid: {bad}."));
    Page::new(limit(given, PAGE_ITEMS).min(PAGE_ITEMS), token).map_err(wrong)
}
