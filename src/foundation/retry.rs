//! Pauses between attempts: exponential, with jitter.
//!
//! The only module that knows the `backoff` crate, which has no maintainer (RUSTSEC-2025-0012).

use backoff::backoff::Backoff;
use std::time::{Duration, Instant};

/// A sequence of pauses that grow from a first to a longest one, each randomised by half.
#[derive(Debug)]
pub struct Pauses {
    backoff: backoff::ExponentialBackoff,
    limit: Option<Duration>,
    began: Instant,
}

impl Pauses {
    /// Pauses that begin near `first` and grow to near `longest`, without end.
    #[must_use]
    pub fn endless(first: Duration, longest: Duration) -> Self {
        Self::new(first, longest, None)
    }

    /// Pauses that end when `limit` has passed since now. The last one is cut to end with it, so that
    /// one more attempt is made at the very limit.
    #[must_use]
    pub fn for_at_most(first: Duration, longest: Duration, limit: Duration) -> Self {
        Self::new(first, longest, Some(limit))
    }

    fn new(first: Duration, longest: Duration, limit: Option<Duration>) -> Self {
        Self {
            // The crate gives up when a pause would not fit any more, up to its length too early.
            backoff: backoff::ExponentialBackoffBuilder::new()
                .with_initial_interval(first)
                .with_max_interval(longest)
                .with_multiplier(1.6)
                .with_randomization_factor(0.5)
                .with_max_elapsed_time(None)
                .build(),
            limit,
            began: Instant::now(),
        }
    }

    /// The next pause, or `None` when the limit has passed.
    pub fn next_pause(&mut self) -> Option<Duration> {
        let pause = self.backoff.next_backoff()?;
        let Some(limit) = self.limit else {
            return Some(pause);
        };
        let left = limit.checked_sub(self.began.elapsed())?;
        (!left.is_zero()).then(|| pause.min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::Pauses;
    use std::time::Duration;

    #[test]
    fn pauses_grow_to_the_longest_and_end_at_the_limit() {
        let mut endless = Pauses::endless(Duration::from_millis(100), Duration::from_millis(400));
        let pauses: Vec<_> = (0..20).filter_map(|_| endless.next_pause()).collect();
        assert_eq!(pauses.len(), 20);
        assert!(pauses[0] <= Duration::from_millis(150));
        assert!(pauses.iter().all(|p| *p <= Duration::from_millis(600)));
        assert!(pauses[19] >= Duration::from_millis(200));
        let mut ended = Pauses::for_at_most(
            Duration::from_millis(1),
            Duration::from_millis(1),
            Duration::ZERO,
        );
        assert_eq!(ended.next_pause(), None);
    }

    #[test]
    fn the_last_pause_ends_with_the_limit() {
        let limit = Duration::from_millis(200);
        let mut pauses = Pauses::for_at_most(Duration::from_secs(5), Duration::from_secs(5), limit);
        let pause = pauses.next_pause();
        assert!(
            pause.is_some_and(|pause| pause <= limit && !pause.is_zero()),
            "{pause:?}"
        );
    }
}
