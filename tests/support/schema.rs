//! As much of JSON Schema 2020-12 as `docs/plan.schema.json` uses.

use serde_json::Value;
use std::collections::BTreeSet;

/// What a document broke, and which properties of the schema were met.
#[derive(Debug, Default)]
pub struct Checked {
    /// One sentence each.
    pub faults: Vec<String>,
    /// Pointers into the schema, of properties that the document has.
    pub met: BTreeSet<String>,
}

/// Checks a document.
pub fn check(schema: &Value, document: &Value) -> Checked {
    let mut checked = Checked::default();
    visit(schema, "", document, "$", &mut checked);
    checked
}

/// Pointers of every property that the schema describes, and of those without a description.
pub fn properties(schema: &Value) -> (BTreeSet<String>, Vec<String>) {
    let (mut all, mut silent) = (BTreeSet::new(), Vec::new());
    let mut waiting = vec![(String::new(), schema)];
    while let Some((at, part)) = waiting.pop() {
        if let Some(properties) = part["properties"].as_object() {
            for (name, property) in properties {
                let place = format!("{at}/properties/{name}");
                if property["description"].is_null() && property["$ref"].is_null() {
                    silent.push(place.clone());
                }
                all.insert(place);
            }
            if part["additionalProperties"] != Value::Bool(false) {
                silent.push(format!("{at}: open"));
            }
        }
        for (number, one) in part["oneOf"].as_array().into_iter().flatten().enumerate() {
            waiting.push((format!("{at}/oneOf/{number}"), one));
        }
        for (name, one) in part["$defs"].as_object().into_iter().flatten() {
            waiting.push((format!("{at}/$defs/{name}"), one));
        }
    }
    (all, silent)
}

fn visit(root: &Value, at: &str, value: &Value, place: &str, checked: &mut Checked) {
    let part = root.pointer(at).unwrap_or(&Value::Null);
    if let Some(target) = part["$ref"].as_str() {
        return visit(root, target.trim_start_matches('#'), value, place, checked);
    }
    if let Some(cases) = part["oneOf"].as_array() {
        let fits: Vec<Checked> = (0..cases.len())
            .map(|number| {
                let mut case = Checked::default();
                visit(
                    root,
                    &format!("{at}/oneOf/{number}"),
                    value,
                    place,
                    &mut case,
                );
                case
            })
            .filter(|case| case.faults.is_empty())
            .collect();
        if fits.len() != 1 {
            let faults = &mut checked.faults;
            faults.push(format!("{place}: {} of the cases fit {value}", fits.len()));
        }
        checked
            .met
            .extend(fits.into_iter().flat_map(|case| case.met));
        return;
    }
    let mut fault = |what: String| checked.faults.push(format!("{place}: {what}"));
    if !part["const"].is_null() && part["const"] != *value {
        fault(format!("{value} is not {}", part["const"]));
    }
    if let Some(allowed) = part["enum"].as_array()
        && !allowed.contains(value)
    {
        fault(format!("{value} is none of {allowed:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = match &part["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    };
    if !is_kind {
        fault(format!("{value} is no {}", part["type"]));
    }
    for name in part["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap_or_default()).is_none() {
            fault(format!("{name} is missing"));
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        let items = format!("{at}/items");
        visit(root, &items, item, &format!("{place}[{number}]"), checked);
    }
    for (name, item) in value.as_object().into_iter().flatten() {
        let inside = format!("{place}.{name}");
        let property = format!("{at}/properties/{name}");
        if root.pointer(&property).is_some() {
            checked.met.insert(property.clone());
            visit(root, &property, item, &inside, checked);
        } else if part["additionalProperties"].is_object() {
            visit(
                root,
                &format!("{at}/additionalProperties"),
                item,
                &inside,
                checked,
            );
        } else {
            checked.faults.push(format!("{inside}: not described"));
        }
    }
}
