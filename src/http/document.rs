//! What goes over the wire beside what has types of its own. The client reads the same types.

use crate::cli::output::EventView;
use crate::daemon::board::Status;
use crate::daemon::request::Start;
use crate::plan::RefusalName;
use crate::project::select::Selection;
use crate::store::{Cause, Run};
use serde::{Deserialize, Serialize};

/// `GET /v1/environments`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environments {
    /// Those that the caller may see, sorted by name.
    pub environments: Vec<Status>,
}

/// `GET /v1/deployments/{id}/events`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// The whole id of the deployment.
    pub deployment: String,
    /// What happened, in order.
    pub events: Vec<EventView>,
}

/// `GET /v1/environments/{env}/runs`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// The latest first.
    pub runs: Vec<Run>,
}

/// The body of `POST /v1/environments/{env}/releases`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Release {
    /// All of `vars.deployment`, whatever changed.
    pub full: bool,
    /// Whether missing schemas and clusters are created.
    pub bootstrap: bool,
    /// Refusals accepted by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<RefusalName>,
    /// What the release begins with, in dbt's grammar.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub select: Vec<String>,
    /// What is left out of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// A selector of `selectors.yml` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Whether it is staged and checked, and then waits for somebody to promote it.
    pub wait_for_promotion: bool,
}

impl Release {
    /// What is wished.
    ///
    /// # Errors
    /// What contradicts itself, or cannot be allowed; one sentence.
    pub fn start(self) -> Result<Start, String> {
        let selects = !self.select.is_empty() || !self.exclude.is_empty();
        if self.full && (selects || self.selector.is_some()) {
            return Err("`full` takes everything; select, exclude and selector take a part".into());
        }
        if selects && self.selector.is_some() {
            return Err("a selector stands in the place of select and exclude".into());
        }
        if let Some(name) = self.allow.iter().find(|name| !name.is_allowable()) {
            return Err(format!(
                "`{name}` cannot be allowed: it would lose data or break the cutover"
            ));
        }
        Ok(Start {
            subject: None,
            cause: Cause::Api,
            full: self.full,
            bootstrap: self.bootstrap,
            allow: self.allow,
            selection: Selection::of_changes(self.select, self.exclude, self.selector),
            waits_for_promotion: self.wait_for_promotion,
        })
    }
}

/// The body of `POST /v1/environments/{env}/{verb}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Act {
    /// The deployment that is meant, its whole id; another one under way is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Of a rollback: whether the old side is swapped in even where it is not ready.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// `GET /healthz` and `GET /readyz`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `alive` or `ready`.
    pub status: String,
}

/// The event `missed` of a stream: the reader was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// How many pieces of news it missed.
    pub missed: u64,
}
