//! Access log lines of nginx in front of an artifact repository, in the predefined format
//! `combined` and in the format `main` of nginx's own packages, which adds `X-Forwarded-For`.
//!
//! <https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format>, and the captures in
//! `testdata/nginx-combined/`. A line is `address - user [time] "request" status bytes "referer"
//! "agent"`. The captures show, and this parser relies on:
//! - quotes, backslashes, control bytes and every byte of 0x80 and above are written `\xHH`, so
//!   that a quote always ends a field; spaces in a user's name are not escaped;
//! - the request has its percent signs, `..` and query as sent; bytes that are not HTTP stand there
//!   as they came;
//! - the user of a 401 is only claimed, and a 401 without user is the usual first step of a client;
//!   a request without user may have been signed in by a token;
//! - the time is when the request ended, to the second, with its zone;
//! - nothing distinguishes npm's metadata from files, so reading metadata counts as a download: any
//!   other sign is chosen by the client, which could hide a download by it.

use crate::access_line::{head, quoted, unescaped};
use crate::context::address;
use crate::item::{Items, NOISE, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::outline::outline;
use crate::repository_request::{Request, is_npm_change, request_line, served_path};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{Actor, Event, Resolution, Service};

pub(crate) const SPEC: Spec = Spec {
    name: "nginx-combined",
    about: "nginx: access log lines in the formats combined and main",
    service: Service::Artifact,
    delivery: Delivery::Files("/var/log/nginx/access.log"),
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
    let mut is_utf8 = true;
    let mut plain = |written: &str| {
        let (plain, is_whole) = unescaped(written);
        is_utf8 &= is_whole;
        if plain == "-" { String::new() } else { plain }
    };
    let (user, request_text) = (plain(head.user), plain(fields.request));
    let [referer, agent, forwarded] = [fields.referer, fields.agent, fields.forwarded].map(plain);
    let (method, target, protocol) = request_line(&request_text);
    let request = request(method, target, non_empty(&user), fields.status);
    if request.is_noise() && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    let peer = address(head.address);
    let source_ip = peer.map(|peer| context.options.client(peer, forwarded.split(',')));
    let is_peer = peer.is_some() && source_ip.as_ref().map(|ip| ip.address) == peer;
    let mut event = Event {
        occurred_at: head.time,
        resolution: Resolution::Second,
        actor: actor(&request),
        source_ip,
        user_agent: non_empty(&agent),
        action: request.action(),
        operation: request.operation(),
        resource: request.resource(),
        outcome: request.outcome(),
        severity: request.severity(),
        class: request.class(),
        ..outline(context, SPEC.name, line)
    };
    event.attributes.extend(attributes_of([
        ("bytes_sent", fields.bytes),
        ("invalid_utf8", if is_utf8 { "" } else { "true" }),
        ("more", fields.more),
        ("protocol", protocol),
        ("referer", &referer),
        ("remote_addr", if is_peer { "" } else { head.address }),
        ("request", if method.is_empty() { &request_text } else { "" }),
        ("request_uri", target),
        ("xff", &forwarded),
    ]));
    Ok(event)
}

/// The fields after the first quote, as written.
struct Fields<'a> {
    request: &'a str,
    status: u32,
    bytes: &'a str,
    referer: &'a str,
    agent: &'a str,
    forwarded: &'a str,
    /// The fields that a custom format appends.
    more: &'a str,
}

fn fields(text: &str) -> Result<Fields<'_>, String> {
    let cut = || "the line ends before its agent".to_owned();
    let (request, rest) = quoted(text).ok_or_else(cut)?;
    let (numbers, rest) = rest.split_once('"').ok_or_else(cut)?;
    let mut numbers = numbers.split_ascii_whitespace();
    let (status, bytes) =
        numbers.next().zip(numbers.next()).ok_or("the line has no status and bytes")?;
    if numbers.next().is_some() {
        return Err("the line has more than status and bytes behind its request".to_owned());
    }
    let (referer, rest) = quoted(rest).ok_or_else(cut)?;
    let (agent, rest) = rest.strip_prefix(" \"").and_then(quoted).ok_or_else(cut)?;
    let (forwarded, more) = rest.strip_prefix(" \"").and_then(quoted).unwrap_or(("", rest));
    let status = status.parse().map_err(|_| "status is not a number")?;
    Ok(Fields { request, status, bytes, referer, agent, forwarded, more: more.trim() })
}

/// A request without user may carry a token, which these lines do not show.
fn actor(request: &Request) -> Actor {
    match request.actor() {
        Actor { name: None, .. } => Actor::default(),
        named => named,
    }
}

fn request(method: &str, target: &str, user: Option<String>, status: u32) -> Request {
    let path = served_path(target);
    Request {
        method: method.to_owned(),
        status,
        is_index: path.ends_with('/'),
        is_npm: is_npm_change(method, &path),
        path,
        user,
        ..Request::default()
    }
}
