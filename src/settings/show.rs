//! The effective configuration as YAML.

use super::Settings;
use super::tree::{Path, is_free};
use crate::store::masked;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;

impl Settings {
    /// The configuration as it may be printed: no password in a URL.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        shown.store.url = masked(&shown.store.url);
        shown.artifacts.url = crate::artifacts::shown(&shown.artifacts.url);
        shown
    }
}

/// The configuration as YAML, with the origin of each value that was set.
pub(super) fn yaml(settings: &Settings, origins: &BTreeMap<Path, String>) -> String {
    let shown = settings.without_secrets();
    let mut text = String::new();
    if let Ok(Value::Mapping(root)) = serde_yaml::to_value(&shown) {
        section(&root, &mut Vec::new(), origins, &mut text);
    }
    text
}

fn section(
    entries: &Mapping,
    path: &mut Path,
    origins: &BTreeMap<Path, String>,
    text: &mut String,
) {
    for (key, value) in entries {
        let key = key.as_str().unwrap_or_default();
        let indent = "  ".repeat(path.len());
        path.push(key.to_owned());
        text.push_str(&indent);
        text.push_str(&inline(&Value::from(key)));
        text.push(':');
        // Variables are free documents: below their name nothing has an origin of its own.
        let variable = matches!(path.as_slice(), [.., parent, free, _] if is_free(parent, free));
        let below = value
            .as_mapping()
            .filter(|below| !below.is_empty() && !variable);
        if let Some(below) = below {
            text.push('\n');
            section(below, path, origins, text);
        } else {
            text.push(' ');
            text.push_str(&inline(value));
            if let Some(origin) = origins.get(path) {
                text.push_str("  # ");
                text.push_str(&origin.replace(char::is_control, " "));
            }
            text.push('\n');
        }
        path.pop();
    }
}

/// The value on one line: plain YAML where that is one line, JSON otherwise, which YAML contains.
fn inline(value: &Value) -> String {
    if value.is_string()
        && let Ok(plain) = serde_yaml::to_string(value)
        && let Some(line) = plain.strip_suffix('\n')
        && !line.contains('\n')
    {
        return line.to_owned();
    }
    serde_json::to_string(value).unwrap_or_default()
}
