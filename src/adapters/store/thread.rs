//! Threads of the journal: handing work over to one, and waiting for one.

use super::error::StoreError;
use std::fmt;
use std::thread::JoinHandle;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// A thread that does one job after the other. Dropping this waits for those that were handed over.
pub(super) struct Worker<J> {
    jobs: Option<UnboundedSender<J>>,
    thread: Option<JoinHandle<()>>,
}

impl<J> Worker<J> {
    pub(super) fn new(jobs: UnboundedSender<J>, thread: JoinHandle<()>) -> Self {
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    /// Hands over the job that `job` makes of the place for its answer, and waits for that.
    ///
    /// # Errors
    /// [`StoreError::Closed`], with what `place` gives, when the thread has ended.
    pub(super) async fn answer<T>(
        &self,
        place: impl Fn() -> String,
        job: impl FnOnce(oneshot::Sender<T>) -> J,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Closed { place: place() };
        let (answer, outcome) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(job(answer)).map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())
    }
}

// A job cannot be shown.
impl<J> fmt::Debug for Worker<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

/// Waits until a thread has ended. Where it waits on a worker of a runtime, that runtime's other tasks move to
/// another one first.
pub(super) fn join(thread: JoinHandle<()>) {
    let wait = || {
        // What it panicked about was logged.
        let _ = thread.join();
    };
    let is_shared = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_shared {
        tokio::task::block_in_place(wait);
    } else {
        wait();
    }
}

#[cfg(test)]
mod tests {
    use super::join;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn the_only_worker_does_other_work_meanwhile() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (go_on, told) = channel::<()>();
        let waited_for = std::thread::spawn(move || {
            told.recv_timeout(Duration::from_secs(30))
                .expect("the other task has run");
        });
        runtime.block_on(async {
            let (begun, begins) = tokio::sync::oneshot::channel();
            let joining = tokio::spawn(async move {
                let _ = begun.send(());
                join(waited_for);
            });
            begins.await.expect("it begins");
            let other = tokio::spawn(async move { go_on.send(()).is_ok() });
            assert!(other.await.expect("it ends"));
            joining.await.expect("it ends");
        });
    }

    #[tokio::test]
    async fn on_one_thread_it_is_waited_for_all_the_same() {
        join(std::thread::spawn(|| {}));
    }
}
