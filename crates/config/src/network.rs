//! Addresses and networks of peers.

use std::net::IpAddr;

use ipnet::IpNet;

/// Parses addresses and networks; an error names the setting.
pub(crate) fn parse(setting: &str, texts: &[String]) -> Result<Vec<IpNet>, String> {
    let network = |text: &String| {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network
            .map_err(|_| format!("{setting}: {text:?} is no address or network such as 10.0.0.0/8"))
    };
    texts.iter().map(network).collect()
}
