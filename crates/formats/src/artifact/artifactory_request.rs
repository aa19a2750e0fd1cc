//! The request log of JFrog Artifactory 7, `artifactory-request.log`.
//!
//! <https://jfrog.com/help/r/jfrog-platform-administration-documentation/request-log>, and the
//! lines built from it in `testdata/artifactory-request/`. A line is `time|trace
//! id|address|user|method|path|status|request bytes|response bytes|milliseconds|agent`. This parser
//! relies on:
//! - the time is UTC, to the millisecond, and when the request was completed;
//! - only the agent, the last field, may hold a `|`;
//! - `/REPOSITORY/PATH` and `/api/TYPE/REPOSITORY/PATH` of a package manager are files, other paths
//!   below `/api/` and `/ui/` are Artifactory's own;
//! - an anonymous user is `anonymous`, or `non_authenticated_user` if a login was required or
//!   failed.

use crate::context::address;
use crate::item::{Items, NOISE, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::outline::{digest_of, outline};
use crate::repository_request::{Request, served_path};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError};
use event::{Event, Operation, Origin, Resolution, Service, Time};

/// Fields of a line.
const FIELDS: usize = 11;

/// Package managers whose repositories are reached below `/api/TYPE/`.
const PACKAGE_TYPES: [&str; 22] = [
    "alpine",
    "cargo",
    "chef",
    "cocoapods",
    "composer",
    "conan",
    "conda",
    "cran",
    "deb",
    "docker",
    "gems",
    "go",
    "helm",
    "helmoci",
    "npm",
    "nuget",
    "oci",
    "pub",
    "puppet",
    "pypi",
    "rpm",
    "terraform",
];

pub(crate) const SPEC: Spec = Spec {
    name: "artifactory-request",
    about: "JFrog Artifactory: artifactory-request.log",
    service: Service::Artifact,
    delivery: Delivery::Files("/opt/jfrog/artifactory/var/log/artifactory-request.log"),
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
    let fields: Vec<&str> = text.splitn(FIELDS, '|').collect();
    let [time, trace, from, user, method, target, status, received, sent, elapsed, agent] =
        fields[..]
    else {
        return Err(format!("the line has not {FIELDS} fields").into());
    };
    let (ended_at, _) = Time::parse_rfc3339(time).map_err(|error| format!("time: {error}"))?;
    let status = status.parse().map_err(|_| "status is not a number")?;
    let (request, repository) = request(method, target, user, status);
    if request.is_noise() && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    let source_ip = address(from).map(|peer| context.options.client(peer, std::iter::empty()));
    let blank = outline(context, SPEC.name, line);
    // The whole line: a client may choose the trace id, and could hide a second request by it.
    let key = non_empty(trace).map(|trace| format!("{trace}/{}", digest_of(&[&text])));
    let mut event = Event {
        occurred_at: began_at(ended_at, elapsed),
        resolution: Resolution::Millisecond,
        actor: request.actor(),
        source_ip,
        user_agent: non_empty(agent),
        action: request.action(),
        operation: request.operation(),
        resource: request.resource(),
        outcome: request.outcome(),
        severity: request.severity(),
        class: request.class(),
        trace_id: non_empty(trace),
        origin: Origin { key, ..blank.origin.clone() },
        ..blank
    };
    let bytes = |text| if text == "-1" { "" } else { text };
    event.attributes.extend(attributes_of([
        ("bytes_received", bytes(received)),
        ("bytes_sent", bytes(sent)),
        ("elapsed_ms", elapsed),
        ("repository", &*repository),
        ("request_uri", target),
    ]));
    Ok(event)
}

/// The log has the time when a request was completed, the event the time when it began.
fn began_at(ended_at: Time, elapsed: &str) -> Time {
    let took_ns = elapsed.parse::<u32>().map_or(0, |ms| i64::from(ms) * 1_000_000);
    Time::from_unix_ns(ended_at.unix_ns().saturating_sub(took_ns))
}

/// The request, and its repository.
fn request(method: &str, target: &str, user: &str, status: u32) -> (Request, String) {
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let served = served_path(&target);
    let path =
        served.strip_prefix("/artifactory/").map_or(served.clone(), |inside| format!("/{inside}"));
    let own = Some(call(method));
    let (path, package_type, call) = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "api", kind, repository, _, ..]
            if PACKAGE_TYPES.contains(&kind) && !repository.is_empty() =>
        {
            let inside = path["/api/".len() + kind.len()..].to_owned();
            (inside, kind.to_owned(), None)
        }
        ["", "" | "api" | "ui" | "webapp" | "access" | "router", ..] => (path, String::new(), own),
        _ => (path, String::new(), None),
    };
    let repository = match call {
        None => path.split('/').nth(1).unwrap_or_default().to_owned(),
        Some(_) => String::new(),
    };
    let request = Request {
        method: method.to_owned(),
        status,
        is_index: path.ends_with('/') || path.matches('/').count() == 1,
        is_npm: package_type == "npm",
        path,
        user: Some(user)
            .filter(|user| !matches!(*user, "anonymous" | "non_authenticated_user"))
            .and_then(non_empty),
        call,
        ..Request::default()
    };
    (request, repository)
}

/// The meaning of a request to Artifactory itself.
fn call(method: &str) -> Operation {
    match method {
        "GET" | "HEAD" | "OPTIONS" => Operation::Read,
        "DELETE" => Operation::Delete,
        "PUT" | "PATCH" => Operation::Update,
        _ => Operation::Other,
    }
}
