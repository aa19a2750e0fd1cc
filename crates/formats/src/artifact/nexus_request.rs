//! The request log of Sonatype Nexus Repository 3, `request.log`.
//!
//! <https://help.sonatype.com/en/logging.html>, its pattern in
//! <https://support.sonatype.com/hc/en-us/articles/115009807628>, and the lines built from them in
//! `testdata/nexus-request/`. A line is `address - user [time] "request" status received sent
//! milliseconds "agent" [thread]`; older releases have neither `received` nor `[thread]`. This
//! parser relies on:
//! - nothing is escaped: the request is two words and a protocol, and the agent ends with the
//!   line's last quote;
//! - files are below `/repository/NAME/`; the rest are pages and calls of Nexus itself;
//! - the user is one who signed in: a 401 names no user, even with a wrong password;
//! - nothing distinguishes npm's metadata from files, as in `nginx-combined`.

use crate::access_line::head;
use crate::context::address;
use crate::item::{Items, NOISE, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::outline::outline;
use crate::repository_request::{Request, is_npm_change, request_line, served_path};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{Event, Operation, Resolution, Service};

const REPOSITORY: &str = "/repository/";

pub(crate) const SPEC: Spec = Spec {
    name: "nexus-request",
    about: "Sonatype Nexus Repository 3: request.log",
    service: Service::Artifact,
    delivery: Delivery::Files("/nexus-data/log/request.log"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks::NONE,
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    parse_lines(body, context, read, items)
}

fn read(line: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(line);
    let head = head(&text)?;
    let fields = fields(head.rest)?;
    let user =
        Some(head.user).filter(|user| !matches!(*user, "-" | "anonymous")).and_then(non_empty);
    let (method, target, protocol) = request_line(fields.request);
    let request = request(method, target, user, fields.status);
    if request.is_noise() && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    let source_ip =
        address(head.address).map(|peer| context.options.client(peer, std::iter::empty()));
    let repository = repository_path(&served_path(target))
        .and_then(|path| path.split('/').nth(1).map(str::to_owned));
    let mut event = Event {
        occurred_at: head.time,
        resolution: Resolution::Second,
        actor: request.actor(),
        source_ip,
        user_agent: Some(fields.agent).filter(|agent| *agent != "-").and_then(non_empty),
        action: request.action(),
        operation: request.operation(),
        resource: request.resource(),
        outcome: request.outcome(),
        severity: request.severity(),
        class: request.class(),
        ..outline(context, SPEC.name, line)
    };
    event.attributes.extend(attributes_of([
        ("bytes_received", fields.received),
        ("bytes_sent", fields.sent),
        ("elapsed_ms", fields.elapsed),
        ("protocol", protocol),
        ("repository", repository.as_deref().unwrap_or_default()),
        ("request", if method.is_empty() { fields.request } else { "" }),
        ("request_uri", target),
        ("thread", fields.thread),
    ]));
    Ok(event)
}

/// The fields after the first quote.
struct Fields<'a> {
    request: &'a str,
    status: u32,
    received: &'a str,
    sent: &'a str,
    elapsed: &'a str,
    agent: &'a str,
    thread: &'a str,
}

fn fields(text: &str) -> Result<Fields<'_>, String> {
    let cut = || "the line ends before its agent".to_owned();
    let (request, rest) = text.split_once("\" ").ok_or_else(cut)?;
    let (numbers, rest) = rest.split_once('"').ok_or_else(cut)?;
    let (agent, thread) = rest.rsplit_once('"').ok_or_else(cut)?;
    let numbers: Vec<&str> = numbers.split_ascii_whitespace().take(5).collect();
    let (status, received, sent, elapsed) = match numbers[..] {
        [status, received, sent, elapsed] => (status, received, sent, elapsed),
        [status, sent, elapsed] => (status, "", sent, elapsed),
        _ => {
            return Err("the line has other numbers than status, bytes and milliseconds".to_owned());
        }
    };
    let number = |text| if text == "-" { "" } else { text };
    Ok(Fields {
        request,
        status: status.parse().map_err(|_| "status is not a number")?,
        received: number(received),
        sent: number(sent),
        elapsed: number(elapsed),
        agent,
        thread: thread.trim().trim_start_matches('[').trim_end_matches(']'),
    })
}

/// The repository and the path in it, with a slash before them; none for a path of Nexus itself.
/// Nexus may be served below a path of one part.
fn repository_path(path: &str) -> Option<String> {
    let (before, inside) = path.split_once(REPOSITORY)?;
    let is_nexus = before.matches('/').count() <= 1 && !inside.is_empty();
    is_nexus.then(|| format!("/{inside}"))
}

fn request(method: &str, target: &str, user: Option<String>, status: u32) -> Request {
    let path = served_path(target);
    let (path, call) = match repository_path(&path) {
        Some(inside) => (inside, None),
        None => {
            let call = call(method, &path);
            (path, Some(call))
        }
    };
    Request {
        method: method.to_owned(),
        status,
        is_index: path.ends_with('/'),
        is_npm: is_npm_change(method, &path),
        path,
        user,
        call,
        ..Request::default()
    }
}

/// The meaning of a request to Nexus itself. The console reads and acts by POSTs to one path, which
/// the audit log distinguishes.
fn call(method: &str, path: &str) -> Operation {
    match method {
        "GET" | "HEAD" | "OPTIONS" => Operation::Read,
        "POST" if path.ends_with("/service/rapture/session") => Operation::Login,
        "DELETE" if path.ends_with("/service/rapture/session") => Operation::Logout,
        "DELETE" => Operation::Delete,
        "PUT" | "PATCH" => Operation::Update,
        _ => Operation::Other,
    }
}
