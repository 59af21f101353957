//! What is written otherwise than in the baseline, as text and Markdown.

use super::count;
use super::markdown::details;
use crate::domain::plan::{ConfigChange, Plan, TextChange, Texts};
use crate::foundation::escape::{code, fenced, prose, visible};

/// Lines of text, each given to `line`.
pub(super) fn text(plan: &Plan, line: &mut dyn FnMut(String)) {
    let Some(texts) = plan.texts.as_ref().filter(|texts| !is_empty(texts)) else {
        return;
    };
    line(String::new());
    line("Written otherwise than in the baseline".to_owned());
    for node in &texts.nodes {
        line(format!(
            "  {} ({})",
            visible(&node.unique_id),
            visible(&node.file)
        ));
        for change in &node.config {
            line(format!("      {}", visible(&config(change))));
        }
        for shown in &node.diff {
            line(format!("    {}", visible(&tame(shown))));
        }
        if let Some(cut) = cut(node) {
            line(format!("    {cut}"));
        }
    }
    for remark in remarks(texts) {
        line(format!("  {}", visible(&remark)));
    }
}

/// As Markdown, folded until somebody opens it; `None` where nothing is written otherwise.
#[must_use]
pub fn markdown(texts: &Texts) -> Option<String> {
    if is_empty(texts) {
        return None;
    }
    let mut blocks = Vec::new();
    for node in &texts.nodes {
        blocks.push(format!("{} in {}", code(&node.unique_id), code(&node.file)));
        let config: Vec<String> = node
            .config
            .iter()
            .map(|change| format!("- {}", prose(&config(change))))
            .collect();
        if !config.is_empty() {
            blocks.push(config.join("\n"));
        }
        if !node.diff.is_empty() {
            let lines: Vec<String> = node.diff.iter().map(|line| tame(line)).collect();
            blocks.push(fenced("diff", lines.iter().map(String::as_str)));
        }
        blocks.extend(cut(node));
    }
    blocks.extend(remarks(texts).iter().map(|remark| prose(remark)));
    let number = texts.nodes.len() + texts.more + texts.unknown.len();
    let summary = format!(
        "{} written otherwise than in the baseline",
        count(number, "node is", "nodes are")
    );
    Some(details(&summary, &blocks.join("\n\n")))
}

fn is_empty(texts: &Texts) -> bool {
    *texts == Texts::default()
}

/// A tab is no news in a line of SQL.
fn tame(line: &str) -> String {
    line.replace('\t', "    ")
}

fn config(change: &ConfigChange) -> String {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "{}: {} -> {}",
        change.name,
        word(&change.from),
        word(&change.to)
    )
}

fn cut(node: &TextChange) -> Option<String> {
    (node.cut > 0).then(|| format!("… {} left out", count(node.cut, "line", "lines")))
}

fn remarks(texts: &Texts) -> Vec<String> {
    let more = (texts.more > 0).then(|| {
        format!(
            "… and {} of which nothing is shown",
            count(texts.more, "more node", "more nodes")
        )
    });
    let unknown = (!texts.unknown.is_empty()).then(|| {
        format!(
            "the SQL as it is live is not known of {}",
            texts.unknown.join(", ")
        )
    });
    more.into_iter().chain(unknown).collect()
}
