//! The running server: opens the parts that the configuration names, takes connections, and ends in
//! order.

mod app;
mod entrance;
mod ingest;
mod refusal;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::durable::Local;
use store::{FileObjects, Log, Settings, SpaceLimits};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use self::entrance::Entrance;
use crate::audit_policies::Policies;
use crate::budget::Budget;
use crate::caller_rates::CallerRates;
use crate::evidence::witnesses::{self, Cosigning, Witnesses};
use crate::evidence::{self, Evidence, Signing};
use crate::export::Exports;
use crate::failure::{Exit, Failure};
use crate::housekeeping::{self, Housekeeping};
use crate::lifecycle::{self, RecoverySummary};
use crate::live::{Newest, Reading};
use crate::pace::Pace;
use crate::permits::CallerPermits;
use crate::reload::{Holder, Reloader};
use crate::request_metrics::RequestMetrics;
use crate::rights_log::RightsLog;
use crate::shares::Shares;
use crate::snapshots::Snapshots;
use crate::state::State;
use crate::{notify, routes};
use access::Access;
use access::attempts::Attempts;
use config::{Config, CurrentConfig, Flags, LogLevel};
use intake::Intake;
use intake::audit::OwnAudit;
use intake::follow::FollowThreads;
use intake::monitor::source_monitor::SourceMonitor;
use intake::retried::Retried;
use intake::sockets;
use net::server;
use net::tls::Renewable;
use system::steady::{JumpLimits, SteadyClock};

/// A server that takes requests.
pub struct Server {
    app: App,
    address: SocketAddr,
    accepting: JoinHandle<()>,
    tls: Option<Arc<Renewable>>,
    syslog: intake::syslog::BoundSockets,
    stop: watch::Sender<bool>,
    threads: Threads,
    fatal: tokio::sync::mpsc::Receiver<String>,
}

/// The threads beside the connections.
struct Threads {
    housekeeping: Housekeeping,
    signing: Signing,
    cosigning: Cosigning,
    following: FollowThreads,
    reading: Reading,
}

/// The server as its connections see it. Clones are the same server.
#[derive(Clone)]
struct App(Arc<Shared>);

struct Shared {
    state: Arc<State>,
    scheme: &'static str,
    /// The configured sources by name.
    intakes: HashMap<String, Arc<Intake>>,
    /// Intake bytes held, in KiB.
    intake_kib: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// Binds the address, opens the log and the rights, and lets requests in.
    pub async fn open(config: Config, data_dir: &Path) -> Result<Server, Failure> {
        let tls = config
            .tls
            .as_ref()
            .map(|tls| net::tls::for_http(sockets::pem_files(tls)))
            .transpose()
            .map_err(Failure::usage)?
            .map(Renewable::new);
        let (stop, stopping) = watch::channel(false);
        // First of all: a taken address is an error before anything is read, and while the log is
        // opened somebody answers.
        let listener = listen(config.listen).await?;
        let address = address_of(&listener)?;
        tracing::info!(%address, "listening; opening the log");
        let entrance = Entrance::default();
        let accepting = tokio::spawn(server::run(
            listener,
            tls.clone(),
            sockets::limits(&config.limits),
            entrance.clone(),
            stop.subscribe(),
        ));
        let (report, fatal) = tokio::sync::mpsc::channel(1);
        let report_fatal = move |error: &store::Error| {
            // The channel holds one message; the first is enough.
            let _ = report.try_send(error.to_string());
        };
        let clock = Arc::new(SteadyClock::start(JumpLimits {
            jump_s: config.limits.clock_jump_s,
            accept_after_s: config.limits.clock_accept_after_s,
        }));
        let log = open_log(&config, data_dir, &clock, report_fatal.clone())?;
        let recovery = RecoverySummary::of(&log);
        // Before anything is recorded: a log that differs from what was signed must stay as it is.
        let guard = evidence::guard::folder_of(data_dir, config.evidence.guard.as_deref());
        let evidence = Evidence::open(data_dir, &guard.map_err(Failure::new)?, log.contents())?;
        let witnesses = Witnesses::open(data_dir, config.witnesses.clone(), log.contents())?;
        let (log, evidence) = (Arc::new(log), Arc::new(evidence));
        let witnesses = Arc::new(witnesses);
        let audit = OwnAudit::new(Arc::clone(&log), config.own.clone(), &config.limits);
        let audit = Arc::new(audit);
        let serving = housekeeping::begin(data_dir, &config, &audit, &log).map_err(Failure::new)?;
        let rights = RightsLog { log: Arc::clone(&log), audit: Arc::clone(&audit) };
        let access = Access::open(data_dir, &config.own, &rights).map_err(Failure::new)?;
        let access = Arc::new(access);
        let policies = Policies::load(&log, &config.own)?;
        let limits = config.limits;
        let started_at = system::now();
        let intakes: Vec<Arc<Intake>> = config
            .sources
            .iter()
            .map(|source| Arc::new(Intake::of(source.clone(), started_at)))
            .collect();
        let retried = Retried::open(&FileObjects::new(Arc::new(Local::open(data_dir))))?;
        let retried = Arc::new(retried);
        let monitor =
            SourceMonitor::open(data_dir, &intakes, log.contents(), report_fatal.clone())?;
        // As late as can be: no transport has a response, so what arrives before somebody reads it
        // is lost if the start fails.
        let syslog = intake::syslog::bind(&intakes).await.map_err(Failure::new)?;
        let newest = Arc::new(Newest::new(Arc::clone(&log), Arc::clone(&access)));
        let export_permits = CallerPermits::new(limits.exports_max, limits.exports_per_caller_max);
        let exports = Exports::new(Arc::clone(&log), Arc::clone(&evidence), export_permits);
        let requests = RequestMetrics::new(routes::all().iter().map(routes::Row::name));
        let (expensive_max, of_caller_max) =
            (limits.expensive_queries_max, limits.expensive_queries_per_caller_max);
        let state = Arc::new(State {
            log,
            newest,
            access,
            audit,
            evidence,
            witnesses,
            in_force: Arc::new(CurrentConfig::new(config)),
            data_dir: data_dir.to_owned(),
            requests: Arc::new(requests),
            intakes,
            retried,
            clock,
            snapshots: Snapshots::default(),
            attempts: Attempts::default(),
            callers: CallerRates::default(),
            policies,
            hcs_pace: Pace::default(),
            completions: Pace::default(),
            exports: Arc::new(exports),
            started_at,
            shares: Shares::new(&limits),
            expensive: CallerPermits::new(expensive_max, of_caller_max),
            answers: Budget::new(limits.answers_bytes_max),
            downloads: Arc::new(Semaphore::new(limits.downloads_max)),
            tails: CallerPermits::new(limits.live_tails_max, limits.live_tails_per_caller_max),
        });
        let shared = Shared {
            scheme: if tls.is_some() { "https" } else { "http" },
            intakes: by_name(&state.intakes),
            intake_kib: Arc::new(Semaphore::new(
                limits.intake_bytes_in_flight_max.div_ceil(1024).min(Semaphore::MAX_PERMITS),
            )),
            stopping,
            state: Arc::clone(&state),
        };
        lifecycle::record_start(&state.log, &state.audit, &recovery);
        let threads = Threads::start(&state, serving, monitor, &report_fatal);
        let app = App(Arc::new(shared));
        entrance.open(app.clone());
        Ok(Server { app, address, accepting, tls, syslog, stop, threads, fatal })
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
        let state = &self.app.0.state;
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
        self.syslog.descriptions()
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until `until` resolves, or a durable write fails. Open requests are finished.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<(), Failure> {
        let limits = self.app.0.state.config().limits;
        let syslog = self.syslog.start(&self.app.0.state.log, limits, &self.stop.subscribe());
        let failure = tokio::select! {
            () = until => None,
            failure = self.fatal.recv() => failure,
        };
        match &failure {
            None => {
                notify::send(notify::STOPPING);
                tracing::info!("stopping: finishing open requests");
            }
            Some(failure) => {
                tracing::error!(failure, "a durable write failed; stopping, start again to recover")
            }
        }
        let _ = self.stop.send(true);
        let (accepted, ()) = tokio::join!(self.accepting, syslog.wait_until_durable());
        if let Err(error) = accepted {
            return Err(Failure::new(format!("the accept loop ended: {error}")));
        }
        if let Some(failure) = failure {
            let text = format!("a durable write failed, start again to recover: {failure}");
            return Err(Failure { exit: Exit::WriteFailed, text });
        }
        // Connections are gone; a request that outlived its client may still hold the log for a
        // moment.
        let audit = Arc::clone(&self.app.0.state.audit);
        self.threads.stop(&audit);
        drop(audit);
        let Some(shared) = Arc::into_inner(self.app.0) else { return Ok(()) };
        if let Some(state) = last_holder(shared.state).await
            && let Some(log) = last_holder(state.into_log()).await
        {
            log.close()?;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

fn by_name(intakes: &[Arc<Intake>]) -> HashMap<String, Arc<Intake>> {
    intakes.iter().map(|intake| (intake.source.name.clone(), Arc::clone(intake))).collect()
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

/// Opens the log. `report_fatal` is called when a durable write fails.
fn open_log(
    config: &Config,
    data_dir: &Path,
    clock: &Arc<SteadyClock>,
    report_fatal: impl Fn(&store::Error) + Send + Sync + 'static,
) -> Result<Log, Failure> {
    let began = Instant::now();
    let clock = Arc::clone(clock);
    let settings = Settings {
        waiting_requests_max: config.limits.waiting_requests_max,
        flush_events: config.limits.flush_events,
        unflushed_events_max: config.limits.unflushed_events_max,
        cache_bytes_max: config.limits.index_cache_bytes_max,
        clock: Arc::new(move || began.elapsed()),
        latest: Arc::new(move || clock.latest()),
        on_fatal: Arc::new(report_fatal),
        space: SpaceLimits {
            reserve_bytes: config.storage.reserve_bytes,
            low_water_bytes: config.storage.low_water_bytes,
            low_water_percent: config.storage.low_water_percent,
        },
        ..Settings::default()
    };
    let log = Log::open(Arc::new(Local::open(data_dir)), settings)?;
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
    // Before anybody is answered.
    housekeeping::check_space(&log);
    Ok(log)
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::new(format!("couldn't read the address listened on: {error}")))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; choose another with --listen",
            _ => "",
        };
        Failure::new(format!("couldn't listen on {address}: {error}{hint}"))
    })
}

impl Threads {
    /// `report_fatal` is called when what a thread wrote cannot be made durable.
    fn start(
        state: &State,
        serving: housekeeping::Serving,
        monitor: SourceMonitor,
        report_fatal: &(impl Fn(&store::Error) + Clone + Send + Sync + 'static),
    ) -> Threads {
        let limits = state.config().limits;
        let witnesses = witnesses::Parts {
            log: Arc::clone(&state.log),
            evidence: Arc::clone(&state.evidence),
            witnesses: Arc::clone(&state.witnesses),
            audit: Arc::clone(&state.audit),
        };
        Threads {
            housekeeping: Housekeeping::start(housekeeping_parts(state), serving, monitor),
            cosigning: Cosigning::start(&witnesses, &limits, report_fatal.clone()),
            following: FollowThreads::start(
                &state.intakes,
                &state.log,
                &state.audit,
                &limits,
                &state.data_dir,
                report_fatal.clone(),
            ),
            reading: Reading::start(Arc::clone(&state.newest)),
            signing: Signing::start(
                Arc::clone(&state.evidence),
                Arc::clone(&state.log),
                Arc::clone(&state.audit),
                Duration::from_secs(limits.guard_lost_max_s),
                report_fatal.clone(),
            ),
        }
    }

    /// Ends the threads in order: those that record before the one that signs what they recorded.
    /// The stop is the last event before it.
    fn stop(self, audit: &OwnAudit) {
        self.reading.stop();
        self.following.stop();
        self.cosigning.stop();
        self.housekeeping.stop();
        lifecycle::record_stop(audit);
        self.signing.stop();
    }
}

fn housekeeping_parts(state: &State) -> housekeeping::Parts {
    housekeeping::Parts {
        log: Arc::clone(&state.log),
        access: Arc::clone(&state.access),
        audit: Arc::clone(&state.audit),
        intakes: state.intakes.clone(),
        retried: Arc::clone(&state.retried),
        in_force: Arc::clone(&state.in_force),
        data_dir: state.data_dir.clone(),
        clock: Arc::clone(&state.clock),
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
