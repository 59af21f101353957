//! `ci report`

use super::success;
use crate::ci::publish::{self, Place, Publishing};
use crate::cli::Output;
use crate::cli::arguments::ci::CiReport;
use crate::cli::handlers::Answer;
use std::collections::BTreeMap;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// The variables of the environment that are text.
pub(super) fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Publishes a report. No environment is opened: neither journal nor server is needed.
pub(in crate::cli) async fn report(
    arguments: &CiReport,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let variables = variables();
    let place = match (arguments.github, arguments.gitlab) {
        (true, _) => Place::GitHub,
        (false, true) => Place::GitLab,
        (false, false) => Place::of(&variables)?,
    };
    let report = publish::read(&arguments.file)?;
    let is_file = arguments.file != Path::new("-");
    let publishing = Publishing {
        report: &report,
        path: is_file.then_some(arguments.file.as_path()),
        place,
        variables: &variables,
        summary: arguments.summary.as_deref(),
        outputs: arguments.outputs.as_deref(),
        timeout: arguments.timeout.0,
        stop,
    };
    output.document(&publishing.run().await?);
    success()
}
