//! The command line: one file for each command.

mod access;
mod asked;
mod bench;
mod check;
mod completions;
mod config;
mod dead_letters;
mod demo;
mod export;
mod guard;
mod health;
mod import;
mod init;
mod key;
mod man;
mod profile;
mod prove;
mod reach;
mod routes;
mod rows;
mod screen;
mod search;
mod send;
mod serve;
mod show;
mod source;
mod stats;
mod table;
mod tail;
mod terms;
mod verify;
mod witness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use ::config::{Flags, LogFormat};
use ::server::failure::{Exit, Failure};

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
                  3  stored bytes are damaged\n  4  a durable write failed; start again to recover\n  5  refuted: what was verified is not what was signed for\n  \
                  6  a source is silent or lost something"
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
    /// Find events: a table of those that match.
    Search(search::Arguments),
    /// Show one event, whole.
    Show(show::Arguments),
    /// Count what matches: when it happened, and its most frequent values.
    Stats(stats::Arguments),
    /// Show events as they are recorded.
    Tail(tail::Arguments),
    /// Take all that matches away as a file, with a signed manifest.
    Export(export::Arguments),
    /// Check every byte of a log, without changing any.
    Check(check::Arguments),
    /// Prove that an event is in the log, in a file that anyone can check.
    Prove(prove::Arguments),
    /// Check a log, or what it gave out, with keys that you have and without trusting its server.
    Verify(verify::Arguments),
    /// Show, add and retire the keys that sign the log's checkpoints.
    Key(key::Arguments),
    /// Let a log go on that is not what was signed for: a restored backup, a copy.
    Guard(guard::Arguments),
    /// Cosign checkpoints of logs, if they go on from those before.
    Witness(witness::Arguments),
    /// Say who may query what.
    Access(access::Arguments),
    /// Record old files of a source: rotated, restored, or from before Daybook followed them.
    Import(import::Arguments),
    /// Record events from standard input, through a running server.
    Send(send::Arguments),
    /// List, show and retry records that were rejected.
    DeadLetters(dead_letters::Arguments),
    /// Name servers to ask, with what is shown to them.
    Profile(profile::Arguments),
    /// Show the formats there are, and what a server knows of its sources.
    Source(source::Arguments),
    /// Check a configuration without serving it.
    Config(config::Arguments),
    /// Tell whether a server is ready.
    Health(health::Arguments),
    /// List the routes that a server answers.
    Routes(routes::Arguments),
    /// Make up events for benchmarks.
    Bench(bench::Arguments),
    /// Print what a shell needs to complete command lines.
    Completions(completions::Arguments),
    /// Write the manual pages.
    Man(man::Arguments),
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
        let (config, data_dir) = (self.config.clone(), self.data_dir.clone());
        Flags { config, data_dir, listen, log_format, log_level: None }
    }

    /// Whether a variable names a log, or a configuration that may.
    fn is_named_by_variable() -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        is_set("DAYBOOK_DATA_DIR") || is_set("DAYBOOK_CONFIG")
    }

    /// The data directory, named by flag, variable or configuration.
    fn data_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        ::config::load(&self.flags(None, None), &variables())?.data_dir.ok_or_else(no_data_dir)
    }

    /// The domain of Daybook's own operators.
    fn own_domain(&self) -> Result<String, Failure> {
        Ok(::config::load(&self.flags(None, None), &variables())?.own.tenant().to_owned())
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
    let cli = match Cli::try_parse_from(terms::apart(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to standard output; the rest is an error.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(Exit::Usage as u8)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let done = match cli.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Search(arguments) => search::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Prove(arguments) => prove::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Guard(arguments) => guard::run(&arguments),
        Command::Witness(arguments) => witness::run(&arguments),
        Command::Access(arguments) => access::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Send(arguments) => send::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Source(arguments) => source::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Routes(arguments) => routes::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &mut Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            warn(&format!("daybook: {failure}"));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// A bar for bytes; it draws on standard error, and only on a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
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
