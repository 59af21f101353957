//! What holds an environment and what was lifted, as text.

use crate::foundation::escape::visible;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::HoldView;

impl View for HoldView {
    fn text(&self, _page: Page) -> String {
        let mut text = String::new();
        let environment = &self.environment;
        let mut line = |line: String| {
            text.push_str(&visible(&line));
            text.push('\n');
        };
        if let Some(lifted) = &self.lifted {
            line(format!(
                "{environment}: lifted what held it ({})",
                lifted.clause()
            ));
        }
        match &self.held {
            Some(held) => line(format!("{environment}: {}", held.sentence())),
            None => line(format!("{environment}: nothing holds it")),
        }
        text
    }
}
