//! The line before the door: builds of corners that do not stand yet are at work in no greater number than corners may
//! stand, in the order in which they were asked for. A build of a corner that stands does not wait here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The line of one environment.
#[derive(Debug, Default)]
pub(crate) struct Line {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    at_work: usize,
    /// Ids of builds, the first one first.
    waiting: Vec<String>,
}

/// A build in line. It leaves the line when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    line: Arc<Line>,
    build: String,
}

/// A build at work. It makes room when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Line>);

impl Line {
    /// Takes a build in, at the end.
    pub(crate) fn join(self: &Arc<Self>, build: &str) -> Waiting {
        self.inner().waiting.push(build.to_owned());
        Waiting {
            line: Arc::clone(self),
            build: build.to_owned(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The place at work where there is one, else the position in line, from 1. `most` are at work at a time.
    pub(crate) fn take(&self, most: usize) -> Result<Place, usize> {
        let mut inner = self.line.inner();
        let mut waiting = inner.waiting.iter();
        let before = waiting.position(|build| *build == self.build);
        let before = before.unwrap_or_default();
        if inner.at_work + before >= most {
            return Err(before + 1);
        }
        inner.waiting.retain(|build| *build != self.build);
        inner.at_work += 1;
        Ok(Place(Arc::clone(&self.line)))
    }

    /// Leaves the line: there is no need to wait.
    pub(crate) fn leave(&self) {
        let mut inner = self.line.inner();
        inner.waiting.retain(|build| *build != self.build);
        drop(inner);
        self.line.changed.notify_waiters();
    }

    /// Ends when the line has moved.
    pub(crate) async fn moved(&self) {
        self.line.changed.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.at_work = inner.at_work.saturating_sub(1);
        drop(inner);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use std::sync::Arc;

    #[test]
    fn who_came_first_goes_first() {
        let line = Arc::new(Line::default());
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|build| line.join(build));
        assert_eq!(d.take(2).err(), Some(4));
        let first = a.take(2).expect("a place");
        let second = b.take(2).expect("a place");
        assert_eq!((c.take(2).err(), d.take(2).err()), (Some(1), Some(2)));
        drop(second);
        assert_eq!(d.take(2).err(), Some(2), "there is room, and c comes first");
        c.leave();
        let last = d.take(2).expect("c has left");
        drop((first, last, a, b, d));
        assert!(line.join("e").take(1).is_ok());
    }
}
