//! What is handed out, as files: `packaging/tests.py`, with the Python that tests have anyway. What was built is tried
//! by `make dist-check`.
//!
//! Needs `.venv` in this repository. Without one it says so and passes.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn what_is_handed_out_agrees_with_itself() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = repository.join(".venv/bin/python");
    if !python.is_file() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no .venv (make venv)");
        }
        return;
    }
    let ended = Command::new(python)
        .args(["-B", "packaging/tests.py"])
        .current_dir(repository)
        .stdin(Stdio::null())
        .output()
        .expect("a Python that starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("\nRan "), "no test was run: {said}");
}
