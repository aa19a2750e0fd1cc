//! A format: what there is to know of one ([`Spec`]), and all of them ([`Format::ALL`]).

use std::fmt;
use std::str::FromStr;

use event::{Event, Service};

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
use crate::network::{nginx_combined, nginx_json};
use crate::registry::{docker_registry, harbor_syslog, harbor_webhook, zot};
use crate::sql::REDACTED;
use crate::syslog_message::Message;
use crate::{Context, EnvelopeError, Item, RejectedRecord, Secrets, lines, request_headers};

/// A format that bodies can be parsed as.
#[derive(Clone, Copy)]
pub struct Format(&'static Spec);

/// What there is to know of a format.
pub(crate) struct Spec {
    /// The word used in configuration and in entries.
    pub(crate) name: &'static str,
    /// What writes it, in a line.
    pub(crate) about: &'static str,
    /// The service whose trails it is made for.
    pub(crate) service: Service,
    /// How its events usually come.
    pub(crate) delivery: Delivery,
    /// Whether its senders can act on a refusal. Most cannot: they repeat the same event for ever
    /// and hold everything else back behind it, or drop it. They get 2xx for whatever can be kept.
    pub(crate) heeds_errors: bool,
    /// What of a syslog message it reads.
    pub(crate) syslog: Syslog,
    /// Parses one body.
    pub(crate) parse: fn(&[u8], &mut Context<'_>) -> Result<Vec<Item>, EnvelopeError>,
    /// How many bytes at the beginning of a piece of a file can be parsed as a body, without
    /// cutting apart what belongs together. The rest is offered again with what follows it.
    pub(crate) complete_bytes: fn(&[u8], Continuation) -> usize,
    /// The sequence that an event stands in, if its source numbers them.
    pub(crate) sequence: fn(&Event) -> Option<Sequence>,
}

/// How events of a format usually come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The program sends them by HTTP.
    Http,
    /// The program writes files; their usual place.
    Files(&'static str),
    /// The program sends syslog messages.
    Syslog,
}

/// What of a syslog message a format reads.
#[derive(Clone, Copy)]
pub(crate) enum Syslog {
    /// Its header as well: the message is one event, line feeds in it included.
    Whole(lines::Read),
    /// Its header as well, and an event may take several messages: which of these belong to events
    /// that may go on.
    Records(lines::Read, fn(&[&[u8]]) -> Vec<bool>),
    /// Its text alone.
    Text,
}

/// What is known of the bytes behind a piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// There may be more at any moment.
    More,
    /// There may be more, but nothing came for a while: what is whole is not waited with.
    Quiet,
    /// The file ends here.
    Nothing,
}

/// A place in what a source numbers without gaps: the next event of the stream has the next number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// What is numbered: a host's audit records, a session's statements.
    pub stream: String,
    /// The event's number in it.
    pub number: u64,
}

/// For formats whose sources number nothing.
pub(crate) fn unnumbered(_: &Event) -> Option<Sequence> {
    None
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Format] = &[
        Format::DOCKER_REGISTRY,
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
        Format::OTLP_LOGS,
        Format(&cloudevents::SPEC),
        Format(&cts::SPEC),
        Format(&daybook::SPEC),
    ];

    /// Notifications of distribution, whose deletions tell blobs from artifacts only with what the
    /// trail already holds.
    pub const DOCKER_REGISTRY: Format = Format(&docker_registry::SPEC);

    /// Log records of OpenTelemetry, whose senders want an answer of their own.
    const OTLP_LOGS: Format = Format(&otlp_logs::SPEC);

    /// The word used in configuration and in entries.
    pub const fn as_str(self) -> &'static str {
        self.0.name
    }

    /// What writes it, in a line.
    pub const fn about(self) -> &'static str {
        self.0.about
    }

    /// The service whose trails it is made for. It may feed any other.
    pub const fn service(self) -> Service {
        self.0.service
    }

    /// How its events usually come.
    pub const fn delivery(self) -> Delivery {
        self.0.delivery
    }

    /// Whether the format's senders can act on a refusal.
    pub const fn heeds_errors(self) -> bool {
        self.0.heeds_errors
    }

    /// Parses one body.
    pub fn parse(self, body: &[u8], context: &mut Context<'_>) -> Result<Vec<Item>, EnvelopeError> {
        let mut items = (self.0.parse)(body, context)?;
        request_headers::keep(&mut items, body, context);
        Ok(items)
    }

    /// Parses one syslog message. Whatever cannot be used of it is set aside with the whole of it.
    pub fn parse_message(self, message: &[u8], context: &mut Context<'_>) -> Vec<Item> {
        let set_aside =
            |reason: String| vec![Item::Rejected(RejectedRecord { reason, raw: message.to_vec() })];
        if let Syslog::Whole(read) | Syslog::Records(read, _) = self.0.syslog {
            return vec![lines::parse_one(message, context, read)];
        }
        let Some(header) = Message::parse(message) else {
            return set_aside("the message has no syslog header".to_owned());
        };
        let mut items = match self.parse(header.text, context) {
            Ok(items) => items,
            Err(error) => return set_aside(error.to_string()),
        };
        if items.is_empty() {
            return set_aside("the message's text holds nothing".to_owned());
        }
        // Where secrets were struck out of a text, the message as received must not bring them
        // back.
        let is_struck = context.options.secrets == Secrets::RedactRaw
            && items
                .iter()
                .any(|item| matches!(item, Item::Event(event) if event.attributes.contains_key(REDACTED)));
        let whole_of = |raw: &[u8]| match is_struck {
            true => with_text(message, header.text, raw),
            false => message.to_vec(),
        };
        for item in &mut items {
            match item {
                Item::Event(event) => {
                    if let Some(host) = header.host {
                        event
                            .attributes
                            .entry("syslog_host".to_owned())
                            .or_insert_with(|| host.to_owned());
                    }
                    event.raw = whole_of(&event.raw);
                }
                Item::Rejected(aside) => aside.raw = whole_of(&aside.raw),
                Item::Skipped(_) => {}
            }
        }
        items
    }

    /// Parses syslog messages of a format whose events may take several: [`Format::open_messages`]
    /// says which are whole.
    pub fn parse_messages(self, messages: &[&[u8]], context: &mut Context<'_>) -> Vec<Item> {
        let lines: Vec<&[u8]> = messages.iter().map(|message| without_end(message)).collect();
        // More than a body may hold is told one by one.
        self.parse(&lines.join(&b'\n'), context).unwrap_or_else(|_| {
            lines.iter().flat_map(|line| self.parse_message(line, context)).collect()
        })
    }

    /// Which of these messages belong to events that may go on in others. `None` where each message
    /// is by itself.
    pub fn open_messages(self, messages: &[&[u8]]) -> Option<Vec<bool>> {
        match self.0.syslog {
            Syslog::Records(_, open) => Some(open(messages)),
            Syslog::Whole(_) | Syslog::Text => None,
        }
    }

    /// Whether an event is the answer to a request that waits for it ([`DEFERRED`]). Both happened in
    /// the same instant.
    pub fn is_answer(self, event: &Event, request: &Event) -> bool {
        self == Format(&openstack_cadf::SPEC) && openstack_cadf::is_answer(event, request)
    }

    /// Whether an event may take several syslog messages.
    pub fn joins_messages(self) -> bool {
        matches!(self.0.syslog, Syslog::Records(..))
    }

    /// Parses again what was set aside of a body or a message: one item, as the parser set it
    /// aside. Where it comes to nothing, the reason.
    pub fn parse_again(self, item: &[u8], context: &mut Context<'_>) -> Result<Vec<Item>, String> {
        let is_of_use =
            |items: &[Item]| items.iter().any(|item| !matches!(item, Item::Rejected(_)));
        let reason = |items: Vec<Item>| {
            let mut reasons = items.into_iter().filter_map(|item| match item {
                Item::Rejected(aside) => Some(aside.reason),
                Item::Event(_) | Item::Skipped(_) => None,
            });
            reasons.next_back().unwrap_or_else(|| "there is nothing in it".to_owned())
        };
        if let Some((headers, body)) = request_headers::split(item) {
            let mut context =
                Context { headers: &headers, new_id: &mut *context.new_id, ..*context };
            return match self.parse(body, &mut context) {
                Ok(items) if is_of_use(&items) => Ok(items),
                Ok(items) => Err(reason(items)),
                Err(error) => Err(error.to_string()),
            };
        }
        // Items of an envelope are set aside without it.
        let body = if self == Format::DOCKER_REGISTRY {
            [b"{\"events\":[", item, b"]}"].concat()
        } else {
            item.to_vec()
        };
        let why = match self.parse(&body, context) {
            Ok(items) if is_of_use(&items) => return Ok(items),
            Ok(items) => reason(items),
            Err(error) => error.to_string(),
        };
        match Message::parse(item) {
            None => Err(why),
            Some(_) => {
                Some(self.parse_message(item, context)).filter(|items| is_of_use(items)).ok_or(why)
            }
        }
    }

    /// How many bytes at the beginning of a piece of a file can be parsed as a body. 0 where
    /// nothing is whole yet.
    pub fn complete_bytes(self, piece: &[u8], continuation: Continuation) -> usize {
        (self.0.complete_bytes)(piece, continuation)
    }

    /// What its senders want to be told once everything in a request with these header lines is on
    /// disk: content type and body. `set_aside` of its records could not be used and are kept
    /// aside. `None` where Daybook's own answer does.
    pub fn response(
        self,
        headers: &[(String, String)],
        set_aside: usize,
    ) -> Option<(&'static str, Vec<u8>)> {
        (self == Format::OTLP_LOGS).then(|| otlp_logs::answer(headers, set_aside))
    }

    /// Where the event, which was parsed as this format, stands in what its source numbers.
    pub fn sequence(self, event: &Event) -> Option<Sequence> {
        (self.0.sequence)(event)
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

/// A message without a line feed that its framing left at its end.
pub(crate) fn without_end(message: &[u8]) -> &[u8] {
    message.strip_suffix(b"\n").unwrap_or(message)
}

/// A message with another text, of which `text` is its own: its end, but for a line feed.
fn with_text(message: &[u8], text: &[u8], other: &[u8]) -> Vec<u8> {
    let (before, end) = message.split_at(without_end(message).len());
    let tail = if other.len() == text.len() { end } else { b"" };
    [&before[..before.len() - text.len()], other, tail].concat()
}
