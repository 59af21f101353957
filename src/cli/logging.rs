//! The program's own log, on standard error. Not to be mistaken for what commands print.

use super::{CommandError, Output};
use crate::failure::Class;
use crate::settings::{Log, LogFormat};
use anyhow::anyhow;
use std::io;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts the log. `verbosity` is the number of `-v`: two show the program's debug lines, three its
/// trace; the configured level holds otherwise.
///
/// # Errors
/// When the level is not a filter, or a log was started before.
pub fn start(log: &Log, verbosity: u8, output: &Output) -> Result<(), CommandError> {
    let level = match verbosity {
        0 | 1 => log.level.as_str(),
        2 => "cutover=debug,warn",
        _ => "cutover=trace,info",
    };
    let filter = EnvFilter::builder().parse(level).map_err(|error| {
        CommandError::new(
            Class::Usage,
            anyhow::Error::new(error)
                .context(format!("log.level: {level:?} is not a level or a filter")),
        )
        .with_hint("use error, warn, info, debug, trace, or a filter such as cutover=debug,info")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(output.is_error_coloured())
        .with_writer(LogWriter(output.clone()));
    match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(|error| CommandError::new(Class::Permanent, anyhow!(error)))
}

/// Writes lines of the log between the progress bars instead of through them.
struct LogWriter(Output);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.0)
    }
}

/// One line of the log; the subscriber writes each with a single call.
struct Line<'a>(&'a Output);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.diagnostic(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
