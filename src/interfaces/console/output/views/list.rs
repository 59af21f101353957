//! What `ls` lists: the nodes, and their lines.

use crate::foundation::escape::visible;
use crate::interfaces::console::arguments::ListFormat;
use crate::interfaces::console::output::{Page, View};
use serde::Serialize;

/// The nodes that a selection means.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ListView {
    /// What the text shows of each.
    #[serde(skip)]
    pub format: ListFormat,
    /// By unique id.
    pub nodes: Vec<ListedView>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedView {
    /// For example `model.shop.orders`.
    pub unique_id: String,
    /// As dbt prints it.
    pub name: String,
    /// dbt's word for its kind.
    pub resource_type: &'static str,
    /// Its package.
    pub package_name: String,
    /// Its file, relative to its package.
    pub original_file_path: String,
    /// Why it is new or changed, where there is something to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<String>>,
}

impl View for ListView {
    fn text(&self, _page: Page) -> String {
        let line = |node: &ListedView| match self.format {
            ListFormat::Id => visible(&node.unique_id).to_string(),
            ListFormat::Name => visible(&node.name).to_string(),
            ListFormat::Json => serde_json::to_string(node).unwrap_or_default(),
        };
        self.nodes.iter().map(|node| line(node) + "\n").collect()
    }
}
