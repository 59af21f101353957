//! What the journal keeps of a corner.
//!
//! Intent comes first: a schema, cluster or look is in the record without an id before it is made, under a name that
//! only this corner has ([`Record::secret`]), and with its id afterwards.

use super::report::Report;
use crate::domain::catalog::{ObjectKind, corner};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The document of a corner.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The dbt project.
    pub project: String,
    /// The database.
    pub database: String,
    /// Who asked for the last build.
    pub owner: String,
    /// The commit of the last build, where it is known.
    pub revision: Option<String>,
    /// The last build.
    pub build: String,
    /// Builds of an earlier version that may have left something of their look at the nodes, with how many schemas they
    /// have made for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub looks: BTreeMap<String, usize>,
    /// Production's schema → the corner's.
    pub schemas: BTreeMap<String, Held>,
    /// The cluster of its own; `None` before there is one, and where it is shared.
    pub cluster: Option<Held>,
    /// The size of that cluster.
    pub size: Option<String>,
    /// What an hour of it costs, in credits, where the server says it.
    pub credits_per_hour: Option<f64>,
    /// When it was made.
    pub cluster_since: Option<Timestamp>,
    /// What stands there: unique id → object.
    pub objects: BTreeMap<String, Thing>,
    /// The last report.
    pub report: Option<Box<Report>>,
    /// The build that the report is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<String>,
    /// The revision that is looked into at present, by a process that goes on with others' work when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// A revision that is looked into. It is recorded before anything of it is rendered, so that one that ends the process
/// is known by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The commit.
    pub revision: String,
    /// How often in a row it was begun and not ended.
    pub times: u32,
}

/// A schema or cluster of a corner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// What it is called.
    pub name: String,
    /// Its id; `None` while it is not known whether it was made.
    pub id: Option<String>,
}

/// A relation of a corner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: ObjectKind,
    /// The corner's schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Of what it was made from, with all that it reads in the corner.
    pub made_from: String,
    /// What it reads outside the corner: id → name when it was made. Under another name it is another relation's
    /// past.
    pub reads: BTreeMap<String, String>,
}

impl Record {
    /// What the cluster has cost until `now`, in credits; `None` where the server does not say, or there is none.
    #[must_use]
    pub fn credits(&self, now: Timestamp) -> Option<f64> {
        Some(self.credits_per_hour? * self.cluster_seconds(now)? / 3600.0)
    }

    /// How long the cluster has been there, in seconds.
    #[must_use]
    pub fn cluster_seconds(&self, now: Timestamp) -> Option<f64> {
        let since = now.duration_since(self.cluster_since?);
        Some(since.as_secs_f64().max(0.0))
    }

    /// The names that things of a corner have before they are marked, and after they were taken out of the way.
    #[must_use]
    pub fn secret(corner: &str, what: &str) -> String {
        corner::secret(corner, what)
    }
}

/// The corner or build that a secret name was made for.
#[must_use]
pub fn named_after(name: &str) -> Option<uuid::Uuid> {
    let (id, rest) = name.strip_prefix(corner::SECRET)?.split_at_checked(32)?;
    let id = uuid::Uuid::try_parse(id).ok()?;
    rest.starts_with('_').then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{Record, named_after};

    #[test]
    fn a_secret_name_says_whose_it_is() {
        let id = uuid::Uuid::now_v7();
        let name = Record::secret(&id.to_string(), "schema_0");
        assert_eq!(named_after(&name), Some(id));
        for other in ["cutover_ci_", "cutover_ci_x_y", "marts", &name[..43]] {
            assert_eq!(named_after(other), None, "{other}");
        }
        assert!(name.len() < 63, "{name}");
    }
}
