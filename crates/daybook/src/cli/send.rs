//! `daybook send`: events from standard input, recorded by a running server.
//!
//! Input is sent in pieces of whole records, and each piece again until the server responds. A
//! piece names its input and its offset there. They identify events without an id, so that none is
//! recorded twice.

use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use clap::ValueEnum;
use formats::{Continuation, Format};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::credentials::read_secret;
use super::reach::{Server, ServerOptions, query_of, retry_after};
use super::screen::with_commas;
use super::{say, warn};
use client::Response;
use event::terminal::printable;
use intake::Tally;
use intake::follow::PIECE_BYTES;
use net::path::encode;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_long_help = "Each line is an event as in docs/sources/daybook.md, or a record of another \
                       format. Rejected lines are reported with their numbers and go to the \
                       dead-letter queue.\n\n\
                       The command retries an overloaded or unreachable server for about five \
                       minutes. Events with an id are recorded once, other events once for each \
                       --input: repeat an interrupted run with the --input that it printed, or \
                       with the name you gave it.\n\n\
                       Authentication needs the source's token, or that of a user who may write to \
                       the source's trail. The intake does not accept signed requests.\n\n\
                       Examples:\n  \
                       echo '{\"action\":\"approve \
                       deployment\",\"actor\":\"alice\",\"resource\":\"billing\"}' | daybook send \
                       --source own\n  \
                       daybook send --source own --input nightly-2026-11-22 < events.ndjson\n  \
                       daybook send --source web --format nginx-json --source-token-file web.token \
                       < access.log\n\n\
                       Exit codes: 0 everything is recorded; 1 something was rejected or not sent."
)]
pub struct Arguments {
    /// Name of the source in the server's configuration.
    #[arg(long, short, value_name = "NAME")]
    source: String,
    /// Format of the source; `daybook source formats` lists the formats.
    #[arg(long, value_name = "FORMAT", default_value = "daybook", value_parser = parse_format)]
    format: Format,
    /// Name of the input. The same events sent again under the same name are recorded once.
    /// Default: random.
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// File with the source's token.
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    source_token_file: Option<PathBuf>,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    reach: ServerOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Bytes in a read, and reads ahead of sending.
const READ_BYTES: usize = 64 << 10;
const READS_WAITING_MAX: usize = 16;
/// Records of a piece: half of the limit of a request, so that none is divided and positions lead
/// to lines.
const LINES_MAX: usize = 5_000;
/// Longest record: the limit of a body.
const RECORD_BYTES_MAX: usize = 8 << 20;
/// Tries of a piece, about five minutes with the pauses between them: a server restarts in less.
const TRIES: u32 = 14;
/// First pause, which doubles, and longest pause.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Rejected lines that are reported one by one.
const REPORTED_MAX: u64 = 100;

fn parse_format(text: &str) -> Result<Format, String> {
    text.parse()
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let token = arguments.source_token_file.as_deref().map(read_secret).transpose()?;
    let server = arguments.reach.server()?;
    if token.is_none() && server.signs() {
        return Err(Failure::usage(
            "an access key cannot send events; give --source-token-file FILE or --token-file FILE",
        ));
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {bytes} {bytes_per_sec}");
    let bar = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let mut upload = Upload {
        server,
        token,
        path: format!("/intake/{}", encode(arguments.source.as_bytes())),
        format: arguments.format,
        input: input(arguments.input.as_deref()),
        offset: 0,
        lines: 0,
        reported: 0,
        tally: Tally::default(),
        bar,
    };
    let sent = upload.all();
    upload.bar.finish_and_clear();
    let Tally { recorded, duplicate, dead_letters, skipped } = upload.tally;
    say(&match arguments.output {
        Output::Text => format!(
            "recorded: {recorded}\n\
             recorded before: {duplicate}\n\
             dead letters: {dead_letters}\n\
             skipped: {skipped}\n"
        ),
        Output::Json => {
            let result = json!({ "recorded": recorded, "duplicates": duplicate,
                                 "dead_letters": dead_letters, "skipped": skipped,
                                 "input": upload.input });
            format!("{result}\n")
        }
    })?;
    match sent {
        Err(Failure { exit, text }) => {
            let again = format!(
                "{text}; send the whole input again with --input {}, and nothing is recorded twice",
                upload.input
            );
            Err(Failure { exit, text: again })
        }
        Ok(()) if dead_letters > 0 => Err(Failure::new(format!(
            "{dead_letters} {} rejected; `daybook dead-letters list` shows the reasons",
            if dead_letters == 1 { "record was" } else { "records were" }
        ))),
        Ok(()) => Ok(()),
    }
}

/// The id of an input: 32 hex digits.
fn input(name: Option<&str>) -> String {
    let is_id = |name: &str| {
        name.len() == 32
            && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    match name {
        None => system::random_hex::<16>(),
        Some(name) if is_id(name) => name.to_owned(),
        Some(name) => hex::encode(&Sha256::digest(name)[..16]),
    }
}

/// Reads standard input a little ahead of sending.
fn reading() -> Receiver<std::io::Result<Vec<u8>>> {
    let (into, pieces) = sync_channel(READS_WAITING_MAX);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut bytes = vec![0; READ_BYTES];
            let read = stdin.read(&mut bytes).map(|len| {
                bytes.truncate(len);
                bytes
            });
            let is_last = read.as_ref().map_or(true, Vec::is_empty);
            // The receiver is gone once sending failed.
            if into.send(read).is_err() || is_last {
                return;
            }
        }
    });
    pieces
}

struct Upload {
    server: Server,
    token: Option<String>,
    path: String,
    format: Format,
    input: String,
    /// Number of bytes and lines sent.
    offset: u64,
    lines: u64,
    /// Number of rejected lines that were reported.
    reported: u64,
    tally: Tally,
    bar: ProgressBar,
}

impl Upload {
    /// Sends everything. A piece leaves as soon as it has a whole record and no more input waits.
    fn all(&mut self) -> Result<(), Failure> {
        let incoming = reading();
        let (mut bytes, mut is_end, mut has_more) = (Vec::new(), false, true);
        while !(is_end && bytes.is_empty()) {
            if bytes.len() < PIECE_BYTES && has_more {
                match incoming.try_recv() {
                    Ok(read) => {
                        is_end = take(read, &mut bytes)?;
                        has_more = !is_end;
                        continue;
                    }
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => is_end = true,
                }
            }
            let whole = whole(self.format, &bytes, is_end);
            if whole > 0 {
                let rest = bytes.split_off(whole);
                self.send(&std::mem::replace(&mut bytes, rest))?;
                has_more = !is_end;
            } else if is_end {
                return Ok(());
            } else if bytes.len() >= RECORD_BYTES_MAX {
                return Err(Failure::new(format!(
                    "line {} is longer than {RECORD_BYTES_MAX} bytes; it and the lines behind it \
                     were not sent",
                    self.lines + 1
                )));
            } else {
                let read = incoming.recv().unwrap_or(Ok(Vec::new()));
                is_end = take(read, &mut bytes)?;
                has_more = !is_end;
            }
        }
        Ok(())
    }

    /// Sends a piece until the server responds.
    fn send(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let position = [
            ("file".to_owned(), self.input.clone()),
            ("offset".to_owned(), self.offset.to_string()),
        ];
        let query = query_of(&position);
        let mut tries = 0;
        loop {
            let answer = match &self.token {
                Some(token) => self.server.post_as(token, &self.path, &query, piece),
                None => self.server.post(&self.path, &query, piece),
            };
            tries += 1;
            let (problem, pause) = match answer {
                Ok(answer) if answer.status == 200 => {
                    self.count(piece, &answer)?;
                    return Ok(());
                }
                Ok(answer) => {
                    let problem = self.server.problem(&self.path, &answer);
                    if !matches!(answer.status, 408 | 429 | 500..) {
                        return Err(problem.into());
                    }
                    (problem, retry_after(&answer))
                }
                Err(problem) => (problem, None),
            };
            if tries == TRIES {
                return Err(problem.into());
            }
            let pause = pause.unwrap_or(PAUSE.saturating_mul(1 << (tries - 1))).min(PAUSE_MAX);
            // A pipe or a file has no bar to read.
            if tries == 1 && self.bar.is_hidden() {
                warn(&format!("daybook: {}; trying again for about five minutes", problem.text));
            }
            self.bar.set_message(format!("{}; trying again", problem.text));
            std::thread::sleep(pause);
        }
    }

    fn count(&mut self, piece: &[u8], answer: &Response) -> Result<(), Failure> {
        let response: IntakeResponse = serde_json::from_slice(&answer.body).map_err(|_| {
            Failure::new(format!(
                "{}: invalid response; is that a Daybook server?",
                self.server.url()
            ))
        })?;
        for rejected in &response.dead_letters {
            self.reported += 1;
            if self.reported <= REPORTED_MAX {
                let line = self.lines + line_of(piece, rejected.position);
                self.bar.suspend(|| {
                    warn(&format!("daybook: line {line}: {}", printable(&rejected.reason)))
                });
            }
        }
        self.tally.add(Tally {
            recorded: response.recorded,
            duplicate: response.duplicates.len() as u64,
            dead_letters: response.dead_letters.len() as u64,
            skipped: response.skipped,
        });
        self.offset += piece.len() as u64;
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.bar.set_position(self.offset);
        self.bar.set_message(format!("{} recorded", with_commas(self.tally.recorded)));
        Ok(())
    }
}

/// Response of a server to a piece.
#[derive(Deserialize)]
struct IntakeResponse {
    recorded: u64,
    duplicates: Vec<serde::de::IgnoredAny>,
    dead_letters: Vec<Rejection>,
    #[serde(default)]
    skipped: u64,
}

#[derive(Deserialize)]
struct Rejection {
    position: u64,
    reason: String,
}

/// Appends a read; true at the end.
fn take(read: std::io::Result<Vec<u8>>, bytes: &mut Vec<u8>) -> Result<bool, Failure> {
    let read =
        read.map_err(|error| Failure::new(format!("couldn't read standard input: {error}")))?;
    bytes.extend_from_slice(&read);
    Ok(read.is_empty())
}

/// Length of a piece of whole records. It is bounded unless a single record is longer.
fn whole(format: Format, bytes: &[u8], is_end: bool) -> usize {
    let lines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(LINES_MAX - 1);
    let bound = lines.map_or(bytes.len(), |(at, _)| at + 1).min(PIECE_BYTES);
    let of_piece = |end: usize| {
        let is_all = is_end && end == bytes.len();
        if is_all { end } else { format.complete_bytes(&bytes[..end], Continuation::More) }
    };
    match of_piece(bound.min(bytes.len())) {
        // The record is longer than a piece.
        0 => of_piece(bytes.len()),
        whole => whole,
    }
}

/// The line of a piece, from 1, with the record at this position. Empty lines have no record.
fn line_of(piece: &[u8], position: u64) -> u64 {
    let lines = piece.split(|byte| *byte == b'\n').zip(1..);
    let mut filled = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    filled.nth(position).map_or(1, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_of_bounded_number() {
        let format: Format = "daybook".parse().expect("a format");
        assert_eq!(whole(format, b"{}\n{}\n{", false), 6);
        assert_eq!(whole(format, b"{}\n{}\n{", true), 7);
        assert_eq!(whole(format, b"{", false), 0);
        assert_eq!(whole(format, b"", true), 0);
        let many = b"{}\n".repeat(LINES_MAX + 7);
        assert_eq!(whole(format, &many, true), 3 * LINES_MAX);
        let long = [&b"x".repeat(PIECE_BYTES + 5)[..], b"\n{}\n{"].concat();
        assert_eq!(whole(format, &long, false), long.len() - 1);
    }

    #[test]
    fn a_position_leads_to_its_line() {
        let piece = b"a\n\n  \r\nb\nc";
        assert_eq!([0, 1, 2, 3].map(|position| line_of(piece, position)), [1, 4, 5, 1]);
    }

    #[test]
    fn an_input_has_the_same_id_again() {
        assert_eq!(input(Some("nightly")), input(Some("nightly")));
        assert_ne!(input(Some("nightly")), input(Some("weekly")));
        let random = input(None);
        assert_eq!(input(Some(&random)), random);
        assert_ne!(input(None), random);
    }
}
