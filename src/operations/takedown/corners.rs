//! Corners of pull requests make way for a release.
//!
//! What is built for a pull request reads production, and the server keeps its views bound to what they read: they would
//! go on reading the old side, and keep it from being dropped. So what reads the old side goes before the swap, with
//! what reads that in turn. It is expendable: the next build of the corner finds it missing and makes it anew.

use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::ddl;
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use crate::operations::takedown::order::dependents_first;
use std::collections::BTreeSet;

/// Drops what stands in schemas with the mark of a corner and reads production's objects of the plan; whether there was
/// anything. `about` is what the swap looks at.
///
/// # Errors
/// The server's, also where something else reads what is to go.
pub(crate) async fn make_way(
    context: &Context<'_>,
    deployment: &Deployment,
    about: &About,
) -> Result<bool, DeploymentError> {
    let catalog = Catalog::look(context.materialize, &about.clone().closely()).await?;
    let corners: BTreeSet<String> = catalog
        .schemas
        .values()
        .filter(|schema| schema.is_of_corner())
        .map(|schema| schema.id.clone())
        .collect();
    if corners.is_empty() {
        return Ok(false);
    }
    let plan = &deployment.plan;
    let old = plan.schemas.iter().flat_map(|schema| &schema.objects);
    let mut going: BTreeSet<&str> = old.map(|object| object.id.as_str()).collect();
    let about = About {
        schema_ids: corners,
        ..About::default()
    };
    let standing = Catalog::look(context.materialize, &about).await?;
    let in_corner = |id: &str| {
        let object = standing.objects.get(id)?;
        about
            .schema_ids
            .contains(&object.schema_id)
            .then_some(object)
    };
    let mut readers: Vec<&Object> = Vec::new();
    loop {
        let found: Vec<&Object> = standing
            .dependencies
            .iter()
            .filter(|(reader, on)| going.contains(&**on) && !going.contains(&**reader))
            .filter_map(|(reader, _)| in_corner(reader))
            .collect();
        if found.is_empty() {
            break;
        }
        for object in found {
            if going.insert(&object.id) && object.kind != ObjectKind::Index {
                readers.push(object);
            }
        }
    }
    for list in dependents_first(&standing, &readers) {
        let Some(first) = list.first() else { continue };
        let names: Vec<String> = list
            .iter()
            .filter_map(|object| standing.qualified(object, &object.name))
            .map(|name| name.to_string())
            .collect();
        context.reporter.note(format!(
            "what a pull request's corner reads of the old side goes: {}",
            names.join(", ")
        ));
        context
            .execute(&ddl::drop_objects(first.kind, &names))
            .await?;
    }
    Ok(!readers.is_empty())
}
