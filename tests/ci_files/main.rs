//! Reports on pull and merge requests, and the files that a team adds to its repository: they are run here, step by
//! step, with the events and variables of the platforms and a fake of their APIs.

mod actions;
mod expression;
mod files;
mod packaging;
mod pipeline;
mod platform;
mod publishing;
mod sample;
mod shell;
#[path = "../support/mod.rs"]
mod support;
mod whole;
mod workflows;
