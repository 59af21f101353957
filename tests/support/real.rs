//! The real dbt: forked from a warm one in a tenth of the time, or started anew.

use super::fake::{FakeDbt, SUPPORTED};
use std::path::{Path, PathBuf};

/// The dbt for the tests.
pub fn dbt() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/dbt");
    std::env::var_os("CUTOVER_TEST_DBT")
        .map(PathBuf::from)
        .or_else(|| repository.is_file().then_some(repository))
}

/// What a shell runs to start it anew.
pub fn cold(dbt: &Path) -> String {
    format!("'{}'", dbt.display())
}

/// What a shell runs to have it forked from a warm one, where that can be.
pub fn warm(dbt: &Path) -> String {
    let cold = cold(dbt);
    let python = dbt.with_file_name("python3");
    let may = std::env::var_os("CUTOVER_TEST_DBT_WARM").is_none_or(|said| said != "no");
    if !may || !python.is_file() {
        return cold;
    }
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dbt/client.py");
    format!("'{}' -I -S '{}' {cold}", python.display(), client.display())
}

/// An executable in a folder that runs it, and knows its version: that costs a start of Python and a
/// question to a registry, and has a test of its own.
pub fn quick(folder: &Path, started: &str) -> FakeDbt {
    FakeDbt::write(folder, SUPPORTED, &format!("exec {started} \"$@\""))
}
