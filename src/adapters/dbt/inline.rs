//! Jinja that dbt compiles for us (`dbt compile --inline`), so that the project's own macros answer.

use crate::inputs::manifest::Node;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What each hook text is rendered with: the names that dbt binds to the model whose hook it is. A macro that
/// a hook calls does not see these, so that one which reads `this` by itself does not render here.
const BOUND: &str = "{%- set model = graph.nodes[ID] -%}\
     {%- set this = api.Relation.create(database=model.database, schema=model.schema, identifier=model.alias) -%}\
     {%- set schema = model.schema -%}\
     {%- set database = model.database -%}\
     {%- set config = model.config -%}";

/// A query for dbt to compile, whose text is what the hooks of these nodes render to: a JSON object, unique id
/// → list of `[key, inside a transaction, text]`. A hook's references count as the query's, else dbt would
/// refuse them.
#[must_use]
pub fn ask_for_hooks(nodes: &[&Node]) -> String {
    let ids: Vec<&str> = nodes.iter().map(|node| node.unique_id.as_str()).collect();
    let bound: BTreeMap<&str, String> = ids
        .iter()
        .map(|id| (*id, BOUND.replace("ID", &json!(id).to_string())))
        .collect();
    let references: String = nodes.iter().map(|node| references(node)).collect();
    // A JSON text is a Jinja text of the same meaning.
    let bound = json!(bound);
    format!(
        "{{%- set found = {{}} -%}}\
         {{%- if execute -%}}\
         {{%- for id, bound in {bound}.items() -%}}\
         {{%- set texts = [] -%}}\
         {{%- for key in ['pre-hook', 'post-hook'] -%}}\
         {{%- for hook in graph.nodes[id].config[key] -%}}\
         {{%- do texts.append([key, hook.transaction, render(bound ~ hook.sql) | trim]) -%}}\
         {{%- endfor -%}}\
         {{%- endfor -%}}\
         {{%- do found.update({{id: texts}}) -%}}\
         {{%- endfor -%}}\
         {{%- else -%}}{references}{{%- endif -%}}\
         {{{{ tojson(found) }}}}"
    )
}

/// A query for dbt to compile, whose text is what becomes of names of clusters: a JSON object, given name →
/// final name. While dbt parses it, the adapter is not asked.
#[must_use]
pub fn ask_for_clusters<'a>(given: impl IntoIterator<Item = &'a str>) -> String {
    // A JSON text is a Jinja text of the same meaning.
    let given = Value::from_iter(given);
    format!(
        "{{%- set found = {{}} -%}}\
         {{%- for name in {given} -%}}\
         {{%- do found.update({{name: adapter.generate_final_cluster_name(name)}}) -%}}\
         {{%- endfor -%}}\
         {{{{ tojson(found) }}}}"
    )
}

/// `ref` and `source` as the node has them.
fn references(node: &Node) -> String {
    let refs = node.refs.iter().map(|named| {
        let mut arguments: Vec<String> =
            named.package.iter().map(|package| text(package)).collect();
        arguments.push(text(&named.name));
        if let Some(version) = &named.version {
            arguments.push(format!("v={version}"));
        }
        format!("{{%- do ref({}) -%}}", arguments.join(", "))
    });
    let sources = node.sources.iter().map(|named| {
        let arguments: Vec<String> = named.iter().map(|part| text(part)).collect();
        format!("{{%- do source({}) -%}}", arguments.join(", "))
    });
    refs.chain(sources).collect()
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}
