//! Texts about topics and refusals.

use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::{ExplainedView, GuideView};

impl View for GuideView {
    fn text(&self, _page: Page) -> String {
        self.text.clone()
    }
}

impl View for ExplainedView {
    fn text(&self, _page: Page) -> String {
        self.text.clone()
    }
}
