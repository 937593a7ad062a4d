//! Threads for work that blocks on the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::api::BlobError;

/// An idle thread ends after this, so that an idle server has few.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// A bounded number of threads, started when there is work for them. The queue is bounded by the callers: each reader and writer
/// has at most a few jobs under way.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when the thread is to end, of which it is then no longer counted.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (back, waited) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

/// Counts a thread out whose job panicked.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().threads -= 1;
        }
    }
}

impl Pool {
    /// A pool of at most `most` threads.
    pub fn new(name: &'static str, most: usize) -> Self {
        Self { shared: Arc::new(Shared { name, most: most.max(1), state: Mutex::default(), wake: Condvar::new() }) }
    }

    /// Has a job done.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        state.jobs.push_back(Box::new(job));
        if state.jobs.len() <= state.idle || state.threads >= self.shared.most {
            drop(state);
            return self.shared.wake.notify_one();
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new().name(shared.name.to_owned()).spawn(move || {
            let _leaving = Leaving(&shared);
            while let Some(job) = shared.next() {
                job();
            }
        });
        if started.is_ok() {
            return;
        }
        let mut state = self.shared.lock();
        state.threads -= 1;
        // Others will take the job; with no thread at all it is done here rather than never.
        let job = if state.threads == 0 { state.jobs.pop_back() } else { None };
        drop(state);
        if let Some(job) = job {
            job();
        }
    }

    /// Has a job done whose outcome the caller awaits by [`outcome`].
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (send, receive) = oneshot::channel();
        // Whoever asked may have gone meanwhile: then the outcome is dropped, and says by its own `Drop` what that means.
        self.submit(move || drop(send.send(job())));
        receive
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

/// Waits for a job of [`Pool::run`].
pub async fn outcome<T>(job: oneshot::Receiver<Result<T, BlobError>>) -> Result<T, BlobError> {
    job.await.unwrap_or_else(|_| Err(BlobError::Stopped("a disk job ended early".to_owned())))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn jobs_run_at_the_same_time_up_to_the_bound_and_a_panic_loses_only_its_own() {
        let pool = Pool::new("test", 3);
        let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..30)
            .map(|n| {
                let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
                pool.run(move || {
                    peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(n)
                })
            })
            .collect();
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(outcome(job).await.unwrap(), n);
        }
        assert_eq!(peak.load(Ordering::SeqCst), 3);
        let broken = pool.run(|| -> Result<(), BlobError> { std::panic::resume_unwind(Box::new("on purpose")) });
        assert!(matches!(outcome(broken).await, Err(BlobError::Stopped(_))));
        for _ in 0..10 {
            assert_eq!(outcome(pool.run(|| Ok(1))).await.unwrap(), 1);
        }
    }
}
