//! `daybook verify`: checks a log, proof, receipt or export with the caller's keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::durable::Local;
use store::{FileObjects, Objects, Version};
use tlog::{Checkpoint, Note};

use super::{progress_bar, say, warn};
use event::terminal::printable;
use server::failure::Failure;
use verify::{self, Keys, Server, Source, VerifyError};

#[derive(clap::Args)]
#[command(after_help = "The target decides what is verified:\n\n  \
                        proof file: its event is in the log (entry in the file, or --entry)\n  \
                        data directory: every byte is what was signed\n  \
                        two checkpoints: the log only grew between them (needs --log)\n  \
                        URL: the log only grew since the last check (--state)\n  \
                        --receipt FILE: a response was given, with events of the log\n  \
                        --export FILE: the file is what its manifest says, and what --log has\n\n\
                        Examples:\n  \
                        daybook verify --key log.vkey event-42.proof\n  \
                        daybook verify --key log.vkey /var/lib/daybook --since \
                        yesterday.checkpoint\n  \
                        daybook verify --key log.vkey monday.checkpoint friday.checkpoint --log \
                        https://audit.example.com\n  \
                        daybook verify --key log.vkey https://audit.example.com --state \
                        audit.state\n\n\
                        Exit codes:\n  \
                        0  verified\n  \
                        1  not checked\n  \
                        2  wrong command line\n  \
                        3  damaged bytes in a data directory\n  \
                        5  refuted: data differs from what was signed")]
pub struct Arguments {
    /// Proof file, data directory, URL, or two checkpoint files.
    #[arg(
        value_name = "TARGET",
        num_args = 0..=2,
        required_unless_present_any = ["receipt", "export"]
    )]
    targets: Vec<String>,
    /// Verifier key of the log, or a file with it; repeatable after a key rotation.
    #[arg(long, short, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// Verifier key of a witness, or a file with it; repeatable, and every witness must have
    /// cosigned. With a URL this applies to the witnessed checkpoint, from which the newest must
    /// continue.
    #[arg(long, value_name = "KEY")]
    witness: Vec<String>,
    /// File with the entry of the proof. Default: the entry in the proof file.
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// File with the received bytes, whose hash is in the entry.
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// Older checkpoint from which the log must continue; repeatable.
    #[arg(long, value_name = "FILE")]
    since: Vec<PathBuf>,
    /// State file with the newest checkpoint, from which the log must continue; updated after
    /// each success.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Log to read hashes from: a data directory or URL.
    #[arg(long, value_name = "LOG")]
    log: Option<String>,
    /// File with the receipt from the header.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// File with the body of the response.
    #[arg(long, value_name = "FILE", requires = "receipt")]
    answer: Option<PathBuf>,
    /// Exported file.
    #[arg(long, value_name = "FILE", conflicts_with = "receipt")]
    export: Option<PathBuf>,
    /// Manifest of the exported file. Default: FILE.manifest.json beside it.
    #[arg(long, value_name = "FILE", requires = "export")]
    manifest: Option<PathBuf>,
    /// File with a token, for a server that does not publish its log to everyone.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let keys = Keys::parse(&key_texts(&arguments.key)?, &key_texts(&arguments.witness)?)
        .map_err(Failure::usage)?;
    let token = match &arguments.token_file {
        Some(path) => Some(String::from_utf8_lossy(&read(path)?).trim().to_owned()),
        None => None,
    };
    if let Some(path) = &arguments.receipt {
        takes_only(arguments, "a receipt", &["--log", "--answer", "--token-file"])?;
        if !arguments.targets.is_empty() {
            return Err(Failure::usage(
                "with --receipt there is nothing else to verify; name the log with --log",
            ));
        }
        return receipt(arguments, &keys, &read(path)?, token);
    }
    if let Some(file) = &arguments.export {
        takes_only(arguments, "an export", &["--log", "--token-file"])?;
        if !arguments.targets.is_empty() {
            return Err(Failure::usage("--export takes no other target; name the log with --log"));
        }
        let manifest = arguments.manifest.clone().unwrap_or_else(|| manifest_beside(file));
        return export(arguments, &keys, file, &read(&manifest)?, token);
    }
    match &arguments.targets[..] {
        [url] if verify::is_url(url) => {
            takes_only(arguments, "a URL", &["--witness", "--since", "--state", "--token-file"])?;
            server(arguments, &keys, url, token)
        }
        [dir] if Path::new(dir).is_dir() => {
            takes_only(arguments, "a directory", &["--witness", "--since", "--state"])?;
            directory(arguments, &keys, Path::new(dir))
        }
        [file] => {
            takes_only(arguments, "a proof", &["--witness", "--entry", "--raw"])?;
            let bytes = read(Path::new(file))?;
            if Note::parse(&bytes).is_ok_and(|note| Checkpoint::parse(note.text()).is_ok()) {
                return Err(Failure::usage(
                    "one checkpoint cannot be verified alone; give two, and --log to read hashes \
                     from",
                ));
            }
            proof(arguments, &keys, &bytes)
        }
        [one, other] => {
            takes_only(arguments, "two checkpoints", &["--witness", "--log", "--token-file"])?;
            checkpoints(arguments, &keys, [one, other], token)
        }
        _ => Err(Failure::usage(
            "nothing to verify; give a proof file, a directory, a URL, or two checkpoints",
        )),
    }
}

/// The manifest that `daybook export` writes beside a file.
fn manifest_beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(super::export::MANIFEST);
    PathBuf::from(name)
}

/// Errs if an option demands a check that this target does not have.
fn takes_only(arguments: &Arguments, target: &str, options: &[&str]) -> Result<(), Failure> {
    let given = [
        ("--witness", !arguments.witness.is_empty()),
        ("--entry", arguments.entry.is_some()),
        ("--raw", arguments.raw.is_some()),
        ("--since", !arguments.since.is_empty()),
        ("--state", arguments.state.is_some()),
        ("--log", arguments.log.is_some()),
        ("--answer", arguments.answer.is_some()),
        ("--token-file", arguments.token_file.is_some()),
    ];
    match given.into_iter().find(|(name, is_given)| *is_given && !options.contains(name)) {
        Some((name, _)) => Err(Failure::usage(format!("{name} has no use with {target}"))),
        None => Ok(()),
    }
}

/// Keys from the command line, or from the files named there.
fn key_texts(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    for one in given {
        if tlog::Verifier::parse(one).is_ok() {
            texts.push(one.clone());
            continue;
        }
        let bytes = fs::read(one).map_err(|error| {
            Failure::usage(format!(
                "{one:?} is not a verifier key, and not a readable file: {error}"
            ))
        })?;
        let lines = String::from_utf8_lossy(&bytes).into_owned();
        let before = texts.len();
        texts.extend(lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        if texts.len() == before {
            return Err(Failure::usage(format!("there is no key in {one:?}")));
        }
    }
    Ok(texts)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::new(format!("couldn't read {}: {error}", path.display())))
}

fn read_if(path: Option<&PathBuf>) -> Result<Option<Vec<u8>>, Failure> {
    path.map(|path| read(path)).transpose()
}

fn proof(arguments: &Arguments, keys: &Keys, file: &[u8]) -> Result<(), Failure> {
    let (entry, raw) = (read_if(arguments.entry.as_ref())?, read_if(arguments.raw.as_ref())?);
    let proved = verify::proof(keys, file, entry, raw.as_deref())?;
    say(&format!(
        "verified: event {} of {}\ncheckpoint: {} events, root {}\nentry: {} bytes, SHA-256 {}\n",
        proved.index,
        proved.checkpoint.origin,
        proved.checkpoint.size,
        hex::encode(proved.checkpoint.root),
        proved.entry.len(),
        hex::encode(event::entry::digest(&proved.entry)),
    ))
}

/// Checkpoints that the caller has from earlier.
struct KnownCheckpoints {
    /// Checkpoints with the signature of the log.
    seen: Vec<(Note, Checkpoint)>,
    /// The file with the newest one.
    state: Option<State>,
}

/// The state file of `--state`, as of the time it was read.
struct State {
    objects: FileObjects,
    name: String,
    version: Option<Version>,
}

impl KnownCheckpoints {
    fn read(arguments: &Arguments, keys: &Keys) -> Result<KnownCheckpoints, Failure> {
        let open = |bytes: &[u8]| -> Result<(Note, Checkpoint), Failure> {
            let checkpoint = keys.of_log().open(bytes)?;
            let note = Note::parse(bytes).map_err(|why| Failure::new(why.to_string()))?;
            Ok((note, checkpoint))
        };
        let mut seen = Vec::new();
        for path in &arguments.since {
            seen.push(open(&read(path)?)?);
        }
        let Some(path) = &arguments.state else {
            return Ok(KnownCheckpoints { seen, state: None });
        };
        let (folder, name) = match (path.parent(), path.file_name().and_then(|name| name.to_str()))
        {
            (Some(folder), Some(name)) => (folder, name.to_owned()),
            _ => return Err(Failure::usage(format!("{} is not a file name", path.display()))),
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let objects = FileObjects::new(Arc::new(Local::open(folder)));
        let object = objects.get(&name)?;
        if let Some(object) = &object {
            seen.push(open(&object.bytes)?);
        }
        Ok(KnownCheckpoints {
            seen,
            state: Some(State { objects, name, version: object.map(|object| object.version) }),
        })
    }

    /// Writes a checkpoint to the state file. Errs if another process wrote it meanwhile.
    fn remember(&self, note: &[u8]) -> Result<(), Failure> {
        let Some(State { objects, name, version }) = &self.state else { return Ok(()) };
        Ok(objects.replace(name, note, *version).map(drop)?)
    }

    /// Warns if there was no older checkpoint to compare with.
    fn warn_if_nothing(&self, what: &str) {
        if self.seen.is_empty() {
            warn(&format!("without --since or --state, {what} is not detected"));
        }
    }
}

fn directory(arguments: &Arguments, keys: &Keys, dir: &Path) -> Result<(), Failure> {
    let known = KnownCheckpoints::read(arguments, keys)?;
    let bar = progress_bar();
    let whole = verify::directory(keys, dir, &known.seen, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    });
    bar.finish_and_clear();
    let whole = whole?;
    known.remember(&whole.note)?;
    let (checkpoint, report) = (&whole.checkpoint, &whole.report);
    say(&format!(
        "verified: {}\ncheckpoint: {} events, root {}\nbytes read: {}\n",
        checkpoint.origin,
        checkpoint.size,
        hex::encode(checkpoint.root),
        report.bytes,
    ))?;
    if report.events > checkpoint.size {
        warn(&format!(
            "{} events behind the newest checkpoint are not signed; a stopped log has none",
            report.events - checkpoint.size
        ));
    }
    if report.dead_letters > whole.dead_letters {
        warn(&format!(
            "{} dead letters behind the newest checkpoint are not signed",
            report.dead_letters - whole.dead_letters
        ));
    }
    if let Some(torn) = &report.torn_tail {
        warn(&format!("{} bytes of {} are an unfinished append", torn.len_bytes, torn.file));
    }
    known.warn_if_nothing("a directory replaced by an older copy");
    Ok(())
}

fn checkpoints(
    arguments: &Arguments,
    keys: &Keys,
    files: [&String; 2],
    token: Option<String>,
) -> Result<(), Failure> {
    let open = |file: &String| -> Result<Checkpoint, Failure> {
        keys.open(&read(Path::new(file))?)
            .map_err(|error| match error {
                VerifyError::Refuted(why) => VerifyError::Refuted(format!("{file}: {why}")),
                other => other,
            })
            .map_err(Failure::from)
    };
    let (one, other) = (open(files[0])?, open(files[1])?);
    let size = one.size.max(other.size);
    let log = arguments.log.as_deref().ok_or_else(|| {
        Failure::usage("no log to read hashes from; give --log with a directory or a URL")
    })?;
    match Source::open(log, token)? {
        Source::Directory(log) => {
            verify::covered(&log, log.head().0, if one.size > other.size { &one } else { &other })?;
            verify::consistency(&log, &one, &other)?;
        }
        Source::Server(server) => verify::consistency(&server.nodes(size), &one, &other)?,
    }
    say(&format!(
        "verified: {} grew from {} to {} events and only grew\n",
        one.origin,
        one.size.min(other.size),
        size
    ))
}

fn server(
    arguments: &Arguments,
    keys: &Keys,
    url: &str,
    token: Option<String>,
) -> Result<(), Failure> {
    let known = KnownCheckpoints::read(arguments, keys)?;
    let server = Server::new(url, token);
    // Under load the newest checkpoint has no cosignatures yet; it must continue from the witnessed
    // one.
    let witnessed = match keys.witnesses.is_empty() {
        true => None,
        false => Some(keys.open(&server.get("tlog/checkpoint/witnessed")?)?),
    };
    let note = server.get("tlog/checkpoint")?;
    let newest = keys.of_log().open(&note)?;
    let nodes = server.nodes(newest.size);
    for old in witnessed.iter().chain(known.seen.iter().map(|(_, old)| old)) {
        if newest.size < old.size {
            return Err(VerifyError::Refuted(format!(
                "the log has {} events, but {} were signed before: it was rolled back",
                newest.size, old.size
            ))
            .into());
        }
        verify::consistency(&nodes, old, &newest)?;
    }
    verify::covered(&nodes, newest.size, &newest)?;
    known.remember(&note)?;
    known.warn_if_nothing("a rewritten log");
    let since = known.seen.iter().map(|(_, old)| old.size).max();
    let since =
        since.map_or_else(String::new, |size| format!(", {} more than before", newest.size - size));
    let cosigned =
        witnessed.map_or_else(String::new, |one| format!("witnessed: {} events\n", one.size));
    say(&format!(
        "verified: {}\ncheckpoint: {} events{since}\n{cosigned}",
        newest.origin, newest.size
    ))
}

fn export(
    arguments: &Arguments,
    keys: &Keys,
    file: &Path,
    manifest: &[u8],
    token: Option<String>,
) -> Result<(), Failure> {
    let (manifest, facts) = verify::export::manifest(keys, manifest)?;
    verify::export::file(&facts, file)?;
    match arguments.log.as_deref() {
        Some(log) => match Source::open(log, token)? {
            Source::Directory(log) => {
                verify::covered(&log, log.head().0, &facts.tree)?;
                verify::export::made_again(&log, &manifest, &facts)?;
            }
            Source::Server(server) => {
                let newest = newest_of(&server, keys, &facts.tree)?;
                let nodes = server.nodes(newest.size);
                let digest_at = |index| server.digest(index, newest.size);
                verify::export::rows_are_of(&nodes, digest_at, &facts, file)?;
            }
        },
        None => {
            verify::export::rows(&facts, file, |_| Ok(()))?;
            warn(
                "only signature, bytes and number of rows were checked; give --log to compare the \
                 rows with a log",
            );
        }
    }
    say(&format!(
        "verified: exported by {}\n\
         caller: {}\n\
         question: {}\n\
         format: {}\n\
         tree: {} events\n\
         trails: {}\n\
         rows: {}\n",
        facts.tree.origin,
        printable(&facts.caller),
        printable(&facts.question),
        printable(&facts.format),
        facts.tree.size,
        facts.trails.0,
        facts.totals.rows
    ))
}

/// Longest wait for a checkpoint: it is published within a second, and a cache may hold the one
/// before for another.
const PUBLICATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The newest checkpoint of a server, which must continue from a signed tree.
fn newest_of(server: &Server, keys: &Keys, tree: &Checkpoint) -> Result<Checkpoint, Failure> {
    let began = Instant::now();
    let mut newest = keys.open(&server.get("tlog/checkpoint")?)?;
    while newest.size < tree.size && began.elapsed() < PUBLICATION_TIMEOUT {
        std::thread::sleep(POLL_INTERVAL);
        newest = keys.open(&server.get("tlog/checkpoint")?)?;
    }
    if newest.size < tree.size {
        let (shown, size) = (newest.size, tree.size);
        return Err(VerifyError::Refuted(format!(
            "the log has {shown} events, but {size} were signed"
        ))
        .into());
    }
    verify::consistency(&server.nodes(newest.size), tree, &newest)?;
    Ok(newest)
}

fn receipt(
    arguments: &Arguments,
    keys: &Keys,
    value: &[u8],
    token: Option<String>,
) -> Result<(), Failure> {
    let answer = read_if(arguments.answer.as_ref())?;
    let receipt = verify::receipt(keys, value, answer.as_deref())?;
    match arguments.log.as_deref() {
        Some(log) => match Source::open(log, token)? {
            Source::Directory(log) => {
                verify::covered(&log, log.head().0, &receipt.tree)?;
                let digest_at = |index| match log.digests(index, 1)? {
                    Some(digests) => Ok(digests[0]),
                    None => Err(VerifyError::Refuted(format!("the log has no event {index}"))),
                };
                verify::receipt_rows(&log, digest_at, &receipt)?;
            }
            Source::Server(server) => {
                let newest = newest_of(&server, keys, &receipt.tree)?;
                let nodes = server.nodes(newest.size);
                verify::receipt_rows(&nodes, |index| server.digest(index, newest.size), &receipt)?;
            }
        },
        None => warn("only the signature was checked; give --log to compare the rows with a log"),
    }
    say(&format!(
        "verified: answered by {}\n\
         at: {}\n\
         caller: {}\n\
         request: {}\n\
         tree: {} events\n\
         rows: {} of {}\n",
        receipt.tree.origin,
        printable(&receipt.at),
        printable(&receipt.caller),
        printable(&receipt.request),
        receipt.tree.size,
        receipt.indexes.len(),
        receipt.total
    ))
}
