//! YAML to values, where of a repeated key the last one counts. The parser's own values refuse them.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_yaml::value::{Tag, TaggedValue};
use serde_yaml::{Mapping, Number, Value};

use super::{Step, key_text};

/// The key that merges another mapping.
const MERGE: &str = "<<";

/// Reads a text of one document; with the keys that are repeated, each path once.
pub(super) fn parse(text: &str) -> Result<(Value, Vec<Vec<Step>>), serde_yaml::Error> {
    let seen = Seen::default();
    let value = Reader(&seen).deserialize(serde_yaml::Deserializer::from_str(text))?;
    Ok((value, seen.repeated.into_inner()))
}

/// Where the reader is, and what it found.
#[derive(Default)]
struct Seen {
    at: RefCell<Vec<Step>>,
    repeated: RefCell<Vec<Vec<Step>>>,
}

#[derive(Clone, Copy)]
struct Reader<'s>(&'s Seen);

impl Reader<'_> {
    fn below<T>(self, step: Step, read: impl FnOnce() -> T) -> T {
        self.0.at.borrow_mut().push(step);
        let value = read();
        self.0.at.borrow_mut().pop();
        value
    }

    /// Notes a key of the mapping that is being read.
    fn note(self, key: &Value) {
        let mut path = self.0.at.borrow().clone();
        path.push(Step::Key(key_text(key)));
        let mut repeated = self.0.repeated.borrow_mut();
        if !repeated.contains(&path) {
            repeated.push(path);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        loop {
            let next = self.below(Step::Item(read.len()), || items.next_element_seed(self))?;
            match next {
                Some(item) => read.push(item),
                None => return Ok(Value::Sequence(read)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut read = Mapping::new();
        while let Some(key) = entries.next_key_seed(self)? {
            let step = Step::Key(key_text(&key));
            let value = self.below(step, || entries.next_value_seed(self))?;
            let value = match read.get(&key) {
                // dbt's reader takes every merge, and what the last one says wins.
                Some(before) if key.as_str() == Some(MERGE) => both(value, before.clone()),
                Some(_) => {
                    self.note(&key);
                    value
                }
                None => value,
            };
            read.insert(key, value);
        }
        Ok(Value::Mapping(read))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (tag, contents) = tagged.variant::<String>()?;
        let value = contents.newtype_variant_seed(self)?;
        let tag = Tag::new(tag);
        Ok(Value::Tagged(Box::new(TaggedValue { tag, value })))
    }
}

/// The list of two merges, each of which may be a list itself.
fn both(first: Value, second: Value) -> Value {
    let list = |value| match value {
        Value::Sequence(items) => items,
        one @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Mapping(_)
        | Value::Tagged(_)) => vec![one],
    };
    Value::Sequence([list(first), list(second)].concat())
}
