//! What is typed and what is printed: arguments, output as text, JSON lines or bars, and errors. It knows no command.

pub use arguments::Arguments;
pub use error::CommandError;
pub use output::Output;

/// Commands and flags.
pub mod arguments;
/// The error that a command ends with.
pub mod error;
/// Everything that is printed.
pub mod output;
