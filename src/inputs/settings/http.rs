//! The section `http`: where the API listens, and who may ask what of it.

use super::{Environment, Fault, SecretRef, Span};
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The largest body that can be admitted, in bytes.
const LARGEST_BODY: u32 = 16 << 20;

/// The longest time that a request can be given.
const LONGEST_REQUEST: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// The HTTP API of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address; `None`: only the socket.
    pub listen: Option<SocketAddr>,
    /// The Unix socket; `None`: only the address.
    pub socket: Option<PathBuf>,
    /// The URL under which others reach this daemon.
    pub advertise: Option<String>,
    /// The certificate of the address.
    pub tls: Tls,
    /// Whether tokens may cross a network unencrypted.
    pub insecure: bool,
    /// Whether anybody who reaches the address may read the metrics, which name the environments.
    pub open_metrics: bool,
    /// Whether the page is served at `/`.
    pub page: bool,
    /// The largest body of a request, in bytes.
    pub body_limit: u32,
    /// Requests a second, per token, or per client address without one.
    pub requests_per_second: u32,
    /// The longest time for one answer.
    pub request_timeout: Span,
    /// Who may ask what, over the address.
    pub tokens: Vec<Token>,
}

/// Certificate and key; both or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, PEM, the server's own certificate first.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
}

/// A bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the log calls it.
    pub name: String,
    /// Where it is.
    pub secret: SecretRef,
    /// What may be asked with it.
    pub scopes: BTreeSet<Scope>,
    /// Of which environments; of all when empty.
    #[serde(default)]
    pub environments: BTreeSet<String>,
    /// Groups of its holder, for `approvals.by`.
    #[serde(default)]
    pub groups: BTreeSet<String>,
}

stored_words! {
    /// What may be asked with a token.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Scope {
        /// To look.
        Read = "read",
        /// To start releases, which wait for somebody to promote them, and to abort.
        Release = "release",
        /// To approve, promote, roll back, clean up and resume; with `release`, to start releases that promote themselves
        /// and to accept refusals.
        Promote = "promote",
        /// To build, look at and tear down corners of pull requests, and nothing else.
        Ci = "ci",
    }
}

impl Http {
    /// Where others reach a daemon of this configuration that listens there.
    #[must_use]
    pub fn address(&self, listen: Option<SocketAddr>) -> Option<String> {
        if self.advertise.is_some() {
            return self.advertise.clone();
        }
        // Every address of this machine is none that another one could ask.
        let listen = listen.filter(|listen| !listen.ip().is_unspecified())?;
        let scheme = match self.tls.certificate {
            Some(_) => "https",
            None => "http",
        };
        Some(format!("{scheme}://{listen}"))
    }

    /// Every fault that the types admit.
    pub(super) fn faults(&self, environments: &BTreeMap<String, Environment>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut unless = |good: bool, path: &str, message: String, remedy: &str| {
            if !good {
                faults.push(Fault {
                    place: String::new(),
                    path: format!("http.{path}"),
                    message,
                    remedy: remedy.to_owned(),
                });
            }
        };
        let (certificate, key) = (&self.tls.certificate, &self.tls.key);
        unless(
            certificate.is_some() == key.is_some(),
            if key.is_none() {
                "tls.key"
            } else {
                "tls.certificate"
            },
            "certificate and key belong together".to_owned(),
            "give both, or neither",
        );
        if let Some(listen) = self.listen {
            unless(
                listen.ip().is_loopback() || certificate.is_some() || self.insecure,
                "listen",
                format!(
                    "{listen} can be reached from other machines and tokens would cross the network unencrypted"
                ),
                "give http.tls, listen on 127.0.0.1, or set http.insecure where something else encrypts",
            );
        }
        unless(
            self.socket
                .as_ref()
                .is_none_or(|path| !path.as_os_str().is_empty()),
            "socket",
            "the path is empty".to_owned(),
            "write a path, for example .cutover/daemon.sock, or null",
        );
        if let Some(url) = &self.advertise {
            let is_url = reqwest::Url::parse(url)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            unless(
                is_url,
                "advertise",
                format!("{url:?} is not a URL of this daemon"),
                "write http://HOST:PORT or https://HOST:PORT",
            );
        }
        unless(
            (1..=LARGEST_BODY).contains(&self.body_limit),
            "body_limit",
            format!("the number must be from 1 to {LARGEST_BODY}"),
            "write a number of bytes, for example 65536",
        );
        unless(
            self.requests_per_second >= 1,
            "requests_per_second",
            "the number must be at least 1".to_owned(),
            "write 1 or more",
        );
        unless(
            !self.request_timeout.0.is_zero() && self.request_timeout.0 <= LONGEST_REQUEST,
            "request_timeout",
            "the time must be longer than zero and at most an hour".to_owned(),
            "write a time such as 30s",
        );
        let mut names = BTreeSet::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let path = format!("tokens[{at}]");
            unless(
                !token.name.trim().is_empty()
                    && token.name.len() <= 128
                    && !token.name.contains(char::is_control),
                &format!("{path}.name"),
                "the name is empty, longer than 128 bytes or has control characters".to_owned(),
                "write a short word; the log shows it",
            );
            unless(
                names.insert(&token.name),
                &format!("{path}.name"),
                format!("there is another token {:?}", token.name),
                "give each token a name of its own",
            );
            unless(
                !token.scopes.is_empty(),
                &format!("{path}.scopes"),
                "the token may do nothing".to_owned(),
                "write some of read, release, promote and ci",
            );
            for name in &token.environments {
                unless(
                    environments.is_empty() || environments.contains_key(name),
                    &format!("{path}.environments"),
                    format!("there is no environment {name:?}"),
                    "name environments of the section environments",
                );
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use crate::inputs::settings::Settings;
    use serde_json::{Value, json};

    fn faults(changes: Value) -> Vec<String> {
        let defaults = Settings::defaults().expect("defaults");
        let mut tree = serde_json::to_value(&defaults.http).expect("JSON");
        for (key, value) in changes.as_object().expect("changes") {
            tree[key] = value.clone();
        }
        let http = super::Http {
            ..serde_json::from_value(tree).expect("a section")
        };
        let faults = http.faults(&defaults.environments);
        faults.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn every_fault_is_found_at_once() {
        assert_eq!(faults(json!({})), Vec::<String>::new());
        let token = json!({"name": "ci", "secret": "env:A", "scopes": ["read"]});
        let found = faults(json!({
            "listen": "0.0.0.0:8425", "socket": "", "advertise": "daemon:8425",
            "tls": {"certificate": "cert.pem", "key": null}, "body_limit": 0,
            "requests_per_second": 0, "request_timeout": "0s",
            "tokens": [token, {"name": "ci", "secret": "file:a", "scopes": []}],
        }));
        assert_eq!(
            found,
            [
                "http.tls.key",
                "http.socket",
                "http.advertise",
                "http.body_limit",
                "http.requests_per_second",
                "http.request_timeout",
                "http.tokens[1].name",
                "http.tokens[1].scopes",
            ]
        );
    }

    #[test]
    fn what_others_can_reach_needs_tls_or_somebody_who_says_otherwise() {
        for (listen, insecure, expected) in [
            ("127.0.0.1:1", false, vec![]),
            ("[::1]:1", false, vec![]),
            ("0.0.0.0:1", false, vec!["http.listen"]),
            ("[::]:1", false, vec!["http.listen"]),
            ("10.0.0.1:1", true, vec![]),
        ] {
            let found = faults(json!({"listen": listen, "insecure": insecure}));
            assert_eq!(found, expected, "{listen}");
        }
    }

    #[test]
    fn a_secret_in_the_place_of_its_reference_is_not_repeated() {
        let token = json!({"name": "ci", "secret": "hunter2-hunter2", "scopes": ["read"]});
        let error = serde_json::from_value::<super::Token>(token).expect_err("no reference");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
