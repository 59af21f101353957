//! Certificates that sign themselves.

use std::path::Path;
use std::process::Command;

/// The names of this machine.
pub const HERE: &str = "IP:127.0.0.1,DNS:localhost";

/// Makes `NAME.pem` and `NAME.key` for these names.
pub fn certificate(folder: &Path, name: &str, names: &str) {
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", &format!("subjectAltName={names}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(file("key"))
        .arg("-out")
        .arg(file("pem"))
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{made:?}");
}
