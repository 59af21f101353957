//! The workflow over the real program, a stand-in for Materialize and a git repository: from the checkout of a pull
//! request to its report, its end, and the release.

use super::actions::Runner;
use super::platform::WRITER;
use super::shell::{Programs, bash};
use super::support::{Needs, World};

/// Runs a script in the project's folder.
async fn git(world: &World, script: &str) {
    let mut environment = super::shell::plain(world.home(), world.home());
    for who in ["AUTHOR", "COMMITTER"] {
        environment.insert(format!("GIT_{who}_NAME"), "ada".to_owned());
        environment.insert(format!("GIT_{who}_EMAIL"), "ada@shop.test".to_owned());
    }
    let ended = bash(script, world.project.path(), &environment).await;
    assert_eq!(ended.code, Some(0), "{script}: {}", ended.output);
}

/// How many schemas and clusters of corners there are.
async fn corners(world: &World) -> String {
    let query = "SELECT count(*)::text FROM (SELECT name FROM mz_catalog.mz_schemas WHERE name LIKE '%\\_\\_%' \
                 UNION ALL SELECT name FROM mz_catalog.mz_clusters WHERE name LIKE 'ci%') AS of_corners";
    world.sql.value(query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_checked_out_built_reported_closed_and_released() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    let compiled = world.dbt(&["compile"]).await;
    assert_eq!(compiled.code, Some(0), "{compiled}");
    let import = ["baseline", "import", "--manifest", "target/manifest.json"];
    world.cutover(&import).await.exits(0);
    let first = "printf 'target/\\nlogs/\\n.cutover/\\n' >.gitignore; git init --quiet --initial-branch main; \
                 git add --all; git commit --quiet --message production; git checkout --quiet -b request";
    git(&world, first).await;

    let mut runner = Runner::new(WRITER).await;
    runner.programs = Programs::real(&runner.folder.path().join("real"));
    runner.workspace = world.project.path().to_owned();
    runner.variables = world.environment.clone();
    let quiet = (
        "DBT_SEND_ANONYMOUS_USAGE_STATS".to_owned(),
        "false".to_owned(),
    );
    runner.variables.extend([quiet]);
    runner
        .secrets
        .insert("journal-url", "sqlite://.cutover/cutover.db".to_owned());
    runner.platform.chatter(3);

    // A model that the server does not take.
    let report_sql = "models/serving/report.sql";
    let good = world.project.read(report_sql);
    world.project.replace(report_sql, ", c.n", ", c.nn");
    git(&world, "git commit --quiet --all --message broken").await;
    runner.pull_request("opened", false);
    let jobs = runner.run().await;
    let build = jobs["build"]
        .iter()
        .find(|step| step.name == "cutover")
        .expect("the build");
    assert_eq!(build.code, Some(1), "{}", build.output);
    assert_eq!(build.outputs["verdict"], "failed", "{}", build.output);
    let own = runner.platform.own();
    assert_eq!(own.len(), 1);
    let body = &own[0].body;
    assert!(
        body.contains("pr-7") && body.contains(report_sql) && body.contains("nn"),
        "{body}"
    );

    // The next push corrects it, and takes a column from production.
    world.project.write(report_sql, &good);
    world.project.replace(report_sql, ", c.n", ", 5 as extra");
    git(&world, "git commit --quiet --all --message better").await;
    runner.pull_request("synchronize", false);
    let jobs = runner.run().await;
    let build = jobs["build"]
        .iter()
        .find(|step| step.name == "cutover")
        .expect("the build");
    assert_eq!(build.code, Some(0), "{}", build.output);
    let after = runner.platform.own();
    assert_eq!((after.len(), after[0].id), (1, own[0].id));
    let body = &after[0].body;
    for said in [
        "passed",
        "Columns that a release would change",
        "extra",
        "lost, was bigint",
    ] {
        assert!(body.contains(said), "it does not say {said:?}: {body}");
    }
    let states: Vec<_> = runner
        .platform
        .known()
        .statuses
        .iter()
        .map(|(_, it)| it["state"].clone())
        .collect();
    assert_eq!(states, ["failure", "success"]);
    assert_ne!(corners(&world).await, "0");

    git(
        &world,
        "git checkout --quiet main; git merge --quiet request",
    )
    .await;
    runner.pull_request("closed", false);
    let jobs = runner.run().await;
    let teardown = jobs["teardown"].last().expect("a step");
    assert_eq!(teardown.code, Some(0), "{}", teardown.output);
    assert_eq!(corners(&world).await, "0");

    // That a column goes, which the report said, is for a person to accept.
    runner.push("main");
    let jobs = runner.run().await;
    let release = jobs["release"].last().expect("a step");
    assert_eq!(release.code, Some(3), "{}", release.output);
    assert!(release.output.contains("column-lost"), "{}", release.output);
    let allow = ("CUTOVER__ALLOW".to_owned(), "column-lost".to_owned());
    runner.variables.extend([allow]);
    runner.push("main");
    let jobs = runner.run().await;
    let release = jobs["release"].last().expect("a step");
    assert_eq!(release.code, Some(0), "{}", release.output);
    let query = format!(
        "SELECT max(extra)::text FROM {}.report",
        world.name("serving")
    );
    assert_eq!(world.sql.value(&query).await, "5");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_for_dbt_is_written_while_it_is_true() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    let state = ["ci", "state", "state"];
    world.cutover(&state).await.exits(3).says("none");
    let compiled = world.dbt(&["compile"]).await;
    assert_eq!(compiled.code, Some(0), "{compiled}");
    let import = ["baseline", "import", "--manifest", "target/manifest.json"];
    world.cutover(&import).await.exits(0);
    world.cutover(&state).await.exits(0);
    let unchanged = ["ls", "--select", "state:modified", "--state", "state"];
    let listed = world.dbt(&unchanged).await;
    assert!(listed.all().contains("No nodes selected"), "{listed}");
    world.cutover(&state).await.exits(3).says("exists already");
    // Somebody makes a view anew, and drops another: dbt would read what is not there.
    let (serving, marts) = (world.name("serving"), world.name("marts"));
    let again = format!("CREATE OR REPLACE VIEW {serving}.report AS SELECT 1 AS n");
    world.sql.run(&again).await;
    let forced = ["ci", "state", "state", "--force"];
    let refused = world.cutover(&forced).await.exits(3);
    let refused = refused.says(&format!("{serving}.report is recreated"));
    drop(refused);
    world.sql.run(&format!("DROP VIEW {serving}.report")).await;
    let refused = world.cutover(&forced).await.exits(3);
    drop(refused.says(&format!("{serving}.report is missing")));
    // What nobody recorded is in nobody's way.
    let extra = format!("CREATE VIEW {marts}.extra AS SELECT 1 AS n");
    world.sql.run(&extra).await;
    let other = world.cutover(&forced).await.exits(3);
    assert!(!other.all().contains("extra"), "{other}");
}
