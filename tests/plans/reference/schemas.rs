//! The API and the plan, from their documents.

use super::{cell, code, head, table};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

const API: &str = "\
Where the daemon listens, who may ask for what, and what a client should handle: [Operations](../operations.md#http-api). The
document from which this page is written is [openapi.json](../openapi.json); the daemon serves it as `/v1/openapi.json`.";

const PLAN: &str = "\
`cutover plan --format json` prints this document; `cutover show` keeps it. Its schema is
[plan.schema.json](../plan.schema.json).";

fn document(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(path).expect("a document");
    serde_json::from_str(&text).expect("JSON")
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The last word of a reference, or the value that it leads to.
fn name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn followed<'a>(value: &'a Value, whole: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => whole
            .pointer(reference.trim_start_matches('#'))
            .expect("what is referred to"),
        None => value,
    }
}

/// What kind of value a schema describes, with a link to what has a section of its own.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = name(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(constant) = schema.get("const") {
        return code(&constant.to_string());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words
            .iter()
            .map(|it| code(&it.to_string().replace('"', "")))
            .collect();
        return words.join(", ");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(several) = schema[key].as_array() {
            let several: Vec<_> = several.iter().map(kind).collect();
            return several.join(" or ");
        }
    }
    let of_one = |word: &str| match word {
        "array" if schema["items"].is_object() => format!("list of {}", kind(&schema["items"])),
        "array" => "list".to_owned(),
        "object" if schema["additionalProperties"].is_object() => {
            format!("by name: {}", kind(&schema["additionalProperties"]))
        }
        "boolean" => "true or false".to_owned(),
        "integer" => "whole number".to_owned(),
        "string" => "text".to_owned(),
        word => word.to_owned(),
    };
    match &schema["type"] {
        Value::String(word) => of_one(word),
        Value::Array(words) => {
            let words: Vec<_> = words.iter().map(|it| of_one(text(it))).collect();
            words.join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    }
}

fn fields(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let rows: Vec<_> = entries(&schema["properties"])
        .map(|(name, field)| {
            let may = if required.contains(&name.as_str()) {
                ""
            } else {
                ", may be absent"
            };
            vec![
                code(name),
                format!("{}{may}", kind(field)),
                cell(text(&field["description"])),
            ]
        })
        .collect();
    table(&["field", "kind", "what"], &rows)
}

fn sections(schemas: &Value, level: &str) -> String {
    let mut page = String::new();
    for (name, schema) in entries(schemas) {
        write!(page, "{level} {name}\n\n").expect("a page");
        let about = text(&schema["description"]);
        if !about.is_empty() {
            write!(page, "{}\n\n", cell(about)).expect("a page");
        }
        let fields = fields(schema);
        if fields.is_empty() {
            write!(page, "{}\n\n", kind(schema)).expect("a page");
        }
        page += &fields;
    }
    page
}

pub(super) fn plan() -> String {
    let schema = document("docs/plan.schema.json");
    let mut page = head("The plan as JSON", PLAN, "docs/plan.schema.json");
    write!(
        page,
        "{}\n\n{}",
        cell(text(&schema["description"])),
        fields(&schema)
    )
    .expect("a page");
    page += &sections(&schema["$defs"], "##");
    page.trim_end().to_owned() + "\n"
}

pub(super) fn api() -> String {
    let api = document("docs/openapi.json");
    let mut page = head("HTTP API", API, "docs/openapi.json");
    let routes: Vec<(&String, &String, &Value)> = entries(&api["paths"])
        .flat_map(|(path, methods)| {
            entries(methods).map(move |(method, route)| (path, method, route))
        })
        .collect();
    page += "## Routes\n\n";
    let rows: Vec<_> = routes
        .iter()
        .map(|(path, method, route)| {
            let head = format!("{} {path}", method.to_uppercase());
            vec![code(&head), cell(text(&route["summary"]))]
        })
        .collect();
    page += &table(&["route", "what"], &rows);
    for (path, method, route) in routes {
        write!(page, "### {} {path}\n\n", method.to_uppercase()).expect("a page");
        let parts = [text(&route["summary"]), text(&route["description"])];
        let parts = parts.iter().filter(|it| !it.is_empty());
        let parts: Vec<_> = parts
            .map(|it| cell(it.strip_suffix('.').unwrap_or(it)))
            .collect();
        write!(page, "{}.\n\n", parts.join(". ")).expect("a page");
        let given = route["parameters"].as_array().into_iter().flatten();
        let rows: Vec<_> = given
            .map(|it| followed(it, &api))
            .map(|it| {
                let place = format!("{} in the {}", code(text(&it["name"])), text(&it["in"]));
                vec![place, kind(&it["schema"]), cell(text(&it["description"]))]
            })
            .collect();
        page += &table(&["parameter", "kind", "what"], &rows);
        let body = &route["requestBody"]["content"]["application/json"]["schema"];
        if body.is_object() {
            write!(page, "Body: {}\n\n", kind(body)).expect("a page");
        }
        let rows: Vec<_> = entries(&route["responses"])
            .map(|(code, answer)| {
                let answer = followed(answer, &api);
                let schema = entries(&answer["content"]).find_map(|(_, it)| it.get("schema"));
                let schema = schema.map(kind).unwrap_or_default();
                vec![code.clone(), schema, cell(text(&answer["description"]))]
            })
            .collect();
        page += &table(&["status", "body", "when"], &rows);
    }
    page += "## Documents\n\n";
    page += &sections(&api["components"]["schemas"], "###");
    page.trim_end().to_owned() + "\n"
}
