//! `daybook health`: whether a server is ready, for whatever restarts or shows containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Place, say, variables};
use client::Client;
use config::{self, Config};
use server::failure::Failure;

/// A server that is ready answers at once.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
#[command(
    after_help = "Ends with 0 if the server is ready, with 1 if not.\n\nExamples:\n  daybook health --config /etc/daybook/daybook.toml\n  \
                  daybook health --url https://audit.example.com:8420"
)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Where the server is; where the configuration says that it listens, on this machine, unless
    /// told otherwise.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let url = match &arguments.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => url_of(&config::load(&arguments.place.flags(None, None), &variables())?)?,
    };
    let answer =
        Client::new(ANSWERED_WITHIN).get(&format!("{url}/readyz"), None).map_err(Failure::new)?;
    match answer.status {
        200 => say("ready\n"),
        status => Err(Failure::new(format!("{url} is not ready: it answered {status}"))),
    }
}

fn url_of(config: &Config) -> Result<String, Failure> {
    if config.tls.is_some() {
        return Err(Failure::usage(
            "the server speaks TLS; give --url with a name that its certificate has",
        ));
    }
    Ok(format!("http://{}", reached_at(config.listen)))
}

/// Where this machine reaches what listens there.
fn reached_at(listen: SocketAddr) -> SocketAddr {
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
            assert_eq!(reached_at(listen.parse().expect(listen)).to_string(), reached);
        }
    }
}
