//! Single statements that drop. What is gone already is as good as dropped, whoever did it.

use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::{MaterializeError, Statement, ddl};
use crate::domain::catalog::{Catalog, Object};
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;

/// Drops objects of one kind, none of which depends on another, by the names that they have now: all of them in one
/// statement, which the server carries out whole or not at all. Where it refuses that, one by one.
pub(super) async fn drop_objects(
    context: &Context<'_>,
    about: &About,
    catalog: &Catalog,
    objects: &[&Object],
    named: impl Fn(&Object) -> String,
) -> Result<(), DeploymentError> {
    if let [first, _, ..] = objects {
        let names: Vec<String> = objects
            .iter()
            .filter_map(|object| Some(catalog.qualified(object, &named(object))?.to_string()))
            .collect();
        if names.len() == objects.len() {
            match context
                .execute(&ddl::drop_objects(first.kind, &names))
                .await
            {
                Err(DeploymentError::Materialize(MaterializeError::Refused { .. })) => {}
                answer => return answer,
            }
        }
    }
    for object in objects {
        drop_object(context, about, catalog, object, &named(object)).await?;
    }
    Ok(())
}

/// Drops an object of this catalog by the name that it has now. One that is gone already is as good as
/// dropped.
async fn drop_object(
    context: &Context<'_>,
    about: &About,
    catalog: &Catalog,
    object: &Object,
    name: &str,
) -> Result<(), DeploymentError> {
    let Some(schema) = catalog.schemas.get(&object.schema_id) else {
        return Ok(());
    };
    let qualified = Qualified::object(&schema.database, &schema.name, name);
    let statement = ddl::drop_object(object.kind, &qualified);
    let answer = context.execute(&statement).await;
    if !matches!(
        answer,
        Err(DeploymentError::Materialize(
            MaterializeError::Refused { .. }
        ))
    ) {
        return answer;
    }
    let now = Catalog::look(context.materialize, about).await?;
    let Some(present) = now.objects.get(&object.id) else {
        return Ok(());
    };
    let place = now.schemas.get(&present.schema_id);
    if place.map(|schema| &schema.name) == Some(&schema.name) && present.name == name {
        return answer;
    }
    Err(DeploymentError::Stuck(format!(
        "foreign-swap: what was to be dropped as {}.{name} is now {}: somebody swapped or renamed it. Look at both sides, restore the recorded names, then run `cutover resume`",
        schema.name,
        now.name_of(present)
    )))
}

/// A drop that is refused because somebody else was quicker is as good as done.
pub(super) async fn drop_unless_gone(
    context: &Context<'_>,
    about: &About,
    statement: &Statement,
    is_gone: impl Fn(&Catalog) -> bool,
) -> Result<(), DeploymentError> {
    match context.execute(statement).await {
        Err(DeploymentError::Materialize(MaterializeError::Refused { .. }))
            if is_gone(&Catalog::look(context.materialize, about).await?) =>
        {
            Ok(())
        }
        other => other,
    }
}
