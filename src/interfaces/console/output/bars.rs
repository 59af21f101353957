//! Progress on a terminal: what is over scrolls up as lines, what happens now is drawn below.

use super::format;
use super::lines::{Lines, cluster_state, node_line, node_tone, state_tone};
use super::style::{Style, Tone};
use crate::domain::lifecycle::state::State;
use crate::domain::progress::{ClusterReadiness, Progress};
use crate::foundation::escape::visible;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(120);
const HEAD: &str = "{spinner} {msg}  {in_state}  (total {total})";
const COUNT: &str = "  {prefix} [{bar:24}] {pos}/{len}  {wide_msg}";

/// The bars of one deployment.
pub(super) struct Bars {
    bars: MultiProgress,
    style: Style,
    lines: Lines,
    started: Instant,
    /// The state that the head shows, and since when.
    state: Option<(State, Instant)>,
    head: Option<ProgressBar>,
    /// dbt's nodes or other counted work.
    count: Option<ProgressBar>,
    clusters: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn new(bars: MultiProgress, style: Style, lines: Lines) -> Self {
        Self {
            bars,
            style,
            lines,
            started: Instant::now(),
            state: None,
            head: None,
            count: None,
            clusters: BTreeMap::new(),
        }
    }

    pub(super) fn show(&mut self, progress: &Progress, now: Timestamp) {
        match progress {
            Progress::State { state, .. } => self.enter(*state),
            Progress::Note { .. } | Progress::Warning { .. } | Progress::Retry { .. } => {
                for line in self.lines.lines(progress, now) {
                    self.print(line.tone, &line.text);
                }
            }
            Progress::Node {
                unique_id,
                status,
                done,
                total,
                seconds,
            } => {
                let tone = node_tone(status);
                if tone != Tone::Plain || (self.lines.is_verbose() && seconds.is_some()) {
                    self.print(tone, &node_line(unique_id, status, *done, *total, *seconds));
                }
                self.count("node", unique_id, *done, *total);
            }
            Progress::Work {
                what,
                item,
                done,
                total,
            } => self.count(what, item, *done, *total),
            Progress::Readiness { clusters } | Progress::Watched { clusters, .. } => {
                self.readiness(clusters);
            }
            // A warning, or a note, says so.
            Progress::Decision { .. } | Progress::Readers { .. } => {}
        }
    }

    /// Leaves one line about the last state and takes everything drawn away.
    pub(super) fn finish(mut self: Box<Self>) {
        self.leave(Tone::Plain);
        if let Some(head) = self.head.take() {
            head.finish_and_clear();
        }
    }

    fn enter(&mut self, state: State) {
        self.leave(match state_tone(state) {
            Tone::Bad | Tone::Warning => Tone::Bad,
            Tone::Plain | Tone::Head | Tone::Good => Tone::Good,
        });
        let (started, entered) = (self.started, Instant::now());
        self.state = Some((state, entered));
        let clock = |since: Instant| {
            move |_: &ProgressState, line: &mut dyn Write| {
                // The line is a buffer in memory.
                let _ = line.write_str(&format::elapsed(since.elapsed()));
            }
        };
        let style = template(HEAD)
            .with_key("in_state", clock(entered))
            .with_key("total", clock(started));
        let head = self.head.get_or_insert_with(|| {
            let head = self.bars.insert(0, ProgressBar::new_spinner());
            head.enable_steady_tick(TICK);
            head
        });
        head.set_style(style);
        head.set_message(self.style.paint(state_tone(state), &format::state(state)));
    }

    /// Ends the present state: its line scrolls up, its bars go.
    fn leave(&mut self, tone: Tone) {
        if let Some(count) = self.count.take() {
            count.finish_and_clear();
        }
        for (_, cluster) in std::mem::take(&mut self.clusters) {
            cluster.finish_and_clear();
        }
        let Some((state, since)) = self.state.take() else {
            return;
        };
        if state.is_terminal() {
            return;
        }
        let mark = match tone {
            Tone::Good => "✓",
            Tone::Bad => "✗",
            Tone::Plain | Tone::Head | Tone::Warning => "·",
        };
        let mark = self.style.paint(tone, mark);
        let took = format::length(since.elapsed());
        let line = format!("{mark} {:<13} {took}", format::state(state));
        // A terminal that went away is no reason to stop.
        let _ = self.bars.println(line);
    }

    fn print(&self, tone: Tone, text: &str) {
        let _ = self.bars.println(self.style.paint(tone, text));
    }

    fn count(&mut self, what: &str, item: &str, done: usize, total: usize) {
        let bar = self
            .count
            .get_or_insert_with(|| self.bars.add(count_bar(total)));
        bar.set_prefix(visible(what).into_owned());
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(visible(item).into_owned());
    }

    fn readiness(&mut self, clusters: &[ClusterReadiness]) {
        let names = clusters.iter().map(|c| visible(&c.cluster).chars().count());
        let width = names.max().unwrap_or_default();
        for cluster in clusters {
            let bar = self
                .clusters
                .entry(cluster.cluster.clone())
                .or_insert_with(|| self.bars.add(count_bar(cluster.total)));
            bar.set_prefix(format!("{:width$}", visible(&cluster.cluster)));
            bar.set_length(cluster.total as u64);
            bar.set_position(cluster.hydrated as u64);
            bar.set_message(cluster_state(cluster, 1));
        }
    }
}

fn count_bar(total: usize) -> ProgressBar {
    ProgressBar::new(total as u64).with_style(template(COUNT).progress_chars("=> "))
}

/// The templates are constants; a test parses each.
fn template(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::{COUNT, HEAD};
    use indicatif::ProgressStyle;

    #[test]
    fn templates_parse() {
        for template in [HEAD, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
