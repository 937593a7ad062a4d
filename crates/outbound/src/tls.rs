//! Whom TLS trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoots {
    /// It cannot be read.
    #[error("the file of certificate authorities is not valid PEM: {0}")]
    Pem(pem::Error),
    /// There is none in it.
    #[error("the file of certificate authorities holds no certificate")]
    None,
    /// TLS takes none of it.
    #[error("the certificate authorities cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 as a client that trusts the platform's roots (or what `SSL_CERT_FILE` names instead of them) and those of a PEM text.
pub(crate) fn client_tls(extra: Option<&[u8]>) -> Result<Arc<ClientConfig>, InvalidRoots> {
    let mut roots = RootCertStore::empty();
    // A platform's file may hold what no one can read; the rest of it is good all the same.
    let (taken, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = extra {
        let mut found = 0_usize;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(InvalidRoots::Pem)?)?;
            found += 1;
        }
        if found == 0 {
            return Err(InvalidRoots::None);
        }
    } else if taken == 0 {
        tracing::warn!("the system has no certificate authorities: outgoing calls to https URLs will fail");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
