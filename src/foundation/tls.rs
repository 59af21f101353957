//! TLS as libpq's `sslmode` has it, over rustls.
//!
//! `verify-ca` and `verify-full` check the chain, the latter the host name too. The weaker modes encrypt
//! without looking at the certificate, but where a root certificate is given they check the chain as well
//! (libpq: "if a root CA file exists, the behavior of `sslmode=require` will be the same as that of
//! `verify-ca`"; its code does so under `prefer`, too).

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How TLS is used; libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server offers it.
    Prefer,
    /// Always, without looking at the certificate.
    Require,
    /// Always, with a certificate from a known authority.
    VerifyCa,
    /// Always, with a certificate from a known authority for this host.
    VerifyFull,
}

impl From<SslMode> for tokio_postgres::config::SslMode {
    /// What is looked at is the connector's part; the driver only decides whether to ask for TLS.
    fn from(mode: SslMode) -> Self {
        match mode {
            SslMode::Disable => Self::Disable,
            SslMode::Prefer => Self::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Self::Require,
        }
    }
}

/// The word of libpq for the system's root certificates.
pub const SYSTEM_ROOTS: &str = "system";

/// A certificate or key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

/// How a server is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Whether, and what is looked at.
    pub(crate) mode: SslMode,
    /// Root certificates, PEM; the system's without it, and where it is the word `system`.
    pub(crate) root_cert: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub(crate) cert: Option<PathBuf>,
    /// The client's key, PEM.
    pub(crate) key: Option<PathBuf>,
}

impl Tls {
    /// Whether the server must prove who it is, its host name aside.
    pub(crate) fn is_verified(&self) -> bool {
        match self.mode {
            SslMode::Disable => false,
            SslMode::Prefer | SslMode::Require => self.root_cert.is_some(),
            SslMode::VerifyCa | SslMode::VerifyFull => true,
        }
    }

    /// What somebody between us and this host could do; `None` where nobody could, or the host is this
    /// machine.
    pub(crate) fn weakness(&self, host: &str) -> Option<String> {
        let is_here = host.starts_with('/')
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        (!is_here && !self.is_verified()).then(|| {
            format!("nothing proves that {host} is the server that is meant: whoever stands between may read the password and everything else")
        })
    }
}

/// The cryptography of every connection. Clients of others' making take that of the process, so it is that, too.
pub fn provider() -> Arc<CryptoProvider> {
    if CryptoProvider::get_default().is_none() {
        // Whoever was quicker installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let installed = CryptoProvider::get_default();
    installed.map_or_else(
        || Arc::new(rustls::crypto::ring::default_provider()),
        Arc::clone,
    )
}

/// A client for HTTP that says who asks, and follows nobody elsewhere.
pub fn http_client() -> reqwest::ClientBuilder {
    provider();
    reqwest::Client::builder()
        .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
}

/// The connector, or `None` when the server is to be reached without TLS.
pub(crate) fn connector(tls: &Tls) -> Result<Option<MakeRustlsConnect>, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?;
    let builder = match tls.mode {
        SslMode::Disable => return Ok(None),
        SslMode::Prefer | SslMode::Require | SslMode::VerifyCa => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                roots: match tls.is_verified() {
                    true => Some(Arc::new(roots(tls)?)),
                    false => None,
                },
                provider,
            })),
        SslMode::VerifyFull => builder.with_webpki_verifier(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(tls)?), provider)
                .build()
                .map_err(|error| TlsError(error.to_string()))?,
        ),
    };
    let config = match (&tls.cert, &tls.key) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| TlsError(error.to_string()))?,
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) | (None, Some(_)) => {
            return Err(TlsError(
                "sslcert and sslkey must be given together".to_owned(),
            ));
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn roots(tls: &Tls) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let file = tls.root_cert.as_deref();
    let certificates = match file.filter(|file| *file != Path::new(SYSTEM_ROOTS)) {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(TlsError(
            "no root certificate was found; set sslrootcert".to_owned(),
        ));
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError(format!("{}: {error}", path.display())))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| TlsError(format!("{}: {error}", path.display())))
}

/// Checks signatures, and the chain where there are roots, but never the host name.
#[derive(Debug)]
struct Verifier {
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::{SslMode, Tls, connector};
    use std::path::PathBuf;

    #[test]
    fn a_root_certificate_is_looked_at_whatever_the_mode() {
        let of = |mode: SslMode, root: Option<&str>| Tls {
            mode,
            root_cert: root.map(PathBuf::from),
            cert: None,
            key: None,
        };
        for mode in [SslMode::Prefer, SslMode::Require] {
            let verified = of(mode, Some("/no/ca.pem"));
            assert!(verified.is_verified() && verified.weakness("db.example").is_none());
            // It is read, so it is used.
            assert!(
                connector(&verified).is_err_and(|error| error.to_string().contains("/no/ca.pem"))
            );
            let blind = of(mode, None);
            assert!(connector(&blind).is_ok());
            assert!(
                blind
                    .weakness("db.example")
                    .is_some_and(|why| why.contains("db.example"))
            );
            for here in ["localhost", "127.0.0.1", "::1", "/run/postgresql"] {
                assert_eq!(blind.weakness(here), None, "{here}");
            }
        }
        assert!(
            of(SslMode::Disable, Some("/no/ca.pem"))
                .weakness("db")
                .is_some()
        );
        assert!(of(SslMode::VerifyCa, None).weakness("db").is_none());
    }

    #[test]
    fn the_word_system_is_no_file() {
        let tls = |root: &str| Tls {
            mode: SslMode::VerifyFull,
            root_cert: Some(PathBuf::from(root)),
            cert: None,
            key: None,
        };
        let said = |root: &str| connector(&tls(root)).err().map(|error| error.to_string());
        let file = said("./system").expect("there is no such file");
        assert!(file.contains("./system: "), "{file}");
        // A machine without certificates has none to trust, but no file is looked for.
        let system = said("system").unwrap_or_default();
        assert!(!system.contains("system: "), "{system}");
    }
}
