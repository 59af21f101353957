//! What `init` proposes, as text.

use crate::foundation::escape::{visible, visible_lines};
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::InitView;
use std::fmt::Write;

impl View for InitView {
    fn text(&self, _page: Page) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            let _ = writeln!(text, "{}", visible(line));
        };
        let names = |names: &[String]| match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        line(&format!(
            "project   {}, {}",
            self.folder.display(),
            self.project
        ));
        line(&format!(
            "server    {}",
            self.server.as_deref().unwrap_or("not seen")
        ));
        line(&format!("vars.deployment.{}", self.target));
        line(&format!("  clusters  {}", names(&self.clusters)));
        line(&format!("  schemas   {}", names(&self.schemas)));
        for left in &self.left_out {
            line(&format!("not listed: the {} {}", left.kind, left.name));
            for why in &left.why {
                line(&format!("  {why}"));
            }
            if let Some(remedy) = &left.remedy {
                line(&format!("  to list it: {remedy}"));
            }
        }
        if !self.missing.is_empty() {
            line(&format!(
                "not in production yet: {}; `cutover deploy --bootstrap` makes them",
                self.missing.join(", ")
            ));
        }
        for refusal in &self.refusals {
            line(&format!("a plan would refuse {refusal}"));
        }
        for unseen in &self.unseen {
            line(&format!("not seen: {unseen}"));
        }
        for note in &self.notes {
            line(&format!("note: {note}"));
        }
        for file in &self.files {
            let _ = writeln!(text, "\n{}", visible_lines(&file.diff));
        }
        text
    }
}
