//! Checks that ask something else than Materialize: a Prometheus, or any HTTP endpoint.

use super::condition::Condition;
use super::{Level, Moment};
use crate::foundation::secret::SecretRef;
use crate::foundation::span::Span;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most samples of one run.
pub const MOST_SAMPLES: u32 = 60;

/// Longest time for one answer, where a check does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two samples, where a check does not say.
const USUAL_INTERVAL: Duration = Duration::from_secs(10);

/// How long an answer is waited for before the swap, where a check does not say.
const USUAL_WAIT: Duration = Duration::from_secs(5 * 60);

stored_words! {
    /// What an endpoint may come up with instead of an answer.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Unknown {
        /// No series, or nothing where the pointer points.
        Empty = "empty",
        /// A value that is no number.
        Nan = "nan",
        /// More than one series.
        Several = "several",
        /// No connection, a broken one, or a server that says that it cannot answer.
        Unreachable = "unreachable",
        /// No answer in time.
        Timeout = "timeout",
        /// An answer of another kind than was asked for, or one that is too long.
        WrongType = "wrong_type",
    }
}

stored_words! {
    /// What an [`Unknown`] is taken for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Policy {
        /// A failure.
        Fail = "fail",
        /// A success; the record says of what kind.
        Pass = "pass",
        /// Nothing: the endpoint is asked again.
        Wait = "wait",
    }
}

stored_words! {
    /// How an endpoint is asked.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Method {
        /// GET.
        #[default]
        Get = "get",
        /// POST.
        Post = "post",
    }
}

/// How often it is asked in one run, and how often the condition must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Samples of one run.
    pub samples: u32,
    /// In how many of them it must hold; in all of them, so many in a row, where this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough: Option<u32>,
    /// Time between two samples.
    #[serde(default = "usual_interval")]
    pub interval: Span,
}

fn usual_interval() -> Span {
    Span(USUAL_INTERVAL)
}

impl Default for Times {
    fn default() -> Self {
        Self {
            samples: 1,
            enough: None,
            interval: usual_interval(),
        }
    }
}

impl Times {
    /// In how many samples the condition must hold.
    #[must_use]
    pub fn enough(self) -> u32 {
        self.enough.unwrap_or(self.samples)
    }

    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Who asks. One of the two: a bearer token, or a user with a password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretRef>,
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Their password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
}

/// Declares a kind of check with the keys that every external one has.
macro_rules! external {
    (
        $(#[$about:meta])*
        $kind:ident { $($own:tt)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $kind {
            /// What people call it; unique.
            pub name: String,
            /// What a failure means.
            #[serde(default, skip_serializing_if = "Level::is_required")]
            pub level: Level,
            /// The address, a template.
            pub url: String,
            $($own)*
            /// How often it is asked, and how often it must hold.
            #[serde(default, skip_serializing_if = "Times::is_usual")]
            pub times: Times,
            /// Who asks.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub auth: Option<Auth>,
            /// Further headers, by name.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            pub headers: BTreeMap<String, SecretRef>,
            /// What it means that there is nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub on_empty: Option<Policy>,
            /// What it means that nobody answers.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub on_unreachable: Option<Policy>,
            /// What it means that nobody answers in time.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub on_timeout: Option<Policy>,
            /// What it means that the answer is of another kind.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub on_wrong_type: Option<Policy>,
            /// How long `wait` waits before the swap.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub wait_for: Option<Span>,
            /// When it runs.
            #[serde(default = "Moment::both")]
            pub run: Vec<Moment>,
            /// Longest time for one answer.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub timeout: Option<Span>,
        }
    };
}

external! {
    /// A query to Prometheus, or to what speaks its API, has a value.
    Prometheus {
        /// The query, a template.
        pub query: String,
        /// What its value must be.
        pub condition: Condition,
        /// What it means that there are several series.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub on_several: Option<Policy>,
        /// What it means that the value is no number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub on_nan: Option<Policy>,
    }
}

external! {
    /// An endpoint answers as it should.
    Http {
        /// How it is asked.
        #[serde(default)]
        pub method: Method,
        /// What is sent with POST, a template of JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub body: Option<String>,
        /// The status; any of success (200 to 299) where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub status: Option<u16>,
        /// Where the value stands in the answer, a JSON pointer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pointer: Option<String>,
        /// What it must be; without it, anything but nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub condition: Option<Condition>,
    }
}

/// What both kinds have.
#[derive(Debug, Clone, Copy)]
pub enum External<'a> {
    /// A query to Prometheus.
    Prometheus(&'a Prometheus),
    /// A request to an endpoint.
    Http(&'a Http),
}

/// A field of whichever kind it is.
macro_rules! of_both {
    ($external:ident.$field:ident) => {
        match $external {
            External::Prometheus(check) => &check.$field,
            External::Http(check) => &check.$field,
        }
    };
}

impl<'a> External<'a> {
    /// The address, a template.
    #[must_use]
    pub fn url(self) -> &'a str {
        of_both!(self.url)
    }

    /// How often it is asked.
    #[must_use]
    pub fn times(self) -> Times {
        *of_both!(self.times)
    }

    /// Who asks.
    #[must_use]
    pub fn auth(self) -> Option<&'a Auth> {
        of_both!(self.auth).as_ref()
    }

    /// Further headers.
    #[must_use]
    pub fn headers(self) -> &'a BTreeMap<String, SecretRef> {
        of_both!(self.headers)
    }

    /// Longest time for one answer.
    #[must_use]
    pub fn timeout(self) -> Duration {
        of_both!(self.timeout).map_or(USUAL_TIMEOUT, |timeout| timeout.0)
    }

    /// How long an answer is waited for before the swap.
    #[must_use]
    pub fn wait_for(self) -> Duration {
        of_both!(self.wait_for).map_or(USUAL_WAIT, |wait| wait.0)
    }

    /// What this is taken for. Unless the check says otherwise, what is not known fails it; but during the soak
    /// an endpoint that does not answer is asked again, as nothing is known against production then.
    #[must_use]
    pub fn policy(self, unknown: Unknown, moment: Moment) -> Policy {
        let given = match (unknown, self) {
            (Unknown::Empty, _) => *of_both!(self.on_empty),
            (Unknown::Unreachable, _) => *of_both!(self.on_unreachable),
            (Unknown::Timeout, _) => *of_both!(self.on_timeout),
            (Unknown::WrongType, _) => *of_both!(self.on_wrong_type),
            (Unknown::Nan, Self::Prometheus(check)) => check.on_nan,
            (Unknown::Several, Self::Prometheus(check)) => check.on_several,
            // JSON has no such number, and a pointer leads to one value.
            (Unknown::Nan | Unknown::Several, Self::Http(_)) => None,
        };
        given.unwrap_or(match (unknown, moment) {
            (Unknown::Unreachable | Unknown::Timeout, Moment::Soak) => Policy::Wait,
            (Unknown::Unreachable | Unknown::Timeout, Moment::Before)
            | (Unknown::Empty | Unknown::Nan | Unknown::Several | Unknown::WrongType, _) => {
                Policy::Fail
            }
        })
    }
}
