//! Every statement that is sent to Materialize, and the connection that sends it.
//!
//! Names reach SQL only through [`identifier::Ident`]; values are bound, and where the grammar
//! wants a literal (COMMENT), they go through [`identifier::Literal`]. Every statement begins with
//! a comment that names it, so that logs and tests can tell them apart.

/// What the server holds: schemas, clusters, objects and who may do what.
pub mod catalog;
/// The queries of checks by SQL.
pub mod checks;
/// Statements that create, alter and drop.
pub mod ddl;
/// Columns of queries that are not run.
pub mod describe;
/// What can go wrong between this process and the server.
pub mod error;
/// Grants and default privileges as data.
pub mod grants;
/// Renames and swaps that commit only if the catalog is as expected.
pub mod guarded;
/// Quoting.
pub mod identifier;
/// Statements that make what dbt-materialize makes.
pub mod native_ddl;
/// One reading of hydration, lag and replicas.
pub mod reading;
/// Replacing one materialized view in place.
pub mod replacement;
/// Connections.
pub mod session;
/// The state of sinks.
pub mod sinks;
/// Comments that mark what belongs to a deployment.
pub mod tag;
/// TLS as libpq's sslmode has it.
pub(crate) mod tls;

pub use error::MaterializeError;
pub use session::{Address, Materialize, Session, SslMode, Statement};
