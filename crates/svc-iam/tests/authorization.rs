//! Who may do what with identities: a row for every operation of IAM and STS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "authorization/iam.rs"]
mod iam;
#[path = "authorization/sts.rs"]
mod sts;

use std::task::{Context, Poll};

use bytes::Bytes;
use millpond_kernel::{PayloadSource, ServiceError, Step};

/// A body that comes at once.
struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}
