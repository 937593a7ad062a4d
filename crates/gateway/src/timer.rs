//! A timer that is seldom set.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// Makes sure that the task is woken at `deadline` or earlier.
///
/// Setting a timer takes a lock of the runtime, and deadlines move with every request. So a timer that is due earlier is left
/// alone: the task it wakes finds nothing due and comes back here.
pub(crate) fn wake_by(timer: &mut Option<Pin<Box<Sleep>>>, deadline: Instant, cx: &mut Context<'_>) {
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    if timer.deadline() > deadline || timer.is_elapsed() {
        timer.as_mut().reset(deadline);
    }
    if let Poll::Ready(()) = timer.as_mut().poll(cx) {
        timer.as_mut().reset(deadline);
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
