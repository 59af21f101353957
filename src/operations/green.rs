//! Making the green side: staged, built, given its privileges, hydrated, and kept as production is changed meanwhile.

/// What production would lose of columns.
mod columns;
/// Waiting until green is ready.
pub mod hydrate;
/// Indexes of relations that stay, on clusters that are swapped.
pub mod indexes;
/// What dbt made in green, by id.
pub mod made_by_dbt;
/// Building green without dbt.
pub mod native;
/// Connections, sources and their tables outside, made before the build.
pub(crate) mod outside;
/// What an object of green is to have of owner, grants and comments.
pub mod privilege_merge;
/// Owners, grants and comments of the objects that dbt built.
pub mod privileges;
/// What was changed in production since the plan, carried over to green.
pub mod production_changes;
/// Where readings of readiness come from.
pub mod readings;
/// Giving clusters that were hydrated in another size the size of production.
pub mod resize;
/// Creating the green schemas and clusters.
pub mod stage;
