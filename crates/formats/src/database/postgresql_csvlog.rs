//! Files of PostgreSQL's CSV log, `log_destination = 'csvlog'`, of versions 13 to 18.
//!
//! Columns:
//! <https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG>,
//! and the captures in `testdata/postgresql-csvlog/`. [`postgresql`](super::postgresql) reads the
//! records. The captures show, and this parser relies on:
//! - a record takes several lines if one of its texts does; texts are always quoted, and their
//!   quotes doubled;
//! - a version adds columns at the end: version 13 `backend_type`, version 14 `leader_pid` and
//!   `query_id`;
//! - the host and the port of a client are one column, `[local]` without a port for a socket.

use std::borrow::Cow;

use super::postgresql;
use crate::item::{Items, NoEvent};
use crate::records::parse_pieces;
use crate::spec::{Hooks, Spec, Syslog};
use crate::sql::{self, Spans, Text};
use crate::{Context, Continuation, Delivery, EnvelopeError, csv};
use event::{Event, Service};

const NAME: &str = "postgresql-csvlog";

pub(crate) const SPEC: Spec = Spec {
    name: NAME,
    about: "PostgreSQL: CSV log, with pgaudit",
    service: Service::Database,
    delivery: Delivery::Files("/var/lib/postgresql/*/main/log/*.csv"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks { sequence: postgresql::sequence, ..Hooks::NONE },
};

/// The columns under the names of the JSON log.
const COLUMNS: [&str; 26] = [
    "timestamp",
    "user",
    "dbname",
    "pid",
    CONNECTION,
    "session_id",
    "line_num",
    "ps",
    "session_start",
    "vxid",
    "txid",
    "error_severity",
    "state_code",
    "message",
    "detail",
    "hint",
    "internal_query",
    "internal_position",
    "context",
    "statement",
    "cursor_position",
    "location",
    "application_name",
    "backend_type",
    "leader_pid",
    "query_id",
];

/// Host and port in one.
const CONNECTION: &str = "connection_from";

/// Number of columns of version 12, the fewest that are read.
const COLUMNS_MIN: usize = 23;

/// Columns that the server quotes whenever they are present, so that text inside quotes, whose
/// quotes are doubled, is never mistaken for a record.
const QUOTED: [usize; 3] = [1, 2, 13];

const FORM: csv::Form = csv::Form { begins, is_record };

/// Whether a line begins with a time such as `2026-11-20 18:10:25.552 `.
fn begins(line: &[u8]) -> bool {
    let form = b"0000-00-00 00:00:00.";
    line.len() > form.len()
        && line.iter().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

fn is_record(text: &[u8], fields: &[csv::Field]) -> bool {
    let is_text = |at: usize| fields[at].is_quoted || fields[at].content.is_empty();
    fields.len() >= COLUMNS_MIN
        && begins(&text[fields[0].content.start..])
        && QUOTED.iter().all(|&at| is_text(at))
}

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let pieces = csv::pieces(body, FORM, context.limits.events_max)?;
    parse_pieces(body, pieces, context, read, items)
}

fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    csv::complete_bytes(piece, FORM, continuation)
}

fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let record = String::from_utf8_lossy(raw);
    let fields = csv::fields(record.as_bytes()).ok_or(csv::MALFORMED)?;
    let mut parts: postgresql::Parts = COLUMNS
        .iter()
        .zip(&fields)
        .map(|(name, field)| ((*name).to_owned(), csv::text(&record, field).into_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if let Some(connection) = parts.remove(CONNECTION) {
        let (host, port) = match connection.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
            _ => (&*connection, ""),
        };
        parts.insert("remote_host".to_owned(), host.to_owned());
        parts.insert("remote_port".to_owned(), port.to_owned());
    }
    // The JSON log leaves it out if nothing went wrong.
    if parts.get("state_code").is_some_and(|code| code == "00000") {
        parts.remove("state_code");
    }
    Ok(postgresql::event(parts, raw, matches!(record, Cow::Owned(_)), (NAME, in_raw), context)?)
}

fn in_raw(raw: &[u8], find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let record = String::from_utf8_lossy(raw);
    let Some(fields) = csv::fields(record.as_bytes()) else { return Spans::new() };
    let spans = csv::in_fields(&record, &fields, &mut |at, text| match COLUMNS.get(at) {
        Some(&"message") => postgresql::in_message(text, find),
        Some(&"statement") => find(text, Text::Statement),
        _ => find(text, Text::Prose),
    });
    sql::outer(&spans, sql::lossy_steps(raw))
}
