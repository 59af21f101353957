//! How long dbt keeps a plan waiting, on 2,000 models: two parses side by side, as a plan that compares texts
//! needs; one changed leaf that is compiled; and a changed variable, for which everything is compiled. These two
//! as `build.engine: auto` plans a project that is built without dbt, which needs no second parse, and as
//! `build.engine: dbt` does. What is built without dbt needs the SQL of all that is built with a change; what was
//! compiled before is taken from the baseline. In turns, so that each meets the same machine. Prints a Markdown table.
//!
//! Exits non-zero when with `auto` one changed leaf takes over 1.1 times the two parses, or a changed variable
//! over twice as long.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics when its surroundings are not right"
)]

mod dbt;
mod project;

use cutover::domain::progress::Reporter;
use cutover::inputs::manifest::Manifest;
use cutover::inputs::outcome::{Before, KeptSql, Outcomes};
use cutover::inputs::settings::Override;
use cutover::operations::builds::{Builds, Green};
use cutover::operations::release::{Release, Wanted};
use project::{CHANGED, DBT_MODELS, Project, sql};
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const RUNS: usize = 3;
/// Runs are compared on a machine that is never quite the same.
const NOISE: f64 = 1.1;

fn builds(project: &Project, name: &str) -> Builds {
    let executable = Override {
        flag: "dbt".to_owned(),
        path: "dbt.executable".to_owned(),
        value: serde_json::json!(project.dbt),
    };
    let wanted = Wanted {
        working_directory: project.folder.clone(),
        overrides: vec![executable],
        ..Wanted::default()
    };
    let release = Release::open(&wanted).unwrap();
    let folder = project.folder.join("runs").join(name);
    let _ = fs::remove_dir_all(&folder);
    release
        .builds(&folder, &Reporter::silent(), &CancellationToken::new())
        .unwrap()
}

/// A project as it was released.
struct Released {
    manifest: Manifest,
    outcomes: Outcomes,
    sql: KeptSql,
}

/// The time until the outcomes are known, and the SQL of whatever may be built without dbt.
async fn planned(project: &Project, released: &Released, green: Green) -> Duration {
    let (baseline, known) = (&released.manifest, &released.outcomes);
    let builds = builds(project, "outcomes");
    let began = Instant::now();
    let predicted = builds.predict(baseline, known);
    let parsed = builds
        .parse_and_compile(predicted.as_ref(), green)
        .await
        .unwrap();
    let before = Before {
        manifest: Some(baseline),
        outcomes: known,
    };
    let (outcomes, compiled) = builds.outcomes(&parsed, Some(before)).await.unwrap();
    assert!(outcomes.uncompiled().is_empty());
    if green == Green::ByName {
        let is_known = |id: &String| {
            compiled.sql.contains_key(id) || released.sql.sql(&outcomes, id).is_some()
        };
        assert!(outcomes.nodes.keys().all(is_known));
    }
    began.elapsed()
}

fn set_variable(project: &Project, value: u32) {
    fs::write(
        project.folder.join("dbt_project.yml"),
        format!("name: shop\nprofile: shop\nversion: '1.0'\nvars: {{cut: {value}}}\n"),
    )
    .unwrap();
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::write(folder.path());
    set_variable(&project, 1);
    for number in (0..DBT_MODELS).step_by(CHANGED) {
        let place = project.folder.join(format!("models/model_{number}.sql"));
        let text = sql(number, false).replace("0 as release", "{{ var('cut') }} as release");
        fs::write(place, text).unwrap();
    }
    let first = builds(&project, "first");
    let parsed = first.parse().await.unwrap();
    let (outcomes, compiled) = first.outcomes(&parsed, None).await.unwrap();
    let released = Released {
        sql: KeptSql::of(&outcomes, &compiled.sql, None).unwrap(),
        manifest: parsed.manifest,
        outcomes,
    };
    let leaf = project
        .folder
        .join(format!("models/model_{}.sql", DBT_MODELS - 1));
    let (mut parses, mut leaves, mut variables) = (Vec::new(), Vec::new(), Vec::new());
    let (mut leaves_by_dbt, mut variables_by_dbt) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let two = builds(&project, "parses");
        let began = Instant::now();
        two.parse().await.unwrap();
        parses.push(began.elapsed());
        let text = format!("{}\n-- and {run}\n", sql(DBT_MODELS - 1, true));
        fs::write(&leaf, text).unwrap();
        let planned = async |green| planned(&project, &released, green).await;
        leaves.push(planned(Green::ByName).await);
        leaves_by_dbt.push(planned(Green::ByDbt).await);
        fs::write(&leaf, sql(DBT_MODELS - 1, false)).unwrap();
        set_variable(&project, 2);
        variables.push(planned(Green::ByName).await);
        variables_by_dbt.push(planned(Green::ByDbt).await);
        set_variable(&project, 1);
    }
    let (parses, leaf, variable) = (median(parses), median(leaves), median(variables));
    println!(
        "| until dbt has said what a plan needs, {DBT_MODELS} models, median of {RUNS} | wall | times two parses |"
    );
    println!("|---|---|---|");
    for (what, wall) in [
        ("two parses, as for texts", parses),
        ("one changed leaf, `auto`", leaf),
        ("one changed leaf, `dbt`", median(leaves_by_dbt)),
        ("a changed variable, `auto`", variable),
        ("a changed variable, `dbt`", median(variables_by_dbt)),
    ] {
        println!("| {what} | {wall:.1} s | {:.2} |", wall / parses);
    }
    if leaf <= parses * NOISE && variable <= parses * 2.0 {
        return ExitCode::SUCCESS;
    }
    println!("\nover the limits");
    ExitCode::FAILURE
}
