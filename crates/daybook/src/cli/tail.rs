//! `daybook tail`: events as they are recorded.

mod directory;

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use clap::ValueEnum;

use super::pipe::end_with_the_reader;
use super::question::{Log, LogLocation, Pairs, Question, pair};
use super::reach::{Problem, Server, query_of};
use super::rows;
use super::screen::{DisplayOptions, Screen};
use super::search::json;
use super::{say, warn};
use find::answer::Event;
use server::failure::{Exit, Failure};

#[derive(clap::Args)]
#[command(
    after_long_help = "Every matching event is shown once, in the order of the log. After a broken \
                       connection the command reconnects and continues behind the last event. A \
                       data directory is read again when it grows, at most once a second.\n\n\
                       Examples:\n  \
                       daybook tail\n  \
                       daybook tail outcome:failure -o ndjson\n  \
                       daybook tail actor:alice --from 0 --limit 20\n  \
                       daybook tail --data-dir /var/lib/daybook --from 0 --limit 20\n\n\
                       Exit codes: 0 --limit is reached; 1 not answered; 2 wrong search or command \
                       line; 130 ended by Ctrl-C."
)]
pub struct Arguments {
    #[command(flatten)]
    question: Question,
    /// Index of the first event. Default: events recorded from now on.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// End after this many events.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    look: DisplayOptions,
    #[command(flatten)]
    log: LogLocation,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// Table.
    Table,
    /// One event a line.
    Ndjson,
}

/// First pause before a reconnection; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Header with the number of events in the log at the time of the response.
const TREE_SIZE: &str = "x-daybook-tree-size";
/// Longest line of a stream; every event is smaller in every form.
const LINE_BYTES_MAX: u64 = 8 << 20;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_with_the_reader();
    let log = arguments.log.open("tail")?;
    if arguments.limit == Some(0) {
        return Ok(());
    }
    let pairs = arguments.question.pairs();
    let screen = Screen::of(&arguments.look);
    let table = rows::table_of_future_events(&screen);
    let mut left = arguments.limit;
    let mut head = Some(table.head(&screen));
    let mut take = |event| {
        say(&match arguments.output {
            Output::Table => {
                head.take().unwrap_or_default() + &table.line(&screen, rows::cells(&event, &screen))
            }
            Output::Ndjson => json(&event)? + "\n",
        })?;
        left = left.map(|left| left - 1);
        Ok(left != Some(0))
    };
    let followed = match log {
        Log::Server(server) => Tail::of(&server, pairs, arguments.from).follow(&mut take),
        Log::Directory(directory) => {
            directory::follow(directory, &pairs, arguments.from, &mut take)
        }
    };
    followed.map_err(|problem| arguments.question.explain(problem))
}

/// A live tail that reconnects and continues behind its last event.
struct Tail<'a> {
    server: &'a Server,
    pairs: Pairs,
    /// The last position that the server sent.
    last: Option<String>,
    /// Whether the server ever answered.
    has_begun: bool,
    pause: Duration,
}

/// Handler of an event; false ends the live tail.
type Take<'a> = dyn FnMut(Event) -> Result<bool, Failure> + 'a;

impl<'a> Tail<'a> {
    fn of(server: &'a Server, mut pairs: Pairs, from: Option<u64>) -> Tail<'a> {
        pairs.extend(from.map(|index| pair("from", index)));
        Tail { server, pairs, last: None, has_begun: false, pause: PAUSE }
    }

    /// Errs when no further try can succeed.
    fn follow(&mut self, take: &mut Take<'_>) -> Result<(), Problem> {
        loop {
            let why = match self.connect(take) {
                Ok(true) => return Ok(()),
                Ok(false) => "the server ended the stream".to_owned(),
                Err(problem) => {
                    let may_change = problem.exit == Exit::Failed
                        && problem.status.is_none_or(|status| matches!(status, 408 | 429 | 500..));
                    // Report a wrong address at once.
                    if !may_change || (!self.has_begun && problem.status.is_none()) {
                        return Err(problem);
                    }
                    problem.text
                }
            };
            warn(&format!("daybook: {why}; trying again"));
            std::thread::sleep(self.pause);
            self.pause = (2 * self.pause).min(PAUSE_MAX);
        }
    }

    /// Reads one connection; true at the limit of events.
    fn connect(&mut self, take: &mut Take<'_>) -> Result<bool, Problem> {
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        headers.extend(self.last.clone().map(|id| ("last-event-id", id)));
        let opened = self.server.open("/api/v1/tail", &query_of(&self.pairs), &headers)?;
        self.has_begun = true;
        // The server sends the first position before the first event.
        let size = opened.headers.get(TREE_SIZE).and_then(|size| size.to_str().ok());
        if let (Some(size), None, false) =
            (size, &self.last, self.pairs.iter().any(|(name, _)| name == "from"))
        {
            self.pairs.push(pair("from", size));
        }
        let failed =
            |text: String| Problem { exit: Exit::Failed, status: None, text, parameter: None };
        let mut messages = Messages::of(opened.body);
        while let Some(message) = messages.next().map_err(failed)? {
            self.pause = PAUSE;
            if let Some(event) = message.event() {
                let event = serde_json::from_str(event).map_err(|error| {
                    failed(format!("an event of the stream cannot be read: {error}"))
                })?;
                if !take(event).map_err(handler_problem)? {
                    return Ok(true);
                }
            }
            self.last = message.id.or(self.last.take());
        }
        Ok(false)
    }
}

/// A failure on this side, which a reconnection cannot repair.
fn handler_problem(failure: Failure) -> Problem {
    Problem { exit: failure.exit, status: Some(0), text: failure.text, parameter: None }
}

/// A message of a stream of server-sent events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    kind: String,
    data: String,
}

impl Message {
    /// The event of the message. A message without data only has a position.
    fn event(&self) -> Option<&str> {
        let is_event = matches!(&*self.kind, "" | "message") && !self.data.is_empty();
        is_event.then_some(&*self.data)
    }
}

/// Reads <https://html.spec.whatwg.org/multipage/server-sent-events.html>, section 9.2.6, with
/// lines that end in LF or CRLF.
struct Messages<R> {
    lines: BufReader<R>,
}

impl<R: Read> Messages<R> {
    fn of(stream: R) -> Messages<R> {
        Messages { lines: BufReader::new(stream) }
    }

    /// The next message; `None` at the end. A last message without an empty line is dropped.
    fn next(&mut self) -> Result<Option<Message>, String> {
        let (mut message, mut is_filled) = (Message::default(), false);
        loop {
            let mut line = Vec::new();
            let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            read.map_err(|error| format!("the connection broke off: {error}"))?;
            let Some(line) = line.strip_suffix(b"\n") else {
                return if line.len() as u64 >= LINE_BYTES_MAX {
                    Err(format!("a line of the stream is longer than {LINE_BYTES_MAX} bytes"))
                } else {
                    Ok(None)
                };
            };
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            if line.is_empty() {
                if is_filled {
                    return Ok(Some(message));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => message.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut message.kind),
                "data" => {
                    if !message.data.is_empty() {
                        message.data.push('\n');
                    }
                    message.data.push_str(value);
                }
                _ => continue,
            }
            is_filled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(stream: &str) -> Vec<Message> {
        let mut messages = Messages::of(stream.as_bytes());
        std::iter::from_fn(|| messages.next().expect("a stream")).collect()
    }

    fn message(id: Option<&str>, kind: &str, data: &str) -> Message {
        Message { id: id.map(str::to_owned), kind: kind.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn messages_are_parsed() {
        let stream = ": hello\n\n\
                      id: 7\n\
                      data: {\"a\":\n\
                      data: 1}\n\
                      \r\n\
                      event:position\r\n\
                      id:9\r\n\
                      \r\n\
                      retry: 5\n\n\
                      data: cut";
        let expected = [message(Some("7"), "", "{\"a\":\n1}"), message(Some("9"), "position", "")];
        assert_eq!(messages(stream), expected);
        assert_eq!(expected.map(|message| message.event().is_some()), [true, false]);
        assert_eq!(messages("id: 3\n\n")[0].event(), None, "it only has a position");
    }

    #[test]
    fn an_unfinished_message_is_dropped() {
        for stream in ["", "id: 1", "id: 1\n", "id: 1\ndata: x\n", ":\n:\n"] {
            assert_eq!(messages(stream), [], "{stream:?}");
        }
    }
}
