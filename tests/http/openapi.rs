//! The description of the API, and whether an answer is as it says. Of JSON Schema what the
//! description uses; what it does not know it refuses.

use serde_json::Value;

pub fn document() -> Value {
    serde_json::from_str(cutover::interfaces::http::OPENAPI).expect("JSON")
}

/// Asserts that an answer is one of those that the description has for the route.
pub fn fits(method: &str, path: &str, status: u16, media_type: &str, body: &Value) {
    let document = document();
    let at = format!("{method} {path} {status}");
    let operation = &document["paths"][path][method.to_lowercase()];
    let answer = resolved(&document, &operation["responses"][status.to_string()]);
    let media_type = media_type.split(';').next().unwrap_or_default();
    let schema = &answer["content"][media_type]["schema"];
    assert!(schema.is_object(), "{at}: {media_type} is not described");
    let mut faults = Vec::new();
    check(&document, schema, body, "", &mut faults);
    assert!(faults.is_empty(), "{at}: {faults:?}\n{body:#}");
}

pub fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference within");
            document
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => schema,
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is not known here"),
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolved(document, schema).as_object().expect("a schema");
    for (key, rule) in schema {
        match key.as_str() {
            "description" | "default" => {}
            "type" => {
                let kinds = rule.as_array().cloned();
                let kinds = kinds.unwrap_or_else(|| vec![rule.clone()]);
                if !kinds
                    .iter()
                    .any(|kind| is(kind.as_str().expect("a type"), value))
                {
                    faults.push(format!("{at}: {value} is not {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().expect("a list").contains(value) {
                    faults.push(format!("{at}: {value} is none of {rule}"));
                }
            }
            "const" => {
                if rule != value {
                    faults.push(format!("{at}: {value} is not {rule}"));
                }
            }
            "minimum" => {
                if value.as_i64() < rule.as_i64() {
                    faults.push(format!("{at}: {value} is below {rule}"));
                }
            }
            "format" => {
                assert_eq!(rule, "date-time");
                let moment = value.as_str().map(str::parse::<jiff::Timestamp>);
                if !matches!(moment, Some(Ok(_))) {
                    faults.push(format!("{at}: {value} is not a moment"));
                }
            }
            "oneOf" => {
                let fitting = rule.as_array().expect("a list").iter().filter(|one| {
                    let mut found = Vec::new();
                    check(document, one, value, at, &mut found);
                    found.is_empty()
                });
                if fitting.count() != 1 {
                    faults.push(format!("{at}: {value} fits not exactly one of {rule}"));
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{at}/{number}"), faults);
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("properties") {
                    if let Some(value) = value.get(name) {
                        check(document, rule, value, &format!("{at}/{name}"), faults);
                    }
                }
            }
            "required" => {
                for name in rule.as_array().expect("a list") {
                    if value.is_object() && value.get(name.as_str().expect("a name")).is_none() {
                        faults.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false));
                for name in value
                    .as_object()
                    .into_iter()
                    .flat_map(|object| object.keys())
                {
                    if schema["properties"].get(name).is_none() {
                        faults.push(format!("{at}: {name} is not described"));
                    }
                }
            }
            "minLength" | "maxLength" | "maximum" => {}
            other => panic!("{other} is not known here"),
        }
    }
}
