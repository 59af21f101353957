//! The program's own log, on standard error. Not to be mistaken for what commands print.

use crate::foundation::failure::Class;
use crate::inputs::settings::{Log, LogFormat};
use crate::interfaces::console::{CommandError, Output};
use anyhow::anyhow;
use std::borrow::Cow;
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
        .with_writer(LogWriter {
            output: output.clone(),
            is_text: log.format == LogFormat::Text,
        });
    match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(|error| CommandError::new(Class::Permanent, anyhow!(error)))
}

/// Writes lines of the log between the progress bars instead of through them.
struct LogWriter {
    output: Output,
    is_text: bool,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}

/// One line of the log; the subscriber writes each with a single call.
struct Line<'a>(&'a LogWriter);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let LogWriter { output, is_text } = self.0;
        match is_text {
            true => output.diagnostic(&one_line(bytes)),
            // JSON escapes them itself.
            false => output.diagnostic(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One event as one line: what others wrote, dbt for example, begins no line of its own.
fn one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let (text, end) = match event {
        [text @ .., b'\n'] => (text, true),
        text => (text, false),
    };
    // Escapes that colour the line are the subscriber's; it has escaped those of others.
    let breaks = |byte: &u8| byte.is_ascii_control() && !matches!(*byte, b'\t' | 0x1b);
    // NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR end lines for some.
    let separators: [(&[u8], &[u8]); 3] = [
        ("\u{85}".as_bytes(), br"\u{85}"),
        ("\u{2028}".as_bytes(), br"\u{2028}"),
        ("\u{2029}".as_bytes(), br"\u{2029}"),
    ];
    let is_plain = !text.iter().any(breaks) && !text.iter().any(|byte| matches!(byte, 0xc2 | 0xe2));
    if is_plain {
        return Cow::Borrowed(event);
    }
    let mut line = Vec::with_capacity(event.len() + 16);
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        if let Some((raw, shown)) = separators.iter().find(|(raw, _)| rest.starts_with(raw)) {
            line.extend_from_slice(shown);
            rest = &rest[raw.len()..];
            continue;
        }
        match breaks(byte) {
            true => line.extend(std::ascii::escape_default(*byte)),
            false => line.push(*byte),
        }
        rest = after;
    }
    if end {
        line.push(b'\n');
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let shown = |event: &str| String::from_utf8(one_line(event.as_bytes()).into_owned());
        for (event, line) in [
            ("INFO plain é\n", "INFO plain é\n"),
            (
                "WARN dbt said\n2026-01-01T00:00:00Z ERROR forged\r\n",
                "WARN dbt said\\n2026-01-01T00:00:00Z ERROR forged\\r\n",
            ),
            (
                "\u{1b}[32mINFO\u{1b}[0m a\tb\n",
                "\u{1b}[32mINFO\u{1b}[0m a\tb\n",
            ),
            ("a\u{8}b\u{2028}c\u{85}d", "a\\x08b\\u{2028}c\\u{85}d"),
            ("", ""),
        ] {
            assert_eq!(shown(event).as_deref(), Ok(line));
        }
    }
}
