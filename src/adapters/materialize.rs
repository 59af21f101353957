//! Every statement that is sent to Materialize, and the connection that sends it.
//!
//! Names reach SQL only through [`crate::foundation::sql::identifier::Ident`]; values are bound, and where the grammar
//! wants a literal (COMMENT), they go through [`crate::foundation::sql::identifier::Literal`]. Every statement begins with
//! a comment that names it, so that logs and tests can tell them apart.

/// Where a server is, and the limits of a connection.
pub mod address;
/// What the server holds: schemas, clusters, objects and who may do what.
pub mod catalog;
/// The queries of checks by SQL.
pub mod checks;
/// The options of a managed cluster.
pub mod cluster_options;
/// What a statement costs, and how many were sent.
pub mod cost;
/// Statements that create, alter and drop.
pub mod ddl;
/// Columns of queries that are not run.
pub mod describe;
/// The questions of the data diff.
pub mod diff;
/// What can go wrong between this process and the server.
pub mod error;
/// Renames and swaps that commit only if the catalog is as expected.
pub mod guarded;
/// What is live, looked at between releases.
pub mod live;
/// The table that says what is live.
pub mod live_table;
/// Statements that make what dbt-materialize makes.
pub mod native_ddl;
/// Privileges as the catalog shows them.
mod privileges;
/// Questions that are answered from one index.
pub mod question;
/// Who reads what goes.
pub mod readers;
/// One reading of hydration, lag and replicas.
pub mod reading;
/// Queries that the server remembers.
pub mod recent;
/// Replacing one materialized view in place.
pub mod replacement;
/// Sizes of replicas and what they cost.
pub mod replica_sizes;
/// A server and its present connection.
pub mod server;
/// Connections.
pub mod session;
/// The state of sinks.
pub mod sinks;
/// Statements by name.
pub mod statement;
/// Queries that the server's planner looks at, in temporary views.
pub mod temporary;
/// Unit tests as queries.
pub mod unit_test;

pub use error::MaterializeError;
/// What is waited for, told by the server as it changes.
pub mod watch;

pub use address::Address;
pub use server::Materialize;
pub use session::Session;
pub use statement::Statement;
