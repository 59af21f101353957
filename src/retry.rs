//! Pauses between attempts: exponential, with jitter.
//!
//! The only module that knows the `backoff` crate, which has no maintainer (RUSTSEC-2025-0012).

use backoff::backoff::Backoff;
use std::time::Duration;

/// A sequence of pauses that grow from a first to a longest one, each randomised by half.
#[derive(Debug)]
pub struct Pauses(backoff::ExponentialBackoff);

impl Pauses {
    /// Pauses that begin near `first` and grow to near `longest`, without end.
    #[must_use]
    pub fn endless(first: Duration, longest: Duration) -> Self {
        Self(Self::build(first, longest, None))
    }

    /// Pauses that end when `limit` has passed since the first was asked for.
    #[must_use]
    pub fn for_at_most(first: Duration, longest: Duration, limit: Duration) -> Self {
        Self(Self::build(first, longest, Some(limit)))
    }

    fn build(
        first: Duration,
        longest: Duration,
        limit: Option<Duration>,
    ) -> backoff::ExponentialBackoff {
        backoff::ExponentialBackoffBuilder::new()
            .with_initial_interval(first)
            .with_max_interval(longest)
            .with_multiplier(1.6)
            .with_randomization_factor(0.5)
            .with_max_elapsed_time(limit)
            .build()
    }

    /// The next pause, or `None` when the limit has passed.
    pub fn next_pause(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }

    /// Begins again with the first pause and the whole limit.
    pub fn reset(&mut self) {
        self.0.reset();
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
}
