//! The configuration file as written.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::apis::{RawCodeArts, RawHcs, Swr};
use crate::console::Console;
use crate::evidence::Evidence;
use crate::limits::Limits;
use crate::logging::{LogFormat, LogLevel};
use crate::metrics::RawMetrics;
use crate::own::Own;
use crate::setting::{Kind, settings};
use crate::source::RawSource;
use crate::storage::Storage;
use crate::tls::RawTls;
use crate::witness::RawWitness;

/// Address on which Daybook listens by default.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);

settings! {
    /// The file as written. Unknown keys are refused.
    pub(crate) struct File in "" {
        data_dir: Option<PathBuf> = None, Kind::Text, No,
            "The directory that `daybook init` made. Flag `--data-dir`. Commands that need a log \
             fail without it.";
        listen: SocketAddr = LISTEN, Kind::Text, No,
            "Address and port. Flag `--listen`. Use TLS on any address other than loopback: tokens \
             and responses are in the clear otherwise.";
        log_format: LogFormat = LogFormat::Text, Kind::Text, No,
            "Format of the operational log on standard error: `text`, or `json` (one object a \
             line). Flag `--log-format`.";
        log_level: LogLevel = LogLevel::Info, Kind::Text, Yes,
            "Level of the [operational log](operations.md#the-operational-log): `error`, `warn`, \
             `info`, or `debug`, which logs every request. Flags `--log-level` and `--verbose`.";
        public_url: Option<String> = None, Kind::Text, Yes,
            "URL by which outside clients reach this server, such as `https://audit.example.com`. \
             Download links begin with it; without it they begin with the host of the request.";
    }
    with {
        tls: RawTls,
        own: Own,
        swr: Swr,
        codearts: RawCodeArts,
        hcs: RawHcs,
        evidence: Evidence,
        console: Console,
        metrics: RawMetrics,
        storage: Storage,
        limits: Limits,
        source: Vec<RawSource>,
        witness: Vec<RawWitness>,
    }
}
