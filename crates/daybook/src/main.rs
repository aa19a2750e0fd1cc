//! Daybook: a self-hosted audit log server.
//!
//! `cli` reads the command line, `config` the configuration, `serve` wires the parts together: sockets and limits in
//! `http`, events in through `intake`, answers out through `api`, who may ask in `access`. Everything durable is the
//! `store` crate's.

mod access;
mod ambient;
mod api;
mod audit;
mod cli;
mod config;
mod housekeeping;
mod http;
mod intake;
mod report;
mod routes;
mod serve;

fn main() -> std::process::ExitCode {
    cli::run()
}
