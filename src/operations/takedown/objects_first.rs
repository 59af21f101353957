//! Dropping the objects of a side whose schemas cannot be renamed while they stand.

use super::Side;
use super::dropping::drop_objects;
use super::order::dependents_first;
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::{Guarded, Names};
use crate::adapters::materialize::{Statement, ddl};
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;

/// Gives every object that goes a secret name, in one guarded transaction under its id, and drops them by
/// these names, dependents first. The schemas keep their names. A foreign swap between the transaction
/// and a drop puts other objects under the schema's name, and none of these has the secret one.
///
/// # Errors
/// The server's and the journal's. In the result what stands in the way, where an object is not the one
/// that was recorded; nothing is dropped then.
pub(super) async fn drop_them(
    context: &Context<'_>,
    side: &Side<'_>,
    catalog: &Catalog,
    about: &About,
) -> Result<Result<(), String>, DeploymentError> {
    let going = match side.objects(catalog) {
        Ok(going) => going,
        Err(reason) => return Ok(Err(reason)),
    };
    // Indexes of relations that stay are in no schema that goes, and nothing depends on them.
    let order: Vec<Vec<&Object>> = dependents_first(catalog, &going)
        .into_iter()
        .filter(|objects| objects.iter().all(|it| it.kind != ObjectKind::Index))
        .collect();
    let mut renames: Vec<(&str, String, Statement)> = Vec::new();
    for object in order.iter().flatten() {
        let hidden = side.secret.hidden_object(&object.id);
        let Some(schema) = catalog.schemas.get(&object.schema_id) else {
            continue;
        };
        if object.name == hidden {
            continue;
        }
        let name = Qualified::object(&schema.database, &schema.name, &object.name);
        let called = format!("{}.{}", schema.name, object.name);
        let statement = ddl::rename_object(object.kind, &name, &hidden);
        renames.push((&object.id, called, statement));
    }
    let statements: Vec<Statement> = renames.iter().map(|rename| rename.2.clone()).collect();
    let check = |names: &Names| {
        for (id, called, _) in &renames {
            if names.called.get(*id) != Some(called) {
                return Err(format!(
                    "foreign-swap: {called} is not the object that was recorded (id {id}): somebody swapped, renamed or dropped it. Look at both sides"
                ));
            }
        }
        Ok(())
    };
    let about = about
        .clone()
        .and_objects(order.iter().flatten().map(|object| &object.id));
    match context.guarded(&statements, false, &about, check).await? {
        Guarded::Committed => {}
        Guarded::Declined(reason) => return Ok(Err(reason)),
        Guarded::Unknown(error) => {
            context.materialize.forget().await;
            return Err(error.into());
        }
    }
    let hidden = |object: &Object| side.secret.hidden_object(&object.id);
    for objects in order {
        drop_objects(context, &about, catalog, &objects, hidden).await?;
    }
    Ok(Ok(()))
}
