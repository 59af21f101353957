//! How far two sides may be apart.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Digits after the point of a percentage.
const DIGITS: usize = 4;

/// How many units of a percentage are the whole.
const WHOLE: u128 = 1_000_000;

/// The largest percentage.
const MOST: u32 = 10_000;

/// A number of rows, or a part of blue's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// So many.
    Rows(u64),
    /// A part of blue's, in ten thousandths of a percent.
    Part(u32),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl Tolerance {
    /// How many may differ where blue has `blue`: of nothing every part is nothing.
    #[must_use]
    pub fn allows(self, blue: u64) -> u64 {
        match self {
            Self::Rows(rows) => rows,
            Self::Part(part) => {
                u64::try_from(u128::from(blue) * u128::from(part) / WHOLE).unwrap_or(u64::MAX)
            }
        }
    }
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not = || format!("{text:?} is neither a whole number of rows nor a part such as 5%");
        let Some(percent) = text.strip_suffix('%') else {
            return match text.parse() {
                Ok(rows) if is_digits(text) => Ok(Self::Rows(rows)),
                Ok(_) | Err(_) => Err(not()),
            };
        };
        let percent = percent.trim_end();
        let (whole, fraction) = percent.split_once('.').unwrap_or((percent, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(not());
        }
        if fraction.len() > DIGITS {
            return Err(format!(
                "{text:?} has more than {DIGITS} digits after the point"
            ));
        }
        let too_much = || format!("{text:?} is more than {MOST}%");
        let units = format!("{whole}{fraction:0<DIGITS$}");
        let units: u32 = units.parse().map_err(|_| too_much())?;
        if units > MOST * 10_000 {
            return Err(too_much());
        }
        Ok(Self::Part(units))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Part(part) => {
                let mut fraction = format!("{:04}", part % 10_000);
                while fraction.ends_with('0') {
                    fraction.pop();
                }
                let point = if fraction.is_empty() { "" } else { "." };
                write!(f, "{}{point}{fraction}%", part / 10_000)
            }
        }
    }
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = Tolerance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of rows or a part such as 5%")
    }

    fn visit_u64<E: serde::de::Error>(self, rows: u64) -> Result<Self::Value, E> {
        Ok(Tolerance::Rows(rows))
    }

    fn visit_i64<E: serde::de::Error>(self, rows: i64) -> Result<Self::Value, E> {
        u64::try_from(rows)
            .map(Tolerance::Rows)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(rows), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Tolerance {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => serializer.serialize_u64(*rows),
            Self::Part(_) => serializer.collect_str(self),
        }
    }
}
