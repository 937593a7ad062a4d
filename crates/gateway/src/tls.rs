//! TLS settings from PEM texts.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates cannot be read.
    #[error("the TLS certificate file is not valid PEM: {0}")]
    Certificate(pem::Error),
    /// There is no certificate.
    #[error("the TLS certificate file holds no certificate")]
    NoCertificate,
    /// The private key cannot be read.
    #[error("the TLS key file holds no private key in PEM: {0}")]
    Key(pem::Error),
    /// They do not go together, or are of a kind that is not supported.
    #[error("the TLS certificate and key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// Settings for TLS 1.2 and 1.3 with HTTP/1.1. `certificates` is a PEM text with the server's certificate first and those that
/// lead to its root after it; `key` one with its private key (PKCS#8, PKCS#1 or SEC1).
pub fn server_tls(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificates).collect::<Result<_, _>>().map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// How policies write a version of TLS.
pub(crate) fn version(negotiated: Option<rustls::ProtocolVersion>) -> &'static str {
    match negotiated {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        // There are two that we speak.
        _ => "1.2",
    }
}
