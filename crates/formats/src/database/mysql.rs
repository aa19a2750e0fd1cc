//! Audit records of MySQL and its derivatives, from any of their formats: connections, statements,
//! table accesses, and the begin and end of auditing.
//!
//! Records: <https://dev.mysql.com/doc/refman/8.4/en/audit-log-file-formats.html>; Percona's:
//! <https://docs.percona.com/percona-server/8.0/audit-log-plugin.html>,
//! <https://docs.percona.com/percona-server/8.4/audit-log-filter-formats.html>. A record is first
//! read to its fields; nested JSON members are named as `login.ip`, elements and attributes of XML
//! in lower case. This module relies on:
//! - `class` and `event` (JSON) or `name` (XML, CSV, Percona's lines) give the kind of a record;
//! - `user` of a statement is `privileges[login] @ host [ip]`, of a connection the bare name;
//! - times are UTC if they say so and in JSON; in XML without a zone they are the server's own;
//! - a record id is a number and the time its file began, and the numbers of a file have no gaps.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::audit_xml;
use crate::context::{address, date_time};
use crate::item::Items;
use crate::records::{in_json, members, parse_pieces};
use crate::sql::{self, Audit, Dialect, Spans, Text};
use crate::texts::non_empty;
use crate::{Context, Continuation, EnvelopeError, Sequence, Zone, json_array};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Severity, SourceIp, Time, Trust,
};

/// Fields of a record, without empty ones.
pub(crate) type Fields = BTreeMap<String, String>;

/// Whether times without a zone are UTC; else they are the server's local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultZone {
    Utc,
    Local,
}

/// The encoding of the records of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Xml,
    Csv,
}

/// The encoding that the first line with a record's beginning shows.
pub(crate) fn form(body: &[u8]) -> Form {
    let of_line = |line: &[u8]| match line.trim_ascii_start().first()? {
        b'<' => Some(Form::Xml),
        b'{' | b'[' | b',' | b']' => Some(Form::Json),
        b'"' => Some(Form::Csv),
        _ => None,
    };
    body.split(|&byte| byte == b'\n').find_map(of_line).unwrap_or(Form::Json)
}

pub(crate) fn parse_json(
    body: &[u8],
    context: &mut Context<'_>,
    read: crate::spec::Read,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let pieces = json_array::pieces(body, context.limits.events_max)?;
    parse_pieces(body, pieces, context, read, items)
}

pub(crate) fn parse_xml(
    body: &[u8],
    context: &mut Context<'_>,
    read: crate::spec::Read,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let pieces = audit_xml::pieces(body, context.limits.events_max)?;
    parse_pieces(body, pieces, context, read, items)
}

pub(crate) fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    match form(piece) {
        Form::Xml => audit_xml::complete_bytes(piece, continuation),
        Form::Json | Form::Csv => json_array::complete_bytes(piece, continuation),
    }
}

/// The fields of an object, without the array's punctuation around it.
pub(crate) fn json_fields(text: &str) -> Result<Fields, String> {
    let (Some(start), Some(end)) = (text.find('{'), text.rfind('}')) else {
        return Err(json_array::NO_OBJECT.to_owned());
    };
    let mut fields = Fields::new();
    flatten(members(text.get(start..=end).ok_or(json_array::NO_OBJECT)?)?, "", 0, &mut fields)?;
    Ok(fields)
}

/// Deepest nesting of objects that is read; real records have two.
const DEPTH_MAX: u32 = 3;

fn flatten(
    members: BTreeMap<String, &RawValue>,
    prefix: &str,
    depth: u32,
    fields: &mut Fields,
) -> Result<(), String> {
    for (name, value) in members {
        let (name, json) = (format!("{prefix}{name}"), value.get());
        let text = match json.as_bytes()[0] {
            b'{' if depth < DEPTH_MAX => {
                flatten(self::members(json)?, &format!("{name}."), depth + 1, fields)?;
                continue;
            }
            b'"' => serde_json::from_str(json).map_err(|error| error.to_string())?,
            _ if json == "null" => continue,
            _ => json.to_owned(),
        };
        if fields.insert(name.clone(), text).is_some() {
            return Err(format!("{name:?} appears twice"));
        }
    }
    Ok(())
}

/// The spans of the secrets in an original, JSON and XML alike.
pub(crate) fn in_raw(raw: &[u8], find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let text = String::from_utf8_lossy(raw);
    let mut find = |name: &str, value: &str| find(value, kind_of_text(name));
    let spans = match form(raw) {
        Form::Xml => audit_xml::in_fields(&text, &mut find),
        Form::Json | Form::Csv => in_json(&text, &mut find),
    };
    sql::outer(&spans, sql::lossy_steps(raw))
}

fn kind_of_text(name: &str) -> Text {
    if matches!(name, "sqltext" | "query" | "digest" | "rewritten_query") {
        Text::Statement
    } else {
        Text::Prose
    }
}

/// Names of other writers for a field, and ours.
const ALIASES: [(&str, &str); 31] = [
    ("record", "record_id"),
    ("account.user", "user"),
    ("account.host", "host"),
    ("login.user", "login_user"),
    ("login.os", "os_user"),
    ("login.ip", "ip"),
    ("login.proxy", "proxy_user"),
    ("os_login", "os_user"),
    ("default_db", "db"),
    ("database", "db"),
    ("connection_data.db", "db"),
    ("connection_data.status", "status"),
    ("connection_data.connection_type", "connection_type"),
    ("connection_status", "status"),
    ("general_data.query", "sqltext"),
    ("general_data.sql_command", "command_class"),
    ("general_data.command", "command"),
    ("general_data.status", "status"),
    ("query_data.query", "sqltext"),
    ("query_data.sql_command", "command_class"),
    ("query_data.status", "status"),
    ("command_data.status", "status"),
    ("command_data.command", "command"),
    ("table_access_data.db", "db"),
    ("table_access_data.table", "table"),
    ("table_access_data.query", "sqltext"),
    ("table_access_data.sql_command", "command_class"),
    ("startup_data.server_id", "server_id"),
    ("startup_data.os_version", "os_version"),
    ("startup_data.mysql_version", "mysql_version"),
    ("startup_data.args", "startup_options"),
];

/// Sections whose members are read as fields of the record.
const SECTIONS: [&str; 9] = [
    "audit_record.",
    "connection_data.",
    "general_data.",
    "query_data.",
    "table_access_data.",
    "startup_data.",
    "shutdown_data.",
    "query_statistics.",
    "command_data.",
];

/// The fields under our names.
fn named(fields: Fields) -> Result<Fields, String> {
    let mut named = Fields::new();
    for (name, value) in fields {
        let name = name.strip_prefix("audit_record.").unwrap_or(&name);
        let alias = ALIASES.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
        let ours = alias.unwrap_or_else(|| {
            SECTIONS.iter().find_map(|section| name.strip_prefix(section)).unwrap_or(name)
        });
        // Percona's plugin writes it so.
        let ours = if ours == "startup_optionsi" { "startup_options" } else { ours };
        if !value.is_empty() && named.insert(ours.to_owned(), value).is_some() {
            return Err(format!("{ours:?} appears twice"));
        }
    }
    Ok(named)
}

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Started,
    Stopped,
    Login,
    Logout,
    /// A table was accessed, as a part of a statement that has a record of its own.
    Table(Operation),
    /// A statement succeeded or failed.
    Statement,
    /// Accounts were changed.
    Accounts,
    /// A setting was changed.
    Setting,
    Other,
}

/// The kind by class and event, or by name; both in lower case.
fn kind(class: &str, event: &str) -> Kind {
    match (class, event) {
        ("" | "audit", "audit" | "startup") => Kind::Started,
        ("" | "audit", "noaudit" | "shutdown") => Kind::Stopped,
        ("connection" | "", "connect" | "change_user" | "change user") => Kind::Login,
        ("connection" | "", "disconnect" | "quit") => Kind::Logout,
        ("table_access", "read") | ("", "tableread" | "table read") => Kind::Table(Operation::Read),
        ("table_access", "insert" | "update")
        | ("", "tableinsert" | "tableupdate" | "table insert" | "table update") => {
            Kind::Table(Operation::Update)
        }
        ("table_access", "delete") | ("", "tabledelete" | "table delete") => {
            Kind::Table(Operation::Delete)
        }
        ("general", "status") | ("", "query" | "execute") => Kind::Statement,
        ("query", "query_status_end") => Kind::Statement,
        ("authentication", _) => Kind::Accounts,
        ("global_variable", "variable_set") => Kind::Setting,
        _ => Kind::Other,
    }
}

/// Whether the name is of a command: not of a step in one (`Query Start`), nor of a preparation.
fn is_command(class: &str, name: &str) -> bool {
    let is_step = ["query ", "command ", "prepare"].iter().any(|prefix| name.starts_with(prefix));
    class.is_empty() && !is_step
}

/// Fields for which the event has a member.
const EVENT_MEMBERS: [&str; 8] = [
    "timestamp",
    "event",
    "name",
    "user",
    "ip",
    "sqltext",
    "status",
    "connection_attributes.program_name",
];

pub(crate) fn event(
    fields: Fields,
    raw: &[u8],
    is_invalid_utf8: bool,
    unsaid: DefaultZone,
    (format, in_raw): (&str, sql::InRaw),
    context: &mut Context<'_>,
) -> Result<Event, String> {
    let fields = named(fields)?;
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let (occurred_at, zone) = time(field("timestamp"), unsaid, context)?;
    let (class_of, name) = (field("class").to_lowercase(), field("name").to_lowercase());
    let event_name = if name.is_empty() { field("event").to_lowercase() } else { name };
    if event_name.is_empty() && class_of.is_empty() {
        return Err("the record has neither name nor class and event".to_owned());
    }
    let kind = match kind(&class_of, &event_name) {
        // A prepared statement was not executed yet; its execution has a record of its own.
        Kind::Statement if field("command").eq_ignore_ascii_case("prepare") => Kind::Other,
        // Percona's plugin names the command of the protocol: `Init DB`, `Change user`, `Drop DB`,
        // …
        Kind::Other if is_command(&class_of, &event_name) && !field("command_class").is_empty() => {
            Kind::Statement
        }
        kind => kind,
    };
    let account = account(field("user"));
    let statement = field("sqltext");
    let outcome = outcome(kind, field("status"));
    let operation = operation(kind, statement, field("command_class"));
    let (class, severity) = judge(kind, operation, statement, &outcome);
    let action = action(kind, &event_name, &fields);
    let mut attributes = attributes(&fields, &account);
    attributes
        .retain(|name, value| name != "command_class" || !value.eq_ignore_ascii_case(&action));
    attributes.extend(zone);
    if is_invalid_utf8 {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    let mut event = Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution: Resolution::Second,
        actor: actor(kind, account.user),
        source_ip: address(non_empty(field("ip")).as_deref().unwrap_or(account.ip))
            .map(|address| SourceIp { address, trust: Trust::Peer }),
        user_agent: non_empty(program(&fields)),
        action,
        operation,
        resource: resource(kind, &fields),
        outcome,
        severity,
        class,
        description: non_empty(statement),
        request_id: None,
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: format.to_owned(),
            key: key(&fields, &event_name),
        },
        attributes,
        raw: raw.to_vec(),
    };
    sql::redact(&mut event, context.options, Dialect::MySql, Text::Statement, in_raw);
    Ok(event)
}

/// Reads `2026-11-20 18:00:00`, `2026-11-20T18:06:33 UTC`, `2026-11-20T18:41:36Z`, or one without
/// either.
fn time(
    text: &str,
    unsaid: DefaultZone,
    context: &Context<'_>,
) -> Result<(Time, Option<(String, String)>), String> {
    let malformed =
        || format!("timestamp: {:?} is not a time", text.chars().take(64).collect::<String>());
    let stripped = text.strip_suffix(" UTC").or_else(|| text.strip_suffix('Z'));
    let local = stripped.unwrap_or(text).replacen(' ', "T", 1);
    let date_time = date_time(&local).ok_or_else(malformed)?;
    if stripped.is_some() || unsaid == DefaultZone::Utc {
        return Ok((Zone::utc().instant(date_time).map_err(|_| malformed())?, None));
    }
    let (time, attribute) =
        context.options.local(date_time).map_err(|error| format!("timestamp: {error}"))?;
    Ok((time, Some(attribute)))
}

/// The record id. For JSON, the time, the number within it and the kind: the numbers start again
/// with each second and with the server.
fn key(fields: &Fields, event_name: &str) -> Option<String> {
    let record_id = fields.get("record_id").cloned();
    record_id.or_else(|| {
        Some(format!("{}/{}/{event_name}", fields.get("timestamp")?, fields.get("id")?))
    })
}

/// The sequence of an event with the key `4707_2026-11-20T18:39:14`: its file numbers its records.
pub(crate) fn sequence(event: &Event) -> Option<Sequence> {
    let (number, began) = event.origin.key.as_deref()?.split_once('_')?;
    Some(Sequence { stream: began.to_owned(), number: number.parse().ok()? })
}

/// The parts of a record's `user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account<'a> {
    /// The account whose rights apply.
    user: &'a str,
    /// The account that signed in.
    login: &'a str,
    host: &'a str,
    ip: &'a str,
}

/// Reads `privileges[login] @ host [ip]`, or a bare name.
fn account(text: &str) -> Account<'_> {
    let parts = text.strip_suffix(']').and_then(|rest| {
        let (rest, ip) = rest.rsplit_once('[')?;
        let (names, host) = rest.rsplit_once("] @ ")?;
        let (user, login) = names.split_once('[')?;
        Some(Account {
            user: if user.is_empty() { login } else { user },
            login,
            host: host.trim(),
            ip,
        })
    });
    parts.unwrap_or(Account { user: text, ..Account::default() })
}

fn actor(kind: Kind, user: &str) -> Actor {
    let of_server = matches!(kind, Kind::Started | Kind::Stopped);
    let kind = match user {
        "" if of_server => ActorKind::System,
        // Disconnections come without one.
        "" if kind != Kind::Login => ActorKind::Unknown,
        "" => ActorKind::Anonymous,
        "event_scheduler" | "mysql.session" | "skip-grants user" => ActorKind::System,
        _ => ActorKind::User,
    };
    Actor { id: None, name: non_empty(user), kind }
}

fn program(fields: &Fields) -> &str {
    let attributes = ["connection_attributes.program_name", "connection_attributes._client_name"];
    attributes.iter().find_map(|name| fields.get(*name)).map(String::as_str).unwrap_or_default()
}

/// The SQL command of a statement, such as `create_table`; else the record's name or event.
fn action(kind: Kind, event_name: &str, fields: &Fields) -> String {
    let field = |name: &str| {
        fields.get(name).map(|text| text.to_lowercase()).filter(|text| !text.is_empty())
    };
    let command = if kind == Kind::Statement {
        field("command_class").or_else(|| field("command"))
    } else {
        None
    };
    let event_name = if matches!(kind, Kind::Table(_)) {
        event_name.trim_start_matches("table").trim_start()
    } else {
        event_name
    };
    command
        .or_else(|| Some(event_name.to_owned()).filter(|event_name| !event_name.is_empty()))
        .or_else(|| field("class"))
        .unwrap_or_default()
}

fn resource(kind: Kind, fields: &Fields) -> Resource {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let (kind, name) = match (kind, field("db"), field("table")) {
        (Kind::Started | Kind::Stopped, ..) => ("server", field("server_id").to_owned()),
        (_, "", table) if !table.is_empty() => ("table", table.to_owned()),
        (_, db, table) if !table.is_empty() => ("table", format!("{db}.{table}")),
        (_, db, _) => ("database", db.to_owned()),
    };
    Resource { kind: Some(kind.to_owned()), name: non_empty(&name), id: None, region: None }
}

fn outcome(kind: Kind, status: &str) -> Outcome {
    let code: Option<u32> = status.parse().ok();
    let kind = match code {
        Some(0) => OutcomeKind::Success,
        Some(_) => OutcomeKind::Failure,
        None if matches!(kind, Kind::Started | Kind::Stopped | Kind::Logout) => {
            OutcomeKind::Success
        }
        None => OutcomeKind::Unknown,
    };
    Outcome { kind, code, reason: None }
}

/// The operation of the statement, or of the server's own word if its text is missing.
fn operation(kind: Kind, statement: &str, command: &str) -> Operation {
    let of_command = || sql::operation(&command.replace('_', " "), Dialect::MySql);
    match kind {
        Kind::Started | Kind::Stopped | Kind::Setting => Operation::Configure,
        Kind::Login => Operation::Login,
        Kind::Logout => Operation::Logout,
        Kind::Table(operation) => operation,
        Kind::Accounts => Operation::Grant,
        Kind::Other => Operation::Other,
        Kind::Statement => match sql::operation(statement, Dialect::MySql) {
            Operation::Other => of_command(),
            operation => operation,
        },
    }
}

fn judge(
    kind: Kind,
    operation: Operation,
    statement: &str,
    outcome: &Outcome,
) -> (Class, Severity) {
    let audit = match kind {
        Kind::Started => Audit::Changed,
        Kind::Stopped => Audit::SwitchedOff,
        Kind::Statement => Audit::of(statement, Dialect::MySql),
        _ => Audit::Untouched,
    };
    let is_denied = outcome.code.is_some_and(sql::is_access_denied);
    sql::judge(operation, audit, outcome.kind, is_denied)
}

fn attributes(fields: &Fields, account: &Account<'_>) -> BTreeMap<String, String> {
    let mut attributes: BTreeMap<String, String> = fields
        .iter()
        .filter(|(name, _)| !EVENT_MEMBERS.contains(&name.as_str()))
        .map(|(name, value)| {
            let name = if name == "db" { "database" } else { name };
            (name.to_owned(), value.clone())
        })
        .collect();
    if !account.host.is_empty() {
        attributes.entry("host".to_owned()).or_insert_with(|| account.host.to_owned());
    }
    if !account.login.is_empty() && account.login != account.user {
        attributes.insert("login_user".to_owned(), account.login.to_owned());
    }
    let user = account.user;
    attributes
        .retain(|name, value| !matches!(&**name, "login_user" | "priv_user") || *value != user);
    if let Some(status) = fields.get("status").filter(|status| status.parse::<u32>().is_err()) {
        attributes.insert("status".to_owned(), status.clone());
    }
    attributes
}

/// Reads one JSON object, as MySQL and Percona's component write them in an array.
pub(crate) fn read_json(
    raw: &[u8],
    names: (&str, sql::InRaw),
    context: &mut Context<'_>,
) -> Result<Event, String> {
    let text = String::from_utf8_lossy(raw);
    event(json_fields(&text)?, raw, matches!(text, Cow::Owned(_)), DefaultZone::Utc, names, context)
}

/// Reads one element.
pub(crate) fn read_xml(
    raw: &[u8],
    names: (&str, sql::InRaw),
    context: &mut Context<'_>,
) -> Result<Event, String> {
    let text = String::from_utf8_lossy(raw);
    event(
        audit_xml::fields(&text)?,
        raw,
        matches!(text, Cow::Owned(_)),
        DefaultZone::Local,
        names,
        context,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_taken_apart() {
        for (text, user, login, host, ip) in [
            ("app[app] @  [10.0.0.5]", "app", "app", "", "10.0.0.5"),
            ("root[root] @ localhost []", "root", "root", "localhost", ""),
            ("priv[login] @ h [::1]", "priv", "login", "h", "::1"),
            ("[login] @ h []", "login", "login", "h", ""),
            ("数据员[数据员] @  [192.168.0.2]", "数据员", "数据员", "", "192.168.0.2"),
            ("o'brien", "o'brien", "", "", ""),
            ("a]", "a]", "", "", ""),
            ("", "", "", "", ""),
        ] {
            assert_eq!(account(text), Account { user, login, host, ip }, "{text}");
        }
    }

    #[test]
    fn the_form_is_that_of_the_first_line_that_has_one() {
        for (text, expected) in [
            ("[\n{", Form::Json),
            ("  {\"a\":1},", Form::Json),
            (",\n{}", Form::Json),
            ("<?xml", Form::Xml),
            ("rest of a text\n <AUDIT_RECORD>", Form::Xml),
            ("\"Query\",", Form::Csv),
            ("", Form::Json),
        ] {
            assert_eq!(form(text.as_bytes()), expected, "{text}");
        }
    }
}
