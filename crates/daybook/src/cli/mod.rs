//! The command line: one file for each command.

mod access;
mod author;
mod backup;
mod bench;
mod check;
mod completions;
mod config;
mod credentials;
mod dead_letters;
mod demo;
mod export;
mod guard;
mod health;
mod import;
mod init;
mod key;
mod login;
mod man;
mod pipe;
mod profile;
mod prove;
mod question;
mod reach;
mod repair;
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
mod trails;
mod verify;
mod witness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, CommandFactory, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use ::config::{Flags, LogFormat};
use ::server::failure::{Exit, Failure};

#[derive(Parser)]
#[command(
    name = "daybook",
    version,
    about = "A self-hosted audit log server",
    long_about = "Daybook records who did what across registries, repositories, databases and \
                  platforms, serves cloud-compatible audit query APIs, and proves that its records \
                  are unchanged.",
    after_help = "Try it:\n  \
                  daybook demo\n\n\
                  Set it up:\n  \
                  daybook init /var/lib/daybook\n  \
                  daybook access project add cn-north-4 --tenant acme --data-dir \
                  /var/lib/daybook\n  \
                  daybook serve --config /etc/daybook.toml\n\n\
                  Exit codes:\n  \
                  0  success\n  \
                  1  failure\n  \
                  2  wrong command line or configuration\n  \
                  3  damaged bytes in a data directory\n  \
                  4  failed durable write; restart to recover\n  \
                  5  refuted: data differs from what was signed\n  \
                  6  a source is silent or lost something"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create an empty log in a new or empty directory.
    Init(init::Arguments),
    /// Serve a log: record events and answer queries.
    Serve(serve::Arguments),
    /// Serve a throw-away log of captured events and show how to query it.
    Demo(demo::Arguments),
    /// Search events and list them in a table.
    Search(search::Arguments),
    /// Show all of one event.
    Show(show::Arguments),
    /// Count matching events over time and by their most frequent values.
    Stats(stats::Arguments),
    /// List trails with the number of their events.
    Trails(trails::Arguments),
    /// Show events as they are recorded.
    Tail(tail::Arguments),
    /// Export all matching events to a file with a signed manifest.
    Export(export::Arguments),
    /// Check every byte of a log without changing it.
    Check(check::Arguments),
    /// Copy a log to a directory, also while it is served, and check the copy.
    Backup(backup::BackupArguments),
    /// Put a copy of a log in the place of a log that is gone.
    Restore(backup::RestoreArguments),
    /// Say which files of a log are damaged, and how to replace them by good copies.
    Repair(repair::Arguments),
    /// Write a proof that an event is in the log.
    Prove(prove::Arguments),
    /// Verify a log, proof, receipt or export with your own keys, without trusting its server.
    Verify(verify::Arguments),
    /// Show, add and retire the keys that sign the log's checkpoints.
    Key(key::Arguments),
    /// Accept a log that differs from what was signed, such as a restored backup.
    Guard(guard::Arguments),
    /// Run a witness, which cosigns checkpoints of logs that only grow.
    Witness(witness::Arguments),
    /// Manage users, their keys and their rights.
    Access(access::Arguments),
    /// Record old files of a source: rotated, restored, or older than Daybook.
    Import(import::Arguments),
    /// Send events from standard input to a running server.
    Send(send::Arguments),
    /// List, show and retry records that were rejected.
    DeadLetters(dead_letters::Arguments),
    /// Log in to a server with a password, and keep the token in a profile.
    Login(login::Arguments),
    /// End the token of a profile.
    Logout(login::LogoutArguments),
    /// Manage named servers and their credentials.
    Profile(profile::Arguments),
    /// List formats, and show the status of a server's sources.
    Source(source::Arguments),
    /// Check a configuration without serving it.
    Config(config::Arguments),
    /// Check whether a server is ready.
    Health(health::Arguments),
    /// List the routes of the server.
    Routes(routes::Arguments),
    /// Generate events for benchmarks.
    Bench(bench::Arguments),
    /// Print a completion script for a shell.
    Completions(completions::Arguments),
    /// Write the manual pages.
    Man(man::Arguments),
}

/// Location of the configuration and the log.
#[derive(Args, Clone, Default)]
struct Location {
    /// Configuration file (TOML). Also DAYBOOK_CONFIG.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Data directory. Also DAYBOOK_DATA_DIR, or `data_dir` of the configuration.
    #[arg(long, short, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl Location {
    fn flags(&self, listen: Option<SocketAddr>, log_format: Option<LogFormat>) -> Flags {
        let (config, data_dir) = (self.config.clone(), self.data_dir.clone());
        Flags { config, data_dir, listen, log_format, log_level: None }
    }

    /// Whether a variable names a log, or a configuration that may.
    fn is_named_by_variable() -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        is_set("DAYBOOK_DATA_DIR") || is_set("DAYBOOK_CONFIG")
    }

    /// The data directory from flag, variable or configuration.
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
        "no data directory; give --data-dir DIR, or set DAYBOOK_DATA_DIR, or data_dir in the \
         configuration",
    )
}

/// The variables `DAYBOOK_…` of the environment that are text.
fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("DAYBOOK_"))
        .collect()
}

/// Runs the command of the command line.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse_from(terms::separate(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output, errors to standard error.
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
        Command::Trails(arguments) => trails::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Backup(arguments) => backup::back_up(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::Prove(arguments) => prove::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Guard(arguments) => guard::run(&arguments),
        Command::Witness(arguments) => witness::run(&arguments),
        Command::Access(arguments) => access::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Send(arguments) => send::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Logout(arguments) => login::log_out(&arguments),
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
            match IS_JSON.load(Ordering::Relaxed) {
                true => tracing::error!(exit = failure.exit as u8, "{failure}"),
                false => warn(&format!("daybook: {failure}")),
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// A progress bar for bytes. It draws on standard error, and only on a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Whether every line of standard error is JSON: a server's operational log is.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard error, or to the operational log if that is JSON.
fn warn(text: &str) {
    use std::io::Write;
    if IS_JSON.load(Ordering::Relaxed) {
        // Whatever the level of the log: scripts read addresses from here.
        let message = text.strip_prefix("daybook: ").unwrap_or(text);
        let line = serde_json::json!({
            "timestamp": ::system::now().to_string(), "level": "INFO", "message": message,
        });
        let _ = writeln!(std::io::stderr(), "{line}");
        return;
    }
    // A closed standard error leaves nowhere to report it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes bytes to standard output as they are, but to a terminal as lines that do not steer it:
/// they may come from anyone who can send an event.
fn say_bytes(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        return say(&event::terminal::printable_lines(bytes));
    }
    write_out(bytes)
}

/// Writes to standard output. A reader that closed the pipe (`| head`) is no failure.
fn say(text: &str) -> Result<(), Failure> {
    write_out(text.as_bytes())
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    match std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("couldn't write to standard output: {error}")))
        }
        // Commands that change something finish it.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [usize; 3] = [60, 80, 100];
    /// Wider than any line of help, so that every paragraph is one line.
    const UNWRAPPED: usize = 10_000;

    fn render(command: &mut clap::Command, is_long: bool, helps: &mut Vec<(String, String)>) {
        let help = if is_long { command.render_long_help() } else { command.render_help() };
        helps.push((command.get_name().to_owned(), help.to_string()));
        command.get_subcommands_mut().for_each(|command| render(command, is_long, helps));
    }

    /// Help of every command, at this width.
    fn all_helps(width: usize, is_long: bool) -> Vec<(String, String)> {
        let mut command = Cli::command().term_width(width).max_term_width(width);
        command.build();
        let mut all = Vec::new();
        render(&mut command, is_long, &mut all);
        all
    }

    fn indent(line: &str) -> usize {
        line.chars().take_while(|character| *character == ' ').count()
    }

    #[test]
    fn paragraphs_of_help_are_not_broken_by_hand() {
        for (name, help) in [true, false].into_iter().flat_map(|long| all_helps(UNWRAPPED, long)) {
            let lines: Vec<&str> = help.lines().collect();
            for pair in lines.windows(2) {
                let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
                let is_heading = pair[0].ends_with(':');
                assert!(
                    is_heading || !(is_text(pair[0]) && is_text(pair[1])),
                    "{name}: the help breaks a paragraph behind {:?}",
                    pair[0]
                );
            }
        }
    }

    /// Checks that the lines of a wrapped help are those of the unwrapped one, each broken only
    /// where the next word has no room.
    fn check_wrapping(name: &str, whole: &str, wrapped: &str, width: usize) {
        let mut words = whole.lines().flat_map(|line| {
            line.split_whitespace().enumerate().map(|(number, word)| (number == 0, word))
        });
        let mut before: Option<&str> = None;
        for line in wrapped.lines() {
            let is_long = line.chars().count() > width;
            let is_unbreakable = line.split_whitespace().count() == 1;
            let is_usage = line.starts_with("Usage:");
            assert!(!is_long || is_unbreakable || is_usage, "{name} at {width}: {line:?}");
            for (number, word) in line.split_whitespace().enumerate() {
                let Some((starts_line, expected)) = words.next() else {
                    panic!("{name} at {width}: more words than unwrapped, {line:?}");
                };
                assert_eq!(word, expected, "{name} at {width}");
                // An option and its text on a line of its own are no paragraph.
                let continued = before
                    .filter(|before| number == 0 && !starts_line && !before.is_empty())
                    .filter(|before| !before.trim_start().starts_with(['-', '[', '<']))
                    .filter(|before| indent(line) <= indent(before) || before.contains("   "));
                if let Some(before) = continued {
                    assert!(
                        before.chars().count() + 1 + word.chars().count() > width,
                        "{name} at {width}: {word:?} had room behind {before:?}"
                    );
                }
            }
            before = Some(line);
        }
        assert_eq!(words.next(), None, "{name} at {width}: fewer words than unwrapped");
    }

    #[test]
    fn help_fits_its_width() {
        for is_long in [true, false] {
            let whole = all_helps(UNWRAPPED, is_long);
            for width in WIDTHS {
                for ((name, whole), (_, wrapped)) in whole.iter().zip(all_helps(width, is_long)) {
                    check_wrapping(name, whole, &wrapped, width);
                }
            }
        }
    }
}
