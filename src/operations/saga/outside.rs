//! One object outside of what is swapped, made and dropped.
//!
//! It is made under a name that only this deployment knows, recorded by id, and then given its own name, each an
//! effect: whatever carries the secret name is ours, and what somebody else made under its own name is never taken
//! for it. It goes the other way round: by its id it gets a secret name, and what carries that is dropped.

use super::context::{Context, key};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::{MaterializeError, Statement, ddl};
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::outside::Place;
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;

/// What is to be made.
pub(crate) struct Making<'a> {
    /// The key of its effect; that of the effect that gives its name begins with [`key::NAMED`].
    pub(crate) key: String,
    /// The secret name.
    pub(crate) secret: String,
    /// What it is called in the end.
    pub(crate) place: &'a Place,
    pub(crate) kind: ObjectKind,
    /// Makes it under a name.
    pub(crate) statement: &'a (dyn Fn(&Qualified<'_>) -> Statement + Sync),
}

/// Makes it, unless that has happened; its id.
///
/// # Errors
/// [`DeploymentError::Failed`] where somebody else made something of its name, or dropped or renamed it; the server's
/// and the journal's.
pub(crate) async fn make(
    context: &Context<'_>,
    deployment: &Deployment,
    making: &Making<'_>,
) -> Result<String, DeploymentError> {
    let database = &deployment.plan.database;
    let Making {
        place,
        kind,
        secret,
        ..
    } = making;
    let name = Qualified::object(database, &place.schema, secret);
    let statement = (making.statement)(&name);
    let effect = context
        .begin(deployment, &making.key, &statement.sql())
        .await?;
    let id = match effect.result_as::<String>()? {
        Some(id) => id,
        None => {
            let id = match by_secret(context, secret).await? {
                Some(id) => id,
                None => {
                    is_free(context, place).await?;
                    context
                        .make(&statement, async || {
                            Ok(by_secret(context, secret).await?.is_some())
                        })
                        .await?;
                    by_secret(context, secret).await?.ok_or_else(|| {
                        DeploymentError::Failed(format!(
                            "the {kind} {place} was made as {secret} and is gone: somebody dropped it"
                        ))
                    })?
                }
            };
            context.finish(deployment, &making.key, &id).await?;
            id
        }
    };
    let naming = format!("{}{}", key::NAMED, making.key);
    let named = context
        .begin(deployment, &naming, &(secret, &place.name))
        .await?;
    if named.result.is_none() {
        rename(context, database, (&id, *kind), place, secret).await?;
        context.finish(deployment, &naming, &true).await?;
    }
    Ok(id)
}

/// The id of what was made for this effect, whether that is recorded or not; `None` where nothing was.
///
/// # Errors
/// The server's and the journal's.
pub(crate) async fn made(
    context: &Context<'_>,
    deployment: &Deployment,
    key: &str,
    secret: &str,
) -> Result<Option<String>, DeploymentError> {
    let Some(effect) = context.store.effect(&deployment.id, key).await? else {
        return Ok(None);
    };
    match effect.result_as::<String>()? {
        Some(id) => Ok(Some(id)),
        None => Ok(by_secret(context, secret).await?),
    }
}

/// What became of an object that was to be dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It is gone.
    Yes,
    /// Something depends on it: what, for people. It was left as it is.
    Needed(String),
}

/// Drops an object by its id; one that is gone is as good as dropped.
///
/// # Errors
/// [`DeploymentError::Stuck`] where its name turns out to be somebody else's; the server's and the journal's.
pub(crate) async fn drop_by_id(
    context: &Context<'_>,
    deployment: &Deployment,
    id: &str,
) -> Result<Dropped, DeploymentError> {
    let key = format!("{}{id}", key::DROP_OUTSIDE);
    let effect = context.begin(deployment, &key, &id).await?;
    if effect.result.is_some() {
        return Ok(Dropped::Yes);
    }
    let hidden = Context::secret(deployment).hidden_object(id);
    loop {
        let (catalog, about) = look(context, id).await?;
        let Some(object) = catalog.objects.get(id) else {
            break;
        };
        let dependents = catalog.dependents(id).into_iter();
        let dependents = dependents.filter(|it| !it.is_part && it.kind != ObjectKind::Index);
        let needed: Vec<String> = dependents.map(|it| catalog.name_of(it)).collect();
        if !needed.is_empty() {
            return Ok(Dropped::Needed(needed.join(", ")));
        }
        let Some(name) = catalog.qualified(object, &object.name) else {
            return Err(lost(object));
        };
        if object.name != hidden {
            // The next look says whether it was this one that was renamed.
            let rename = ddl::rename_object(object.kind, &name, &hidden);
            let answer = context.execute(&rename).await;
            let now = Catalog::look(context.materialize, &about).await?;
            match now.objects.get(id) {
                None => break,
                Some(now) if now.name == hidden => continue,
                Some(_) => {
                    answer?;
                    return Err(lost(object));
                }
            }
        }
        let answer = context.execute(&ddl::drop_object(object.kind, &name)).await;
        match answer {
            Err(error @ DeploymentError::Materialize(MaterializeError::Refused { .. })) => {
                let now = Catalog::look(context.materialize, &about).await?;
                if now.objects.contains_key(id) {
                    return Err(error);
                }
            }
            answer => answer?,
        }
        break;
    }
    context.finish(deployment, &key, &true).await?;
    Ok(Dropped::Yes)
}

/// Whether dropping an object was begun.
///
/// # Errors
/// The journal's.
pub(crate) async fn was_to_go(
    context: &Context<'_>,
    deployment: &Deployment,
    id: &str,
) -> Result<bool, DeploymentError> {
    let key = format!("{}{id}", key::DROP_OUTSIDE);
    Ok(context.store.effect(&deployment.id, &key).await?.is_some())
}

/// Gives an object that was to be dropped its name back; whether it is still there.
///
/// # Errors
/// As of [`make`].
pub(crate) async fn show_again(
    context: &Context<'_>,
    deployment: &Deployment,
    (id, kind): (&str, ObjectKind),
    place: &Place,
) -> Result<bool, DeploymentError> {
    let (catalog, _) = look(context, id).await?;
    if !catalog.objects.contains_key(id) {
        return Ok(false);
    }
    let hidden = Context::secret(deployment).hidden_object(id);
    let database = &deployment.plan.database;
    rename(context, database, (id, kind), place, &hidden).await?;
    Ok(true)
}

/// Looks at one object and at what depends on it.
pub(crate) async fn look(
    context: &Context<'_>,
    id: &str,
) -> Result<(Catalog, About), DeploymentError> {
    let about = About::default().and_objects([&id.to_owned()]);
    let catalog = Catalog::look(context.materialize, &about).await?;
    Ok((catalog, about))
}

/// Gives an object its name, if it has the secret one.
async fn rename(
    context: &Context<'_>,
    database: &str,
    (id, kind): (&str, ObjectKind),
    place: &Place,
    secret: &str,
) -> Result<(), DeploymentError> {
    let called = async || {
        let (catalog, _) = look(context, id).await?;
        let object = catalog.objects.get(id);
        Ok::<_, DeploymentError>(object.map(|object| object.name.clone()))
    };
    let is_gone = || {
        DeploymentError::Failed(format!(
            "the {kind} {place}, which this release made, is gone: somebody dropped it"
        ))
    };
    let name = called().await?.ok_or_else(is_gone)?;
    if name == place.name {
        return Ok(());
    }
    if name != secret {
        return Err(DeploymentError::Failed(format!(
            "the {kind} {place}, which this release made, is called {name}: somebody renamed it. Give it its name back"
        )));
    }
    is_free(context, place).await?;
    let from = Qualified::object(database, &place.schema, secret);
    let answer = context
        .execute(&ddl::rename_object(kind, &from, &place.name))
        .await;
    match answer {
        Err(error @ DeploymentError::Materialize(MaterializeError::Refused { .. })) => {
            match called().await?.ok_or_else(is_gone)? {
                name if name == place.name => Ok(()),
                _ => {
                    is_free(context, place).await?;
                    Err(error)
                }
            }
        }
        answer => answer,
    }
}

/// The id of what carries this secret name.
async fn by_secret(
    context: &Context<'_>,
    secret: &str,
) -> Result<Option<String>, MaterializeError> {
    let about = About {
        object_names: [secret.to_owned()].into(),
        names_only: true,
        ..About::default()
    };
    let catalog = Catalog::look(context.materialize, &about).await?;
    let mut objects = catalog.objects.values();
    let found = objects.find(|object| object.name == secret);
    Ok(found.map(|object| object.id.clone()))
}

/// Makes sure that nothing has this name.
async fn is_free(context: &Context<'_>, place: &Place) -> Result<(), DeploymentError> {
    let about = About {
        schemas: [place.schema.clone()].into(),
        object_names: [place.name.clone()].into(),
        names_only: true,
        ..About::default()
    };
    let catalog = Catalog::look(context.materialize, &about).await?;
    let Some(schema) = catalog.schema(&place.schema) else {
        return Err(DeploymentError::Failed(format!(
            "the schema of {place} is gone: somebody dropped or renamed it"
        )));
    };
    let mut taken = catalog.objects.values();
    let taken = taken.find(|it| it.schema_id == schema.id && it.name == place.name);
    match taken {
        None => Ok(()),
        Some(taken) => Err(DeploymentError::Failed(format!(
            "name-taken: somebody else made {place} (a {}, id {}) since the plan; it is not touched. Drop or rename it",
            taken.kind, taken.id
        ))),
    }
}

fn lost(object: &Object) -> DeploymentError {
    DeploymentError::Stuck(format!(
        "foreign-swap: what was to be dropped as {} (id {}) is called otherwise now: somebody renamed it. Look at it, then run `cutover resume`",
        object.name, object.id
    ))
}
