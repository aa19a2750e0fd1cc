//! `source.syslog`: where a source takes syslog messages, and from whom.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Tls;
use super::source::networks;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSyslog {
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    #[serde(default)]
    from: Vec<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

/// Where a source takes syslog messages; at least one of the three.
#[derive(Debug, Clone)]
pub struct Syslog {
    pub udp: Option<SocketAddr>,
    pub tcp: Option<SocketAddr>,
    pub tls: Option<SyslogTls>,
    from: Vec<IpNet>,
}

/// Where messages come by TLS.
#[derive(Debug, Clone)]
pub struct SyslogTls {
    pub listen: SocketAddr,
    pub identity: Tls,
    /// The authorities of which a sender's certificate must be; without, senders need none.
    pub client_ca: Option<PathBuf>,
}

impl Syslog {
    /// Whether senders at this address are heard.
    pub fn hears(&self, address: IpAddr) -> bool {
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&address))
    }
}

/// Relative paths are relative to `folder`. `server` is the server's own certificate.
pub(super) fn check(raw: RawSyslog, folder: &Path, server: Option<&Tls>) -> Result<Syslog, String> {
    if raw.udp.is_none() && raw.tcp.is_none() && raw.tls.is_none() {
        return Err("name an address for at least one of udp, tcp and tls".to_owned());
    }
    let own = match (raw.certificate, raw.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(Tls { certificate: folder.join(certificate), key: folder.join(key) })
        }
        _ => return Err("certificate and key belong together; one is missing".to_owned()),
    };
    let tls = match raw.tls {
        None if own.is_some() || raw.client_ca.is_some() => {
            return Err(
                "certificate, key and client_ca are of tls, which has no address".to_owned()
            );
        }
        None => None,
        Some(listen) => {
            let identity = own.or_else(|| server.cloned()).ok_or(
                "tls needs a certificate: give certificate and key here, or tls.certificate and tls.key to the server",
            )?;
            Some(SyslogTls {
                listen,
                identity,
                client_ca: raw.client_ca.map(|file| folder.join(file)),
            })
        }
    };
    Ok(Syslog { udp: raw.udp, tcp: raw.tcp, tls, from: networks("from", &raw.from)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, server: Option<&Tls>) -> Result<Syslog, String> {
        let raw = toml::from_str(text).map_err(|error| error.to_string())?;
        check(raw, Path::new("/etc"), server)
    }

    #[test]
    fn the_server_lends_its_certificate() {
        let lent = Tls { certificate: "c.pem".into(), key: "k.pem".into() };
        let syslog = checked("tls = '[::]:6514'", Some(&lent)).expect("valid");
        assert_eq!(syslog.tls.expect("it has an address").identity, lent);
        let own =
            "tls = '[::]:6514'\ncertificate = 'own.pem'\nkey = 'own.key'\nclient_ca = 'ca.pem'";
        let tls = checked(own, Some(&lent)).expect("valid").tls.expect("it has an address");
        assert_eq!(
            tls.identity,
            Tls { certificate: "/etc/own.pem".into(), key: "/etc/own.key".into() }
        );
        assert_eq!(tls.client_ca, Some("/etc/ca.pem".into()));
    }

    #[test]
    fn senders_are_heard_by_their_address() {
        let syslog =
            checked("udp = '[::]:514'\nfrom = ['10.0.0.0/8', '2001:db8::7']", None).expect("valid");
        for (address, is_heard) in
            [("10.9.8.7", true), ("11.0.0.1", false), ("2001:db8::7", true), ("2001:db8::8", false)]
        {
            assert_eq!(syslog.hears(address.parse().expect(address)), is_heard, "{address}");
        }
        assert!(
            checked("udp = '[::]:514'", None)
                .expect("valid")
                .hears("8.8.8.8".parse().expect("an address"))
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
            ("tcp = '[::]:514'\nclient_ca = 'ca.pem'", "are of tls"),
            ("tcp = '[::]:514'\nfrom = ['10.0.0.0/40']", "from: \"10.0.0.0/40\""),
        ] {
            let error = checked(text, None).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
