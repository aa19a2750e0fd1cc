//! The running server: opens the parts that the configuration names, takes connections, and ends in
//! order.

mod app;
mod ingest;
mod refusal;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::durable::Local;
use store::{FileObjects, Log, Settings};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::audit_policies::Policies;
use crate::evidence::witnesses::{self, Asking, Witnesses};
use crate::evidence::{self, Evidence, Signing};
use crate::export::Exports;
use crate::failure::{Exit, Failure};
use crate::housekeeping::{self, Housekeeping};
use crate::live::{Newest, Reading};
use crate::pace::Pace;
use crate::reload::{Holder, Reloader};
use crate::request_metrics::RequestMetrics;
use crate::snapshots::Snapshots;
use crate::state::State;
use crate::{notify, routes};
use access::Access;
use access::attempts::Attempts;
use config::{Config, Flags, InForce, LogLevel};
use intake::Intake;
use intake::audit::OwnAudit;
use intake::follow::Following;
use intake::keeper::Keeper;
use intake::retried::Retried;
use intake::sockets;
use net::server;
use net::tls::Renewable;

/// A server that is bound and has its log open, but takes no requests yet.
pub struct Server {
    app: App,
    listener: TcpListener,
    tls: Option<Arc<Renewable>>,
    syslog: intake::syslog::Bound,
    stop: watch::Sender<bool>,
    housekeeping: Housekeeping,
    signing: Signing,
    asking: Asking,
    following: Following,
    reading: Reading,
    fatal: tokio::sync::mpsc::Receiver<String>,
}

/// The server as its connections see it. Clones are the same server.
#[derive(Clone)]
struct App(Arc<Shared>);

struct Shared {
    api: Arc<State>,
    scheme: &'static str,
    /// Intake bytes held, in KiB.
    intake_kib: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// Opens the log, the rights and the certificate, and binds the address.
    pub async fn open(config: Config, data_dir: &Path) -> Result<Server, Failure> {
        let tls = config
            .tls
            .as_ref()
            .map(|tls| net::tls::for_http(sockets::pem_files(tls)))
            .transpose()
            .map_err(Failure::usage)?
            .map(Renewable::new);
        let (report_fatal, fatal) = tokio::sync::mpsc::channel(1);
        let report_lost = report_fatal.clone();
        let began = Instant::now();
        let log = Log::open(
            Arc::new(Local::open(data_dir)),
            Settings {
                waiting_requests_max: config.limits.waiting_requests_max,
                flush_events: config.limits.flush_events,
                unflushed_events_max: config.limits.unflushed_events_max,
                cache_bytes_max: config.limits.index_cache_bytes_max,
                clock: Arc::new(move || began.elapsed()),
                on_fatal: Arc::new(move |error: &store::Error| {
                    // The channel holds one message; the first is enough.
                    let _ = report_fatal.try_send(error.to_string());
                }),
                ..Settings::default()
            },
        )?;
        if let Some(torn) = log.torn_tail() {
            tracing::warn!(
                file = torn.file,
                offset = torn.offset,
                bytes = torn.len_bytes,
                "cut off an append that was never acknowledged"
            );
        }
        let counts = log.counts();
        tracing::info!(
            events = counts.events,
            dead_letters = counts.dead_letters,
            ms = elapsed_ms(began),
            "opened the log"
        );
        // Before anything is recorded: a log that differs from what was signed must stay as it is.
        let guard = evidence::guard::place_of(data_dir, config.evidence.guard.as_deref());
        let evidence = Evidence::open(data_dir, &guard.map_err(Failure::new)?, log.contents())?;
        let witnesses = Witnesses::open(data_dir, config.witnesses.clone(), log.contents())?;
        let (log, evidence) = (Arc::new(log), Arc::new(evidence));
        let witnesses = Arc::new(witnesses);
        let audit = Arc::new(OwnAudit::new(Arc::clone(&log), config.own.clone()));
        let serving = housekeeping::begin(data_dir, &config, &audit).map_err(Failure::new)?;
        let access = Access::open(data_dir, &config.own, &|changed| {
            audit.record_all_now(housekeeping::acts_of(changed))
        })
        .map_err(Failure::new)?;
        let access = Arc::new(access);
        let policies = Policies::load(&log, &config.own)?;
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::AddrInUse {
                "; choose another with --listen"
            } else {
                ""
            };
            Failure::new(format!("couldn't listen on {}: {error}{hint}", config.listen))
        })?;
        let (stop, stopping) = watch::channel(false);
        let limits = config.limits;
        let started_at = system::now();
        let intakes: Vec<Arc<Intake>> = config
            .sources
            .iter()
            .map(|source| Arc::new(Intake::of(source.clone(), started_at)))
            .collect();
        let report_lost = move |error: &store::Error| {
            // The channel holds one message; the first is enough.
            let _ = report_lost.try_send(error.to_string());
        };
        let syslog = intake::syslog::bind(&intakes).await.map_err(Failure::new)?;
        let retried = Retried::open(&FileObjects::new(Arc::new(Local::open(data_dir))))?;
        let retried = Arc::new(retried);
        let keeper = Keeper::open(data_dir, &intakes, log.contents(), report_lost.clone())?;
        let newest = Arc::new(Newest::new(Arc::clone(&log), Arc::clone(&access)));
        let exports = Exports::new(Arc::clone(&log), Arc::clone(&evidence), limits.exports_max);
        let api = Arc::new(State {
            log,
            newest,
            access,
            audit,
            evidence,
            witnesses,
            in_force: Arc::new(InForce::new(config)),
            data_dir: data_dir.to_owned(),
            requests: RequestMetrics::new(routes::all().iter().map(routes::Row::name)),
            intakes,
            retried,
            snapshots: Snapshots::default(),
            attempts: Attempts::default(),
            policies,
            hcs_pace: Pace::default(),
            exports: Arc::new(exports),
            started_at,
            in_flight: Semaphore::new(limits.requests_in_flight_max),
            downloads: Arc::new(Semaphore::new(limits.downloads_max)),
            tails: Arc::new(Semaphore::new(limits.tails_max)),
        });
        let shared = Shared {
            scheme: if tls.is_some() { "https" } else { "http" },
            intake_kib: Arc::new(Semaphore::new(
                limits.intake_bytes_in_flight_max.div_ceil(1024).min(Semaphore::MAX_PERMITS),
            )),
            stopping,
            api: Arc::clone(&api),
        };
        let housekeeping = Housekeeping::start(housekeeping_parts(&api), serving, keeper);
        let parts = witnesses::Parts {
            log: Arc::clone(&api.log),
            evidence: Arc::clone(&api.evidence),
            witnesses: Arc::clone(&api.witnesses),
            audit: Arc::clone(&api.audit),
        };
        let asking = Asking::start(&parts, &limits, report_lost.clone());
        let following = Following::start(
            &api.intakes,
            &api.log,
            &api.audit,
            &api.config().limits,
            data_dir,
            report_lost.clone(),
        );
        let reading = Reading::start(Arc::clone(&api.newest));
        let signing = Signing::start(
            Arc::clone(&api.evidence),
            Arc::clone(&api.log),
            Arc::clone(&api.audit),
            report_lost,
        );
        Ok(Server {
            app: App(Arc::new(shared)),
            listener,
            tls,
            syslog,
            stop,
            housekeeping,
            signing,
            asking,
            following,
            reading,
            fatal,
        })
    }

    /// The reloader of this server's configuration, as these flags and variables change it.
    /// `set_level` sets the level of the operational log.
    pub fn reloader(
        &self,
        data_dir: &Path,
        flags: Flags,
        variables: BTreeMap<String, String>,
        set_level: Box<dyn Fn(LogLevel) + Send + Sync>,
    ) -> Reloader {
        let own = self.tls.iter().map(|tls| (Holder::Server, Arc::clone(tls)));
        let of_sources = self
            .syslog
            .certificates()
            .map(|(source, tls)| (Holder::Source(source.to_owned()), Arc::clone(tls)));
        let certificates = own.chain(of_sources).collect();
        let state = &self.app.0.api;
        Reloader::new(
            &state.in_force,
            &state.audit,
            data_dir,
            certificates,
            flags,
            variables,
            set_level,
        )
    }

    /// Further sockets that the server listens on, for people.
    pub fn also_listens(&self) -> Vec<String> {
        self.syslog.described()
    }

    /// The bound address.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        self.listener.local_addr().map_err(|error| {
            Failure::new(format!("couldn't read the address listened on: {error}"))
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `until` resolves, or a durable write fails. Open requests are finished.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), Failure> {
        let limits = self.app.0.api.config().limits;
        let accepting = tokio::spawn(server::run(
            self.listener,
            self.tls,
            sockets::limits(&limits),
            self.app.clone(),
            self.stop.subscribe(),
        ));
        let syslog = self.syslog.start(&self.app.0.api.log, limits, &self.stop.subscribe());
        let failure = tokio::select! {
            () = until => None,
            failure = self.fatal.recv() => failure,
        };
        match &failure {
            None => {
                notify::tell(notify::STOPPING);
                tracing::info!("stopping: finishing open requests");
            }
            Some(failure) => {
                tracing::error!(failure, "a durable write failed; stopping, start again to recover")
            }
        }
        let _ = self.stop.send(true);
        let (accepted, ()) = tokio::join!(accepting, syslog.ended());
        if let Err(error) = accepted {
            return Err(Failure::new(format!("the accept loop ended: {error}")));
        }
        if let Some(failure) = failure {
            let text = format!("a durable write failed, start again to recover: {failure}");
            return Err(Failure { exit: Exit::WriteFailed, text });
        }
        // Connections are gone; a request that outlived its client may still hold the log for a
        // moment.
        self.reading.stop();
        self.following.stop();
        self.asking.stop();
        self.housekeeping.stop();
        self.signing.stop();
        let Some(shared) = Arc::into_inner(self.app.0) else { return Ok(()) };
        if let Some(state) = last_holder(shared.api).await
            && let Some(log) = last_holder(state.into_log()).await
        {
            log.close()?;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

const LAST_HOLDERS_ATTEMPTS: usize = 100;
const LAST_HOLDERS_PAUSE: Duration = Duration::from_millis(20);

/// Waits until nobody else holds a part, within limits.
async fn last_holder<T>(mut part: Arc<T>) -> Option<T> {
    for _ in 0..LAST_HOLDERS_ATTEMPTS {
        match Arc::try_unwrap(part) {
            Ok(part) => return Some(part),
            Err(still_held) => part = still_held,
        }
        tokio::time::sleep(LAST_HOLDERS_PAUSE).await;
    }
    None
}

fn housekeeping_parts(state: &State) -> housekeeping::Parts {
    housekeeping::Parts {
        log: Arc::clone(&state.log),
        access: Arc::clone(&state.access),
        audit: Arc::clone(&state.audit),
        intakes: state.intakes.clone(),
        retried: Arc::clone(&state.retried),
        in_force: Arc::clone(&state.in_force),
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
