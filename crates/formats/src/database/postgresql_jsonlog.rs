//! Files of PostgreSQL's JSON log, `log_destination = 'jsonlog'`, of versions 15 to 18.
//!
//! Members:
//! <https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-JSONLOG>,
//! and the captures in `testdata/postgresql-jsonlog/`. A line is one flat object, without the
//! members that are empty. [`postgresql`](super::postgresql) reads it. The CSV log says the same,
//! so that either is enough.

use std::borrow::Cow;

use super::postgresql;
use crate::item::{Items, NoEvent};
use crate::lines::{complete_lines, parse_lines};
use crate::records::{in_json, members};
use crate::spec::{Hooks, Spec, Syslog};
use crate::sql::{self, Spans, Text};
use crate::texts::texts;
use crate::{Context, Delivery, EnvelopeError};
use event::{Event, Service};

const NAME: &str = "postgresql-jsonlog";

pub(crate) const SPEC: Spec = Spec {
    name: NAME,
    about: "PostgreSQL: JSON log, with pgaudit",
    service: Service::Database,
    delivery: Delivery::Files("/var/lib/postgresql/*/main/log/*.json"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks { sequence: postgresql::sequence, ..Hooks::NONE },
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    parse_lines(body, context, read, items)
}

fn read(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = String::from_utf8_lossy(raw);
    let parts = texts(members(&text)?)?;
    Ok(postgresql::event(parts, raw, matches!(text, Cow::Owned(_)), (NAME, in_raw), context)?)
}

fn in_raw(raw: &[u8], find: &mut dyn FnMut(&str, Text) -> Spans) -> Spans {
    let text = String::from_utf8_lossy(raw);
    let spans = in_json(&text, &mut |name, value| match name {
        "message" => postgresql::in_message(value, find),
        "statement" => find(value, Text::Statement),
        _ => find(value, Text::Prose),
    });
    sql::outer(&spans, sql::lossy_steps(raw))
}
