//! `daybook serve`: the server in the foreground, until it is told to stop.

use std::net::SocketAddr;

use tokio::signal::unix::{SignalKind, signal};

use super::{Place, no_data_dir, variables, warn};
use crate::config::{self, LogFormat};
use crate::report::Failure;
use crate::serve::Server;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  daybook serve --data-dir /var/lib/daybook\n  daybook serve --config /etc/daybook.toml --listen 0.0.0.0:8420\n\n\
                        Stops on SIGINT and SIGTERM after finishing open requests."
)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Address to listen on. Also DAYBOOK_LISTEN; 127.0.0.1:8420 unless told otherwise.
    #[arg(long, short, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// How the operational log on standard error is written. Also DAYBOOK_LOG_FORMAT.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Log every request.
    #[arg(long, short)]
    verbose: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = config::load(&arguments.place.flags(arguments.listen, arguments.log_format), &variables())?;
    let data_dir = config.data_dir.clone().ok_or_else(no_data_dir)?;
    start_log(config.log_format, arguments.verbose);
    runtime()?.block_on(async {
        let server = Server::open(config, &data_dir).await?;
        // Tests and scripts that ask for port 0 read the address from here.
        warn(&format!(
            "daybook: serving {} on {}://{}",
            data_dir.display(),
            server.scheme(),
            server.address()?
        ));
        server.run(told_to_stop()?).await
    })
}

/// Starts the operational log on standard error.
fn start_log(format: LogFormat, is_verbose: bool) {
    use std::io::IsTerminal;
    let level = if is_verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("couldn't start the runtime: {error}")))
}

/// Resolves on the first SIGINT or SIGTERM.
pub fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::new(format!("couldn't listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
