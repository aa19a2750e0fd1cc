//! Certificates: `[tls]`, and those of syslog listeners.

use std::path::{Path, PathBuf};

use crate::setting::{Kind, settings};

settings! {
    /// Certificate of the server, as the file has it.
    pub(crate) struct RawTls in "tls." {
        certificate: Option<PathBuf> = None, Kind::Text, IfTlsStays,
            "PEM file with the certificate chain. With it the port speaks TLS only: HTTP/2 or \
             HTTP/1.1, as the client chooses. Needs `tls.key`.";
        key: Option<PathBuf> = None, Kind::Text, IfTlsStays,
            "PEM file with the certificate's private key.";
    }
}

/// Files of a certificate chain and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Pairs a certificate with its key. Relative paths are relative to `folder`.
pub(crate) fn pair(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    folder: &Path,
) -> Result<Option<Tls>, String> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(Tls { certificate: folder.join(certificate), key: folder.join(key) }))
        }
        _ => Err("certificate and key belong together; one is missing".to_owned()),
    }
}
