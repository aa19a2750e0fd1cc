//! Log records of OpenTelemetry: requests of exporters by OTLP/HTTP, in protobuf or JSON, and files
//! of the collector.
//!
//! Protocol: <https://opentelemetry.io/docs/specs/otlp/>; messages:
//! `opentelemetry/proto/logs/v1/logs.proto` of
//! <https://github.com/open-telemetry/opentelemetry-proto>; files, one request a line:
//! <https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>; names of attributes:
//! <https://opentelemetry.io/docs/specs/semconv/>; and the captures in `testdata/otlp-logs/`. The
//! captures show, and this parser relies on:
//! - a retry is the same body byte for byte, and records have no ids: the content of a record is
//!   its key, with a number if one body has the same content more than once;
//! - 64-bit numbers of JSON come as texts (Python, the collector) and as numbers (JavaScript);
//! - `timeUnixNano` may be 0, and `observedTimeUnixNano` then counts;
//! - values may be empty, nested, or bytes; a body need not be a text;
//! - `eventName` is a field beside the attribute `event.name`, and the two need not agree.
//!
//! Limits also hold for the events of a body: the attributes of a resource are repeated with each
//! of its records, so that a few bytes could grow without limit.

mod json;
mod protobuf;
mod record;
mod value;

use std::collections::HashMap;

use crate::item::{Items, item_of};
use crate::lines::complete_lines;
use crate::spec::{Hooks, Spec, Syslog};
use crate::{Context, Delivery, EnvelopeError, Item, RejectedRecord};
use event::Service;
use record::{Record, Shared};

/// Most bytes that the resources and scopes of a body may take once they are repeated with each
/// record: eight thousand records, as the collector batches them, with 8 KiB each.
const SHARED_BYTES_MAX: usize = 64 << 20;

pub(crate) const SPEC: Spec = Spec {
    name: "otlp-logs",
    about: "OpenTelemetry: log records by OTLP/HTTP, and files of the collector",
    service: Service::Platform,
    delivery: Delivery::Http,
    heeds_errors: false,
    syslog: Syslog::Text,
    parse,
    complete_bytes: complete_lines,
    hooks: Hooks { response: Some(response), ..Hooks::NONE },
};

/// The functions of an encoding, protobuf or JSON.
struct Encoding {
    split: for<'a> fn(&'a [u8], &Context<'_>) -> Result<Vec<Group<'a>>, EnvelopeError>,
    shared: fn(&Scope<'_>) -> Result<Shared, String>,
    record: fn(&[u8]) -> Result<Record, String>,
}

const PROTOBUF: Encoding =
    Encoding { split: protobuf::split, shared: protobuf::shared, record: protobuf::record };
const JSON: Encoding = Encoding { split: json::split, shared: json::shared, record: json::record };

/// The records of one resource, or of one line.
struct Group<'a> {
    /// All of its bytes.
    raw: &'a [u8],
    /// The reason why it cannot be split, or its parts.
    scopes: Result<Vec<Scope<'a>>, String>,
}

/// The records of one instrumentation scope. Resource and scope may come in several pieces.
struct Scope<'a> {
    resource: Vec<&'a [u8]>,
    scope: Vec<&'a [u8]>,
    records: Vec<&'a [u8]>,
}

impl Scope<'_> {
    fn shared_bytes(&self) -> usize {
        self.resource.iter().chain(&self.scope).map(|piece| piece.len()).sum()
    }
}

pub(super) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let encoding = if is_protobuf(body, context) { PROTOBUF } else { JSON };
    let groups = (encoding.split)(body, context)?;
    let mut output = Output { body, items, seen: HashMap::new(), shared_bytes: 0 };
    groups.into_iter().try_for_each(|group| output.group(group, &encoding, context))
}

/// Decided by the content type; without one, JSON begins with a brace. Files are JSON, even if
/// lines are damaged.
fn is_protobuf(body: &[u8], context: &Context<'_>) -> bool {
    match context.header("content-type") {
        Some(kind) if kind.to_ascii_lowercase().contains("protobuf") => true,
        Some(kind) if kind.to_ascii_lowercase().contains("json") => false,
        _ => context.position.is_none() && !body.trim_ascii_start().starts_with(b"{"),
    }
}

/// `ExportLogsServiceResponse`, encoded like the request. All records are accepted; rejected ones
/// are a warning.
fn response(headers: &[(String, String)], rejected: usize) -> (&'static str, Vec<u8>) {
    let is_protobuf = headers.iter().any(|(name, value)| {
        name == "content-type" && value.to_ascii_lowercase().contains("protobuf")
    });
    let warning = (rejected > 0)
        .then(|| format!("{rejected} log records were rejected and are in the dead-letter queue"));
    match (is_protobuf, warning) {
        (true, None) => ("application/x-protobuf", Vec::new()),
        (true, Some(warning)) => ("application/x-protobuf", protobuf::warning(warning)),
        (false, None) => ("application/json", b"{}".to_vec()),
        (false, Some(warning)) => {
            let json = serde_json::json!({ "partialSuccess": { "errorMessage": warning } });
            ("application/json", json.to_string().into_bytes())
        }
    }
}

/// Where the items of a body go, and what was seen of it so far.
struct Output<'a, 'i> {
    body: &'a [u8],
    items: &'a mut Items<'i>,
    /// How often each record occurred in this body.
    seen: HashMap<String, u32>,
    shared_bytes: usize,
}

impl Output<'_, '_> {
    fn group(
        &mut self,
        group: Group<'_>,
        encoding: &Encoding,
        context: &mut Context<'_>,
    ) -> Result<(), EnvelopeError> {
        let split = group.scopes.and_then(|scopes| {
            self.admit(&scopes, context.limits.event_bytes_max)?;
            let shared: Vec<Shared> =
                scopes.iter().map(|scope| (encoding.shared)(scope)).collect::<Result<_, _>>()?;
            Ok((scopes, shared))
        });
        match split {
            Err(reason) => {
                let record = RejectedRecord { reason, raw: group.raw.to_vec() };
                self.items.push(Item::Rejected(record))
            }
            Ok((scopes, shared)) => {
                for (scope, shared) in scopes.iter().zip(&shared) {
                    for raw in &scope.records {
                        self.record(raw, shared, encoding, context)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Refuses a group whose shared attributes would take too much once repeated with each record.
    /// The other groups do not suffer.
    fn admit(&mut self, scopes: &[Scope<'_>], event_bytes_max: usize) -> Result<(), String> {
        let mut shared_bytes = self.shared_bytes;
        for scope in scopes {
            let bytes = scope.shared_bytes();
            if bytes > event_bytes_max {
                return Err(format!(
                    "event_too_large: resource and scope have {bytes} bytes, more than {event_bytes_max}"
                ));
            }
            shared_bytes = shared_bytes.saturating_add(bytes.saturating_mul(scope.records.len()));
        }
        if shared_bytes > SHARED_BYTES_MAX {
            return Err(format!(
                "resources and scopes, repeated with each record, exceed {SHARED_BYTES_MAX} bytes"
            ));
        }
        self.shared_bytes = shared_bytes;
        Ok(())
    }

    fn record(
        &mut self,
        raw: &[u8],
        shared: &Shared,
        encoding: &Encoding,
        context: &mut Context<'_>,
    ) -> Result<(), EnvelopeError> {
        let bytes_max = context.limits.event_bytes_max;
        let event = if raw.len() > bytes_max {
            Err(format!("event_too_large: {} bytes exceed {bytes_max}", raw.len()))
        } else {
            (encoding.record)(raw).and_then(|record| record.into_event(shared, raw, context))
        };
        let event = event.map(|mut event| {
            // In a file, equal records are different records.
            event.origin.key = match context.position {
                Some(position) => {
                    let at = raw.as_ptr() as usize - self.body.as_ptr() as usize;
                    Some(format!("{}:{}", position.file, position.offset + at as u64))
                }
                None => event.origin.key.take().map(|key| self.ordinal(key)),
            };
            event
        });
        self.items.push(item_of(event.map_err(Into::into), raw))
    }

    /// The key of a record, with a number if this body had the same before.
    fn ordinal(&mut self, key: String) -> String {
        let times = self.seen.entry(key.clone()).or_default();
        *times += 1;
        if *times == 1 { key } else { format!("{key}-{times}") }
    }
}

fn too_many(events_max: usize) -> EnvelopeError {
    EnvelopeError::TooLarge(format!("the body holds more than {events_max} log records"))
}
