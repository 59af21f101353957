//! Whether green reads what it is to take the place of.

use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::plan::Plan;
use crate::operations::error::DeploymentError;
use crate::operations::saga::identity::GreenObject;
use std::collections::BTreeMap;

/// Makes sure, by the server's own dependencies, that nothing of green reads the old side of what is released with
/// it. SQL may name a relation in a form that was not rewritten.
///
/// # Errors
/// [`DeploymentError::Failed`] names what reads what.
pub(crate) fn reads_no_old(
    plan: &Plan,
    green: &[GreenObject],
    catalog: &Catalog,
) -> Result<(), DeploymentError> {
    let old: BTreeMap<&str, String> = plan
        .schemas
        .iter()
        .flat_map(|schema| schema.objects.iter().map(move |object| (schema, object)))
        .filter(|(_, object)| object.kind != ObjectKind::Index)
        .map(|(schema, object)| {
            (
                object.id.as_str(),
                format!("{}.{}", schema.name, object.name),
            )
        })
        .collect();
    let new: BTreeMap<&str, &GreenObject> = green
        .iter()
        .map(|object| (object.id.as_str(), object))
        .collect();
    let mut found: Vec<String> = catalog
        .dependencies
        .iter()
        .filter_map(|(reader, on)| {
            let (reader, old) = (new.get(reader.as_str())?, old.get(on.as_str())?);
            Some(format!("{}.{} reads {old}", reader.schema, reader.name))
        })
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    found.sort_unstable();
    found.dedup();
    Err(DeploymentError::Failed(format!(
        "the new side reads the old one: {}. The SQL names it in a form that is not rewritten; name it by ref(), or set build.engine to dbt",
        found.join(", ")
    )))
}
