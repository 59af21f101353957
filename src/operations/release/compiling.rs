//! From a project to a bundle of it. Nothing of the server or the journal is touched.

use super::{Release, ReleaseError};
use crate::domain::progress::Reporter;
use crate::operations::bundle::{self, Made};
use crate::operations::release::run::Folder;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// What was compiled into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The bundle.
    pub made: Made,
    /// How many nodes and tests have SQL in it.
    pub compiled: usize,
    /// The commit that was checked out, where that is known.
    pub revision: Option<String>,
    /// The versions of dbt-core and dbt-materialize.
    pub dbt: bundle::Dbt,
    /// Why releases with some of the nodes are refused, one clause each.
    pub unfit: BTreeSet<String>,
    /// Unique ids of unit tests, which no release of it runs.
    pub unit_tests: BTreeSet<String>,
}

impl Release {
    /// Compiles the project into a bundle at `place`.
    ///
    /// # Errors
    /// Something else at the place; the project's and dbt's; a project of which no release can do without dbt.
    pub async fn compile(
        &self,
        place: &Path,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<Compiled, ReleaseError> {
        // What is wrong here is not worth waiting for dbt.
        bundle::may_be_made(place)?;
        for warning in self.project.warnings() {
            reporter.warning(warning);
        }
        let deployment = self.project.deployment()?;
        let folder = Folder::of(self);
        let compiled = match self.builds(folder.path(), reporter, stop) {
            Ok(builds) => {
                let revision = match &self.revision {
                    Some(revision) => Some(revision.clone()),
                    None => bundle::commit(self.folder()),
                };
                let compiling = builds.compile_project(&deployment, revision);
                compiling.await.map_err(ReleaseError::from)
            }
            Err(error) => Err(error),
        };
        // A folder that stays does no harm.
        let _ = folder.remove();
        let compiled = compiled?;
        let (revision, dbt) = {
            let about = &compiled.contents.about;
            (about.revision.clone(), about.dbt.clone())
        };
        Ok(Compiled {
            made: bundle::write(place, compiled.contents, Timestamp::now())?,
            compiled: compiled.compiled,
            revision,
            dbt,
            unfit: compiled.unfit,
            unit_tests: compiled.unit_tests,
        })
    }
}
