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

/// The files of a certificate chain and its key, in PEM.
#[derive(Debug, Clone, Copy)]
pub struct PemFiles<'a> {
    pub certificate: &'a Path,
    pub key: &'a Path,
}

/// TLS with a certificate that can be renewed. Open connections continue with the old one.
pub struct Renewable {
    current: RwLock<Arc<ServerConfig>>,
    fingerprint: Mutex<Fingerprint>,
}

/// SHA-256 over the certificates of a chain, and of the authorities that clients' must be of.
pub type Fingerprint = [u8; 32];

/// The content of certificate files.
pub type Certificates = (Arc<ServerConfig>, Fingerprint);

impl Renewable {
    pub fn new((config, fingerprint): Certificates) -> Arc<Renewable> {
        Arc::new(Renewable { current: RwLock::new(config), fingerprint: Mutex::new(fingerprint) })
    }

    /// The acceptor for a new connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().expect("no panic while held")))
    }

    /// The fingerprint of the certificates in force.
    pub fn fingerprint(&self) -> Fingerprint {
        *self.fingerprint.lock().expect("no panic while held")
    }

    /// Uses these certificates for new connections.
    pub fn renew(&self, (config, fingerprint): Certificates) {
        *self.current.write().expect("no panic while held") = config;
        *self.fingerprint.lock().expect("no panic while held") = fingerprint;
    }
}

/// TLS for HTTP. The error names the file and the fault.
pub fn for_http(files: PemFiles<'_>) -> Result<Certificates, String> {
    read(files, None, &[b"h2", b"http/1.1"])
}

/// TLS for other protocols. With `client_ca`, clients need a certificate of these authorities. The
/// error names the file and the fault.
pub fn server_config(
    files: PemFiles<'_>,
    client_ca: Option<&Path>,
) -> Result<Certificates, String> {
    read(files, client_ca, &[])
}

fn read(
    files: PemFiles<'_>,
    client_ca: Option<&Path>,
    protocols: &[&[u8]],
) -> Result<Certificates, String> {
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
