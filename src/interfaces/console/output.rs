//! Everything that is printed.
//!
//! | | stdout | stderr |
//! |---|---|---|
//! | text | progress and the result | errors, remarks, the log |
//! | JSON | one document, or a line for each piece of progress and a last one with the result; errors | one plain line for an error, remarks, the log |
//!
//! A reader that went away never ends a deployment: what cannot be written is dropped, and only a
//! result lost for another reason than a closed pipe is reported ([`Output::lost_result`]).

use super::CommandError;
use super::arguments::{Global, OutputFormat, PlanFormat};
use crate::domain::plan::Plan;
use crate::domain::progress::Progress;
use crate::foundation::escape::visible_lines;
use crate::interfaces::record::DiffView;
use crate::planning::planner::render::{self, Detail};
use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::Timestamp;
use serde::Serialize;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedReceiver;

pub use clock::Clock;
pub use renderer::Renderer;

mod bars;
/// The time, which tests set themselves.
pub mod clock;
/// Lengths of time, lags, ids and words for people.
pub mod format;
mod json;
mod lines;
mod renderer;
mod style;
pub(crate) mod tables;
/// What commands print, as text.
pub(crate) mod views;

#[cfg(test)]
pub(crate) mod capture;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use style::{Style, Tone};

/// Something that a command prints: for machines as it serializes, for people as [`View::text`].
pub trait View: Serialize {
    /// The text, in one or more lines, ending in a line break; names in it are harmless already.
    fn text(&self, page: Page) -> String;
}

/// What a view may know about the place where it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Whether `-v` was given.
    pub verbose: bool,
    /// The present.
    pub now: Timestamp,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// Where a command prints. Cloneable; all clones print to the same place.
#[derive(Clone)]
pub struct Output(Arc<Inner>);

struct Inner {
    format: OutputFormat,
    verbosity: Verbosity,
    style: Style,
    error_style: Style,
    /// Progress bars, where standard output is a terminal that people look at.
    bars: Option<MultiProgress>,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// The first error, other than a closed pipe, that lost a part of a result.
    lost: Mutex<Option<io::Error>>,
    clock: Clock,
}

impl Output {
    /// The process's own standard output and error.
    #[must_use]
    pub fn stdio(global: &Global) -> Self {
        let wants_colour = !global.no_color && !is_set("NO_COLOR");
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == OsStr::new("dumb"));
        let out_terminal = io::stdout().is_terminal() && !is_dumb;
        let err_terminal = io::stderr().is_terminal() && !is_dumb;
        let is_text = global.output == OutputFormat::Text;
        let bars = (out_terminal && is_text && !global.quiet)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        Self::new(Inner {
            format: global.output,
            verbosity: verbosity(global),
            style: Style::new(out_terminal && is_text && wants_colour),
            error_style: Style::new(err_terminal && wants_colour),
            bars,
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
            lost: Mutex::new(None),
            clock: Clock::system(),
        })
    }

    fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Whether one JSON document is asked for instead of text.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.0.format == OutputFormat::Json
    }

    /// Prints a plan as the result of a command, in `format` or, without one, as `--output` says.
    pub fn plan(&self, plan: &Plan, format: Option<PlanFormat>) {
        match (format, self.0.format) {
            (Some(PlanFormat::Markdown), _) => self.print_result(&render::markdown(plan)),
            (Some(PlanFormat::Json), OutputFormat::Text) => {
                self.print_json(serde_json::to_string_pretty(plan));
            }
            (Some(PlanFormat::Json), OutputFormat::Json) | (None, OutputFormat::Json) => {
                self.print_json(serde_json::to_string(plan));
            }
            (Some(PlanFormat::Text), _) | (None, OutputFormat::Text) => {
                self.print_result(&render::text(plan, self.detail()));
            }
        }
    }

    /// Prints a data diff as the result of a command, in `format` or, without one, as `--output` says.
    pub fn diff(&self, view: &DiffView, format: Option<PlanFormat>) {
        match format {
            Some(PlanFormat::Markdown) => self.print_result(&view.markdown()),
            Some(PlanFormat::Json) => self.document_as(view, Some(OutputFormat::Json)),
            Some(PlanFormat::Text) => self.document_as(view, Some(OutputFormat::Text)),
            None => self.document(view),
        }
    }

    /// Says what a command that changes something is about to do.
    pub fn announce(&self, plan: &Plan) {
        #[derive(Serialize)]
        struct Body<'a> {
            plan: &'a Plan,
        }
        match (self.0.verbosity, self.0.format) {
            (Verbosity::Quiet, _) => {}
            (Verbosity::Normal | Verbosity::Verbose, OutputFormat::Text) => {
                self.print_progress(&format!("{}\n", render::text(plan, self.detail())));
            }
            (Verbosity::Normal | Verbosity::Verbose, OutputFormat::Json) => {
                self.print_event("plan", &Body { plan });
            }
        }
    }

    /// Prints what a command without progress has found: one JSON document, or text.
    pub fn document<V: View>(&self, view: &V) {
        match self.0.format {
            OutputFormat::Text => self.print_result(&view.text(self.page())),
            OutputFormat::Json => self.print_json(serde_json::to_string(view)),
        }
    }

    /// Prints a text that is itself the result, in every form.
    pub fn text(&self, text: &str) {
        self.print_result(text);
    }

    /// As [`Output::document`], in `format` where the command itself was given one.
    pub fn document_as<V: View>(&self, view: &V, format: Option<OutputFormat>) {
        match format {
            None => self.document(view),
            Some(OutputFormat::Text) => self.print_result(&view.text(self.page())),
            Some(OutputFormat::Json) => self.print_json(serde_json::to_string_pretty(view)),
        }
    }

    /// Prints how a command with progress ended: the last JSON line, `{"event":"result",…}`, or text.
    pub fn result<V: View>(&self, view: &V) {
        match self.0.format {
            OutputFormat::Text => self.print_result(&view.text(self.page())),
            OutputFormat::Json => {
                self.print_json(json::event("result", self.0.clock.now(), view));
            }
        }
    }

    /// Shows the progress of a deployment from now until the renderer is finished.
    #[must_use = "progress ends when the renderer is dropped"]
    pub fn render(&self, progress: UnboundedReceiver<Progress>) -> Renderer {
        Renderer::spawn(self.clone(), progress)
    }

    /// Prints an error and gives its exit code.
    pub fn error(&self, error: &CommandError) -> ExitCode {
        let messages = error.messages();
        let (message, causes) = match messages.split_first() {
            Some((message, causes)) => (message.as_str(), causes),
            None => ("", [].as_slice()),
        };
        match self.0.format {
            OutputFormat::Text => self.print_error(&self.error_text(error, message, causes)),
            OutputFormat::Json => {
                self.print_json(json::error(error, message, causes));
                let first = message.lines().next().unwrap_or_default();
                self.print_error(&format!(
                    "error ({}): {}\n",
                    error.class().as_str(),
                    visible_lines(first)
                ));
            }
        }
        ExitCode::from(error.class())
    }

    fn error_text(&self, error: &CommandError, message: &str, causes: &[String]) -> String {
        let style = self.0.error_style;
        let indented =
            |text: &str, indent: &str| visible_lines(text).replace('\n', &format!("\n{indent}"));
        let mut text = format!(
            "{} {}\n",
            style.paint(Tone::Bad, "error:"),
            visible_lines(message)
        );
        for cause in causes {
            text.push_str(&format!("  caused by: {}\n", indented(cause, "    ")));
        }
        let hint = style.paint(Tone::Head, "hint:");
        text.push_str(&format!("  {hint} {}\n", indented(error.hint(), "    ")));
        text
    }

    /// One line about the program itself, on standard error, in every form and verbosity.
    pub fn remark(&self, sentence: &str) {
        self.print_error(&format!("cutover: {}\n", visible_lines(sentence)));
    }

    /// Writes bytes of the log to standard error, between the progress bars.
    pub fn diagnostic(&self, bytes: &[u8]) {
        // Nobody is left to be told when standard error is gone.
        let _ = self.write_to(&self.0.err, bytes);
    }

    /// Takes progress bars away, so that the shell's prompt begins on a line of its own.
    pub fn restore_terminal(&self) {
        if let Some(bars) = &self.0.bars {
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// The error that lost a part of the result, once.
    #[must_use]
    pub fn lost_result(&self) -> Option<io::Error> {
        self.0
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether the log may use colours.
    #[must_use]
    pub fn is_error_coloured(&self) -> bool {
        self.0.error_style.is_coloured()
    }

    fn page(&self) -> Page {
        Page {
            verbose: self.0.verbosity == Verbosity::Verbose,
            now: self.0.clock.now(),
        }
    }

    fn detail(&self) -> Detail {
        match self.0.verbosity {
            Verbosity::Quiet | Verbosity::Normal => Detail::Short,
            Verbosity::Verbose => Detail::Full,
        }
    }

    fn print_event<B: Serialize>(&self, name: &'static str, body: &B) {
        if let Ok(line) = json::event(name, self.0.clock.now(), body) {
            self.print_progress(&format!("{line}\n"));
        }
    }

    /// Progress may be lost.
    fn print_progress(&self, text: &str) {
        let _ = self.write_to(&self.0.out, text.as_bytes());
    }

    fn print_error(&self, text: &str) {
        self.diagnostic(text.as_bytes());
    }

    fn print_json(&self, document: serde_json::Result<String>) {
        match document {
            Ok(document) => self.print_result(&format!("{document}\n")),
            Err(error) => self.lose(io::Error::other(error)),
        }
    }

    /// A result may be lost only to a reader that did not want it.
    fn print_result(&self, text: &str) {
        match self.write_to(&self.0.out, text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.lose(error),
            Ok(()) | Err(_) => {}
        }
    }

    fn lose(&self, error: io::Error) {
        let mut lost = self.0.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(error);
    }

    fn write_to(&self, stream: &Mutex<Box<dyn Write + Send>>, bytes: &[u8]) -> io::Result<()> {
        let write = || {
            let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            stream.write_all(bytes)?;
            stream.flush()
        };
        match &self.0.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

fn verbosity(global: &Global) -> Verbosity {
    match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, _) => Verbosity::Verbose,
    }
}

/// Whether a variable is set to something, as <https://no-color.org> defines it.
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}
