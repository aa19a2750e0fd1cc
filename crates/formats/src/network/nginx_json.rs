//! Access log lines of nginx as JSON, in front of an artifact repository or of WebDAV files.
//!
//! Variables: <https://nginx.org/en/docs/varindex.html>; `escape=json`:
//! <https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format>; the `log_format` and
//! captures in `testdata/nginx-json/`. A line is one flat object; `status`, `method` and `msec` or
//! `time` are required. The captures show, and this parser relies on:
//! - `msec` is when the request ended, so it began `request_time` earlier;
//! - `uri` is decoded and normalised, `request_uri` is as sent, with the query;
//! - bytes that are not UTF-8 are written as they came, so that a client could hide its requests
//!   from a strict reader;
//! - `remote_user` of a 401 is only claimed, and a 401 without credentials is the usual first step
//!   of a client;
//! - `remote_port` is empty if `real_ip_header` replaced the peer's address by one from a header;
//! - npm signs in with tokens that nginx cannot name, and its metadata paths look like files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::context::address;
use crate::item::{Items, NOISE, NoEvent};
use crate::json_pieces::flat_texts;
use crate::lines::{complete_lines, parse_lines};
use crate::repository_request::{Request, served_path};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::non_empty;
use crate::{Context, Delivery, EnvelopeError, Options};
use event::{Event, Origin, Resolution, Service, SourceIp, Time, Trust};

pub(crate) const SPEC: Spec = Spec {
    name: "nginx-json",
    about: "nginx: access log lines as JSON",
    service: Service::Artifact,
    delivery: Delivery::Files("/var/log/nginx/packages.json"),
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
    let mut fields = fields(&text)?;
    if matches!(text, Cow::Owned(_)) {
        fields.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    let (occurred_at, resolution) = occurred_at(&mut fields)?;
    let request = request(&mut fields)?;
    if request.is_noise() && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    let request_id = take(&mut fields, "request_id");
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: request.actor(),
        source_ip: source_ip(&mut fields, context.options),
        user_agent: take(&mut fields, "user_agent"),
        action: request.action(),
        operation: request.operation(),
        resource: request.resource(),
        outcome: request.outcome(),
        severity: request.severity(),
        class: request.class(),
        description: None,
        request_id: request_id.clone(),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: request_id,
        },
        attributes: fields.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        raw: line.to_vec(),
    })
}

/// The members of the line, all of them texts, numbers or booleans.
fn fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    flat_texts(text).map_err(|error| format!("not a JSON log line: {error}"))
}

/// Takes a field for which the event has a member, so that it does not become an attribute.
fn take(fields: &mut BTreeMap<String, String>, name: &str) -> Option<String> {
    fields.remove(name).filter(|value| !value.is_empty())
}

fn occurred_at(fields: &mut BTreeMap<String, String>) -> Result<(Time, Resolution), String> {
    let (msec, time) = (take(fields, "msec"), take(fields, "time"));
    let Some(msec) = msec else {
        let time = time.ok_or("the line has neither msec nor time")?;
        return Time::parse_rfc3339(&time).map_err(|error| format!("time: {error}"));
    };
    let ended_at = seconds(&msec).ok_or("msec is not a number of seconds")?;
    let took = match fields.get("request_time").map(String::as_str) {
        None | Some("" | "-") => 0,
        Some(took) => seconds(took).ok_or("request_time is not a number of seconds")?,
    };
    Ok((Time::from_unix_ns(ended_at - took), Resolution::Millisecond))
}

/// Seconds with up to nine decimal places, as nanoseconds.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

fn request(fields: &mut BTreeMap<String, String>) -> Result<Request, String> {
    let user = take(fields, "remote_user").filter(|user| user != "-");
    let uri = take(fields, "uri");
    let field = |name: &str| fields.get(name).map(String::as_str);
    let status = field("status").ok_or("the line has no status")?;
    let sent = field("request_uri").unwrap_or_default().split('?').next().unwrap_or_default();
    let path = uri.unwrap_or_else(|| served_path(sent));
    Ok(Request {
        method: field("method").ok_or("the line has no method")?.to_owned(),
        status: status.parse().map_err(|_| "status is not a number")?,
        is_index: path.ends_with('/') || sent.ends_with('/'),
        path,
        is_npm: field("format") == Some("npm"),
        user,
        auth_scheme: field("auth_scheme").and_then(non_empty),
        call: None,
    })
}

/// The address, unless the client came by a Unix socket. The name of a Unix socket and the address
/// of a proxy stay attributes.
fn source_ip(fields: &mut BTreeMap<String, String>, options: &Options) -> Option<SourceIp> {
    let peer = address(fields.get("remote_addr")?)?;
    if fields.get("remote_port").is_some_and(String::is_empty) {
        fields.remove("remote_addr");
        return Some(SourceIp { address: peer, trust: Trust::Forwarded });
    }
    let forwarded = fields.get("xff").map(String::as_str).unwrap_or_default();
    let client = options.client(peer, forwarded.split(','));
    if client.address == peer {
        fields.remove("remote_addr");
    }
    Some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_lose_no_digit() {
        for (text, expected) in [
            ("1795197885.965", Some(1_795_197_885_965_000_000)),
            ("0.000", Some(0)),
            ("7", Some(7_000_000_000)),
            ("0.123456789", Some(123_456_789)),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("1e9", None),
            ("0.1234567890", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
