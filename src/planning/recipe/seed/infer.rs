//! Types of columns as agate finds them out: the first type, in dbt's order, that every value may be of.
//!
//! Of each value and type it is known whether agate takes it, does not, or that this is not certain; an
//! uncertainty that could decide is an error.

use super::Value;
use regex::Regex;
use std::sync::LazyLock;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inferred {
    /// Nothing at all, not even empty values.
    Nothing,
    /// Numbers without a fraction, or empty values only.
    Integer,
    /// Numbers.
    Float,
    /// Days.
    Date,
    /// Moments without a zone, with a space in them.
    Timestamp,
    /// Moments without a zone, as ISO 8601 has them.
    IsoTimestamp,
    /// Truth values.
    Boolean,
    /// Anything.
    Text,
}

/// What a type says of a value.
type Test = fn(&str) -> Is;

/// What is known of a value and a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    No,
    Unsure,
    Yes,
}

impl Inferred {
    /// What the adapter makes of it (`dbt/adapters/postgres/impl.py`).
    pub(super) fn data_type(self) -> &'static str {
        match self {
            Self::Nothing | Self::Integer => "integer",
            Self::Float => "float8",
            Self::Date => "date",
            Self::Timestamp | Self::IsoTimestamp => "timestamp without time zone",
            Self::Boolean => "boolean",
            Self::Text => "text",
        }
    }

    /// A value of such a column.
    pub(super) fn value(self, text: &str) -> Value {
        if is_null(text) {
            return Value::Null;
        }
        let trimmed = trim(text);
        match self {
            Self::Nothing => Value::Null,
            Self::Integer | Self::Float => Value::Number(trimmed.to_owned()),
            Self::Date => Value::Date(day(trimmed).unwrap_or_default()),
            Self::Timestamp => Value::Timestamp(moment(trimmed, ' ').unwrap_or_default()),
            Self::IsoTimestamp => Value::Timestamp(moment(trimmed, 'T').unwrap_or_default()),
            Self::Boolean => Value::Boolean(trimmed.eq_ignore_ascii_case("true")),
            Self::Text => Value::Text(text.to_owned()),
        }
    }
}

/// The type of a column with these values.
///
/// # Errors
/// The value that may or may not be of a type on which it depends.
pub(super) fn column<'a>(
    values: impl Iterator<Item = &'a str> + Clone,
) -> Result<Inferred, &'a str> {
    if values.clone().next().is_none() {
        return Ok(Inferred::Nothing);
    }
    let kinds: [(Inferred, Test); 5] = [
        (Inferred::Integer, number),
        (Inferred::Date, date),
        (Inferred::Timestamp, timestamp),
        (Inferred::IsoTimestamp, iso_timestamp),
        (Inferred::Boolean, boolean),
    ];
    for (kind, test) in kinds {
        let mut worst = Is::Yes;
        let mut doubtful = None;
        for value in values.clone().filter(|value| !is_null(value)) {
            let is = test(value);
            if is == Is::Unsure && doubtful.is_none() {
                doubtful = Some(value);
            }
            worst = worst.min(is);
            if worst == Is::No {
                break;
            }
        }
        match (worst, doubtful) {
            (Is::No, _) => {}
            (Is::Unsure | Is::Yes, Some(value)) => return Err(value),
            (Is::Unsure | Is::Yes, None) if kind == Inferred::Integer => {
                let mut present = values.clone().filter(|value| !is_null(value));
                let is_fraction = present.any(|value| has_fraction(trim(value)));
                return Ok(if is_fraction {
                    Inferred::Float
                } else {
                    Inferred::Integer
                });
            }
            (Is::Unsure | Is::Yes, None) => return Ok(kind),
        }
    }
    Ok(Inferred::Text)
}

/// Python's `strip()`. The four separators of ASCII are white space there.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'))
}

fn is_null(text: &str) -> bool {
    let text = trim(text);
    text.is_empty() || text.eq_ignore_ascii_case("null")
}

/// What Python's `Decimal` takes, signs and digits of other scripts among them.
static DECIMAL: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)^(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|s?nan\d*|inf(?:inity)?)$"));

/// What may be a day and a time of ISO 8601, in one of its many forms.
static ISO: LazyLock<Regex> = LazyLock::new(|| regex(r"^[\d+W-]+T[\d:.,+Z\s-]+$"));

#[expect(
    clippy::expect_used,
    reason = "the texts stand above, and a test compiles them"
)]
fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a regular expression")
}

/// agate also takes currencies, per cent, thousands, exponents, underscores, infinities and other digits.
fn number(text: &str) -> Is {
    let text = trim(text);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Beyond that, Python rounds what it multiplies by the sign.
    if are_digits(whole) && are_digits(fraction) && digits.len() <= 28 {
        return Is::Yes;
    }
    let is_around = |c: char| "%؋$ƒ៛¥₡₱£€¢﷼₪₩₭₮₦฿₤₫".contains(c) || c.is_whitespace();
    let core = text
        .trim_start_matches(['-', '+'])
        .trim_matches(is_around)
        .trim_start_matches(['-', '+'])
        .trim_matches(is_around)
        .replace([',', '_'], "");
    match DECIMAL.is_match(&core) {
        true => Is::Unsure,
        false => Is::No,
    }
}

/// Whether a number that is certain has decimals, trailing zeros aside.
fn has_fraction(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(_, fraction)| fraction.bytes().any(|digit| digit != b'0'))
}

/// `%Y-%m-%d`.
fn date(text: &str) -> Is {
    let text = trim(text);
    let is_odd = !text.is_ascii() && text.chars().any(char::is_numeric);
    // Python takes a space before a day of one digit.
    match (day(text), day(&text.replace(' ', ""))) {
        (Some(_), _) => Is::Yes,
        (None, Some(_)) => Is::Unsure,
        (None, None) if is_odd => Is::Unsure,
        (None, None) => Is::No,
    }
}

/// `%Y-%m-%d %H:%M:%S`. Python takes any white space for the space, one digit for two, and second 60.
fn timestamp(text: &str) -> Is {
    let text = trim(text);
    let is_numeric = |text: &str| text.chars().any(char::is_numeric);
    let is_like = text
        .split_once(char::is_whitespace)
        .is_some_and(|(before, after)| is_numeric(before) && after.contains(':'));
    match moment(text, ' ') {
        Some(_) => Is::Yes,
        None if is_like => Is::Unsure,
        None => Is::No,
    }
}

/// ISO 8601, of which only the plainest form is certain.
fn iso_timestamp(text: &str) -> Is {
    let text = trim(text);
    match moment(text, 'T') {
        Some(_) => Is::Yes,
        None if ISO.is_match(text) => Is::Unsure,
        None => Is::No,
    }
}

fn boolean(text: &str) -> Is {
    let is_either = |text: &str| {
        let words = ["true", "false"];
        words.iter().any(|word| text.eq_ignore_ascii_case(word))
    };
    // agate leaves commas out.
    let without = text.replace(',', "");
    match is_either(trim(text)) {
        true => Is::Yes,
        false if is_either(trim(&without)) || is_null(&without) => Is::Unsure,
        false => Is::No,
    }
}

/// A day as ISO 8601 has it, of one that Python's `strptime` takes.
fn day(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.next().is_some() || !is(year, 4..=4) || !is(month, 1..=2) || !is(day, 1..=2) {
        return None;
    }
    let date = jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    // Python begins with the year 1.
    date.ok()
        .filter(|date| date.year() > 0)
        .map(|date| date.to_string())
}

/// A moment `YYYY-MM-DDTHH:MM:SS`, of one that is written so with this character in the middle.
fn moment(text: &str, middle: char) -> Option<String> {
    let (before, after) = text.split_once(middle)?;
    let mut parts = after.split(':');
    let mut number = |most: u8| {
        let part = parts.next()?;
        let is_two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = part.parse::<u8>().ok()?;
        (is_two && number <= most).then_some(number)
    };
    let (hour, minute, second) = (number(23)?, number(59)?, number(59)?);
    // ISO 8601 wants months and days of two digits.
    let is_padded = before.len() == 10;
    (parts.next().is_none() && is_padded)
        .then(|| day(before))
        .flatten()
        .map(|day| format!("{day}T{hour:02}:{minute:02}:{second:02}"))
}
