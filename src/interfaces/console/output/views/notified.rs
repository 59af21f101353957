//! What `notify` prints, for people.

use crate::foundation::escape::visible;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::NotifiedView;

impl View for NotifiedView {
    fn text(&self, _page: Page) -> String {
        format!(
            "{} ({}) took: {}\n",
            visible(&self.target),
            self.kind,
            visible(&self.title)
        )
    }
}
