//! Session variables. The front answers SHOW itself and copies to the backend what PostgreSQL must know.

use std::collections::BTreeMap;

use crate::duration;
use crate::failure::SqlError;

/// Name, default, and whether clients may change it.
const KNOWN: [(&str, &str, bool); 37] = [
    ("application_name", "", true),
    ("auto_route_catalog_queries", "on", true),
    ("client_encoding", "UTF8", true),
    ("client_min_messages", "notice", true),
    ("cluster", "quickstart", true),
    ("cluster_replica", "", true),
    ("current_object_missing_warnings", "on", true),
    ("database", "materialize", true),
    ("datestyle", "ISO, MDY", true),
    ("emit_introspection_query_notice", "on", true),
    ("emit_plan_insights_notice", "off", true),
    ("emit_timestamp_notice", "off", true),
    ("emit_trace_id_notice", "off", true),
    ("enable_rbac_checks", "on", false),
    ("enable_session_rbac_checks", "off", true),
    ("extra_float_digits", "3", true),
    ("idle_in_transaction_session_timeout", "2 min", true),
    ("integer_datetimes", "on", false),
    ("intervalstyle", "postgres", true),
    ("is_superuser", "off", false),
    ("max_query_result_size", "1GB", true),
    ("mz_version", "", false),
    ("real_time_recency", "off", true),
    ("real_time_recency_timeout", "10 s", true),
    ("search_path", "public", true),
    ("server_version", "9.5.0", false),
    ("server_version_num", "90500", false),
    ("sql_safe_updates", "off", true),
    ("standard_conforming_strings", "on", true),
    ("statement_logging_sample_rate", "0.1", true),
    ("statement_timeout", "1 min", true),
    ("timezone", "UTC", true),
    ("transaction_isolation", "strict serializable", true),
    ("transaction_read_only", "off", true),
    ("unsafe_new_transaction_wall_time", "", true),
    ("welcome_message", "on", true),
    ("row_security", "off", true),
];
const DURATIONS: [&str; 3] = [
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "real_time_recency_timeout",
];
/// Variables reported to the client at start-up and when they change.
pub const REPORTED: [(&str, &str); 13] = [
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("cluster", "cluster"),
    ("database", "database"),
    ("datestyle", "DateStyle"),
    ("integer_datetimes", "integer_datetimes"),
    ("intervalstyle", "IntervalStyle"),
    ("mz_version", "mz_version"),
    ("search_path", "search_path"),
    ("server_version", "server_version"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
    ("transaction_isolation", "transaction_isolation"),
];

/// The variables of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    defaults: BTreeMap<&'static str, String>,
    values: BTreeMap<&'static str, String>,
    local: BTreeMap<&'static str, String>,
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(
        "42704",
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn entry(name: &str) -> Result<&'static (&'static str, &'static str, bool), SqlError> {
    let folded = name.to_ascii_lowercase();
    KNOWN
        .iter()
        .find(|(known, _, _)| *known == folded)
        .ok_or_else(|| unknown(name))
}

impl Variables {
    /// Defaults of a server that announces `version`.
    pub fn new(version: &str) -> Self {
        let mut defaults: BTreeMap<_, _> = KNOWN
            .iter()
            .map(|(name, value, _)| (*name, (*value).to_owned()))
            .collect();
        defaults.insert("mz_version", version.to_owned());
        Self {
            defaults,
            values: BTreeMap::new(),
            local: BTreeMap::new(),
        }
    }

    /// The present value.
    pub fn get(&self, name: &str) -> Result<&str, SqlError> {
        let (name, _, _) = entry(name)?;
        let found = self
            .local
            .get(name)
            .or_else(|| self.values.get(name))
            .or_else(|| self.defaults.get(name));
        Ok(found.map_or("", String::as_str))
    }

    /// A variable that is known to exist.
    pub fn known(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Sets a value; none means the default.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<(), SqlError> {
        let (name, _, settable) = entry(name)?;
        if !settable {
            return Err(SqlError::new(
                "55P02",
                format!("parameter \"{name}\" cannot be changed"),
            ));
        }
        let target = if local {
            &mut self.local
        } else {
            &mut self.values
        };
        match value {
            None => {
                target.remove(name);
            }
            Some(value) => {
                let value = if DURATIONS.contains(name) {
                    let ms = duration::milliseconds(value, 1).ok_or_else(|| {
                        SqlError::new(
                            "22023",
                            format!("parameter \"{name}\" cannot have value \"{value}\""),
                        )
                    })?;
                    duration::show(ms)
                } else {
                    value.to_owned()
                };
                target.insert(name, value);
            }
        }
        Ok(())
    }

    /// Makes a start-up value the session's default.
    pub fn set_default(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        self.set(name, Some(value), false)?;
        let (name, _, _) = entry(name)?;
        if let Some(value) = self.values.remove(name) {
            self.defaults.insert(name, value);
        }
        Ok(())
    }

    /// Back to the defaults.
    pub fn reset(&mut self) {
        self.values.clear();
        self.local.clear();
    }

    /// Ends SET LOCAL.
    pub fn end_transaction(&mut self) {
        self.local.clear();
    }

    /// All names and values.
    pub fn all(&self) -> Vec<(String, String)> {
        KNOWN
            .iter()
            .map(|(name, _, _)| ((*name).to_owned(), self.known(name).to_owned()))
            .collect()
    }

    /// The statement timeout; none when it is off.
    pub fn statement_timeout(&self) -> Option<std::time::Duration> {
        let ms = duration::milliseconds(self.known("statement_timeout"), 1).unwrap_or(0);
        (ms > 0).then(|| std::time::Duration::from_millis(ms))
    }

    /// The search path as names.
    pub fn search_path(&self) -> Vec<String> {
        self.known("search_path")
            .split(',')
            .map(|p| p.trim().trim_matches('"').to_owned())
            .filter(|p| !p.is_empty())
            .collect()
    }
}

/// Reads the `options` start-up parameter: `--name=value`, `-c name=value`, blanks escaped by a backslash.
pub fn parse_options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => words
                .last_mut()
                .into_iter()
                .for_each(|w| w.extend(chars.next())),
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|w| w.push(c)),
        }
    }
    let mut out = Vec::new();
    let mut words = words.into_iter().filter(|w| !w.is_empty());
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().unwrap_or_default()
        } else {
            word.trim_start_matches("--")
                .trim_start_matches("-c")
                .to_owned()
        };
        if let Some((name, value)) = setting.split_once('=') {
            out.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_escapes() {
        let read =
            parse_options("--welcome_message=off --search_path=a,\\ b -c cluster=c -cdatabase=d");
        let want = [
            ("welcome_message", "off"),
            ("search_path", "a, b"),
            ("cluster", "c"),
            ("database", "d"),
        ];
        assert_eq!(read, want.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn values_defaults_and_locals() {
        let mut v = Variables::new("v1");
        assert_eq!(v.known("mz_version"), "v1");
        v.set("statement_timeout", Some("10s"), false).unwrap();
        assert_eq!(v.known("statement_timeout"), "10 s");
        v.set("cluster", Some("x"), true).unwrap();
        assert_eq!(v.known("cluster"), "x");
        v.end_transaction();
        assert_eq!(v.known("cluster"), "quickstart");
        assert_eq!(
            v.set("no_such_setting", Some("1"), false).unwrap_err().code,
            "42704"
        );
    }
}
