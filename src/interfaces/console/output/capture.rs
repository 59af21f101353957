//! An output that is kept in memory, with a clock that only the test moves.

use super::style::Style;
use super::{Clock, Inner, Output, verbosity};
use crate::interfaces::console::arguments::Global;
use jiff::{SignedDuration, Timestamp};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// 2026-03-01T02:00:00Z
const START: i64 = 1_772_330_400;

/// What was printed so far.
#[derive(Clone, Default)]
pub(crate) struct Captured {
    out: Buffer,
    err: Buffer,
    passed: Arc<Mutex<SignedDuration>>,
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that always fails.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

impl Captured {
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    pub(crate) fn err(&self) -> String {
        self.err.text()
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, milliseconds: i64) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed += SignedDuration::from_millis(milliseconds);
    }
}

/// The start of the clock, moved by seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::constant(START, 0) + SignedDuration::from_secs(seconds)
}

impl Output {
    /// An output in memory, as if piped.
    pub(crate) fn captured(global: &Global) -> (Self, Captured) {
        let captured = Captured::default();
        let output = Self::with_writer(global, &captured, Box::new(captured.out.clone()));
        (output, captured)
    }

    /// An output on which nothing can be written.
    pub(crate) fn broken(global: &Global, kind: io::ErrorKind) -> (Self, Captured) {
        let captured = Captured::default();
        let output = Self::with_writer(global, &captured, Box::new(Broken(kind)));
        (output, captured)
    }

    fn with_writer(global: &Global, captured: &Captured, out: Box<dyn Write + Send>) -> Self {
        let passed = captured.passed.clone();
        Self::new(Inner {
            format: global.output,
            verbosity: verbosity(global),
            style: Style::new(false),
            error_style: Style::new(false),
            bars: None,
            out: Mutex::new(out),
            err: Mutex::new(Box::new(captured.err.clone())),
            lost: Mutex::new(None),
            clock: Clock::new(move || {
                at(0) + *passed.lock().unwrap_or_else(PoisonError::into_inner)
            }),
        })
    }
}
