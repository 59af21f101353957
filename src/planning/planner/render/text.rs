//! The plan as plain text.

use super::{
    baseline, building, cluster_definition, column, count, expectation, headline, held_back,
    index_name, kind_word, mode, nodes_by_schema, outside, read_by, schema_contents, short_hash,
    test_cluster, text_only, undescribed, written,
};
use crate::domain::plan::Plan;
use crate::foundation::escape::{visible, visible_lines};

/// How much of a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What will happen: names of schemas, clusters and what changes for readers, counts of nodes.
    Short,
    /// Also every node with its reason, and the names of the tests.
    Full,
}

/// The plan as plain text, without escapes, ending in a line break.
#[must_use]
pub fn text(plan: &Plan, detail: Detail) -> String {
    let mut page = Page::default();
    page.line(format!(
        "Plan for {}: project {}, target {}, database {}",
        visible(&plan.environment),
        visible(&plan.project),
        visible(&plan.target),
        visible(&plan.database),
    ));
    page.line(format!(
        "Manifest {}, {}, baseline {}",
        visible(short_hash(&plan.manifest_hash)),
        mode(plan),
        visible(&baseline(plan)),
    ));
    page.blank();
    page.line(headline(plan));
    if let Some(expectation) = expectation(plan) {
        page.line(expectation);
    }
    if let Some(building) = building(plan) {
        page.line(visible(&building));
    }
    if let Some(text_only) = text_only(plan) {
        page.line(text_only);
    }
    swaps(&mut page, plan);
    nodes(&mut page, plan, detail);
    tests(&mut page, plan, detail);
    indexes(&mut page, plan, detail);
    let sinks = plan.sinks.iter().map(|sink| {
        [
            sink.name.clone(),
            format!("reads {}.{}", sink.schema, sink.object),
            String::new(),
        ]
    });
    page.section("Sinks to repoint after the swap", sinks.collect());
    page.section("Outside of what is swapped", outside::rows(plan));
    let signed = |sign: &str, names: &[String]| {
        let rows = names
            .iter()
            .map(|name| [format!("{sign} {name}"), String::new(), String::new()]);
        rows.collect()
    };
    page.section("Production gains", signed("+", &plan.gains));
    page.section("Production loses", signed("-", &plan.loses));
    let columns = plan.columns.iter().map(|change| {
        let (sign, types) = column(change);
        let name = format!("{sign} {}.{}", change.relation, change.column);
        [name, types, String::new()]
    });
    let readers: Vec<Option<String>> = plan.columns.iter().map(read_by).collect();
    page.section_with_remarks(
        "Columns that change",
        columns.collect(),
        readers.iter().map(Option::as_deref).collect(),
    );
    page.list("Sinks that may stall", outside::columns(plan).into_iter());
    page.list("Not described", undescribed(plan).into_iter());
    if detail == Detail::Full {
        written::text(plan, &mut |line| page.line(line));
        page.section(
            "Changed in text, not in outcome",
            signed("=", &plan.text_only),
        );
    }
    let held = held_back(plan).map(|(what, why)| [what, why.to_owned(), String::new()]);
    page.section("Held back for a later release", held.collect());
    page.list(
        "Accepted by name",
        plan.accepted.iter().map(|refusal| {
            if refusal.objects.is_empty() {
                format!("{}: {}", refusal.name, refusal.message)
            } else {
                let objects = refusal.objects.join(", ");
                format!("{}: {} [{objects}]", refusal.name, refusal.message)
            }
        }),
    );
    page.list("Notes", plan.notes.iter().cloned());
    page.0
}

fn swaps(page: &mut Page, plan: &Plan) {
    let schemas = plan.schemas.iter().map(|schema| {
        [
            schema.name.clone(),
            format!("<-> {}", schema.green),
            schema_contents(schema),
        ]
    });
    page.section("Schemas", schemas.collect());
    let clusters = plan.clusters.iter().map(|cluster| {
        [
            cluster.name.clone(),
            format!("<-> {}", cluster.green),
            cluster_definition(cluster),
        ]
    });
    page.section("Clusters", clusters.collect());
}

fn nodes(page: &mut Page, plan: &Plan, detail: Detail) {
    if detail == Detail::Short {
        let rows = nodes_by_schema(plan).into_iter().map(|(schema, nodes)| {
            let number = count(nodes.len(), "node", "nodes");
            [schema.to_owned(), number, String::new()]
        });
        page.section("Build", rows.collect());
        return;
    }
    for (schema, nodes) in nodes_by_schema(plan) {
        let title = format!(
            "Build in {}: {}",
            visible(schema),
            count(nodes.len(), "node", "nodes")
        );
        let rows = nodes.iter().map(|node| {
            let cluster = match &node.cluster {
                Some(cluster) => format!("on {cluster}"),
                None => String::new(),
            };
            [node.identifier.clone(), kind_word(node), cluster]
        });
        let reasons = nodes.iter().map(|node| Some(node.reason.as_str()));
        page.section_with_remarks(&title, rows.collect(), reasons.collect());
    }
}

fn indexes(page: &mut Page, plan: &Plan, detail: Detail) {
    let rows = plan.indexes.iter().map(|index| {
        [
            index_name(index),
            format!("on {}", index.cluster),
            format!("of {}", index.relation),
        ]
    });
    let reasons = plan
        .indexes
        .iter()
        .map(|index| (detail == Detail::Full).then_some(index.reason.as_str()));
    page.section_with_remarks(
        "Indexes made again on green clusters",
        rows.collect(),
        reasons.collect(),
    );
}

fn tests(page: &mut Page, plan: &Plan, detail: Detail) {
    if plan.tests.is_empty() {
        return;
    }
    page.blank();
    let number = count(plan.tests.len(), "test", "tests");
    page.line(match test_cluster(plan) {
        Some(cluster) => format!("{number} on {} before the swap", visible(cluster)),
        None => format!("{number} before the swap"),
    });
    if detail == Detail::Full {
        for test in &plan.tests {
            page.line(format!("  {}", visible(test)));
        }
    }
}

/// Lines without trailing spaces, and columns that line up.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref().trim_end());
        self.0.push('\n');
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }

    /// A title and rows of columns, or nothing when there is no row.
    fn section(&mut self, title: &str, rows: Vec<[String; 3]>) {
        let remarks = vec![None; rows.len()];
        self.section_with_remarks(title, rows, remarks);
    }

    /// As [`Page::section`], with an optional indented line below each row.
    fn section_with_remarks(
        &mut self,
        title: &str,
        rows: Vec<[String; 3]>,
        remarks: Vec<Option<&str>>,
    ) {
        if rows.is_empty() {
            return;
        }
        let rows: Vec<[String; 3]> = rows
            .into_iter()
            .map(|row| row.map(|cell| visible(&cell).into_owned()))
            .collect();
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let (first, second) = (width(0), width(1));
        self.blank();
        self.line(title);
        for (row, remark) in rows.iter().zip(remarks) {
            let [name, what, more] = row;
            self.line(format!("  {name:first$}  {what:second$}  {more}"));
            if let Some(remark) = remark {
                self.line(format!("      {}", visible(remark)));
            }
        }
    }

    /// A title and sentences, each in one or more lines.
    fn list(&mut self, title: &str, sentences: impl Iterator<Item = String>) {
        let mut sentences = sentences.peekable();
        if sentences.peek().is_none() {
            return;
        }
        self.blank();
        self.line(title);
        for sentence in sentences {
            for (number, line) in visible_lines(&sentence).lines().enumerate() {
                let bullet = if number == 0 { "-" } else { " " };
                self.line(format!("  {bullet} {line}"));
            }
        }
    }
}
