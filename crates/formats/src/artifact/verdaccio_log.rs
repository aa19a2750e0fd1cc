//! Verdaccio's log, with `format: json` and `level: http`.
//!
//! <https://www.verdaccio.org/docs/logger/>, and the capture in `testdata/verdaccio-log/`. The
//! capture shows, and this parser relies on:
//! - a request has up to three lines, which only method and path connect: `req` when it came, with
//!   its header, and `request` with a status twice, when its body was read and when it was
//!   answered. The first `request` line says 200 and 0 bytes whatever the response; sometimes the
//!   second is missing; for a quick response they are alike;
//! - the line of the response has user, status and address; the one with the header has the agent
//!   and a proxy's request id;
//! - lines with neither are the program's own messages, and those with `sub` `out` are requests to
//!   other registries;
//! - `remoteIP` is the peer, or the address that a proxy trusted by verdaccio forwards; version 5
//!   writes `CLAIMED via PEER`.
//!
//! The parser therefore joins the lines of one request within a piece of the log, and a piece is
//! not cut between them.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::context::address;
use crate::item::{Items, NOISE, NoEvent, OTHER_STAGE, item_of};
use crate::lines::{complete_lines, limited_lines, lines, parse_one, position_key};
use crate::outline::outline;
use crate::repository_request::{Request, served_path};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Continuation, Delivery, EnvelopeError, Item, Options};
use event::{Event, Outcome, Resolution, Service, SourceIp, Time, Trust};

/// The reason to skip a line that reports no request.
const OWN_MESSAGE: &str = "a message of the program's own";

/// The longest wait for another line of a request after its last one.
const WAIT_NS: i64 = 10_000_000_000;

/// The bytes of a file that may be held back for it.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// The bytes before it in which the beginning of a request is looked for.
const GROUPED_BYTES_MAX: usize = 2 * HELD_BYTES_MAX;

/// Most requests with one method and path that are open at once; the oldest are dropped.
const OPEN_MAX: usize = 64;

pub(crate) const SPEC: Spec = Spec {
    name: "verdaccio-log",
    about: "verdaccio: its log as JSON, with level http",
    service: Service::Artifact,
    delivery: Delivery::Files("/verdaccio/storage/verdaccio.log"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks::NONE,
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let lines = limited_lines(body, context)?;
    let bytes_max = context.limits.event_bytes_max;
    let read =
        lines.iter().map(|(_, line)| if line.len() > bytes_max { Ok(None) } else { read(line) });
    let read: Vec<Result<Option<Line>, String>> = read.collect();
    let groups = grouped(read.iter().map(|line| line.as_ref().ok().and_then(Option::as_ref)));
    let by_decisive: HashMap<usize, Group> =
        groups.into_iter().filter_map(|group| Some((group.decisive?, group))).collect();
    for (index, (at, raw)) in lines.into_iter().enumerate() {
        items.push(match (&read[index], by_decisive.get(&index)) {
            (Err(reason), _) => item_of(Err(reason.clone().into()), raw),
            // Rejects lines that are too large.
            (Ok(None), _) => parse_one(raw, context, |_, _| Err(NoEvent::Skipped(OWN_MESSAGE))),
            (Ok(Some(_)), None) => Item::Skipped(OTHER_STAGE),
            (Ok(Some(_)), Some(group)) => request_item(&read, group, (at, raw), context),
        })?;
    }
    Ok(())
}

/// The item of a request, of which `raw` is the line that decides.
fn request_item(
    read: &[Result<Option<Line>, String>],
    group: &Group,
    (at, raw): (usize, &[u8]),
    context: &mut Context<'_>,
) -> Item {
    let line_of = |index: usize| read[index].as_ref().ok().and_then(Option::as_ref);
    let decisive = group.decisive.and_then(line_of);
    let Some(Line { said: Report::Answer(answer), .. }) = decisive else {
        return Item::Skipped(OTHER_STAGE);
    };
    let began_at = line_of(group.first).map_or(answer.at, |line| line.at());
    let start = group.start.and_then(line_of).and_then(|line| match &line.said {
        Report::Start(start) => Some(start),
        Report::Answer(_) => None,
    });
    let mut item = item_of(event(answer, start, began_at, raw, context), raw);
    if let Item::Event(event) = &mut item {
        event.origin.key = position_key(context, at);
    }
    item
}

/// The bytes before the first line of a request that may have more lines.
fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    let end = complete_lines(piece, continuation);
    if continuation != Continuation::More {
        return end;
    }
    let from = end.saturating_sub(GROUPED_BYTES_MAX);
    // Other lines than those of requests would take a hundred times their bytes here.
    let of_requests: Vec<(usize, Line)> = lines(&piece[from..end])
        .filter_map(|(at, line)| Some((from + at, read(line).ok().flatten()?)))
        .collect();
    let newest = of_requests.iter().map(|(_, line)| line.at()).max();
    let is_awaited = |group: &Group| {
        let last = of_requests[group.last].1.at();
        let is_recent = newest.is_some_and(|newest| is_near(last, newest));
        !group.is_complete && is_recent && end - of_requests[group.first].0 <= HELD_BYTES_MAX
    };
    let groups = grouped(of_requests.iter().map(|(_, line)| Some(line)));
    groups
        .iter()
        .filter(|group| is_awaited(group))
        .map(|group| of_requests[group.first].0)
        .min()
        .unwrap_or(end)
}

/// Whether a line may belong to a request whose last line was written at that time.
fn is_near(then: Time, now: Time) -> bool {
    now.unix_ns().saturating_sub(then.unix_ns()) <= WAIT_NS
}

/// A line that reports a request.
struct Line {
    method: String,
    url: String,
    said: Report,
}

enum Report {
    Start(Start),
    Answer(Answer),
}

struct Start {
    at: Time,
    peer: String,
    agent: String,
    request_id: String,
    has_credentials: bool,
}

#[derive(PartialEq)]
struct Answer {
    at: Time,
    method: String,
    url: String,
    user: Option<String>,
    address: String,
    status: u32,
    error: String,
    received: u64,
    sent: u64,
}

impl Line {
    fn at(&self) -> Time {
        match &self.said {
            Report::Start(start) => start.at,
            Report::Answer(answer) => answer.at,
        }
    }
}

impl Answer {
    /// Whether it may have been written before there was a response.
    fn is_early(&self) -> bool {
        self.status == 200 && self.sent == 0 && self.error.is_empty()
    }

    fn repeats(&self, other: &Answer) -> bool {
        (self.status, self.sent, &self.user) == (other.status, other.sent, &other.user)
    }
}

/// The content of a line; `None` for a message of the program itself.
fn read(line: &[u8]) -> Result<Option<Line>, String> {
    let text = String::from_utf8_lossy(line);
    let members: Members<'_> =
        serde_json::from_str(&text).map_err(|error| format!("not a JSON log line: {error}"))?;
    if members.sub.as_deref() == Some("out") {
        return Ok(None);
    }
    let line = match members {
        Members { request: Some(request), status: Some(status), .. } => Line {
            method: request.method.to_string(),
            url: request.url.to_string(),
            said: Report::Answer(Answer {
                at: instant(members.time)?,
                method: request.method.into_owned(),
                url: request.url.into_owned(),
                user: members.user.as_deref().and_then(non_empty),
                address: members.address.unwrap_or_default().into_owned(),
                status,
                error: members.error.map(text_of).unwrap_or_default(),
                received: members.bytes.received,
                sent: members.bytes.sent,
            }),
        },
        Members { req: Some(request), .. } => Line {
            method: request.method.into_owned(),
            url: request.url.into_owned(),
            said: Report::Start(Start {
                at: instant(members.time)?,
                peer: request.peer.into_owned(),
                agent: request.headers.agent.into_owned(),
                request_id: request.headers.request_id.into_owned(),
                has_credentials: request.headers.authorization.is_some(),
            }),
        },
        _ => return Ok(None),
    };
    Ok(Some(line))
}

/// Milliseconds, or a time as RFC 3339 writes it.
fn instant(json: Option<&RawValue>) -> Result<Time, String> {
    let json = json.ok_or("the line has no time")?.get();
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return Time::parse_rfc3339(&text)
            .map(|(time, _)| time)
            .map_err(|error| format!("time: {error}"));
    }
    let ms: i64 = json.parse().map_err(|_| "time is not a number of milliseconds")?;
    ms.checked_mul(1_000_000)
        .map(Time::from_unix_ns)
        .ok_or_else(|| "time is outside the years 1678 to 2261".to_owned())
}

fn text_of(json: &RawValue) -> String {
    serde_json::from_str(json.get()).unwrap_or_else(|_| match json.get() {
        "null" => String::new(),
        json => json.to_owned(),
    })
}

/// The lines of one request, by their position among all.
struct Group {
    first: usize,
    last: usize,
    start: Option<usize>,
    /// The response that counts.
    decisive: Option<usize>,
    is_complete: bool,
}

/// Joins the lines of one request. Of several open requests with one method and path it takes the
/// newest: older ones mostly wait for a line that never comes.
fn grouped<'a>(lines: impl Iterator<Item = Option<&'a Line>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: HashMap<(&str, &str), VecDeque<Open<'_>>> = HashMap::new();
    for (index, line) in lines.enumerate() {
        let Some(line) = line else { continue };
        let waiting = open.entry((&line.method, &line.url)).or_default();
        waiting.retain(|(_, _, last)| is_near(*last, line.at()));
        let found = match &line.said {
            Report::Start(_) => None,
            Report::Answer(answer) => open_request(waiting, answer),
        };
        let answer = match &line.said {
            Report::Start(_) => None,
            Report::Answer(answer) => Some(answer),
        };
        match found.and_then(|at| waiting.remove(at)) {
            None => {
                let start = answer.is_none().then_some(index);
                let decisive = answer.map(|_| index);
                groups.push(Group {
                    first: index,
                    last: index,
                    start,
                    decisive,
                    is_complete: false,
                });
                waiting.push_back((groups.len() - 1, answer, line.at()));
            }
            Some((group, None, _)) => {
                (groups[group].last, groups[group].decisive) = (index, Some(index));
                waiting.push_back((group, answer, line.at()));
            }
            Some((group, Some(previous), _)) => {
                if previous.is_early() {
                    groups[group].decisive = Some(index);
                }
                (groups[group].last, groups[group].is_complete) = (index, true);
            }
        }
        if waiting.len() > OPEN_MAX {
            waiting.pop_front();
        }
    }
    groups
}

/// An open request, its response so far, and when its last line was written.
type Open<'a> = (usize, Option<&'a Answer>, Time);

/// The open request that a response belongs to.
fn open_request(waiting: &VecDeque<Open<'_>>, answer: &Answer) -> Option<usize> {
    let unanswered = || waiting.iter().rposition(|(_, previous, _)| previous.is_none());
    let begun =
        || waiting.iter().rposition(|(_, previous, _)| previous.is_some_and(Answer::is_early));
    let repeated = || {
        waiting
            .iter()
            .rposition(|(_, previous, _)| previous.is_some_and(|previous| answer.repeats(previous)))
    };
    if answer.is_early() {
        unanswered().or_else(begun)
    } else {
        begun().or_else(unanswered).or_else(repeated)
    }
}

fn event(
    answer: &Answer,
    start: Option<&Start>,
    began_at: Time,
    raw: &[u8],
    context: &mut Context<'_>,
) -> Result<Event, NoEvent> {
    let path = served_path(&answer.url);
    let has_credentials = start.is_some_and(|start| start.has_credentials);
    let request = Request {
        method: answer.method.clone(),
        status: answer.status,
        is_index: path.ends_with('/'),
        path,
        is_npm: true,
        user: answer.user.clone(),
        auth_scheme: has_credentials.then(|| "?".to_owned()),
        call: None,
    };
    if request.is_noise() && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    let blank = outline(context, SPEC.name, raw);
    let mut event = Event {
        occurred_at: began_at,
        resolution: Resolution::Millisecond,
        actor: request.actor(),
        source_ip: source_ip(answer, start, context.options),
        user_agent: start.and_then(|start| non_empty(&start.agent)),
        action: request.action(),
        operation: request.operation(),
        resource: request.resource(),
        outcome: if answer.is_early() { Outcome::default() } else { request.outcome() },
        severity: request.severity(),
        class: request.class(),
        description: non_empty(&answer.error),
        request_id: start.and_then(|start| non_empty(&start.request_id)),
        ..blank
    };
    let ended_at = if answer.at > began_at { answer.at.to_string() } else { String::new() };
    event.attributes.extend(attributes_of([
        ("bytes_received", &*answer.received.to_string()),
        ("bytes_sent", &*answer.sent.to_string()),
        ("ended_at", &*ended_at),
        ("request_uri", &*answer.url),
    ]));
    Ok(event)
}

fn source_ip(answer: &Answer, start: Option<&Start>, options: &Options) -> Option<SourceIp> {
    if let Some((claimed, peer)) = answer.address.rsplit_once(" via ") {
        return Some(options.client(address(peer)?, claimed.split(',')));
    }
    let client = address(&answer.address)?;
    let peer = start.and_then(|start| address(&start.peer)).unwrap_or(client);
    Some(SourceIp {
        address: client,
        trust: if peer == client { Trust::Peer } else { Trust::Forwarded },
    })
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    sub: Option<Cow<'a, str>>,
    #[serde(borrow)]
    req: Option<Req<'a>>,
    #[serde(borrow)]
    request: Option<RequestMembers<'a>>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "remoteIP")]
    address: Option<Cow<'a, str>>,
    status: Option<u32>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    bytes: Bytes,
}

#[derive(Deserialize)]
struct RequestMembers<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Req<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow, default)]
    headers: Headers<'a>,
    #[serde(borrow, default, rename = "remoteAddress")]
    peer: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Headers<'a> {
    #[serde(borrow, rename = "user-agent")]
    agent: Cow<'a, str>,
    #[serde(borrow, rename = "x-request-id")]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    authorization: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Bytes {
    #[serde(rename = "in")]
    received: u64,
    #[serde(rename = "out")]
    sent: u64,
}
