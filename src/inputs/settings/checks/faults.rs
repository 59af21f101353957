//! Every fault of a list of checks, with its place. As in the tree of settings, each key is tried alone
//! in a check that is otherwise good, so that one fault does not hide the next.

use super::external;
use crate::domain::checks::{Check, External, Moment, Relation, render};
use crate::foundation::sql::identifier::{MAX_IDENTIFIER_BYTES, Qualified};
use crate::foundation::sql::query::one_query;
use crate::inputs::settings::validate::LONGEST;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a check, in bytes.
const LONGEST_NAME: usize = 128;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inputs::settings) struct CheckFault {
    /// What follows `checks` in its path, for example `[1].tolerance`.
    pub(in crate::inputs::settings) place: String,
    pub(in crate::inputs::settings) message: String,
    pub(in crate::inputs::settings) remedy: String,
}

pub(super) fn fault(
    place: impl Into<String>,
    message: impl Into<String>,
    remedy: &str,
) -> CheckFault {
    CheckFault {
        place: place.into(),
        message: message.into(),
        remedy: remedy.to_owned(),
    }
}

/// A good check of each kind, with every key that the kind knows.
fn patterns() -> BTreeMap<&'static str, Value> {
    let both = json!(["before", "soak"]);
    let by_sql = [
        (
            "row_count",
            json!({"kind": "row_count", "name": "n", "relation": "s.n", "tolerance": 0, "run": both, "timeout": "1s"}),
        ),
        (
            "keys_kept",
            json!({"kind": "keys_kept", "name": "n", "relation": "s.n", "key": ["k"], "tolerance": 0, "run": both, "timeout": "1s"}),
        ),
        (
            "no_rows",
            json!({"kind": "no_rows", "name": "n", "sql": "SELECT 1", "relation": "s.n", "run": both, "timeout": "1s"}),
        ),
    ];
    let by_sql = by_sql.map(|(kind, mut pattern)| {
        pattern["level"] = json!("required");
        (kind, pattern)
    });
    BTreeMap::from_iter(by_sql.into_iter().chain(external::patterns()))
}

/// Keys that a check of a kind must have.
fn needed(kind: &str) -> &'static [&'static str] {
    match kind {
        "row_count" => &["name", "relation"],
        "keys_kept" => &["name", "relation", "key"],
        "no_rows" => &["name", "sql"],
        "prometheus" => &["name", "url", "query", "condition"],
        _ => &["name", "url"],
    }
}

/// Every fault of the list.
pub(in crate::inputs::settings) fn of(list: &Value) -> Vec<CheckFault> {
    let Some(items) = list.as_array() else {
        return vec![fault(
            "",
            "the checks are not a list",
            "write a list of checks",
        )];
    };
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let place = format!("[{index}]");
        let name = item.get("name").and_then(Value::as_str);
        if let Some(name) = name
            && !names.insert(name)
        {
            faults.push(twice(&place, name));
        }
        let own = of_one(item).into_iter().map(|found| CheckFault {
            place: format!("{place}{}", found.place),
            ..found
        });
        faults.extend(own);
    }
    faults
}

fn twice(place: &str, name: &str) -> CheckFault {
    fault(
        format!("{place}.name"),
        format!("{name:?} is the name of another check"),
        "give each check a name of its own",
    )
}

/// Those of `own` that are called like another one of `general`.
pub(in crate::inputs::settings) fn named_twice(
    general: &[Check],
    own: &[Check],
) -> Vec<CheckFault> {
    let known: BTreeSet<&str> = general.iter().map(Check::name).collect();
    own.iter()
        .enumerate()
        .filter(|(_, check)| known.contains(check.name()) && !general.contains(check))
        .map(|(index, check)| twice(&format!("[{index}]"), check.name()))
        .collect()
}

fn of_one(item: &Value) -> Vec<CheckFault> {
    let Some(given) = item.as_object() else {
        return vec![fault(
            "",
            "a check is a section with keys of its own",
            "write name, kind and what the kind needs",
        )];
    };
    let patterns = patterns();
    let kind = given
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(Value::Object(pattern)) = patterns.get(kind) else {
        let message = match given.get("kind") {
            Some(kind) => format!("{kind} is not a kind of check"),
            None => "the check has no kind".to_owned(),
        };
        return vec![fault(
            ".kind",
            message,
            "write row_count, keys_kept, no_rows, prometheus or http",
        )];
    };
    let mut faults = shape(given, pattern, needed(kind));
    if faults.is_empty() {
        match serde_json::from_value::<Check>(item.clone()) {
            Ok(check) => faults = meaning(&check),
            Err(error) => faults.push(fault("", error.to_string(), "compare it with the guide")),
        }
    }
    faults
}

/// Keys that are unknown, missing or of another type.
fn shape(
    given: &Map<String, Value>,
    pattern: &Map<String, Value>,
    needed: &[&str],
) -> Vec<CheckFault> {
    let mut faults = Vec::new();
    for (key, value) in given {
        if !pattern.contains_key(key) {
            let known: Vec<&str> = pattern.keys().map(String::as_str).collect();
            faults.push(fault(
                format!(".{key}"),
                "this key is not known to this kind of check",
                &format!("its keys are {}", known.join(", ")),
            ));
            continue;
        }
        let mut tried = pattern.clone();
        tried.insert(key.clone(), value.clone());
        if let Err(error) = serde_json::from_value::<Check>(Value::Object(tried)) {
            let example = pattern.get(key).unwrap_or(&Value::Null);
            faults.push(fault(
                format!(".{key}"),
                external::unread(key, &error),
                &format!("write it like {}", example_of(key, example)),
            ));
        }
    }
    for key in needed {
        if !given.contains_key(*key) {
            faults.push(fault(
                format!(".{key}"),
                "the check lacks this key",
                &format!("write it like {}", example_of(key, &pattern[*key])),
            ));
        }
    }
    faults
}

fn example_of(key: &str, pattern: &Value) -> String {
    match key {
        "name" => "no customer is lost".to_owned(),
        "relation" => "marts.totals, or \"my marts\".\"a.b\"".to_owned(),
        "tolerance" => "10 for rows, or 5%".to_owned(),
        "key" => "[customer]".to_owned(),
        "timeout" => "30s".to_owned(),
        "run" => "[before], [soak] or [before, soak]".to_owned(),
        "sql" => "SELECT 1 FROM {{ green(\"marts.totals\") }} WHERE total < 0".to_owned(),
        _ => match external::example_of(key) {
            Some(example) => example.to_owned(),
            None => pattern.to_string(),
        },
    }
}

/// What types do not say.
fn meaning(check: &Check) -> Vec<CheckFault> {
    let mut faults = Vec::new();
    let name = check.name();
    if name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        faults.push(fault(
            ".name",
            format!("{name:?} is not a name: it is empty, longer than {LONGEST_NAME} bytes or has control characters"),
            "write a short sentence",
        ));
    }
    let run = check.run();
    let is_twice = |moment| run.iter().filter(|one| **one == moment).count() > 1;
    if run.is_empty() || is_twice(Moment::Before) || is_twice(Moment::Soak) {
        faults.push(fault(
            ".run",
            "the check runs never, or twice at one moment",
            "write [before], [soak] or [before, soak]",
        ));
    }
    if let Some(timeout) = check.timeout()
        && (timeout.0.is_zero() || timeout.0 > LONGEST)
    {
        faults.push(fault(
            ".timeout",
            "the time must be longer than zero and not longer than a year",
            "write a time such as 30s",
        ));
    }
    match check {
        Check::RowCount { .. } => {}
        Check::KeysKept { key, .. } => faults.extend(columns(key)),
        Check::NoRows { sql, relation, .. } => faults.extend(query(sql, relation.as_ref())),
        Check::Prometheus(check) => faults.extend(external::meaning(External::Prometheus(check))),
        Check::Http(check) => faults.extend(external::meaning(External::Http(check))),
    }
    faults
}

fn columns(key: &[String]) -> Option<CheckFault> {
    let distinct: BTreeSet<&String> = key.iter().collect();
    let is_column = |column: &String| !column.is_empty() && column.len() <= MAX_IDENTIFIER_BYTES;
    if !key.is_empty() && distinct.len() == key.len() && key.iter().all(is_column) {
        return None;
    }
    Some(fault(
        ".key",
        "the key has no column, or one that is empty, too long or named twice",
        "write the names of the columns, for example [customer]",
    ))
}

/// The template is rendered with names that no relation has.
fn query(sql: &str, relation: Option<&Relation>) -> Option<CheckFault> {
    let rendered = render(sql, relation, |_, relation| {
        Qualified::object("database", &relation.schema, &relation.name).to_string()
    });
    match rendered {
        Err(reason) => Some(fault(
            ".sql",
            reason,
            "write {{ green(\"schema.name\") }} or {{ blue(\"schema.name\") }} for a relation",
        )),
        Ok(rendered) => one_query(&rendered.sql).err().map(|reason| {
            fault(
                ".sql",
                reason,
                "write one query that begins with SELECT, WITH, VALUES, SHOW or TABLE",
            )
        }),
    }
}
