//! The configuration's limits and files, as sockets take them.

use std::time::Duration;

use net::tls::PemFiles;

/// The limits of a listener.
pub fn limits(limits: &config::Limits) -> net::Limits {
    net::Limits {
        connections_max: limits.connections_max,
        connections_per_address_max: limits.connections_per_address_max,
        header_timeout: limits.header_timeout(),
        header_bytes_max: limits.header_bytes_max,
        write_timeout: limits.write_timeout(),
        lingering: net::Lingering {
            bytes_max: limits.lingering_bytes_max as u64,
            time_max: Duration::from_secs(limits.lingering_timeout_s),
        },
    }
}

/// The files of a certificate and its key.
pub fn pem_files(tls: &config::Tls) -> PemFiles<'_> {
    PemFiles { certificate: &tls.certificate, key: &tls.key }
}
