//! What lies outside, decided.
