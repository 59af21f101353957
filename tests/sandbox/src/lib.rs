//! A stand-in for Materialize.
