//! Cutover releases dbt projects on Materialize without downtime.
