//! Connections, sources and their tables outside of what is swapped: made before the build, which reads them.

use crate::adapters::materialize::{Statement, ddl, native_ddl};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::outside::OutsideMake;
use crate::domain::progress::Progress;
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::SecretNames;
use crate::operations::saga::outside::{self, Dropped, Making};

/// Makes what is planned, one after the other.
///
/// # Errors
/// As of [`outside::make`].
pub(crate) async fn make(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let makes = &deployment.plan.outside.makes;
    let secret = Context::secret(deployment);
    for (number, make) in makes.iter().enumerate() {
        context.interrupted(deployment)?;
        let statement = |name: &Qualified<'_>| creation(make, name);
        let making = Making {
            key: effect(make),
            secret: secret_name(&secret, number),
            place: &make.place,
            kind: make.kind,
            statement: &statement,
        };
        outside::make(context, deployment, &making).await?;
        if make.comment.is_some() {
            let database = &deployment.plan.database;
            let name = Qualified::object(database, &make.place.schema, &make.place.name);
            let comment = ddl::comment_on_object(make.kind, &name, make.comment.as_deref());
            context.execute(&comment).await?;
        }
        context.reporter.send(Progress::Work {
            what: "created".to_owned(),
            item: format!("{} {}", make.kind, make.place),
            done: number + 1,
            total: makes.len(),
        });
    }
    Ok(())
}

/// Drops what was made, the last one first. What somebody has begun to read stays, and is said.
///
/// # Errors
/// As of [`outside::drop_by_id`].
pub(crate) async fn unmake(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let secret = Context::secret(deployment);
    let makes = deployment.plan.outside.makes.iter().enumerate();
    for (number, make) in makes.rev() {
        let name = secret_name(&secret, number);
        let made = outside::made(context, deployment, &effect(make), &name).await?;
        let Some(id) = made else {
            continue;
        };
        if let Dropped::Needed(by) = outside::drop_by_id(context, deployment, &id).await? {
            context.reporter.warning(format!(
                "the {} {}, which this release made, stays: {by} depends on it",
                make.kind, make.place
            ));
        }
    }
    Ok(())
}

/// Says what stays although the release is rolled back: people may read it by now.
pub(crate) fn tell_what_stays(context: &Context<'_>, deployment: &Deployment) {
    for make in &deployment.plan.outside.makes {
        context.reporter.note(format!(
            "the {} {}, which this release made, stays",
            make.kind, make.place
        ));
    }
}

fn effect(make: &OutsideMake) -> String {
    format!("{}{}", key::OUTSIDE, make.node)
}

fn secret_name(secret: &SecretNames, number: usize) -> String {
    secret.hidden("outside", number)
}

fn creation(make: &OutsideMake, name: &Qualified<'_>) -> Statement {
    let cluster = make.cluster.as_deref();
    match (make.kind, cluster) {
        (ObjectKind::Source, Some(cluster)) => {
            native_ddl::create_source(name, cluster, &make.definition)
        }
        (ObjectKind::Connection, _) => native_ddl::create_connection(name, &make.definition),
        _ => native_ddl::create_source_table(name, &make.definition),
    }
}
