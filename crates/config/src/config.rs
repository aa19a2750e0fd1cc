//! A configuration whose values are valid.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use event::Trail;

use crate::apis::{CodeArts, Hcs, Swr};
use crate::console::Console;
use crate::evidence::Evidence;
use crate::limits::Limits;
use crate::logging::{LogFormat, LogLevel};
use crate::metrics::Metrics;
use crate::source::Source;
use crate::storage::Storage;
use crate::tls::Tls;
use crate::witness::Witness;

/// A configuration whose values are valid.
#[derive(Debug)]
pub struct Config {
    pub data_dir: Option<PathBuf>,
    pub listen: SocketAddr,
    pub log_format: LogFormat,
    pub log_level: LogLevel,
    /// URL by which outside clients reach this server, for links in responses; without it, the host
    /// of the request.
    pub public_url: Option<String>,
    pub tls: Option<Tls>,
    /// Trail of Daybook's own audit events.
    pub own: Trail,
    pub swr: Swr,
    pub codearts: CodeArts,
    pub hcs: Hcs,
    pub evidence: Evidence,
    pub console: Console,
    pub metrics: Metrics,
    /// The settings in force as a file would have them, for the record of changes.
    pub text: String,
    pub storage: Storage,
    pub limits: Limits,
    /// To be changed with [`Config::set_sources`] alone.
    pub sources: Vec<Source>,
    /// Position of each source by its name.
    pub(crate) source_positions: HashMap<String, usize>,
    pub witnesses: Vec<Witness>,
}

impl Config {
    /// Replaces the sources. Their names must differ.
    pub fn set_sources(&mut self, sources: Vec<Source>) {
        let names = sources.iter().enumerate();
        self.source_positions =
            names.map(|(position, source)| (source.name.clone(), position)).collect();
        self.sources = sources;
    }

    /// The source with this name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.source_positions.get(name).and_then(|&position| self.sources.get(position))
    }
}
