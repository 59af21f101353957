//! What is taken from the baseline because every input is the same must be what compiling gives. Random
//! variants of a project, each beside another one's outcomes.

use crate::project;
use crate::support::chance::Chance;
use crate::support::{Needs, World};
use cutover::domain::progress::Reporter;
use cutover::inputs::outcome::{Before, Outcomes};
use cutover::inputs::settings::Override;
use cutover::operations::builds::{Builds, Green};
use cutover::operations::release::{Release, Wanted};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Pairs that are compared unless `CUTOVER_TEST_OUTCOMES=full`.
const PAIRS: u32 = 6;
/// Pairs that are compared then.
const ALL_PAIRS: u32 = 120;

/// One way in which variants differ: a file, what stands in it, and what may stand there instead.
type Switch = (&'static str, &'static str, &'static [&'static str]);

const SWITCHES: [Switch; 15] = [
    ("dbt_project.yml", "cutoff: 10", &["cutoff: 1", "cutoff: 2"]),
    (
        "dbt_project.yml",
        "vars:\n",
        &["vars:\n  use_p2: true\n", "vars:\n  unread: 1\n"],
    ),
    ("dbt_project.yml", "+schema: staging", &["+schema: marts"]),
    (
        "models/staging/stg.sql",
        "id, amount",
        &["id,\n  amount -- both", "amount, id"],
    ),
    (
        "models/staging/part.sql",
        "1 as part",
        &["2 as part", "1 as  part"],
    ),
    (
        "models/marts/totals.sql",
        "sum(amount)",
        &["max(amount)", "{{ 'sum' }}(amount)"],
    ),
    (
        "models/marts/p1.sql",
        "select 1",
        &["{{ config(alias='p_one') }}select 1", "select 2"],
    ),
    (
        "macros/parts.sql",
        "one() %}1",
        &["one() %}2", "one() %}{{ 1 }}"],
    ),
    ("macros/parts.sql", "* 2", &["* 3", "*  2"]),
    ("macros/parts.sql", "'plain'", &["'other'"]),
    (
        "macros/names.sql",
        "{{ target.schema }}",
        &["{{ target['schema'] }}"],
    ),
    ("models/sources.yml", "'raw')", &["'raw2')"]),
    (
        "models/schema.yml",
        "description: rows",
        &["description: all rows"],
    ),
    (
        "models/marts/pick.sql",
        "select p",
        &["select p, {{ graph.nodes | length if execute else 0 }} as n"],
    ),
    ("seeds/small.csv", "bob", &["eve"]),
];

/// Gives a few of the switches another position, and the environment variable that a macro reads one too.
fn vary(world: &World, files: &[(String, Vec<u8>)], chance: &mut Chance) -> Option<&'static str> {
    world.project.restore(files);
    for (place, stands, instead) in SWITCHES {
        if chance.between(0, 2) == 0 {
            world
                .project
                .replace(place, stands, one_of(chance, instead));
        }
    }
    one_of(chance, &[None, Some("sweet"), Some("sour")])
}

fn one_of<T: Copy>(chance: &mut Chance, things: &[T]) -> T {
    let last = things.len() as u64 - 1;
    things[usize::try_from(chance.between(0, last)).expect("a place")]
}

fn builds(world: &World, name: &str, flavour: Option<&str>) -> Builds {
    let executable = world.environment["CUTOVER__DBT__EXECUTABLE"].clone();
    let wanted = Wanted {
        working_directory: world.project.path().to_owned(),
        overrides: vec![Override {
            flag: "dbt".to_owned(),
            path: "dbt.executable".to_owned(),
            value: executable.into(),
        }],
        ..Wanted::default()
    };
    let release = Release::open(&wanted).expect("a release");
    let folder = world.home().join("runs").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let mut builds = release
        .builds(&folder, &Reporter::silent(), &CancellationToken::new())
        .expect("dbt");
    if let Some(flavour) = flavour {
        let (name, value) = ("DBT_FLAVOUR".to_owned(), flavour.to_owned());
        builds
            .invoker
            .environment
            .insert(name.clone().into(), value.clone().into());
        builds.circumstances.environment.insert(name, value);
    }
    builds
}

/// What comes out, the short way where something is known.
async fn outcomes(builds: &Builds, known: Option<(&Outcomes, &Path)>) -> Outcomes {
    let baseline = known
        .map(|(_, place)| cutover::inputs::manifest::Manifest::read(place).expect("a manifest"));
    let before = known.map(|(outcomes, _)| Before {
        manifest: baseline.as_ref(),
        outcomes,
    });
    let predicted = before
        .zip(baseline.as_ref())
        .and_then(|(before, baseline)| builds.predict(baseline, before.outcomes));
    let parsed = builds
        .parse_and_compile(predicted.as_ref(), Green::ByDbt)
        .await
        .expect("a manifest");
    builds.outcomes(&parsed, before).await.expect("outcomes").0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_from_before_is_what_compiling_gives() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    project::write(&world).await;
    let files = world.project.files();
    let is_full = std::env::var_os("CUTOVER_TEST_OUTCOMES").is_some_and(|said| said == "full");
    let pairs = if is_full { ALL_PAIRS } else { PAIRS };
    let mut chance = Chance::new(20_261_129);
    let manifest = world.home().join("known.json");
    let flavour = vary(&world, &files, &mut chance);
    let first = builds(&world, "first", flavour);
    let mut known = outcomes(&first, None).await;
    let mut short = 0;
    for pair in 0..pairs {
        std::fs::copy(
            world
                .home()
                .join("runs")
                .join(if pair == 0 { "first" } else { "whole" })
                .join("parse/target/manifest.json"),
            &manifest,
        )
        .expect("a manifest");
        let flavour = vary(&world, &files, &mut chance);
        let quick = builds(&world, "quick", flavour);
        let quickly = outcomes(&quick, Some((&known, &manifest))).await;
        let whole = builds(&world, "whole", flavour);
        let wholly = outcomes(&whole, None).await;
        for (id, outcome) in &wholly.nodes {
            assert_eq!(quickly.nodes.get(id), Some(outcome), "pair {pair}, {id}");
        }
        assert_eq!(quickly, wholly, "pair {pair}");
        assert!(wholly.uncompiled().is_empty());
        short += usize::from(known.inputs == wholly.inputs);
        known = wholly;
    }
    println!("{pairs} pairs of variants, {short} under the same common inputs: no difference");
}
