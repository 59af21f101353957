//! From a plan and compiled SQL to a recipe.

use super::data_tests;
use crate::adapters::materialize::native_ddl::{Refresh, ViewOption};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::{Plan, PlannedNode};
use crate::foundation::digest::Digest;
use crate::foundation::sql::tokens::Tokens;
use crate::inputs::manifest::identifier::ClusterName;
use crate::inputs::manifest::{Manifest, Node};
use crate::planning::planner::candidate::{Candidate, ClusterUse};
use crate::planning::recipe::document::{Circle, Item, ItemIndex, Make, Promise};
use crate::planning::recipe::rewrite::Moves;
use crate::planning::recipe::seed::Format;
use crate::planning::recipe::{Recipe, Seed};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Reads a file of a package, or of the project itself.
pub(super) type Files<'a> = &'a dyn Fn(Option<&str>, &Path) -> Result<Vec<u8>, String>;

/// What a recipe is made from.
#[derive(Clone, Copy)]
pub(super) struct Ingredients<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) candidate: &'a Candidate,
    pub(super) plan: &'a Plan,
    /// The final name of the profile's cluster.
    pub(super) target_cluster: Option<&'a str>,
    /// Unique id → SQL, as it reads production.
    pub(super) sql: &'a BTreeMap<String, String>,
    /// Whether dbt is told to take warnings for errors.
    pub(super) warnings_are_errors: bool,
    /// The bytes of a file of a package, or of the project itself.
    pub(super) file: Files<'a>,
}

/// The recipe of a plan.
///
/// # Errors
/// Why there is none: clauses that follow the unique id that they begin with, sorted.
pub(super) fn compose(
    given: Ingredients<'_>,
    asking: &BTreeSet<String>,
) -> Result<Recipe, BTreeSet<String>> {
    let (items, reasons) = each(given);
    if !reasons.is_empty() {
        let reasons = reasons.into_iter();
        return Err(reasons.map(|(id, why)| format!("{id} {why}")).collect());
    }
    let recipe = Recipe::of(items);
    let mut recipe = recipe.map_err(|circle: Circle| BTreeSet::from([circle.to_string()]))?;
    recipe.tests = data_tests::compose(given, &moves_of(given.plan), asking);
    Ok(recipe)
}

/// What a plan moves, and where to.
fn moves_of(plan: &Plan) -> Moves<'_> {
    let greens: BTreeMap<&str, &str> = plan
        .schemas
        .iter()
        .map(|schema| (schema.name.as_str(), schema.green.as_str()))
        .collect();
    let moved = plan.built().filter_map(|node| {
        let green = greens.get(node.schema.as_str())?;
        Some(((node.schema.as_str(), node.identifier.as_str()), *green))
    });
    Moves::new(&plan.database, moved)
}

/// The item of each planned node, or why there is none, by unique id.
pub(super) fn each(given: Ingredients<'_>) -> (Vec<Item>, BTreeMap<String, String>) {
    let plan = given.plan;
    let moves = moves_of(plan);
    let planned: BTreeSet<&str> = plan.built().map(|node| node.unique_id.as_str()).collect();
    let (mut items, mut reasons) = (Vec::new(), BTreeMap::new());
    for node in plan.built() {
        match item(given, &moves, &planned, node) {
            Ok(item) => items.push(item),
            Err(reason) => {
                reasons.insert(node.unique_id.clone(), reason);
            }
        }
    }
    (items, reasons)
}

fn item(
    given: Ingredients<'_>,
    moves: &Moves<'_>,
    planned: &BTreeSet<&str>,
    node: &PlannedNode,
) -> Result<Item, String> {
    let id = node.unique_id.as_str();
    let written = given.manifest.nodes.get(id);
    let candidate = given.candidate.nodes.get(id);
    let (Some(written), Some(candidate)) = (written, candidate) else {
        return Err("is not in the manifest".to_owned());
    };
    is_quoted(written, node)?;
    let schema = given
        .plan
        .schemas
        .iter()
        .find(|schema| schema.name == node.schema);
    let schema = schema.ok_or_else(|| format!("lies in {}, which is not swapped", node.schema))?;
    let make = make(given, moves, written, node)?;
    let contract = match &make {
        // dbt does not look at the contract of a seed.
        Make::Seed { .. } => None,
        // dbt only warns of a contract of a source.
        Make::Source { .. } => None,
        Make::View { .. } | Make::MaterializedView { .. } => contract(written)?,
    };
    let mut after: BTreeSet<String> = given
        .candidate
        .reads(&candidate.parents)
        .into_iter()
        .filter(|parent| planned.contains(parent))
        .map(str::to_owned)
        .collect();
    // What is named by hand is read as well.
    if let Make::View { .. } | Make::MaterializedView { .. } = &make {
        let named = given.sql.get(id).map(|sql| moves.named(sql));
        let named = named.unwrap_or_default();
        let relations = given.plan.built().filter(|other| {
            other.unique_id != id
                && named.contains(&(other.schema.clone(), other.identifier.clone()))
        });
        after.extend(relations.map(|other| other.unique_id.clone()));
    }
    let persist = &written.config.persist_docs;
    let column_comments = match persist.columns {
        true => written
            .columns_in_order()
            .into_iter()
            .map(|column| (column.name.clone(), column.description.clone()))
            .collect(),
        false => Vec::new(),
    };
    Ok(Item {
        unique_id: id.to_owned(),
        schema: schema.green.clone(),
        name: node.identifier.clone(),
        after,
        contract,
        indexes: indexes(given, written, id)?,
        comment: (persist.relation && !written.description.is_empty())
            .then(|| written.description.clone()),
        column_comments,
        make,
    })
}

fn make(
    given: Ingredients<'_>,
    moves: &Moves<'_>,
    written: &Node,
    node: &PlannedNode,
) -> Result<Make, String> {
    if node.kind == Some(ObjectKind::Table) {
        return seed(given, written);
    }
    let sql = given.sql.get(&node.unique_id);
    let sql = sql.ok_or_else(|| "has no compiled SQL".to_owned())?;
    let query = moves.rewrite(sql);
    if node.kind == Some(ObjectKind::View) {
        return Ok(Make::View { query });
    }
    let cluster = node.cluster.as_deref();
    let cluster = cluster.ok_or_else(|| "has no cluster".to_owned())?;
    let cluster = green_cluster(given.plan, cluster)?;
    if node.kind == Some(ObjectKind::Source) {
        let definition = query;
        return Ok(Make::Source {
            cluster,
            definition,
        });
    }
    Ok(Make::MaterializedView {
        cluster,
        options: options(written)?,
        query,
    })
}

/// The green name of a cluster.
pub(super) fn green_cluster(plan: &Plan, name: &str) -> Result<String, String> {
    let mut clusters = plan.clusters.iter().filter(|cluster| !cluster.scratch);
    let found = clusters.find(|cluster| cluster.name == name);
    found
        .map(|cluster| cluster.green.clone())
        .ok_or_else(|| format!("needs the cluster {name}, which is not swapped"))
}

fn indexes(given: Ingredients<'_>, written: &Node, id: &str) -> Result<Vec<ItemIndex>, String> {
    let candidate = given.candidate.nodes.get(id);
    let candidate = candidate.map_or(&[][..], |node| &node.indexes);
    let name = |cluster: &ClusterUse| match cluster {
        ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name.clone(),
    };
    let own = given
        .candidate
        .nodes
        .get(id)
        .and_then(|node| node.cluster.as_ref());
    let own = own.map(name);
    let own = own.or_else(|| given.target_cluster.map(str::to_owned));
    let mut found = Vec::new();
    for (index, known) in written.config.indexes.iter().zip(candidate) {
        let cluster = known.cluster.as_ref().map(name).or_else(|| own.clone());
        let cluster = cluster.ok_or_else(|| "has an index without a cluster".to_owned())?;
        found.push(ItemIndex {
            name: index.name.clone(),
            default: index.default,
            columns: index.columns.clone(),
            cluster: green_cluster(given.plan, &cluster)?,
        });
    }
    Ok(found)
}

/// Makes sure that the relation as dbt writes it is the one that the plan knows: a project that does not quote
/// may call it otherwise.
fn is_quoted(written: &Node, node: &PlannedNode) -> Result<(), String> {
    let name = written.relation_name.as_deref().unwrap_or_default();
    let parts: Vec<String> = Tokens::of(name)
        .filter(|token| *token != ".")
        .filter_map(|token| folded(token).ok())
        .collect();
    let database = written.database.as_deref().unwrap_or_default();
    match parts == [database, &node.schema, &node.identifier] {
        true => Ok(()),
        false => Err(format!(
            "is written {name}, which is another name than in the manifest"
        )),
    }
}

/// A name as SQL, as the catalog holds it.
fn folded(sql: &str) -> Result<String, String> {
    match ClusterName::fold(sql) {
        Ok(ClusterName::Plain(name) | ClusterName::Quoted(name)) => Ok(name),
        Err(_) => Err(format!("has the name {sql}, which needs quotes")),
    }
}

/// A documented column, as the catalog holds it.
fn column_name(name: &str, quote: Option<bool>) -> Result<String, String> {
    match quote {
        Some(true) => Ok(name.to_owned()),
        Some(false) | None => folded(name),
    }
}

fn is_enforced(written: &Node) -> bool {
    written.contract.enforced || written.config.contract.enforced
}

fn contract(written: &Node) -> Result<Option<Vec<Promise>>, String> {
    if !is_enforced(written) {
        return Ok(None);
    }
    let columns = written.columns_in_order();
    if columns.is_empty() {
        return Err("has a contract without columns".to_owned());
    }
    let promise = |column: &&crate::inputs::manifest::Column| {
        let data_type = column.data_type.clone();
        let data_type = data_type.filter(|text| !text.trim().is_empty());
        Ok(Promise {
            name: column_name(&column.name, column.quote)?,
            data_type: data_type.ok_or_else(|| {
                format!(
                    "has a contract without a type for the column {}",
                    column.name
                )
            })?,
        })
    };
    columns
        .iter()
        .map(promise)
        .collect::<Result<_, String>>()
        .map(Some)
}

/// The options of a materialized view, in the adapter's order.
pub(super) fn options(written: &Node) -> Result<Vec<ViewOption>, String> {
    let rest = &written.config.rest;
    let given = |key: &str| rest.get(key).filter(|value| !value.is_null());
    let unknown = |key: &str| format!("has a {key} of an unknown form");
    let mut options = Vec::new();
    if let Some(value) = given("refresh_interval") {
        options.extend(refresh(value)?.map(ViewOption::Refresh));
    }
    if let Some(value) = given("partition_by") {
        let columns: Vec<String> =
            serde_json::from_value(value.clone()).map_err(|_| unknown("partition_by"))?;
        if !columns.is_empty() {
            let columns = columns.iter().map(|column| folded(column));
            options.push(ViewOption::PartitionBy(columns.collect::<Result<_, _>>()?));
        }
    }
    if let Some(value) = given("retain_history") {
        let text = value.as_str().ok_or_else(|| unknown("retain_history"))?;
        if !text.is_empty() {
            options.push(ViewOption::RetainHistory(text.to_owned()));
        }
    }
    if is_enforced(written) {
        for column in written.columns_in_order() {
            for constraint in &column.constraints {
                if constraint.kind != "not_null" || column.constraints.len() > 1 {
                    return Err(format!(
                        "has a constraint other than one not_null on the column {}",
                        column.name
                    ));
                }
                let name = column_name(&column.name, column.quote)?;
                options.push(ViewOption::AssertNotNull(name));
            }
        }
    }
    Ok(options)
}

/// What of `refresh_interval` reaches a statement; `None` where nothing is set.
fn refresh(value: &Value) -> Result<Option<Refresh>, String> {
    let unknown = || "has a refresh_interval of an unknown form".to_owned();
    let keys = value.as_object().ok_or_else(unknown)?;
    let mut refresh = Refresh::default();
    let text = |value: &Value| -> Result<Option<String>, String> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok((!text.is_empty()).then(|| text.clone())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(unknown())
            }
        }
    };
    let flag = |value: &Value| match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => Err(unknown()),
    };
    for (key, value) in keys {
        match key.as_str() {
            "at" => refresh.at = text(value)?,
            "at_creation" => refresh.at_creation = flag(value)?,
            "every" => refresh.every = text(value)?,
            "aligned_to" => refresh.aligned_to = text(value)?,
            "on_commit" => refresh.on_commit = flag(value)?,
            _ => return Err(unknown()),
        }
    }
    // The adapter writes two of them without a comma, which no server takes.
    let first = refresh.at.is_some() || refresh.at_creation;
    if (refresh.at.is_some() && refresh.at_creation)
        || (refresh.on_commit && (first || refresh.every.is_some()))
    {
        return Err("has a refresh_interval that dbt-materialize cannot write".to_owned());
    }
    let is_nothing = !first && refresh.every.is_none() && !refresh.on_commit;
    match is_nothing {
        // The adapter would write an empty option.
        true if !keys.is_empty() => Err(unknown()),
        true => Ok(None),
        false => Ok(Some(refresh)),
    }
}

fn seed(given: Ingredients<'_>, written: &Node) -> Result<Make, String> {
    let rest = &written.config.rest;
    let unknown = |key: &str| format!("has a {key} of an unknown form");
    let delimiter = match rest.get("delimiter") {
        None | Some(Value::Null) => ',',
        Some(value) => {
            let mut characters = value.as_str().unwrap_or_default().chars();
            match (characters.next(), characters.next()) {
                (Some(one), None) if one != '"' && one != '\n' && one != '\r' => one,
                _ => return Err(unknown("delimiter")),
            }
        }
    };
    let column_types = match rest.get("column_types") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|_| unknown("column_types"))?
        }
    };
    let quotes = match rest.get("quote_columns") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(quotes)) => *quotes,
        Some(_) => return Err(unknown("quote_columns")),
    };
    let root = given.manifest.metadata.project_name.as_deref();
    let package = Some(written.package_name.as_str()).filter(|name| Some(*name) != root);
    let file = Path::new(&written.original_file_path);
    let bytes = (given.file)(package, file)?;
    let format = Format {
        delimiter,
        column_types,
    };
    let seed = Seed::read(&bytes, &format).map_err(|why| why.to_string())?;
    if !quotes {
        for column in &seed.columns {
            folded(&column.name)?;
        }
    }
    Ok(Make::Seed {
        package: package.map(str::to_owned),
        file: file.to_owned(),
        digest: Digest::of(&bytes),
        format,
        quotes,
    })
}

#[cfg(test)]
mod tests;
