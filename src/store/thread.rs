//! Waiting for a thread of the journal.

use std::thread::JoinHandle;
use tokio::runtime::{Handle, RuntimeFlavor};

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
