//! How often what is live is looked at between releases.

use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};

/// How often what is live is looked at between releases: a time such as `10m`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftInterval {
    /// Never.
    Off,
    /// So often.
    Every(Span),
}

impl DriftInterval {
    /// The time between two looks; `None` where nobody looks.
    #[must_use]
    pub fn every(self) -> Option<Span> {
        match self {
            Self::Off => None,
            Self::Every(span) => Some(span),
        }
    }
}

impl<'de> Deserialize<'de> for DriftInterval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self::Off);
        }
        let span = humantime::parse_duration(&text).map_err(|error| {
            serde::de::Error::custom(format!(
                "{text:?} is neither `off` nor a time such as 10m ({error})"
            ))
        })?;
        Ok(Self::Every(Span(span)))
    }
}

impl Serialize for DriftInterval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Every(span) => span.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DriftInterval;
    use crate::foundation::span::Span;
    use std::time::Duration;

    #[test]
    fn it_is_a_time_or_off() {
        let ten = DriftInterval::Every(Span(Duration::from_secs(600)));
        for (text, expected) in [("off", DriftInterval::Off), ("10m", ten)] {
            let read: DriftInterval = serde_json::from_value(text.into()).expect("an interval");
            assert_eq!(read, expected);
            assert_eq!(serde_json::to_value(read).expect("text"), text);
        }
        let other = serde_json::from_value::<DriftInterval>("never".into());
        assert!(other.expect_err("no time").to_string().contains("10m"));
    }
}
