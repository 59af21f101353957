//! What a guest sees of our environment: nothing that is not allowed by name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

/// A guest's environment.
pub type Variables = BTreeMap<OsString, OsString>;

/// Names, or prefixes ending in `*`, that every guest gets. `DBT_*` because profiles and projects read it.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "VIRTUAL_ENV",
    "DBT_*",
];

/// dbt's own switches that would change what an invocation does, without `DBT_` (or `DBT_ENGINE_`).
/// Flags win over most of them, but not every one has a flag that says "no".
/// `DBT_TARGET`, `DBT_PROFILE` and the like stay: flags win, and profiles often read them.
const SWITCHES: &[&str] = &[
    "ARTIFACT_STATE_PATH",
    "CLEAN_PROJECT_FILES_ONLY",
    "DEBUG",
    "DEFER",
    "DEFER_STATE",
    "DEFER_TO_STATE",
    "EMPTY",
    "EVENT_TIME_END",
    "EVENT_TIME_START",
    "EXCLUDE_RESOURCE_TYPES",
    "EXPORT_SAVED_QUERIES",
    "FAIL_FAST",
    "FAVOR_STATE",
    "FAVOR_STATE_MODE",
    "FULL_REFRESH",
    "INCLUDE_SAVED_QUERY",
    "INDIRECT_SELECTION",
    "LOG_CACHE_EVENTS",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "LOG_PATH",
    "NO_PRINT",
    "PARTIAL_PARSE_FILE_DIFF",
    "PARTIAL_PARSE_FILE_PATH",
    "PRINT",
    "QUIET",
    "RESOURCE_TYPES",
    "SAMPLE",
    "STATE",
    "TARGET_PATH",
    "UPLOAD_TO_ARTIFACTS_INGEST_API",
    "USE_COLORS",
    "WRITE_JSON",
];

/// What Cutover's own variables begin with: its configuration, and the token of the command line.
const OWN: &str = "CUTOVER_*";

/// Which variables reach dbt, and what is rendered here as dbt renders it. A commit can print whatever it
/// sees, so what is Cutover's own stays out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passes {
    /// Names, or prefixes ending in `*`.
    pub patterns: Vec<String>,
    /// Variables that hold secrets of the configuration. Like Cutover's own, they pass only where their
    /// whole name is a pattern.
    pub secrets: BTreeSet<String>,
    /// Whether other environments' secrets may be around: a lone `*` then lets nothing pass.
    pub is_shared: bool,
}

impl Passes {
    /// Whether the variable may be seen.
    #[must_use]
    pub fn lets(&self, name: &OsStr) -> bool {
        let mut patterns = self.patterns.iter();
        let is_secret = matches(OWN, name) || self.secrets.iter().any(|secret| name == &**secret);
        if is_secret {
            return patterns.any(|pattern| name == &**pattern);
        }
        ALLOWED.iter().any(|pattern| matches(pattern, name))
            || patterns.any(|pattern| !(self.is_shared && pattern == "*") && matches(pattern, name))
    }
}

/// The variables of `source` that pass, without dbt's own switches.
#[must_use]
pub fn allowed(
    source: impl IntoIterator<Item = (OsString, OsString)>,
    passes: &Passes,
) -> Variables {
    source
        .into_iter()
        .filter(|(name, _)| passes.lets(name) && !is_switch(name))
        .collect()
}

fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.as_encoded_bytes().starts_with(prefix.as_bytes()),
        None => name == pattern,
    }
}

fn is_switch(name: &OsStr) -> bool {
    let Some(name) = name.to_str().and_then(|name| name.strip_prefix("DBT_")) else {
        return false;
    };
    let plain = name.strip_prefix("ENGINE_").unwrap_or(name);
    SWITCHES.contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::{Passes, allowed};
    use std::ffi::OsString;

    fn pass(names: &[&str], patterns: &[&str]) -> Vec<String> {
        let source = names.iter().map(|name| (OsString::from(name), "v".into()));
        let passes = Passes {
            patterns: patterns.iter().map(|&p| p.to_owned()).collect(),
            secrets: ["GIT_TOKEN".to_owned(), "DBT_ENV_SECRET_PROD".to_owned()].into(),
            is_shared: patterns.contains(&"shared"),
        };
        allowed(source, &passes)
            .into_keys()
            .filter_map(|name| name.into_string().ok())
            .collect()
    }

    #[test]
    fn only_allowed_names_pass() {
        let names = [
            "AWS_SECRET_ACCESS_KEY",
            "DBT_ENV_SECRET_X",
            "HOME",
            "LC_ALL",
            "LD_PRELOAD",
            "MZ_HOST",
            "MZ_PORT",
            "PATH",
            "PATHOLOGY",
            "https_proxy",
        ];
        assert_eq!(
            pass(&names, &["MZ_*", "AWS"]),
            [
                "DBT_ENV_SECRET_X",
                "HOME",
                "LC_ALL",
                "MZ_HOST",
                "MZ_PORT",
                "PATH",
                "https_proxy"
            ]
        );
    }

    #[test]
    fn secrets_of_the_configuration_pass_only_by_their_whole_name() {
        let names = [
            "CUTOVER_TOKEN",
            "CUTOVER__STORE__URL",
            "DBT_ENV_SECRET_PROD",
            "DBT_ENV_SECRET_X",
            "GIT_TOKEN",
            "REGION",
        ];
        assert_eq!(pass(&names, &["*"]), ["DBT_ENV_SECRET_X", "REGION"]);
        let named = pass(&names, &["GIT_*", "CUTOVER_TOKEN", "DBT_ENV_SECRET_PROD"]);
        assert_eq!(
            named,
            ["CUTOVER_TOKEN", "DBT_ENV_SECRET_PROD", "DBT_ENV_SECRET_X"]
        );
        assert_eq!(pass(&names, &["*", "shared"]), ["DBT_ENV_SECRET_X"]);
        assert_eq!(
            pass(&names, &["*", "shared", "REG*"]),
            ["DBT_ENV_SECRET_X", "REGION"]
        );
    }

    #[test]
    fn switches_of_dbt_do_not_pass_even_when_named() {
        let names = [
            "DBT_ENGINE_FAVOR_STATE",
            "DBT_FAVOR_STATE",
            "DBT_FULL_REFRESH",
            "DBT_TARGET",
            "DBT_WARN_ERROR",
        ];
        assert_eq!(
            pass(&names, &["DBT_FULL_REFRESH"]),
            ["DBT_TARGET", "DBT_WARN_ERROR"]
        );
    }
}
