//! Stable names of what is refused about baselines.

use crate::foundation::word::words;

words! {
    /// Why a baseline cannot be used, or a manifest not be taken for one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Name {
        /// There is no baseline.
        BaselineMissing = "baseline-missing",
        /// There is a baseline already.
        BaselineExists = "baseline-exists",
        /// An object that the pointer needs is not there.
        BaselineIncomplete = "baseline-incomplete",
        /// A document cannot be read or is not what was kept.
        BaselineDamaged = "baseline-damaged",
        /// A document is of another project, environment or adapter.
        BaselineForeign = "baseline-foreign",
        /// The store overwrites what is to be created only.
        StoreOverwrites = "store-overwrites",
        /// The manifest is of another project.
        ManifestForeign = "manifest-foreign",
        /// The manifest was parsed with `deploy: true`.
        ManifestGreen = "manifest-green",
        /// The manifest puts its relations elsewhere: another target's, or a pull request's.
        ManifestElsewhere = "manifest-elsewhere",
        /// The manifest is for another database.
        ManifestDatabase = "manifest-database",
        /// The run results are not about the manifest.
        RunResultsForeign = "run-results-foreign",
        /// A relation of the manifest is not there.
        RelationMissing = "relation-missing",
        /// A relation of the manifest is something else there.
        RelationKind = "relation-kind",
    }
}

impl Name {
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
