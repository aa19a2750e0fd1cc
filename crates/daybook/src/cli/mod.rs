//! The command line: one file for each command.

mod access;
mod bench;
mod check;
mod config;
mod demo;
mod init;
mod routes;
mod serve;
mod set_aside;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Flags, LogFormat};
use crate::report::{Exit, Failure};

#[derive(Parser)]
#[command(
    name = "daybook",
    version,
    about = "A self-hosted audit log server",
    long_about = "Daybook records who did what across registries, repositories, databases and platforms, answers \
                  through cloud-compatible audit query APIs, and keeps what it recorded provably unchanged.",
    after_help = "Try it:\n  daybook demo\n\nSet it up:\n  daybook init /var/lib/daybook\n  daybook access project add \
                  cn-north-4 --tenant acme --data-dir /var/lib/daybook\n  daybook serve --config /etc/daybook.toml\n\n\
                  Exit codes:\n  0  done\n  1  it could not be done\n  2  the command line or configuration is wrong\n  \
                  3  stored bytes are damaged\n  4  a durable write failed; start again to recover"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an empty log in a new or empty directory.
    Init(init::Arguments),
    /// Serve a log: take events in, answer queries.
    Serve(serve::Arguments),
    /// Serve a throw-away log of real captured events, and show how to query it.
    Demo(demo::Arguments),
    /// Check every byte of a log, without changing any.
    Check(check::Arguments),
    /// Say who may query what.
    Access(access::Arguments),
    /// Show what was received and could not be used.
    SetAside(set_aside::Arguments),
    /// Check a configuration without serving it.
    Config(config::Arguments),
    /// List the routes that a server answers.
    Routes(routes::Arguments),
    /// Make up events for benchmarks.
    Bench(bench::Arguments),
}

/// Where the configuration and the log are.
#[derive(Args, Clone, Default)]
struct Place {
    /// Configuration file (TOML). Also DAYBOOK_CONFIG.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Data directory. Also DAYBOOK_DATA_DIR, or `data_dir` of the configuration.
    #[arg(long, short, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl Place {
    fn flags(&self, listen: Option<SocketAddr>, log_format: Option<LogFormat>) -> Flags {
        Flags { config: self.config.clone(), data_dir: self.data_dir.clone(), listen, log_format }
    }

    /// The data directory, named by flag, variable or configuration.
    fn data_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        crate::config::load(&self.flags(None, None), &variables())?.data_dir.ok_or_else(no_data_dir)
    }

    /// The domain of Daybook's own operators.
    fn own_domain(&self) -> Result<String, Failure> {
        Ok(crate::config::load(&self.flags(None, None), &variables())?.own.tenant().to_owned())
    }
}

fn no_data_dir() -> Failure {
    Failure::usage(
        "which log? give --data-dir DIR, set DAYBOOK_DATA_DIR, or write data_dir in the configuration",
    )
}

/// The environment, as far as it is text.
fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("DAYBOOK_"))
        .collect()
}

/// Runs the command that the command line names.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to standard output; the rest is an error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Access(arguments) => access::run(&arguments),
        Command::SetAside(arguments) => set_aside::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Routes(arguments) => routes::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            warn(&format!("daybook: {failure}"));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Writes a line to standard error.
fn warn(text: &str) {
    use std::io::Write;
    // Nothing can be said about standard error being gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
fn say(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("couldn't write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
