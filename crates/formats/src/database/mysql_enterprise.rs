//! Files of MySQL Enterprise Audit, the plugin `audit_log` and the component that replaced it:
//! JSON, and XML in either style.
//!
//! Formats: <https://dev.mysql.com/doc/refman/8.4/en/audit-log-file-formats.html>, and the files in
//! `testdata/mysql-enterprise/`, which are constructed from it. [`mysql`](super::mysql) reads the
//! records. The manual says, and this parser relies on:
//! - a JSON file is one array, whose end is written when the file is closed; so is the end of an
//!   XML file's root element;
//! - `id` numbers the records of a second, so that it is a key only with the time; `RECORD_ID` is
//!   one by itself.

use super::mysql;
use crate::item::{Items, NoEvent};
use crate::spec::{Hooks, Spec, Syslog};
use crate::{Context, Delivery, EnvelopeError};
use event::{Event, Service};

const NAME: &str = "mysql-enterprise";

pub(crate) const SPEC: Spec = Spec {
    name: NAME,
    about: "MySQL Enterprise Audit: JSON and XML files",
    service: Service::Database,
    delivery: Delivery::Files("/var/lib/mysql/audit*.log"),
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: mysql::complete_bytes,
    hooks: Hooks { sequence: mysql::sequence, ..Hooks::NONE },
};

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    match mysql::form(body) {
        mysql::Form::Xml => mysql::parse_xml(body, context, read_xml, items),
        mysql::Form::Json | mysql::Form::Csv => mysql::parse_json(body, context, read_json, items),
    }
}

fn read_json(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    Ok(mysql::read_json(raw, (NAME, mysql::in_raw), context)?)
}

fn read_xml(raw: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    Ok(mysql::read_xml(raw, (NAME, mysql::in_raw), context)?)
}
