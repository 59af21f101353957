//! Who is told by chat, mail, pager or webhook, and in which words.

use super::notify::{Format, Topic, Webhook, usual_timeout};
use super::validate::Faults;
use super::{SecretError, SecretRef, Settings};
use crate::domain::notice;
use crate::foundation::environment::Environment;
use crate::foundation::span::Span;
use lettre::Address;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;

/// Where PagerDuty takes events, for accounts that are not in Europe.
pub const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// The word in the place of an address that means the owners of what a message is about.
pub const OWNERS: &str = "owners";

/// The most addresses that one target may name.
const MOST_ADDRESSES: usize = 50;

/// Whoever is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name, for `notify`, for metrics and in the journal.
    pub name: String,
    /// What it is told; what is usual for its kind without.
    #[serde(default)]
    pub events: Option<Vec<Topic>>,
    /// Deadline of one delivery.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
    /// The template of the title.
    #[serde(default)]
    pub title: Option<String>,
    /// The template of the text below it.
    #[serde(default)]
    pub text: Option<String>,
    /// How it is told.
    #[serde(flatten)]
    pub kind: Kind,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// An incoming webhook of Slack.
    Slack {
        /// Its address, which is a secret.
        url: SecretRef,
    },
    /// A webhook of a workflow of Microsoft Teams.
    Teams {
        /// Its address, which is a secret.
        url: SecretRef,
    },
    /// Mail.
    Email(Email),
    /// Events of PagerDuty, version 2.
    Pagerduty {
        /// The integration key of the service.
        routing_key: SecretRef,
        /// Where events are taken; another one in Europe.
        #[serde(default = "pagerduty")]
        url: String,
    },
    /// JSON to any address.
    Generic {
        /// The address: a URL, or a reference where the URL itself is a secret.
        url: String,
        /// The shape of the body.
        #[serde(default)]
        format: Format,
        /// What signs the bodies; not signed without.
        #[serde(default)]
        secret: Option<SecretRef>,
    },
}

fn pagerduty() -> String {
    PAGERDUTY.to_owned()
}

/// A mail server, and who gets mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// `HOST:PORT`.
    pub server: String,
    /// How it is encrypted.
    #[serde(default)]
    pub tls: MailTls,
    /// Who logs in; nobody without.
    #[serde(default)]
    pub user: Option<String>,
    /// With which password.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// The sender's address.
    pub from: String,
    /// Addresses, and `owners`: those of the owners of what a message is about.
    pub to: Recipients,
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// It begins unencrypted and must go over to TLS before anything is said.
    #[default]
    Starttls,
    /// It is TLS from the beginning.
    Implicit,
    /// Never; only to this machine.
    None,
}

/// One address or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Recipients {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Recipients {
    /// Each as it is written.
    #[must_use]
    pub fn written(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

impl Email {
    /// Host and port of the server.
    #[must_use]
    pub fn place(&self) -> Option<(&str, u16)> {
        let (host, port) = self.server.rsplit_once(':')?;
        let host = host
            .strip_prefix('[')
            .map_or(Some(host), |host| host.strip_suffix(']'))?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
        is_host.then_some((host, port))
    }
}

impl Target {
    /// What it is told.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        let events = self.events.clone();
        events.unwrap_or_else(|| match &self.kind {
            Kind::Pagerduty { .. } => Topic::TROUBLE.to_vec(),
            Kind::Slack { .. } | Kind::Teams { .. } | Kind::Email(_) | Kind::Generic { .. } => {
                Topic::usual()
            }
        })
    }

    /// The word of its kind.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Slack { .. } => "slack",
            Kind::Teams { .. } => "teams",
            Kind::Email(_) => "email",
            Kind::Pagerduty { .. } => "pagerduty",
            Kind::Generic { .. } => "generic",
        }
    }

    /// What stands behind a reference of this target; `key` is the last part of its key.
    ///
    /// # Errors
    /// A reference that leads nowhere.
    pub fn secret(
        &self,
        reference: &SecretRef,
        key: &str,
        base: &Path,
    ) -> Result<SecretString, SecretError> {
        let key = format!("notifications.{}.{key}", self.name);
        reference.resolve(&key, base, &Environment::of_process())
    }

    fn check(&self, path: &str, faults: &mut Faults) {
        faults.span(&format!("{path}.timeout"), self.timeout, false);
        for (key, written) in [("title", &self.title), ("text", &self.text)] {
            if let Some(why) = written.as_deref().and_then(notice::template_fault) {
                faults.unless(
                    false,
                    &format!("{path}.{key}"),
                    format!("the template cannot be used: {why}"),
                    &format!("name only {}", variables()),
                );
            }
        }
        match &self.kind {
            Kind::Slack { .. } | Kind::Teams { .. } => {}
            Kind::Generic { url, .. } => address(url, path, faults),
            Kind::Pagerduty { url, .. } => {
                faults.unless(
                    is_address(url),
                    &format!("{path}.url"),
                    "this is no http or https address",
                    "leave it out, or write https://events.eu.pagerduty.com/v2/enqueue",
                );
                let topics = self.topics();
                let quiet = topics.iter().filter(|one| !Topic::TROUBLE.contains(one));
                let quiet: Vec<String> = quiet.map(Topic::word).collect();
                faults.unless(
                    quiet.is_empty(),
                    &format!("{path}.events"),
                    format!("nobody is called for {}", quiet.join(", ")),
                    "name only trouble; what mends it is told by itself",
                );
            }
            Kind::Email(email) => email.check(path, faults),
        }
    }
}

impl Email {
    fn check(&self, path: &str, faults: &mut Faults) {
        let place = self.place();
        faults.unless(
            place.is_some(),
            &format!("{path}.server"),
            format!("{:?} is not HOST:PORT", self.server),
            "write, for example, smtp.example.com:587",
        );
        let is_here = place.is_some_and(|(host, _)| {
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        });
        faults.unless(
            self.tls != MailTls::None || is_here,
            &format!("{path}.tls"),
            "mail, and the password, would cross the network unencrypted",
            "write starttls or implicit; none is for a server on this machine",
        );
        faults.unless(
            self.user.is_some() == self.password.is_some(),
            &format!(
                "{path}.{}",
                if self.user.is_some() {
                    "password"
                } else {
                    "user"
                }
            ),
            "user and password belong together",
            "give both, or neither",
        );
        let is_good = |address: &str| address.is_ascii() && Address::from_str(address).is_ok();
        faults.unless(
            is_good(&self.from),
            &format!("{path}.from"),
            format!("{:?} is no address", self.from),
            "write NAME@HOST",
        );
        let to = self.to.written();
        faults.unless(
            (1..=MOST_ADDRESSES).contains(&to.len()),
            &format!("{path}.to"),
            format!("there is nobody, or there are more than {MOST_ADDRESSES}"),
            "write addresses, or owners",
        );
        for written in to {
            faults.unless(
                written == OWNERS || is_good(written),
                &format!("{path}.to"),
                format!("{written:?} is neither an address nor the word {OWNERS}"),
                "write NAME@HOST, or owners",
            );
        }
    }
}

impl Settings {
    /// Everybody who can be told: webhooks are targets of the kind `generic`.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let webhooks = self.webhooks.iter().map(Webhook::target);
        webhooks.chain(self.notifications.iter().cloned()).collect()
    }

    /// Those who are told of the environment.
    #[must_use]
    pub fn told(&self) -> Vec<Target> {
        let mut targets = self.targets();
        if let Some(names) = &self.notify {
            targets.retain(|target| names.contains(&target.name));
        }
        targets
    }

    pub(super) fn check_targets(&self, faults: &mut Faults) {
        Webhook::check(&self.webhooks, faults);
        let mut names: Vec<&str> = self.webhooks.iter().map(|hook| &*hook.name).collect();
        for (index, target) in self.notifications.iter().enumerate() {
            let path = format!("notifications[{index}]");
            name(&target.name, &names, &path, faults);
            names.push(&target.name);
            target.check(&path, faults);
        }
    }
}

/// A name must be a word of its own.
pub(super) fn name(name: &str, taken: &[&str], path: &str, faults: &mut Faults) {
    let is_name = !name.is_empty()
        && name.len() <= 64
        && !name.contains(|c: char| c.is_control() || c.is_whitespace());
    faults.unless(
        is_name && !taken.contains(&name),
        &format!("{path}.name"),
        "the name is empty, long, has white space, or is there twice",
        "choose a short word",
    );
}

fn is_address(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// An address, or a reference to one.
pub(super) fn address(url: &str, path: &str, faults: &mut Faults) {
    faults.unless(
        is_address(url) || url.parse::<SecretRef>().is_ok(),
        &format!("{path}.url"),
        "this is neither an http or https address nor a reference to one",
        "write https://…, env:NAME or file:PATH",
    );
}

fn variables() -> String {
    let names = notice::VARIABLES.iter().map(|(name, _)| *name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
