//! `source.syslog`: listeners for syslog messages, and the addresses that may send.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::network;
use crate::tls::{self, Tls};

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSyslog {
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    #[serde(default)]
    from: Vec<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

/// Listeners for syslog messages; at least one of the three.
#[derive(Debug, Clone)]
pub struct Syslog {
    pub udp: Option<SocketAddr>,
    pub tcp: Option<SocketAddr>,
    pub tls: Option<SyslogTls>,
    from: Vec<IpNet>,
}

/// Listener for messages by TLS.
#[derive(Debug, Clone)]
pub struct SyslogTls {
    pub listen: SocketAddr,
    pub identity: Tls,
    /// Authorities of senders' certificates; without them, senders need no certificate.
    pub client_ca: Option<PathBuf>,
}

impl Syslog {
    /// Whether senders at this address may send.
    pub fn accepts(&self, address: IpAddr) -> bool {
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&address))
    }
}

/// Checks the listeners. Relative paths are relative to `folder`. `server` is the server's own
/// certificate.
pub(crate) fn check(raw: RawSyslog, folder: &Path, server: Option<&Tls>) -> Result<Syslog, String> {
    if raw.udp.is_none() && raw.tcp.is_none() && raw.tls.is_none() {
        return Err("name an address for at least one of udp, tcp and tls".to_owned());
    }
    let own = tls::pair(raw.certificate, raw.key, folder)?;
    let tls = match raw.tls {
        None if own.is_some() || raw.client_ca.is_some() => {
            return Err("certificate, key and client_ca need an address of tls".to_owned());
        }
        None => None,
        Some(listen) => {
            let identity = own.or_else(|| server.cloned()).ok_or(
                "tls needs a certificate: give certificate and key here, or tls.certificate and \
                 tls.key to the server",
            )?;
            Some(SyslogTls {
                listen,
                identity,
                client_ca: raw.client_ca.map(|file| folder.join(file)),
            })
        }
    };
    Ok(Syslog { udp: raw.udp, tcp: raw.tcp, tls, from: network::parse("from", &raw.from)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, server: Option<&Tls>) -> Result<Syslog, String> {
        let raw = toml::from_str(text).map_err(|error| error.to_string())?;
        check(raw, Path::new("/etc"), server)
    }

    #[test]
    fn the_certificate_of_the_server_is_the_default() {
        let server = Tls { certificate: "c.pem".into(), key: "k.pem".into() };
        let syslog = checked("tls = '[::]:6514'", Some(&server)).expect("valid");
        assert_eq!(syslog.tls.expect("it has an address").identity, server);
        let own =
            "tls = '[::]:6514'\ncertificate = 'own.pem'\nkey = 'own.key'\nclient_ca = 'ca.pem'";
        let tls = checked(own, Some(&server)).expect("valid").tls.expect("it has an address");
        assert_eq!(
            tls.identity,
            Tls { certificate: "/etc/own.pem".into(), key: "/etc/own.key".into() }
        );
        assert_eq!(tls.client_ca, Some("/etc/ca.pem".into()));
    }

    #[test]
    fn senders_are_accepted_by_their_address() {
        let syslog =
            checked("udp = '[::]:514'\nfrom = ['10.0.0.0/8', '2001:db8::7']", None).expect("valid");
        for (address, is_accepted) in
            [("10.9.8.7", true), ("11.0.0.1", false), ("2001:db8::7", true), ("2001:db8::8", false)]
        {
            assert_eq!(syslog.accepts(address.parse().expect(address)), is_accepted, "{address}");
        }
        assert!(
            checked("udp = '[::]:514'", None)
                .expect("valid")
                .accepts("8.8.8.8".parse().expect("an address"))
        );
    }

    #[test]
    fn every_wrong_value_is_named() {
        for (text, why) in [
            ("", "at least one of"),
            ("from = []", "at least one of"),
            ("tcp = '514'", "tcp"),
            ("tpc = '[::]:514'", "tpc"),
            ("tls = '[::]:6514'", "tls needs a certificate"),
            ("tls = '[::]:6514'\nkey = 'k'", "belong together"),
            ("tcp = '[::]:514'\nclient_ca = 'ca.pem'", "need an address of tls"),
            ("tcp = '[::]:514'\nfrom = ['10.0.0.0/40']", "from: \"10.0.0.0/40\""),
        ] {
            let error = checked(text, None).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
