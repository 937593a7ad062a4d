//! What a server does by itself: consumers of streams, timers, and what leaves.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_io::Clock;
use millpond_kernel::outbox::Outbox;
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::trace;
use millpond_meta::{Kv, ReadError};

/// Ends when the server is to stop.
pub type Stop = BoxFuture<'static, ()>;

type Background = Box<dyn FnOnce(Stop) -> BoxFuture<'static, ()> + Send>;

/// What services hang their work on while a server is put together.
#[derive(Clone)]
pub struct Work {
    /// Who reads streams.
    pub consumers: Consumers,
    /// What happens later.
    pub timers: Timers,
    /// What leaves.
    pub outbox: Outbox,
    background: Arc<Mutex<Vec<Background>>>,
}

impl Work {
    /// None yet. Timers of an older version are brought over, before anybody sets one.
    pub async fn open(kv: &Arc<dyn Kv>, clock: &Arc<dyn Clock>) -> Result<Self, ReadError> {
        let timers = Timers::new(kv.clone(), clock.clone());
        timers.move_older().await?;
        timers.add(Arc::new(trace::Forget));
        let outbox = Outbox::new(kv.clone(), clock.clone(), timers.clone());
        let consumers = Consumers::new(kv.clone(), clock.clone());
        Ok(Self { consumers, timers, outbox, background: Arc::default() })
    }

    /// Adds what a service does by itself until the server stops.
    pub fn background<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(Stop) -> F + Send + 'static) {
        let task: Background = Box::new(move |stop| task(stop).boxed());
        self.background.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Works until `stop`; what is under way is finished.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = tokio::sync::watch::channel(false);
        let until = || {
            let mut stopped = stopped.clone();
            async move {
                // When nobody can say so any more, it is over as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            }
        };
        let background = std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tasks: tokio::task::JoinSet<()> = background.into_iter().map(|task| task(until().boxed())).collect();
        let tasks = async {
            // A task that panicked has said so in the log.
            while tasks.join_next().await.is_some() {}
        };
        let stop = async {
            stop.await;
            stopping.send_replace(true);
        };
        let work = self.clone();
        tokio::join!(work.consumers.run(until()), work.timers.run(until()), work.outbox.run(until()), tasks, stop);
    }

    /// Lets go of what services hung on it, so that the engines close.
    pub fn close(&self) {
        self.consumers.close();
        self.timers.close();
        self.outbox.close();
    }
}
