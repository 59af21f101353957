//! Plans for tests of what is printed.

use crate::domain::catalog::{ClusterDefinition, ObjectKind, ReplicaDefinition};
use crate::domain::diff::Traits;
use crate::domain::plan::inputs::Inputs;
use crate::domain::plan::outside::{
    Outside, OutsideLeft, OutsideMake, Place, SinkBefore, SinkChange, SinkColumn, SinkDefinition,
    SinkFate,
};
use crate::domain::plan::refusal::{Refusal, RefusalName};
use crate::domain::plan::{
    BaselineUsed, Building, ClusterSwap, ColumnChange, ColumnChangeKind, ConfigChange, Description,
    IndexMove, LiveObject, Mode, Plan, PlannedNode, Reader, ReaderKind, SchemaSwap, SinkRepoint,
    TextChange, Texts,
};

fn schema(name: &str, id: Option<&str>, objects: &[&str]) -> SchemaSwap {
    SchemaSwap {
        name: name.to_owned(),
        green: format!("{name}_dbt_deploy"),
        id: id.map(str::to_owned),
        owner: id.map(|_| "deployer".to_owned()),
        grants: Vec::new(),
        default_privileges: Vec::new(),
        comment: None,
        objects: objects
            .iter()
            .enumerate()
            .map(|(number, name)| LiveObject {
                id: format!("u{number}"),
                name: (*name).to_owned(),
                kind: ObjectKind::View,
                owner: "deployer".to_owned(),
                grants: Vec::new(),
                comment: None,
                column_comments: Vec::new(),
            })
            .collect(),
    }
}

fn cluster(name: &str, id: Option<&str>, definition: ClusterDefinition) -> ClusterSwap {
    ClusterSwap {
        name: name.to_owned(),
        green: format!("{name}_dbt_deploy"),
        id: id.map(str::to_owned),
        owner: id.map(|_| "deployer".to_owned()),
        grants: Vec::new(),
        comment: None,
        definition,
        hydration: None,
        scratch: false,
    }
}

fn node(
    schema: &str,
    name: &str,
    kind: Option<ObjectKind>,
    cluster: Option<&str>,
    reason: &str,
) -> PlannedNode {
    PlannedNode {
        unique_id: format!("model.shop.{name}"),
        schema: schema.to_owned(),
        identifier: name.to_owned(),
        materialized: match kind {
            Some(_) => "view".to_owned(),
            None => "ephemeral".to_owned(),
        },
        kind,
        cluster: cluster.map(str::to_owned),
        indexes: 0,
        persists_relation_comment: false,
        persists_column_comments: false,
        stores_failures: false,
        refresh: None,
        diff: Traits::default(),
        depends_on: Vec::new(),
        reason: reason.to_owned(),
    }
}

fn column(name: &str, change: ColumnChangeKind) -> ColumnChange {
    ColumnChange {
        relation: "marts.daily_orders".to_owned(),
        column: name.to_owned(),
        readers: match change {
            ColumnChangeKind::Added { .. } => Vec::new(),
            ColumnChangeKind::Removed { .. }
            | ColumnChangeKind::Retyped { .. }
            | ColumnChangeKind::Nullable { .. } => vec![Reader {
                kind: ReaderKind::Sink,
                name: "sinks.orders_to_kafka".to_owned(),
            }],
        },
        change,
    }
}

fn test(name: &str) -> String {
    format!("test.shop.{name}")
}

/// A plan with something of everything.
pub(crate) fn shop() -> Plan {
    Plan {
        inputs: Some(Inputs::sample()),
        outcomes: Some("9c51d07be4418c6f3f2a".to_owned()),
        settings: Some("d07be4418c6f3f2a9c51".to_owned()),
        text_only: vec!["model.shop.stg_orders".to_owned()],
        version: 1,
        mode: Mode::Slim,
        environment: "production".to_owned(),
        target: "prod".to_owned(),
        project: "shop".to_owned(),
        database: "materialize".to_owned(),
        server: Some("aws-eu-west-1-0198".to_owned()),
        manifest_hash: "3f2a9c51d07be4418c6f".to_owned(),
        building: Building::default(),
        green_manifest_hash: "77aa9c51d07be4418c6f".to_owned(),
        strategy: crate::domain::plan::Strategy::Swap,
        replacements: Vec::new(),
        baseline: BaselineUsed {
            generation: Some(3),
            deployment: Some("0198c3f2-7d4e-7000-8000-000000000001".to_owned()),
        },
        outside: Outside::default(),
        columns: vec![
            column(
                "customer",
                ColumnChangeKind::Added {
                    to: "text".to_owned(),
                },
            ),
            column(
                "day",
                ColumnChangeKind::Nullable {
                    to: "date".to_owned(),
                },
            ),
            column(
                "old_total",
                ColumnChangeKind::Removed {
                    from: "bigint".to_owned(),
                },
            ),
            column(
                "total",
                ColumnChangeKind::Retyped {
                    from: "bigint".to_owned(),
                    to: "numeric(20,2)".to_owned(),
                },
            ),
        ],
        description: Some(Description {
            described: 2,
            left_out: [(
                "model.shop.order_items".to_owned(),
                "has the custom materialization ledger".to_owned(),
            )]
            .into(),
            queries_unknown: Some("permission denied for VIEW".to_owned()),
        }),
        texts: Some(Texts {
            nodes: vec![TextChange {
                unique_id: "model.shop.daily_orders".to_owned(),
                file: "models/marts/daily_orders.sql".to_owned(),
                diff: [
                    "@@ -1,3 +1,3 @@",
                    " select day, customer,",
                    "-  sum(amount) as old_total",
                    "+  sum(amount)::numeric(20,2) as total",
                    " from orders group by day, customer",
                ]
                .map(str::to_owned)
                .to_vec(),
                cut: 12,
                config: vec![
                    ConfigChange {
                        name: "cluster".to_owned(),
                        from: Some("serving".to_owned()),
                        to: Some("compute".to_owned()),
                    },
                    ConfigChange {
                        name: "retain_history".to_owned(),
                        from: None,
                        to: Some("1h".to_owned()),
                    },
                ],
            }],
            more: 3,
            unknown: vec!["model.shop.order_items".to_owned()],
        }),
        estimated_hydration_ms: Some(130_250),
        held_back: [("model.shop.slow".to_owned(), "changed: body".to_owned())].into(),
        changed_tests: [("test.shop.fresh".to_owned(), "new".to_owned())].into(),
        held_back_schemas: [(
            "archive".to_owned(),
            "deleted model.shop.archived".to_owned(),
        )]
        .into(),
        keeps: [("u77".to_owned(), "staging.orders".to_owned())].into(),
        schemas: vec![
            schema("marts", Some("u12"), &["daily_orders", "old_orders"]),
            schema("reporting", None, &[]),
        ],
        clusters: vec![
            cluster(
                "compute",
                Some("u4"),
                ClusterDefinition::Managed {
                    options: "MANAGED = true, REPLICATION FACTOR = 1, SIZE = '25cc'".to_owned(),
                },
            ),
            cluster(
                "serving",
                None,
                ClusterDefinition::Unmanaged {
                    replicas: vec![ReplicaDefinition {
                        name: "r1".to_owned(),
                        size: "50cc".to_owned(),
                        availability_zone: None,
                    }],
                },
            ),
        ],
        nodes: vec![
            node(
                "marts",
                "daily_orders",
                Some(ObjectKind::MaterializedView),
                Some("compute"),
                "changed: body",
            ),
            node(
                "marts",
                "order_items",
                None,
                None,
                "shares schema marts with model.shop.daily_orders",
            ),
            node(
                "reporting",
                "revenue",
                Some(ObjectKind::View),
                Some("serving"),
                "downstream of model.shop.daily_orders",
            ),
        ],
        beside: Vec::new(),
        hooked: Vec::new(),
        default_privileges: Vec::new(),
        build_selectors: Vec::new(),
        test_selectors: Vec::new(),
        tests: vec![test("not_null_daily_orders_id"), test("unique_revenue_day")],
        test_cluster: Some("compute".to_owned()),
        test_cluster_given: None,
        indexes: vec![IndexMove {
            id: "u81".to_owned(),
            name: "customers_by_name".to_owned(),
            schema: "crm".to_owned(),
            relation: "customers".to_owned(),
            cluster: "compute".to_owned(),
            key: "(name)".to_owned(),
            comment: None,
            reason: "index of unchanged model.shop.customers on cluster compute".to_owned(),
        }],
        sinks: vec![SinkRepoint {
            id: "u77".to_owned(),
            name: "sinks.orders_to_kafka".to_owned(),
            schema: "marts".to_owned(),
            object: "daily_orders".to_owned(),
        }],
        gains: vec!["reporting.revenue".to_owned()],
        loses: vec!["marts.old_orders".to_owned()],
        owners: Vec::new(),
        accepted: vec![Refusal {
            name: RefusalName::SourceRebuilt,
            message: "a source of the project would ingest everything again".to_owned(),
            objects: vec!["marts.raw_orders".to_owned()],
            remedy: "move it to a schema of its own".to_owned(),
        }],
        notes: vec!["the role deployer lacks CREATECLUSTER in 1 default privilege".to_owned()],
    }
}

/// A plan that changes nothing.
pub(crate) fn empty() -> Plan {
    Plan {
        schemas: Vec::new(),
        clusters: Vec::new(),
        nodes: Vec::new(),
        tests: Vec::new(),
        test_cluster: None,
        test_cluster_given: None,
        indexes: Vec::new(),
        sinks: Vec::new(),
        gains: Vec::new(),
        loses: Vec::new(),
        outside: Outside::default(),
        columns: Vec::new(),
        description: None,
        texts: None,
        held_back: std::collections::BTreeMap::new(),
        held_back_schemas: std::collections::BTreeMap::new(),
        text_only: Vec::new(),
        keeps: std::collections::BTreeMap::new(),
        changed_tests: std::collections::BTreeMap::new(),
        owners: Vec::new(),
        accepted: Vec::new(),
        notes: Vec::new(),
        ..shop()
    }
}

/// A plan whose names do their worst.
pub(crate) fn hostile() -> Plan {
    let evil = "a|b`c<img src=x>\u{1b}[31m\n\u{202e}_d_";
    Plan {
        environment: evil.to_owned(),
        schemas: vec![schema(evil, Some("u1"), &[])],
        nodes: vec![node(
            evil,
            "@team *x*",
            Some(ObjectKind::View),
            Some(evil),
            evil,
        )],
        tests: vec![test(evil)],
        test_cluster: Some(evil.to_owned()),
        test_cluster_given: None,
        loses: vec![evil.to_owned()],
        outside: Outside::default(),
        columns: vec![ColumnChange {
            relation: evil.to_owned(),
            column: evil.to_owned(),
            change: ColumnChangeKind::Retyped {
                from: evil.to_owned(),
                to: evil.to_owned(),
            },
            readers: vec![Reader {
                kind: ReaderKind::Exposure,
                name: evil.to_owned(),
            }],
        }],
        description: Some(Description {
            described: 0,
            left_out: [(evil.to_owned(), evil.to_owned())].into(),
            queries_unknown: Some(evil.to_owned()),
        }),
        texts: Some(Texts {
            nodes: vec![TextChange {
                unique_id: evil.to_owned(),
                file: evil.to_owned(),
                diff: vec![
                    "@@ -1 +1 @@".to_owned(),
                    format!("-{evil}"),
                    "+``` </pre><b>*x* @team".to_owned(),
                ],
                cut: 0,
                config: vec![ConfigChange {
                    name: evil.to_owned(),
                    from: Some(evil.to_owned()),
                    to: None,
                }],
            }],
            more: 0,
            unknown: vec![evil.to_owned()],
        }),
        indexes: vec![IndexMove {
            name: evil.to_owned(),
            schema: evil.to_owned(),
            relation: evil.to_owned(),
            cluster: evil.to_owned(),
            reason: evil.to_owned(),
            ..shop().indexes.remove(0)
        }],
        held_back: [(evil.to_owned(), evil.to_owned())].into(),
        held_back_schemas: [(evil.to_owned(), evil.to_owned())].into(),
        keeps: std::collections::BTreeMap::new(),
        changed_tests: [(evil.to_owned(), evil.to_owned())].into(),
        baseline: BaselineUsed {
            generation: None,
            deployment: Some(evil.to_owned()),
        },
        notes: vec![format!("ping @team about {evil}")],
        ..empty()
    }
}

/// Something of each kind outside.
pub(crate) fn outside() -> Outside {
    let place = |schema: &str, name: &str| Place {
        schema: schema.to_owned(),
        name: name.to_owned(),
    };
    let definition = |reads: Place, comment: Option<&str>| SinkDefinition {
        reads,
        cluster: "sinks".to_owned(),
        definition: "INTO KAFKA CONNECTION k (TOPIC 'totals') FORMAT JSON".to_owned(),
        comment: comment.map(str::to_owned),
    };
    let sink = |name: &str, change: SinkFate| SinkChange {
        node: format!("model.shop.{name}"),
        place: place("out", name),
        change,
        becomes: definition(place("marts", "totals"), Some("for the warehouse")),
        was: (change != SinkFate::Created).then(|| SinkBefore {
            id: "u90".to_owned(),
            owner: "deployer".to_owned(),
            definition: definition(place("marts", "old_totals"), Some("as it was")),
        }),
    };
    let left = |name: &str, kind: ObjectKind| OutsideLeft {
        node: format!("model.shop.{name}"),
        place: place("out", name),
        kind,
        id: "u91".to_owned(),
    };
    Outside {
        makes: vec![OutsideMake {
            node: "model.shop.clock".to_owned(),
            place: place("raw", "clock"),
            kind: ObjectKind::Source,
            cluster: Some("ingest".to_owned()),
            definition: "FROM LOAD GENERATOR COUNTER".to_owned(),
            comment: Some("ticks".to_owned()),
        }],
        sinks: vec![
            sink("new", SinkFate::Created),
            sink("moved", SinkFate::Repointed),
            sink("other", SinkFate::Recreated),
        ],
        drops: vec![left("gone", ObjectKind::Sink)],
        stays: vec![left("kept", ObjectKind::Source)],
        columns: vec![SinkColumn {
            sink: "out.orders".to_owned(),
            relation: "marts.totals".to_owned(),
            column: "day".to_owned(),
            from: "date".to_owned(),
            to: Some("timestamp".to_owned()),
        }],
    }
}
