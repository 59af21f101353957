//! What a release would do: the project and its configuration are read, compared and selected from as dbt
//! does, and what is refused or said of it is what the documents list.

mod architecture;
mod bad_input;
mod changed_tests;
mod clusters;
mod dbt_files;
mod dbt_invocations;
mod dbt_selectors;
mod documentation;
mod indexes;
mod init;
mod listing;
mod names;
mod overlaps;
mod pages;
mod plan_output;
mod reference;
mod refusals;
mod slim;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod warm_dbt;
