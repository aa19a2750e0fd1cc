//! `daybook witness`: a witness of logs, which cosigns their checkpoints.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;
use tlog::{Malformed, Verifier};

use super::serve::{forbid_dumps, runtime, start_log, stop_signal};
use super::{say, warn};
use config::{LogFormat, LogLevel, Tls};
use server::failure::Failure;
use server::witness::{self, http};

#[derive(clap::Args)]
#[command(
    after_help = "A witness cosigns a checkpoint of a watched log if it continues from the one \
                  before. It needs its own key and the verifier keys of the logs. Run it where \
                  operators of the logs cannot change it.\n\n\
                  Example:\n  \
                  daybook witness init /var/lib/witness --name witness.example.com/w1\n  \
                  daybook witness add /var/lib/witness \"$(cat log.vkey)\"\n  \
                  daybook witness serve /var/lib/witness --listen 0.0.0.0:8421\n\n\
                  In the configuration of the log's server:\n  \
                  [[witness]]\n  \
                  url = \"http://witness.example.com:8421\"\n  \
                  key = \"…\"  # output of `daybook witness show`"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a witness in a new or empty directory, and print its verifier key.
    #[command(after_help = "Example:\n  daybook witness init /var/lib/witness --name \
                      witness.example.com/w1")]
    Init {
        /// Directory to create. Its parent must exist; it may exist if it is empty.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Name of the witness in its cosignatures, a URL without scheme. It cannot be changed
        /// later.
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Print the verifier key for the watched logs and their auditors.
    #[command(after_help = "Example:\n  daybook witness show /var/lib/witness > witness.vkey")]
    Show {
        /// Directory of the witness.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Watch a log, or accept another key of a watched log. A running witness applies it at once.
    #[command(
        after_help = "The name of the key is the log's origin; `daybook key show` prints the \
                      key.\n\n\
                      Example:\n  \
                      daybook witness add /var/lib/witness \"$(cat log.vkey)\""
    )]
    Add {
        /// Directory of the witness.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Verifier key of the log.
        #[arg(value_name = "KEY", value_parser = key)]
        key: Verifier,
    },
    /// Stop accepting checkpoints by a key. The witness remembers the cosigned size in case the
    /// log is added again.
    #[command(
        after_help = "Example:\n  daybook witness remove /var/lib/witness \"$(cat log.vkey)\""
    )]
    Remove {
        /// Directory of the witness.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Verifier key of the log.
        #[arg(value_name = "KEY", value_parser = key)]
        key: Verifier,
    },
    /// List the watched logs.
    #[command(
        after_help = "Each line has a key and the last cosigned size of the log's tree (- for \
                      none).\n\n\
                      Example:\n  \
                      daybook witness list /var/lib/witness"
    )]
    List {
        /// Directory of the witness.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Serve POST /add-checkpoint until SIGINT or SIGTERM.
    #[command(
        after_help = "Examples:\n  daybook witness serve /var/lib/witness\n  daybook witness \
                            serve /var/lib/witness --listen 0.0.0.0:8421 --tls-certificate \
                            cert.pem --tls-key key.pem"
    )]
    Serve {
        /// Directory of the witness.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Address to listen on.
        #[arg(long, short, value_name = "ADDRESS", default_value = http::LISTEN)]
        listen: SocketAddr,
        /// PEM file with the certificate chain. The port then speaks only TLS.
        #[arg(long, value_name = "FILE", requires = "tls_key")]
        tls_certificate: Option<PathBuf>,
        /// PEM file with the private key of the certificate.
        #[arg(long, value_name = "FILE", requires = "tls_certificate")]
        tls_key: Option<PathBuf>,
        /// Format of the operational log on standard error.
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
            say(&format!("watching {}\n", key.name()))
        }
        Command::Remove { dir, key } => {
            witness::remove(dir, key)?;
            say(&format!("no longer accepts checkpoints of {} by this key\n", key.name()))
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
            forbid_dumps();
            let tls = tls_certificate
                .clone()
                .zip(tls_key.clone())
                .map(|(certificate, key)| Tls { certificate, key });
            runtime()?.block_on(async {
                // Before the address is bound, as in `daybook serve`.
                let stopped = stop_signal()?;
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
