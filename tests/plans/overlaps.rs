//! Environments over one set of schemas, while nothing is under way: each is refused what the other has
//! live, and each way out leads somewhere.

use crate::support::{Needs, Replay, World};
use serde_json::{Value, json};

const TWO: &str =
    "environments:\n  prod: {project: {target: prod}}\n  staging: {project: {target: prod}}\n";

/// The shop in production, taken over as the environment `prod`, with `staging` over the same target.
async fn taken_over() -> Option<(World, String)> {
    let world = World::prepared(Needs::AnyServer).await?;
    world.project.write("cutover.yaml", TWO);
    let target = world.home().join("target").display().to_string();
    let parsed = world.dbt(&["parse", "--target-path", &target]).await;
    assert_eq!(parsed.code, Some(0), "{parsed}");
    let manifest = format!("{target}/manifest.json");
    import(&world, "prod", &manifest).await.exits(0);
    Some((world, manifest))
}

async fn import(world: &World, name: &str, manifest: &str) -> crate::support::Outcome {
    let import = ["baseline", "import", name, "--manifest", manifest];
    world.cutover(&import).await
}

/// The plan of `ours` is refused because `theirs` has the schemas.
async fn refused(world: &World, ours: &str, theirs: &str) -> String {
    let plan = world.cutover(&["plan", ours]).await.exits(3);
    let message = plan.error()["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let marts = format!("schema {}", world.name("marts"));
    for word in ["environments-overlap", theirs, ours, &marts, "remedy: "] {
        assert!(message.contains(word), "no {word:?} in {message}");
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_environment_has_live_is_refused_while_idle() {
    let Some((world, manifest)) = taken_over().await else {
        return;
    };
    let before = world.snapshot().await;
    let message = refused(&world, "staging", "prod").await;
    assert!(
        message.contains("cutover baseline forget prod staging"),
        "{message}"
    );
    world.cutover(&["deploy", "staging"]).await.exits(3);
    let check = world.cutover_text(&["check", "staging"]).await.exits(3);
    check.says("the environment prod is live");
    import(&world, "staging", &manifest)
        .await
        .exits(3)
        .says("environments-overlap");
    world.snapshot().await.is(&before);
    // The one that has them is not hindered.
    world.cutover(&["plan", "prod"]).await.exits(0);
    let check = world.cutover_text(&["check", "prod"]).await;
    check.says("no other one is live with these schemas or clusters");

    let allow = ["plan", "staging", "--allow", "environments-overlap"];
    let plan = world.cutover(&allow).await.exits(0).document();
    assert_eq!(
        plan["accepted"][0]["name"], "environments-overlap",
        "{plan}"
    );
    assert_eq!(plan["mode"], "full");

    // Schemas of its own.
    let project = world.project.read("dbt_project.yml");
    world
        .project
        .write("dbt_project.yml", &project.replace("prod:", "other:"));
    let profiles = world.project.read("profiles.yml");
    world
        .project
        .write("profiles.yml", &profiles.replace("    prod:", "    other:"));
    world.project.write(
        "cutover.yaml",
        &TWO.replace(
            "staging: {project: {target: prod}}",
            "staging: {project: {target: other}}",
        ),
    );
    for name in ["staging", "marts", "serving"] {
        world.project.replace(
            "dbt_project.yml",
            &world.name(name),
            &world.name(&format!("{name}2")),
        );
        world
            .sql
            .run(&format!(
                "CREATE SCHEMA {}",
                world.name(&format!("{name}2"))
            ))
            .await;
    }
    for name in ["compute", "serve"] {
        let (old, new) = (world.name(name), world.name(&format!("{name}2")));
        world
            .sql
            .run(&format!("CREATE CLUSTER {new} (SIZE = '25cc')"))
            .await;
        world.project.replace("dbt_project.yml", &old, &new);
        let profiles = world.project.read("profiles.yml");
        world
            .project
            .write("profiles.yml", &profiles.replace(&old, &new));
    }
    let plan = world.cutover(&["plan", "staging"]).await;
    assert!(!plan.all().contains("environments-overlap"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_environment_takes_its_baseline_along() {
    let Some((mut world, _)) = taken_over().await else {
        return;
    };
    world.set("SCOPE", "slim");
    let take = ["baseline", "import", "staging", "--from", "prod"];
    let dry = world.cutover(&[&take[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.exits(0).document()["command"], "baseline import");
    refused(&world, "staging", "prod").await;
    let itself = ["baseline", "import", "prod", "--from", "prod"];
    world.cutover(&itself).await.exits(2);
    let nobody = [
        "baseline",
        "import",
        "prod",
        "--from",
        "nobody",
        "--replace",
    ];
    world
        .cutover(&nobody)
        .await
        .exits(3)
        .says("baseline-missing");

    let live = |document: &Value| document["live"]["metadata"]["objects"].clone();
    let before = world.cutover(&["baseline", "show", "prod"]).await.exits(0);
    world.cutover(&take).await.exits(0);
    let after = world
        .cutover(&["baseline", "show", "staging"])
        .await
        .exits(0);
    let after = after.document();
    assert_eq!(live(&after), live(&before.document()));
    assert_eq!(after["live"]["drift"], json!([]));
    let given = world.cutover(&["baseline", "show", "prod"]).await.exits(0);
    let given = given.document();
    assert_eq!(given["live"], Value::Null);
    assert_eq!(given["history"][0]["reason"], "forgotten");
    let plan = world
        .cutover(&["plan", "staging"])
        .await
        .exits(0)
        .document();
    assert_eq!(plan["nodes"], json!([]), "{plan}");
    refused(&world, "prod", "staging").await;

    // Given up for good: the other one begins anew.
    let forget = ["baseline", "forget", "staging", "prod"];
    world
        .cutover(&[&forget[..], &["--dry-run"]].concat())
        .await
        .exits(0);
    refused(&world, "prod", "staging").await;
    let forgotten = world.cutover(&forget).await.exits(0).document();
    assert_eq!(forgotten["environment"], "staging");
    assert_eq!(forgotten["pointer"]["deployment"], Value::Null);
    world
        .cutover(&forget)
        .await
        .exits(3)
        .says("baseline-missing");
    let plan = world.cutover(&["plan", "prod"]).await.exits(0).document();
    assert_eq!(plan["mode"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_project_over_the_same_schemas_is_refused_too() {
    let Some((world, _)) = taken_over().await else {
        return;
    };
    world
        .project
        .replace("dbt_project.yml", "name: shop", "name: sales");
    for part in ["models:\n  shop:", "seeds:\n  shop:"] {
        world
            .project
            .replace("dbt_project.yml", part, &part.replace("shop", "sales"));
    }
    let message = refused(&world, "prod", "of the project shop").await;
    assert!(
        message.contains("baseline forget prod prod --of shop"),
        "{message}"
    );
    let forget = ["baseline", "forget", "prod", "prod"];
    world
        .cutover(&forget)
        .await
        .exits(3)
        .says("baseline-missing");
    world
        .cutover(&[&forget[..], &["--of", "shop"]].concat())
        .await
        .exits(0);
    world.cutover(&["plan", "prod"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_artifacts_are_elsewhere_the_journal_tells() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.project.write("cutover.yaml", TWO);
    let _replay = Replay::named(&mut world, "prod").await;
    world.cutover(&["deploy", "prod"]).await.exits(0);
    let elsewhere = format!("file://{}/elsewhere", world.home().display());
    world.set("ARTIFACTS__URL", &elsewhere);
    let message = refused(&world, "staging", "prod").await;
    assert!(message.contains("by the journal"), "{message}");
    let allow = ["deploy", "staging", "--allow", "environments-overlap"];
    world.cutover(&allow).await.exits(0);
    // What serves now is this one's own work, and no longer the other's.
    world.cutover(&["plan", "staging", "--full"]).await.exits(0);
    refused(&world, "prod", "staging").await;
}
