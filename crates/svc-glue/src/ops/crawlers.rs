//! Crawlers and classifiers: not served yet. Each of their operations is refused by its name.

use millpond_api_glue::Operation;
use millpond_kernel::ServiceError;

pub(crate) fn refused(operation: Operation) -> ServiceError {
    ServiceError::not_implemented(operation.name())
}
