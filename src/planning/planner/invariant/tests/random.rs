//! Random projects, random edits: whatever is planned keeps the law, or is refused.
//!
//! A project is released round by round; in each some of its nodes are edited, in their text or only in
//! what comes out of it. Production after a release is worked out here from the plan alone, as a swap
//! would leave it, and compared with the project by hand.

use super::*;
use crate::inputs::manifest::Node;
use crate::inputs::outcome::Outcomes;
use crate::inputs::outcome::reads::Reads;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::sync::LazyLock;

const CASES: u32 = 2000;
/// The last is not listed.
const SCHEMAS: [&str; 4] = ["s0", "s1", "s2", "out"];
const CLUSTERS: [&str; 3] = ["c0", "c1", "c2"];
const KINDS: [&str; 4] = ["view", "materialized_view", "seed", "ephemeral"];

/// A model as the project has it.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    schema: usize,
    kind: usize,
    cluster: usize,
    /// How often it was renamed.
    alias: usize,
    /// What is computed.
    body: usize,
    /// How often its text changed.
    text: usize,
    parents: BTreeSet<usize>,
}

type Project = BTreeMap<usize, Model>;

impl Model {
    fn place(&self, number: usize) -> (String, String) {
        let schema = SCHEMAS[self.schema].to_owned();
        (schema, format!("n{number}_{}", self.alias))
    }

    fn kind(&self) -> Option<ObjectKind> {
        match KINDS[self.kind] {
            "view" => Some(ObjectKind::View),
            "materialized_view" => Some(ObjectKind::MaterializedView),
            "seed" => Some(ObjectKind::Table),
            _ => None,
        }
    }

    fn cluster(&self) -> Option<&'static str> {
        (self.kind() == Some(ObjectKind::MaterializedView)).then(|| CLUSTERS[self.cluster])
    }
}

fn unique_id(number: usize) -> String {
    format!("model.shop.n{number}")
}

/// An object of production.
#[derive(Debug, Clone, PartialEq)]
struct Live {
    id: String,
    kind: ObjectKind,
    cluster: Option<&'static str>,
    made_by: usize,
    body: usize,
    reads: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
struct Production {
    objects: BTreeMap<(String, String), Live>,
    made: usize,
}

impl Production {
    /// Builds one model where it belongs, reading what its parents have become.
    fn build(&mut self, project: &Project, number: usize) {
        let model = &project[&number];
        let Some(kind) = model.kind() else { return };
        self.made += 1;
        let parents = relations_of(project, model);
        let reads = self
            .objects
            .values()
            .filter(|live| parents.contains(&live.made_by))
            .map(|live| live.id.clone())
            .collect();
        let live = Live {
            id: format!("u{}", self.made),
            kind,
            cluster: model.cluster(),
            made_by: number,
            body: model.body,
            reads,
        };
        self.objects.insert(model.place(number), live);
    }

    /// What a swap leaves: whole schemas and clusters go, what was built comes.
    fn release(&mut self, project: &Project, plan: &Plan) {
        let schemas: BTreeSet<&str> = plan.schemas.iter().map(|s| s.name.as_str()).collect();
        let clusters: BTreeSet<&str> = plan.clusters.iter().map(|c| c.name.as_str()).collect();
        self.objects.retain(|(schema, _), live| {
            !schemas.contains(schema.as_str())
                && !live.cluster.is_some_and(|name| clusters.contains(name))
        });
        for number in project.keys() {
            let is_planned =
                |node: &&crate::domain::plan::PlannedNode| node.unique_id == unique_id(*number);
            let Some(node) = plan.nodes.iter().find(is_planned) else {
                continue;
            };
            self.build(project, *number);
            let (schema, name) = project[number].place(*number);
            assert_eq!((&node.schema, &node.identifier), (&schema, &name));
        }
    }
}

/// The models whose relations a model reads, through ephemeral ones.
fn relations_of(project: &Project, model: &Model) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for parent in &model.parents {
        match project.get(parent) {
            Some(model) if model.kind().is_none() => found.extend(relations_of(project, model)),
            Some(_) => drop(found.insert(*parent)),
            None => {}
        }
    }
    found
}

/// A manifest without nodes, and one node: reading JSON is what costs most.
static PLAIN: LazyLock<(Manifest, Node)> = LazyLock::new(|| {
    let mut manifest = manifest([model("n0", &[])]);
    let (_, node) = manifest.nodes.pop_first().expect("the node");
    (manifest, node)
});

/// The project as dbt writes it down.
fn written(project: &Project) -> Manifest {
    let (mut manifest, plain) = (PLAIN.0.clone(), &PLAIN.1);
    for (number, model) in project {
        let (schema, name) = model.place(*number);
        let mut node = plain.clone();
        node.unique_id = unique_id(*number);
        node.name = format!("n{number}");
        node.fqn = vec!["shop".to_owned(), node.name.clone()];
        node.path = format!("n{number}.sql");
        node.original_file_path = format!("models/n{number}.sql");
        node.raw_code = format!("select {} -- {}", model.body, model.text);
        node.relation_name = model
            .kind()
            .map(|_| format!("\"materialize\".\"{schema}\".\"{name}\""));
        node.database = Some("materialize".to_owned());
        node.schema = Some(schema);
        node.alias = Some(name);
        node.config.materialized = Some(KINDS[model.kind].to_owned());
        node.config.cluster = Some(CLUSTERS[model.cluster].to_owned());
        node.depends_on.nodes = model.parents.iter().map(|at| unique_id(*at)).collect();
        manifest.nodes.insert(node.unique_id.clone(), node);
    }
    manifest
}

/// The project and production as a plan sees them.
fn world(project: &Project, production: &Production, allows: bool) -> World {
    let mut world = World::new();
    world.catalog.objects.clear();
    world.catalog.dependencies.clear();
    world.candidate.nodes.clear();
    world.candidate.tests.clear();
    world.candidate.selectable.clear();
    world.schemas = SCHEMAS[..3].iter().map(|name| (*name).to_owned()).collect();
    world.clusters = CLUSTERS.iter().map(|name| (*name).to_owned()).collect();
    for (at, name) in SCHEMAS.iter().enumerate() {
        world.schema(&format!("s1{at}"), name);
    }
    for (at, name) in CLUSTERS.iter().enumerate() {
        world.cluster(&format!("c1{at}"), name);
    }
    for ((schema, name), live) in &production.objects {
        let schema = SCHEMAS
            .iter()
            .position(|one| one == schema)
            .expect("a schema");
        let cluster = live.cluster.map(|name| {
            let at = CLUSTERS
                .iter()
                .position(|one| *one == name)
                .expect("a cluster");
            format!("c1{at}")
        });
        world.object(
            &live.id,
            name,
            live.kind,
            &format!("s1{schema}"),
            cluster.as_deref(),
        );
        for read in &live.reads {
            world.depends(&live.id, read);
        }
    }
    for (number, model) in project {
        let (schema, name) = model.place(*number);
        let parents: Vec<String> = model.parents.iter().map(|at| unique_id(*at)).collect();
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        let id = unique_id(*number);
        world.node(&id, &schema, &name, KINDS[model.kind], &parents);
        world.change(&id, |node| {
            node.cluster = Some(ClusterUse::Named(CLUSTERS[model.cluster].to_owned()));
        });
    }
    if allows {
        let all = RefusalName::ALL.iter().copied();
        world.allow = all.filter(|name| name.is_allowable()).collect();
    }
    world
}

/// What a release begins with. The one place that knows how changes are found.
fn changes(before: &Side, now: &Side, by_text: bool, input: &Input<'_>) -> Changes {
    let texts = Comparison::of(&before.manifest, &now.manifest);
    if by_text {
        return Changes::of_texts(&texts, input);
    }
    Changes::of_outcomes(&before.outcomes, &now.outcomes, &texts, input)
}

/// A project as a baseline keeps it.
struct Side {
    manifest: Manifest,
    outcomes: Outcomes,
}

impl Side {
    fn of(project: &Project) -> Self {
        let manifest = written(project);
        let clusters = |named: Option<&str>| named.map(str::to_owned);
        let reads = Reads::of(&manifest);
        let mut outcomes = Outcomes::of(&manifest, &clusters, &reads, "", None, false, None)
            .expect("it is written");
        for number in project.keys() {
            outcomes.compiled(&unique_id(*number), &compiled(project, *number));
        }
        Self { manifest, outcomes }
    }
}

/// What a model computes, with the places that it reads; ephemeral models stand in it.
fn compiled(project: &Project, number: usize) -> String {
    let Some(model) = project.get(&number) else {
        return String::new();
    };
    let parents = model.parents.iter().map(|parent| {
        let is_relation = project.get(parent).and_then(Model::kind).is_some();
        if is_relation {
            let (schema, name) = project[parent].place(*parent);
            format!("{schema}.{name}")
        } else {
            format!("({})", compiled(project, *parent))
        }
    });
    let parents: Vec<String> = parents.collect();
    format!("select {} from {}", model.body, parents.join(", "))
}

/// One of a round's edits, drawn: `(node, what, new value, whether the text shows it)`.
type Edit = (usize, usize, usize, bool);

fn edit(project: &mut Project, (number, what, value, is_text): &Edit) {
    let Some(model) = project.get_mut(number) else {
        let parents = (0..*number).filter(|at| (value >> (at % 4)) & 1 == 1);
        let model = Model {
            schema: value % 4,
            kind: what % KINDS.len(),
            cluster: value % CLUSTERS.len(),
            alias: 0,
            body: *value,
            text: 0,
            parents: parents.collect(),
        };
        project.insert(*number, model);
        return;
    };
    match what {
        0 | 1 => model.schema = value % SCHEMAS.len(),
        2 => model.alias += 1,
        3 => model.kind = value % KINDS.len(),
        4 => model.cluster = value % CLUSTERS.len(),
        5 => {
            model.body += 1;
            model.text += 1;
        }
        _ => drop(project.remove(number)),
    }
    let Some(model) = project.get_mut(number) else {
        // Its readers are edited with it.
        for model in project.values_mut() {
            if model.parents.remove(number) {
                model.text += 1;
            }
        }
        return;
    };
    model.text += usize::from(*is_text);
}

/// Edits, what is selected, whether everything is released, whether all that may be is allowed, and whether
/// texts are compared instead of what comes out of them.
type Round = (Vec<Edit>, Option<u8>, bool, bool, bool);

fn cases() -> impl Strategy<Value = (Project, Vec<Round>)> {
    let models = (0..16_usize, 0..8_usize, 0..CLUSTERS.len(), any::<u8>());
    let project = proptest::collection::vec(models, 2..8).prop_map(|drawn| {
        let models = drawn.into_iter().enumerate();
        models
            .map(|(number, (schema, kind, cluster, parents))| {
                let model = Model {
                    // Few lie outside, few are ephemeral.
                    schema: if schema == 15 { 3 } else { schema % 3 },
                    kind: if kind == 7 { 3 } else { kind % 3 },
                    cluster,
                    alias: 0,
                    body: 0,
                    text: 0,
                    parents: (0..number).filter(|at| parents >> at & 1 == 1).collect(),
                };
                (number, model)
            })
            .collect()
    });
    let edit = (0..8_usize, 0..7_usize, 0..12_usize, any::<bool>());
    let round = (
        proptest::collection::vec(edit, 0..4),
        proptest::option::weighted(0.6, any::<u8>()),
        proptest::bool::weighted(0.1),
        any::<bool>(),
        proptest::bool::weighted(0.3),
    );
    (project, proptest::collection::vec(round, 1..4))
}

/// Whether production is as the project says, as far as the release did not hold it back; and whether
/// whatever the project still makes and production had is there.
fn holds(
    project: &Project,
    plan: &Plan,
    before: &Production,
    after: &Production,
) -> Result<(), String> {
    for (number, model) in project {
        let Some(kind) = model.kind() else { continue };
        let found = after.objects.get(&model.place(*number));
        let is_right = found.is_some_and(|live| {
            (live.kind, live.cluster, live.made_by, live.body)
                == (kind, model.cluster(), *number, model.body)
        });
        let is_listed = model.schema != 3;
        if is_listed && !is_right && !plan.held_back.contains_key(&unique_id(*number)) {
            return Err(format!(
                "n{number} is not as the project makes it: {found:?}"
            ));
        }
        let serves = |side: &Production| side.objects.values().any(|live| live.made_by == *number);
        if serves(before) && !serves(after) {
            return Err(format!("n{number} was in production and is lost"));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counted {
    released: Cell<u32>,
    moved: Cell<u32>,
    refused: Cell<u32>,
    refused_by_law: Cell<u32>,
    held_back: Cell<u32>,
}

fn count(counter: &Cell<u32>, happened: bool) {
    counter.set(counter.get() + u32::from(happened));
}

fn released(case: &(Project, Vec<Round>), counted: &Counted) -> Result<(), String> {
    let (mut project, rounds) = (case.0.clone(), &case.1);
    let mut production = Production::default();
    for number in project.clone().keys() {
        production.build(&project, *number);
    }
    let mut baseline = Side::of(&project);
    let (mut held_back, mut held_back_schemas) = (BTreeMap::new(), BTreeMap::new());
    for (edits, selection, is_full, allows, by_text) in rounds {
        for one in edits {
            edit(&mut project, one);
        }
        let world = world(&project, &production, *allows);
        let made = baseline.manifest.nodes.values().filter_map(|node| {
            let relation = node.relation()?;
            Some(((relation.schema, relation.identifier), Promoted::default()))
        });
        let made: BTreeMap<(String, String), Promoted> = made.collect();
        let input = Input {
            baseline: Some(&made),
            ..world.input()
        };
        let now = Side::of(&project);
        let before = Before::of(
            &baseline.manifest,
            "materialize",
            &held_back,
            &held_back_schemas,
        );
        let planned = if *is_full {
            full::plan(&input)
        } else {
            let mut changes = changes(&baseline, &now, *by_text, &input);
            changes.take_held_back(&held_back, &held_back_schemas, &input);
            if let Some(bits) = selection {
                let numbers = (0..8).filter(|at| bits >> at & 1 == 1);
                let selected: BTreeSet<String> = numbers.map(unique_id).collect();
                changes.keep_only(&selected, &input);
            }
            let closed = Closed::of(&changes, &input);
            slim::plan(&input, &changes, &closed, &BTreeMap::new())
        };
        let lawful = planned.and_then(|plan| keep(plan, &input, &before, &BTreeSet::new()));
        let plan = match lawful {
            Ok(plan) => plan,
            Err(Refused(refusals)) => {
                count(&counted.refused, true);
                let by_law = refusals[0].name == RefusalName::RelationLost;
                count(&counted.refused_by_law, by_law);
                continue;
            }
        };
        let served = production.clone();
        production.release(&project, &plan);
        holds(&project, &plan, &served, &production).map_err(|fault| {
            format!(
                "{fault}\nproject: {project:#?}\nplan: {plan:#?}\nproduction before: {served:#?}"
            )
        })?;
        for (id, name) in &plan.keeps {
            let is_there = production.objects.iter().any(|((schema, object), live)| {
                live.id == *id && *name == format!("{schema}.{object}")
            });
            if !is_there {
                return Err(format!("{name} ({id}) should have stayed"));
            }
        }
        let was_moved = plan.nodes.iter().any(|node| {
            let place = (node.schema.clone(), node.identifier.clone());
            !served.objects.contains_key(&place)
        });
        count(&counted.released, !plan.is_empty());
        count(&counted.moved, was_moved);
        count(&counted.held_back, !plan.held_back.is_empty());
        (baseline, held_back, held_back_schemas) = (now, plan.held_back, plan.held_back_schemas);
    }
    Ok(())
}

#[test]
fn every_release_keeps_the_law_or_is_refused() {
    let counted = Counted::default();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&cases(), |case| {
        released(&case, &counted).map_err(TestCaseError::fail)
    });
    if let Err(fault) = result {
        panic!("{fault}");
    }
    let numbers = [
        ("released", counted.released.get(), CASES / 4),
        ("with something moved", counted.moved.get(), CASES / 20),
        (
            "with something held back",
            counted.held_back.get(),
            CASES / 40,
        ),
        ("refused", counted.refused.get(), CASES / 20),
    ];
    for (what, number, least) in numbers {
        assert!(number >= least, "only {number} rounds {what}");
    }
    #[expect(
        clippy::print_stdout,
        reason = "what the test tried is a part of its result"
    )]
    {
        println!(
            "{CASES} projects: {} releases, {} with something moved, {} held something back, {} refused, {} of them only by the law",
            counted.released.get(),
            counted.moved.get(),
            counted.held_back.get(),
            counted.refused.get(),
            counted.refused_by_law.get()
        );
    }
}
