//! `daybook export`: all matching events as a file, with a manifest signed by the log.
//!
//! Received bytes are in `FILE.part`, and `FILE.part.json` describes the export; a second run
//! resumes it. The file gets its name once its bytes are those of the manifest and on disk.

mod directory;

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::durable::{self, Disk, File, Local};

use super::question::{Log, LogLocation, Question, pair};
use super::reach::{Problem, Server, query_of};
use super::screen::with_commas;
use super::warn;
use client::ResponseStream;
use find::export::Format;
use server::failure::{Exit, Failure};

#[derive(clap::Args)]
#[command(
    after_long_help = "The file has the oldest event first, and all events as of one size of the \
                       log. FILE.manifest.json beside it has the search, the number of rows and \
                       the SHA-256 of the file, signed by the log; `daybook verify --export` \
                       checks it. An interrupted export is in FILE.part, and the same command \
                       resumes it. An export to standard output has no manifest. An export of a \
                       data directory is not recorded and has no manifest.\n\n\
                       docs/api/export.md lists the columns of csv and parquet, docs/ocsf.md the \
                       classes of ocsf.\n\n\
                       Examples:\n  \
                       daybook export outcome:failure --after 2026-11-01 --to failures.csv\n  \
                       daybook export trail:registry/acme/*/* --to registries.parquet \
                       --force\n  \
                       daybook export --to - | gzip > all.ndjson.gz\n  \
                       daybook export --data-dir /var/lib/daybook --to all.csv\n\n\
                       Exit codes: 0 complete; 1 not complete; 2 wrong search or command line; 5 \
                       the file differs from its manifest."
)]
pub struct Arguments {
    #[command(flatten)]
    question: Question,
    /// Format of the file. Default: that of its name (.csv, .parquet, .ocsf.ndjson), else ndjson.
    #[arg(long = "output", short, value_name = "FORMAT", value_parser = format())]
    output: Option<Format>,
    /// File to write; - is standard output.
    #[arg(long = "to", short, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file if it exists, and the rest of another export to it.
    #[arg(long)]
    force: bool,
    /// Export the log as it was when it had this many events.
    #[arg(long, value_name = "COUNT")]
    as_of: Option<u64>,
    #[command(flatten)]
    log: LogLocation,
}

/// The formats by their names.
fn format() -> impl TypedValueParser<Value = Format> {
    let named = |name: String| Format::from_text(&name).expect("one of the names");
    PossibleValuesParser::new(Format::ALL.map(Format::as_str)).map(named)
}

impl Arguments {
    /// The format of the command line, else that of the file's name, else NDJSON.
    fn format(&self) -> Format {
        let name = self.to.file_name().map(|name| name.to_string_lossy().to_lowercase());
        self.output.or_else(|| format_of(&name?)).unwrap_or(Format::Ndjson)
    }
}

/// The format that files of such a name have.
fn format_of(name: &str) -> Option<Format> {
    // `.ocsf.ndjson` comes before `.ndjson`.
    [Format::Ocsf, Format::Csv, Format::Parquet, Format::Ndjson]
        .into_iter()
        .find(|format| name.ends_with(&format!(".{}", format.ending())))
}

/// Bytes in a read.
const PIECE_BYTES: usize = 256 << 10;
/// Tries without progress, and the pauses before them, which double: about three minutes.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut pairs = arguments.question.pairs();
    let as_of = arguments.as_of.map(|size| pair("as_of", size));
    let server = match arguments.log.open("export")? {
        Log::Server(server) => server,
        Log::Directory(directory) => {
            pairs.extend(as_of);
            return directory::export(&directory, arguments, &pairs);
        }
    };
    pairs.push(pair("format", arguments.format().as_str()));
    pairs.extend(as_of);
    let explained = |problem| arguments.question.explain(problem);
    let counts_lines = arguments.format() != Format::Parquet;
    let mut download = Download {
        server: &server,
        requested: query_of(&pairs),
        bar: Bar::new(counts_lines),
        identity: None,
    };
    if arguments.to.as_os_str() == "-" {
        let mut sink = Stream::of(arguments.format())?;
        let received = download.receive_all(&mut sink, Progress::default());
        return download.verify(received.map_err(explained)?).map(|_| ());
    }
    let file = Target::of(&arguments.to)?;
    file.check(arguments.force)?;
    let (mut part, received) = file.resume(&mut download, arguments.force)?;
    let received = download.receive_all(&mut part, received).map_err(explained)?;
    match download.verify(received) {
        Ok(manifest) => file.finish(&part, Some(&manifest)),
        Err(failure) => {
            // The received bytes are wrong; the next run must not resume.
            if failure.exit == Exit::Refuted {
                file.forget();
            }
            Err(failure)
        }
    }
}

/// Identifies an export across requests.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ExportIdentity {
    /// Server and query as requested.
    requested: String,
    /// The same query as of one moment.
    query: String,
    /// Entity tag: the same for the same bytes.
    mark: String,
    rows: u64,
}

/// Counts and hash of the bytes so far.
#[derive(Clone, Default)]
struct Progress {
    bytes: u64,
    /// Line feeds.
    lines: u64,
    hash: Sha256,
}

impl Progress {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.hash.update(piece);
    }
}

/// Destination of an export.
trait Sink {
    /// Starts anew.
    fn begin(&mut self, identity: &ExportIdentity) -> std::io::Result<()>;
    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()>;
}

struct Stream {
    out: std::io::Stdout,
    has_begun: bool,
    /// The beginning of a line, if lines are made safe for a terminal.
    line: Option<Vec<u8>>,
}

impl Stream {
    /// Standard output. Errors if it is a terminal and the format is not text.
    fn of(format: Format) -> Result<Stream, Failure> {
        let out = std::io::stdout();
        let is_terminal = out.is_terminal();
        if is_terminal && format == Format::Parquet {
            return Err(Failure::new("Parquet is not for a terminal: give `--to FILE`"));
        }
        Ok(Stream { out, has_begun: false, line: is_terminal.then(Vec::new) })
    }
}

impl Sink for Stream {
    fn begin(&mut self, _: &ExportIdentity) -> std::io::Result<()> {
        if self.has_begun {
            return Err(std::io::Error::other(
                "the server sends the export from the start, and the output cannot be undone",
            ));
        }
        self.has_begun = true;
        Ok(())
    }

    fn write(&mut self, _: u64, bytes: &[u8]) -> std::io::Result<()> {
        let Some(line) = &mut self.line else { return self.out.write_all(bytes) };
        line.extend_from_slice(bytes);
        let end = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = line.split_off(end);
        let lines = std::mem::replace(line, rest);
        self.out.write_all(event::terminal::printable_lines(&lines).as_bytes())
    }
}

struct Download<'a> {
    server: &'a Server,
    /// The query as on the wire.
    requested: String,
    bar: Bar,
    identity: Option<ExportIdentity>,
}

/// Why a download stopped.
enum Interruption {
    /// A later try may succeed.
    Passing(Problem),
    Final(Problem),
}

fn failed(text: String) -> Problem {
    Problem { exit: Exit::Failed, status: None, text, parameter: None }
}

impl Download<'_> {
    /// Server and query, which identify the export before it is opened.
    fn request_identity(&self) -> String {
        format!("{}?{}", self.server.url(), self.requested)
    }

    /// Receives all remaining bytes, and reconnects after interruptions.
    fn receive_all(
        &mut self,
        sink: &mut dyn Sink,
        mut received: Progress,
    ) -> Result<Progress, Problem> {
        let mut tries = 0;
        loop {
            let before = received.bytes;
            let problem = match self.receive_once(sink, &mut received) {
                Ok(()) => {
                    self.bar.end();
                    return Ok(received);
                }
                Err(Interruption::Final(problem)) => {
                    self.bar.end();
                    return Err(problem);
                }
                Err(Interruption::Passing(problem)) => problem,
            };
            tries = if received.bytes > before { 1 } else { tries + 1 };
            // Report a wrong address at once.
            if tries == TRIES || (self.identity.is_none() && problem.status.is_none()) {
                self.bar.end();
                let text = format!("{}; the same command resumes the export", problem.text);
                return Err(Problem { text, ..problem });
            }
            self.bar.say(&format!("daybook: {}; trying again", problem.text));
            std::thread::sleep(PAUSE.saturating_mul(1 << (tries - 1)).min(PAUSE_MAX));
        }
    }

    /// Receives from one connection.
    fn receive_once(
        &mut self,
        sink: &mut dyn Sink,
        received: &mut Progress,
    ) -> Result<(), Interruption> {
        let mut headers = vec![("accept", "*/*".to_owned())];
        let query = match &self.identity {
            Some(identity) => {
                if received.bytes > 0 {
                    headers.push(("range", format!("bytes={}-", received.bytes)));
                    headers.push(("if-range", identity.mark.clone()));
                }
                identity.query.clone()
            }
            None => self.requested.clone(),
        };
        let opened = match self.server.open("/api/v1/export", &query, &headers) {
            Ok(opened) => opened,
            // All bytes had been received.
            Err(problem) if problem.status == Some(416) => return Ok(()),
            Err(problem) => {
                let is_passing =
                    problem.status.is_none_or(|status| matches!(status, 408 | 429 | 500..));
                return Err(if is_passing {
                    Interruption::Passing(problem)
                } else {
                    Interruption::Final(problem)
                });
            }
        };
        let identity = self.identity_of(&opened);
        if opened.status == 200 {
            if received.bytes > 0
                && self.identity.as_ref().is_some_and(|before| before.mark != identity.mark)
            {
                return Err(Interruption::Final(failed(
                    "the server now makes a different file; give --force to start over".to_owned(),
                )));
            }
            *received = Progress::default();
            sink.begin(&identity).map_err(|error| Interruption::Final(write_problem(&error)))?;
        }
        self.bar.begin(identity.rows);
        self.identity = Some(identity);
        self.read(opened, sink, received)
    }

    /// The export that a response is part of.
    fn identity_of(&self, opened: &ResponseStream) -> ExportIdentity {
        let header = |name: &str| opened.headers.get(name).and_then(|value| value.to_str().ok());
        let location = header("content-location").and_then(|location| location.split_once('?'));
        let requested = self
            .identity
            .as_ref()
            .map_or_else(|| self.request_identity(), |identity| identity.requested.clone());
        let rows = header("x-daybook-total").and_then(|rows| rows.parse().ok());
        ExportIdentity {
            requested,
            query: location.map_or_else(|| self.requested.clone(), |(_, query)| query.to_owned()),
            mark: header("etag").unwrap_or_default().to_owned(),
            rows: rows.unwrap_or(0),
        }
    }

    fn read(
        &self,
        mut opened: ResponseStream,
        sink: &mut dyn Sink,
        received: &mut Progress,
    ) -> Result<(), Interruption> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = opened.body.read(&mut piece);
            let len = read.map_err(|error| {
                Interruption::Passing(failed(format!("the connection broke off: {error}")))
            })?;
            if len == 0 {
                return Ok(());
            }
            sink.write(received.bytes, &piece[..len])
                .map_err(|error| Interruption::Final(write_problem(&error)))?;
            received.add(&piece[..len]);
            self.bar.show(received);
        }
    }

    /// Fetches the manifest. Errs if the received bytes are not those of the manifest.
    fn verify(&self, received: Progress) -> Result<Vec<u8>, Failure> {
        #[derive(Deserialize)]
        struct Manifest {
            bytes: u64,
            sha256: String,
            rows: u64,
        }
        let query = self.identity.as_ref().map_or(&self.requested, |identity| &identity.query);
        let opened = self.server.open("/api/v1/export/manifest", query, &[])?;
        let read = opened
            .read()
            .map_err(|error| Failure::new(format!("couldn't read the manifest: {error}")))?;
        let manifest = read.body.trim_ascii_start().to_vec();
        let expected: Manifest = serde_json::from_slice(&manifest)
            .map_err(|error| Failure::new(format!("the manifest cannot be read: {error}")))?;
        let hash = hex::encode(received.hash.finalize());
        if (expected.bytes, &expected.sha256) != (received.bytes, &hash) {
            let text = format!(
                "the received file differs from its manifest: {} bytes with SHA-256 {hash}, not {} \
                 with {}",
                received.bytes, expected.bytes, expected.sha256
            );
            return Err(Failure { exit: Exit::Refuted, text });
        }
        report(expected.rows, expected.bytes, &hash);
        Ok(manifest)
    }
}

/// Reports a complete file.
fn report(rows: u64, bytes: u64, hash: &str) {
    let events = if rows == 1 { "event" } else { "events" };
    warn(&format!("{} {events}, {} bytes, SHA-256 {hash}", with_commas(rows), with_commas(bytes)));
}

fn write_problem(error: &std::io::Error) -> Problem {
    failed(format!("couldn't write: {error}"))
}

/// The output file and the files beside it.
struct Target {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    name: String,
}

impl Target {
    fn of(path: &Path) -> Result<Target, Failure> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Failure::usage(format!("{} is not a file name", path.display())))?;
        let folder =
            path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        Ok(Target {
            path: path.to_owned(),
            disk: Arc::new(Local::open(folder)),
            name: name.to_owned(),
        })
    }

    fn beside(&self, ending: &str) -> String {
        format!("{}{ending}", self.name)
    }

    fn check(&self, force: bool) -> Result<(), Failure> {
        match fs::symlink_metadata(&self.path) {
            Ok(at) if !at.is_file() => {
                Err(Failure::usage(format!("{} is not a file", self.path.display())))
            }
            Ok(_) if !force => Err(Failure::usage(format!(
                "{} exists; give --force to replace it",
                self.path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Opens the rest of an interrupted run, if any.
    fn resume(
        &self,
        download: &mut Download<'_>,
        force: bool,
    ) -> Result<(Part<'_>, Progress), Failure> {
        let stored = durable::read_file(&*self.disk, &self.beside(PART_JSON)).ok();
        let identity =
            stored.and_then(|bytes| serde_json::from_slice::<ExportIdentity>(&bytes).ok());
        let file = self.disk.open_for_writing(&self.beside(PART)).ok();
        let Some((identity, file)) = identity.zip(file) else {
            return Ok((Part { target: self, file: None }, Progress::default()));
        };
        if identity.requested != download.request_identity() {
            if force {
                return Ok((Part { target: self, file: None }, Progress::default()));
            }
            return Err(Failure::usage(format!(
                "{}{PART} belongs to another export; remove it, or give --force",
                self.path.display()
            )));
        }
        let received = progress_of(&*file).map_err(|error| {
            Failure::new(format!("couldn't read {}{PART}: {error}", self.path.display()))
        })?;
        download.identity = Some(identity);
        Ok((Part { target: self, file: Some(file) }, received))
    }

    /// Gives the file its name, with its manifest beside it, if it has one.
    fn finish(&self, part: &Part<'_>, manifest: Option<&[u8]>) -> Result<(), Failure> {
        let finish = || {
            if let Some(manifest) = manifest {
                durable::write_file(&*self.disk, &self.beside(MANIFEST), manifest)?;
            }
            if let Some(file) = &part.file {
                durable::publish_file(&*self.disk, &**file, &self.beside(PART), &self.name)?;
            }
            self.disk.remove(&self.beside(PART_JSON))
        };
        finish().map_err(|error| {
            Failure::new(format!("couldn't write {}: {error}", self.path.display()))
        })
    }

    fn forget(&self) {
        for ending in [PART, PART_JSON] {
            // A remaining file is recognised by its query.
            let _ = self.disk.remove(&self.beside(ending));
        }
    }
}

pub const MANIFEST: &str = ".manifest.json";
const PART: &str = ".part";
const PART_JSON: &str = ".part.json";

/// An incomplete file.
struct Part<'a> {
    target: &'a Target,
    file: Option<Arc<dyn File>>,
}

impl Sink for Part<'_> {
    fn begin(&mut self, identity: &ExportIdentity) -> std::io::Result<()> {
        let identity = serde_json::to_vec(identity).map_err(std::io::Error::other)?;
        let disk = &*self.target.disk;
        // An old file must not be resumed as this one.
        self.file = Some(disk.create(&self.target.beside(PART))?);
        durable::write_file(disk, &self.target.beside(PART_JSON), &identity)?;
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        match &self.file {
            Some(file) => file.write_at(offset, bytes),
            None => Err(std::io::Error::other("no export was begun")),
        }
    }
}

fn progress_of(file: &dyn File) -> std::io::Result<Progress> {
    let len_bytes = file.len_bytes()?;
    let mut received = Progress::default();
    let mut piece = vec![0; PIECE_BYTES];
    while received.bytes < len_bytes {
        let len =
            usize::try_from(len_bytes - received.bytes).unwrap_or(usize::MAX).min(PIECE_BYTES);
        file.read_at(received.bytes, &mut piece[..len])?;
        received.add(&piece[..len]);
    }
    Ok(received)
}

/// Progress: rows where each is a line, else bytes. It draws on standard error, and only on a
/// terminal.
struct Bar {
    bar: ProgressBar,
    counts_lines: bool,
}

impl Bar {
    fn new(counts_lines: bool) -> Bar {
        Bar { bar: ProgressBar::no_length(), counts_lines }
    }

    fn begin(&self, rows: u64) {
        let template = if self.counts_lines {
            "{bar:30} {human_pos}/{human_len} rows {msg} {eta}"
        } else {
            "{spinner} {msg} {elapsed}"
        };
        self.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        self.bar.set_length(rows);
    }

    fn show(&self, received: &Progress) {
        if self.counts_lines {
            self.bar.set_position(received.lines);
        }
        self.bar.set_message(format!("{} bytes", with_commas(received.bytes)));
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| warn(text));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
