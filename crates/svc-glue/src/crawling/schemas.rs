//! Who tells the schemas of objects that have one of their own: worker processes, as such objects may be anything, or what a test puts in their place.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{Caller, ObjectReads};
use millpond_query::{Answer, Describe, Described, FailureKind, Host, Pool, QueryError, ask};
use std::sync::Arc;

/// Tells schemas.
pub trait Schemas: Send + Sync + 'static {
    /// The schema of an object, whose bytes `host` gives. Dropping the future ends it.
    fn describe<'a>(&'a self, object: Describe, host: &'a dyn Host) -> BoxFuture<'a, Result<Described, SchemaError>>;
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The object is not what it seemed.
    #[error("{0}")]
    Object(String),
    /// Nobody can tell at the moment, or it is not allowed.
    #[error("{0}")]
    Refused(String),
}

impl Schemas for Pool {
    fn describe<'a>(&'a self, object: Describe, host: &'a dyn Host) -> BoxFuture<'a, Result<Described, SchemaError>> {
        async move {
            Self::describe(self, object, host).await.map_err(|error| match &error {
                QueryError::Failed(failure) if failure.kind() == FailureKind::Refused => {
                    SchemaError::Refused(failure.message.clone())
                }
                // One that ends the process that reads it harms nobody else.
                QueryError::Failed(_) | QueryError::Died(_) => SchemaError::Object(error.to_string()),
                _ => SchemaError::Refused(error.to_string()),
            })
        }
        .boxed()
    }
}

/// Bytes of objects for who tells schemas, as the crawler's role.
pub(crate) struct ByRole {
    pub caller: Arc<Caller>,
    pub reads: Arc<dyn ObjectReads>,
}

impl Host for ByRole {
    fn ask(&self, what: ask::What) -> BoxFuture<'_, (Answer, Vec<Bytes>)> {
        async move {
            let refused = |error: String, message: String| (Answer { error, message, ..Answer::default() }, Vec::new());
            let ask::What::Read(read) = what else {
                return refused("AccessDenied".to_owned(), "a schema is told by the object's bytes alone".to_owned());
            };
            if read.to.saturating_sub(read.from) > millpond_query::wire::MAX_PAYLOAD as u64 {
                return refused("InvalidRange".to_owned(), "too many bytes at once".to_owned());
            }
            let caller = Arc::clone(&self.caller);
            let range = self.reads.get_range(caller, &read.bucket, &read.key, &read.etag, read.from..read.to).await;
            match range {
                Ok(pieces) => (Answer::default(), pieces),
                Err(error) => refused(error.code.into_owned(), error.message),
            }
        }
        .boxed()
    }
}
