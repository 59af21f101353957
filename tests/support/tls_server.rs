//! TLS as a server of a test offers it.

use super::certificate::certificate;
use cutover::foundation::tls;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// What a server needs that has a new certificate for these names, kept in `folder` under `name`.
pub fn server_config(folder: &Path, name: &str, names: &str) -> ServerConfig {
    certificate(folder, name, names);
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    let chain = CertificateDer::pem_file_iter(file("pem")).expect("a file");
    let key = PrivateKeyDer::from_pem_file(file("key")).expect("a key");
    ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.map(|one| one.expect("a certificate")).collect(), key)
        .expect("a configuration")
}
