//! `daybook health`: checks whether a server is ready, for container managers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Location, say, variables};
use client::Client;
use config::{self, Config};
use server::failure::Failure;

/// Longest wait; a ready server responds at once.
const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
#[command(after_help = "The exit code is 0 if the server is ready, 1 if not.\n\n\
                  Examples:\n  \
                  daybook health --config /etc/daybook/daybook.toml\n  \
                  daybook health --url https://audit.example.com:8420")]
pub struct Arguments {
    #[command(flatten)]
    location: Location,
    /// Address of the server; by default the one of the configuration, on this machine.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let url = match &arguments.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => url_of(&config::load(&arguments.location.flags(None, None), &variables())?)?,
    };
    let answer = Client::new(TIMEOUT).get(&format!("{url}/readyz"), None).map_err(Failure::new)?;
    match answer.status {
        200 => say("ready\n"),
        status => Err(Failure::new(format!("{url} is not ready: it responded with {status}"))),
    }
}

fn url_of(config: &Config) -> Result<String, Failure> {
    if config.tls.is_some() {
        return Err(Failure::usage(
            "the server speaks TLS; give --url with a host name of its certificate",
        ));
    }
    Ok(format!("http://{}", reachable_address(config.listen)))
}

/// The address at which this machine reaches a listener.
fn reachable_address(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8420", "127.0.0.1:8420"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable_address(listen.parse().expect(listen)).to_string(), reached);
        }
    }
}
