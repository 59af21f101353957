//! What was cleared up and what was left, as text.

use crate::foundation::escape::visible;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::GcView;

impl View for GcView {
    fn text(&self, _page: Page) -> String {
        let word = if self.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&visible(&line));
            text.push('\n');
        };
        for id in &self.collected.deployments {
            line(format!("{word} the record of the deployment {id}"));
        }
        for id in &self.collected.artifacts {
            line(format!("{word} the artifacts of the deployment {id}"));
        }
        for folder in &self.collected.folders {
            line(format!("{word} the folder {}", folder.display()));
        }
        for left in &self.left.dropped {
            line(format!("{word} the left-over {left}"));
        }
        for problem in &self.left.problems {
            line(format!("a left-over stays: {problem}"));
        }
        for left in &self.left.leftovers {
            if !self.left.dropped.contains(left) {
                line(format!("found the {left}"));
            }
        }
        if text.is_empty() {
            return "nothing is to be cleared up\n".to_owned();
        }
        text
    }
}
