//! Schedules of crawlers: one timer each, which fires into a crawl. What was due while the server was down is one crawl after the start.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::Arrival;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer};

use super::rows::WhoseRow;
use super::state::{OWNER, found};
use crate::state::{Core, decode};

/// The owner of the service's timers.
pub(crate) struct Clockwork(pub Arc<Core>);

impl Alarm for Clockwork {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            let core = &self.0;
            let failed = |error: crate::errors::GlueError| StepError::Failed(error.to_string());
            let whose: WhoseRow = decode(&timer.value)?;
            let Some(crawler) = found(core, &whose).await.map_err(failed)? else { return Ok(Arrival::default()) };
            // Another timer was set meanwhile.
            if crawler.row.due != Some(timer.due.0) {
                return Ok(Arrival::default());
            }
            let (mut row, of) = (crawler.row.clone(), (crawler.account, crawler.name.as_str(), crawler.id));
            // The engine removes this one.
            row.due = None;
            let mut ops = core.arm(of, &mut row, core.clock.now()).map_err(failed)?;
            if row.current.is_none() {
                ops.extend(core.begin_crawl(of, &mut row));
            }
            ops.push(crawler.put(&row));
            Ok(Arrival { conds: vec![crawler.unchanged()], ops })
        }
        .boxed()
    }
}
