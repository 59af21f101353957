//! `compile`: the project into a bundle.

use super::{Commands, success};
use crate::domain::progress::Reporter;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::Output;
use crate::interfaces::console::arguments::Compile;
use crate::interfaces::record::CompiledView;
use crate::operations::release::Release;
use tokio_util::sync::CancellationToken;

pub(super) async fn compile(
    commands: &Commands,
    arguments: &Compile,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let mut wanted = commands.wanted(&arguments.target, Vec::new());
    // The configuration may name the bundle that is to be made.
    wanted.ignores_bundle = true;
    let release = Release::fetch(&wanted, stop).await?;
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    if let Some(fetched) = release.fetched() {
        reporter.note(fetched);
    }
    reporter.note("dbt parses and compiles the project");
    let compiled = release.compile(&arguments.out, &reporter, stop).await;
    renderer.finish().await;
    let compiled = compiled?;
    output.result(&CompiledView {
        environment: release.environment.clone(),
        target: release.project.profile.target.clone(),
        bundle: arguments.out.clone(),
        digest: compiled.made.digest,
        was_there: compiled.made.was_there,
        files: compiled.made.files,
        bytes: compiled.made.bytes,
        compiled: compiled.compiled,
        revision: compiled.revision,
        dbt_core: compiled.dbt.core,
        dbt_materialize: compiled.dbt.adapter,
        needs_dbt: compiled.unfit.into_iter().collect(),
        unit_tests: compiled.unit_tests.into_iter().collect(),
    });
    success()
}
