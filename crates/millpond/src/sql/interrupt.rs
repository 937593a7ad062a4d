//! Ctrl-C: cancels what is under way, and not the command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether Ctrl-C was pressed since it was looked last.
#[derive(Default)]
pub struct Interrupt {
    pressed: AtomicBool,
    told: Notify,
}

impl Interrupt {
    /// From now on Ctrl-C no longer ends the process. Within a runtime.
    pub fn watch() -> Arc<Self> {
        let interrupt = Arc::new(Self::default());
        let watched = Arc::clone(&interrupt);
        tokio::spawn(async move {
            // Without a handler the process ends as any other does.
            while tokio::signal::ctrl_c().await.is_ok() {
                watched.pressed.store(true, Ordering::Release);
                watched.told.notify_waiters();
            }
        });
        interrupt
    }

    /// What was pressed before does not count any more.
    pub fn reset(&self) {
        self.pressed.store(false, Ordering::Release);
    }

    /// Whether it was pressed.
    pub fn was(&self) -> bool {
        self.pressed.load(Ordering::Acquire)
    }

    /// Until it is pressed.
    pub async fn happened(&self) {
        loop {
            let told = self.told.notified();
            if self.was() {
                return;
            }
            told.await;
        }
    }
}
