//! Lengths of time, lags, ids and words for people.

use crate::domain::lifecycle::state::State;
use std::time::Duration;

/// Characters of a deployment's id that are shown: in an id of version 7, the whole time of creation.
const ID_LENGTH: usize = 13;

/// A running clock: `00:07`, `12:30`, `1:02:03`.
#[must_use]
pub fn elapsed(length: Duration) -> String {
    let seconds = length.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// A length of time with at most two units: `340ms`, `1.2s`, `3m 12s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let two = |large: u64, unit: char, small: u64, small_unit: char| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{small_unit}"),
    };
    match seconds {
        0 => format!("{}ms", length.as_millis()),
        1..60 => format!("{}.{}s", seconds, length.subsec_millis() / 100),
        60..3_600 => two(seconds / 60, 'm', seconds % 60, 's'),
        3_600..86_400 => two(seconds / 3_600, 'h', seconds / 60 % 60, 'm'),
        _ => two(seconds / 86_400, 'd', seconds / 3_600 % 24, 'h'),
    }
}

/// A lag in milliseconds.
#[must_use]
pub fn lag(milliseconds: i64) -> String {
    length(Duration::from_millis(
        u64::try_from(milliseconds).unwrap_or_default(),
    ))
}

/// The beginning of a deployment's id.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..ID_LENGTH).unwrap_or(id)
}

/// A state as people read it: `cutting over`.
#[must_use]
pub fn state(state: State) -> String {
    state.as_str().replace('_', " ")
}
