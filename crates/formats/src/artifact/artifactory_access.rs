//! The access log of JFrog Artifactory, `artifactory-access.log`.
//!
//! <https://jfrog.com/help/r/jfrog-platform-administration-documentation/access-log>, and the lines
//! built from it in `testdata/artifactory-access/`. A line is `time [trace id] [ACCEPTED ACTION]
//! repository:path for client : user / address [how].`; older releases write `for user/address.`
//! and a time without a zone, and those before 7 no trace id. This parser relies on:
//! - nothing is escaped, and for a refused login the user is whatever was typed: a line in which
//!   `for client :` occurs twice has two readings and is rejected;
//! - the text before `for` is a path only if it begins with a repository and a colon, else a
//!   message;
//! - one trace id has a line for each right that was checked.

use crate::context::{address, date_time};
use crate::item::{Items, NOISE, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::outline::{digest_of, outline};
use crate::spec::{Hooks, Spec, Syslog};
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError, Options};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Service, Severity, Time,
};

const FOR_CLIENT: &str = " for client : ";

const TWO_READINGS: &str = "the line can be read in two ways: a name in it looks like its end";

pub(crate) const SPEC: Spec = Spec {
    name: "artifactory-access",
    about: "JFrog Artifactory: artifactory-access.log",
    service: Service::Artifact,
    delivery: Delivery::Files("/opt/jfrog/artifactory/var/log/artifactory-access.log"),
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
    let record = record(&text)?;
    let (occurred_at, resolution, zone) = occurred_at(record.time, context.options)?;
    let operation = operation(record.action);
    if operation == Operation::Read && record.is_accepted && !context.options.records_noise {
        return Err(NoEvent::Skipped(NOISE));
    }
    let source_ip =
        address(record.address).map(|peer| context.options.client(peer, std::iter::empty()));
    let resource = resource(operation, &record);
    let is_path = resource.kind.as_deref() == Some("file");
    let blank = outline(context, SPEC.name, line);
    // The whole line: one trace id has several lines, and a client may choose it and could hide a
    // second request by it.
    let key = non_empty(record.trace).map(|trace| format!("{trace}/{}", digest_of(&[&text])));
    let mut event = Event {
        occurred_at,
        resolution,
        actor: actor(record.user),
        source_ip,
        action: record.action.to_owned(),
        operation,
        description: non_empty(if is_path { "" } else { record.what }),
        outcome: outcome(&record),
        severity: severity(operation, &record),
        class: class(operation, &record),
        resource,
        trace_id: non_empty(record.trace),
        origin: Origin { key, ..blank.origin.clone() },
        ..blank
    };
    let repository =
        record.what.split_once(':').filter(|_| is_path).map_or("", |(repository, _)| repository);
    event.attributes.extend(attributes_of([("auth_type", record.how), ("repository", repository)]));
    event.attributes.extend(zone);
    Ok(event)
}

/// The fields of a line.
struct Record<'a> {
    time: &'a str,
    trace: &'a str,
    is_accepted: bool,
    action: &'a str,
    /// `repository:path`, a message, or nothing.
    what: &'a str,
    user: &'a str,
    address: &'a str,
    /// How the user signed in.
    how: &'a str,
}

fn record(text: &str) -> Result<Record<'_>, String> {
    let (time, rest) = text.split_once(" [").ok_or("the line has no trace id in brackets")?;
    let no_action = "the line has no [ACCEPTED …] or [DENIED …]";
    let (trace, response, rest) = if rest.starts_with("ACCEPTED ") || rest.starts_with("DENIED ") {
        let (response, rest) = rest.split_once(']').ok_or(no_action)?;
        ("", response, rest)
    } else {
        let (trace, rest) = rest.split_once("] ").ok_or("the line has no trace id in brackets")?;
        let (response, rest) = rest
            .trim_start_matches('|')
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .ok_or(no_action)?;
        (trace, response, rest)
    };
    let (answer, action) =
        response.split_once(' ').filter(|(_, action)| !action.is_empty()).ok_or(no_action)?;
    let is_accepted = match answer {
        "ACCEPTED" => true,
        "DENIED" => false,
        _ => return Err(no_action.to_owned()),
    };
    let (what, who) = match rest.split_once(FOR_CLIENT) {
        Some((_, who)) if who.contains(FOR_CLIENT) => return Err(TWO_READINGS.to_owned()),
        Some(parts) => parts,
        None => rest.rsplit_once(" for ").ok_or("the line does not say for whom")?,
    };
    let who = who.trim_end_matches('.');
    let (who, how) = match who.strip_suffix(']').and_then(|who| who.rsplit_once(" [")) {
        Some(parts) => parts,
        None => (who, ""),
    };
    let (user, from) = who.rsplit_once('/').ok_or("the line has no user and address")?;
    Ok(Record {
        time,
        trace: trace.trim(),
        is_accepted,
        action,
        what: what.trim(),
        user: user.trim(),
        address: from.trim(),
        how,
    })
}

type Occurred = (Time, Resolution, Option<(String, String)>);

/// `2026-11-20T18:52:11.456Z`, or before version 7 `2020-05-15 15:52:11,456`.
fn occurred_at(text: &str, options: &Options) -> Result<Occurred, String> {
    if let Ok((time, resolution)) = Time::parse_rfc3339(text) {
        return Ok((time, resolution, None));
    }
    let not_a_time =
        || format!("time: {:?} is not a time", text.chars().take(64).collect::<String>());
    let local = date_time(&text.replacen(',', ".", 1)).ok_or_else(not_a_time)?;
    let (time, attribute) = options.local(local).map_err(|error| format!("time: {error}"))?;
    Ok((time, Resolution::Millisecond, Some(attribute)))
}

fn actor(user: &str) -> Actor {
    match user {
        "" | "anonymous" | "non_authenticated_user" => {
            Actor { kind: ActorKind::Anonymous, ..Actor::default() }
        }
        _ => Actor { id: None, name: Some(user.to_owned()), kind: ActorKind::User },
    }
}

fn operation(action: &str) -> Operation {
    match action {
        "DOWNLOAD" => Operation::Download,
        "DEPLOY" => Operation::Upload,
        "DELETE" | "BUILD_DELETE" => Operation::Delete,
        "LOGIN" | "AUTHENTICATE" => Operation::Login,
        "SEARCH" => Operation::Read,
        "CONFIGURATION_CHANGE" => Operation::Configure,
        "CREATE" | "BUILD_CREATE" => Operation::Create,
        "UPDATE" | "APPROVE" | "BUILD_PROMOTE" => Operation::Update,
        _ if action.starts_with("ANNOTATE") || action.starts_with("PROPERTY_") => Operation::Update,
        _ => Operation::Other,
    }
}

fn resource(operation: Operation, record: &Record<'_>) -> Resource {
    let path = record.what.split_once(':').filter(|(repository, _)| {
        let is_name = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.');
        !repository.is_empty() && repository.chars().all(is_name)
    });
    let (kind, name) = match (operation, path) {
        (Operation::Login, _) => ("user", record.user.to_owned()),
        (Operation::Configure, _) => ("configuration", String::new()),
        _ if record.action.starts_with("BUILD_") => ("build", record.what.to_owned()),
        (_, Some((repository, path))) => {
            ("file", format!("{repository}/{}", path.trim_start_matches('/')))
        }
        (_, None) => ("request", String::new()),
    };
    Resource { kind: Some(kind.to_owned()), name: non_empty(&name), id: None, region: None }
}

fn outcome(record: &Record<'_>) -> Outcome {
    let (kind, reason) = match record.is_accepted {
        true => (OutcomeKind::Success, None),
        false => (OutcomeKind::Failure, Some("DENIED".to_owned())),
    };
    Outcome { kind, code: None, reason }
}

fn severity(operation: Operation, record: &Record<'_>) -> Severity {
    match (record.is_accepted, operation) {
        (false, Operation::Login | Operation::Delete) => Severity::MAJOR,
        (false, _) | (true, Operation::Delete) => Severity::MINOR,
        (true, _) => Severity::WARNING,
    }
}

fn class(operation: Operation, record: &Record<'_>) -> Class {
    let is_sensitive = matches!(operation, Operation::Login | Operation::Configure);
    if is_sensitive || !record.is_accepted { Class::Security } else { Class::Operation }
}
