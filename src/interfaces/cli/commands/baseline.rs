//! `baseline show`, `import`, `export` and `forget`: what is recorded as live.

use super::{Commands, success};
use crate::adapters::artifacts::document::{Kind, Metadata, Reason};
use crate::adapters::artifacts::import::{self, Input};
use crate::adapters::artifacts::{
    Advance, ArtifactError, Artifacts, Bundle, Key, Name, Pointer, drift,
};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::catalog::Catalog;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::RunResults;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::console::arguments::{BaselineExport, BaselineImport, BaselineShow};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{
    BaselineLive, BaselineView, DryRunView, ExportView, ImportView, PointerView,
};
use crate::operations::release::{Release, ReleaseError};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) use others::forget;

/// `import --from` and `forget`: what another environment has live.
mod others;

/// The pointers that `show` lists.
const HISTORY: usize = 10;

pub(super) async fn show(commands: &Commands, arguments: &BaselineShow, output: &Output) -> Answer {
    let release = commands.open(&arguments.target, Vec::new())?;
    let (artifacts, key) = (release.artifacts()?, release.artifact_key());
    let baseline = artifacts.baseline(&key).await?;
    let history = artifacts.history(&key, HISTORY).await?;
    let mut class = None;
    let live = match baseline {
        None => None,
        Some(baseline) => {
            // What is recorded is worth showing without a server; drift is then unknown, not none.
            let (drift, unknown) = match catalog(&release).await {
                Ok(catalog) => (Some(drift::found(&baseline.metadata, &catalog)), None),
                Err(error) => {
                    class = Some(error.class());
                    (None, Some(with_causes(&error)))
                }
            };
            Some(BaselineLive {
                nodes: baseline.manifest.nodes.len(),
                results: baseline.run_results.map(|results| results.results.len()),
                metadata: baseline.metadata,
                drift,
                drift_unknown: unknown,
            })
        }
    };
    output.document(&BaselineView {
        project: key.project,
        environment: key.environment,
        store: artifacts.place().to_owned(),
        live,
        history: history.into_iter().map(PointerView::from).collect(),
    });
    Ok(class.map_or(Ending::Success, Ending::Reported))
}

async fn catalog(release: &Release) -> Result<Catalog, ReleaseError> {
    let materialize = release.materialize();
    // Nothing is under way, so a server that is away is not waited for.
    materialize.session().await?;
    Ok(Catalog::read(&materialize).await?)
}

pub(super) async fn import(
    commands: &Commands,
    arguments: &BaselineImport,
    output: &Output,
) -> Answer {
    let release = commands.open(&arguments.target, Vec::new())?;
    let deployment = release.project.deployment().map_err(ReleaseError::from)?;
    let schemas: BTreeSet<String> = deployment.schemas.into_iter().collect();
    let Some(file) = &arguments.manifest else {
        return others::take_over(&release, arguments, output).await;
    };
    let (bytes, manifest) = read(file, Manifest::from_slice)?;
    let results = match &arguments.run_results {
        Some(file) => Some(read(file, RunResults::from_slice)?),
        None => None,
    };

    let store = release.store().await?;
    let _lead = idle(&store, &release.environment).await?;
    let (artifacts, key) = (release.artifacts()?, release.artifact_key());
    let current = replaceable(&artifacts, &key, arguments.replace).await?;
    let catalog = catalog(&release).await?;
    let overlaps = release.overlaps(&artifacts, &store, &catalog, None).await?;
    overlaps.accepted(&release.allowed(&[]))?;
    import::check(&Input {
        project: &key.project,
        schemas: &schemas,
        manifest: &manifest,
        run_results: results.as_ref().map(|(_, results)| results),
        catalog: &catalog,
    })?;

    let id = format!("import-{}", uuid::Uuid::now_v7());
    let hash = manifest.content_hash().map_err(|error| {
        let error = anyhow::Error::new(error).context("the manifest's content cannot be hashed");
        CommandError::new(Class::Usage, error)
    })?;
    let target = &release.project.profile.target;
    let metadata = Metadata::now(&key, Kind::Imported, &id, target, &hash, &schemas, &catalog);
    if arguments.dry_run {
        output.document(&DryRunView {
            command: "baseline import".to_owned(),
            environment: key.environment,
            would: vec![
                format!("keep the manifest in {}", artifacts.place()),
                format!("record {} live objects by id", metadata.objects.len()),
                match current.and_then(|pointer| pointer.deployment) {
                    Some(live) => format!("make it the baseline in place of {live}"),
                    None => "make it the baseline".to_owned(),
                },
            ],
        });
        return success();
    }
    let bundle = Bundle {
        manifest: bytes,
        run_results: results.map(|(bytes, _)| bytes),
        plan: None,
        // What the manifest says of them is read from it.
        outcomes: None,
        compiled: None,
        metadata,
    };
    let (metadata, pointer) = make_live(&artifacts, &key, &bundle, current).await?;
    output.document(&ImportView {
        pointer: PointerView::from(pointer),
        nodes: manifest.nodes.len(),
        metadata,
    });
    success()
}

/// Keeps a bundle under its own id and makes it the baseline in place of the current one.
async fn make_live(
    artifacts: &Artifacts,
    key: &Key,
    bundle: &Bundle,
    current: Option<Pointer>,
) -> Result<(Metadata, Pointer), ArtifactError> {
    let id = bundle.metadata.deployment.clone();
    let metadata = artifacts.keep(key, &id, bundle).await?;
    let to = Advance {
        deployment: Some(id),
        reason: Reason::Imported,
        at: Timestamp::now(),
    };
    let expected = current.map(|pointer| pointer.generation);
    let pointer = artifacts.advance(key, expected, &to).await?;
    Ok((metadata, pointer))
}

/// The lead of an environment with nothing under way: while this process has it, no deployment begins
/// or goes on.
async fn idle(store: &Store, environment: &str) -> Result<Lead, CommandError> {
    let lead = store.lead(environment).await.map_err(ReleaseError::from)?;
    let active = store.active(lead.environment()).await;
    match active.map_err(ReleaseError::from)? {
        None => Ok(lead),
        Some(active) => Err(StoreError::DeploymentActive {
            environment: active.environment,
            id: active.id,
            state: active.state,
        }
        .into()),
    }
}

/// The pointer in whose place another one may come.
async fn replaceable(
    artifacts: &Artifacts,
    key: &Key,
    replace: bool,
) -> Result<Option<Pointer>, ArtifactError> {
    let current = artifacts.current(key).await?;
    match current.as_ref().and_then(|p| p.deployment.as_deref()) {
        Some(live) if !replace => {
            let message = format!("the baseline of {:?} is {live}", key.environment);
            Err(refused(Name::BaselineExists, message))
        }
        Some(_) | None => Ok(current),
    }
}

fn refused(name: Name, message: String) -> ArtifactError {
    ArtifactError::Refused {
        name,
        message,
        source: None,
    }
}

/// A file that dbt wrote, and its bytes.
fn read<T, E>(
    file: &Path,
    parse: impl Fn(&[u8], &Path) -> Result<T, E>,
) -> Result<(Vec<u8>, T), CommandError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let wrong = |error: anyhow::Error| CommandError::new(Class::Usage, error);
    let bytes = std::fs::read(file).map_err(|error| {
        wrong(anyhow::Error::new(error).context(format!("{} cannot be read", file.display())))
    })?;
    let document = parse(&bytes, file).map_err(|error| wrong(error.into()))?;
    Ok((bytes, document))
}

pub(super) async fn export(
    commands: &Commands,
    arguments: &BaselineExport,
    output: &Output,
) -> Answer {
    let release = commands.open(&arguments.target, Vec::new())?;
    let (artifacts, key) = (release.artifacts()?, release.artifact_key());
    let bundle = live_bundle(&artifacts, &key).await?;
    let metadata = serde_json::to_vec_pretty(&bundle.metadata).unwrap_or_default();
    let files = [
        ("manifest.json", Some(bundle.manifest)),
        ("run_results.json", bundle.run_results),
        ("metadata.json", Some(metadata)),
    ];
    let written = write(&arguments.directory, files, arguments.force)?;
    output.document(&ExportView {
        deployment: bundle.metadata.deployment,
        files: written,
    });
    success()
}

/// Writes the manifest and run results of what is live, for dbt's `--state` and `--defer-state`, when what is live is what
/// was recorded. Asks Materialize for its catalog once.
pub(super) async fn state(
    release: &Release,
    folder: &Path,
    force: bool,
    output: &Output,
) -> Answer {
    let (artifacts, key) = (release.artifacts()?, release.artifact_key());
    let bundle = live_bundle(&artifacts, &key).await?;
    let catalog = catalog(release).await?;
    let drift = drift::found(&bundle.metadata, &catalog);
    // What nobody recorded is in nobody's way: dbt asks for what the manifest names.
    let gone: Vec<String> = drift
        .iter()
        .filter(|drift| !drift.is_extra())
        .map(|drift| {
            format!(
                "{}.{} is {}",
                drift.schema,
                drift.name,
                drift.change.as_str()
            )
        })
        .collect();
    if !gone.is_empty() {
        let error = anyhow::anyhow!(
            "production is not what {} made live: {}",
            bundle.metadata.deployment,
            gone.join(", ")
        );
        return Err(CommandError::new(Class::Refused, error).with_hint(
            "release the project with --full, or take what is live over with `cutover baseline import --replace`",
        ));
    }
    for (node, why) in &bundle.metadata.held_back {
        output.remark(&format!("{node} is not live as the manifest has it: {why}"));
    }
    let files = [
        ("manifest.json", Some(bundle.manifest)),
        ("run_results.json", bundle.run_results),
    ];
    let written = write(folder, files, force)?;
    output.document(&ExportView {
        deployment: bundle.metadata.deployment,
        files: written,
    });
    success()
}

/// The files of the baseline, which is checked before.
async fn live_bundle(artifacts: &Artifacts, key: &Key) -> Result<Bundle, ArtifactError> {
    match artifacts.baseline(key).await? {
        Some(baseline) => artifacts.bundle(key, &baseline.metadata.deployment).await,
        None => Err(refused(
            Name::BaselineMissing,
            format!(
                "the environment {:?} of the project {:?} has none in {}",
                key.environment,
                key.project,
                artifacts.place()
            ),
        )),
    }
}

/// Writes files into a folder; none of them, when one is there and `force` is not given.
fn write<const N: usize>(
    folder: &Path,
    files: [(&str, Option<Vec<u8>>); N],
    force: bool,
) -> Result<Vec<PathBuf>, CommandError> {
    let failed = |path: &Path, error: std::io::Error| {
        let error = anyhow::Error::new(error);
        let error = error.context(format!("{} cannot be written", path.display()));
        CommandError::new(Class::Transient, error)
            .with_hint("check the folder's permissions and the free space")
    };
    if !force && let Some((name, _)) = files.iter().find(|(name, _)| folder.join(name).exists()) {
        let error = anyhow::anyhow!("{} exists already", folder.join(name).display());
        return Err(CommandError::new(Class::Refused, error)
            .with_hint("name another folder, or add --force to overwrite"));
    }
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut written = Vec::new();
    for (name, bytes) in files {
        let path = folder.join(name);
        let Some(bytes) = bytes else {
            // An older export's results are not this baseline's.
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(&path, error));
                }
                Ok(()) | Err(_) => continue,
            }
        };
        // Whole or not at all: dbt may be reading the folder.
        let draft = folder.join(format!(".{name}.new"));
        std::fs::File::create(&draft)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(|error| failed(&path, error))?;
        written.push(path);
    }
    Ok(written)
}
