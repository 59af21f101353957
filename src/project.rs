//! dbt projects as files.
