//! `ci report`

use super::success;
use crate::foundation::failure::Class;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::ci::CiReport;
use crate::interfaces::console::{CommandError, Output};
use crate::operations::ci::publish::{self, Place, Publishing};
use crate::operations::ci::report::Report;
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// The variables of the environment that are text.
pub(in crate::interfaces::cli) fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Publishes a report. No environment is opened: neither journal nor server is needed.
pub(in crate::interfaces::cli) async fn report(
    arguments: &CiReport,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let Some(file) = &arguments.file else {
        let error = anyhow!("no file with a report is named, and without a daemon nobody has one");
        return Err(CommandError::new(Class::Usage, error).with_hint(
            "name the file that `cutover ci build --json FILE` wrote, or the daemon with --server",
        ));
    };
    let report = publish::read(file)?;
    let is_file = file != Path::new("-");
    let path = is_file.then_some(file.as_path());
    published(arguments, &report, path, output, stop).await
}

/// Publishes a report that was read, from this file where it is from one.
pub(in crate::interfaces::cli) async fn published(
    arguments: &CiReport,
    report: &Report,
    path: Option<&Path>,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let variables = variables();
    let place = match (arguments.github, arguments.gitlab) {
        (true, _) => Place::GitHub,
        (false, true) => Place::GitLab,
        (false, false) => Place::of(&variables)?,
    };
    let publishing = Publishing {
        report,
        path,
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
