//! A bundle that was made, as text.

use crate::foundation::escape::visible;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::CompiledView;

impl View for CompiledView {
    fn text(&self, _page: Page) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&visible(&line));
            text.push('\n');
        };
        let what = match self.was_there {
            true => "is the same",
            false => "is made",
        };
        line(format!(
            "the bundle {} {what}: {} nodes and tests compiled for the target {}, {} files with {} bytes",
            self.bundle.display(),
            self.compiled,
            self.target,
            self.files,
            self.bytes
        ));
        line(format!("digest {}", self.digest));
        let commit = self.revision.as_deref().unwrap_or("not known");
        line(format!(
            "commit {commit}, dbt-core {}, dbt-materialize {}",
            self.dbt_core, self.dbt_materialize
        ));
        for reason in &self.needs_dbt {
            line(format!(
                "a release with this node will be refused without dbt: {reason}"
            ));
        }
        for test in &self.unit_tests {
            line(format!("not run from a bundle, run it here: {test}"));
        }
        text
    }
}
