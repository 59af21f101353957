//! How many requests a second are answered, for each that asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many that ask are told apart; the rest share one allowance.
const TOLD_APART: usize = 4096;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Over the socket.
    Socket,
    /// With this token.
    Token(Arc<str>),
    /// Without a token that is known, from here.
    Address(IpAddr),
    /// One of too many.
    Others,
}

/// Allowances: `rate` a second, twice as many at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: f64,
    allowances: Mutex<HashMap<Who, Allowance>>,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate: f64::from(rate.max(1)),
            allowances: Mutex::default(),
        }
    }

    /// Takes one request off the allowance, or says how long to wait for it.
    pub(crate) fn take(&self, who: Who, now: Instant) -> Result<(), Duration> {
        let full = self.rate * 2.0;
        let grown = |allowance: &Allowance| {
            let passed = now.saturating_duration_since(allowance.at).as_secs_f64();
            (allowance.left + passed * self.rate).min(full)
        };
        let mut allowances = self
            .allowances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let who = if allowances.len() < TOLD_APART || allowances.contains_key(&who) {
            who
        } else {
            // Who did not ask lately is as good as unknown.
            allowances.retain(|_, allowance| grown(allowance) < full);
            if allowances.len() < TOLD_APART {
                who
            } else {
                Who::Others
            }
        };
        let allowance = allowances.entry(who).or_insert(Allowance {
            left: full,
            at: now,
        });
        allowance.left = grown(allowance);
        allowance.at = now;
        if allowance.left >= 1.0 {
            allowance.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - allowance.left) / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::{Limiter, TOLD_APART, Who};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    #[test]
    fn each_has_an_allowance_that_grows_back() {
        let limiter = Limiter::new(2);
        let now = Instant::now();
        for _ in 0..4 {
            assert_eq!(limiter.take(Who::Socket, now), Ok(()));
        }
        let wait = limiter.take(Who::Socket, now).expect_err("used up");
        assert_eq!(wait, Duration::from_millis(500));
        let other = Who::Token("ci".into());
        assert_eq!(limiter.take(other, now), Ok(()));
        assert_eq!(limiter.take(Who::Socket, now + wait), Ok(()));
        assert!(limiter.take(Who::Socket, now + wait).is_err());
    }

    #[test]
    fn no_crowd_takes_more_memory_than_is_set() {
        let limiter = Limiter::new(1);
        let now = Instant::now();
        for number in 0..10_000 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            // The crowd beyond shares one allowance.
            let _ = limiter.take(Who::Address(address), now);
        }
        let allowances = limiter.allowances.lock().expect("a lock");
        assert!(allowances.len() <= TOLD_APART + 1);
        drop(allowances);
        assert!(limiter.take(Who::Socket, now).is_err());
        assert!(
            limiter
                .take(Who::Socket, now + Duration::from_secs(9))
                .is_ok()
        );
    }
}
