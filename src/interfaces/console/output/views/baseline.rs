//! What is live, and what became of its files, as text.

use crate::foundation::escape::visible;
use crate::foundation::span::{between, moment};
use crate::interfaces::console::output::tables::table;
use crate::interfaces::console::output::{Page, View, format};
use crate::interfaces::record::{
    BaselineLive, BaselineView, ExportView, ForgetView, ImportView, PointerView,
};

/// The most objects of drift that text lists.
const LISTED: usize = 20;

impl View for BaselineView {
    fn text(&self, page: Page) -> String {
        let environment = visible(&self.environment);
        let mut text = match (&self.live, self.history.first()) {
            (Some(live), Some(pointer)) => live.text(&environment, pointer, page),
            (_, Some(_)) => format!("{environment}: nothing that Cutover knows is live\n"),
            (_, None) => format!("{environment}: no baseline\n"),
        };
        text.push_str(&format!("  kept in {}\n", visible(&self.store)));
        if !self.history.is_empty() {
            text.push('\n');
            let rows = self.history.iter().map(|pointer| {
                let id = |id: &Option<String>| id.clone().unwrap_or("-".to_owned());
                [
                    pointer.generation.to_string(),
                    id(&pointer.deployment),
                    pointer.reason.as_str().replace('_', " "),
                    moment(pointer.at),
                    id(&pointer.previous),
                ]
            });
            text.push_str(&table(
                ["GENERATION", "DEPLOYMENT", "REASON", "SINCE", "BEFORE"],
                rows,
            ));
        }
        text
    }
}

impl BaselineLive {
    fn text(&self, environment: &str, pointer: &PointerView, page: Page) -> String {
        let metadata = &self.metadata;
        let mut text = format!(
            "{environment}: {} is live, {} {} ago\n",
            visible(&metadata.deployment),
            pointer.reason.as_str().replace('_', " "),
            format::length(between(pointer.at, page.now)),
        );
        text.push_str(&format!(
            "  project {} with the target {} in the database {}, {} nodes, {} objects in {} schemas\n",
            visible(&metadata.project),
            visible(&metadata.target),
            visible(&metadata.database),
            self.nodes,
            metadata.objects.len(),
            metadata.schemas.len(),
        ));
        text.push_str(&format!(
            "  manifest {}\n",
            visible(&metadata.manifest_hash)
        ));
        match (&self.drift, &self.drift_unknown) {
            (Some(drift), _) if drift.is_empty() => {
                text.push_str("  production is as it was recorded\n");
            }
            (Some(drift), _) => {
                text.push_str(&format!(
                    "  {} {} not as recorded:\n",
                    drift.len(),
                    if drift.len() == 1 {
                        "object is"
                    } else {
                        "objects are"
                    }
                ));
                let shown = if page.verbose { drift.len() } else { LISTED };
                for object in drift.iter().take(shown) {
                    text.push_str(&format!(
                        "    {:<9}  {} {}.{}\n",
                        object.change.as_str(),
                        object.kind,
                        visible(&object.schema),
                        visible(&object.name)
                    ));
                }
                if drift.len() > shown {
                    text.push_str(&format!(
                        "    and {} more (-v lists them)\n",
                        drift.len() - shown
                    ));
                }
            }
            (None, why) => {
                let why = why.as_deref().unwrap_or("the server was not asked");
                text.push_str(&format!("  drift is unknown: {}\n", visible(why)));
            }
        }
        text
    }
}

impl View for ImportView {
    fn text(&self, _page: Page) -> String {
        format!(
            "{}: {} is the baseline now, with {} nodes and {} live objects (generation {})\n",
            visible(&self.metadata.environment),
            visible(&self.metadata.deployment),
            self.nodes,
            self.metadata.objects.len(),
            self.pointer.generation,
        )
    }
}

impl View for ExportView {
    fn text(&self, _page: Page) -> String {
        let mut text = format!("baseline {}\n", visible(&self.deployment));
        for file in &self.files {
            text.push_str(&format!("  {}\n", visible(&file.display().to_string())));
        }
        text
    }
}

impl View for ForgetView {
    fn text(&self, _page: Page) -> String {
        let was = self.pointer.previous.as_deref().unwrap_or("nothing");
        format!(
            "{}: nothing is live, {} was (generation {}); its files stay in {}\n",
            visible(&self.environment),
            visible(was),
            self.pointer.generation,
            visible(&self.store),
        )
    }
}

#[cfg(test)]
mod tests;
