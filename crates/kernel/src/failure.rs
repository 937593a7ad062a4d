//! How a call that was decided is carried out to its end: what keeps it from that, and doing it anew when what it was decided by changes under it.

use std::time::Duration;

use millpond_meta::key::MalformedKey;
use millpond_meta::{CommitError, ReadError};

use crate::{Kernel, Rejection};

/// Times that a call is decided and carried out anew. Changes of others are under way for milliseconds.
const MAX_ATTEMPTS: u32 = 50;
/// How long a call waits before it is decided anew, from the second time on.
const PAUSE: Duration = Duration::from_millis(4);

/// Sizes that are bounded one by one may be too large together: characters have up to four bytes.
const TOO_LARGE: &str = "The request makes a resource whose parameters are together larger than 64 KiB.";

/// What every service's errors have, each in its own words and under its own code.
pub trait ServiceFault: Sized + Send + 'static {
    /// There is no room: 503, in the words of [`NO_SPACE`](crate::NO_SPACE).
    fn full() -> Self;

    /// What is to be kept of a resource is larger than a row may be: 400, in words that name the bound.
    fn too_large(text: String) -> Self;

    /// Others changed the same again and again.
    fn busy() -> Self;

    /// Something of ours failed; the reason is for the log.
    fn internal(reason: String) -> Self;
}

/// Why a handler did not come to its end.
#[derive(Debug)]
pub enum Failure<E> {
    /// An answer for the client.
    Error(E),
    /// What it was decided by has changed meanwhile: it is to be decided anew.
    Changed,
}

impl<E: ServiceFault> Failure<E> {
    /// The answer of a call that is not decided anew.
    pub fn answer(self) -> E {
        match self {
            Self::Error(error) => error,
            Self::Changed => E::busy(),
        }
    }
}

impl<E: ServiceFault> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self::Error(error)
    }
}

impl<E: ServiceFault> From<CommitError> for Failure<E> {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::Changed,
            CommitError::Full => Self::Error(E::full()),
            CommitError::TooLarge(what) => {
                tracing::warn!(what, "a request was refused, as it breaks a limit of the store");
                Self::Error(E::too_large(TOO_LARGE.to_owned()))
            }
            other => Self::Error(E::internal(other.to_string())),
        }
    }
}

impl<E: ServiceFault> From<ReadError> for Failure<E> {
    fn from(error: ReadError) -> Self {
        Self::Error(E::internal(error.to_string()))
    }
}

impl<E: ServiceFault> From<MalformedKey> for Failure<E> {
    fn from(error: MalformedKey) -> Self {
        Self::Error(E::internal(error.to_string()))
    }
}

impl<E: ServiceFault + Into<Rejection>> From<Failure<E>> for Rejection {
    fn from(failure: Failure<E>) -> Self {
        failure.answer().into()
    }
}

impl Kernel {
    /// Carries a call out, and anew where what it was decided by has changed meanwhile. The call takes its [`Pin`](crate::Pin) itself, each time.
    pub async fn again<T, E: ServiceFault, F>(&self, mut call: impl FnMut() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, Failure<E>>>,
    {
        for attempt in 1..=MAX_ATTEMPTS {
            match call().await {
                Ok(done) => return Ok(done),
                Err(Failure::Error(error)) => return Err(error),
                Err(Failure::Changed) => {
                    // Another one's change of policies may be on its way.
                    self.epoch().refresh().await.map_err(|error| E::internal(error.to_string()))?;
                    if attempt > 1 {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        Err(E::busy())
    }
}

/// Runs a change to its end, though nobody may wait for it any more: a request that is dropped midway would leave memory behind the store.
pub async fn to_its_end<T, E>(change: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: ServiceFault,
{
    tokio::spawn(change).await.map_err(|error| E::internal(error.to_string()))?
}
