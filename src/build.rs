//! dbt as a child process.
