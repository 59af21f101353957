//! `ls`: the nodes that a selection means, without asking the server or the journal.

use super::{Commands, success};
use crate::domain::progress::Reporter;
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::RunResults;
use crate::inputs::selection::state::Comparison;
use crate::inputs::selection::{
    self, Context, Freshness, Kept, Method, Selection, Selectors, Spec,
};
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::{Kind, Ls};
use crate::interfaces::console::output::Output;
use crate::interfaces::console::output::views::list::{ListView, ListedView};
use crate::operations::release::{Release, ReleaseError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

pub(super) async fn ls(
    commands: &Commands,
    arguments: &Ls,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let release = match commands.global.bundle {
        // It may be in an object store, which was not asked yet.
        Some(_) => {
            commands
                .fetched(&arguments.target, Vec::new(), stop)
                .await?
        }
        None => commands.open(&arguments.target, Vec::new())?,
    };
    super::warn(&release, output);
    let project = &release.project.dbt;
    let selection = Selection {
        select: arguments.select.clone(),
        exclude: arguments.exclude.clone(),
        selector: arguments.selector.clone(),
        indirect: arguments.indirect_selection,
    };
    // What the command line says wrong is not worth waiting for dbt.
    let selectors = Selectors::read(&project.path, &project.renderer(), selection.indirect)?;
    let spec = selection.parse(&selectors)?;
    // Both manifests may be large, and each takes one processor.
    let (past, given) = std::thread::scope(|scope| {
        let given = arguments.manifest.as_deref();
        let given = given.map(|file| scope.spawn(|| Manifest::read(file)));
        let past = Past::read(&spec, arguments.state.as_deref(), &project.target_path);
        let given = given.map(|reading| {
            let read = reading.join();
            read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        (past, given)
    });
    let past = past?;
    let new = match given {
        Some(manifest) => manifest?,
        None => parsed(&release, stop).await?,
    };
    let graph = new.graph()?;
    let rules = selection::rules(&project.flags, &new.metadata);
    let old = past.manifest.as_ref();
    if let Some(old) = old {
        old.is_state_of(&new)?;
    }
    let comparison = old.map(|old| Comparison::with(old, &new, rules));
    let context = Context {
        comparison: comparison.as_ref(),
        run_results: past.run_results.as_ref(),
        freshness_before: past.freshness.as_ref(),
        freshness_now: past.freshness_now.as_ref(),
        project_dir: release.files(),
        ..Context::new(&new, &graph)
    };
    let selected = selection::evaluate(&spec, &context, &kept(&arguments.resource_type))?;
    let nodes = selected.into_iter().filter_map(|id| new.get(id));
    output.document(&ListView {
        format: arguments.format,
        nodes: nodes
            .map(|node| ListedView {
                unique_id: node.unique_id().to_owned(),
                name: node.search_name(),
                resource_type: node.resource_type().as_str(),
                package_name: node.package_name().to_owned(),
                original_file_path: node.original_file_path().to_owned(),
                changes: comparison.as_ref().map(|comparison| {
                    let changes = comparison.changes(node.unique_id()).iter();
                    changes.map(ToString::to_string).collect()
                }),
            })
            .collect(),
    });
    success()
}

fn kept(kinds: &[Kind]) -> Kept {
    if kinds.is_empty() {
        return Kept::by_ls();
    }
    let kinds = kinds.iter().flat_map(|kind| match kind {
        Kind::All => Kept::by_ls_of_all().kinds,
        Kind::Default => Kept::by_ls().kinds,
        Kind::One(kind) => BTreeSet::from([*kind]),
    });
    Kept::of_kinds(kinds)
}

/// Lets dbt parse the project in a folder of its own, which is then removed.
async fn parsed(release: &Release, stop: &CancellationToken) -> Result<Manifest, ReleaseError> {
    let folder = release
        .runs()
        .join(format!("listing-{}", uuid::Uuid::now_v7()));
    let builds = release.builds(&folder, &Reporter::silent(), stop)?;
    let manifest = builds.manifest().await;
    // A folder that stays does no harm; the manifest is what matters.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(manifest?)
}

/// What earlier runs left behind.
#[derive(Default)]
struct Past {
    manifest: Option<Manifest>,
    run_results: Option<RunResults>,
    freshness: Option<Freshness>,
    freshness_now: Option<Freshness>,
}

impl Past {
    /// A state is a manifest, or a folder with one. The other files lie beside it and are read only
    /// where the selection asks for them.
    fn read(spec: &Spec, state: Option<&Path>, target: &Path) -> Result<Self, selection::Error> {
        let Some(state) = state else {
            return Ok(Self::default());
        };
        let file = match state.is_dir() {
            true => state.join("manifest.json"),
            false => state.to_owned(),
        };
        let beside = |name: &str, folder: &Path, method: Method| -> Option<PathBuf> {
            let file = folder.join(name);
            (spec.uses(method) && file.is_file()).then_some(file)
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let read = |file: PathBuf| Freshness::read(&file);
        Ok(Self {
            run_results: beside("run_results.json", folder, Method::Result)
                .map(|file| RunResults::read(&file))
                .transpose()?,
            freshness: beside("sources.json", folder, Method::SourceStatus)
                .map(read)
                .transpose()?,
            freshness_now: beside("sources.json", target, Method::SourceStatus)
                .map(read)
                .transpose()?,
            manifest: Some(Manifest::read(&file)?),
        })
    }
}
