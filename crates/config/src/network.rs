//! Addresses and networks of peers.

use std::net::IpAddr;

use ipnet::IpNet;

/// Parses addresses and networks; an error names the setting.
pub(crate) fn parse(setting: &str, texts: &[String]) -> Result<Vec<IpNet>, String> {
    texts.iter().map(|text| network(setting, text)).collect()
}

fn network(setting: &str, text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{setting}: {text:?} is no address or network such as 10.0.0.0/8"))
}
