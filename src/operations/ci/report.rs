//! What a build says of itself: one model, shown as text, Markdown, JSON and JUnit.

use crate::domain::diff::Entry;
use crate::domain::plan::outside::SinkFate;
use crate::domain::plan::refusal::{Refusal, Refused};
use crate::domain::plan::{Plan, Texts};
use crate::foundation::failure::Class;
use crate::foundation::word::stored_words;
use crate::planning::planner::render::headline;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The report as JUnit, as test runners' reports are shown by CI platforms.
pub mod junit;
/// The report as Markdown, for a comment or a summary.
pub mod markdown;
/// The report as text, for a terminal.
pub mod text;

/// The format of [`Report`] as JSON.
pub const VERSION: u32 = 1;

stored_words! {
    /// How a build ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Verdict {
        /// Everything is there and every test passed, or warned.
        Passed = "passed",
        /// A node, a contract or a test failed.
        Failed = "failed",
        /// The configuration, a selection or the project is wrong.
        Wrong = "wrong",
        /// It was refused as things are.
        Refused = "refused",
        /// Something that is needed does not answer.
        Away = "away",
        /// A later build took its place, or somebody stopped it.
        Cancelled = "cancelled",
    }
}

impl Verdict {
    /// Of an error of this class.
    #[must_use]
    pub fn of(class: Class) -> Self {
        match class {
            Class::Usage => Self::Wrong,
            Class::Refused | Class::Conflict => Self::Refused,
            Class::Transient => Self::Away,
            Class::Permanent | Class::Stuck => Self::Failed,
            Class::Interrupted => Self::Cancelled,
        }
    }
}

/// What a build did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every node as a view, and no more.
    Check,
    /// Everything.
    Build,
}

impl Kind {
    /// What a build does that is, or is not, only a check.
    #[must_use]
    pub fn of(is_check: bool) -> Self {
        match is_check {
            true => Self::Check,
            false => Self::Build,
        }
    }
}

/// A build of a corner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// What was asked for.
    pub kind: Kind,
    /// The corner's name.
    pub name: String,
    /// The environment whose production it reads; empty where that is not known.
    pub environment: String,
    /// The dbt project; empty where that is not known.
    pub project: String,
    /// The commit that was built, where it is known.
    pub revision: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it ended before its end, where it did.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What was built or looked at, in the order in which it is made.
    pub nodes: Vec<NodeReport>,
    /// Columns that a release of this would gain, lose or have otherwise; sorted by relation and column.
    pub columns: Vec<ColumnReport>,
    /// What the data differs by from production's, where that was compared; sorted by relation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Entry>,
    /// Tests that ran, sorted by unique id.
    pub tests: Vec<TestReport>,
    /// Tests that did not run here: unique id → why.
    pub not_run: BTreeMap<String, String>,
    /// Relations that the project does not make any more: unique id → `schema.name`.
    pub deleted: BTreeMap<String, String>,
    /// What differs from production and was not built: unique id → why.
    pub left_out: BTreeMap<String, String>,
    /// What left the corner, `schema.name`, sorted.
    pub dropped: Vec<String>,
    /// Where it stands, where it does.
    pub corner: Option<CornerReport>,
    /// What a release of this would do, where that was worked out.
    #[serde(default)]
    pub release: Option<ReleaseReport>,
    /// What a person should know, one sentence each.
    pub notes: Vec<String>,
}

/// What a release of what a request changes would do, as its plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReport {
    /// One sentence without a final full stop.
    pub headline: String,
    /// Why it would be refused; nothing else is known then.
    pub refused: Vec<Refusal>,
    /// Schemas that would be swapped, sorted.
    pub schemas: Vec<String>,
    /// Clusters that would be swapped, sorted.
    pub clusters: Vec<String>,
    /// Relations that would be built, or replaced in place, `schema.name`, sorted; also what must be built along.
    pub builds: Vec<String>,
    /// Relations that production would gain, `schema.name`, sorted.
    pub gains: Vec<String>,
    /// Relations that production would lose, `schema.name`, sorted.
    pub loses: Vec<String>,
    /// Sinks that would be pointed to the new side, sorted.
    pub sinks: Vec<String>,
    /// What is written otherwise than in the baseline; `None` where that is not to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
}

impl ReleaseReport {
    /// Of a plan, or of why there is none.
    #[must_use]
    pub fn of(planned: Result<Plan, Refused>) -> Self {
        match planned {
            Ok(plan) => {
                let built = plan
                    .built()
                    .map(|node| format!("{}.{}", node.schema, node.identifier));
                let replaced = plan.replacements.iter();
                let replaced = replaced.map(|it| format!("{}.{}", it.schema, it.name));
                let builds: BTreeSet<String> = built.chain(replaced).collect();
                let repointed = plan.outside.sinks.iter();
                let repointed = repointed.filter(|sink| sink.change == SinkFate::Repointed);
                let repointed = repointed.map(|sink| sink.place.to_string());
                let sinks = plan.sinks.iter().map(|sink| sink.name.clone());
                let sinks: BTreeSet<String> = sinks.chain(repointed).collect();
                Self {
                    headline: headline(&plan),
                    refused: Vec::new(),
                    builds: builds.into_iter().collect(),
                    sinks: sinks.into_iter().collect(),
                    schemas: plan.schemas.into_iter().map(|it| it.name).collect(),
                    clusters: plan.clusters.into_iter().map(|it| it.name).collect(),
                    gains: plan.gains,
                    loses: plan.loses,
                    texts: plan.texts,
                }
            }
            Err(Refused(refused)) => Self {
                headline: "it would be refused as things are".to_owned(),
                refused,
                schemas: Vec::new(),
                clusters: Vec::new(),
                builds: Vec::new(),
                gains: Vec::new(),
                loses: Vec::new(),
                sinks: Vec::new(),
                texts: None,
            },
        }
    }

    /// What there is of it, with a word for each.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, &[String])> {
        let parts = [
            ("swapped schema", &self.schemas),
            ("swapped cluster", &self.clusters),
            ("built", &self.builds),
            ("gained", &self.gains),
            ("lost", &self.loses),
            ("repointed sink", &self.sinks),
        ];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        parts
            .map(|(word, names)| (word, names.as_slice()))
            .collect()
    }
}

/// Where a corner stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CornerReport {
    /// The database.
    pub database: String,
    /// Production's schema → the corner's.
    pub schemas: BTreeMap<String, String>,
    /// The cluster.
    pub cluster: String,
    /// Its size; `None` of a shared one.
    pub size: Option<String>,
    /// How long the cluster has been there, in seconds; `None` of a shared one.
    pub cluster_seconds: Option<f64>,
    /// What it has cost until now, in credits; `None` where the server does not say.
    pub credits: Option<f64>,
    /// From when on anybody may collect it.
    pub expires_at: Timestamp,
}

stored_words! {
    /// What became of a node.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum NodeState {
        /// It was made.
        Built = "built",
        /// It stood there already, the same.
        Kept = "kept",
        /// The server takes it; it was not made.
        Described = "described",
        /// The server refused it.
        Failed = "failed",
        /// It reads something that failed.
        Skipped = "skipped",
        /// The build ended before.
        Missing = "missing",
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// dbt's unique id.
    pub unique_id: String,
    /// `schema.name` in production.
    pub relation: String,
    /// dbt's materialization.
    pub materialized: String,
    /// The file, from the project's folder.
    pub file: String,
    /// Why it is built.
    pub reason: String,
    /// What became of it.
    pub state: NodeState,
    /// What the server said, or what it waits for.
    pub message: Option<String>,
    /// The line of the file that the message is about, from 1, as far as that is known.
    pub line: Option<u32>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its rows; `None` where they were not counted.
    pub rows: Option<u64>,
    /// The rows of its counterpart in production; `None` where there is none, or they were not counted.
    pub production_rows: Option<u64>,
}

impl NodeReport {
    /// The file, with the line where that is known.
    #[must_use]
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        }
    }
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ColumnChange {
    /// Production would gain it.
    Gained {
        /// Its type.
        to: String,
    },
    /// Production would lose it.
    Lost {
        /// Its type.
        from: String,
    },
    /// It would get another type.
    Retyped {
        /// The present type.
        from: String,
        /// The new one.
        to: String,
    },
    /// It was never null, and might be from then on.
    Nullable {
        /// Its type.
        to: String,
    },
}

/// A column that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnReport {
    /// `schema.name` in production.
    pub relation: String,
    /// The column.
    pub column: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub change: ColumnChange,
    /// What reads the relation in production and is not built here, `schema.name`, and exposures of the project, sorted;
    /// empty of a gained column.
    pub readers: Vec<String>,
}

/// A test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestReport {
    /// dbt's unique id.
    pub unique_id: String,
    /// The file, from the project's folder.
    pub file: String,
    /// The model that it is about, where it is about one.
    pub model: Option<String>,
    /// dbt's word: `pass`, `warn`, `fail`, `error` or `skipped`.
    pub status: String,
    /// What it says.
    pub message: Option<String>,
    /// How many rows failed.
    pub failures: Option<u64>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl TestReport {
    /// Whether it keeps the build from passing.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        !matches!(self.status.as_str(), "pass" | "warn")
    }
}

impl Report {
    /// A build that has just begun, which has ended nowhere yet.
    #[must_use]
    pub fn begun(kind: Kind, name: &str, at: Timestamp) -> Self {
        Self {
            version: VERSION,
            kind,
            name: name.to_owned(),
            environment: String::new(),
            project: String::new(),
            revision: None,
            verdict: Verdict::Cancelled,
            error: None,
            started_at: at,
            seconds: 0.0,
            nodes: Vec::new(),
            columns: Vec::new(),
            tests: Vec::new(),
            not_run: BTreeMap::new(),
            deleted: BTreeMap::new(),
            left_out: BTreeMap::new(),
            dropped: Vec::new(),
            corner: None,
            release: None,
            notes: Vec::new(),
            diff: Vec::new(),
        }
    }

    /// Says that it ended before its end, with an error of this class.
    pub fn cut_short(&mut self, class: Class, error: String) {
        self.verdict = Verdict::of(class);
        self.error = Some(error);
    }

    /// Says how it ended, when it came to its end: by what became of its nodes and tests.
    pub fn judge(&mut self) {
        let is_node_bad = |node: &NodeReport| match node.state {
            NodeState::Failed | NodeState::Skipped | NodeState::Missing => true,
            NodeState::Built | NodeState::Kept | NodeState::Described => false,
        };
        let is_bad =
            self.nodes.iter().any(is_node_bad) || self.tests.iter().any(TestReport::is_bad);
        self.verdict = match is_bad {
            true => Verdict::Failed,
            false => Verdict::Passed,
        };
    }

    /// Whether nothing was to be built or tested.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.tests.is_empty()
    }

    /// How many nodes ended so.
    #[must_use]
    pub fn count(&self, state: NodeState) -> usize {
        self.nodes.iter().filter(|node| node.state == state).count()
    }

    /// The sentence that says it all.
    #[must_use]
    pub fn headline(&self) -> String {
        let bad_nodes = self.count(NodeState::Failed) + self.count(NodeState::Skipped);
        let bad_tests = self.tests.iter().filter(|test| test.is_bad()).count();
        match self.verdict {
            Verdict::Passed if self.is_empty() => {
                "Nothing that is built or tested differs from production.".to_owned()
            }
            Verdict::Passed => format!(
                "{}, {} passed.",
                plural(self.nodes.len(), "node"),
                plural(self.tests.len(), "test")
            ),
            Verdict::Failed => format!(
                "{} and {} did not succeed.",
                of(bad_nodes, self.nodes.len(), "node"),
                of(bad_tests, self.tests.len(), "test")
            ),
            Verdict::Wrong => "The request or its configuration is wrong.".to_owned(),
            Verdict::Refused => "The build was refused.".to_owned(),
            Verdict::Away => "Something that the build needs does not answer.".to_owned(),
            Verdict::Cancelled => "The build was cancelled.".to_owned(),
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn of(count: usize, total: usize, word: &str) -> String {
    format!("{count} of {}", plural(total, word))
}

#[cfg(test)]
pub(crate) mod sample;
