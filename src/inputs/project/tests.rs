#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use crate::inputs::manifest::Manifest;
use std::path::PathBuf;

use super::*;

/// The fixture holds what a user's folder holds, so opening it is what `cutover deploy` does first.
#[test]
fn opens_the_fixture_as_a_whole() {
    let shop = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/project/shop");
    let environment = Environment::default();
    let project = Project::open(&Arguments::default(), &environment, &shop).unwrap();
    assert_eq!(project.dbt.name, "shop");
    assert_eq!(project.profile.target, "dev");
    let deployment = project.deployment().unwrap();
    assert_eq!(deployment.clusters, ["compute"]);
    assert_eq!(deployment.schemas, ["public_marts", "public_staging"]);

    let manifest = Manifest::read(&shop.join("manifest.json")).unwrap();
    assert_eq!(manifest.metadata.project_name.as_deref(), Some("shop"));

    let arguments = Arguments {
        target: Some("prod".into()),
        ..Arguments::default()
    };
    let error = Project::open(&arguments, &environment, &shop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no target `prod`; it holds dev"), "{error}");
}
