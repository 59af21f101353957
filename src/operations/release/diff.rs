//! The data diff of the deployment under way, on request.

use super::run::Driving;
use super::{Release, ReleaseError};
use crate::domain::diff::Record;
use crate::domain::records::deployment::Deployment;
use crate::operations::deployment::diff::{self, Wanted};

impl Release {
    /// Compares both sides of a deployment; see [`diff::run`].
    ///
    /// # Errors
    /// See [`diff::run`]; a deployment that does not have two sides.
    pub async fn diff(
        &self,
        driving: &Driving<'_>,
        deployment: &Deployment,
        wanted: &Wanted,
    ) -> Result<Record, ReleaseError> {
        let moment = diff::moment(deployment)?;
        let parts = self.parts(driving, deployment)?;
        let context = self.context(driving, &parts);
        Ok(diff::run(&context, deployment, moment, wanted).await?)
    }
}
