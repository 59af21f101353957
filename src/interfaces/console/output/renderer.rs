//! The task that shows a deployment's progress while the deployment runs.

use super::bars::Bars;
use super::lines::Lines;
use super::{Output, OutputFormat, Verbosity, json};
use crate::domain::progress::Progress;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Shows progress until it is finished or dropped; either takes the bars away.
#[derive(Debug)]
pub struct Renderer {
    task: JoinHandle<()>,
    end: DropGuard,
}

impl Renderer {
    pub(super) fn spawn(output: Output, progress: UnboundedReceiver<Progress>) -> Self {
        let end = CancellationToken::new();
        let task = tokio::spawn(show(output, progress, end.clone()));
        Self {
            task,
            end: end.drop_guard(),
        }
    }

    /// Shows what was sent so far and ends. Reporters that still exist may go on; nobody listens.
    pub async fn finish(self) {
        drop(self.end);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the progress display ended early");
        }
    }
}

/// One of the forms of progress.
enum Display {
    None,
    Json,
    Lines(Lines),
    Bars(Box<Bars>),
}

async fn show(output: Output, mut progress: UnboundedReceiver<Progress>, end: CancellationToken) {
    let mut display = Display::of(&output);
    loop {
        tokio::select! {
            biased;
            () = end.cancelled(), if !progress.is_closed() => progress.close(),
            news = progress.recv() => match news {
                Some(news) => display.show(&output, &news),
                None => break,
            },
        }
    }
    display.finish();
}

impl Display {
    fn of(output: &Output) -> Self {
        let inner = &output.0;
        let verbose = inner.verbosity == Verbosity::Verbose;
        match (inner.verbosity, inner.format) {
            (Verbosity::Quiet, _) => Display::None,
            (_, OutputFormat::Json) => Display::Json,
            (_, OutputFormat::Text) => {
                let lines = Lines::new(verbose, inner.clock.now());
                match &inner.bars {
                    Some(bars) => {
                        Display::Bars(Box::new(Bars::new(bars.clone(), inner.style, lines)))
                    }
                    None => Display::Lines(lines),
                }
            }
        }
    }

    fn show(&mut self, output: &Output, progress: &Progress) {
        let now = output.0.clock.now();
        match self {
            Display::None => {}
            Display::Json => {
                if let Ok(line) = json::progress(progress, now) {
                    output.print_progress(&format!("{line}\n"));
                }
            }
            Display::Lines(lines) => {
                let mut text = String::new();
                for line in lines.lines(progress, now) {
                    text.push_str(&lines.stamp(now));
                    text.push_str(&output.0.style.paint(line.tone, &line.text));
                    text.push('\n');
                }
                if !text.is_empty() {
                    output.print_progress(&text);
                }
            }
            Display::Bars(bars) => bars.show(progress, now),
        }
    }

    fn finish(self) {
        match self {
            Display::None | Display::Json | Display::Lines(_) => {}
            Display::Bars(bars) => bars.finish(),
        }
    }
}
