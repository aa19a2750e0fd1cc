//! Daybook: a self-hosted audit log server. The program alone is meant to use this library; what it
//! opens besides [`run`] is for fuzz targets and benchmarks.
//!
//! `cli` reads the command line, `config` the configuration, `serve` wires the parts together:
//! sockets and limits in `http`, events in through `intake`, answers out through `api`, who may ask
//! in `access`. Everything durable is the `store` crate's.

mod access;
mod ambient;
mod answers;
mod api;
mod audit;
mod bench;
mod cli;
mod config;
mod connections;
mod evidence;
mod export;
mod find;
mod housekeeping;
mod http;
mod intake;
#[cfg(feature = "internals")]
pub mod internals;
mod notify;
mod reload;
mod report;
mod routes;
mod serve;
mod tailing;
mod verify;
mod witness;

/// Runs the command that the command line names.
pub fn run() -> std::process::ExitCode {
    cli::run()
}
