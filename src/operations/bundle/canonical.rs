//! The manifest that every parse of the same project gives, byte for byte.
//!
//! What is another each time is taken out: times, ids of runs and users, absolute paths. Keys are sorted, since
//! dbt writes them as it meets files, except for columns, whose order means something.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Number;
use std::fmt;

/// When every manifest in a bundle was written. dbt reads no other form.
const MOMENT: &str = "1970-01-01T00:00:00.000000Z";

/// Keys of `metadata` that are about the run.
const OF_RUN: [&str; 4] = [
    "invocation_id",
    "invocation_started_at",
    "run_started_at",
    "user_id",
];

/// JSON whose objects keep their order.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The manifest in these bytes as it stands in a bundle.
///
/// # Errors
/// When they are no JSON.
pub fn manifest(bytes: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut manifest: Json = serde_json::from_slice(bytes)?;
    for (section, content) in manifest.entries() {
        if section == "metadata" {
            for (key, value) in content.entries() {
                match key.as_str() {
                    "generated_at" => *value = Json::Text(MOMENT.to_owned()),
                    "env" => *value = Json::Object(Vec::new()),
                    key if OF_RUN.contains(&key) => *value = Json::Null,
                    _ => {}
                }
            }
            continue;
        }
        for (_, resource) in content.entries() {
            match resource {
                // What is disabled is a list for each id.
                Json::List(several) => several.iter_mut().for_each(Json::forget),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => {
                    resource.forget()
                }
            }
        }
    }
    manifest.sort(0);
    serde_json::to_vec(&manifest)
}

impl Json {
    fn entries(&mut self) -> &mut [(String, Self)] {
        match self {
            Self::Object(entries) => entries,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => &mut [],
        }
    }

    /// Takes out of a resource when it was read and where it lay.
    fn forget(&mut self) {
        for (key, value) in self.entries() {
            match key.as_str() {
                "created_at" => *value = Json::Number(0.into()),
                "root_path" => *value = Json::Null,
                _ => {}
            }
        }
    }

    /// Sorts the keys; `depth` is that of this object. Columns of a resource, in the third, stay as they are.
    fn sort(&mut self, depth: usize) {
        match self {
            Self::Object(entries) => {
                for (key, value) in entries.iter_mut() {
                    match (depth, key.as_str(), value) {
                        (2, "columns", Self::Object(columns)) => {
                            for (_, column) in columns {
                                column.sort(depth + 2);
                            }
                        }
                        (_, _, value) => value.sort(depth + 1),
                    }
                }
                entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            }
            // The list of what is disabled is no depth of its own.
            Self::List(items) => items.iter_mut().for_each(|item| item.sort(depth)),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => {}
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Json, E> {
                Ok(Json::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Json::Object(entries))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::manifest;

    #[test]
    fn what_is_another_each_time_is_taken_out_and_the_rest_stays() {
        let one = br#"{"metadata": {"generated_at": "2026-01-02T03:04:05.6Z", "invocation_id": "a", "env": {"X": "1"}, "project_name": "shop"},
            "nodes": {"b": {"created_at": 1.5, "root_path": "/here", "columns": {"z": {"b": 1, "a": 2}, "a": {}}, "meta": {"created_at": 7, "columns": {"z": 1, "a": 2}}},
                      "a": {"created_at": 2.5}},
            "disabled": {"c": [{"created_at": 3, "columns": {"z": {}, "a": {}}}]}, "child_map": {"x": ["y"]}}"#;
        let other = br#"{"disabled": {"c": [{"columns": {"z": {}, "a": {}}, "created_at": 4}]}, "child_map": {"x": ["y"]},
            "nodes": {"a": {"created_at": 9}, "b": {"root_path": "/there", "meta": {"columns": {"a": 2, "z": 1}, "created_at": 7}, "created_at": 1,
                "columns": {"z": {"a": 2, "b": 1}, "a": {}}}},
            "metadata": {"project_name": "shop", "env": {}, "generated_at": "2027-01-02T03:04:05.6Z", "invocation_id": "b"}}"#;
        let written = manifest(one).expect("JSON");
        assert_eq!(written, manifest(other).expect("JSON"));
        let text = String::from_utf8(written).expect("text");
        assert!(
            text.contains(r#""columns":{"z":{"a":2,"b":1},"a":{}}"#),
            "{text}"
        );
        assert!(
            text.contains(r#""meta":{"columns":{"a":2,"z":1},"created_at":7}"#),
            "{text}"
        );
        assert!(
            text.contains(r#""disabled":{"c":[{"columns":{"z":{},"a":{}},"created_at":0}]}"#),
            "{text}"
        );
        assert!(!text.contains("here"), "{text}");
    }

    #[test]
    fn an_order_of_columns_is_no_accident() {
        let of = |columns: &str| {
            let text = format!(r#"{{"nodes": {{"a": {{"columns": {columns}}}}}}}"#);
            manifest(text.as_bytes()).expect("JSON")
        };
        assert_ne!(of(r#"{"a": {}, "b": {}}"#), of(r#"{"b": {}, "a": {}}"#));
        assert!(manifest(b"{\"nodes\": ").is_err());
    }
}
