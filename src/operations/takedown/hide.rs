//! Giving what goes names that only this deployment knows, in one guarded transaction.

use super::{IndexRename, Side};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::{Guarded, Names};
use crate::adapters::materialize::{Statement, ddl};
use crate::domain::catalog::Catalog;
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// How things stand once everything that goes is hidden.
pub(super) enum Hidden {
    /// As they were seen before, but for these names: the transaction saw nothing else that differs, and had anything
    /// changed from then on it would not have been committed.
    Seen(Renamed),
    /// Something changed, or nothing was sent: only another look tells.
    LookAgain,
}

/// The names that schemas, clusters and indexes have got, by id.
#[derive(Default)]
pub(super) struct Renamed {
    schemas: BTreeMap<String, String>,
    clusters: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
}

impl Renamed {
    /// Gives these names in a catalog that was read before.
    pub(super) fn apply(self, catalog: &mut Catalog) {
        for (id, name) in self.schemas {
            if let Some(schema) = catalog.schemas.get_mut(&id) {
                schema.name = name;
            }
        }
        for (id, name) in self.clusters {
            if let Some(cluster) = catalog.clusters.get_mut(&id) {
                cluster.name = name;
            }
        }
        for (id, name) in self.objects {
            if let Some(object) = catalog.objects.get_mut(&id) {
                object.name = name;
            }
        }
    }
}

/// Whether what goes, and who depends on it, is now as it was before.
fn is_same(about: &About, before: &Names, now: &Names) -> bool {
    let of_side = |names: &Names| -> BTreeMap<String, (String, Option<String>, String)> {
        let objects = names.objects.iter();
        let objects = objects.filter(|(id, (schema, cluster))| {
            let is_on = |cluster: &String| about.cluster_ids.contains(cluster);
            about.objects.contains(*id)
                || about.schema_ids.contains(schema)
                || cluster.as_ref().is_some_and(is_on)
        });
        objects
            .map(|(id, (schema, cluster))| {
                let what = (
                    schema.clone(),
                    cluster.clone(),
                    names.name_of(id).to_owned(),
                );
                (id.clone(), what)
            })
            .collect()
    };
    let known: BTreeSet<&(String, String)> = before.dependencies.iter().collect();
    of_side(before) == of_side(now) && now.dependencies.iter().all(|it| known.contains(it))
}

/// Gives everything that goes a secret name, unless it has one. `names` and `catalog` are of one moment.
pub(super) async fn hide(
    context: &Context<'_>,
    deployment: &Deployment,
    side: &Side<'_>,
    (names, catalog): (&Names, &Catalog),
    about: &About,
) -> Result<Hidden, DeploymentError> {
    // (is a cluster, id, present name, hidden name)
    let mut renames: Vec<(bool, &str, &str, String)> = Vec::new();
    for (index, (id, _)) in side.schemas.iter().enumerate() {
        if let Some(schema) = catalog.schemas.get(id) {
            let hidden = side.hidden(deployment, "schema", index);
            if schema.name != hidden {
                renames.push((false, id, &schema.name, hidden));
            }
        }
    }
    for (index, (id, _)) in side.clusters.iter().enumerate() {
        if let Some(cluster) = catalog.clusters.get(id) {
            let hidden = side.hidden(deployment, "cluster", index);
            if cluster.name != hidden {
                renames.push((true, id, &cluster.name, hidden));
            }
        }
    }
    refuse_what_moved(deployment, side, &renames)?;
    let index_renames = side.index_renames(catalog);
    let statements: Vec<Statement> = renames
        .iter()
        .map(|(is_cluster, _, from, to)| {
            if *is_cluster {
                ddl::rename_cluster(from, to)
            } else {
                ddl::rename_schema(&side.plan.database, from, to)
            }
        })
        .chain(index_renames.iter().map(|rename| rename.statement.clone()))
        .collect();
    let before = names;
    let is_as_seen = AtomicBool::new(false);
    let check = |names: &Names| {
        is_as_seen.store(is_same(about, before, names), Ordering::Relaxed);
        for (is_cluster, id, name, _) in &renames {
            let by_name = if *is_cluster {
                &names.clusters
            } else {
                &names.schemas
            };
            if by_name.get(*name).map(String::as_str) != Some(*id) {
                return Err(format!(
                    "foreign-swap: {name} is not the one that was recorded (id {id}): somebody swapped, renamed or dropped it. Look at both sides"
                ));
            }
        }
        for IndexRename { id, called, .. } in &index_renames {
            if names.called.get(id) != Some(called) {
                return Err(format!(
                    "foreign-swap: {called} is not the index that was recorded (id {id}): somebody renamed or dropped it. Look at both"
                ));
            }
        }
        Ok(())
    };
    let wider = about.clone();
    let wider = wider.and_objects(index_renames.iter().map(|rename| &rename.id));
    match context.guarded(&statements, false, &wider, check).await? {
        Guarded::Committed if is_as_seen.load(Ordering::Relaxed) => {
            let mut renamed = Renamed::default();
            for (is_cluster, id, _, to) in &renames {
                let things = match is_cluster {
                    true => &mut renamed.clusters,
                    false => &mut renamed.schemas,
                };
                things.insert((*id).to_owned(), to.clone());
            }
            let indexes = index_renames
                .iter()
                .map(|rename| (rename.id.clone(), rename.to.clone()));
            renamed.objects.extend(indexes);
            Ok(Hidden::Seen(renamed))
        }
        Guarded::Committed => Ok(Hidden::LookAgain),
        Guarded::Declined(reason) => Err(DeploymentError::Stuck(format!(
            "{reason}, then run `cutover resume`"
        ))),
        Guarded::Unknown(error) => {
            context.materialize.forget().await;
            Err(error.into())
        }
    }
}

/// What goes must stand where this deployment left it. Under a production name it serves, because
/// somebody swapped; under any other name somebody wants it. Neither is ours to drop.
fn refuse_what_moved(
    deployment: &Deployment,
    side: &Side<'_>,
    renames: &[(bool, &str, &str, String)],
) -> Result<(), DeploymentError> {
    let stuck = |what: String| {
        Err(DeploymentError::Stuck(format!(
            "foreign-swap: {what}. Nothing was dropped. Look at both sides, restore the recorded names, then run `cutover resume`"
        )))
    };
    for (is_cluster, id, name, _) in renames {
        let what = if *is_cluster { "cluster" } else { "schema" };
        let left = side.left_at(deployment, *is_cluster, id);
        if left.iter().any(|left| left == name) {
            continue;
        }
        if side.is_production(*is_cluster, name) {
            return stuck(format!(
                "the side that is to be dropped serves under the production name {name}: somebody swapped"
            ));
        }
        return stuck(format!(
            "the {what} {} that is to be dropped is now called {name}: somebody renamed it",
            left.first().map_or("", String::as_str)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Renamed, is_same};
    use crate::adapters::materialize::catalog::About;
    use crate::adapters::materialize::guarded::Names;
    use crate::domain::catalog::{Catalog, Schema};
    use std::collections::BTreeMap;

    fn names(objects: &[(&str, &str, Option<&str>)], read: &[(&str, &str)]) -> Names {
        let own = |text: &str| text.to_owned();
        Names {
            objects: objects
                .iter()
                .map(|(id, schema, cluster)| (own(id), (own(schema), cluster.map(own))))
                .collect(),
            called: objects
                .iter()
                .map(|(id, schema, _)| (own(id), format!("{schema}.{id}")))
                .collect(),
            dependencies: read.iter().map(|(by, on)| (own(by), own(on))).collect(),
            ..Names::default()
        }
    }

    #[test]
    fn what_appeared_moved_or_reads_is_no_more_the_same() {
        let about = About {
            schema_ids: ["s1".to_owned()].into(),
            cluster_ids: ["c1".to_owned()].into(),
            ..About::default()
        };
        let before = names(
            &[
                ("u1", "s1", None),
                ("u2", "s1", Some("c1")),
                ("u9", "s9", None),
            ],
            &[("u2", "u1"), ("u9", "u1")],
        );
        assert!(is_same(&about, &before, &before));
        // What is read by it and lies elsewhere was looked at before, and only then.
        let narrower = names(
            &[("u1", "s1", None), ("u2", "s1", Some("c1"))],
            &[("u2", "u1")],
        );
        assert!(is_same(&about, &before, &narrower));
        for (what, now) in [
            ("gone", names(&[("u1", "s1", None)], &[])),
            (
                "new in the schema",
                names(
                    &[
                        ("u1", "s1", None),
                        ("u2", "s1", Some("c1")),
                        ("u3", "s1", None),
                    ],
                    &[],
                ),
            ),
            (
                "new on the cluster",
                names(
                    &[
                        ("u1", "s1", None),
                        ("u2", "s1", Some("c1")),
                        ("u3", "s2", Some("c1")),
                    ],
                    &[],
                ),
            ),
            (
                "moved",
                names(&[("u1", "s1", None), ("u2", "s2", Some("c1"))], &[]),
            ),
            (
                "read by something else",
                names(
                    &[("u1", "s1", None), ("u2", "s1", Some("c1"))],
                    &[("u7", "u1")],
                ),
            ),
        ] {
            assert!(!is_same(&about, &before, &now), "{what}");
        }
        let mut renamed = before.clone();
        renamed
            .called
            .insert("u1".to_owned(), "s1.other".to_owned());
        assert!(!is_same(&about, &before, &renamed));
    }

    #[test]
    fn new_names_are_given_by_id() {
        let schema = |id: &str| Schema {
            id: id.to_owned(),
            name: format!("name of {id}"),
            database: "materialize".to_owned(),
            owner: "mz".to_owned(),
            grants: Vec::new(),
            default_privileges: Vec::new(),
            comment: None,
        };
        let mut catalog = Catalog::default();
        for id in ["s1", "s2"] {
            catalog.schemas.insert(id.to_owned(), schema(id));
        }
        let renamed = Renamed {
            schemas: BTreeMap::from([
                ("s1".to_owned(), "hidden".to_owned()),
                ("s3".to_owned(), "nowhere".to_owned()),
            ]),
            ..Renamed::default()
        };
        renamed.apply(&mut catalog);
        let names: Vec<&str> = catalog
            .schemas
            .values()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, ["hidden", "name of s2"]);
    }
}
