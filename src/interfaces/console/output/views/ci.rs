//! Corners of pull requests and their reports, as text.

use crate::foundation::escape::visible;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::{CornersView, TakenDownView};
use crate::operations::ci::publish::{Published, Told};
use crate::operations::ci::report::Report;
use crate::planning::planner::render::roughly;
use std::fmt::Write;
use std::time::Duration;

impl View for Report {
    fn text(&self, page: Page) -> String {
        Report::text(self, page.verbose)
    }
}

impl View for CornersView {
    fn text(&self, page: Page) -> String {
        if self.corners.is_empty() {
            return format!("no corner of {} stands\n", visible(&self.environment));
        }
        let mut text = String::new();
        for corner in &self.corners {
            let _ = write!(text, "{} {}", visible(&corner.name), corner.state);
            if let Some(position) = corner.position {
                let _ = write!(text, " at position {position}");
            }
            if let Some(verdict) = corner.verdict {
                let _ = write!(text, ", last build {}", verdict.as_str());
            }
            let s = if corner.objects == 1 { "" } else { "s" };
            let _ = write!(text, ", {} relation{s}", corner.objects);
            if let Some(cluster) = &corner.cluster {
                let _ = write!(text, " on {}", visible(cluster));
            }
            let since = corner.cluster_seconds.map(Duration::try_from_secs_f64);
            if let Some(Ok(since)) = since {
                let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                let _ = write!(text, " for {}", roughly(since));
            }
            if let Some(credits) = corner.credits {
                let _ = write!(text, " ({credits:.3} credits)");
            }
            let word = match corner.expires_at <= page.now {
                true => "expired",
                false => "until",
            };
            let owner = visible(&corner.owner);
            let _ = writeln!(text, ", {word} {:.0}, of {owner}", corner.expires_at);
        }
        text
    }
}

impl View for TakenDownView {
    fn text(&self, _page: Page) -> String {
        let word = match self.dry_run {
            true => "would drop",
            false => "dropped",
        };
        let mut text = String::new();
        for name in &self.collected.dropped {
            let _ = writeln!(text, "{word} the corner {}", visible(name));
        }
        for (name, why) in &self.collected.problems {
            let _ = writeln!(text, "the corner {} stays: {}", visible(name), visible(why));
        }
        if text.is_empty() {
            return "no corner is to be dropped\n".to_owned();
        }
        text
    }
}

impl View for Published {
    fn text(&self, _page: Page) -> String {
        let platform = self.platform.as_str();
        let mut text = String::new();
        for (what, told) in [("comment", &self.comment), ("status", &self.status)] {
            let (word, more) = match told {
                Told::Created { url } => ("created", url.as_ref()),
                Told::Updated { url } => ("updated", url.as_ref()),
                Told::Set { name } => ("set", Some(name)),
                Told::Denied { why } => ("not written, the token may not", Some(why)),
                Told::Skipped { why } => ("not written", Some(why)),
            };
            let _ = write!(text, "{platform}: {what} {word}");
            if let Some(more) = more {
                let _ = write!(text, ": {}", visible(more));
            }
            text.push('\n');
        }
        for (what, path) in [("summary", &self.summary), ("outputs", &self.outputs)] {
            let _ = match path {
                Some(path) => {
                    writeln!(text, "{what} added to {}", visible(&path.to_string_lossy()))
                }
                None => writeln!(text, "no {what}: no file for it is named"),
            };
        }
        text
    }
}
