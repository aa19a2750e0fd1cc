//! TLS with rustls: certificate chain and key from PEM files; for HTTP, HTTP/2 and HTTP/1.1 by
//! ALPN.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// Where a certificate chain and its key are, in PEM.
#[derive(Debug, Clone, Copy)]
pub struct PemFiles<'a> {
    pub certificate: &'a Path,
    pub key: &'a Path,
}

/// TLS whose certificate may be renewed: connections that are open go on with the one they began
/// with.
pub struct Renewable {
    current: RwLock<Arc<ServerConfig>>,
    fingerprint: Mutex<Fingerprint>,
}

/// SHA-256 over the certificates of a chain, and of the authorities that clients' must be of.
pub type Fingerprint = [u8; 32];

/// What was read of certificate files.
pub type Read = (Arc<ServerConfig>, Fingerprint);

impl Renewable {
    pub fn new((config, fingerprint): Read) -> Arc<Renewable> {
        Arc::new(Renewable { current: RwLock::new(config), fingerprint: Mutex::new(fingerprint) })
    }

    /// For a connection that begins now.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().expect("no panic while held")))
    }

    /// Of the certificates in force.
    pub fn fingerprint(&self) -> Fingerprint {
        *self.fingerprint.lock().expect("no panic while held")
    }

    /// Begins further connections with what was read.
    pub fn renew(&self, (config, fingerprint): Read) {
        *self.current.write().expect("no panic while held") = config;
        *self.fingerprint.lock().expect("no panic while held") = fingerprint;
    }
}

/// TLS for HTTP. Errs with what is wrong with which file.
pub fn for_http(files: PemFiles<'_>) -> Result<Read, String> {
    read(files, None, &[b"h2", b"http/1.1"])
}

/// TLS for what is not HTTP: certificate and key, and the authorities of which a client's
/// certificate must be, if it must have one. Errs with what is wrong with which file.
pub fn server_config(files: PemFiles<'_>, client_ca: Option<&Path>) -> Result<Read, String> {
    read(files, client_ca, &[])
}

fn read(
    files: PemFiles<'_>,
    client_ca: Option<&Path>,
    protocols: &[&[u8]],
) -> Result<Read, String> {
    let mut hash = Sha256::new();
    let chain = certificates(files.certificate)?;
    chain.iter().for_each(|certificate| hash.update(certificate));
    let key = PrivateKeyDer::from_pem_file(files.key)
        .map_err(|error| format!("couldn't read the key {}: {error}", files.key.display()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("couldn't speak TLS: {error}"))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let unusable = |error: &dyn std::fmt::Display| {
                format!("couldn't use the authorities {}: {error}", file.display())
            };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                hash.update(&certificate);
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| unusable(&error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        format!("couldn't use the certificate {}: {error}", files.certificate.display())
    })?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok((Arc::new(config), hash.finalize().into()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| format!("couldn't read the certificate {}: {error}", file.display()))
}
