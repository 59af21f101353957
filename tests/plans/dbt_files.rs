//! A project's files are taken as dbt takes them: what dbt reads without a word does not stop a release.

use crate::support::{Needs, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_dbt_takes_is_taken() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    let project = &world.project;
    let prefix = world.prefix.clone();
    // As a program of Windows saves it, with a key too many and Python in it.
    let written = project.read("dbt_project.yml");
    let (head, vars) = written
        .split_once("vars:")
        .expect("the fixture's variables");
    let python =
        "target-path: \"target_{{ modules.datetime.datetime.utcnow().strftime('%Y') }}\"\n";
    let text = format!("\u{feff}{head}{python}name: shop\n").replace('\n', "\r\n");
    project.write("dbt_project.yml", &text);
    project.write("vars.yml", &format!("\u{feff}vars:{vars}"));
    let profile = project.read("profiles.yml").replace(
        &format!("schema: {prefix}\n"),
        "schema: \"{{ '%s' % modules.re.sub('[.].*', '', env_var('SCHEMA_OF')).lower() }}\"\n",
    );
    project.write(
        "profiles.yml",
        &format!("\u{feff}{profile}      role: nobody\n      role:\n"),
    );
    world.environment.insert(
        "SCHEMA_OF".to_owned(),
        format!("{}.x", prefix.to_uppercase()),
    );

    let planned = world.cutover(&["plan", "--full"]).await.exits(0);
    let plan = planned.document();
    let schemas: Vec<&str> = plan["schemas"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|schema| schema["name"].as_str())
        .collect();
    assert!(
        schemas.contains(&world.name("marts").as_str()),
        "{schemas:?}\n{planned}"
    );
    for part in [
        "dbt_project.yml:12: `name`: is repeated; this one, the last, is taken",
        "`shop.outputs.prod.role`: is repeated",
    ] {
        assert!(planned.all().contains(part), "no {part:?}\n{planned}");
    }
    let checked = world.cutover(&["check"]).await;
    assert!(checked.all().contains("`name`: is repeated"), "{checked}");

    world.project.write("vars.yml", "vars: {other: 1}\n");
    let refused = world.cutover(&["plan"]).await.exits(2);
    assert!(
        refused
            .all()
            .contains("vars.yml:1: `vars`: there is no variable `deployment`; add to"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_installed_when_others_are_listed() {
    let Some(world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    let project = &world.project;
    for (folder, name) in [("one", "first"), ("two", "second")] {
        project.write(
            &format!("packages/{folder}/dbt_project.yml"),
            &format!("name: {name}\nversion: \"1.0\"\n"),
        );
    }
    let list = |folder: &str| format!("packages:\n  - local: packages/{folder}\n");
    let installed = |name: &str| project.path().join("dbt_packages").join(name).is_dir();
    let reason = "package-lock.yml was not made from what packages.yml lists";
    let plan = || world.cutover(&["plan", "--full", "-vvv"]);

    project.write("packages.yml", &list("one"));
    let first = plan().await.exits(0);
    assert!(installed("first"), "{first}");
    let again = plan().await.exits(0);
    assert!(!again.all().contains("packages are installed"), "{again}");
    // As many as before.
    project.write("packages.yml", &list("two"));
    let other = plan().await.exits(0);
    assert!(other.all().contains(reason), "{other}");
    assert!(installed("second") && !installed("first"), "{other}");
    let again = plan().await.exits(0);
    assert!(!again.all().contains("packages are installed"), "{again}");
}
