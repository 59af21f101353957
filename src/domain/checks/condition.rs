//! `< 0.01`, `>= 3`, `== "ok"`: what a value must be.

use crate::foundation::word::words;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

words! {
    /// How a value is compared.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Comparison {
        /// At most. Before `<`, with which it begins.
        AtMost = "<=",
        /// At least.
        AtLeast = ">=",
        /// The same.
        Equal = "==",
        /// Another.
        Unequal = "!=",
        /// Less.
        Less = "<",
        /// More.
        More = ">",
    }
}

/// What it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A finite number.
    Number(f64),
    /// A text, by `==` or `!=`.
    Text(String),
    /// A truth value, by `==` or `!=`.
    Bool(bool),
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    comparison: Comparison,
    operand: Operand,
}

/// Its number is finite.
impl Eq for Condition {}

impl Condition {
    /// Whether it is about a number.
    #[must_use]
    pub fn is_of_numbers(&self) -> bool {
        matches!(self.operand, Operand::Number(_))
    }

    /// Whether it holds of a number; of one that is none it never does.
    #[must_use]
    pub fn holds(&self, number: f64) -> bool {
        let Operand::Number(operand) = self.operand else {
            return false;
        };
        match self.comparison {
            Comparison::AtMost => number <= operand,
            Comparison::AtLeast => number >= operand,
            Comparison::Equal => number == operand,
            Comparison::Unequal => !number.is_nan() && number != operand,
            Comparison::Less => number < operand,
            Comparison::More => number > operand,
        }
    }

    /// Whether it holds of a value of JSON; `None` where that is of another type.
    #[must_use]
    pub fn holds_of(&self, value: &Value) -> Option<bool> {
        let is_equal = match &self.operand {
            Operand::Number(_) => return value.as_f64().map(|number| self.holds(number)),
            Operand::Text(text) => value.as_str()? == text,
            Operand::Bool(flag) => value.as_bool()? == *flag,
        };
        Some(is_equal == (self.comparison == Comparison::Equal))
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not = |why: &str| {
            format!("{text:?} is not a condition such as < 0.01, >= 3 or == \"ok\": {why}")
        };
        let trimmed = text.trim();
        let (comparison, rest) = Comparison::ALL
            .into_iter()
            .find_map(|one| Some((one, trimmed.strip_prefix(one.as_str())?)))
            .ok_or_else(|| not("it begins with none of <, <=, >, >=, == and !="))?;
        let operand: Value = serde_json::from_slice(rest.trim().as_bytes()).map_err(|_| {
            not("what follows is no number, no text in double quotes, not true and not false")
        })?;
        let operand = match operand {
            Value::Number(number) => number
                .as_f64()
                .filter(|number| number.is_finite())
                .map(Operand::Number)
                .ok_or_else(|| not("the number is too large"))?,
            Value::String(text) => Operand::Text(text),
            Value::Bool(flag) => Operand::Bool(flag),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(not("a number, a text or a truth value is compared"));
            }
        };
        let is_ordered = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
        if is_ordered && !matches!(operand, Operand::Number(_)) {
            return Err(not("only numbers are less or more"));
        }
        Ok(Self {
            comparison,
            operand,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.comparison)?;
        match &self.operand {
            Operand::Number(number) => write!(f, "{number}"),
            Operand::Text(text) => write!(f, "{}", Value::from(text.as_str())),
            Operand::Bool(flag) => write!(f, "{flag}"),
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Condition;
    use serde_json::json;

    fn read(text: &str) -> Condition {
        text.parse().expect("a condition")
    }

    #[test]
    fn conditions_are_read_and_shown() {
        for (text, shown) in [
            ("<0.01", "< 0.01"),
            (" >= 3 ", ">= 3"),
            ("== \"o\\\"k\"", "== \"o\\\"k\""),
            ("!= true", "!= true"),
            ("<= -1e3", "<= -1000"),
        ] {
            assert_eq!(read(text).to_string(), shown);
            assert_eq!(read(shown), read(text));
        }
        for text in [
            "", "3", "= 3", "< ok", "== ok", "< \"a\"", ">= true", "== null", "== [1]", "< NaN",
            "< 1e999", "< 1 2", "=> 3", "<> 3",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_compared_and_none_is_never_good() {
        for (text, good, bad) in [
            ("< 2", 1.0, 2.0),
            ("<= 2", 2.0, 2.1),
            ("> 2", f64::INFINITY, 2.0),
            (">= 2", 2.0, f64::NEG_INFINITY),
            ("== 2", 2.0, 2.5),
            ("!= 2", 3.0, 2.0),
        ] {
            assert!(read(text).holds(good) && !read(text).holds(bad), "{text}");
            assert!(!read(text).holds(f64::NAN), "{text}");
        }
    }

    #[test]
    fn values_of_another_type_are_neither() {
        assert_eq!(read("== \"ok\"").holds_of(&json!("ok")), Some(true));
        assert_eq!(read("!= \"ok\"").holds_of(&json!("ok")), Some(false));
        assert_eq!(read("== true").holds_of(&json!(false)), Some(false));
        assert_eq!(read("< 3").holds_of(&json!(2)), Some(true));
        for (text, value) in [
            ("< 3", json!("2")),
            ("== \"2\"", json!(2)),
            ("== true", json!(1)),
            ("== true", json!(null)),
        ] {
            assert_eq!(read(text).holds_of(&value), None);
        }
    }
}
