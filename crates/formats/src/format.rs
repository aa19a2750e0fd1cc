//! A source format as a row of a table: what distinguishes it ([`Spec`]), and the list of all
//! ([`Format::ALL`]).
//!
//! No other module names a format. Whatever a format does differently is a field of its `Spec` or
//! one of its [`Hooks`].

use std::fmt;
use std::str::FromStr;

use event::{Event, RejectedRecord, Service};

use crate::artifact::{
    artifactory_access, artifactory_request, artifactory_webhook, nexus_audit, nexus_request,
    nexus_webhook, verdaccio_log, verdaccio_notify,
};
use crate::cloud::{cts, kubernetes_audit, openstack_cadf};
use crate::database::{
    mariadb_audit, mysql_enterprise, percona_audit, postgresql_csvlog, postgresql_jsonlog,
    taurusdb_audit,
};
use crate::host::{journald, linux_audit, syslog};
use crate::interchange::{cloudevents, daybook, otlp_logs};
use crate::item::Items;
use crate::network::{nginx_combined, nginx_json};
use crate::registry::{docker_registry, harbor_syslog, harbor_webhook, zot};
use crate::spec::{Continuation, Count, Delivery, Sequence, Spec, Syslog, without_end};
use crate::sql::REDACTED;
use crate::syslog_message::Message;
use crate::{Context, EnvelopeError, Item, Secrets, bounds, lines, request_headers};

/// A format in which bodies can be parsed.
#[derive(Clone, Copy)]
pub struct Format(&'static Spec);

impl Format {
    /// Every format, one line each.
    pub const ALL: &'static [Format] = &[
        Format(&docker_registry::SPEC),
        Format(&harbor_webhook::SPEC),
        Format(&harbor_syslog::SPEC),
        Format(&zot::SPEC),
        Format(&nginx_json::SPEC),
        Format(&nginx_combined::SPEC),
        Format(&verdaccio_log::SPEC),
        Format(&verdaccio_notify::SPEC),
        Format(&nexus_webhook::SPEC),
        Format(&nexus_audit::SPEC),
        Format(&nexus_request::SPEC),
        Format(&artifactory_webhook::SPEC),
        Format(&artifactory_request::SPEC),
        Format(&artifactory_access::SPEC),
        Format(&mariadb_audit::SPEC),
        Format(&postgresql_csvlog::SPEC),
        Format(&postgresql_jsonlog::SPEC),
        Format(&mysql_enterprise::SPEC),
        Format(&percona_audit::SPEC),
        Format(&taurusdb_audit::SPEC),
        Format(&kubernetes_audit::SPEC),
        Format(&openstack_cadf::SPEC),
        Format(&linux_audit::SPEC),
        Format(&syslog::SPEC),
        Format(&journald::SPEC),
        Format(&otlp_logs::SPEC),
        Format(&cloudevents::SPEC),
        Format(&cts::SPEC),
        Format(&daybook::SPEC),
    ];

    /// The word used in configuration and in entries.
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// One line about the program that writes it.
    pub const fn about(self) -> &'static str {
        self.0.about
    }

    /// The service whose trails it is made for. It may feed any other.
    pub const fn service(self) -> Service {
        self.0.service
    }

    /// How its events usually arrive.
    pub const fn delivery(self) -> Delivery {
        self.0.delivery
    }

    /// Whether the format's senders can act on a refusal.
    pub const fn heeds_errors(self) -> bool {
        self.0.heeds_errors
    }

    /// Parses one body and collects its items, in the order of the body.
    pub fn parse(self, body: &[u8], context: &mut Context<'_>) -> Result<Vec<Item>, EnvelopeError> {
        let mut items = Vec::new();
        self.parse_each(body, context, &mut |item| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    /// Parses one body, and calls `take` with each item as soon as it is made, in the order of the
    /// body. An error of `take` ends the body, and so does one found after some items: nothing of
    /// it counts then.
    ///
    /// Beside the items that `take` keeps, a body takes less than four times its bytes in memory,
    /// whatever it holds.
    pub fn parse_each(
        self,
        body: &[u8],
        context: &mut Context<'_>,
        take: &mut dyn FnMut(Item) -> Result<(), EnvelopeError>,
    ) -> Result<(), EnvelopeError> {
        let headers = context.headers;
        let mut with_headers = |mut item: Item| {
            if let Item::Event(event) = &mut item {
                bounds::bound(event);
            }
            request_headers::prepend(&mut item, body, headers);
            take(item)
        };
        (self.0.parse)(body, context, &mut Items::new(&mut with_headers))
    }

    /// Parses one syslog message. A rejected record holds the whole message.
    pub fn parse_message(self, message: &[u8], context: &mut Context<'_>) -> Vec<Item> {
        if let Syslog::Whole(read) | Syslog::Records(read, _) = self.0.syslog {
            let mut item = lines::parse_one(message, context, read);
            if let Item::Event(event) = &mut item {
                bounds::bound(event);
            }
            return vec![item];
        }
        let Some(header) = Message::parse(message) else {
            return rejected("the message has no syslog header".to_owned(), message);
        };
        let mut items = match self.parse(header.text, context) {
            Ok(items) => items,
            Err(error) => return rejected(error.to_string(), message),
        };
        if items.is_empty() {
            return rejected("the message's text holds nothing".to_owned(), message);
        }
        // A record may leave to the header what it needs, such as its time.
        if items.iter().all(|item| matches!(item, Item::Rejected(_)))
            && let Ok(whole) = self.parse(without_end(message), context)
            && let [Item::Event(_)] = &whole[..]
        {
            return whole;
        }
        let is_struck =
            context.options.secrets == Secrets::RedactRaw && items.iter().any(has_redactions);
        for item in &mut items {
            match item {
                Item::Event(event) => {
                    if let Some(host) = header.host {
                        event
                            .attributes
                            .entry("syslog_host".to_owned())
                            .or_insert_with(|| host.to_owned());
                    }
                    event.raw = raw_message(message, header.text, &event.raw, is_struck);
                }
                Item::Rejected(record) => {
                    record.raw = raw_message(message, header.text, &record.raw, is_struck);
                }
                Item::Skipped(_) => {}
            }
        }
        items
    }

    /// Parses syslog messages of a format whose events may take several messages. The caller leaves
    /// out those of which [`Format::open_messages`] says that their events may continue.
    pub fn parse_messages(self, messages: &[&[u8]], context: &mut Context<'_>) -> Vec<Item> {
        let lines: Vec<&[u8]> = messages.iter().map(|message| without_end(message)).collect();
        // More messages than a body may hold are parsed one by one.
        self.parse(&lines.join(&b'\n'), context).unwrap_or_else(|_| {
            lines.iter().flat_map(|line| self.parse_message(line, context)).collect()
        })
    }

    /// Marks the messages whose events may continue in later ones. `None` if each message stands
    /// alone.
    pub fn open_messages(self, messages: &[&[u8]]) -> Option<Vec<bool>> {
        match self.0.syslog {
            Syslog::Records(_, open) => Some(open(messages)),
            Syslog::Whole(_) | Syslog::Text => None,
        }
    }

    /// Whether an event may take several syslog messages.
    pub fn joins_messages(self) -> bool {
        matches!(self.0.syslog, Syslog::Records(..))
    }

    /// Parses a rejected record again: one item without its envelope, or one message. Errors with
    /// the reason if it is rejected again.
    pub fn parse_again(self, raw: &[u8], context: &mut Context<'_>) -> Result<Vec<Item>, String> {
        if let Some((headers, body)) = request_headers::split(raw) {
            let mut context = Context {
                headers: &headers,
                new_id: &mut *context.new_id,
                attempts: context.attempts.clone(),
                ..*context
            };
            return usable(self.parse(body, &mut context));
        }
        let why = match usable(self.parse(&(self.0.hooks.wrap)(raw), context)) {
            Ok(items) => return Ok(items),
            Err(why) => why,
        };
        match Message::parse(raw) {
            None => Err(why),
            Some(_) => usable(Ok(self.parse_message(raw, context))).map_err(|_| why),
        }
    }

    /// How many bytes at the beginning of a piece of a file can be parsed as a body. 0 if no event
    /// is complete yet.
    pub fn complete_bytes(self, piece: &[u8], continuation: Continuation) -> usize {
        (self.0.complete_bytes)(piece, continuation)
    }

    /// Whether an event answers a deferred request ([`DEFERRED`](crate::DEFERRED)). The caller
    /// offers events of the instant in which the request happened.
    pub fn is_answer(self, event: &Event, request: &Event) -> bool {
        (self.0.hooks.is_answer)(event, request)
    }

    /// The response that its senders expect once everything in a request with these header lines
    /// is on disk: content type and body. `rejected` of its records went to the dead-letter queue.
    /// `None` if Daybook's own response will do.
    pub fn response(
        self,
        headers: &[(String, String)],
        rejected: usize,
    ) -> Option<(&'static str, Vec<u8>)> {
        self.0.hooks.response.map(|respond| respond(headers, rejected))
    }

    /// Completes an event of this format with what its trail already holds.
    pub fn refine(self, event: &mut Event, count: Count<'_>) {
        (self.0.hooks.refine)(event, count);
    }

    /// The position of an event of this format in the numbering of its source.
    pub fn sequence(self, event: &Event) -> Option<Sequence> {
        (self.0.hooks.sequence)(event)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Format) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        Format::ALL.iter().copied().find(|format| format.as_str() == text).ok_or_else(|| {
            let names: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
            format!("{text:?} is no source format; use one of {}", names.join(", "))
        })
    }
}

/// One rejected record of a whole message.
fn rejected(reason: String, message: &[u8]) -> Vec<Item> {
    vec![Item::Rejected(RejectedRecord { reason, raw: message.to_vec() })]
}

/// The items, if not all are rejected; else the last reason.
fn usable(items: Result<Vec<Item>, EnvelopeError>) -> Result<Vec<Item>, String> {
    let items = items.map_err(|error| error.to_string())?;
    if items.iter().any(|item| !matches!(item, Item::Rejected(_))) {
        return Ok(items);
    }
    let reasons = items.into_iter().filter_map(|item| match item {
        Item::Rejected(record) => Some(record.reason),
        Item::Event(_) | Item::Skipped(_) => None,
    });
    Err(reasons.last().unwrap_or_else(|| "there is nothing in it".to_owned()))
}

fn has_redactions(item: &Item) -> bool {
    matches!(item, Item::Event(event) if event.attributes.contains_key(REDACTED))
}

/// The bytes to store of an item of a message: the message as received, or, if secrets were struck
/// out of its text, the message with the struck text, so that the original does not bring them
/// back.
fn raw_message(message: &[u8], text: &[u8], raw: &[u8], is_struck: bool) -> Vec<u8> {
    if is_struck { with_text(message, text, raw) } else { message.to_vec() }
}

/// The message with `other` in place of `text`, which is its end but for a line feed.
fn with_text(message: &[u8], text: &[u8], other: &[u8]) -> Vec<u8> {
    let (before, end) = message.split_at(without_end(message).len());
    let end = if other.len() == text.len() { end } else { b"" };
    [&before[..before.len() - text.len()], other, end].concat()
}
