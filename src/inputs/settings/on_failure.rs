//! What becomes of green when a release fails before its swap.

use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long green is kept where nobody says how long.
pub const KEPT_FOR: Span = Span(Duration::from_secs(2 * 60 * 60));

/// What becomes of green when a release fails before its swap: `unwind`, or `keep 2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is dropped.
    Unwind,
    /// It stays so long for a look, or until `cutover resume`, `cutover abort` or the next release.
    Keep(Span),
}

impl OnFailure {
    /// How long green is kept; `None` where it is dropped.
    #[must_use]
    pub fn kept(self) -> Option<Span> {
        match self {
            Self::Unwind => None,
            Self::Keep(span) => Some(span),
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let no = || format!("{text:?} is neither `unwind` nor `keep` with a duration such as 2h");
        match (words.next(), words.next(), words.next()) {
            (Some("unwind"), None, None) => Ok(Self::Unwind),
            (Some("keep"), None, None) => Ok(Self::Keep(KEPT_FOR)),
            (Some("keep"), Some(span), None) => humantime::parse_duration(span)
                .map(|span| Self::Keep(Span(span)))
                .map_err(|error| format!("{} ({error})", no())),
            _ => Err(no()),
        }
    }
}

impl<'de> Deserialize<'de> for OnFailure {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for OnFailure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unwind => serializer.serialize_str("unwind"),
            Self::Keep(span) => serializer.collect_str(&format_args!(
                "keep {}",
                humantime::format_duration(span.0)
                    .to_string()
                    .replace(' ', "")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OnFailure;
    use crate::foundation::span::Span;
    use std::time::Duration;

    #[test]
    fn it_is_read_as_it_is_written() {
        let keep = |minutes: u64| OnFailure::Keep(Span(Duration::from_secs(minutes * 60)));
        for (text, expected) in [
            ("unwind", OnFailure::Unwind),
            ("keep", keep(120)),
            ("keep 2h", keep(120)),
            ("keep 1h30m", keep(90)),
        ] {
            let read = OnFailure::read(text);
            assert_eq!(read, Ok(expected), "{text}");
            let written = serde_json::to_value(expected).unwrap_or_default();
            let again = OnFailure::read(written.as_str().unwrap_or_default());
            assert_eq!(again, Ok(expected), "{written}");
        }
        for text in ["", "keep two hours", "drop", "keep 2h now", "unwind 2h"] {
            assert!(OnFailure::read(text).is_err(), "{text}");
        }
    }
}
