//! The report as Markdown, for a comment or a summary. Its first line tells it from other comments.

use super::{NodeState, Report, TestReport, Verdict};
use crate::foundation::escape::{self, code, prose};
use crate::foundation::sql::identifier::{Ident, Qualified};
use crate::planning::planner::render::{roughly, written};
use std::fmt::Write;
use std::time::Duration;

/// The most bytes where nobody says another number: GitHub takes 65,536 characters of a comment.
pub const LONGEST: usize = 60_000;

/// The most bytes of one message.
const MESSAGE: usize = 2_000;

/// Room for the sentence that says what is left out.
const RESERVE: usize = 200;

/// What the comment of a corner begins with, so that it is found again.
#[must_use]
pub fn marker(name: &str, environment: &str) -> String {
    format!("<!-- cutover-ci {environment}/{name} -->")
}

/// The environment and the name of the corner that a comment is of; `None` of another comment.
#[must_use]
pub fn marked(comment: &str) -> Option<(&str, &str)> {
    let line = comment.lines().next()?.trim_end();
    let of = line
        .strip_prefix("<!-- cutover-ci ")?
        .strip_suffix(" -->")?;
    of.rsplit_once('/')
}

impl Report {
    /// The report as Markdown, at most [`LONGEST`] bytes: what went wrong comes first, and what is cut off is told.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.markdown_within(LONGEST)
    }

    /// As [`Report::markdown`], of at most so many bytes; at least a page's head must fit.
    #[must_use]
    pub fn markdown_within(&self, most: usize) -> String {
        let mut page = Page::new(&marker(&self.name, &self.environment), most);
        let sign = match self.verdict {
            Verdict::Passed => "✅",
            Verdict::Failed | Verdict::Wrong => "❌",
            Verdict::Refused | Verdict::Away | Verdict::Cancelled => "⚠️",
        };
        page.block(&format!(
            "### {sign} Cutover: {} {}\n\n{} {}\n",
            code(&self.name),
            self.verdict.as_str(),
            self.headline(),
            self.circumstances()
        ));
        if let Some(error) = &self.error {
            page.block(&fenced(error));
        }
        self.failures(&mut page);
        self.columns_and_deletions(&mut page);
        self.data(&mut page);
        self.nodes_built(&mut page);
        self.tests_run(&mut page);
        self.where_it_is(&mut page);
        self.release_of_it(&mut page);
        for (title, of) in [
            ("Left out", &self.left_out),
            ("Tests that did not run", &self.not_run),
        ] {
            let row =
                |(id, why): (&String, &String)| format!("| {} | {} |\n", code(id), prose(why));
            page.folded(
                &format!("{title} ({})", of.len()),
                "| node | why |\n|---|---|\n",
                of.iter().map(row),
            );
        }
        let notes: Vec<String> = self
            .notes
            .iter()
            .map(|note| format!("- {}\n", prose(note)))
            .collect();
        if !notes.is_empty() {
            page.block(&notes.concat());
        }
        page.end()
    }

    fn circumstances(&self) -> String {
        let mut parts = vec![format!("{:.1} s", self.seconds)];
        if !self.environment.is_empty() {
            parts.push(format!("against {}", code(&self.environment)));
        }
        if let Some(revision) = &self.revision {
            let short: String = revision.chars().take(12).collect();
            parts.push(format!("at {}", code(&short)));
        }
        format!("({})", parts.join(", "))
    }

    fn failures(&self, page: &mut Page) {
        for node in &self.nodes {
            if node.state == NodeState::Failed {
                let message = node.message.as_deref().unwrap_or_default();
                let line = node.line.map(|line| format!(", line {line}"));
                page.block(&format!(
                    "{}{}\n\n{}",
                    code(&node.file),
                    line.unwrap_or_default(),
                    fenced(message)
                ));
            }
        }
        for test in self.tests.iter().filter(|test| test.is_bad()) {
            page.block(&format!(
                "{} {} ({})\n\n{}",
                code(&test.unique_id),
                test.status,
                code(&test.file),
                fenced(test.message.as_deref().unwrap_or_default())
            ));
        }
    }

    fn columns_and_deletions(&self, page: &mut Page) {
        let rows = self.columns.iter().map(|column| {
            format!(
                "| {} | {} | {} | {} |\n",
                code(&column.relation),
                code(&column.column),
                prose(&column.change.words()),
                prose(&column.readers.join(", "))
            )
        });
        page.table(
            "Columns that a release would change",
            "| relation | column | change | read in production by |\n|---|---|---|---|\n",
            rows,
        );
        let deleted = self.deleted.iter();
        page.table(
            "Relations that the project does not make any more",
            "| node | relation |\n|---|---|\n",
            deleted.map(|(id, relation)| format!("| {} | {} |\n", code(id), code(relation))),
        );
    }

    fn data(&self, page: &mut Page) {
        let rows = self.diff.iter().map(|entry| {
            let relation = code(&entry.relation.to_string());
            format!(
                "| {relation} | {} | {} |\n",
                entry.outcome,
                prose(&entry.says())
            )
        });
        page.table(
            "Data beside production's",
            "| relation | | what differs |\n|---|---|---|\n",
            rows,
        );
    }

    fn nodes_built(&self, page: &mut Page) {
        let rows = self.nodes.iter().map(|node| {
            let rows = match (node.rows, node.production_rows) {
                (Some(here), Some(there)) => format!("{here} ({there})"),
                (Some(here), None) => here.to_string(),
                (None, _) => String::new(),
            };
            format!(
                "| {} | {} | {} | {rows} | {:.1} s |\n",
                code(&node.relation),
                node.state.as_str(),
                prose(&node.reason),
                node.seconds
            )
        });
        page.folded(
            &format!("Nodes ({})", self.nodes.len()),
            "| relation | | why | rows (production) | |\n|---|---|---|---|---|\n",
            rows,
        );
    }

    fn tests_run(&self, page: &mut Page) {
        let row = |test: &TestReport| {
            format!(
                "| {} | {} | {:.1} s |\n",
                code(&test.unique_id),
                test.status,
                test.seconds
            )
        };
        page.folded(
            &format!("Tests ({})", self.tests.len()),
            "| test | | |\n|---|---|---|\n",
            self.tests.iter().map(row),
        );
    }

    /// What a release of this would do: the sentence that says it all, the names folded, and refusals in full.
    fn release_of_it(&self, page: &mut Page) {
        let Some(release) = &self.release else { return };
        page.block(&format!(
            "A release of this: {}.\n",
            prose(&release.headline)
        ));
        for refusal in &release.refused {
            page.block(&fenced(&refusal.to_string()));
        }
        let rows = release.parts().into_iter().flat_map(|(word, names)| {
            let names = names.iter();
            names.map(move |name| format!("| {} | {word} |\n", code(name)))
        });
        page.folded(
            "What a release would swap and build",
            "| | |\n|---|---|\n",
            rows,
        );
        if let Some(block) = release.texts.as_ref().and_then(written::markdown) {
            page.block(&format!("{block}\n"));
        }
    }

    fn where_it_is(&self, page: &mut Page) {
        let Some(corner) = &self.corner else { return };
        let size = corner.size.as_ref();
        let size = size.map_or_else(|| ", shared".to_owned(), |size| format!(", {}", code(size)));
        let mut block = format!("It stands on the cluster {}{size}", code(&corner.cluster));
        let since = corner.cluster_seconds.map(Duration::try_from_secs_f64);
        if let Some(Ok(since)) = since {
            let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let _ = write!(block, ", for {} now", roughly(since));
        }
        if let Some(credits) = corner.credits {
            let _ = write!(block, " ({credits:.3} credits)");
        }
        let _ = write!(block, "; it may go after {:.0}.\n\n", corner.expires_at);
        let mut sql = format!("SET cluster = {};", Ident(&corner.cluster));
        for schema in corner.schemas.values() {
            let name = Qualified::schema(&corner.database, schema);
            let _ = write!(sql, "\nSHOW OBJECTS FROM {name};");
        }
        block.push_str(&fenced(&sql));
        page.block(&block);
    }
}

/// A text as it is, whatever fences are in it.
fn fenced(text: &str) -> String {
    format!("{}\n", escape::fenced("text", cut(text, MESSAGE).lines()))
}

/// The beginning of a text, at most so many bytes and what says that it is one.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    format!("{} …", &text[..end.unwrap_or(0)])
}

/// Blocks, as long as there is room.
struct Page {
    out: String,
    most: usize,
    left_out: usize,
}

impl Page {
    fn new(marker: &str, most: usize) -> Self {
        Self {
            out: format!("{marker}\n"),
            most,
            left_out: 0,
        }
    }

    fn has_room(&self, more: usize) -> bool {
        self.out.len() + more + RESERVE <= self.most
    }

    fn block(&mut self, block: &str) {
        match self.has_room(block.len() + 1) {
            true => {
                self.out.push('\n');
                self.out.push_str(block);
            }
            false => self.left_out += 1,
        }
    }

    fn table(&mut self, title: &str, head: &str, rows: impl Iterator<Item = String>) {
        self.rows(&format!("**{title}**\n\n{head}"), "", rows);
    }

    fn folded(&mut self, title: &str, head: &str, rows: impl Iterator<Item = String>) {
        let begin = format!("<details><summary>{title}</summary>\n\n{head}");
        self.rows(&begin, "\n</details>\n", rows);
    }

    fn rows(&mut self, begin: &str, end: &str, rows: impl Iterator<Item = String>) {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return;
        }
        let begins = self.has_room(begin.len() + end.len() + 1);
        if begins {
            self.out.push('\n');
            self.out.push_str(begin);
        }
        for row in rows {
            match begins && self.has_room(row.len() + end.len()) {
                true => self.out.push_str(&row),
                false => self.left_out += 1,
            }
        }
        if begins {
            self.out.push_str(end);
        }
    }

    fn end(mut self) -> String {
        if self.left_out > 0 {
            let _ = write!(
                self.out,
                "\n{} more lines or messages are not shown; the JSON report has them.\n",
                self.left_out
            );
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::{LONGEST, fenced, marked, marker};

    #[test]
    fn a_reader_sees_what_went_wrong_first() {
        let page = sample::bad().markdown();
        assert!(page.starts_with(&marker("pr-7", "production")));
        let at = |text: &str| {
            page.find(text)
                .unwrap_or_else(|| panic!("no {text:?}\n{page}"))
        };
        assert!(at("❌") < at("`models/broken.sql`, line 3"));
        assert!(at("`models/broken.sql`, line 3") < at("Columns that a release would change"));
        assert!(at("lost, was bigint") < at("<details><summary>Nodes (3)"));
        at("| 3 (2) |");
        at("1 of 2 tests did not succeed");
        at("SET cluster = \"ci__pr-7\"");
        at("Tests that did not run (1)");
        at("A release of this: it would be refused as things are.");
        assert!(at("outside-dependent: ") < at("do not shut the door"));
        let good = sample::good().markdown();
        assert!(good.contains("| `marts` | swapped schema |"), "{good}");
        assert!(sample::good().markdown().contains("1 node, 1 test passed."));
    }

    #[test]
    fn it_is_never_too_long() {
        let mut report = sample::bad();
        let broken = report.nodes[1].clone();
        for number in 0..3000 {
            let mut node = broken.clone();
            node.file = format!("models/{number}.sql");
            node.message = Some("é".repeat(3000));
            report.nodes.push(node);
        }
        for (page, most) in [
            (report.markdown(), LONGEST),
            (report.markdown_within(65_536), 65_536),
            (report.markdown_within(1_000_000), 1_000_000),
        ] {
            assert!(
                page.len() <= most && page.len() > most / 2,
                "{}",
                page.len()
            );
            assert!(page.contains("more lines or messages are not shown"));
            assert_eq!(
                page.matches("<details>").count(),
                page.matches("</details>").count()
            );
            assert_eq!(marked(&page), Some(("production", "pr-7")));
        }
    }

    #[test]
    fn a_message_cannot_end_its_fence() {
        let shown = fenced("a\n```\n# b");
        assert!(
            shown.starts_with("````text\n") && shown.ends_with("\n````\n"),
            "{shown}"
        );
    }
}
