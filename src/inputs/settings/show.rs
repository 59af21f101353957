//! The effective configuration as YAML.

use super::Settings;
use super::tree::{Path, is_free};
use crate::domain::location::journal::masked;
use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};
use std::collections::{BTreeMap, BTreeSet};

impl Settings {
    /// The environment variables that hold secrets of the configuration: whatever it names by `env:`, for
    /// any environment.
    #[must_use]
    pub fn secret_variables(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        // Whatever refers to a variable is written so, see `SecretRef`.
        let mut queue = vec![serde_json::json!(self)];
        while let Some(value) = queue.pop() {
            match value {
                Json::String(text) => names.extend(text.strip_prefix("env:").map(str::to_owned)),
                Json::Array(values) => queue.extend(values),
                Json::Object(entries) => queue.extend(entries.into_iter().map(|(_, value)| value)),
                Json::Null | Json::Bool(_) | Json::Number(_) => {}
            }
        }
        names
    }

    /// The configuration as it may be printed: no password in a URL.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        shown.store.url = masked(&shown.store.url);
        shown.artifacts.url = crate::domain::location::url::shown(&shown.artifacts.url);
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

#[cfg(test)]
mod tests {
    use crate::inputs::settings::Settings;

    #[test]
    fn every_secret_that_is_named_is_known() {
        let mut settings = serde_json::json!(Settings::defaults().expect("defaults"));
        settings["connection"]["password"] = "env:OWN".into();
        settings["http"]["tokens"] =
            serde_json::json!([{"name": "ci", "secret": "env:TOKEN", "scopes": ["read"]}]);
        settings["environments"] =
            serde_json::json!({"other": {"source": {"password": "env:THEIRS"}}});
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let names = Vec::from_iter(settings.secret_variables());
        assert_eq!(names, ["OWN", "THEIRS", "TOKEN"]);
    }
}
