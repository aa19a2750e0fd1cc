//! SQL audit files of Huawei Cloud's TaurusDB and RDS for MySQL, as downloaded from its console and
//! API.
//!
//! Fields: <https://support.huaweicloud.com/intl/en-us/usermanual-rds/rds_09_0017.html> and
//! <https://support.huaweicloud.com/usermanual-taurusdb/taurusdb_03_0718.html>.
//! [`mysql`](super::mysql) reads the records. The pages name the fields and say that times are UTC,
//! in seconds; they do not say how a record is written. This parser reads CSV with these columns in
//! this order, quoted as by RFC 4180, with or without a header line; the files in
//! `testdata/taurusdb-audit/` are constructed so. It also reads lines of JSON with members of these
//! names, as the vendor's log service shows them.

use std::borrow::Cow;

use super::mysql;
use crate::item::{Items, NoEvent};
use crate::records::{Piece, parse_pieces};
use crate::spec::{Hooks, Spec, Syslog};
use crate::sql::{self, Spans, Text};
use crate::{Context, Continuation, Delivery, EnvelopeError, csv};
use event::{Event, Service};

const NAME: &str = "taurusdb-audit";

pub(crate) const SPEC: Spec = Spec {
    name: NAME,
    about: "Huawei Cloud TaurusDB and RDS for MySQL: SQL audit files",
    service: Service::Database,
    delivery: Delivery::Files("*_Audit_*"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes,
    hooks: Hooks { sequence: mysql::sequence, ..Hooks::NONE },
};

const COLUMNS: [&str; 12] = [
    "record_id",
    "connection_id",
    "connection_status",
    "name",
    "timestamp",
    "command_class",
    "sqltext",
    "user",
    "host",
    "external_user",
    "ip",
    "default_db",
];

const FORM: csv::Form = csv::Form { begins, is_record };

fn begins(line: &[u8]) -> bool {
    let first = line.strip_prefix(b"\"").unwrap_or(line);
    first.first().is_some_and(u8::is_ascii_digit) || first.starts_with(COLUMNS[0].as_bytes())
}

fn is_record(text: &[u8], fields: &[csv::Field]) -> bool {
    let content = |at: usize| &text[fields[at].content.clone()];
    fields.len() == COLUMNS.len()
        && (is_header(text, fields)
            || (content(0).first().is_some_and(u8::is_ascii_digit)
                && content(4).first().is_some_and(u8::is_ascii_digit)))
}

fn is_header(text: &[u8], fields: &[csv::Field]) -> bool {
    fields.iter().zip(COLUMNS).all(|(field, name)| text[field.content.clone()] == *name.as_bytes())
}

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    if is_json(body) {
        return mysql::parse_json(body, context, read_json, items);
    }
    // Each record may have a header line before it.
    let pieces = csv::pieces(body, FORM, context.limits.events_max.saturating_mul(2))?;
    parse_pieces(body, with_header(body, pieces), context, read, items)
}

fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    if is_json(piece) {
        mysql::complete_bytes(piece, continuation)
    } else {
        csv::complete_bytes(piece, FORM, continuation)
    }
}

fn is_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The header line belongs to the record after it, so that no byte of a file is lost.
fn with_header(body: &[u8], pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut header: Option<Piece> = None;
    for mut piece in pieces {
        if piece.why.is_none() && is_header_line(&body[piece.span.clone()]) {
            header = header.or(Some(piece));
            continue;
        }
        if let Some(header) = header.take() {
            piece.span.start = header.span.start;
        }
        out.push(piece);
    }
    if let Some(alone) = header {
        out.push(Piece { why: Some("a line of names without records"), ..alone });
    }
    out
}

fn is_header_line(line: &[u8]) -> bool {
    csv::fields(line)
        .is_some_and(|fields| fields.len() == COLUMNS.len() && is_header(line, &fields))
}

/// The record without the header line before it.
fn without_header(text: &str) -> &str {
    match text.split_once('\n') {
        Some((line, rest)) if is_header_line(line.trim_end_matches('\r').as_bytes()) => {
            rest.trim_start()
        }
        _ => text,
    }
}

fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(raw);
    let record = without_header(&text);
    let fields = csv::fields(record.as_bytes()).ok_or(csv::MALFORMED)?;
    let fields: mysql::Fields = COLUMNS
        .iter()
        .zip(&fields)
        .map(|(name, field)| ((*name).to_owned(), csv::text(record, field).into_owned()))
        .collect();
    let is_invalid = matches!(text, Cow::Owned(_));
    Ok(mysql::event(fields, raw, is_invalid, mysql::DefaultZone::Utc, (NAME, in_raw), context)?)
}

fn read_json(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    Ok(mysql::read_json(raw, (NAME, mysql::in_raw), context)?)
}

fn in_raw(raw: &[u8], find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let text = String::from_utf8_lossy(raw);
    let record = without_header(&text);
    let Some(fields) = csv::fields(record.as_bytes()) else { return Spans::new() };
    let start = text.len() - record.len();
    let spans: Spans = csv::in_fields(record, &fields, &mut |at, text| {
        find(text, if COLUMNS[at] == "sqltext" { Text::Statement } else { Text::Prose })
    })
    .into_iter()
    .map(|span| start + span.start..start + span.end)
    .collect();
    sql::outer(&spans, sql::lossy_steps(raw))
}
