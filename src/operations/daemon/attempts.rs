//! Whether a revision that failed may be tried again.

use crate::inputs::settings;
use crate::inputs::settings::schedule::LONGEST_BACKOFF;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How often a revision is tried when the settings do not say.
const MAX_FAILURES: u32 = 3;
/// The pause after its first failure when the settings do not say.
const BACKOFF: Duration = Duration::from_secs(5 * 60);

/// How often, and after which pauses, one revision is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    max_failures: u32,
    backoff: Duration,
}

/// Whether a revision may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Try,
    /// Not before this moment.
    WaitUntil(Timestamp),
    /// Not before it changes, or somebody asks for it.
    GivenUp,
}

impl Attempts {
    /// As the settings say.
    #[must_use]
    pub fn of(settings: &settings::Schedule) -> Self {
        Self {
            max_failures: settings.max_failures.unwrap_or(MAX_FAILURES).max(1),
            backoff: settings.failure_backoff.map_or(BACKOFF, |span| span.0),
        }
    }

    /// Whether a revision that failed `failures` times in a row, the last time at `last`, may be
    /// tried at `now`. A clock that was put back makes the pause at most twice as long.
    #[must_use]
    pub fn verdict(&self, failures: u32, last: Timestamp, now: Timestamp) -> Verdict {
        if failures == 0 {
            return Verdict::Try;
        }
        if failures >= self.max_failures {
            return Verdict::GivenUp;
        }
        let pause = SignedDuration::try_from(self.pause(failures)).unwrap_or(SignedDuration::MAX);
        // A failure further in the future than a pause was noted by a clock that was wrong.
        if last.duration_since(now) > pause {
            return Verdict::Try;
        }
        match last.checked_add(pause) {
            Ok(until) if until > now => Verdict::WaitUntil(until),
            Ok(_) | Err(_) => Verdict::Try,
        }
    }

    /// The pause after so many failures: doubling, at most six hours.
    fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(factor).min(LONGEST_BACKOFF)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, Verdict};
    use crate::foundation::span::Span;
    use crate::inputs::settings::Schedule;
    use jiff::Timestamp;
    use proptest::prelude::{prop_assert, proptest};
    use std::time::Duration;

    fn attempts(max_failures: u32, seconds: u64) -> Attempts {
        Attempts::of(&Schedule {
            max_failures: Some(max_failures),
            failure_backoff: Some(Span(Duration::from_secs(seconds))),
            ..Schedule::default()
        })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a moment")
    }

    #[test]
    fn pauses_double_until_it_is_given_up() {
        let attempts = attempts(4, 300);
        assert_eq!(attempts.verdict(0, at(1000), at(1000)), Verdict::Try);
        let wait = |failures, now| attempts.verdict(failures, at(1000), at(now));
        assert_eq!(wait(1, 1000), Verdict::WaitUntil(at(1300)));
        assert_eq!(wait(1, 1299), Verdict::WaitUntil(at(1300)));
        assert_eq!(wait(1, 1300), Verdict::Try);
        assert_eq!(wait(2, 1300), Verdict::WaitUntil(at(1600)));
        assert_eq!(wait(3, 1300), Verdict::WaitUntil(at(2200)));
        assert_eq!(wait(4, 9_999_999), Verdict::GivenUp);
        assert_eq!(
            wait(1, 900),
            Verdict::WaitUntil(at(1300)),
            "a clock put back"
        );
        assert_eq!(wait(1, 600), Verdict::Try, "a clock put back far");
    }

    proptest! {
        #[test]
        fn a_pause_ends(
            failures in 0_u32..1000, max in 1_u32..1000, seconds in 1_u64..30_000,
            last in 0_i64..4_000_000_000, now in 0_i64..4_000_000_000,
        ) {
            let attempts = attempts(max, seconds);
            match attempts.verdict(failures, at(last), at(now)) {
                Verdict::WaitUntil(until) => {
                    prop_assert!(until > at(now));
                    prop_assert!(until <= at(now + 12 * 60 * 60));
                    prop_assert!(attempts.verdict(failures, at(last), until) == Verdict::Try);
                }
                Verdict::GivenUp => prop_assert!(failures >= max),
                Verdict::Try => prop_assert!(failures < max),
            }
        }
    }
}
