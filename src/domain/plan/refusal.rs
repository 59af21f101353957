//! Named reasons why a plan is refused.

use crate::foundation::failure::{Class, Classify};
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

macro_rules! refusal_names {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $allowable:literal;)*) => {
        stored_words! {
            /// The stable name of a refusal, shown, stored and given to `--allow`: part of the interface, never
            /// reworded.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum RefusalName: "name of a refusal" {
                $($(#[$doc])* $variant = $word,)*
            }
        }

        impl RefusalName {
            /// Whether an operator may accept it with `--allow`. What would lose data or break the
            /// atomic cutover cannot be accepted.
            #[must_use]
            pub fn is_allowable(self) -> bool {
                match self { $(RefusalName::$variant => $allowable,)* }
            }
        }
    };
}

refusal_names! {
    /// A schema of `vars.deployment` is not in the database.
    SchemaMissing => "schema-missing", false;
    /// A cluster of `vars.deployment` does not exist.
    ClusterMissing => "cluster-missing", false;
    /// A sink lives in a schema that would be swapped.
    SinkInSwappedSchema => "sink-in-swapped-schema", false;
    /// A sink runs on a cluster that would be swapped.
    SinkOnSwappedCluster => "sink-on-swapped-cluster", false;
    /// A source, or a table fed by one, lives in a swapped schema; cleanup would drop its data.
    SourceInSwappedSchema => "source-in-swapped-schema", false;
    /// A source runs on a swapped cluster.
    SourceOnSwappedCluster => "source-on-swapped-cluster", false;
    /// A model of the project is a source or source table inside: it would ingest everything again.
    SourceRebuilt => "source-rebuilt", true;
    /// A table that no seed of the project makes lives in a swapped schema; cleanup would drop its data.
    TableInSwappedSchema => "table-in-swapped-schema", false;
    /// A view, materialized view or index lives in a swapped schema that the project does not know;
    /// production would lose it.
    UnmanagedObject => "unmanaged-object", true;
    /// A relation would lack a column that it has in production; readers of it would fail.
    ColumnLost => "column-lost", true;
    /// The server's planner does not take the SQL of a planned node, or it breaks its contract.
    SqlError => "sql-error", false;
    /// A connection, secret, type or function lives in a swapped schema; no build recreates it.
    UnswappableObject => "unswappable-object", false;
    /// A swapped cluster computes objects of schemas that are not swapped.
    ClusterShared => "cluster-shared", false;
    /// An object outside depends on an object inside; it would go on reading the old side.
    OutsideDependent => "outside-dependent", false;
    /// A node of the project would have to be rebuilt but lies in a schema or on a cluster that
    /// `vars.deployment` does not list.
    NodeOutsideDeployment => "node-outside-deployment", false;
    /// A test stores its failures in a schema or on a cluster that `vars.deployment` does not list.
    StoredFailuresOutside => "stored-failures-outside", false;
    /// The role does not own what would be swapped or dropped.
    NotOwner => "not-owner", false;
    /// The role lacks a privilege that staging needs.
    PrivilegeMissing => "privilege-missing", false;
    /// A green schema or cluster exists and does not belong to this deployment.
    GreenExists => "green-exists", false;
    /// Another deployment of this environment is under way.
    DeploymentActive => "deployment-active", false;
    /// Another environment is live with the same schemas or clusters.
    EnvironmentsOverlap => "environments-overlap", true;
    /// The deployment under way was planned for another project, target, database or server.
    AnotherTarget => "another-target", false;
    /// A deployment is to be resumed under other variables, another profile or another dbt.
    InputsChanged => "inputs-changed", false;
    /// A name is too long once the suffix is added.
    NameTooLong => "name-too-long", false;
    /// dbt-materialize splices cluster names unquoted; this one would need quotes.
    ClusterNameNeedsQuotes => "cluster-name-needs-quotes", false;
    /// A schema or relation name that dbt-materialize cannot put into SQL.
    NameUnsupported => "name-unsupported", false;
    /// dbt would build a planned node somewhere else than in the green schema.
    DeploySuffixMissing => "deploy-suffix-missing", false;
    /// An unmanaged cluster cannot be cloned as it is.
    ClusterNotCloneable => "cluster-not-cloneable", false;
    /// A cluster has no replicas, so that nothing on its green side could ever be ready.
    ClusterWithoutReplicas => "cluster-without-replicas", false;
    /// The server has no replicas of the size that green is to be hydrated with.
    HydrationSizeUnknown => "hydration-size-unknown", false;
    /// A materialization that a release cannot swap (snapshot, incremental, unknown ones).
    MaterializationUnsupported => "materialization-unsupported", false;
    /// Stored SQL names the schema in a column reference, so the server refuses the swap.
    RehearsalRefused => "rehearsal-refused", false;
    /// A selection was made and there is no baseline to compare with.
    BaselineMissing => "baseline-missing", false;
    /// Objects of production are gone, or were made again, since they were promoted.
    Drift => "drift", true;
    /// A changed node is of a kind, or in a place, that no release builds.
    ChangeNotReleased => "change-not-released", true;
    /// A sink of the project changed in more than what it reads: it would be dropped and made anew, and a new snapshot
    /// go out.
    SinkRecreated => "sink-recreated", true;
    /// The project does not have a sink any more; accepted, it is dropped with the old side.
    SinkDropped => "sink-dropped", true;
    /// The project does not have a source, a table of one or a connection any more; accepted, it is dropped after
    /// the old side.
    SourceDropped => "source-dropped", true;
    /// After the release a relation of the project would be missing, or not as the project makes it.
    RelationLost => "relation-lost", false;
    /// What changed cannot be released in place, and nothing else was asked for.
    NotReplaceable => "not-replaceable", false;
    /// A native build is asked for, and a planned node does not qualify for it.
    NotNative => "not-native", false;
    /// A schema or cluster with a name of a pull request's corner exists and is not the corner's.
    CornerTaken => "corner-taken", false;
    /// As many corners stand as are allowed, and the wait is over.
    CornerLimit => "corner-limit", false;
    /// What a pull request builds reads a source that production does not have.
    CornerSource => "corner-source", false;
    /// The revision of a pull request is a fork's, and the configuration does not let such be built.
    CornerFork => "corner-fork", false;
    /// No release that went live is called as the one to go back to.
    ReleaseUnknown => "release-unknown", false;
    /// Several releases are called as the one to go back to.
    ReleaseAmbiguous => "release-ambiguous", false;
    /// The files of the release to go back to are not kept.
    ReleaseNotKept => "release-not-kept", false;
    /// Nothing of the project lies in the deployment.
    NothingToDeploy => "nothing-to-deploy", false;
}

/// One reason why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable name.
    pub name: RefusalName,
    /// What is wrong, one sentence.
    pub message: String,
    /// The objects, schemas, clusters or nodes concerned, sorted.
    pub objects: Vec<String>,
    /// What to do, one sentence or the lines to add.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)?;
        if !self.objects.is_empty() {
            write!(f, " [{}]", self.objects.join(", "))?;
        }
        write!(f, "\n    remedy: {}", self.remedy)
    }
}

/// Refusals while they are gathered: those that say the same are one, with all its objects.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<(RefusalName, String), (BTreeSet<String>, String)>);

impl Refusals {
    /// Adds one. The first remedy for a message stays.
    pub(crate) fn add(&mut self, name: RefusalName, message: &str, object: String, remedy: &str) {
        self.0
            .entry((name, message.to_owned()))
            .or_insert_with(|| (BTreeSet::new(), remedy.to_owned()))
            .0
            .insert(object);
    }

    /// The refusals, sorted by name and message.
    pub(crate) fn into_vec(self) -> Vec<Refusal> {
        self.0
            .into_iter()
            .map(|((name, message), (objects, remedy))| Refusal {
                name,
                message,
                objects: objects.into_iter().collect(),
                remedy,
            })
            .collect()
    }
}

/// All reasons at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused(pub Vec<Refusal>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the release is refused; nothing was changed")?;
        for refusal in &self.0 {
            write!(f, "\n  {refusal}")?;
        }
        Ok(())
    }
}

impl Classify for Refused {
    fn class(&self) -> Class {
        Class::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::RefusalName;

    #[test]
    fn names_round_trip_and_are_unique() {
        let mut words: Vec<&str> = RefusalName::ALL.iter().map(|n| n.as_str()).collect();
        for word in &words {
            assert_eq!(word.parse::<RefusalName>().map(|n| n.as_str()), Ok(*word));
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), RefusalName::ALL.len());
    }
}
