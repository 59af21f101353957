//! What a daemon has on record of a data diff. It is not asked to compare anything.

use super::Remote;
use crate::foundation::failure::Class;
use crate::interfaces::cli::commands::diff::shown;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::diff::Diff;
use crate::interfaces::console::{CommandError, Output};

impl Remote {
    /// Prints what is on record.
    ///
    /// # Errors
    /// The daemon's; [`Class::Usage`] where more is asked than to be told.
    pub(in crate::interfaces::cli) async fn recorded_diff(
        &self,
        arguments: &Diff,
        output: &Output,
    ) -> Answer {
        if arguments.again || arguments.samples.is_some() {
            let error = anyhow::anyhow!(
                "a daemon compares by itself before the swap and tells what is on record"
            );
            return Err(CommandError::new(Class::Usage, error)
                .with_hint("leave --again and --samples out; diff.mode and diff.samples of its configuration say what it compares"));
        }
        let environment = self
            .environment(arguments.target.environment.as_ref())
            .await?;
        let view = self.client.diff(&environment.environment).await?;
        shown(&view, arguments, output)
    }
}
