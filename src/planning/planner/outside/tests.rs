use super::*;
use crate::planning::planner::sample::World;
use crate::planning::planner::{full, slim};

const BODY: &str = "FROM materialize.marts.totals INTO KAFKA CONNECTION k (TOPIC 'a') FORMAT JSON";

/// The shop with a schema and a cluster for what lies outside, and a new sink of the project.
fn world() -> World {
    let mut world = World::new();
    world.schema("s70", "out");
    world.cluster("c70", "io");
    world.node(
        "model.shop.out",
        "out",
        "orders_out",
        "sink",
        &["model.shop.totals"],
    );
    world.change("model.shop.out", |node| {
        node.cluster = Some(ClusterUse::Named("io".to_owned()));
    });
    world
}

fn written(sql: &str) -> Result<Written, String> {
    Ok(Written {
        sql: sql.to_owned(),
        comment: None,
    })
}

fn given(sql: &str) -> Given {
    Given {
        written: [("model.shop.out".to_owned(), written(sql))].into(),
        ..Given::default()
    }
}

fn decided(world: &World, given: &Given) -> (Outside, Changes) {
    let mut changes = Changes::default();
    let asked = ("model.shop.out".to_owned(), "new".to_owned());
    changes.outside.extend([asked]);
    let outside = decide(&world.input(), &mut changes, given);
    (outside, changes)
}

#[test]
fn a_new_sink_is_made_from_what_is_promoted() {
    let world = world();
    let (outside, changes) = decided(&world, &given(BODY));
    assert_eq!(changes.refused, []);
    let [sink] = outside.sinks.as_slice() else {
        panic!("{outside:?}");
    };
    assert_eq!(sink.change, SinkFate::Created);
    assert_eq!(sink.becomes.reads.to_string(), "marts.totals");
    assert_eq!(sink.becomes.cluster, "io");
    // A release of it alone swaps nothing, and is one all the same.
    let input = Input {
        outside: &outside,
        ..world.input()
    };
    let closed = slim::Closed::of(&changes, &input);
    let plan = slim::plan(&input, &changes, &closed, &BTreeMap::new()).expect("a plan");
    assert!(plan.schemas.is_empty() && !plan.is_empty());
    let full = full::plan(&input).expect("a plan");
    assert_eq!(full.outside, plan.outside);
}

#[test]
fn what_cannot_be_made_is_refused_with_why() {
    let refusal = |change: &dyn Fn(&mut World), sql: &str| {
        let mut world = world();
        change(&mut world);
        let (outside, changes) = decided(&world, &given(sql));
        assert!(!outside.changes_something());
        assert_eq!(changes.refused[0].name, RefusalName::ChangeNotReleased);
        changes.refused[0].objects.join(" ")
    };
    let nothing = |_: &mut World| {};
    let on = |name: &'static str| {
        move |world: &mut World| {
            world.change("model.shop.out", |node| {
                node.cluster = Some(ClusterUse::Named(name.to_owned()));
            });
        }
    };
    assert!(refusal(&on("compute"), BODY).contains("releases swap"));
    assert!(refusal(&on("absent"), BODY).contains("does not exist"));
    assert!(refusal(&nothing, "FROM marts.nothing INTO KAFKA").contains("will not have"));
    assert!(refusal(&nothing, "CREATE SINK x FROM y").contains("FROM is expected"));
    let mut world = world();
    let why = "has a post-hook".to_owned();
    let given = Given {
        written: [("model.shop.out".to_owned(), Err(why.clone()))].into(),
        ..Given::default()
    };
    let (_, changes) = decided(&world, &given);
    assert!(changes.refused[0].objects[0].contains(&why));
    // What nobody decided about is refused, too.
    world.node("model.shop.raw", "out", "raw", "source", &[]);
    let mut changes = Changes::default();
    changes.take_missing(&world.input());
    assert_eq!(changes.outside.len(), 2);
}

#[test]
fn a_secret_is_nothing_that_a_release_touches() {
    let mut world = world();
    world.node("model.shop.out", "out", "kafka", "connection", &[]);
    let (made, _) = decided(&world, &given("TO KAFKA (BROKER 'b')"));
    assert_eq!(made.makes[0].kind, ObjectKind::Connection);
    let sql = "TO KAFKA (BROKER 'b', SASL PASSWORD = SECRET s)";
    let (made, changes) = decided(&world, &given(sql));
    assert!(!made.changes_something());
    assert!(changes.refused[0].objects[0].contains("uses a secret"));
}

#[test]
fn a_column_that_a_sink_reads_is_named_where_it_goes_or_gets_another_type() {
    let sink = SinkRepoint {
        id: "u1".to_owned(),
        name: "out.orders".to_owned(),
        schema: "marts".to_owned(),
        object: "totals".to_owned(),
    };
    let change = |relation: &str, column: &str, change| ColumnChange {
        relation: relation.to_owned(),
        column: column.to_owned(),
        change,
        readers: Vec::new(),
    };
    let date = || "date".to_owned();
    let columns = [
        change("marts.totals", "a", ColumnChangeKind::Added { to: date() }),
        change(
            "marts.totals",
            "b",
            ColumnChangeKind::Removed { from: date() },
        ),
        change(
            "marts.totals",
            "c",
            ColumnChangeKind::Retyped {
                from: date(),
                to: "text".to_owned(),
            },
        ),
        change(
            "marts.other",
            "d",
            ColumnChangeKind::Removed { from: date() },
        ),
    ];
    let found = sink_columns(&columns, &[sink]);
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts[0].starts_with("out.orders reads marts.totals, whose column b is lost"));
    assert!(texts[1].contains("column c becomes text (now date)"));
}
