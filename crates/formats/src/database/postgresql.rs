//! Records of PostgreSQL's logs, CSV or JSON: statements that pgaudit reports, sessions, failures,
//! settings.
//!
//! Records: <https://www.postgresql.org/docs/current/runtime-config-logging.html>, with the names
//! of the JSON log for their parts; pgaudit's message: <https://github.com/pgaudit/pgaudit#format>;
//! the captures in `testdata/postgresql-csvlog/`. The captures show, and this module relies on:
//! - a statement that fails has no AUDIT line, only an ERROR with its text; one that succeeds may
//!   have several, one for each relation or object, and again for what it calls;
//! - a login is three lines, and the last one, `connection authorized`, is the event; a failed
//!   login is a FATAL;
//! - anyone who may run code can log any text with `RAISE LOG`, but not without a context: a
//!   message with a context is not the server's;
//! - pgaudit strikes passwords out of statements that succeeded, but the line of a failed statement
//!   has them;
//! - session ids are the time a session began and its process, and each session numbers its lines
//!   from 1.

use std::collections::BTreeMap;

use crate::context::{self, address};
use crate::sql::{self, Audit, Dialect, Spans, Text};
use crate::texts::non_empty;
use crate::{Context, Sequence, csv};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Severity, SourceIp, Time, Trust,
};

/// Parts of a record by the names of the JSON log, without empty ones.
pub(crate) type Parts = BTreeMap<String, String>;

/// Parts for which the event has a member, or that it says in another way.
const EVENT_MEMBERS: [&str; 12] = [
    "timestamp",
    "user",
    "remote_host",
    "session_id",
    "line_num",
    "ps",
    "message",
    "statement",
    "application_name",
    "func_name",
    "file_name",
    "file_line_num",
];

/// Names of parts as attributes, if they differ.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("dbname", "database"),
    ("pid", "process_id"),
    ("session_start", "session_started_at"),
    ("vxid", "virtual_transaction_id"),
    ("txid", "transaction_id"),
    ("state_code", "sql_state"),
    ("cursor_position", "position"),
    ("leader_pid", "leader_process_id"),
    ("line_num", "line"),
];

pub(crate) fn event(
    mut parts: Parts,
    raw: &[u8],
    is_invalid_utf8: bool,
    (format, in_raw): (&str, sql::InRaw),
    context: &mut Context<'_>,
) -> Result<Event, String> {
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    let (occurred_at, zone) = time(part("timestamp"), context)?;
    let (session, line) = (part("session_id"), part("line_num"));
    if session.is_empty() || line.parse::<u64>().is_err() {
        return Err("the record has no session id and line number".to_owned());
    }
    let key = format!("{session}/{line}");
    let act = act(&parts);
    let request_id =
        act.audited.as_ref().map(|audited| format!("{session}/{}", audited.statement_id));
    let (operation, outcome) = (operation(&act, &parts), outcome(&act, &parts));
    let (class, severity) = judge(&act, operation, outcome.kind, &parts);
    let mut event = Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution: Resolution::Millisecond,
        actor: actor(&parts),
        source_ip: source_ip(part("remote_host")),
        user_agent: non_empty(part("application_name")),
        action: act.action.clone(),
        operation,
        resource: resource(&act, &parts),
        outcome,
        severity,
        class,
        description: non_empty(act.statement.as_deref().unwrap_or(part("message"))),
        request_id,
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: format.to_owned(),
            key: Some(key),
        },
        attributes: BTreeMap::new(),
        raw: raw.to_vec(),
    };
    let kind = if act.statement.is_some() { Text::Statement } else { Text::Prose };
    add_attributes(&mut event, &act, &mut parts);
    event.attributes.extend(zone);
    if is_invalid_utf8 {
        event.attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    sql::redact(&mut event, context.options, Dialect::PostgreSql, kind, in_raw);
    Ok(event)
}

/// The sequence of an event of either log: each session numbers its lines.
pub(crate) fn sequence(event: &Event) -> Option<Sequence> {
    let (stream, number) = event.origin.key.as_deref()?.rsplit_once('/')?;
    Some(Sequence { stream: stream.to_owned(), number: number.parse().ok()? })
}

/// Reads `2026-11-20 18:10:25.552 UTC`. The zone is an abbreviation, and few abbreviations mean one
/// offset only: UTC and numbers count, and for all others the source's configuration says which
/// zone it is.
fn time(text: &str, context: &Context<'_>) -> Result<(Time, Vec<(String, String)>), String> {
    let malformed =
        || format!("timestamp: {:?} is not a time", text.chars().take(64).collect::<String>());
    let (date_time, zone) = text.rsplit_once(' ').ok_or_else(malformed)?;
    let iso = date_time.replacen(' ', "T", 1);
    let offset = match zone {
        "UTC" | "GMT" | "UCT" | "Z" => Some("Z".to_owned()),
        _ => numeric_offset(zone),
    };
    if let Some(offset) = offset {
        let (time, _) = Time::parse_rfc3339(&format!("{iso}{offset}")).map_err(|_| malformed())?;
        return Ok((time, Vec::new()));
    }
    let local = context::date_time(&iso).ok_or_else(malformed)?;
    let (time, attribute) =
        context.options.local(local).map_err(|error| format!("timestamp: {error}"))?;
    Ok((time, vec![attribute, ("zone_abbreviation".to_owned(), zone.to_owned())]))
}

/// Reads `+08`, `-0330` or `+05:45`, the abbreviations of zones without letters of their own, in
/// the form of RFC 3339.
fn numeric_offset(zone: &str) -> Option<String> {
    let digits = zone.strip_prefix(['+', '-'])?.replace(':', "");
    let is_number =
        matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("{}{}:{:0<2}", &zone[..1], &digits[..2], &digits[2..]))
}

/// The kinds of records.
struct Act {
    action: String,
    kind: Kind,
    statement: Option<String>,
    audited: Option<Audited>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// pgaudit reports a statement that succeeded.
    Audited,
    /// A statement that failed.
    Failed,
    /// A statement before it is executed (false) or after (true): `log_statement`,
    /// `log_min_duration_statement`.
    Logged(bool),
    Login,
    Logout,
    /// A setting changed with its file: name and value.
    Setting(String, String),
    /// Any other message of the server.
    Message,
}

/// The parts of pgaudit's message except the statement.
struct Audited {
    audit_type: String,
    statement_id: String,
    substatement_id: String,
    class: String,
    object_type: String,
    object_name: String,
    parameters: String,
    rows: String,
}

fn act(parts: &Parts) -> Act {
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    let (severity, message) = (part("error_severity"), part("message"));
    let is_failure = matches!(severity, "ERROR" | "FATAL" | "PANIC");
    // A message with a context comes from code that someone ran.
    let is_servers = part("context").is_empty();
    if is_servers
        && !is_failure
        && let Some((command, statement, audited)) = audited(message)
    {
        return Act {
            action: command,
            kind: Kind::Audited,
            statement: non_empty(&statement),
            audited: Some(audited),
        };
    }
    let plain = |action: &str, kind| Act {
        action: action.to_owned(),
        kind,
        statement: None,
        audited: None,
    };
    if is_failure {
        if is_failed_login(parts) {
            return plain("connection failed", Kind::Login);
        }
        let statement = non_empty(part("statement"));
        let action = match &statement {
            Some(statement) => failed_command(part("ps"), statement),
            None => severity.to_owned(),
        };
        let kind = if statement.is_some() { Kind::Failed } else { Kind::Message };
        return Act { action, kind, statement, audited: None };
    }
    if !is_servers {
        return plain(severity, Kind::Message);
    }
    if let Some((statement, is_done)) = logged_statement(message) {
        let action = sql::command(statement, Dialect::PostgreSql);
        let action = if action.is_empty() { severity.to_owned() } else { action };
        return Act {
            action,
            kind: Kind::Logged(is_done),
            statement: non_empty(statement),
            audited: None,
        };
    }
    if let Some((name, value)) = changed_setting(message) {
        return plain("parameter changed", Kind::Setting(name, value));
    }
    for (prefix, action, kind) in [
        ("connection authorized: ", "connection authorized", Kind::Login),
        ("replication connection authorized: ", "replication connection authorized", Kind::Login),
        ("connection received: ", "connection received", Kind::Message),
        ("connection authenticated: ", "connection authenticated", Kind::Message),
        ("disconnection: ", "disconnection", Kind::Logout),
    ] {
        if message.starts_with(prefix) {
            return plain(action, kind);
        }
    }
    plain(if severity.is_empty() { "LOG" } else { severity }, Kind::Message)
}

/// The command, the statement and the rest of `AUDIT:
/// SESSION,1,1,READ,SELECT,TABLE,public.orders,SELECT 1,<none>,1`.
fn audited(message: &str) -> Option<(String, String, Audited)> {
    let record = message.strip_prefix(AUDIT)?;
    let fields = csv::fields(record.as_bytes()).filter(|fields| fields.len() >= AUDIT_FIELDS)?;
    let field = |at: usize| {
        fields.get(at).map(|field| csv::text(record, field).into_owned()).unwrap_or_default()
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (audit_type, statement_id, substatement_id) = (field(0), field(1), field(2));
    if !matches!(&*audit_type, "SESSION" | "OBJECT")
        || !is_number(&statement_id)
        || !is_number(&substatement_id)
    {
        return None;
    }
    let audited = Audited {
        audit_type,
        statement_id,
        substatement_id,
        class: field(3),
        object_type: field(5),
        object_name: field(6),
        parameters: field(8),
        rows: field(9),
    };
    Some((field(4), field(7), audited))
}

const AUDIT: &str = "AUDIT: ";

/// Number of fields of pgaudit's message without the number of rows.
const AUDIT_FIELDS: usize = 9;

/// The spans of the secrets in a message; in pgaudit's, each field is a text of its own.
pub(crate) fn in_message(message: &str, find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let Some(fields) =
        message.strip_prefix(AUDIT).and_then(|record| csv::fields(record.as_bytes()))
    else {
        return find(message, Text::Prose);
    };
    let record = &message[AUDIT.len()..];
    csv::in_fields(record, &fields, &mut |at, text| {
        find(text, if at == 7 { Text::Statement } else { Text::Prose })
    })
    .into_iter()
    .map(|span| AUDIT.len() + span.start..AUDIT.len() + span.end)
    .collect()
}

/// Whether a session ended before it began: SQL states of class 28, and any other fatal error
/// before the first statement.
fn is_failed_login(parts: &Parts) -> bool {
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    let is_beginning = matches!(part("ps"), "authentication" | "startup" | "initializing")
        || part("backend_type") == "not initialized";
    part("error_severity") == "FATAL" && (part("state_code").starts_with("28") || is_beginning)
}

/// The command tag, such as `CREATE TABLE`, or the server's own activity: `idle` if the statement
/// could not even be parsed.
fn failed_command(tag: &str, statement: &str) -> String {
    let is_command =
        !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ');
    let command =
        if is_command { tag.to_owned() } else { sql::command(statement, Dialect::PostgreSql) };
    if command.is_empty() { "ERROR".to_owned() } else { command }
}

/// Reads `statement: …`, `execute name: …`, with or without `duration: 0.1 ms  ` before it.
fn logged_statement(message: &str) -> Option<(&str, bool)> {
    let (rest, is_done) = match message.strip_prefix("duration: ") {
        Some(rest) => (rest.split_once(" ms  ")?.1, true),
        None => (message, false),
    };
    if let Some(statement) = rest.strip_prefix("statement: ") {
        return Some((statement, is_done));
    }
    let is_execution = rest.starts_with("execute ") || rest.starts_with("execute fetch from ");
    let (name, statement) = rest.split_once(": ")?;
    (is_execution && !name.contains('\n')).then_some((statement, is_done))
}

/// Reads `parameter "pgaudit.log" changed to "none"`, or `… removed from configuration file, reset
/// to default`.
fn changed_setting(message: &str) -> Option<(String, String)> {
    let (name, rest) = message.strip_prefix("parameter \"")?.split_once('"')?;
    let value = match rest.strip_prefix(" changed to \"") {
        Some(value) => value.strip_suffix('"').unwrap_or(value),
        None if rest.starts_with(" removed from configuration file") => "default",
        None => return None,
    };
    Some((name.to_owned(), value.to_owned()))
}

fn operation(act: &Act, parts: &Parts) -> Operation {
    let of_statement = || {
        act.statement
            .as_deref()
            .map_or(Operation::Other, |text| sql::operation(text, Dialect::PostgreSql))
    };
    match (&act.kind, &act.audited) {
        (Kind::Audited, Some(audited)) => audited_operation(act, audited, of_statement()),
        (Kind::Failed | Kind::Logged(_), _) => of_statement(),
        (Kind::Login, _) => Operation::Login,
        (Kind::Logout, _) => Operation::Logout,
        (Kind::Setting(..), _) => Operation::Configure,
        (Kind::Audited | Kind::Message, _) if is_reload(parts) => Operation::Configure,
        _ => Operation::Other,
    }
}

fn is_reload(parts: &Parts) -> bool {
    let message = parts.get("message").map(String::as_str).unwrap_or_default();
    message.starts_with("received SIGHUP, reloading configuration files")
}

/// The operation by pgaudit's class and command. For what a function did they say more than the
/// statement that called it.
fn audited_operation(act: &Act, audited: &Audited, of_statement: Operation) -> Operation {
    let of_command = sql::operation(&act.action, Dialect::PostgreSql);
    match (&*audited.class, of_command) {
        _ if of_statement == Operation::Configure => Operation::Configure,
        ("ROLE", _) => Operation::Grant,
        ("FUNCTION", Operation::Create | Operation::Update | Operation::Delete) => of_command,
        ("FUNCTION", _) => Operation::Exec,
        ("READ", _) => Operation::Read,
        ("WRITE", Operation::Delete) => Operation::Delete,
        ("WRITE", _) => Operation::Update,
        _ => of_command,
    }
}

fn outcome(act: &Act, parts: &Parts) -> Outcome {
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    if matches!(part("error_severity"), "ERROR" | "FATAL" | "PANIC") {
        return Outcome {
            kind: OutcomeKind::Failure,
            code: None,
            reason: non_empty(part("message")),
        };
    }
    let kind = match act.kind {
        Kind::Message | Kind::Logged(false) => OutcomeKind::Unknown,
        _ => OutcomeKind::Success,
    };
    Outcome { kind, code: None, reason: None }
}

fn judge(
    act: &Act,
    operation: Operation,
    outcome: OutcomeKind,
    parts: &Parts,
) -> (Class, Severity) {
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    let audit = match (&act.kind, &act.statement) {
        (Kind::Setting(name, value), _) => Audit::of_setting(name, value),
        (_, Some(statement)) => Audit::of(statement, Dialect::PostgreSql),
        _ => Audit::Untouched,
    };
    let state = part("state_code");
    let is_denied = state == "42501" || state.starts_with("28");
    let (class, severity) = sql::judge(operation, audit, outcome, is_denied);
    let is_authentication = act.action == "connection authenticated";
    let class = if is_authentication { Class::Security } else { class };
    // Failures of the server itself: out of memory or disk, damage.
    let is_servers =
        matches!(state.get(..2), Some("53" | "58" | "XX")) && outcome == OutcomeKind::Failure;
    let least = match part("error_severity") {
        "PANIC" => Severity::CRITICAL,
        _ if is_servers => Severity::MAJOR,
        "WARNING" => Severity::MINOR,
        _ => Severity::WARNING,
    };
    (class, severity.max(least))
}

fn actor(parts: &Parts) -> Actor {
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    let kind = match (part("user"), part("backend_type")) {
        ("", "not initialized" | "client backend" | "walsender") => ActorKind::Anonymous,
        ("", "") if !part("remote_host").is_empty() => ActorKind::Anonymous,
        ("", _) => ActorKind::System,
        _ => ActorKind::User,
    };
    Actor { id: None, name: non_empty(part("user")), kind }
}

fn source_ip(host: &str) -> Option<SourceIp> {
    Some(SourceIp { address: address(host)?, trust: Trust::Peer })
}

fn resource(act: &Act, parts: &Parts) -> Resource {
    let database = parts.get("dbname").map(String::as_str).unwrap_or_default();
    let (kind, name) = match (&act.kind, &act.audited) {
        (_, Some(audited)) if !audited.object_name.is_empty() => {
            (audited.object_type.to_lowercase(), &*audited.object_name)
        }
        (Kind::Setting(name, _), _) => ("setting".to_owned(), &**name),
        _ => ("database".to_owned(), database),
    };
    Resource { kind: non_empty(&kind), name: non_empty(name), id: None, region: None }
}

fn add_attributes(event: &mut Event, act: &Act, parts: &mut Parts) {
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            event.attributes.insert(name.to_owned(), value);
        }
    };
    if let Some(audited) = &act.audited {
        put("audit_type", audited.audit_type.clone());
        put("class", audited.class.clone());
        put("substatement_id", audited.substatement_id.clone());
        put(
            "object_type",
            if audited.object_name.is_empty() {
                audited.object_type.clone()
            } else {
                String::new()
            },
        );
        put(
            "parameters",
            Some(audited.parameters.clone()).filter(|list| list != "<none>").unwrap_or_default(),
        );
        put("rows", audited.rows.clone());
    } else if act.statement.is_some()
        && event.outcome.reason.is_none()
        && act.kind == Kind::Logged(true)
    {
        let message = parts.get("message").map(String::as_str).unwrap_or_default();
        let duration = message.strip_prefix("duration: ").and_then(|rest| rest.split_once("  "));
        put("duration", duration.map(|(duration, _)| duration.to_owned()).unwrap_or_default());
    }
    if event.source_ip.is_none() {
        put("host", parts.remove("remote_host").unwrap_or_default());
    }
    put(
        "command_tag",
        parts.get("ps").filter(|tag| **tag != act.action).cloned().unwrap_or_default(),
    );
    put("location", location(parts));
    for (name, value) in std::mem::take(parts) {
        let is_nothing =
            value.is_empty() || (value == "0" && matches!(&*name, "txid" | "query_id"));
        if is_nothing || EVENT_MEMBERS.contains(&&*name) {
            continue;
        }
        let name = ATTRIBUTES
            .iter()
            .find(|(part, _)| *part == name)
            .map_or(&*name, |(_, attribute)| attribute);
        put(name, value);
    }
}

/// The location in the form of the CSV log: `function, file:line`.
fn location(parts: &mut Parts) -> String {
    if let Some(location) = parts.remove("location") {
        return location;
    }
    let part = |name: &str| parts.get(name).map(String::as_str).unwrap_or_default();
    match (part("func_name"), part("file_name")) {
        (_, "") => String::new(),
        ("", file) => format!("{file}:{}", part("file_line_num")),
        (function, file) => format!("{function}, {file}:{}", part("file_line_num")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_from_numbers_only() {
        for (zone, expected) in [
            ("+08", Some("+08:00")),
            ("-0330", Some("-03:30")),
            ("+05:45", Some("+05:45")),
            ("+8", None),
            ("CST", None),
            ("+ab", None),
            ("", None),
        ] {
            assert_eq!(numeric_offset(zone).as_deref(), expected, "{zone}");
        }
    }

    #[test]
    fn statements_are_taken_out_of_messages() {
        for (message, expected) in [
            ("statement: SELECT 1", Some(("SELECT 1", false))),
            ("duration: 0.5 ms  statement: SELECT 1", Some(("SELECT 1", true))),
            ("duration: 0.5 ms  execute <unnamed>: SELECT $1", Some(("SELECT $1", true))),
            ("execute s1/p1: SELECT ': '", Some(("SELECT ': '", false))),
            ("duration: 0.5 ms  parse <unnamed>: SELECT 1", None),
            ("duration: 0.5 ms", None),
            ("database system is ready", None),
        ] {
            assert_eq!(logged_statement(message), expected, "{message}");
        }
    }
}
