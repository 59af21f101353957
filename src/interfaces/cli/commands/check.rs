//! `check`: everything that a deployment needs, tried without changing anything.

use super::Commands;
use crate::adapters::materialize::{Materialize, MaterializeError};
use crate::adapters::store::Store;
use crate::domain::catalog::Catalog;
use crate::domain::location::journal::masked;
use crate::domain::plan::GREEN_SUFFIX;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::progress::Reporter;
use crate::domain::reading::Reading;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::project::Deployment;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::console::Output;
use crate::interfaces::console::arguments::Check;
use crate::interfaces::record::{CheckView, Finding, Verdict};
use crate::operations::release::overlap::Overlaps;
use crate::operations::release::{Release, ReleaseError};
use std::collections::BTreeSet;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Whether the endpoints of checks answer.
mod endpoints;
/// Whether whoever is told is there.
mod targets;
/// When nothing is released.
mod windows;

pub(super) async fn check(
    commands: &Commands,
    arguments: &Check,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let mut findings = Findings::default();
    match commands.fetched(&arguments.target, Vec::new(), stop).await {
        Ok(release) => {
            findings.ok(
                "project",
                format!(
                    "{} with the profile {} and the target {}",
                    release.folder().display(),
                    release.project.profile.name,
                    release.project.profile.target
                ),
            );
            for warning in release.project.warnings() {
                findings.note("project", warning.to_owned());
            }
            release_findings(&release, stop, &mut findings).await;
        }
        Err(error) => {
            findings.fault("project", &error);
            for subject in [
                "deployment",
                "dbt",
                "journal",
                "artifacts",
                "server",
                "environments",
            ] {
                findings.skipped(subject);
            }
        }
    }
    let view = CheckView {
        findings: findings.0,
    };
    output.document(&view);
    Ok(view.class().map_or(Ending::Success, Ending::Reported))
}

async fn release_findings(release: &Release, stop: &CancellationToken, findings: &mut Findings) {
    let deployment = match release.project.deployment() {
        Ok(deployment) => {
            findings.ok(
                "deployment",
                format!(
                    "{} schemas and {} clusters",
                    deployment.schemas.len(),
                    deployment.clusters.len()
                ),
            );
            Some(deployment)
        }
        Err(error) => {
            findings.fault("deployment", &ReleaseError::from(error));
            None
        }
    };
    let folder = release
        .runs()
        .join(format!("check-{}", uuid::Uuid::now_v7()));
    match dbt(release, &folder, stop).await {
        Ok(found) => findings.ok("dbt", found),
        Err(error) => findings.fault("dbt", &error),
    }
    // Made a moment ago and empty.
    let _ = std::fs::remove_dir_all(&folder);
    let store = match release.store().await {
        Ok(store) => {
            findings.ok("journal", masked(&release.settings.store.url));
            if let Some(weakness) = release.weak_journal() {
                findings.weak("journal", weakness);
            }
            if let Err(error) = windows::told(release, &store, findings).await {
                findings.fault("journal", &error);
            }
            Some(store)
        }
        Err(error) => {
            findings.fault("journal", &error);
            None
        }
    };
    match artifacts(release).await {
        Ok(found) => findings.ok("artifacts", found),
        Err(error) => findings.fault("artifacts", &error),
    }
    endpoints::tried(release, findings).await;
    targets::tried(release, findings).await;
    if let Some(weakness) = release.materialize_address().weakness() {
        findings.weak("server", weakness);
    }
    let catalog = server_findings(&release.materialize(), deployment.as_ref(), findings).await;
    match (store, catalog, deployment) {
        (Some(store), Some(catalog), Some(_)) => {
            if let Err(error) = environments(release, &store, &catalog, findings).await {
                findings.fault("environments", &error);
            }
        }
        _ => findings.skipped("environments"),
    }
}

/// What other environments have live of what this one lists.
async fn environments(
    release: &Release,
    store: &Store,
    catalog: &Catalog,
    findings: &mut Findings,
) -> Result<(), ReleaseError> {
    let artifacts = release.artifacts()?;
    let overlaps = release.overlaps(&artifacts, store, catalog, None).await?;
    let is_allowed = release
        .allowed(&[])
        .contains(&RefusalName::EnvironmentsOverlap);
    for refusal in &overlaps.refusals {
        let verdict = match is_allowed {
            true => Verdict::Warning,
            false => Verdict::Fault(Class::Refused),
        };
        findings.push(
            "environments",
            verdict,
            format!("{} [{}]", refusal.message, refusal.objects.join(", ")),
            Some(refusal.remedy.clone()),
        );
    }
    for why in &overlaps.unknown {
        findings.note("environments", why.clone());
    }
    if overlaps == Overlaps::default() {
        findings.ok(
            "environments",
            "no other one is live with these schemas or clusters".to_owned(),
        );
    }
    Ok(())
}

/// The store is opened and listed, the pointer is read, and it is proved that nothing is overwritten.
async fn artifacts(release: &Release) -> Result<String, ReleaseError> {
    let artifacts = release.artifacts()?;
    artifacts.projects().await?;
    artifacts.prove().await?;
    let baseline = match artifacts.current(&release.artifact_key()).await? {
        Some(pointer) => match pointer.deployment {
            Some(id) => format!("the baseline is {id}"),
            None => "the baseline is none".to_owned(),
        },
        None => "no baseline yet".to_owned(),
    };
    Ok(format!("{}, {baseline}", artifacts.place()))
}

async fn dbt(
    release: &Release,
    folder: &Path,
    stop: &CancellationToken,
) -> Result<String, ReleaseError> {
    let builds = release.builds(folder, &Reporter::silent(), stop)?;
    if let Some(bundle) = &release.bundle {
        release.is_for_this(&builds)?;
        let dbt = &bundle.about().dbt;
        return Ok(format!(
            "none is needed: the bundle {} was compiled for what is configured here, with dbt-core {} and dbt-materialize {}",
            bundle.digest(),
            dbt.core,
            dbt.adapter
        ));
    }
    let invoker = builds.invoker;
    let version = invoker
        .dbt
        .version(&invoker.environment, invoker.command_timeout, stop)
        .await?;
    Ok(format!(
        "{} with dbt-core {} and dbt-materialize {}",
        invoker.dbt.executable()?.display(),
        version.core,
        version.adapter
    ))
}

async fn server_findings(
    materialize: &Materialize,
    deployment: Option<&Deployment>,
    findings: &mut Findings,
) -> Option<Catalog> {
    let catalog = match materialize.session().await {
        Ok(session) => {
            findings.ok("server", session.version().to_owned());
            Catalog::read(materialize).await
        }
        Err(error) => Err(error),
    };
    let catalog = match catalog {
        Ok(catalog) => catalog,
        Err(error) => {
            findings.fault("server", &error);
            findings.skipped("readiness");
            findings.skipped("privileges");
            return None;
        }
    };
    match readiness(materialize).await {
        Ok(()) => findings.ok(
            "readiness",
            "every relation that readiness is read from is there".to_owned(),
        ),
        Err(error) => findings.fault("readiness", &error),
    }
    if let Some(deployment) = deployment {
        privileges(&catalog, deployment, findings);
    }
    Some(catalog)
}

/// `mz_internal` is declared unstable by the vendor, so what is read from it is tried.
async fn readiness(materialize: &Materialize) -> Result<(), MaterializeError> {
    let session = materialize.session().await?;
    Reading::take(&session, &BTreeSet::new(), &BTreeSet::new())
        .await
        .map(drop)
}

fn privileges(catalog: &Catalog, deployment: &Deployment, findings: &mut Findings) {
    let mut lacking = Vec::new();
    if !catalog.may_create_schemas {
        lacking.push(format!("CREATE on the database {}", catalog.database));
    }
    if !catalog.may_create_clusters && !deployment.clusters.is_empty() {
        lacking.push("CREATECLUSTER on the system".to_owned());
    }
    let mut missing = Vec::new();
    for name in &deployment.schemas {
        match catalog.schema(name) {
            Some(schema) if !catalog.owns(&schema.owner) => {
                lacking.push(format!(
                    "ownership of the schema {name} (of {})",
                    schema.owner
                ));
            }
            Some(_) => {}
            None => missing.push(format!("schema {name}")),
        }
        let green = format!("{name}{GREEN_SUFFIX}");
        if catalog.schema(&green).is_some() {
            findings.note("green", format!("the schema {green} exists"));
        }
    }
    for name in &deployment.clusters {
        match catalog.cluster(name) {
            Some(cluster) if !catalog.owns(&cluster.owner) => {
                lacking.push(format!(
                    "ownership of the cluster {name} (of {})",
                    cluster.owner
                ));
            }
            Some(_) => {}
            None => missing.push(format!("cluster {name}")),
        }
    }
    if missing.is_empty() {
        findings.ok("production", "every schema and cluster exists".to_owned());
    } else {
        findings.0.push(Finding {
            subject: "production".to_owned(),
            verdict: Verdict::Fault(Class::Refused),
            detail: format!("missing: {}", missing.join(", ")),
            remedy: Some("create them, or deploy with --bootstrap".to_owned()),
        });
    }
    if lacking.is_empty() {
        findings.ok(
            "privileges",
            format!("the role {} has what it needs", catalog.role),
        );
    } else {
        findings.0.push(Finding {
            subject: "privileges".to_owned(),
            verdict: Verdict::Fault(Class::Refused),
            detail: format!("the role {} lacks {}", catalog.role, lacking.join(", ")),
            remedy: Some("ask an administrator to grant it".to_owned()),
        });
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn push(&mut self, subject: &str, verdict: Verdict, detail: String, remedy: Option<String>) {
        self.0.push(Finding {
            subject: subject.to_owned(),
            verdict,
            detail,
            remedy,
        });
    }

    fn ok(&mut self, subject: &str, detail: String) {
        self.push(subject, Verdict::Ok, detail, None);
    }

    fn note(&mut self, subject: &str, detail: String) {
        self.push(subject, Verdict::Warning, detail, None);
    }

    /// A connection that does not prove who the server is.
    fn weak(&mut self, subject: &str, weakness: String) {
        let remedy = "set sslmode to verify-full, and sslrootcert where the authority is your own";
        self.push(subject, Verdict::Warning, weakness, Some(remedy.to_owned()));
    }

    fn skipped(&mut self, subject: &str) {
        self.push(
            subject,
            Verdict::Skipped,
            "not tested because of the fault before".to_owned(),
            None,
        );
    }

    fn fault(&mut self, subject: &str, error: &(impl Classify + 'static)) {
        let remedy = error
            .hint()
            .unwrap_or_else(|| error.class().hint().to_owned());
        self.push(
            subject,
            Verdict::Fault(error.class()),
            with_causes(error),
            Some(remedy),
        );
    }
}
