//! When releases begin.
//!
//! A *firing* is the moment that the cron expression names; it is what is recorded as handled. The
//! release begins when it is *due*: up to `jitter` later, always as much for the same environment
//! and firing. Since the jitter is shorter than the shortest interval, firings are due in their order.
//!
//! Clocks that are changed: an expression that names hours is matched against the wall clock, each
//! time of which fires once. A time that is skipped fires at the first moment after the gap (several
//! of them once together), one that is repeated fires the first time. An expression with `*` in the
//! field of hours means an interval: it goes on through a repeated hour and leaves a skipped one out.

/// Windows in which an environment is frozen.
pub mod windows;

use crate::inputs::settings::{self, Missed};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A schedule without a firing in this time has none.
const HORIZON: SignedDuration = SignedDuration::from_hours(8 * 366 * 24);
/// Where firings are counted from when a schedule is judged: judging asks no clock.
const REFERENCE: i64 = 1_735_689_600; // 2025-01-01
/// Firings that the shortest interval is taken from.
const SAMPLE: usize = 1000;

/// A schedule, read.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    /// Whether the field of hours names hours.
    names_hours: bool,
    zone: TimeZone,
    jitter: Duration,
    missed: Missed,
    environment: String,
}

/// Why there is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be read.
    #[error("{expression:?} is no cron expression: {problem}")]
    Cron {
        /// What is set.
        expression: String,
        /// What the parser says.
        problem: String,
    },
    /// The time zone is not known.
    #[error("{0:?} is not a time zone that this machine knows")]
    Zone(String),
    /// There is no such day.
    #[error("{0:?} never fires within eight years")]
    Never(String),
    /// Firings would overtake each other.
    #[error(
        "the jitter of {} is not shorter than the shortest interval, {}",
        humantime::format_duration(*jitter),
        humantime::format_duration(*interval)
    )]
    Jitter {
        /// What is set.
        jitter: Duration,
        /// The shortest time between two firings.
        interval: Duration,
    },
}

impl ScheduleError {
    /// The key at fault, below `schedule`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Cron { .. } | Self::Never(_) => "cron",
            Self::Zone(_) => "time_zone",
            Self::Jitter { .. } => "jitter",
        }
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Cron { .. } => {
                "write five fields such as \"0 2 * * *\" (minute, hour, day, month, day of the week), or six with seconds first"
            }
            Self::Never(_) => "name days that there are",
            Self::Zone(_) => {
                "write a name such as UTC or Europe/Berlin; where all are unknown, install tzdata"
            }
            Self::Jitter { .. } => "write a shorter time",
        }
    }
}

impl Schedule {
    /// The schedule of an environment; `None` when its settings have no `cron`.
    ///
    /// # Errors
    /// What cannot be read, never fires, or would let firings overtake each other. The time zone is
    /// judged without a `cron` too.
    pub fn parse(
        settings: &settings::Schedule,
        environment: &str,
    ) -> Result<Option<Self>, ScheduleError> {
        let name = settings.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.to_owned()))?;
        let Some(expression) = &settings.cron else {
            return Ok(None);
        };
        let refused = |problem: String| ScheduleError::Cron {
            expression: expression.clone(),
            problem,
        };
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let hours = match fields.as_slice() {
            [_, hours, _, _, _] | [_, _, hours, _, _, _] => hours,
            _ => return Err(refused(format!("it has {} fields", fields.len()))),
        };
        let names_hours = !hours.contains(['*', '?']);
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| refused(error.to_string()))?;
        let schedule = Self {
            cron,
            names_hours,
            zone,
            jitter: settings.jitter.map_or(Duration::ZERO, |span| span.0),
            missed: settings.missed.unwrap_or_default(),
            environment: environment.to_owned(),
        };
        schedule.judge(expression)?;
        Ok(Some(schedule))
    }

    fn judge(&self, expression: &str) -> Result<(), ScheduleError> {
        let start = Timestamp::from_second(REFERENCE).unwrap_or_default();
        let first = self.next_after(start);
        if first.is_none_or(|first| first.duration_since(start) > HORIZON) {
            return Err(ScheduleError::Never(expression.to_owned()));
        }
        if self.jitter.is_zero() {
            return Ok(());
        }
        let interval = self.shortest(start);
        match self.jitter < interval {
            true => Ok(()),
            false => Err(ScheduleError::Jitter {
                jitter: self.jitter,
                interval,
            }),
        }
    }

    /// The shortest time between two firings: of many from the start on, and around changes of the
    /// clock, which bring firings nearer to each other.
    fn shortest(&self, start: Timestamp) -> Duration {
        let day = SignedDuration::from_hours(25);
        let changes = self.zone.following(start).take(4);
        let starts = changes.filter_map(|change| change.timestamp().checked_sub(day).ok());
        let mut shortest = Duration::MAX;
        for from in std::iter::once(start).chain(starts) {
            let firings = std::iter::successors(self.next_after(from), |at| self.next_after(*at));
            let mut before: Option<Timestamp> = None;
            for firing in firings.take(SAMPLE) {
                if firing.duration_since(start) > HORIZON {
                    break;
                }
                if let Some(before) = before {
                    let interval = firing.duration_since(before).unsigned_abs();
                    shortest = shortest.min(interval);
                }
                before = Some(firing);
            }
        }
        shortest
    }

    /// The first firing after `now`, in whole seconds. `None` only at the end of time.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        match self.names_hours {
            true => self.next_by_the_wall(now),
            false => self.next_interval(now),
        }
    }

    /// The wall clock's times in their order, each with the moment that it means. That order is the
    /// moments' too: a gap brings them together, and of a repeated time the first is meant.
    fn next_by_the_wall(&self, now: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(now);
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let moment = self.moment(wall)?;
            if moment > now {
                return Some(moment);
            }
        }
    }

    /// The moment that a time of the wall clock means: the first of two, or the first after a gap.
    fn moment(&self, wall: civil::DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        if !matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
            return ambiguous.earlier().ok();
        }
        // Before the gap by the offset after it; the change of the clock follows.
        let before = ambiguous.earlier().ok()?;
        let change = self.zone.following(before).next()?;
        Some(change.timestamp())
    }

    fn next_interval(&self, now: Timestamp) -> Option<Timestamp> {
        let mut from = Timestamp::from_second(now.as_second()).ok()?;
        loop {
            let zoned = from.to_zoned(self.zone.clone());
            let found = self.cron.find_next_occurrence(&zoned, false).ok()?;
            let found = Timestamp::from_second(found.timestamp().as_second()).ok()?;
            if found > now {
                return Some(found);
            }
            from = from
                .max(found)
                .checked_add(SignedDuration::from_secs(1))
                .ok()?;
        }
    }

    /// When a firing is due: after a delay that is the same for the same environment and firing, in
    /// whole milliseconds, from zero to less than the jitter.
    #[must_use]
    pub fn due(&self, firing: Timestamp) -> Timestamp {
        let mut digest = Sha256::new();
        digest.update(self.environment.as_bytes());
        digest.update([0]);
        digest.update(firing.as_second().to_be_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let random = digest[..8]
            .iter()
            .fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
        let share = (random * self.jitter.as_millis()) >> 64;
        let delay = i64::try_from(share).unwrap_or_default();
        firing
            .checked_add(SignedDuration::from_millis(delay))
            .unwrap_or(firing)
    }

    /// The firing to wait for: the first one after `last_handled` that is not yet due at `now`. It
    /// may lie before `now`, when only its delay is still running.
    #[must_use]
    pub fn pending(&self, last_handled: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let jitter = SignedDuration::try_from(self.jitter).unwrap_or_default();
        let from = now.checked_sub(jitter).unwrap_or(now);
        let from = last_handled.map_or(from, |last| from.max(last));
        std::iter::successors(self.next_after(from), |at| self.next_after(*at))
            .find(|firing| self.due(*firing) > now)
    }

    /// The firing to make up for: the latest one after `last_handled` that is already due at `now`,
    /// in place of all of them. `None` when there is none, when nothing was ever handled, or when
    /// missed firings are skipped.
    #[must_use]
    pub fn missed(&self, last_handled: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let last = last_handled?;
        match self.missed {
            Missed::Skip => None,
            Missed::RunOnce => self.latest_due(last, now),
        }
    }

    /// The latest firing after `last` that is due at `now`, whatever is done about missed ones: the
    /// one that a daemon which slept until [`Schedule::due`] finds.
    #[must_use]
    pub fn latest_due(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let (mut low, mut high) = (last.as_second(), now.as_second());
        let fires_by_now = |second: i64| {
            let firing = self.next_after(Timestamp::from_second(second).ok()?)?;
            (self.due(firing) <= now).then_some(firing)
        };
        // Firings become due in their order, so that the last moment with a due firing after it can
        // be searched for by halves.
        let mut latest = fires_by_now(low).filter(|firing| *firing > last)?;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match fires_by_now(middle) {
                Some(firing) => (low, latest) = (middle, firing),
                None => high = middle,
            }
        }
        Some(latest)
    }
}

/// Hosts whose clocks differ by less than this share a journal without harm: a firing of the other one is
/// not fired again.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

/// The latest of the recorded firings that can have been: a clock that was ahead recorded those that lie in
/// the future, and nothing would fire until they have come.
#[must_use]
pub fn believable(
    recorded: impl IntoIterator<Item = Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let latest = now.checked_add(CLOCKS_DIFFER).unwrap_or(now);
    recorded.into_iter().filter(|at| *at <= latest).max()
}

#[cfg(test)]
mod tests;
