//! Whether dbt can be told what it is to do.

use super::Builds;
use crate::domain::plan::{Engine, Plan};
use crate::operations::error::DeploymentError;

impl Builds {
    /// Makes sure that dbt can be told on a command line what of the plan it builds and tests.
    ///
    /// # Errors
    /// [`BuildError::TooLong`](crate::adapters::dbt::BuildError::TooLong).
    pub fn fits(&self, plan: &Plan) -> Result<(), DeploymentError> {
        let nodes: &[String] = match plan.building.engine {
            Engine::Dbt => &plan.build_selectors,
            Engine::Native => &[],
        };
        let (_, tests) = plan.tests_of_dbt();
        Ok(self.invoker.fits(nodes, tests)?)
    }
}
