//! The certificate of the address.

use super::error::HttpError;
use crate::foundation::tls;
use crate::inputs::settings::http::Tls;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the files say; `None` without files.
pub(super) fn read(tls: &Tls, base: &Path) -> Result<Option<Arc<ServerConfig>>, HttpError> {
    let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
        return Ok(None);
    };
    let (certificate, key) = (base.join(certificate), base.join(key));
    let no = |key: &'static str, path: &PathBuf, problem: String| HttpError::Tls {
        key,
        path: path.clone(),
        problem,
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| no("http.tls.certificate", &certificate, error.to_string()))?;
    if chain.is_empty() {
        let problem = "there is no certificate in it".to_owned();
        return Err(no("http.tls.certificate", &certificate, problem));
    }
    let secret = PrivateKeyDer::from_pem_file(&key)
        .map_err(|error| no("http.tls.key", &key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, secret)
        })
        .map_err(|error| no("http.tls.key", &key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}
