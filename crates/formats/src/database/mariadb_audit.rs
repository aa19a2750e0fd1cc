//! Records of the MariaDB Audit Plugin, `server_audit`: its files, and its syslog messages, whose
//! header has the time.
//!
//! Format: <https://mariadb.com/kb/en/mariadb-audit-plugin-log-format/>, and the captures in
//! `testdata/mariadb-audit/`. A line is `YYYYMMDD
//! HH:MM:SS,serverhost,user,host,connectionid,queryid,operation,database,object,retcode`. The
//! captures show, and this parser relies on:
//! - the time is the server's local time without a zone: it counts as UTC, and an attribute says
//!   so;
//! - only the statement is quoted, and every quote inside it is escaped by a backslash; users,
//!   databases and tables are written as they are, commas included. A line is therefore read from
//!   both ends towards the operation, and rejected if it has two readings;
//! - a statement is cut silently at `server_audit_query_log_limit`, even inside a character, and is
//!   in the character set of its connection;
//! - table records (READ, WRITE, …) are details of the QUERY record with the same query id, which
//!   follows them; they have no result;
//! - connection and query ids start again with the server, so a record has no key.
//!
//! CHANGE_USER and AUDIT_CONFIG are written by MariaDB Enterprise, CHANGEUSER and PROXY_CONNECT by
//! other versions.
//!
//! The reading is by hand because this is not CSV: a CSV reader would end a field at a comma in a
//! user's name and would take a backslash before a quote for content.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::context::date_time;
use crate::item::{Items, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::spec::{Hooks, Spec, Syslog};
use crate::sql::{self, Audit, Dialect, Spans, Text};
use crate::syslog_message::Message;
use crate::texts::{attributes_of, non_empty};
use crate::{Context, Delivery, EnvelopeError, Options};
use event::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Service, Severity, SourceIp, Time, Trust,
};

/// Bytes of `YYYYMMDD HH:MM:SS`.
const TIME_BYTES: usize = 17;

const NO_TIME: &str = "the line does not begin with YYYYMMDD HH:MM:SS";

pub(crate) const SPEC: Spec = Spec {
    name: "mariadb-audit",
    about: "MariaDB: files of the audit plugin, server_audit",
    service: Service::Database,
    delivery: Delivery::Files("/var/lib/mysql/server_audit.log*"),
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
    let (occurred_at, zone, rest) = match message(&text) {
        Some(message) => {
            let timestamp = message.timestamp.ok_or("the message has no time")?;
            let (time, _, zone) = timestamp.resolve(context.received_at, context.options)?;
            (time, zone, text_of(&message))
        }
        None => {
            let (time, rest) = text.split_at_checked(TIME_BYTES).ok_or(NO_TIME)?;
            let (time, zone) = occurred_at(time, context.options)?;
            (time, Some(zone), rest.strip_prefix(',').ok_or("no comma follows the time")?)
        }
    };
    let (info, rest) = info_and_record(rest);
    let record = record(rest)?;
    let statement = record.statement.map(unescaped);
    let (operation, class, severity) = meaning(&record, statement.as_deref());
    let mut attributes = attributes(&record, statement.as_deref());
    attributes.extend(zone);
    attributes.extend(non_empty(info).map(|info| ("syslog_info".to_owned(), info)));
    if matches!(text, Cow::Owned(_)) {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    let mut event = Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution: Resolution::Second,
        actor: match record.operation {
            // The server's own configuration, not a client without a name.
            "AUDIT_CONFIG" if record.user.is_empty() => Actor::default(),
            _ => actor(record.user),
        },
        source_ip: record.host.parse().ok().map(|address| SourceIp { address, trust: Trust::Peer }),
        user_agent: None,
        action: record.operation.to_owned(),
        operation,
        resource: resource(&record),
        outcome: outcome(&record),
        severity,
        class,
        description: statement.filter(|statement| !statement.is_empty()),
        request_id: Some(record.query_id.to_owned()).filter(|id| id != "0"),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: None,
        },
        attributes,
        raw: line.to_vec(),
    };
    sql::redact(&mut event, context.options, Dialect::MariaDb, Text::Statement, in_raw);
    Ok(event)
}

/// The message of a line that the plugin wrote with `server_audit_output_type=syslog`. Its header
/// has the time; the record follows, behind the text of `server_audit_syslog_info`.
fn message(text: &str) -> Option<Message<'_>> {
    let begins_with_digits = text.bytes().take(8).filter(u8::is_ascii_digit).count() == 8;
    let message = Message::parse(text.as_bytes()).filter(|_| !begins_with_digits)?;
    message.app.is_some_and(|app| app.ends_with("server_auditing")).then_some(message)
}

fn text_of<'a>(message: &Message<'a>) -> &'a str {
    std::str::from_utf8(message.text).unwrap_or_default().trim_start()
}

/// The text before the server's host, and the record, which begins with the host.
fn info_and_record(text: &str) -> (&str, &str) {
    let host = text.split(',').next().unwrap_or_default();
    match host.rsplit_once(' ') {
        Some((info, _)) => (info.trim(), &text[info.len() + 1..]),
        None => ("", text),
    }
}

fn occurred_at(text: &str, options: &Options) -> Result<(Time, (String, String)), String> {
    let bytes = text.as_bytes();
    if !bytes.is_ascii() || bytes[8] != b' ' {
        return Err(NO_TIME.to_owned());
    }
    let iso = format!("{}-{}-{}T{}", &text[..4], &text[4..6], &text[6..8], &text[9..]);
    let local = date_time(&iso).ok_or_else(|| format!("time: {iso:?} is not a date and time"))?;
    options.local(local).map_err(|error| format!("time: {error}"))
}

/// The fields of a line after its time.
struct Record<'a> {
    serverhost: &'a str,
    user: &'a str,
    host: &'a str,
    connection_id: &'a str,
    query_id: &'a str,
    operation: &'a str,
    database: &'a str,
    object: &'a str,
    /// As written, with its escapes.
    statement: Option<&'a str>,
    retcode: Option<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Connection,
    Query,
    Table,
}

fn kind(operation: &str) -> Option<Kind> {
    match operation {
        "CONNECT" | "FAILED_CONNECT" | "DISCONNECT" | "PROXY_CONNECT" | "CHANGEUSER"
        | "CHANGE_USER" | "CHANGE_USER_DONE" | "AUDIT_CONFIG" => Some(Kind::Connection),
        "QUERY" => Some(Kind::Query),
        "READ" | "WRITE" | "CREATE" | "ALTER" | "RENAME" | "DROP" => Some(Kind::Table),
        _ => None,
    }
}

fn record(text: &str) -> Result<Record<'_>, String> {
    if let Some(query) = query(text) {
        return Ok(query);
    }
    let mut readings = anchors(text).filter_map(|anchor| match anchor.kind {
        Kind::Connection => connection(&anchor),
        Kind::Table => table(&anchor),
        Kind::Query => None,
    });
    let first = readings.next().ok_or("the line has no operation with what belongs to it")?;
    match readings.next() {
        None => Ok(first),
        Some(_) => {
            Err("the line can be read in two ways: a name in it looks like an operation".to_owned())
        }
    }
}

/// Positions at which a line may have its operation: `,connectionid,queryid,operation,`.
struct Anchor<'a> {
    before: &'a str,
    connection_id: &'a str,
    query_id: &'a str,
    operation: &'a str,
    kind: Kind,
    after: &'a str,
}

fn anchors(text: &str) -> impl Iterator<Item = Anchor<'_>> {
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.match_indices(',').filter_map(move |(at, _)| {
        let mut parts = text[at + 1..].splitn(4, ',');
        let (connection_id, query_id) = (parts.next()?, parts.next()?);
        let (operation, after) = (parts.next()?, parts.next()?);
        let kind = kind(operation)?;
        (is_number(connection_id) && is_number(query_id)).then_some(Anchor {
            before: &text[..at],
            connection_id,
            query_id,
            operation,
            kind,
            after,
        })
    })
}

/// Reads `…,QUERY,database,'statement',retcode`. The statement begins after the last `,'`, as its
/// own quotes are escaped, and the operation is the first, so that nothing in the database's name
/// or the statement is mistaken for one.
fn query(text: &str) -> Option<Record<'_>> {
    let (quoted, retcode) = text.rsplit_once(',')?;
    let (before, statement) = quoted.strip_suffix('\'')?.rsplit_once(",'")?;
    let retcode = parse_retcode(retcode)?;
    // With the comma, which is the operation's own if no database is named.
    let anchor = anchors(&text[..=before.len()]).find(|anchor| anchor.kind == Kind::Query)?;
    let database = anchor.after.strip_suffix(',')?;
    anchor.record(database, "", Some(statement), Some(retcode))
}

/// Reads `…,CONNECT,database,,retcode`, or with an object if the operation has one.
fn connection<'a>(anchor: &Anchor<'a>) -> Option<Record<'a>> {
    let (names, retcode) = anchor.after.rsplit_once(',')?;
    let (database, object) = names.rsplit_once(',')?;
    let has_object = !matches!(anchor.operation, "CONNECT" | "FAILED_CONNECT" | "DISCONNECT");
    if !object.is_empty() && !has_object {
        return None;
    }
    anchor.record(database, object, None, Some(parse_retcode(retcode)?))
}

/// Reads `…,READ,database,table,`. If names hold commas, nothing shows where the database ends: the
/// object is then all of it.
fn table<'a>(anchor: &Anchor<'a>) -> Option<Record<'a>> {
    let names = anchor.after.strip_suffix(',')?;
    let (database, object) = names.split_once(',')?;
    if object.contains(',') {
        return anchor.record("", names, None, None);
    }
    anchor.record(database, object, None, None)
}

fn parse_retcode(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl<'a> Anchor<'a> {
    fn record(
        &self,
        database: &'a str,
        object: &'a str,
        statement: Option<&'a str>,
        retcode: Option<u32>,
    ) -> Option<Record<'a>> {
        let (serverhost, rest) = self.before.split_once(',')?;
        let (user, host) = rest.rsplit_once(',')?;
        let Anchor { connection_id, query_id, operation, .. } = *self;
        Some(Record {
            serverhost,
            user,
            host,
            connection_id,
            query_id,
            operation,
            database,
            object,
            statement,
            retcode,
        })
    }
}

/// The statement without the plugin's escapes. A backslash stays if the cut separated it from its
/// character.
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next().map(|second| (second, escaped(second))) {
            Some((_, Some(char))) => out.push(char),
            Some((second, None)) => out.extend(['\\', second]),
            None => out.push('\\'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Characters that the plugin writes as a backslash and this.
fn escaped(second: char) -> Option<char> {
    Some(match second {
        'b' => '\u{8}',
        't' => '\t',
        'n' => '\n',
        'f' => '\u{c}',
        'r' => '\r',
        '\'' | '\\' => second,
        _ => return None,
    })
}

/// How many bytes each step of [`unescaped`] reads and writes.
fn steps(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut chars = text.chars();
    std::iter::from_fn(move || {
        let first = chars.next()?;
        if first != '\\' {
            return Some((first.len_utf8(), first.len_utf8()));
        }
        let second = chars.next();
        let length = 1 + second.map_or(0, char::len_utf8);
        Some((length, if second.and_then(escaped).is_some() { 1 } else { length }))
    })
}

fn actor(user: &str) -> Actor {
    let kind = match user {
        "" => ActorKind::Anonymous,
        "system user" | "event_scheduler" => ActorKind::System,
        _ => ActorKind::User,
    };
    Actor { id: None, name: non_empty(user), kind }
}

fn resource(record: &Record<'_>) -> Resource {
    let (kind, name) = match kind(record.operation) {
        Some(Kind::Table) if record.database.is_empty() => ("table", record.object.to_owned()),
        Some(Kind::Table) => ("table", format!("{}.{}", record.database, renamed(record).0)),
        _ => ("database", record.database.to_owned()),
    };
    Resource { kind: Some(kind.to_owned()), name: non_empty(&name), id: None, region: None }
}

/// The table, and its new name if it was renamed: RENAME writes `old|database.new`.
fn renamed<'a>(record: &Record<'a>) -> (&'a str, &'a str) {
    match record.object.split_once('|') {
        Some(names) if record.operation == "RENAME" => names,
        _ => (record.object, ""),
    }
}

fn outcome(record: &Record<'_>) -> Outcome {
    let kind = match record.retcode {
        None => OutcomeKind::Unknown,
        Some(0) if record.operation != "FAILED_CONNECT" => OutcomeKind::Success,
        Some(_) => OutcomeKind::Failure,
    };
    Outcome { kind, code: record.retcode, reason: None }
}

fn attributes(record: &Record<'_>, statement: Option<&str>) -> BTreeMap<String, String> {
    let command =
        statement.map(|statement| sql::command(statement, Dialect::MariaDb)).unwrap_or_default();
    let is_table = kind(record.operation) == Some(Kind::Table);
    attributes_of([
        ("command", &*command),
        ("connection_id", record.connection_id),
        ("database", record.database),
        ("host", record.host),
        ("object", if is_table { "" } else { record.object }),
        ("renamed_to", renamed(record).1),
        ("serverhost", record.serverhost),
    ])
}

/// The operation, class and severity of a record.
fn meaning(record: &Record<'_>, statement: Option<&str>) -> (Operation, Class, Severity) {
    let audit = match record.operation {
        "AUDIT_CONFIG" if record.object == "logging=OFF" => Audit::SwitchedOff,
        "AUDIT_CONFIG" => Audit::Changed,
        _ => statement.map_or(Audit::Untouched, |statement| Audit::of(statement, Dialect::MariaDb)),
    };
    let operation = match record.operation {
        "CONNECT" | "FAILED_CONNECT" | "PROXY_CONNECT" | "CHANGEUSER" | "CHANGE_USER"
        | "CHANGE_USER_DONE" => Operation::Login,
        "DISCONNECT" => Operation::Logout,
        "READ" => Operation::Read,
        "WRITE" | "ALTER" | "RENAME" => Operation::Update,
        "CREATE" => Operation::Create,
        "DROP" => Operation::Delete,
        "AUDIT_CONFIG" => Operation::Configure,
        _ => statement
            .map_or(Operation::Other, |statement| sql::operation(statement, Dialect::MariaDb)),
    };
    let is_denied = record.retcode.is_some_and(sql::is_access_denied);
    let (class, severity) = sql::judge(operation, audit, outcome(record).kind, is_denied);
    (operation, class, severity)
}

/// The spans of the secrets of a line's statement.
fn in_raw(line: &[u8], find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let text = String::from_utf8_lossy(line);
    let rest = match message(&text) {
        Some(message) => Some(info_and_record(text_of(&message)).1),
        None => text.split_at_checked(TIME_BYTES).and_then(|(_, rest)| rest.strip_prefix(',')),
    };
    let record = rest.and_then(|rest| record(rest).ok());
    let Some(statement) = record.and_then(|record| record.statement) else {
        return Spans::new();
    };
    let start = sql::offset_in(&text, statement);
    let spans = sql::outer(&find(&unescaped(statement), Text::Statement), steps(statement));
    let spans: Spans = spans.into_iter().map(|span| start + span.start..start + span.end).collect();
    // If the bytes are not UTF-8, positions in them and in the text differ.
    sql::outer(&spans, sql::lossy_steps(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_the_plugin_are_undone() {
        for (text, expected) in [
            (r"it\'s \\ a\n\t\r\b\f", "it's \\ a\n\t\r\u{8}\u{c}"),
            (r"\\n", r"\n"),
            (r"\x", r"\x"),
            (r"cut\", r"cut\"),
        ] {
            assert_eq!(unescaped(text), expected, "{text}");
        }
    }
}
