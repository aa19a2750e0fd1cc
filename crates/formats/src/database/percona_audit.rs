//! Files of Percona Server's auditors: the plugin `audit_log` (5.7, 8.0) in each of its four
//! formats, and the component `audit_log_filter` (8.0, 8.4) in JSON and XML.
//!
//! Formats: <https://docs.percona.com/percona-server/8.0/audit-log-plugin.html>,
//! <https://docs.percona.com/percona-server/8.4/audit-log-filter-formats.html>, and the files in
//! `testdata/percona-audit/`, which are constructed from them. [`mysql`](super::mysql) reads the
//! records. The documentation and the plugin's published source say, and this parser relies on:
//! - the plugin's JSON is one `{"audit_record": …}` a line, the component's an array;
//! - CSV has no header; texts are always quoted and their quotes doubled, and a statement has its
//!   line feeds. The record's name and the number of fields determine the columns: a statement has
//!   its command class where a connection has its id;
//! - the plugin's times end in `UTC` or `Z`; the component's XML has the server's local time;
//! - the plugin does not escape the options that the server was started with, so that a record of
//!   those may be unreadable.

use std::borrow::Cow;

use super::mysql;
use crate::item::{Items, NoEvent};
use crate::records::parse_pieces;
use crate::spec::{Hooks, Spec, Syslog};
use crate::sql::{self, Spans, Text};
use crate::{Context, Continuation, Delivery, EnvelopeError, csv};
use event::{Event, Service};

const NAME: &str = "percona-audit";

pub(crate) const SPEC: Spec = Spec {
    name: NAME,
    about: "Percona Server: audit_log and audit_log_filter, as JSON, CSV or XML",
    service: Service::Database,
    delivery: Delivery::Files("/var/lib/mysql/audit*.log*"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks { sequence: mysql::sequence, ..Hooks::NONE },
};

const FORM: csv::Form = csv::Form { begins, is_record };

/// Columns of a statement, of a connection, and of the begin or end of auditing.
const STATEMENT: [&str; 12] = [
    "name",
    "record",
    "timestamp",
    "command_class",
    "connection_id",
    "status",
    "sqltext",
    "user",
    "host",
    "os_user",
    "ip",
    "db",
];
const CONNECTION: [&str; 12] = [
    "name",
    "record",
    "timestamp",
    "connection_id",
    "status",
    "user",
    "priv_user",
    "os_login",
    "proxy_user",
    "host",
    "ip",
    "db",
];
const AUDIT: [&str; 6] =
    ["name", "record", "timestamp", "mysql_version", "startup_options", "os_version"];

/// Whether a line begins with `"Name",`.
fn begins(line: &[u8]) -> bool {
    line.first() == Some(&b'"') && line.get(1).is_some_and(u8::is_ascii_alphabetic)
}

/// The first three fields are quoted, and the second is a number and a time, which text inside
/// quotes cannot imitate.
fn is_record(text: &[u8], fields: &[csv::Field]) -> bool {
    let is_quoted = |at: usize| fields.get(at).is_some_and(|field| field.is_quoted);
    matches!(fields.len(), 6 | 12)
        && (0..3).all(is_quoted)
        && text.get(fields[1].content.start).is_some_and(u8::is_ascii_digit)
}

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    match mysql::form(body) {
        mysql::Form::Xml => mysql::parse_xml(body, context, read_xml, items),
        mysql::Form::Json => mysql::parse_json(body, context, read_json, items),
        mysql::Form::Csv => {
            let pieces = csv::pieces(body, FORM, context.limits.events_max)?;
            parse_pieces(body, pieces, context, read_csv, items)
        }
    }
}

fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    match mysql::form(piece) {
        mysql::Form::Csv => csv::complete_bytes(piece, FORM, continuation),
        mysql::Form::Json | mysql::Form::Xml => mysql::complete_bytes(piece, continuation),
    }
}

fn read_json(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    Ok(mysql::read_json(raw, (NAME, mysql::in_raw), context)?)
}

fn read_xml(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    Ok(mysql::read_xml(raw, (NAME, mysql::in_raw), context)?)
}

fn read_csv(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let record = String::from_utf8_lossy(raw);
    let fields = csv::fields(record.as_bytes()).ok_or(csv::MALFORMED)?;
    let fields: mysql::Fields = columns(&record, &fields)
        .iter()
        .zip(&fields)
        .map(|(name, field)| ((*name).to_owned(), csv::text(&record, field).into_owned()))
        .collect();
    let is_invalid = matches!(record, Cow::Owned(_));
    Ok(mysql::event(fields, raw, is_invalid, mysql::DefaultZone::Utc, (NAME, in_csv), context)?)
}

fn columns(record: &str, fields: &[csv::Field]) -> &'static [&'static str] {
    if fields.len() == AUDIT.len() {
        return &AUDIT;
    }
    let is_number = |at: usize| {
        let text = csv::text(record, &fields[at]);
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if is_number(3) && is_number(4) { &CONNECTION } else { &STATEMENT }
}

fn in_csv(raw: &[u8], find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let record = String::from_utf8_lossy(raw);
    let Some(fields) = csv::fields(record.as_bytes()) else { return Spans::new() };
    let columns = columns(&record, &fields);
    let spans = csv::in_fields(&record, &fields, &mut |at, text| {
        find(text, if columns.get(at) == Some(&"sqltext") { Text::Statement } else { Text::Prose })
    });
    sql::outer(&spans, sql::lossy_steps(raw))
}
