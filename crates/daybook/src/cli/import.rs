//! `daybook import`: records old files of a source.
//!
//! The command reads files with the code and the state of a server that follows them. Nothing is
//! recorded twice, neither by a second run nor by a server that followed the files or will. If a
//! server has the log open, the command sends it the files; otherwise it opens the log.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use event::Service;
use formats::{Continuation, Item};
use indicatif::ProgressBar;
use store::durable::Local as Disk;
use store::{FileObjects, Log, Settings};

use super::author::author;
use super::credentials::read_secret;
use super::{Location, no_data_dir, progress_bar, say, variables, warn};
use access::{LOCAL_HEADER, LocalKey};
use client::Client;
use config::pattern::Pattern;
use config::{self, Config, Source};
use event::terminal::printable;
use intake::audit::{OwnAudit, Who};
use intake::follow::content::{LocalFiles, is_compressed};
use intake::follow::follower::{Follower, Gap, Moment, Piece};
use intake::follow::prefix::Prefix;
use intake::follow::reader::{Reader, Sink, StateFile, StopReason};
use intake::follow::state::FILES_MAX;
use intake::follow::{LogSink, PIECE_BYTES, parse_limits, rules};
use intake::import;
use intake::piece::parse_piece;
use intake::{Arrival, Input, Intake, Tally, parse};
use server::command_log::by_author;
use server::evidence::{Evidence, guard};
use server::failure::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Files are read oldest first, each to its end; .gz and .zst files are \
                  decompressed. Lines that an earlier import or a following server recorded are \
                  recognised, so an import may be repeated until its exit code is 0.\n\n\
                  If a server runs, the command sends the lines to its address or --url, with the \
                  source's token or that of --token-file. Otherwise it opens the log itself.\n\n\
                  Examples:\n  \
                  daybook import db /var/backups/mysql/server_audit.log.* --config \
                  /etc/daybook.toml\n  \
                  daybook import db /var/backups/mysql --dry-run\n  \
                  ssh db cat /var/log/audit.log | daybook import db -\n\n\
                  Exit codes: 0 everything is recorded; 1 some files could not be read; 2 wrong \
                  command line; 4 a durable write failed. Rejected lines go to the dead-letter \
                  queue: see `daybook dead-letters list`.")]
pub struct Arguments {
    #[command(flatten)]
    location: Location,
    /// Name of the source in the configuration.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Files, folders of files, or - for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Parse and count everything, but record nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Address of the server. Default: that of the configuration.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the source's token. Default: the token of the configuration.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Longest wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries to reach a server, and the pause before a try and before a retry at an overloaded server.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(500);
/// Reasons that a dry run lists one by one.
const REASONS_MAX: usize = 20;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = config::load(&arguments.location.flags(None, None), &variables())?;
    let data_dir = config.data_dir.clone().ok_or_else(no_data_dir)?;
    let source = source(&config, &arguments.source)?;
    let job = Job { arguments, config: &config, data_dir: &data_dir, source: &source };
    if arguments.dry_run {
        let mut sink = DryRun {
            config: &config,
            source: &source,
            done: Vec::new(),
            tally: Tally::default(),
            reasons: BTreeMap::new(),
        };
        let outcome = job.read(&mut sink, false)?;
        let reasons: String = sink
            .reasons
            .iter()
            .map(|(reason, count)| format!("  {count} rejected: {}\n", printable(reason)))
            .collect();
        return outcome.report("would be recorded", &sink.tally, &reasons);
    }
    match open_log(&job)? {
        Some(log) => {
            let (outcome, tally) = job.record(Arc::new(log))?;
            outcome.report("recorded", &tally, "")
        }
        None => {
            let mut sink = Remote::of(&job)?;
            sink.begin(&job).map_err(failure)?;
            let outcome = job.read(&mut sink, true)?;
            outcome.report("recorded by the server", &sink.tally, "")
        }
    }
}

/// Files, source and log of an import.
struct Job<'a> {
    arguments: &'a Arguments,
    config: &'a Config,
    data_dir: &'a Path,
    source: &'a Source,
}

fn source(config: &Config, name: &str) -> Result<Source, Failure> {
    config.sources.iter().find(|source| source.name == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        Failure::usage(format!(
            "there is no source {name:?} in the configuration; it has {}",
            names.join(", ")
        ))
    })
}

/// Opens the log unless a server has it. A log that differs from what was signed is left unchanged.
fn open_log(job: &Job<'_>) -> Result<Option<Log>, Failure> {
    let limits = &job.config.limits;
    let settings = Settings {
        waiting_requests_max: limits.waiting_requests_max,
        flush_events: limits.flush_events,
        unflushed_events_max: limits.unflushed_events_max,
        cache_bytes_max: limits.index_cache_bytes_max,
        ..Settings::default()
    };
    let log = match Log::open(Arc::new(Disk::open(job.data_dir)), settings) {
        Ok(log) => log,
        Err(store::Error::Locked { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let guard = guard::folder_of(job.data_dir, job.config.evidence.guard.as_deref())
        .map_err(Failure::new)?;
    Evidence::open(job.data_dir, &guard, log.contents())?;
    Ok(Some(log))
}

impl Job<'_> {
    /// The names of the files, cut to the limit of the own audit.
    fn names(&self) -> String {
        let files: Vec<String> =
            self.arguments.files.iter().map(|file| file.display().to_string()).collect();
        let names = files.join(" ");
        names[..names.floor_char_boundary(import::NAMES_BYTES_MAX)].to_owned()
    }

    /// Records everything in a log opened here, and closes the log.
    fn record(&self, log: Arc<Log>) -> Result<(Outcome, Tally), Failure> {
        let (outcome, tally) = {
            let own = self.config.own.clone();
            let audit = OwnAudit::new(Arc::clone(&log), own, &self.config.limits);
            let act = import::begun(&self.source.name, &self.names(), Who::default());
            let act = by_author(act, &author());
            audit.record_now(act).map_err(Failure::new)?;
            let intake = Arc::new(Intake::of(self.source.clone(), system::now()));
            let stops = Arc::new(AtomicBool::new(false));
            let mut sink = LogSink::new(intake, &log, &audit, &self.config.limits, &stops);
            (self.read(&mut sink, true)?, sink.tally)
        };
        if let Some(log) = Arc::into_inner(log) {
            log.close()?;
        }
        Ok((outcome, tally))
    }

    /// Reads everything into a sink. `saves` decides whether the state of the files is saved.
    fn read(&self, sink: &mut dyn Sink, saves: bool) -> Result<Outcome, Failure> {
        let (standard_input, paths): (Vec<&PathBuf>, Vec<&PathBuf>) =
            self.arguments.files.iter().partition(|path| path.as_os_str() == "-");
        let mut outcome = Outcome::default();
        let bar = progress_bar();
        if !paths.is_empty() {
            self.read_files(&paths, sink, saves, &bar, &mut outcome)?;
        }
        if !standard_input.is_empty() {
            self.read_stream(&mut std::io::stdin().lock(), sink, &bar).map_err(failure)?;
            outcome.files += 1;
        }
        bar.finish_and_clear();
        Ok(outcome)
    }

    fn read_files(
        &self,
        paths: &[&PathBuf],
        sink: &mut dyn Sink,
        saves: bool,
        bar: &ProgressBar,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let mut patterns = Vec::new();
        for path in paths {
            let whole =
                std::path::absolute(path).and_then(|path| path.metadata().map(|at| (path, at)));
            let (path, at) = whole.map_err(|error| {
                Failure::usage(format!("couldn't read {}: {error}", path.display()))
            })?;
            if !at.is_dir() && !at.is_file() {
                return Err(Failure::usage(format!(
                    "{} is neither a file nor a folder",
                    path.display()
                )));
            }
            // A compressed file counts with ten times its size.
            let ratio = if is_compressed(&path) { 10 } else { 1 };
            bar.inc_length(if at.is_file() { at.len() * ratio } else { folder_bytes(&path) });
            patterns.push(Pattern::literal(&path));
        }
        let objects = FileObjects::new(Arc::new(Disk::open(self.data_dir)));
        let (state, known) = StateFile::open(objects, &self.source.name).map_err(Failure::new)?;
        let rules =
            rules(self.source, &self.config.limits, true, &Arc::new(AtomicBool::new(false)));
        let follower = Follower::resume(
            LocalFiles::new(patterns, FILES_MAX),
            rules,
            known,
            Moment::at_start(),
        );
        let mut reading = Reader::new(follower, sink, Some(state).filter(|_| saves));
        let failed = reading.pass(&mut |read| bar.set_position(read)).map_err(failure)?;
        reading.write_if_changed().map_err(failure)?;
        let (found, finished) = reading.follower.counts();
        (outcome.files, outcome.unfinished) = (found, found - finished);
        outcome.broken = reading.follower.broken();
        outcome.failed = failed;
        Ok(())
    }

    /// Reads a stream, which has no path to be recognised by: lines are identified by all bytes
    /// before them.
    fn read_stream(
        &self,
        stream: &mut dyn Read,
        sink: &mut dyn Sink,
        bar: &ProgressBar,
    ) -> Result<(), StopReason> {
        let record_bytes_max = self.config.limits.body_bytes_max;
        let (mut prefix, mut bytes, mut room) =
            (Prefix::default(), Vec::new(), PIECE_BYTES.min(record_bytes_max));
        let (mut log_file, mut ticket) = (None, 0);
        loop {
            let missing = (room - bytes.len().min(room)) as u64;
            let read = stream.take(missing).read_to_end(&mut bytes);
            let read = read.map_err(|error| {
                StopReason::Failed(format!("couldn't read standard input: {error}"))
            })?;
            let is_end = (read as u64) < missing;
            let follows = if is_end { Continuation::Nothing } else { Continuation::More };
            let whole = match self.source.format.complete_bytes(&bytes, follows) {
                0 if is_end || room >= record_bytes_max => bytes.len(),
                0 => {
                    room = (2 * room).min(record_bytes_max);
                    continue;
                }
                whole => whole,
            };
            if whole > 0 {
                let rest = bytes.split_off(whole);
                let piece = std::mem::replace(&mut bytes, rest);
                let offset = prefix.offset();
                prefix.push(&piece);
                bar.set_position(prefix.offset());
                ticket += 1;
                let file = prefix.mark().fingerprint();
                let log_file = log_file.get_or_insert_with(|| format!("stdin-{file}")).clone();
                let len = piece.len();
                sink.send(Piece { ticket, file, log_file, offset, bytes: piece, len })?;
                sink.take_recorded(true)?;
            }
            room = PIECE_BYTES.min(record_bytes_max);
            if is_end && bytes.is_empty() {
                return Ok(());
            }
        }
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let files = entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    files
        .filter(|(_, at)| at.is_file())
        .map(|(path, at)| at.len() * if is_compressed(&path) { 10 } else { 1 })
        .sum()
}

fn failure(ended: StopReason) -> Failure {
    match ended {
        StopReason::Failed(why) => Failure::new(why),
        StopReason::StorageFull => Failure::new(
            "there is no room on the disk; run the import again once there is: what is recorded is \
             not recorded twice",
        ),
        StopReason::WriteFailed(error) => {
            Failure { exit: Exit::WriteFailed, text: error.to_string() }
        }
        StopReason::Stopped => Failure {
            exit: Exit::WriteFailed,
            text: "the log accepts no more events; run the import again once it does".to_owned(),
        },
    }
}

/// Result of an import.
#[derive(Default)]
struct Outcome {
    files: usize,
    unfinished: usize,
    /// Compressed files that do not read to their end, in this run or an earlier one.
    broken: Vec<PathBuf>,
    failed: Vec<(PathBuf, String)>,
}

impl Outcome {
    fn report(&self, done: &str, tally: &Tally, reasons: &str) -> Result<(), Failure> {
        let Tally { recorded, duplicate, dead_letters, skipped } = tally;
        say(&format!(
            "files: {}\n\
             {done}: {recorded}\n\
             recorded before: {duplicate}\n\
             dead letters: {dead_letters}\n\
             {reasons}skipped: {skipped}\n",
            self.files
        ))?;
        for (path, why) in &self.failed {
            warn(&format!("daybook: couldn't read {}: {why}", path.display()));
        }
        let again = |(path, _): &&(PathBuf, String)| !self.broken.contains(path);
        match self.failed.iter().filter(again).count().max(self.unfinished) {
            0 if self.broken.is_empty() => Ok(()),
            0 => Err(Failure::new(format!(
                "{} {} cannot be decompressed to the end; all before it is recorded, and another \
                 run changes nothing: get a whole copy",
                self.broken.len(),
                if self.broken.len() == 1 { "file" } else { "files" }
            ))),
            count => Err(Failure::new(format!(
                "{count} files were not read to their end; run the import again"
            ))),
        }
    }
}

/// Sends the lines to a running server, piece by piece. A response means that the piece is durable.
struct Remote<'a> {
    client: Client,
    url: String,
    token: String,
    key: LocalKey,
    source: &'a Source,
    done: Vec<u64>,
    tally: Tally,
}

impl<'a> Remote<'a> {
    fn of(job: &Job<'a>) -> Result<Remote<'a>, Failure> {
        let token = match &job.arguments.token_file {
            Some(file) => read_secret(file)?,
            None => job.source.token.as_ref().map(|token| token.expose().to_owned()).ok_or_else(|| {
                Failure::usage(format!(
                    "a server has the log open, and source {:?} has no token; configure one, or \
                     stop the server",
                    job.source.name
                ))
            })?,
        };
        let base = job.arguments.url.clone().unwrap_or_else(|| url_of(job.config));
        let url = format!("{}/intake/{}", base.trim_end_matches('/'), job.source.name);
        let (done, tally) = (Vec::new(), Tally::default());
        Ok(Remote {
            client: Client::new(RESPONSE_TIMEOUT),
            url,
            token,
            key: LocalKey::read(job.data_dir).map_err(Failure::new)?,
            source: job.source,
            done,
            tally,
        })
    }

    /// Announces the import to the server, which records it.
    fn begin(&self, job: &Job<'_>) -> Result<(), StopReason> {
        self.post("import=begins", job.names().as_bytes()).map(drop)
    }

    /// Sends a piece, and waits as long as the server is overloaded.
    fn post(&self, query: &str, bytes: &[u8]) -> Result<serde_json::Value, StopReason> {
        let url = format!("{}?{query}", self.url);
        let headers = [
            ("authorization", format!("Bearer {}", self.token)),
            (LOCAL_HEADER, self.key.prove(&self.source.name, query, bytes)),
        ];
        let mut tries = 0;
        loop {
            match self.client.post_with(&url, &headers, bytes) {
                Ok(answer) if answer.status == 200 => {
                    return serde_json::from_slice(&answer.body).map_err(|error| {
                        StopReason::Failed(format!(
                            "{}: the response is not JSON: {error}",
                            self.url
                        ))
                    });
                }
                // The server is overloaded for a moment.
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => {
                    let text =
                        String::from_utf8_lossy(&answer.body).chars().take(200).collect::<String>();
                    return Err(StopReason::Failed(format!(
                        "{} answered {}: {}",
                        self.url,
                        answer.status,
                        printable(&text)
                    )));
                }
                Err(why) if tries >= TRIES => return Err(StopReason::Failed(why)),
                Err(_) => tries += 1,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The URL of the configured server.
fn url_of(config: &Config) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        let local: std::net::IpAddr = match address.ip() {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(local);
    }
    format!("{scheme}://{address}")
}

impl Sink for Remote<'_> {
    fn send(&mut self, piece: Piece) -> Result<(), StopReason> {
        let mut query = format!("file={}&offset={}", piece.file, piece.offset);
        if self.source.trail.service() == Service::Database {
            query.push_str("&log_file=");
            query.extend(piece.log_file.bytes().map(escape));
        }
        let answer = self.post(&query, &piece.bytes)?;
        self.tally.add(tally_of(&answer));
        self.done.push(piece.ticket);
        Ok(())
    }

    fn take_recorded(&mut self, _: bool) -> Result<Vec<u64>, StopReason> {
        Ok(std::mem::take(&mut self.done))
    }

    fn report_gap(&mut self, gap: &Gap) -> Result<(), StopReason> {
        warn(&text_of(gap));
        Ok(())
    }
}

fn tally_of(answer: &serde_json::Value) -> Tally {
    let list = |name: &str| answer[name].as_array().map_or(0, |list| list.len() as u64);
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    Tally {
        recorded: number("recorded"),
        duplicate: list("duplicates"),
        dead_letters: list("dead_letters"),
        skipped: number("skipped"),
    }
}

fn text_of(gap: &Gap) -> String {
    let to = gap.to.map_or("its end".to_owned(), |to| format!("byte {to}"));
    format!(
        "daybook: {} from byte {} to {to} is not recorded: {}",
        gap.path.display(),
        gap.from,
        gap.why
    )
}

/// A byte escaped for a query.
fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Counts the results of a dry run.
struct DryRun<'a> {
    config: &'a Config,
    source: &'a Source,
    done: Vec<u64>,
    tally: Tally,
    reasons: BTreeMap<String, u64>,
}

impl DryRun<'_> {
    fn reject(&mut self, reason: String) {
        self.tally.dead_letters += 1;
        let is_new = !self.reasons.contains_key(&reason);
        let reason = if is_new && self.reasons.len() >= REASONS_MAX {
            "other reasons".to_owned()
        } else {
            reason
        };
        *self.reasons.entry(reason).or_default() += 1;
    }
}

impl Sink for DryRun<'_> {
    fn send(&mut self, piece: Piece) -> Result<(), StopReason> {
        let limits = parse_limits(&self.config.limits);
        let arrival = Arrival {
            received_at: system::now(),
            log_file: None,
            headers: &[],
            peer: None,
            position: None,
        };
        let parts = parse_piece(&piece.bytes, self.source.format, |bytes| {
            parse(Input::Body(bytes), arrival, self.source, limits)
        });
        for part in parts {
            match part {
                Err(reason) => self.reject(reason),
                Ok(items) => items.into_iter().for_each(|item| match item {
                    Item::Event(_) => self.tally.recorded += 1,
                    Item::Rejected(record) => self.reject(record.reason),
                    Item::Skipped(_) => self.tally.skipped += 1,
                }),
            }
        }
        self.done.push(piece.ticket);
        Ok(())
    }

    fn take_recorded(&mut self, _: bool) -> Result<Vec<u64>, StopReason> {
        Ok(std::mem::take(&mut self.done))
    }

    fn report_gap(&mut self, gap: &Gap) -> Result<(), StopReason> {
        warn(&text_of(gap));
        Ok(())
    }
}
