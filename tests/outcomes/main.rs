//! What counts as a change, kind by kind: what a plan said when texts were compared, what it says now, and
//! what production holds after the release. Prints a table.
//!
//! `make test` plans every kind and releases some; `make outcomes` compares texts beside, and releases each.
#![expect(
    clippy::print_stdout,
    reason = "the table is what one wants to see of it"
)]

/// The kinds.
mod cases;
mod project;
/// The short cut against compiling everything.
mod short_cut;
#[path = "../support/mod.rs"]
mod support;
/// What the baseline may not know.
mod unknown;

use cases::{Case, Expected, cases};
use cutover::domain::plan::refusal::RefusalName;
use serde_json::Value;
use std::collections::BTreeSet;
use support::{Needs, World};

/// What a plan begins with: `(node, why)`, or the names of refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Begins(BTreeSet<(String, String)>),
    Refused(BTreeSet<String>),
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Begins(nodes) if nodes.is_empty() => f.write_str("nothing to do"),
            Self::Begins(nodes) => {
                let nodes: Vec<String> = nodes
                    .iter()
                    .map(|(id, why)| format!("{id}: {why}"))
                    .collect();
                f.write_str(&nodes.join("; "))
            }
            Self::Refused(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                write!(f, "refused: {}", names.join(", "))
            }
        }
    }
}

async fn plan(world: &World) -> (Said, Value) {
    let outcome = world.cutover(&["plan"]).await;
    if outcome.code == Some(3) {
        let error = outcome.error();
        let message = error["message"].as_str().unwrap_or_default();
        let names = RefusalName::ALL.iter().map(|name| name.as_str().to_owned());
        let said = names.filter(|name| message.contains(&format!("{name}: ")));
        return (Said::Refused(said.collect()), error);
    }
    let plan = outcome.exits(0).document();
    let plan = plan.get("plan").cloned().unwrap_or(plan);
    let nodes = plan["nodes"].as_array().cloned().unwrap_or_default();
    let begins = nodes.iter().filter_map(|node| {
        let why = node["reason"].as_str()?;
        let follows = ["downstream of", "shares "]
            .iter()
            .any(|word| why.starts_with(word));
        let id = node["unique_id"].as_str()?.replace(".shop.", " ");
        (!follows).then(|| (id, why.to_owned()))
    });
    let mut begins: BTreeSet<(String, String)> = begins.collect();
    // A relation that is deleted begins a release without a node.
    if let Some(loses) = plan["loses"].as_array().filter(|_| begins.is_empty()) {
        begins.extend(
            loses
                .iter()
                .filter_map(|name| Some((name.as_str()?.to_owned(), "lost".to_owned()))),
        );
    }
    (Said::Begins(begins), plan)
}

fn expected(world: &World, expected: &Expected) -> Said {
    let named = |text: &str| text.replace("P_", &format!("{}_", world.prefix));
    match expected {
        Expected::Nothing => Said::Begins(BTreeSet::new()),
        Expected::Begins(nodes) => Said::Begins(
            nodes
                .iter()
                .map(|(id, why)| (named(id), named(why)))
                .collect(),
        ),
    }
}

/// The relations that the project makes in the deployment, as the last parse says: `schema.name`.
fn wanted(world: &World, deployment: &str) -> BTreeSet<String> {
    let file = format!(".cutover/runs/{deployment}/parse/target/manifest.json");
    let manifest: Value = serde_json::from_str(&world.project.read(&file)).expect("a manifest");
    let nodes = manifest["nodes"].as_object().expect("nodes");
    nodes
        .values()
        .filter(|node| !node["relation_name"].is_null())
        .filter_map(|node| {
            let schema = node["schema"].as_str()?;
            Some(format!("{schema}.{}", node["alias"].as_str()?))
        })
        .collect()
}

/// What production holds in the schemas of the deployment.
async fn held(world: &World) -> BTreeSet<String> {
    let schemas: Vec<String> = project::SCHEMAS
        .iter()
        .map(|schema| format!("'{}'", world.name(schema)))
        .collect();
    let rows = world
        .sql
        .rows(&format!(
            "SELECT s.name, o.name FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
             WHERE s.name IN ({}) AND o.type IN ('table', 'view', 'materialized-view')",
            schemas.join(", ")
        ))
        .await;
    rows.into_iter().map(|row| row.join(".")).collect()
}

async fn released(world: &World) -> String {
    let outcome = world.cutover(&["deploy"]).await.exits(0);
    let deployment = outcome.deployment();
    assert_eq!(held(world).await, wanted(world, &deployment), "{outcome}");
    deployment
}

/// The row of a kind; `wrong` takes what the comparison of texts says otherwise than it is expected to.
async fn try_case(
    world: &mut World,
    case: &Case,
    is_full: bool,
    wrong: &mut Vec<String>,
) -> String {
    let files = world.project.files();
    let environment = world.environment.clone();
    (case.edit)(world);
    let before = if is_full {
        world.set("COMPARE", "text");
        let said = plan(world).await.0;
        world.environment.remove("CUTOVER__COMPARE");
        let is_seen = said != Said::Begins(BTreeSet::new());
        if is_seen != case.was_seen_in_text {
            wrong.push(format!("{}: {said}", case.kind));
        }
        said.to_string()
    } else {
        "not asked".to_owned()
    };
    let (now, document) = plan(world).await;
    assert_eq!(
        now,
        expected(world, &case.now),
        "{}: {document:#}",
        case.kind
    );
    let is_nothing = matches!(case.now, Expected::Nothing);
    let mut holds = "as before".to_owned();
    if !is_nothing && (is_full || case.is_released) {
        released(world).await;
        let (after, document) = plan(world).await;
        let nothing = Said::Begins(BTreeSet::new());
        assert_eq!(
            after == nothing,
            !case.is_never_known,
            "{}: {document:#}",
            case.kind
        );
        let rows = world
            .sql
            .rows(&case.holds.0.replace("P_", &format!("{}_", world.prefix)))
            .await;
        let rows: Vec<String> = rows.into_iter().map(|row| row.join(", ")).collect();
        assert_eq!(rows, [case.holds.1], "{}", case.kind);
        holds = format!("all of the project; {}", case.holds.1);
        world.project.restore(&files);
        world.environment = environment;
        released(world).await;
    } else {
        world.project.restore(&files);
        world.environment = environment;
    }
    format!("| {} | {before} | {now} | {holds} |", case.kind)
}

/// The rows of some kinds, in a world of their own, and what texts say otherwise than expected.
async fn try_cases(cases: Vec<Case>, is_full: bool) -> Option<(Vec<String>, Vec<String>)> {
    let mut world = World::start(Needs::Sandbox).await?;
    world.set("SCOPE", "slim");
    project::write(&world).await;
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    assert_eq!(plan(&world).await.0, Said::Begins(BTreeSet::new()));
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for case in cases {
        let row = try_case(&mut world, &case, is_full, &mut wrong).await;
        println!("{row}");
        rows.push(row);
    }
    Some((rows, wrong))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_out_decides() {
    let is_full = std::env::var_os("CUTOVER_TEST_OUTCOMES").is_some_and(|said| said == "full");
    let all = cases();
    let half = all.len() / 2;
    let mut first = all;
    let second = first.split_off(half);
    let (first, second) = tokio::join!(try_cases(first, is_full), try_cases(second, is_full));
    let (Some((mut rows, mut wrong)), Some((more, more_wrong))) = (first, second) else {
        return;
    };
    rows.extend(more);
    wrong.extend(more_wrong);
    println!("| kind | texts compared | now | production after the release |\n|---|---|---|---|");
    for row in &rows {
        println!("{row}");
    }
    println!("{} kinds", rows.len());
    assert!(wrong.is_empty(), "texts compared: {wrong:#?}");
}

/// A change of two hundred models that only moves white space is nothing to do, and a changed variable is
/// its readers.
#[tokio::test(flavor = "multi_thread")]
async fn formatting_of_two_hundred_models_is_nothing_and_a_variable_is_its_readers() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.set("SCOPE", "slim");
    project::write(&world).await;
    for number in 0..200 {
        let cut = if number % 50 == 0 {
            "{{ var('cut',1) }}"
        } else {
            "1"
        };
        world.project.write(
            &format!("models/staging/many_{number}.sql"),
            &format!("select {cut} as a, {number} as b\n"),
        );
    }
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    for number in 0..200 {
        let place = format!("models/staging/many_{number}.sql");
        let text = world.project.read(&place);
        let spread = text
            .replace(", ", ",\n    -- the number\n    ")
            .replace("select ", "select\n    ");
        world.project.write(&place, &spread);
    }
    let (said, document) = plan(&world).await;
    assert_eq!(said, Said::Begins(BTreeSet::new()), "{document:#}");
    let text_only = document["text_only"].as_array().map(Vec::len);
    assert_eq!(text_only, Some(200));
    let shown = world.cutover_text(&["plan"]).await.exits(0);
    shown
        .says("nothing to do")
        .says("200 nodes changed in text, not in outcome");
    let mut arguments = vec!["plan", "--vars", "{cut: 2}"];
    let plan = world.cutover(&arguments).await.exits(0).document();
    let nodes = plan["nodes"].as_array().cloned().unwrap_or_default();
    let begins: BTreeSet<&str> = nodes
        .iter()
        .filter(|node| node["reason"] == "compiled SQL differs")
        .filter_map(|node| node["identifier"].as_str())
        .collect();
    assert_eq!(begins, ["many_0", "many_50", "many_100", "many_150"].into());
    arguments.extend(["--full"]);
    world.cutover(&arguments).await.exits(0);
}
