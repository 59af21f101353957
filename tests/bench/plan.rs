//! What planning costs, dbt's processes and the server aside: two manifests are read from disk, at the
//! same time on two threads, with the baseline's outcomes; what comes out of each node is compared, SQL as tokens; closed over schemas and clusters, checked and planned against a
//! catalog in memory. In the generated projects one model in a hundred changed, which forces nearly
//! everything to be rebuilt, so that every check has something to do. Then the same of a project of 2,000
//! models that the real dbt parsed, beside `dbt ls --select state:modified+`. Prints a Markdown table.
//!
//! Each measurement is a process of its own, so that the peak of its memory (`VmHWM`) is its own.
//! Exits non-zero when reading, comparing and closing take over 100 ms at 2,000 nodes, or over 500 ms or
//! 400 MB at 10,000, or when all of it is less than 40 times as fast as dbt.

#![recursion_limit = "512"]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics when its surroundings are not right"
)]

use cutover::domain::catalog::{Catalog, Cluster, ClusterDefinition, Object, ObjectKind, Schema};
use cutover::domain::plan::outside::Outside;
use cutover::domain::plan::{Mode, Plan};
use cutover::inputs::manifest::Manifest;
use cutover::inputs::outcome::{Before, Outcomes};
use cutover::inputs::project::Switches;
use cutover::inputs::project::dbt_project::circumstances::Circumstances;
use cutover::inputs::selection::state::Comparison;
use cutover::operations::builds::uncompiled;
use cutover::planning::planner::candidate::{Candidate, Input, Materialization};
use cutover::planning::planner::changes::Changes;
use cutover::planning::planner::slim::{self, Closed};
use project::{
    CHANGED, CLUSTERS, COLUMNS, DBT_MODELS, Project, SCHEMAS, materialized, parents, sql,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

mod dbt;
/// The project that dbt parses.
mod project;

const RUNS: usize = 5;
const FASTER: f64 = 40.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|word| word == "--measure") {
        return measure(Path::new(&arguments[at + 1]));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut is_within = true;
    println!(
        "| project | manifest | read both | compare | close | read, compared, closed | hashes | checks and plan | in all, median of {RUNS} | peak memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (nodes, limit, memory) in [(2_000, 100.0, f64::MAX), (10_000, 500.0, 400.0)] {
        let place = folder.path().join(nodes.to_string());
        fs::create_dir_all(&place).unwrap();
        write_manifest(&place.join("old.json"), nodes, false);
        write_manifest(&place.join("new.json"), nodes, true);
        write_outcomes(&place);
        let measured = Measured::of(&place, &format!("{nodes} nodes"));
        is_within &= measured.to_closed <= limit && measured.peak <= memory;
    }
    let project = Project::write(&folder.path().join("dbt"));
    let place = folder.path().join("real");
    project.manifests(&place);
    write_outcomes(&place);
    let measured = Measured::of(&place, &format!("{DBT_MODELS} models, as dbt parsed them"));
    let (cold, warm) = project.ls();
    println!("\n| `dbt ls --select state:modified+` | wall | times Cutover's work |");
    println!("|---|---|---|");
    for (name, wall) in [
        ("without partial parse", cold),
        ("with partial parse", warm),
    ] {
        let times = wall.as_secs_f64() * 1000.0 / measured.all;
        println!("| {name} | {:.2} s | {times:.0} |", wall.as_secs_f64());
        is_within &= times >= FASTER;
    }
    if is_within {
        return ExitCode::SUCCESS;
    }
    println!("\nover the limits");
    ExitCode::FAILURE
}

/// One project's numbers, in milliseconds and MB.
struct Measured {
    to_closed: f64,
    all: f64,
    peak: f64,
}

impl Measured {
    /// Measures in processes of their own and prints a row.
    fn of(place: &Path, name: &str) -> Self {
        let runs: Vec<Value> = (0..RUNS)
            .map(|_| {
                let output = Command::new(std::env::current_exe().unwrap())
                    .arg("--measure")
                    .arg(place)
                    .output()
                    .unwrap();
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                serde_json::from_slice(&output.stdout).unwrap()
            })
            .collect();
        let median = |key: &str| {
            let mut values: Vec<f64> = runs.iter().map(|run| run[key].as_f64().unwrap()).collect();
            values.sort_by(f64::total_cmp);
            values[RUNS / 2]
        };
        let size = fs::metadata(place.join("new.json")).unwrap().len() as f64 / 1e6;
        let [read, compare, close, to_closed, hash, plan, all, peak] = [
            "read",
            "compare",
            "close",
            "to_closed",
            "hash",
            "plan",
            "all",
            "peak",
        ]
        .map(median);
        println!(
            "| {name}, {} planned | {size:.1} MB | {read:.0} ms | {compare:.0} ms | {close:.0} ms | {to_closed:.0} ms | {hash:.0} ms | {plan:.0} ms | {all:.0} ms | {peak:.0} MB |",
            median("planned")
        );
        Self {
            to_closed,
            all,
            peak,
        }
    }
}

/// The measured work; prints the milliseconds of each part.
fn measure(place: &Path) -> ExitCode {
    let [before, after] = ["old.json", "new.json"].map(|name| place.join(name));
    let began = Instant::now();
    // On two threads, as `cutover ls` with two manifests does.
    let ((old, known), new) = std::thread::scope(|scope| {
        let old = scope.spawn(|| {
            let known = fs::read(place.join("outcomes.json")).unwrap();
            let known: Outcomes = serde_json::from_slice(&known).unwrap();
            (Manifest::read(&before).unwrap(), known)
        });
        let new = Manifest::read(&after).unwrap();
        (old.join().unwrap(), new)
    });
    let read = began.elapsed();
    let comparison = Comparison::of(&old, &new);
    let before = Before {
        manifest: Some(&old),
        outcomes: &known,
    };
    let mut outcomes = outcomes(&new, Some(before));
    outcomes.take_known(&known);
    // What dbt would have compiled.
    for id in outcomes
        .uncompiled()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
    {
        outcomes.compiled(&id, &new.nodes[&id].raw_code);
    }
    let compared = began.elapsed();
    // The same project with `deploy: true` is hashed too; only its names differ.
    let mut candidate = Candidate::from_manifests(&new, &new).unwrap();
    let hashed = began.elapsed();
    for (_, schema, _) in candidate.deploy_relations.values_mut() {
        schema.push_str("_dbt_deploy");
    }
    let production = Production::of(&candidate);
    let catalogued = began.elapsed();
    let (plan, closed) = production.plan(&candidate, &known, &outcomes, &comparison);
    let closed = closed - began;
    let planned = began.elapsed();
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let to_closed = compared + (closed - catalogued);
    let in_all = compared + (hashed - compared) + (planned - catalogued);
    let numbers = json!({
        "read": milliseconds(read),
        "compare": milliseconds(compared - read),
        "hash": milliseconds(hashed - compared),
        "close": milliseconds(closed - catalogued),
        "plan": milliseconds(planned - closed),
        "to_closed": milliseconds(to_closed),
        "all": milliseconds(in_all),
        "peak": high_water(),
        "planned": plan.nodes.len(),
    });
    println!("{numbers}");
    ExitCode::SUCCESS
}

/// What comes out of a project, with nothing compiled.
fn outcomes(manifest: &Manifest, before: Option<Before<'_>>) -> Outcomes {
    let named = |name: Option<&str>| Some(name.unwrap_or("cluster_0").to_owned());
    uncompiled(
        manifest,
        "",
        &named,
        Some(&Circumstances::default()),
        Switches::default(),
        before,
    )
    .unwrap()
}

/// The outcomes of the baseline beside its manifest, as a release keeps them.
fn write_outcomes(place: &Path) {
    let manifest = Manifest::read(&place.join("old.json")).unwrap();
    let mut outcomes = outcomes(&manifest, None);
    for (id, node) in &manifest.nodes {
        outcomes.compiled(id, &node.raw_code);
    }
    let bytes = serde_json::to_vec(&outcomes).unwrap();
    fs::write(place.join("outcomes.json"), bytes).unwrap();
}

/// A catalog in which everything is as the candidate says, and what else planning takes.
struct Production {
    catalog: Catalog,
    schemas: BTreeSet<String>,
    clusters: BTreeSet<String>,
    definitions: BTreeMap<String, Result<ClusterDefinition, String>>,
}

impl Production {
    fn of(candidate: &Candidate) -> Self {
        let mut catalog = Catalog {
            role: "deployer".to_owned(),
            database: "materialize".to_owned(),
            may_create_schemas: true,
            may_create_clusters: true,
            owned_roles: ["deployer".to_owned()].into(),
            ..Catalog::default()
        };
        let schemas: BTreeSet<String> = candidate
            .nodes
            .values()
            .map(|node| node.schema.clone())
            .collect();
        let clusters: BTreeSet<String> = (0..CLUSTERS).map(|n| format!("cluster_{n}")).collect();
        for name in &schemas {
            let schema = Schema {
                id: name.clone(),
                name: name.clone(),
                database: "materialize".to_owned(),
                owner: "deployer".to_owned(),
                grants: Vec::new(),
                default_privileges: Vec::new(),
                comment: None,
            };
            catalog.schemas.insert(name.clone(), schema);
        }
        for name in &clusters {
            let cluster = Cluster {
                id: name.clone(),
                name: name.clone(),
                owner: "deployer".to_owned(),
                managed: true,
                replicas: Vec::new(),
                grants: Vec::new(),
                comment: None,
            };
            catalog.clusters.insert(name.clone(), cluster);
        }
        for (id, node) in &candidate.nodes {
            let Materialization::Relation(kind) = node.materialization() else {
                continue;
            };
            let cluster = node
                .clusters(Some("cluster_0"))
                .into_iter()
                .flatten()
                .next();
            let cluster = cluster.map(|named| match named {
                cutover::planning::planner::candidate::ClusterUse::Named(name)
                | cutover::planning::planner::candidate::ClusterUse::NeedsQuotes(name) => name,
            });
            let object = |id: String, name: String, kind| Object {
                id,
                name,
                kind,
                schema_id: node.schema.clone(),
                owner: "deployer".to_owned(),
                cluster_id: cluster.clone(),
                fed_by_source: false,
                is_part: false,
                grants: Vec::new(),
                comment: None,
                columns: (0..COLUMNS)
                    .map(|n| (format!("column_{n}"), "bigint".to_owned()))
                    .collect(),
                column_order: Vec::new(),
                not_null: BTreeSet::new(),
                column_comments: Vec::new(),
            };
            let objects = &mut catalog.objects;
            objects.insert(
                id.clone(),
                object(id.clone(), node.identifier.clone(), kind),
            );
            for parent in &node.parents {
                catalog.dependencies.insert((id.clone(), parent.clone()));
            }
            for number in 0..node.indexes.len() {
                let index = format!("{id}.index_{number}");
                let name = format!("{}_index_{number}", node.identifier);
                objects.insert(
                    index.clone(),
                    object(index.clone(), name, ObjectKind::Index),
                );
                catalog.dependencies.insert((index, id.clone()));
            }
        }
        let definition = ClusterDefinition::Managed {
            options: "SIZE = '25cc'".to_owned(),
        };
        Self {
            definitions: clusters
                .iter()
                .map(|name| (name.clone(), Ok(definition.clone())))
                .collect(),
            catalog,
            schemas,
            clusters,
        }
    }

    /// The plan, and the time when the change was closed.
    fn plan(
        &self,
        candidate: &Candidate,
        known: &Outcomes,
        outcomes: &Outcomes,
        comparison: &Comparison<'_>,
    ) -> (Plan, Instant) {
        let input = Input {
            environment: "prod",
            target: "prod",
            deployment_file: "dbt_project.yml",
            mode: Mode::Slim,
            schemas: &self.schemas,
            clusters: &self.clusters,
            target_cluster: Some("cluster_0"),
            candidate,
            catalog: &self.catalog,
            definitions: &self.definitions,
            baseline: None,
            bootstrap: None,
            moved: &[],
            outside: Outside::none(),
            allow: &BTreeSet::new(),
        };
        let changes = Changes::of_outcomes(known, outcomes, comparison, &input);
        let closed = Closed::of(&changes, &input);
        let at = Instant::now();
        let keys = closed.indexes.keys();
        let keys = keys.map(|id| (id.clone(), Ok("(id)".to_owned()))).collect();
        (slim::plan(&input, &changes, &closed, &keys).unwrap(), at)
    }
}

/// MB.
fn high_water() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kb.parse::<f64>().unwrap() / 1024.0
}

/// A manifest as dbt writes it, node by node, so that the generator needs no memory either.
fn write_manifest(file: &Path, nodes: usize, is_new: bool) {
    let mut file = std::io::BufWriter::new(fs::File::create(file).unwrap());
    let metadata = json!({
        "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
        "dbt_version": "1.11.16",
        "adapter_type": "materialize",
        "project_name": "shop",
    });
    write!(file, "{{\"metadata\": {metadata}, \"nodes\": {{").unwrap();
    for number in 0..nodes {
        let comma = if number == 0 { "" } else { ", " };
        let is_changed = is_new && number.is_multiple_of(CHANGED);
        let node = node(number, is_changed);
        write!(file, "{comma}\"model.shop.model_{number}\": {node}").unwrap();
    }
    write!(file, "}}, \"macros\": {{").unwrap();
    // About as many as dbt and the adapter bring.
    for number in 0..600 {
        let comma = if number == 0 { "" } else { ", " };
        let id = format!("macro.dbt.macro_{number}");
        let it = json!({
            "name": format!("macro_{number}"), "resource_type": "macro", "package_name": "dbt",
            "path": "macros/a.sql", "original_file_path": "macros/a.sql", "unique_id": id,
            "macro_sql": "{% macro a(relation) %}\n  select 1 from {{ relation }}\n{% endmacro %}\n".repeat(8),
            "depends_on": {"macros": []}, "description": "", "meta": {}, "docs": {"show": true},
            "patch_path": null, "arguments": [], "created_at": 1795211813.9, "supported_languages": null,
        });
        write!(file, "{comma}\"{id}\": {it}").unwrap();
    }
    let rest = "\"sources\": {}, \"docs\": {}, \"exposures\": {}, \"metrics\": {}, \"groups\": {}, \"selectors\": {}, \"disabled\": {}";
    write!(
        file,
        "}}, {rest}, \"parent_map\": {{}}, \"child_map\": {{}}}}"
    )
    .unwrap();
    file.flush().unwrap();
}

fn node(number: usize, is_changed: bool) -> Value {
    let name = format!("model_{number}");
    let schema = format!("schema_{}", number % SCHEMAS);
    let cluster = format!("cluster_{}", number % CLUSTERS);
    let columns: serde_json::Map<String, Value> = (0..COLUMNS)
        .map(|column| {
            let name = format!("column_{column}");
            let described = json!({
                "name": name, "description": format!("What the column {column} of {number} means to those who read it."),
                "meta": {}, "data_type": "bigint", "constraints": [], "quote": null,
                "config": {"meta": {}, "tags": []}, "tags": [], "granularity": null, "doc_blocks": [],
            });
            (name, described)
        })
        .collect();
    let indexes = match number % 4 {
        0 => json!([{"columns": ["column_0"], "cluster": cluster}]),
        _ => json!([]),
    };
    let set = json!({"materialized": materialized(number), "cluster": cluster, "schema": schema, "indexes": indexes, "contract": {"enforced": true}});
    let parents: Vec<usize> = parents(number);
    let ids: Vec<String> = parents
        .iter()
        .map(|parent| format!("model.shop.model_{parent}"))
        .collect();
    let refs: Vec<Value> = parents
        .iter()
        .map(|parent| json!({"name": format!("model_{parent}"), "package": null, "version": null}))
        .collect();
    json!({
        "database": "materialize", "schema": schema, "name": name, "resource_type": "model",
        "package_name": "shop", "path": format!("{schema}/{name}.sql"),
        "original_file_path": format!("models/{schema}/{name}.sql"),
        "unique_id": format!("model.shop.{name}"), "fqn": ["shop", schema, name], "alias": name,
        "checksum": {"name": "sha256", "checksum": "d5dd1840fcee0f77b17f5e0c320fa9aa627bcb987092a66f755dd991c3d525e3"},
        "config": {
            "enabled": true, "alias": null, "schema": schema, "database": null, "tags": [], "meta": {"owner": "data"},
            "group": null, "static_analysis": null, "materialized": materialized(number), "incremental_strategy": null,
            "batch_size": null, "lookback": 1, "begin": null, "persist_docs": {}, "post-hook": [], "pre-hook": [],
            "quoting": {}, "column_types": {}, "full_refresh": null, "unique_key": null, "on_schema_change": "ignore",
            "on_configuration_change": "apply", "grants": {}, "packages": [], "docs": {"show": true, "node_color": null},
            "contract": {"enforced": true, "alias_types": true}, "event_time": null, "concurrent_batches": null,
            "access": "protected", "freshness": null, "cluster": cluster, "indexes": indexes,
        },
        "tags": [], "description": "What this model is for, who reads it, and what may not be expected of it. ".repeat(3),
        "columns": columns, "meta": {"owner": "data"}, "group": null, "docs": {"show": true, "node_color": null},
        "patch_path": "shop://models/schema.yml", "build_path": null, "unrendered_config": set,
        "created_at": 1795211813.99, "relation_name": format!("\"materialize\".\"{schema}\".\"{name}\""),
        "raw_code": sql(number, is_changed), "doc_blocks": [], "language": "sql", "refs": refs, "sources": [],
        "metrics": [], "functions": [], "depends_on": {"macros": ["macro.dbt.macro_1"], "nodes": ids},
        "compiled_path": null,
        "contract": {"enforced": true, "alias_types": true, "checksum": "b5b4ed42fd6322ba6b22cd472aba54257dccc97c1cbab4e2718195738fefce8d"},
        "access": "protected", "constraints": [], "version": null, "latest_version": null, "deprecation_date": null,
        "primary_key": [], "time_spine": null,
    })
}
