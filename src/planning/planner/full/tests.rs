//! A small shop in production, one thing wrong with it at a time.

use crate::domain::catalog::tag::{Side, Tag};
use crate::domain::catalog::{ClusterDefinition, ObjectKind};
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::RefusalName;
use crate::planning::planner::candidate::{CandidateIndex, ClusterUse, Promoted};
use crate::planning::planner::sample::World;
use std::collections::{BTreeMap, BTreeSet};

/// The plan is refused for this reason alone, and the refusal names the object and a remedy.
#[track_caller]
fn refused(name: RefusalName, object: &str, change: impl FnOnce(&mut World)) {
    let mut world = World::new();
    change(&mut world);
    let refusals = world.plan().expect_err("a refusal").0;
    let names: Vec<&str> = refusals
        .iter()
        .map(|refusal| refusal.name.as_str())
        .collect();
    assert_eq!(names, [name.as_str()], "{refusals:#?}");
    assert!(
        refusals[0]
            .objects
            .iter()
            .any(|named| named.contains(object)),
        "{refusals:#?} does not name {object}"
    );
    assert!(!refusals[0].remedy.is_empty());
}

#[track_caller]
fn planned(change: impl FnOnce(&mut World)) -> Plan {
    let mut world = World::new();
    change(&mut world);
    match world.plan() {
        Ok(plan) => plan,
        Err(refused) => panic!("{refused}"),
    }
}

#[test]
fn a_sound_world_is_planned_and_the_same_world_gives_the_same_bytes() {
    let plan = planned(|_| {});
    let ids: Vec<&str> = plan
        .nodes
        .iter()
        .map(|node| node.unique_id.as_str())
        .collect();
    assert_eq!(
        ids,
        ["model.shop.stg", "model.shop.totals", "seed.shop.orders"]
    );
    assert_eq!(plan.tests, ["test.shop.totals_not_null"]);
    assert_eq!(plan.test_cluster.as_deref(), Some("compute"));
    assert_eq!(plan.build_selectors.len(), 3);
    assert!(plan.gains.is_empty() && plan.loses.is_empty());
    assert_eq!(plan.schemas[0].green, "marts_dbt_deploy");
    assert_eq!(plan.schemas[0].id.as_deref(), Some("s2"));
    assert_eq!(plan.schemas[0].objects.len(), 2);
    let bytes = |plan: &Plan| serde_json::to_string(plan).expect("JSON");
    assert_eq!(bytes(&plan), bytes(&planned(|_| {})));
}

#[test]
fn gains_and_losses_are_listed() {
    let plan = planned(|world| {
        world.node("model.shop.fresh", "raw", "fresh", "view", &[]);
        world.object("u9", "deleted", ObjectKind::View, "s1", None);
        world.baseline = Some(BTreeMap::from([(
            ("raw".to_owned(), "deleted".to_owned()),
            Promoted::default(),
        )]));
    });
    assert_eq!(plan.gains, ["raw.fresh"]);
    assert_eq!(plan.loses, ["raw.deleted"]);
}

#[test]
fn missing_schemas_and_clusters_are_refused_or_bootstrapped() {
    refused(RefusalName::SchemaMissing, "fresh", |world| {
        world.schemas.insert("fresh".to_owned());
    });
    refused(RefusalName::ClusterMissing, "fresh", |world| {
        world.clusters.insert("fresh".to_owned());
    });
    let plan = planned(|world| {
        world.schemas.insert("fresh".to_owned());
        world.clusters.insert("fresh".to_owned());
        world.bootstrap = Some("50cc");
    });
    let schema = plan.schemas.iter().find(|schema| schema.name == "fresh");
    assert_eq!(schema.and_then(|schema| schema.id.clone()), None);
    let cluster = plan.clusters.iter().find(|cluster| cluster.name == "fresh");
    assert_eq!(
        cluster.map(|cluster| &cluster.definition),
        Some(&ClusterDefinition::Managed {
            options: "SIZE = '50cc'".to_owned()
        })
    );
}

#[test]
fn sinks_inside_are_refused_and_sinks_outside_are_repointed() {
    refused(RefusalName::SinkInSwappedSchema, "raw.sink", |world| {
        world.object("u9", "sink", ObjectKind::Sink, "s1", Some("c2"));
    });
    refused(RefusalName::SinkOnSwappedCluster, "outside.sink", |world| {
        world.object("u9", "sink", ObjectKind::Sink, "s3", Some("c1"));
    });
    refused(
        RefusalName::SinkInSwappedSchema,
        "model.shop.sink",
        |world| {
            world.node("model.shop.sink", "raw", "sink", "sink", &[]);
        },
    );
    let plan = planned(|world| {
        world.object("u9", "sink", ObjectKind::Sink, "s3", Some("c2"));
        world.depends("u9", "u3");
    });
    assert_eq!(plan.sinks.len(), 1);
    assert_eq!(plan.sinks[0].name, "outside.sink");
    assert_eq!(
        (plan.sinks[0].schema.as_str(), plan.sinks[0].object.as_str()),
        ("marts", "totals")
    );
}

#[test]
fn what_holds_data_is_refused() {
    refused(RefusalName::SourceInSwappedSchema, "raw.src", |world| {
        world.object("u9", "src", ObjectKind::Source, "s1", Some("c2"));
    });
    refused(RefusalName::SourceInSwappedSchema, "raw.fed", |world| {
        world
            .object("u9", "fed", ObjectKind::Table, "s1", None)
            .fed_by_source = true;
    });
    refused(
        RefusalName::SourceOnSwappedCluster,
        "outside.src",
        |world| {
            world.object("u9", "src", ObjectKind::Source, "s3", Some("c1"));
        },
    );
    refused(RefusalName::TableInSwappedSchema, "raw.data", |world| {
        world.object("u9", "data", ObjectKind::Table, "s1", None);
    });
    refused(RefusalName::UnswappableObject, "raw.secret", |world| {
        world.object("u9", "secret", ObjectKind::Secret, "s1", None);
    });
}

#[test]
fn a_source_of_the_project_is_refused_until_it_is_accepted() {
    let with_source = |world: &mut World| {
        world.object("u9", "src", ObjectKind::Source, "s1", Some("c1"));
        world.node("model.shop.src", "raw", "src", "source", &[]);
        world.change("model.shop.src", |node| {
            node.cluster = Some(ClusterUse::Named("compute".to_owned()));
        });
    };
    refused(RefusalName::SourceRebuilt, "raw.src", with_source);
    let plan = planned(|world| {
        with_source(world);
        world.allow.insert(RefusalName::SourceRebuilt);
    });
    assert_eq!(plan.accepted.len(), 1);
    assert!(
        plan.nodes
            .iter()
            .any(|node| node.unique_id == "model.shop.src")
    );
}

#[test]
fn objects_that_the_project_does_not_know_are_refused_until_accepted() {
    let stray = |world: &mut World| {
        world.object("u9", "stray", ObjectKind::View, "s1", None);
    };
    refused(RefusalName::UnmanagedObject, "raw.stray", stray);
    let plan = planned(|world| {
        stray(world);
        world.allow.insert(RefusalName::UnmanagedObject);
    });
    assert_eq!(plan.loses, ["raw.stray"]);
    assert_eq!(plan.accepted[0].name, RefusalName::UnmanagedObject);
    refused(RefusalName::UnmanagedObject, "marts.hand_made", |world| {
        world.object("u9", "hand_made", ObjectKind::Index, "s2", Some("c1"));
        world.depends("u9", "u3");
    });
}

#[test]
fn who_reads_from_outside_is_named() {
    refused(
        RefusalName::OutsideDependent,
        "outside.report reads marts.totals",
        |world| {
            world.object("u9", "report", ObjectKind::View, "s3", None);
            world.depends("u9", "u3");
        },
    );
    refused(
        RefusalName::NodeOutsideDeployment,
        "outside.report reads marts.totals",
        |world| {
            world.object("u9", "report", ObjectKind::View, "s3", None);
            world.depends("u9", "u3");
            world.node("model.shop.report", "outside", "report", "view", &[]);
        },
    );
    refused(RefusalName::OutsideDependent, "outside.sink", |world| {
        world.object("u8", "gone", ObjectKind::View, "s1", None);
        world.baseline = Some(BTreeMap::from([(
            ("raw".to_owned(), "gone".to_owned()),
            Promoted::default(),
        )]));
        world.object("u9", "sink", ObjectKind::Sink, "s3", Some("c2"));
        world.depends("u9", "u8");
    });
}

#[test]
fn nodes_outside_the_deployment_are_named_with_the_line_to_add() {
    refused(
        RefusalName::NodeOutsideDeployment,
        "model.shop.down (schema outside)",
        |world| {
            world.node(
                "model.shop.down",
                "outside",
                "down",
                "view",
                &["model.shop.totals"],
            );
        },
    );
    refused(
        RefusalName::NodeOutsideDeployment,
        "model.shop.stg (cluster other)",
        |world| {
            world.change("model.shop.stg", |node| {
                node.indexes = vec![CandidateIndex {
                    cluster: Some(ClusterUse::Named("other".to_owned())),
                    ..CandidateIndex::default()
                }];
            });
        },
    );
    refused(
        RefusalName::NodeOutsideDeployment,
        "reads outside.parent",
        |world| {
            world.node("model.shop.parent", "outside", "parent", "view", &[]);
            world.change("model.shop.stg", |node| {
                node.parents.push("model.shop.parent".to_owned());
            });
        },
    );
    refused(
        RefusalName::NodeOutsideDeployment,
        "test.shop.far (cluster other)",
        |world| {
            world.test("test.shop.far", &["model.shop.totals"]);
            if let Some(test) = world.candidate.tests.get_mut("test.shop.far") {
                test.cluster = Some(ClusterUse::Named("other".to_owned()));
            }
        },
    );
    refused(
        RefusalName::NodeOutsideDeployment,
        "outside.mv on compute",
        |world| {
            world.object("u9", "mv", ObjectKind::MaterializedView, "s3", Some("c1"));
            world.node("model.shop.mv", "outside", "mv", "view", &[]);
        },
    );
    let mut world = World::new();
    world.node(
        "model.shop.down",
        "outside",
        "down",
        "view",
        &["model.shop.totals"],
    );
    let refusals = world.plan().expect_err("a refusal").0;
    assert_eq!(
        refusals[0].remedy,
        "add `- outside` under vars.deployment.prod.schemas in dbt_project.yml"
    );
}

#[test]
fn an_independent_node_outside_is_only_noted() {
    let plan = planned(|world| {
        world.node("model.shop.alone", "outside", "alone", "view", &[]);
    });
    assert_eq!(plan.notes.len(), 1);
    assert!(
        plan.notes[0].contains("model.shop.alone"),
        "{:?}",
        plan.notes
    );
}

#[test]
fn a_cluster_that_serves_others_is_refused() {
    refused(
        RefusalName::ClusterShared,
        "outside.mv on compute",
        |world| {
            world.object("u9", "mv", ObjectKind::MaterializedView, "s3", Some("c1"));
        },
    );
}

#[test]
fn ownership_and_privileges_are_checked_before_anything_is_touched() {
    refused(RefusalName::NotOwner, "schema raw (owner boss)", |world| {
        world.schema("s1", "raw").owner = "boss".to_owned();
    });
    refused(
        RefusalName::NotOwner,
        "cluster compute (owner boss)",
        |world| {
            world.cluster("c1", "compute").owner = "boss".to_owned();
        },
    );
    refused(
        RefusalName::NotOwner,
        "marts.totals (owner boss)",
        |world| {
            world
                .object("u3", "totals", ObjectKind::MaterializedView, "s2", None)
                .owner = "boss".to_owned();
        },
    );
    refused(
        RefusalName::PrivilegeMissing,
        "CREATE on the database",
        |world| {
            world.catalog.may_create_schemas = false;
        },
    );
    refused(RefusalName::PrivilegeMissing, "CREATECLUSTER", |world| {
        world.catalog.may_create_clusters = false;
    });
    planned(|world| {
        world.schema("s1", "raw").owner = "boss".to_owned();
        world.catalog.owned_roles.insert("boss".to_owned());
    });
}

#[test]
fn what_has_a_green_name_is_never_reused() {
    refused(RefusalName::GreenExists, "raw_dbt_deploy", |world| {
        world.schema("s9", "raw_dbt_deploy");
    });
    refused(RefusalName::GreenExists, "compute_dbt_deploy", |world| {
        world.cluster("c9", "compute_dbt_deploy");
    });
    // A stale relation would hide the production parent of a planned node.
    refused(
        RefusalName::GreenExists,
        "outside_dbt_deploy.parent",
        |world| {
            world.object("u8", "parent", ObjectKind::View, "s3", None);
            world.node("model.shop.parent", "outside", "parent", "view", &[]);
            world.change("model.shop.stg", |node| {
                node.parents.push("model.shop.parent".to_owned());
            });
            world.schema("s9", "outside_dbt_deploy");
            world.object("u9", "parent", ObjectKind::View, "s9", None);
        },
    );
}

#[test]
fn another_deployment_is_recognised_by_its_control_schema() {
    let control = |environment: &str, project: Option<&str>| {
        Tag {
            deployment: "0199".to_owned(),
            environment: environment.to_owned(),
            project: project.map(str::to_owned),
            journal: None,
            side: Side::Control,
        }
        .comment(None)
    };
    refused(RefusalName::DeploymentActive, "0199", |world| {
        world.schema("s9", "cutover_0199_gen_0").comment = Some(control("prod", None));
    });
    refused(RefusalName::DeploymentActive, "0199", |world| {
        world.schema("s9", "cutover_0199_gen_0").comment = Some(control("prod", Some("shop")));
    });
    planned(|world| {
        world.schema("s9", "cutover_0199_gen_0").comment = Some(control("elsewhere", None));
    });
    planned(|world| {
        world.schema("s9", "cutover_0199_gen_0").comment = Some(control("prod", Some("bank")));
    });
}

#[test]
fn names_that_cannot_work_are_refused() {
    let long = "n".repeat(245);
    refused(RefusalName::NameTooLong, &long, |world| {
        world.schemas.insert(long.clone());
        world.schema("s9", &long);
    });
    refused(RefusalName::NameUnsupported, "it's", |world| {
        world.schemas.insert("it's".to_owned());
        world.schema("s9", "it's");
    });
    refused(RefusalName::ClusterNameNeedsQuotes, "My cluster", |world| {
        world.clusters.insert("My cluster".to_owned());
        world.cluster("c9", "My cluster");
    });
    planned(|world| {
        let fits = "ü".repeat(122);
        world.schemas.insert(fits.clone());
        world.schema("s9", &fits);
    });
}

#[test]
fn dbt_must_build_into_green() {
    refused(
        RefusalName::DeploySuffixMissing,
        "model.shop.stg → raw.stg",
        |world| {
            world.candidate.deploy_relations.insert(
                "model.shop.stg".to_owned(),
                ("materialize".to_owned(), "raw".to_owned(), "stg".to_owned()),
            );
        },
    );
}

#[test]
fn what_cannot_be_built_or_cloned_is_refused() {
    refused(
        RefusalName::MaterializationUnsupported,
        "snapshot.shop.s",
        |world| {
            world.node("snapshot.shop.s", "raw", "s", "snapshot", &[]);
        },
    );
    refused(RefusalName::ClusterNotCloneable, "compute", |world| {
        world.definitions.insert(
            "compute".to_owned(),
            Err("replica r1 has no size".to_owned()),
        );
    });
    refused(
        RefusalName::NothingToDeploy,
        "vars.deployment.prod",
        |world| {
            world.candidate.nodes.clear();
            world.candidate.tests.clear();
            world.allow.insert(RefusalName::UnmanagedObject);
            world.catalog.objects.clear();
        },
    );
    refused(RefusalName::ClusterMissing, "model.shop.totals", |world| {
        world.target_cluster = None;
        world.change("model.shop.totals", |node| node.cluster = None);
    });
}

#[test]
fn without_a_deployed_cluster_the_tests_get_a_scratch_one() {
    let only_views = |world: &mut World| {
        world.clusters.clear();
        world.schemas.remove("marts");
        world.candidate.nodes.remove("model.shop.totals");
        world.catalog.objects.remove("u3");
        world.catalog.objects.remove("u4");
        world.test("test.shop.stg", &["model.shop.stg"]);
    };
    let plan = planned(only_views);
    assert_eq!(plan.clusters.len(), 1);
    assert!(plan.clusters[0].scratch);
    assert_eq!(plan.test_cluster.as_deref(), Some("compute"));
    refused(RefusalName::ClusterMissing, "tests", |world| {
        only_views(world);
        world.target_cluster = None;
    });
}

#[test]
fn every_refusal_is_reported_at_once() {
    let mut world = World::new();
    world.schemas.insert("fresh".to_owned());
    world.object("u9", "sink", ObjectKind::Sink, "s1", None);
    world.schema("s9", "raw_dbt_deploy");
    let names: BTreeSet<RefusalName> = world
        .plan()
        .expect_err("refusals")
        .0
        .into_iter()
        .map(|refusal| refusal.name)
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([
            RefusalName::SchemaMissing,
            RefusalName::SinkInSwappedSchema,
            RefusalName::GreenExists
        ])
    );
}

#[test]
fn a_test_over_an_ephemeral_model_is_one_of_what_that_reads() {
    let mut world = World::new();
    // Two ephemeral models in a chain, in a circle for good measure, and one over nothing released.
    for (id, parents) in [
        ("model.shop.near", &["model.shop.totals"][..]),
        ("model.shop.far", &["model.shop.near", "model.shop.far"]),
        ("model.shop.apart", &["source.shop.raw.events"]),
    ] {
        world.node(id, "marts", id, "ephemeral", parents);
    }
    world.test("test.shop.through_two", &["model.shop.far"]);
    world.test("test.shop.apart", &["model.shop.apart"]);
    let plan = world.plan().expect("a plan");
    assert_eq!(
        plan.tests,
        ["test.shop.through_two", "test.shop.totals_not_null"]
    );
    assert!(
        plan.notes
            .iter()
            .any(|note| note == "1 test reading no released node, not run: test.shop.apart"),
        "{:?}",
        plan.notes
    );
}
