//! Tests against production, as text.

use crate::foundation::escape::visible;
use crate::inputs::manifest::run_results::Status;
use crate::interfaces::console::output::tables::table;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::TestedView;

impl View for TestedView {
    fn text(&self, page: Page) -> String {
        let number = self.tests.len();
        let environment = visible(&self.environment);
        let tests = if number == 1 { "test" } else { "tests" };
        let mut text = match (self.dry_run, self.failed().count()) {
            (false, _) if number == 0 => format!("{environment}: no test ran\n"),
            (true, _) => format!("{environment}: {number} {tests} would run on production\n"),
            (false, 0) => {
                format!("{environment}: {number} {tests} ran on production, none failed\n")
            }
            (false, failed) => {
                format!("{environment}: {failed} of {number} {tests} failed on production\n")
            }
        };
        let shown = self.tests.iter().filter(|test| {
            // What passed is of interest when somebody asks.
            self.dry_run || page.verbose || !matches!(test.status, Some(Status::Pass))
        });
        let rows: Vec<[String; 3]> = shown
            .map(|test| {
                let message = test.message.as_deref().unwrap_or_default();
                [
                    test.status.map_or("-", Status::as_str).to_owned(),
                    visible(&test.test).into_owned(),
                    visible(&message.replace('\n', " ")).into_owned(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            text.push_str(&table(["STATUS", "TEST", "MESSAGE"], rows));
        }
        for (test, why) in &self.left_out {
            text.push_str(&format!("not run: {}: {}\n", visible(test), visible(why)));
        }
        text
    }
}
