//! The words that everybody speaks: states and events, plans, the catalog, records, checks, places.

pub mod catalog;
pub mod checks;
pub mod diff;
/// The life of a deployment: its states, events and verbs.
pub mod lifecycle;
/// Where things are: repositories, journals, artifact stores.
pub mod location;
/// What people are told, before anybody knows how.
pub mod notice;
/// What a deployment will do, as it is stored and shown.
pub mod plan;
/// What a running deployment tells its observers.
pub mod progress;
/// What a verified candidate waits for before it is swapped.
pub mod promotion;
/// What a server says about hydration, lag and replicas at one moment.
pub mod reading;
/// What the journal keeps, as data.
pub mod records;
