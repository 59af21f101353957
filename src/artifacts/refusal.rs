//! Stable names of what is refused about baselines.

use std::fmt;

/// Why a baseline cannot be used, or a manifest not be taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// There is no baseline.
    BaselineMissing,
    /// There is a baseline already.
    BaselineExists,
    /// An object that the pointer needs is not there.
    BaselineIncomplete,
    /// A document cannot be read or is not what was kept.
    BaselineDamaged,
    /// A document is of another project, environment or adapter.
    BaselineForeign,
    /// The store overwrites what is to be created only.
    StoreOverwrites,
    /// The manifest is of another project.
    ManifestForeign,
    /// The manifest was parsed with `deploy: true`.
    ManifestGreen,
    /// The manifest puts its relations elsewhere: another target's, or a pull request's.
    ManifestElsewhere,
    /// The manifest is for another database.
    ManifestDatabase,
    /// The run results are not about the manifest.
    RunResultsForeign,
    /// A relation of the manifest is not there.
    RelationMissing,
    /// A relation of the manifest is something else there.
    RelationKind,
}

impl Name {
    /// Every name, in the order of the documentation.
    pub const ALL: [Name; 13] = [
        Name::BaselineMissing,
        Name::BaselineExists,
        Name::BaselineIncomplete,
        Name::BaselineDamaged,
        Name::BaselineForeign,
        Name::StoreOverwrites,
        Name::ManifestForeign,
        Name::ManifestGreen,
        Name::ManifestElsewhere,
        Name::ManifestDatabase,
        Name::RunResultsForeign,
        Name::RelationMissing,
        Name::RelationKind,
    ];

    /// The name, as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Name::BaselineMissing => "baseline-missing",
            Name::BaselineExists => "baseline-exists",
            Name::BaselineIncomplete => "baseline-incomplete",
            Name::BaselineDamaged => "baseline-damaged",
            Name::BaselineForeign => "baseline-foreign",
            Name::StoreOverwrites => "store-overwrites",
            Name::ManifestForeign => "manifest-foreign",
            Name::ManifestGreen => "manifest-green",
            Name::ManifestElsewhere => "manifest-elsewhere",
            Name::ManifestDatabase => "manifest-database",
            Name::RunResultsForeign => "run-results-foreign",
            Name::RelationMissing => "relation-missing",
            Name::RelationKind => "relation-kind",
        }
    }

    /// What to do about it, one sentence.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Name::BaselineMissing => {
                "deploy, or take over what is live with `cutover baseline import --manifest FILE`"
            }
            Name::BaselineExists => {
                "look at `cutover baseline show`; to put another in its place add --replace"
            }
            Name::BaselineIncomplete | Name::BaselineDamaged => {
                "restore the object that is named from a backup, or put a new baseline in its place with `cutover baseline import --replace --manifest FILE`"
            }
            Name::BaselineForeign => {
                "correct artifacts.url or the environment: what is kept there belongs to others"
            }
            Name::StoreOverwrites => {
                "name a store in artifacts.url that honours conditional writes (S3, Google Cloud Storage, Azure, MinIO, a local folder)"
            }
            Name::ManifestForeign => "give the manifest.json of this project",
            Name::ManifestGreen => {
                "parse the released commit without the variable `deploy` and give that manifest.json"
            }
            Name::ManifestElsewhere => {
                "parse the released commit with the target of this environment and give that manifest.json"
            }
            Name::ManifestDatabase => {
                "parse the released commit with the profile and target of this environment and give that manifest.json"
            }
            Name::RunResultsForeign => {
                "give the run_results.json of the run that built this manifest, or none"
            }
            Name::RelationMissing | Name::RelationKind => {
                "give the manifest.json of the commit that is live, or build what is named"
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
