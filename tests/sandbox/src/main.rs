//! The `mz-sandbox` binary.
fn main() {}
