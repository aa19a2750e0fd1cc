//! `daybook witness`: a witness of logs, this one's or others'.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;
use tlog::{Malformed, Verifier};

use super::serve::{runtime, start_log, stopped};
use super::{say, warn};
use config::{LogFormat, LogLevel, Tls};
use server::failure::Failure;
use server::witness::{self, http};

#[derive(clap::Args)]
#[command(
    after_help = "A witness cosigns checkpoints of the logs it watches, if each goes on from the one before. It\n\
                  needs a key and the logs' verifier keys, no log of its own; best it runs where whoever runs\n\
                  the log cannot change it.\n\n\
                  Example:\n  \
                  daybook witness init /var/lib/witness --name witness.example.com/w1\n  \
                  daybook witness add /var/lib/witness \"$(cat log.vkey)\"\n  \
                  daybook witness serve /var/lib/witness --listen 0.0.0.0:8421\n\n\
                  and on the log's side, in its configuration:\n  \
                  [[witness]]\n  \
                  url = \"http://witness.example.com:8421\"\n  \
                  key = \"…\"                              # what `daybook witness show` prints"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a witness in a new or empty directory, and print its verifier key.
    #[command(
        after_help = "Example:\n  daybook witness init /var/lib/witness --name witness.example.com/w1"
    )]
    Init {
        /// The directory to make. Its parent must exist; it may exist if it is empty.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The witness's name in its cosignatures, a URL without scheme; cannot be changed later.
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Print the verifier key: what to give to the logs, and to whoever is to check their
    /// checkpoints.
    #[command(after_help = "Example:\n  daybook witness show /var/lib/witness > witness.vkey")]
    Show {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Watch a log, or take checkpoints of one that is watched by a further key. A witness that
    /// serves follows at once.
    #[command(
        after_help = "The key's name is the log's origin; `daybook key show` prints it.\n\nExample:\n  daybook witness add /var/lib/witness \"$(cat log.vkey)\""
    )]
    Add {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The log's verifier key.
        #[arg(value_name = "KEY", value_parser = key)]
        key: Verifier,
    },
    /// Take no more checkpoints by a key. What was cosigned stays known, should the log be added
    /// again.
    #[command(
        after_help = "Example:\n  daybook witness remove /var/lib/witness \"$(cat log.vkey)\""
    )]
    Remove {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The log's verifier key.
        #[arg(value_name = "KEY", value_parser = key)]
        key: Verifier,
    },
    /// List the logs that are watched.
    #[command(
        after_help = "One key a line, and the size of the log's tree that was cosigned last (- for none).\n\nExample:\n  daybook witness list /var/lib/witness"
    )]
    List {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Serve it: answer POST /add-checkpoint, until SIGINT or SIGTERM.
    #[command(after_help = "Examples:\n  daybook witness serve /var/lib/witness\n  \
                      daybook witness serve /var/lib/witness --listen 0.0.0.0:8421 --tls-certificate cert.pem --tls-key key.pem")]
    Serve {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Address to listen on.
        #[arg(long, short, value_name = "ADDRESS", default_value = http::LISTEN)]
        listen: SocketAddr,
        /// PEM file with the certificate chain; then the port speaks TLS alone.
        #[arg(long, value_name = "FILE", requires = "tls_key")]
        tls_certificate: Option<PathBuf>,
        /// PEM file with the certificate's private key.
        #[arg(long, value_name = "FILE", requires = "tls_certificate")]
        tls_key: Option<PathBuf>,
        /// How the operational log on standard error is written.
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        log_format: LogFormat,
        /// Log every request.
        #[arg(long, short)]
        verbose: bool,
    },
}

fn key(text: &str) -> Result<Verifier, Malformed> {
    Verifier::parse(text.trim())
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Init { dir, name } => {
            say(&format!("{}\n", witness::init(dir, name, &system::random())?))
        }
        Command::Show { dir } => say(&format!("{}\n", witness::read_key(dir)?.verifier())),
        Command::Add { dir, key } => {
            witness::add(dir, key)?;
            say(&format!("watches {}\n", key.name()))
        }
        Command::Remove { dir, key } => {
            witness::remove(dir, key)?;
            say(&format!("takes no more checkpoints of {} by that key\n", key.name()))
        }
        Command::List { dir } => {
            let line = |log: &witness::Watched| {
                format!(
                    "{} {}\n",
                    log.key,
                    log.size.map_or("-".to_owned(), |size| size.to_string())
                )
            };
            say(&witness::watched(dir)?.iter().map(line).collect::<String>())
        }
        Command::Serve { dir, listen, tls_certificate, tls_key, log_format, verbose } => {
            let level = if *verbose { LogLevel::Debug } else { LogLevel::Info };
            let _set_level = start_log(*log_format, level);
            let tls = tls_certificate
                .clone()
                .zip(tls_key.clone())
                .map(|(certificate, key)| Tls { certificate, key });
            runtime()?.block_on(async {
                // As `daybook serve` does it.
                let stopped = stopped()?;
                let server = http::Server::open(dir, *listen, tls.as_ref()).await?;
                warn(&format!(
                    "daybook: serving {} on {}://{}",
                    dir.display(),
                    server.scheme(),
                    server.address()?
                ));
                server.run(stopped).await
            })
        }
    }
}
