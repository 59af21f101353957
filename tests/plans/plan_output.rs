//! What people and machines see of a plan: the same bytes each time, the documented form, and the
//! columns that a contract changes.

#[path = "../support/schema.rs"]
#[allow(dead_code, reason = "the test of every field uses the rest")]
mod schema;

use crate::support::{Needs, World};
use serde_json::Value;

/// Only plans are made of it, so the SQL need not keep what it promises.
const CONTRACT: &str = "models:
  - name: totals
    config: {contract: {enforced: true}}
    columns:
      - {name: customer, data_type: string}
      - {name: total, data_type: 'numeric(38, 2)'}
      - {name: since, data_type: timestamptz}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_same_plan_is_the_same_bytes_in_the_documented_form() {
    let Some(world) = World::in_production(Needs::AnyServer).await else {
        return;
    };
    let documented: Value =
        serde_json::from_str(include_str!("../../docs/plan.schema.json")).expect("JSON");
    let first = world.cutover(&["plan"]).await.exits(0);
    let second = world.cutover(&["plan"]).await.exits(0);
    assert_eq!(first.stdout, second.stdout);
    let faults = schema::check(&documented, &first.document()).faults;
    assert_eq!(faults, Vec::<String>::new());

    world.project.write("models/schema.yml", CONTRACT);
    let total = format!("{}.total", world.name("marts.totals"));
    let release = format!("{}.release (integer)", world.name("marts.totals"));
    world
        .cutover_text(&["plan"])
        .await
        .exits(3)
        .says("column-lost")
        .says(&release);
    let allowed = world
        .cutover_text(&["plan", "--allow", "column-lost"])
        .await
        .exits(0);
    allowed
        .clone()
        .says("full release, baseline none")
        .says("Columns that change")
        .says(&format!("~ {total} "))
        .says("-> numeric(38, 2)");
    assert!(!allowed.stdout.contains("customer"), "{allowed}");
    let accepted = world
        .cutover(&["plan", "--allow", "column-lost"])
        .await
        .exits(0);
    let faults = schema::check(&documented, &accepted.document()).faults;
    assert_eq!(faults, Vec::<String>::new());
}
