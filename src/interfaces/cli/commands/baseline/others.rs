//! `baseline import --from` and `baseline forget`: what becomes of another environment's baseline.
//! Nothing is touched in Materialize.

use super::{catalog, idle, live_bundle, make_live, refused, replaceable, success};
use crate::adapters::artifacts::document::{Kind, Metadata};
use crate::adapters::artifacts::{
    Advance, ArtifactError, Artifacts, Bundle, Key, Name, Pointer, Reason,
};
use crate::domain::catalog::Catalog;
use crate::foundation::failure::Class;
use crate::interfaces::cli::commands::Commands;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::{BaselineForget, BaselineImport};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{DryRunView, ForgetView, ImportView, PointerView};
use crate::operations::release::Release;
use jiff::Timestamp;

/// Makes what another environment of the project has live the baseline of this one, and that one's
/// none: it was renamed. What was recorded stays as it was recorded, held back nodes too.
pub(super) async fn take_over(
    release: &Release,
    arguments: &BaselineImport,
    output: &Output,
) -> Answer {
    let (artifacts, key) = (release.artifacts()?, release.artifact_key());
    let from = Key::new(&key.project, arguments.from.as_deref().unwrap_or_default());
    if from == key {
        let error = anyhow::anyhow!("--from names {:?} itself", key.environment);
        return Err(CommandError::new(Class::Usage, error)
            .with_hint("name the environment that this one was called before"));
    }
    let store = release.store().await?;
    let _lead = idle(&store, &key.environment).await?;
    let _their_lead = idle(&store, &from.environment).await?;
    let current = replaceable(&artifacts, &key, arguments.replace).await?;
    let before = artifacts.current(&from).await?;
    let bundle = live_bundle(&artifacts, &from).await?;
    let catalog = catalog(release).await?;
    is_here(&bundle.metadata, &catalog)?;
    let overlaps = release
        .overlaps(&artifacts, &store, &catalog, Some(&from.environment))
        .await?;
    overlaps.accepted(&release.allowed(&[]))?;

    let theirs = bundle.metadata.deployment.clone();
    let id = format!("import-{}", uuid::Uuid::now_v7());
    if arguments.dry_run {
        let place = match current.and_then(|pointer| pointer.deployment) {
            Some(live) => format!("in place of {live}"),
            None => format!("of {}", key.environment),
        };
        output.document(&DryRunView {
            command: "baseline import".to_owned(),
            environment: key.environment,
            would: vec![
                format!(
                    "make {theirs}, which {} has live, the baseline {place}",
                    from.environment
                ),
                format!("record that {} has nothing live", from.environment),
            ],
        });
        return success();
    }
    let bundle = Bundle {
        metadata: Metadata {
            deployment: id.clone(),
            kind: Kind::Imported,
            environment: key.environment.clone(),
            target: release.project.profile.target.clone(),
            cutover_version: env!("CARGO_PKG_VERSION").to_owned(),
            built_by: None,
            created_at: Timestamp::now(),
            ..bundle.metadata
        },
        // It is that of a release under the other name.
        plan: None,
        ..bundle
    };
    let (metadata, pointer) = make_live(&artifacts, &key, &bundle, current).await?;
    give_up(&artifacts, &from, before).await?;
    let baseline = artifacts.baseline(&key).await?;
    output.document(&ImportView {
        pointer: PointerView::from(pointer),
        nodes: baseline.map_or(0, |baseline| baseline.manifest.nodes.len()),
        metadata,
    });
    success()
}

/// Records that nothing of an environment is live any more.
pub(in crate::interfaces::cli::commands) async fn forget(
    commands: &Commands,
    arguments: &BaselineForget,
    output: &Output,
) -> Answer {
    let release = commands.open(&arguments.target, Vec::new())?;
    let (artifacts, own) = (release.artifacts()?, release.artifact_key());
    let project = arguments.of.clone().unwrap_or(own.project);
    let key = Key::new(project, &arguments.name);
    let store = release.store().await?;
    let _lead = idle(&store, &key.environment).await?;
    let current = artifacts.current(&key).await?;
    let Some(live) = current
        .as_ref()
        .and_then(|pointer| pointer.deployment.clone())
    else {
        let message = format!(
            "the environment {:?} of the project {:?} has none in {}",
            key.environment,
            key.project,
            artifacts.place()
        );
        return Err(refused(Name::BaselineMissing, message).into());
    };
    if arguments.dry_run {
        output.document(&DryRunView {
            command: "baseline forget".to_owned(),
            would: vec![format!(
                "record that {} of the project {} has nothing live, not {live} any more",
                key.environment, key.project
            )],
            environment: key.environment,
        });
        return success();
    }
    let pointer = give_up(&artifacts, &key, current).await?;
    output.document(&ForgetView {
        project: key.project,
        environment: key.environment,
        store: artifacts.place().to_owned(),
        pointer: PointerView::from(pointer),
    });
    success()
}

async fn give_up(
    artifacts: &Artifacts,
    key: &Key,
    from: Option<Pointer>,
) -> Result<Pointer, ArtifactError> {
    let to = Advance {
        deployment: None,
        reason: Reason::Forgotten,
        at: Timestamp::now(),
    };
    let expected = from.map(|pointer| pointer.generation);
    artifacts.advance(key, expected, &to).await
}

/// What was live in another database or on another server is not this environment's under another name.
fn is_here(theirs: &Metadata, catalog: &Catalog) -> Result<(), ArtifactError> {
    let database = (&theirs.database, &catalog.database);
    let server = (
        theirs.server.as_ref().unwrap_or(&catalog.server),
        &catalog.server,
    );
    for (what, (recorded, found)) in [("database", database), ("server", server)] {
        if recorded != found {
            return Err(refused(
                Name::BaselineForeign,
                format!(
                    "the environment {:?} is live on the {what} {recorded}, this one is on {found}",
                    theirs.environment
                ),
            ));
        }
    }
    Ok(())
}
