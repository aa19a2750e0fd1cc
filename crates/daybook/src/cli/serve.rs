//! `daybook serve`: the server in the foreground, until a signal stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, reload};

use super::{Location, no_data_dir, variables, warn};
use config::{self, Flags, LogFormat, LogLevel};
use server::failure::Failure;
use server::notify;
use server::reload::Reloader;
use server::serve::Server;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
                  daybook serve --data-dir /var/lib/daybook\n  \
                  daybook serve --config /etc/daybook.toml --listen 0.0.0.0:8420\n\n\
                  Stops on SIGINT and SIGTERM after finishing open requests. Reads configuration \
                  and certificates again on SIGHUP.")]
pub struct Arguments {
    #[command(flatten)]
    location: Location,
    /// Address to listen on. Also DAYBOOK_LISTEN; Default: 127.0.0.1:8420.
    #[arg(long, short, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Format of the operational log on standard error. Also DAYBOOK_LOG_FORMAT.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Level of the operational log. Also DAYBOOK_LOG_LEVEL.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Log every request: `--log-level debug`.
    #[arg(long, short, conflicts_with = "log_level")]
    verbose: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Before anything else: a signal without a handler would end the process. Signals that arrive
    // during the start have their effect after it.
    let runtime = runtime()?;
    let (stopped, hangup) = {
        let _runtime = runtime.enter();
        (stop_signal()?, listen_for(SignalKind::hangup())?)
    };
    let log_level = arguments.log_level.or(arguments.verbose.then_some(LogLevel::Debug));
    let flags =
        Flags { log_level, ..arguments.location.flags(arguments.listen, arguments.log_format) };
    let config = config::load(&flags, &variables())?;
    let data_dir = config.data_dir.clone().ok_or_else(no_data_dir)?;
    let has_console = config.console.enabled;
    let set_level = start_log(config.log_format, config.log_level);
    forbid_dumps();
    runtime.block_on(async {
        let server = Server::open(config, &data_dir).await?;
        reload_on_hangup(hangup, server.reloader(&data_dir, flags, variables(), set_level));
        // Tests and scripts that listen on port 0 read the addresses from here.
        for listening in server.also_listens() {
            warn(&format!("daybook: {listening}"));
        }
        warn(&format!(
            "daybook: serving {} on {}://{}",
            data_dir.display(),
            server.scheme(),
            server.address()
        ));
        if has_console {
            warn(&format!(
                "daybook: console at {}://{}/console/",
                server.scheme(),
                server.address()
            ));
        }
        notify::send(notify::READY);
        server.run(stopped).await
    })
}

/// Keeps the memory of this process from core dumps and from other processes of its user: it holds
/// the keys of the log and the secrets of callers.
pub fn forbid_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "couldn't forbid dumps of this process's memory");
    }
}

/// Sets the level of the operational log.
pub type SetLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

/// Starts the operational log on standard error.
pub fn start_log(format: LogFormat, level: LogLevel) -> SetLevel {
    use std::io::IsTerminal;
    let (filter, handle) = reload::Layer::new(filter_of(level));
    let log = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with(lines.with_ansi(std::io::stderr().is_terminal())).init(),
        LogFormat::Json => {
            log.with(lines.json().flatten_event(true)).init();
            super::IS_JSON.store(true, Ordering::Relaxed);
        }
    }
    Box::new(move |level| {
        // It fails only when the log is gone.
        let _ = handle.reload(filter_of(level));
    })
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Reloads on each SIGHUP, one at a time.
fn reload_on_hangup(mut hangup: Signal, reloader: Reloader) {
    let reloader = Arc::new(reloader);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reloader = Arc::clone(&reloader);
            if tokio::task::spawn_blocking(move || reloader.reload()).await.is_err() {
                tracing::error!("reloading panicked; the configuration is unchanged");
            }
        }
    });
}

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(format!("couldn't listen for signals: {error}")))
}

pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("couldn't start the runtime: {error}")))
}

/// Resolves on the first SIGINT or SIGTERM.
pub fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn the_memory_of_a_server_is_not_dumped() {
        forbid_dumps();
        assert_eq!(dumpable_behavior().expect("the kernel says"), DumpableBehavior::NotDumpable);
    }
}
