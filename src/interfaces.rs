//! How people and programs reach it.

/// The documents and problems of the HTTP API, shared by server and client.
pub mod api;
/// The command line: what each command does, signals, exit codes.
pub mod cli;
/// A client of the daemon's HTTP API.
pub mod client;
/// What is typed and what is printed.
pub mod console;
/// Topics of help, and refusals explained.
pub mod guide;
/// The HTTP API of the daemon.
pub mod http;
/// The page: its files, the HTML that the server writes, and who is logged in.
pub mod page;
/// What commands print, as data.
pub mod record;
/// From a configuration to a daemon that runs until it is told to stop.
pub mod serve;
