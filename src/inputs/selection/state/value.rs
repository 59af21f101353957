//! Equality of JSON values as Python has it, since dbt compares with `==`.

use serde_json::Value;

/// `left == right`: numbers by value, and `True` is 1.
pub(crate) fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| is_equal(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| is_equal(value, other)))
        }
        (Value::Number(_) | Value::Bool(_), Value::Number(_) | Value::Bool(_)) => {
            left == right || number(left).is_some_and(|value| Some(value) == number(right))
        }
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => false,
    }
}

/// As [`is_equal`], texts in any case.
pub(crate) fn is_equal_caseless(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.to_uppercase() == right.to_uppercase(),
        (left, right) => is_equal(left, right),
    }
}

/// As [`is_equal`], where dbt compares objects with fields: a field that is null is one that is absent.
pub(super) fn is_same_record(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let same = |key: &String| {
                let (left, right) = (left.get(key), right.get(key));
                is_same_record(left.unwrap_or(&Value::Null), right.unwrap_or(&Value::Null))
            };
            left.keys().chain(right.keys()).all(same)
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| is_same_record(l, r))
        }
        (left, right) => is_equal(left, right),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(number) => number.as_f64(),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
