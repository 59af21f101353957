//! Indexes of relations that stay, on clusters that are swapped.
//!
//! Each is made once more on the green cluster, in the relation's own schema and under a name that
//! only this deployment knows. When the old side is dropped the old index goes and the new one takes
//! its name; when green is dropped the new one goes. Readers use whichever lies on their cluster.

use crate::adapters::materialize::ddl;
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::{IndexMove, Plan};
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{GreenObject, SecretNames};
use crate::operations::saga::scope;
use crate::operations::saga::staged::index_name;

/// The indexes that were made, with the plan's entry for each.
pub(crate) fn made<'p, 'c>(
    plan: &'p Plan,
    secret: &SecretNames,
    catalog: &'c Catalog,
) -> Vec<(&'p IndexMove, &'c Object)> {
    let found = |(number, index): (usize, &'p IndexMove)| {
        let schema = catalog.schema(&index.schema)?;
        let name = index_name(secret, number);
        let made = catalog
            .objects_in_schema(&schema.id)
            .into_iter()
            .find(|object| object.kind == ObjectKind::Index && object.name == name)?;
        Some((index, made))
    };
    plan.indexes.iter().enumerate().filter_map(found).collect()
}

/// Makes what is missing and records all of it.
pub(crate) async fn make(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    if plan.indexes.is_empty() {
        return Ok(());
    }
    let effect = context
        .begin(deployment, key::INDEXES, &plan.indexes.len())
        .await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let secret = Context::secret(deployment);
    let about = scope::moved_indexes(deployment);
    let catalog = Catalog::look(context.materialize, &about).await?;
    let present: Vec<&str> = made(plan, &secret, &catalog)
        .iter()
        .map(|(index, _)| index.id.as_str())
        .collect();
    for (number, index) in plan.indexes.iter().enumerate() {
        context.interrupted(deployment)?;
        if !present.contains(&index.id.as_str()) {
            let name = index_name(&secret, number);
            let statement = creation(plan, index, &name);
            let is_there = async || {
                let now = Catalog::look(context.materialize, &about).await?;
                let made = made(plan, &secret, &now);
                Ok(made.iter().any(|(made, _)| made.id == index.id))
            };
            context.make(&statement, is_there).await?;
        }
        if index.comment.is_some() {
            let name = index_name(&secret, number);
            let name = Qualified::object(&plan.database, &index.schema, &name);
            let comment = index.comment.as_deref();
            let statement = ddl::comment_on_object(ObjectKind::Index, &name, comment);
            context.execute(&statement).await?;
        }
    }
    let ids = context.recorded_ids(deployment).await?;
    let catalog = Catalog::look(context.materialize, &about).await?;
    let mut recorded = Vec::new();
    for (index, object) in made(plan, &secret, &catalog) {
        if object.cluster_id.as_ref() != ids.green_clusters.get(&index.cluster) {
            return Err(DeploymentError::Failed(format!(
                "the index {} was made on another cluster than the green one of {}",
                object.name, index.cluster
            )));
        }
        recorded.push(GreenObject {
            id: object.id.clone(),
            schema: index.schema.clone(),
            name: index.name.clone(),
            kind: ObjectKind::Index,
            cluster_id: object.cluster_id.clone(),
            on: Some(index.relation.clone()),
            beside: false,
        });
    }
    if recorded.len() != plan.indexes.len() {
        return Err(DeploymentError::Failed(
            "an index that was made on a green cluster is gone: somebody dropped it".to_owned(),
        ));
    }
    context.finish(deployment, key::INDEXES, &recorded).await
}

fn creation(plan: &Plan, index: &IndexMove, name: &str) -> crate::adapters::materialize::Statement {
    let green = plan
        .clusters
        .iter()
        .find(|cluster| cluster.name == index.cluster)
        .map_or(index.cluster.as_str(), |cluster| cluster.green.as_str());
    ddl::create_index(
        name,
        green,
        &Qualified::object(&plan.database, &index.schema, &index.relation),
        &index.key,
    )
}
