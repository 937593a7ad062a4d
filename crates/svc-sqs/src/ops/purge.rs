//! Purging: messages that are there now are gone at once; their rows are removed in the background.

use millpond_api_sqs as api;
use millpond_kernel::Caller;
use millpond_meta::Op;

use crate::errors::{Failure, SqsError};
use crate::limits;
use crate::queue::Facts;
use crate::rows::{self, ClearRow};
use crate::state::{Core, Who};
use crate::tables;

pub(crate) async fn purge(
    core: &Core,
    caller: &Caller,
    input: &api::PurgeQueueInput,
) -> Result<api::PurgeQueueOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::PurgeQueueInput>(caller, &input.queue_url, "sqs:PurgeQueue", Who::Anybody).await?;
    let (before, now) = (queue.facts(), core.now());
    let pause = u64::try_from(limits::PAUSE.as_millis()).unwrap_or(u64::MAX);
    if before.purged_at > 0 && before.purged_at.saturating_add(pause) > now {
        return Err(SqsError::PurgeInProgress(queue.name.clone()).into());
    }
    // Whatever was acknowledged before this has no later commit.
    let purged = *core.kv.watch().borrow();
    let facts = Facts { purged, purged_at: now, ..(*before).clone() };
    let clear = Op::Put(tables::clear(queue.id), rows::encode(&ClearRow { purged }));
    core.rewrite(authorized.pin(), &queue, facts, vec![clear]).await?;
    queue.live().purge(purged);
    core.work.notify_one();
    Ok(api::PurgeQueueOutput {})
}
