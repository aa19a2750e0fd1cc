//! Access log lines of nginx as JSON, of a server that keeps artifacts: WebDAV files, or a repository behind it.
//!
//! Variables: <https://nginx.org/en/docs/varindex.html>; `escape=json`:
//! <https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format>; the `log_format` and captures in
//! `testdata/nginx-json/`. A line is one flat object; `status`, `method` and `msec` or `time` are required. What the
//! captures show and this parser relies on:
//! - `msec` is when the request ended, so it began `request_time` earlier;
//! - `uri` is decoded and normalised, `request_uri` is as sent, with the query;
//! - bytes that are no UTF-8 are written as they came, so that a client could hide its requests from a strict reader;
//! - `remote_user` of a 401 is only claimed, and a 401 without credentials is the usual first step of a client;
//! - `remote_port` is empty where `real_ip_header` replaced the peer's address by one from a header;
//! - npm signs in with tokens that nginx cannot name, and its metadata paths look like files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::lines::parse_lines;
use super::{Context, EnvelopeError, Format, Parsed, non_empty, texts};
use crate::json::{DEPTH_MAX, Strict, is_too_deep};
use crate::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource, Severity,
    SourceIp, Time, Trust,
};

/// Path of the npm registry's own calls, as against packages.
const NPM_CALL: &str = "/-/";

pub(super) fn parse(body: &[u8], context: &mut Context<'_>) -> Result<Vec<Parsed>, EnvelopeError> {
    parse_lines(body, context, read)
}

fn read(line: &[u8], context: &mut Context<'_>) -> Result<Option<Event>, String> {
    let text = String::from_utf8_lossy(line);
    let mut fields = fields(&text)?;
    if matches!(text, Cow::Owned(_)) {
        fields.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    let (occurred_at, resolution) = occurred_at(&mut fields)?;
    let request = request(&mut fields)?;
    let operation = operation(&request);
    let request_id = take(&mut fields, "request_id");
    Ok(Some(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: actor(&request),
        source_ip: source_ip(&mut fields),
        user_agent: take(&mut fields, "user_agent"),
        action: if request.method.is_empty() { "-".to_owned() } else { request.method.clone() },
        operation,
        resource: resource(operation, &request),
        outcome: outcome(operation, &request),
        severity: severity(operation, &request),
        class: class(operation, &request),
        description: None,
        request_id: request_id.clone(),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: Format::NginxJson.as_str().to_owned(),
            key: request_id,
        },
        attributes: fields.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        raw: line.to_vec(),
    }))
}

/// The members of the line, all of them texts, numbers or booleans.
fn fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    if is_too_deep(text.as_bytes()) {
        return Err(format!("too_deep: the line nests deeper than {DEPTH_MAX}"));
    }
    let malformed = |error: serde_json::Error| format!("not a JSON log line: {error}");
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(malformed)?;
    Strict.deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(malformed)?;
    texts(members)
}

/// Takes a field that the event has a place for, so that it is no attribute.
fn take(fields: &mut BTreeMap<String, String>, name: &str) -> Option<String> {
    fields.remove(name).filter(|value| !value.is_empty())
}

fn occurred_at(fields: &mut BTreeMap<String, String>) -> Result<(Time, Resolution), String> {
    let (msec, time) = (take(fields, "msec"), take(fields, "time"));
    let Some(msec) = msec else {
        let time = time.ok_or("the line has neither msec nor time")?;
        return Time::parse_rfc3339(&time).map_err(|error| format!("time: {error}"));
    };
    let ended_at = seconds(&msec).ok_or("msec is no number of seconds")?;
    let took = match fields.get("request_time").map(String::as_str) {
        None | Some("" | "-") => 0,
        Some(took) => seconds(took).ok_or("request_time is no number of seconds")?,
    };
    Ok((Time::from_unix_ns(ended_at - took), Resolution::Millisecond))
}

/// Seconds with up to nine decimal places, as nanoseconds.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// What was asked for, and how it was answered.
struct Request {
    method: String,
    status: u32,
    /// Decoded, without the query; with its first slash.
    path: String,
    /// Whether the path as sent or as served ends in a slash.
    is_index: bool,
    is_npm: bool,
    user: Option<String>,
    /// Basic, Bearer, …: with which the client tried to sign in.
    auth_scheme: Option<String>,
}

fn request(fields: &mut BTreeMap<String, String>) -> Result<Request, String> {
    let user = take(fields, "remote_user").filter(|user| user != "-");
    let uri = take(fields, "uri");
    let field = |name: &str| fields.get(name).map(String::as_str);
    let status = field("status").ok_or("the line has no status")?;
    let sent = field("request_uri").unwrap_or_default().split('?').next().unwrap_or_default();
    let path = uri.unwrap_or_else(|| percent_decoded(sent));
    Ok(Request {
        method: field("method").ok_or("the line has no method")?.to_owned(),
        status: status.parse().map_err(|_| "status is no number")?,
        is_index: path.ends_with('/') || sent.ends_with('/'),
        path,
        is_npm: field("format") == Some("npm"),
        user,
        auth_scheme: field("auth_scheme").and_then(non_empty),
    })
}

impl Request {
    /// Told to sign in, without having tried to.
    fn is_challenge(&self) -> bool {
        self.status == 401 && self.user.is_none() && self.auth_scheme.is_none()
    }

    fn is_refused(&self) -> bool {
        matches!(self.status, 401 | 403) && !self.is_challenge()
    }

    /// The path of what was acted on: npm puts the revision that a change starts from behind it.
    fn resource_path(&self) -> &str {
        match self.path.split_once("/-rev/") {
            Some((path, _)) if self.is_npm => path,
            _ => &self.path,
        }
    }

    /// Only tarballs share `/-/` with the npm registry's own calls.
    fn is_npm_tarball(&self) -> bool {
        self.path.contains(NPM_CALL) && self.resource_path().ends_with(".tgz")
    }

    fn is_npm_call(&self) -> bool {
        self.is_npm && self.path.contains(NPM_CALL) && !self.is_npm_tarball()
    }

    /// Whether a GET asks for a file, and not for an index, for metadata or whether anything changed.
    fn is_for_file(&self) -> bool {
        let is_redirect = (300..400).contains(&self.status);
        let is_metadata = self.is_npm && !self.is_npm_tarball();
        !is_redirect && !is_metadata && !self.is_index && !self.path.ends_with("/-/ping")
    }
}

fn operation(request: &Request) -> Operation {
    match &*request.method {
        _ if request.is_challenge() => Operation::Read,
        "GET" if request.is_for_file() => Operation::Download,
        "GET" | "HEAD" | "OPTIONS" | "PROPFIND" => Operation::Read,
        "PUT" | "POST" | "DELETE" if request.is_npm_call() => npm_call(request),
        "PUT" if request.resource_path() != request.path => Operation::Update,
        "PUT" | "POST" => Operation::Upload,
        "DELETE" => Operation::Delete,
        "MKCOL" | "COPY" => Operation::Create,
        "MOVE" | "PATCH" => Operation::Update,
        _ => Operation::Other,
    }
}

/// `npm login`, `logout` and `dist-tag`.
fn npm_call(request: &Request) -> Operation {
    match &*request.method {
        "PUT" if request.path.contains("/-/user/") => Operation::Login,
        "DELETE" if request.path.contains("/-/user/token/") => Operation::Logout,
        _ if request.path.contains("/dist-tags") => Operation::Update,
        _ => Operation::Other,
    }
}

/// A client with a token is someone, though nginx does not know who.
fn actor(request: &Request) -> Actor {
    let kind = match (&request.user, &request.auth_scheme) {
        (Some(_), _) => ActorKind::User,
        (None, Some(_)) => ActorKind::Unknown,
        (None, None) => ActorKind::Anonymous,
    };
    Actor { id: None, name: request.user.clone(), kind }
}

/// The address, unless the client came by a Unix socket; that stays an attribute.
fn source_ip(fields: &mut BTreeMap<String, String>) -> Option<SourceIp> {
    let address = fields.get("remote_addr")?.parse().ok()?;
    fields.remove("remote_addr");
    let is_claimed = fields.get("remote_port").is_some_and(String::is_empty);
    Some(SourceIp { address, trust: if is_claimed { Trust::Forwarded } else { Trust::Peer } })
}

fn resource(operation: Operation, request: &Request) -> Resource {
    let kind = match operation {
        _ if request.method.is_empty() => "request",
        Operation::Login | Operation::Logout => "user",
        _ => "file",
    };
    let path = request.resource_path();
    Resource {
        kind: Some(kind.to_owned()),
        name: non_empty(path.strip_prefix('/').unwrap_or(path)),
        id: None,
        region: None,
    }
}

fn outcome(operation: Operation, request: &Request) -> Outcome {
    let (kind, reason) = match request.status {
        204 if operation == Operation::Upload && request.method == "PUT" => {
            (OutcomeKind::Success, Some("overwrite".to_owned()))
        }
        200..300 => (OutcomeKind::Success, None),
        300..400 if operation == Operation::Read => (OutcomeKind::Success, None),
        400.. => (OutcomeKind::Failure, Some(format!("HTTP {}", request.status))),
        _ => (OutcomeKind::Unknown, None),
    };
    Outcome { kind, code: Some(request.status), reason }
}

fn severity(operation: Operation, request: &Request) -> Severity {
    match request.status {
        _ if request.is_challenge() => Severity::WARNING,
        401 | 500.. => Severity::MAJOR,
        403 if operation == Operation::Delete => Severity::MAJOR,
        400.. => Severity::MINOR,
        200..300 if operation == Operation::Delete => Severity::MINOR,
        _ => Severity::WARNING,
    }
}

fn class(operation: Operation, request: &Request) -> Class {
    let is_sign_in = matches!(operation, Operation::Login | Operation::Logout);
    if is_sign_in || request.is_refused() { Class::Security } else { Class::Operation }
}

/// RFC 3986 section 2.1. A percent sign without two hexadecimal digits stands for itself.
fn percent_decoded(text: &str) -> String {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = match rest {
            [b'%', high, low, ..] => Some((char::from(*high).to_digit(16), char::from(*low).to_digit(16))),
            _ => None,
        };
        match digits {
            Some((Some(high), Some(low))) => {
                decoded.extend(u8::try_from(high << 4 | low));
                rest = &rest[3..];
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_keep_every_digit() {
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

    #[test]
    fn percent_signs_are_decoded_once() {
        for (text, expected) in [
            ("/a%2Fb%20c", "/a/b c"),
            ("/%E6%96%87", "/文"),
            ("/100%25", "/100%"),
            ("/100%2525", "/100%25"),
            ("/%ff", "/\u{fffd}"),
            ("/%f", "/%f"),
            ("/%", "/%"),
            ("/%+1%zz", "/%+1%zz"),
        ] {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }
}
