//! `daybook export`: all that matches as a file, with a manifest that the log signed.
//!
//! What was received is in `FILE.part`, and in `FILE.part.json` what it is the beginning of; a
//! second run goes on there. The file gets its name once it is what the manifest says, and on disk.

mod directory;

use std::fs;
use std::io::{Read, Write};
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
use super::screen::grouped;
use super::warn;
use client::Opened;
use find::export::Format;
use server::failure::{Exit, Failure};

#[derive(clap::Args)]
#[command(
    after_long_help = "The file is oldest first, and as of one size of the log. Beside it is FILE.manifest.json, with the question, the number\nof rows and the file's SHA-256, signed by the log; `daybook verify --export` checks it. What was received of an export\nthat was broken off is in FILE.part, and the same command goes on there. To standard output no manifest is written.\nOf a data directory the file is made here: nobody records that, and there is no manifest.\n\n\
                       The columns of csv and parquet are in docs/api/export.md, the classes of ocsf in docs/ocsf.md.\n\n\
                       Examples:\n  daybook export outcome:failure --after 2026-11-01 --format csv --output failures.csv\n  daybook export trail:registry/acme/*/* --format parquet --output registries.parquet --force\n  daybook export --format ndjson --output - | gzip > all.ndjson.gz\n  daybook export --data-dir /var/lib/daybook --format csv --output all.csv\n\n\
                       Exit codes: 0 the file is whole; 1 it is not; 2 wrong search or command line; 5 it is not what the manifest says."
)]
pub struct Arguments {
    #[command(flatten)]
    question: Question,
    /// How the file is written.
    #[arg(long, value_name = "FORMAT", default_value = "ndjson", value_parser = format())]
    format: Format,
    /// The file; - is standard output.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it is there, and what is left of another export to it.
    #[arg(long)]
    force: bool,
    /// Export what the log had when it had this many events.
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

/// Bytes received at once.
const PIECE_BYTES: usize = 256 << 10;
/// Tries without a byte in between, and the pauses before them, which double: about three minutes.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut pairs = arguments.question.pairs();
    let as_of = arguments.as_of.map(|size| pair("as_of", size));
    let server = match arguments.log.open()? {
        Log::Server(server) => server,
        Log::Directory(directory) => {
            pairs.extend(as_of);
            return directory::export(&directory, arguments, &pairs);
        }
    };
    pairs.push(pair("format", arguments.format.as_str()));
    pairs.extend(as_of);
    let explained = |problem| arguments.question.explain(problem);
    let counts_lines = arguments.format != Format::Parquet;
    let mut download = Download {
        server: &server,
        asked: query_of(&pairs),
        bar: Bar::hidden(counts_lines),
        known: None,
    };
    if arguments.output.as_os_str() == "-" {
        let mut sink = Stream { out: std::io::stdout(), has_begun: false };
        let received = download.all(&mut sink, Received::default());
        return download.checked(received.map_err(explained)?).map(|_| ());
    }
    let file = Target::of(&arguments.output)?;
    file.check(arguments.force)?;
    let (mut part, received) = file.resume(&mut download, arguments.force)?;
    let received = download.all(&mut part, received).map_err(explained)?;
    match download.checked(received) {
        Ok(manifest) => file.finish(&part, Some(&manifest)),
        Err(failure) => {
            // There is nothing to go on from.
            if failure.exit == Exit::Refuted {
                file.forget();
            }
            Err(failure)
        }
    }
}

/// What an export is, however often it is asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The server and the question, as they were asked.
    asked: String,
    /// The same question, of one moment.
    query: String,
    /// The same for the same bytes.
    mark: String,
    rows: u64,
}

/// What was received so far.
#[derive(Clone, Default)]
struct Received {
    bytes: u64,
    /// Line feeds.
    lines: u64,
    hash: Sha256,
}

impl Received {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.hash.update(piece);
    }
}

/// Where an export goes.
trait Sink {
    /// Forgets what there is.
    fn begin(&mut self, known: &Known) -> std::io::Result<()>;
    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()>;
}

struct Stream {
    out: std::io::Stdout,
    has_begun: bool,
}

impl Sink for Stream {
    fn begin(&mut self, _: &Known) -> std::io::Result<()> {
        if self.has_begun {
            return Err(std::io::Error::other(
                "the server begins anew, and what was written cannot be taken back",
            ));
        }
        self.has_begun = true;
        Ok(())
    }

    fn write(&mut self, _: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.out.write_all(bytes)
    }
}

struct Download<'a> {
    server: &'a Server,
    /// The question, as on the wire.
    asked: String,
    bar: Bar,
    known: Option<Known>,
}

/// Why what comes is taken no further.
enum Broken {
    /// It may go on.
    Later(Problem),
    Never(Problem),
}

fn failed(text: String) -> Problem {
    Problem { exit: Exit::Failed, status: None, text, parameter: None }
}

impl Download<'_> {
    /// What this export is known by before it is opened.
    fn whole_question(&self) -> String {
        format!("{}?{}", self.server.url(), self.asked)
    }

    /// Receives everything behind what was received, again and again where it breaks off.
    fn all(&mut self, sink: &mut dyn Sink, mut received: Received) -> Result<Received, Problem> {
        let mut tries = 0;
        loop {
            let before = received.bytes;
            let problem = match self.some(sink, &mut received) {
                Ok(()) => {
                    self.bar.end();
                    return Ok(received);
                }
                Err(Broken::Never(problem)) => {
                    self.bar.end();
                    return Err(problem);
                }
                Err(Broken::Later(problem)) => problem,
            };
            tries = if received.bytes > before { 1 } else { tries + 1 };
            // Whoever gives a wrong address is told so at once.
            if tries == TRIES || (self.known.is_none() && problem.status.is_none()) {
                self.bar.end();
                let text = format!("{}; the same command goes on where it broke off", problem.text);
                return Err(Problem { text, ..problem });
            }
            self.bar.say(&format!("daybook: {}; trying again", problem.text));
            std::thread::sleep(PAUSE.saturating_mul(1 << (tries - 1)).min(PAUSE_MAX));
        }
    }

    /// One connection.
    fn some(&mut self, sink: &mut dyn Sink, received: &mut Received) -> Result<(), Broken> {
        let mut headers = vec![("accept", "*/*".to_owned())];
        let query = match &self.known {
            Some(known) => {
                if received.bytes > 0 {
                    headers.push(("range", format!("bytes={}-", received.bytes)));
                    headers.push(("if-range", known.mark.clone()));
                }
                known.query.clone()
            }
            None => self.asked.clone(),
        };
        let opened = match self.server.open("/api/v1/export", &query, &headers) {
            Ok(opened) => opened,
            // There was nothing behind what was received.
            Err(problem) if problem.status == Some(416) => return Ok(()),
            Err(problem) => {
                let is_passing =
                    problem.status.is_none_or(|status| matches!(status, 408 | 429 | 500..));
                return Err(if is_passing {
                    Broken::Later(problem)
                } else {
                    Broken::Never(problem)
                });
            }
        };
        let known = self.known_of(&opened);
        if opened.status == 200 {
            if received.bytes > 0
                && self.known.as_ref().is_some_and(|before| before.mark != known.mark)
            {
                return Err(Broken::Never(failed(
                    "the server makes another file of it now; give --force to begin anew"
                        .to_owned(),
                )));
            }
            *received = Received::default();
            sink.begin(&known).map_err(|error| Broken::Never(not_written(&error)))?;
        }
        self.bar.begin(known.rows);
        self.known = Some(known);
        self.read(opened, sink, received)
    }

    /// What an answer says that it is part of.
    fn known_of(&self, opened: &Opened) -> Known {
        let header = |name: &str| opened.headers.get(name).and_then(|value| value.to_str().ok());
        let location = header("content-location").and_then(|location| location.split_once('?'));
        let asked =
            self.known.as_ref().map_or_else(|| self.whole_question(), |known| known.asked.clone());
        let rows = header("x-daybook-total").and_then(|rows| rows.parse().ok());
        Known {
            asked,
            query: location.map_or_else(|| self.asked.clone(), |(_, query)| query.to_owned()),
            mark: header("etag").unwrap_or_default().to_owned(),
            rows: rows.unwrap_or(0),
        }
    }

    fn read(
        &self,
        mut opened: Opened,
        sink: &mut dyn Sink,
        received: &mut Received,
    ) -> Result<(), Broken> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = opened.body.read(&mut piece);
            let len = read.map_err(|error| {
                Broken::Later(failed(format!("the connection broke off: {error}")))
            })?;
            if len == 0 {
                return Ok(());
            }
            sink.write(received.bytes, &piece[..len])
                .map_err(|error| Broken::Never(not_written(&error)))?;
            received.add(&piece[..len]);
            self.bar.show(received);
        }
    }

    /// The manifest, as it was sent, if what was received is what it says.
    fn checked(&self, received: Received) -> Result<Vec<u8>, Failure> {
        #[derive(Deserialize)]
        struct Said {
            bytes: u64,
            sha256: String,
            rows: u64,
        }
        let query = self.known.as_ref().map_or(&self.asked, |known| &known.query);
        let opened = self.server.open("/api/v1/export/manifest", query, &[])?;
        let read = opened
            .read()
            .map_err(|error| Failure::new(format!("couldn't read the manifest: {error}")))?;
        let manifest = read.body.trim_ascii_start().to_vec();
        let said: Said = serde_json::from_slice(&manifest)
            .map_err(|error| Failure::new(format!("the manifest cannot be read: {error}")))?;
        let hash = hex::encode(received.hash.finalize());
        if (said.bytes, &said.sha256) != (received.bytes, &hash) {
            let text = format!(
                "what was received is not what the manifest says: {} bytes with SHA-256 {hash}, not {} with {}",
                received.bytes, said.bytes, said.sha256
            );
            return Err(Failure { exit: Exit::Refuted, text });
        }
        tell(said.rows, said.bytes, &hash);
        Ok(manifest)
    }
}

/// Says what a whole file has.
fn tell(rows: u64, bytes: u64, hash: &str) {
    let events = if rows == 1 { "event" } else { "events" };
    warn(&format!("{} {events}, {} bytes, SHA-256 {hash}", grouped(rows), grouped(bytes)));
}

fn not_written(error: &std::io::Error) -> Problem {
    failed(format!("couldn't write: {error}"))
}

/// The file and what stands beside it.
struct Target {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    name: String,
}

impl Target {
    fn of(path: &Path) -> Result<Target, Failure> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Failure::usage(format!("{} is no name of a file", path.display())))?;
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
                Err(Failure::usage(format!("{} is no file", self.path.display())))
            }
            Ok(_) if !force => Err(Failure::usage(format!(
                "{} is there already; give --force to replace it",
                self.path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// What is left of a run that was broken off, or nothing.
    fn resume(
        &self,
        download: &mut Download<'_>,
        force: bool,
    ) -> Result<(Part<'_>, Received), Failure> {
        let begun = durable::read_file(&*self.disk, &self.beside(PART_JSON)).ok();
        let known = begun.and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
        let file = self.disk.open_for_writing(&self.beside(PART)).ok();
        let Some((known, file)) = known.zip(file) else {
            return Ok((Part { target: self, file: None }, Received::default()));
        };
        if known.asked != download.whole_question() {
            if force {
                return Ok((Part { target: self, file: None }, Received::default()));
            }
            return Err(Failure::usage(format!(
                "{}{PART} is of another export; remove it, or give --force",
                self.path.display()
            )));
        }
        let received = hashed(&*file).map_err(|error| {
            Failure::new(format!("couldn't read {}{PART}: {error}", self.path.display()))
        })?;
        download.known = Some(known);
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
            // What cannot be removed is told apart by its question.
            let _ = self.disk.remove(&self.beside(ending));
        }
    }
}

const MANIFEST: &str = ".manifest.json";
const PART: &str = ".part";
const PART_JSON: &str = ".part.json";

/// A file that is not whole yet.
struct Part<'a> {
    target: &'a Target,
    file: Option<Arc<dyn File>>,
}

impl Sink for Part<'_> {
    fn begin(&mut self, known: &Known) -> std::io::Result<()> {
        let known = serde_json::to_vec(known).map_err(std::io::Error::other)?;
        let disk = &*self.target.disk;
        // What is there is not taken for the beginning of this one.
        self.file = Some(disk.create(&self.target.beside(PART))?);
        durable::write_file(disk, &self.target.beside(PART_JSON), &known)?;
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        match &self.file {
            Some(file) => file.write_at(offset, bytes),
            None => Err(std::io::Error::other("nothing was begun")),
        }
    }
}

fn hashed(file: &dyn File) -> std::io::Result<Received> {
    let len_bytes = file.len_bytes()?;
    let mut received = Received::default();
    let mut piece = vec![0; PIECE_BYTES];
    while received.bytes < len_bytes {
        let len =
            usize::try_from(len_bytes - received.bytes).unwrap_or(usize::MAX).min(PIECE_BYTES);
        file.read_at(received.bytes, &mut piece[..len])?;
        received.add(&piece[..len]);
    }
    Ok(received)
}

/// How far it is: rows where lines tell them, else bytes. It draws on standard error, and only on a
/// terminal.
struct Bar {
    bar: ProgressBar,
    counts_lines: bool,
}

impl Bar {
    fn hidden(counts_lines: bool) -> Bar {
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

    fn show(&self, received: &Received) {
        if self.counts_lines {
            self.bar.set_position(received.lines);
        }
        self.bar.set_message(format!("{} bytes", grouped(received.bytes)));
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| warn(text));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
