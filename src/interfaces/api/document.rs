//! What goes over the wire beside what has types of its own. The client reads the same types.

use crate::domain::location::repository::Reference;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::records::hold::until;
use crate::domain::records::run::{Cause, Run};
use crate::foundation::span::Span;
use crate::inputs::selection::Selection;
use crate::interfaces::record::EventView;
use crate::operations::ci::listing::Listed;
use crate::operations::ci::report::Report;
use crate::operations::daemon::corners::status::{BuildStatus, TeardownStatus};
use crate::operations::daemon::lines::Line;
use crate::operations::daemon::logs::Log;
use crate::operations::daemon::request::{BuildWish, Start};
use crate::operations::daemon::status::Status;
use jiff::Timestamp;
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

/// `GET /v1/deployments/{id}/readings`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readings {
    /// The whole id of the deployment.
    pub deployment: String,
    /// Relations over time, the worst first.
    pub relations: Vec<Line>,
    /// Whether there are more than these.
    pub left_out: bool,
}

/// `GET /v1/deployments/{id}/logs`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The whole id of the deployment.
    pub deployment: String,
    /// Each invocation of dbt, in order.
    pub logs: Vec<Log>,
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
    /// How long its green side is kept for a look when it fails before the swap, for example `2h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Span>,
    /// The earlier release to which it goes back: a deployment or a revision. Nothing is released by itself then,
    /// until somebody releases on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why a freeze does not stop it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_freeze: Option<String>,
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
        stands_alone(selects, self.selector.as_ref())?;
        if self.to.is_some() && (selects || self.selector.is_some()) {
            return Err("`to` goes back to a whole release; nothing is selected of it".into());
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
            keep: self.keep,
            to: self.to,
            override_freeze: self.override_freeze.map(reason).transpose()?,
            follows: None,
        })
    }
}

/// A selector says everything that is selected.
fn stands_alone(selects: bool, selector: Option<&String>) -> Result<(), String> {
    if selects && selector.is_some() {
        return Err("a selector stands in the place of select and exclude".into());
    }
    Ok(())
}

/// The body of `POST /v1/environments/{env}/ci/{name}/builds`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CornerBuild {
    /// The revision: a commit, a branch, or another reference such as `refs/pull/7/merge`.
    pub revision: String,
    /// The branch or commit that the request goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What is built, in dbt's grammar, in the place of everything that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub select: Vec<String>,
    /// What is left out of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// A selector of `selectors.yml` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Whether what only differs because production moved on is built, too.
    pub all: bool,
    /// Whether it stops after every node was described.
    pub check: bool,
}

impl CornerBuild {
    /// What is wished.
    ///
    /// # Errors
    /// What contradicts itself, or names no revision; one sentence.
    pub fn wish(self) -> Result<BuildWish, String> {
        if self.revision.is_empty() {
            return Err("`revision` is missing: a commit, a branch or another reference".into());
        }
        let reference = |text: &str| text.parse::<Reference>().map_err(|error| error.to_string());
        let selects = !self.select.is_empty() || !self.exclude.is_empty();
        stands_alone(selects, self.selector.as_ref())?;
        if self.all && (!self.select.is_empty() || self.selector.is_some()) {
            return Err("`all` takes everything; select and selector take a part".into());
        }
        let is_given = selects || self.selector.is_some();
        let selection = Selection {
            select: self.select,
            exclude: self.exclude,
            selector: self.selector,
            ..Selection::default()
        };
        Ok(BuildWish {
            revision: reference(&self.revision)?,
            base: self.base.as_deref().map(reference).transpose()?,
            selection: is_given.then_some(selection),
            all: self.all,
            check: self.check,
        })
    }
}

/// `GET /v1/environments/{env}/ci/{name}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CornerDocument {
    /// The environment.
    pub environment: String,
    /// The corner's name.
    pub name: String,
    /// The corner, where one stands, is built, or waits.
    pub corner: Option<Listed>,
    /// The last build that this daemon was asked for.
    pub build: Option<BuildStatus>,
    /// The last teardown that this daemon was asked for.
    pub teardown: Option<TeardownStatus>,
    /// The build that the report is of, where that is known.
    pub reported: Option<String>,
    /// The last report.
    pub report: Option<Report>,
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
    /// Of a promotion: why a freeze does not stop it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_freeze: Option<String>,
}

/// The body of `POST /v1/environments/{env}/hold`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewHold {
    /// Why.
    pub reason: String,
    /// When it ends by itself: a time such as `2h`, or a moment such as `2026-12-24T16:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl NewHold {
    /// The reason and the moment at which it ends.
    ///
    /// # Errors
    /// What says nothing, or no moment to come; one sentence.
    pub fn wish(self, now: Timestamp) -> Result<(String, Option<Timestamp>), String> {
        let until = self.until.map(|text| until(&text, now));
        let until = until.transpose();
        Ok((
            reason(self.reason)?,
            until.map_err(|problem| format!("`until`: {problem}"))?,
        ))
    }
}

/// A reason that says something.
///
/// # Errors
/// One sentence.
pub fn reason(text: String) -> Result<String, String> {
    match text.trim() {
        "" => Err("a reason is missing: say why, for whoever reads it later".into()),
        text => Ok(text.to_owned()),
    }
}

/// The body of what takes none
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

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
