//! The plan as Markdown, for a pull request.

use super::{
    baseline, building, cluster_definition, column, count, expectation, headline, held_back,
    index_name, kind_word, mode, nodes_by_schema, outside, read_by, schema_contents, short_hash,
    test_cluster, text_only, undescribed, written,
};
use crate::domain::plan::Plan;
use crate::foundation::escape::{code, prose};

/// The plan as GitHub-flavoured Markdown, ending in a line break.
#[must_use]
pub fn markdown(plan: &Plan) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("### Release plan for {}", code(&plan.environment)));
    line(String::new());
    line(format!("**{}.**", prose(&headline(plan))));
    line(String::new());
    line(format!(
        "Project {}, target {}, database {}, manifest {}, {}, baseline {}.",
        code(&plan.project),
        code(&plan.target),
        code(&plan.database),
        code(short_hash(&plan.manifest_hash)),
        mode(plan),
        code(&baseline(plan)),
    ));
    for block in [
        expectation(plan).map(|sentence| format!("{}.", prose(&sentence))),
        building(plan).map(|clause| format!("Green is {}.", prose(&clause))),
        text_only(plan).map(|sentence| format!("{}.", prose(&sentence))),
        swaps(plan),
        nodes(plan),
        tests(plan),
        list("Indexes made again on green clusters", indexes(plan)),
        sinks(plan),
        beside(plan),
        list(
            "Production gains",
            plan.gains.iter().map(|name| code(name)).collect(),
        ),
        list(
            "Production loses",
            plan.loses.iter().map(|name| code(name)).collect(),
        ),
        columns(plan),
        list(
            "Sinks that may stall",
            outside::columns(plan).iter().map(|it| prose(it)).collect(),
        ),
        list(
            "Not described",
            undescribed(plan).iter().map(|why| prose(why)).collect(),
        ),
        plan.texts.as_ref().and_then(written::markdown),
        list(
            "Held back for a later release",
            held_back(plan)
                .map(|(what, why)| format!("{}: {}", code(&what), prose(why)))
                .collect(),
        ),
        list("Accepted by name", accepted(plan)),
        list("Notes", plan.notes.iter().map(|note| prose(note)).collect()),
    ]
    .into_iter()
    .flatten()
    {
        line(String::new());
        line(block);
    }
    page
}

fn swaps(plan: &Plan) -> Option<String> {
    let schemas = plan.schemas.iter().map(|schema| {
        [
            "schema".to_owned(),
            code(&schema.name),
            code(&schema.green),
            prose(&schema_contents(schema)),
        ]
    });
    let clusters = plan.clusters.iter().map(|cluster| {
        [
            "cluster".to_owned(),
            code(&cluster.name),
            code(&cluster.green),
            prose(&cluster_definition(cluster)),
        ]
    });
    let rows: Vec<_> = schemas.chain(clusters).collect();
    (!rows.is_empty()).then(|| table(["", "Production", "Candidate", ""], &rows))
}

fn nodes(plan: &Plan) -> Option<String> {
    if plan.nodes.is_empty() {
        return None;
    }
    let mut rows = Vec::with_capacity(plan.nodes.len());
    for (schema, nodes) in nodes_by_schema(plan) {
        for node in nodes {
            let cluster = node.cluster.as_deref().map(code).unwrap_or_default();
            rows.push([
                code(&format!("{schema}.{}", node.identifier)),
                prose(&kind_word(node)),
                cluster,
                prose(&node.reason),
            ]);
        }
    }
    Some(details(
        &count(plan.nodes.len(), "node is built", "nodes are built"),
        &table(["Node", "Kind", "Cluster", "Why"], &rows),
    ))
}

fn tests(plan: &Plan) -> Option<String> {
    if plan.tests.is_empty() {
        return None;
    }
    let number = count(plan.tests.len(), "test runs", "tests run");
    let place = match test_cluster(plan) {
        Some(cluster) => format!(" on {}", code(cluster)),
        None => String::new(),
    };
    let names: Vec<String> = plan
        .tests
        .iter()
        .map(|test| format!("- {}", code(test)))
        .collect();
    Some(details(
        &format!("{number} before the swap"),
        &format!("They run{place}.\n\n{}", names.join("\n")),
    ))
}

fn sinks(plan: &Plan) -> Option<String> {
    let rows: Vec<_> = plan
        .sinks
        .iter()
        .map(|sink| {
            [
                code(&sink.name),
                code(&format!("{}.{}", sink.schema, sink.object)),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| table(["Sink repointed after the swap", "Reads"], &rows))
}

fn beside(plan: &Plan) -> Option<String> {
    let rows: Vec<_> = outside::rows(plan)
        .into_iter()
        .map(|[name, what, follows]| [code(&name), prose(&what), prose(&follows)])
        .collect();
    (!rows.is_empty()).then(|| table(["Outside of what is swapped", "", ""], &rows))
}

fn columns(plan: &Plan) -> Option<String> {
    let rows: Vec<_> = plan
        .columns
        .iter()
        .map(|change| {
            let (sign, types) = column(change);
            let name = format!("{}.{}", change.relation, change.column);
            let readers = read_by(change).unwrap_or_default();
            [
                code(&name),
                format!("{sign} {}", code(&types)),
                prose(&readers),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| table(["Column that changes", "", ""], &rows))
}

fn indexes(plan: &Plan) -> Vec<String> {
    plan.indexes
        .iter()
        .map(|index| {
            let (name, cluster) = (code(&index_name(index)), code(&index.cluster));
            format!("{name} on {cluster}: {}", prose(&index.reason))
        })
        .collect()
}

fn accepted(plan: &Plan) -> Vec<String> {
    plan.accepted
        .iter()
        .map(|refusal| {
            let mut sentence = format!(
                "{}: {}",
                code(refusal.name.as_str()),
                prose(&refusal.message)
            );
            if !refusal.objects.is_empty() {
                let objects: Vec<String> = refusal.objects.iter().map(|o| code(o)).collect();
                sentence.push_str(&format!(" ({})", objects.join(", ")));
            }
            sentence
        })
        .collect()
}

fn list(title: &str, items: Vec<String>) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    Some(format!("**{title}**\n\n- {}", items.join("\n- ")))
}

/// A part that is folded until somebody opens it. `summary` is the program's own text.
pub(super) fn details(summary: &str, body: &str) -> String {
    format!("<details><summary>{summary}</summary>\n\n{body}\n\n</details>")
}

/// A table of cells that are escaped already.
fn table<const COLUMNS: usize>(header: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let mut lines = vec![
        format!("| {} |", header.join(" | ")),
        format!("|{}", " --- |".repeat(COLUMNS)),
    ];
    lines.extend(rows.iter().map(|row| format!("| {} |", row.join(" | "))));
    lines.join("\n")
}
