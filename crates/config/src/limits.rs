//! Every limit, its default, and what it bounds in words: for `GET /api/v1/limits` and for the
//! table in `docs/configuration.md`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits on what the server takes at once. Each bounds memory or the time a client can hold a
/// resource; too low refuses honest clients, too high lets a few of them take the machine.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections, of HTTP and of each syslog listener. Further ones are closed at once.
    pub connections_max: usize,
    /// Those of them from one address.
    pub connections_per_address_max: usize,
    /// Requests being answered. Further ones get 503.
    pub requests_in_flight_max: usize,
    /// Bytes of intake bodies held at once, as received and decompressed. Beyond, 503.
    pub intake_bytes_in_flight_max: usize,
    /// Seconds for a TLS handshake, for a first byte, for a whole header.
    pub header_timeout_s: u64,
    /// Seconds for an intake request, from its header to its answer.
    pub intake_timeout_s: u64,
    /// Seconds for any other request.
    pub request_timeout_s: u64,
    /// Bytes of a request header, names and values together. Beyond, 431.
    pub header_bytes_max: usize,
    /// Header lines. Beyond, 431.
    pub headers_max: usize,
    /// Bytes of a path with its query. Beyond, 414.
    pub uri_bytes_max: usize,
    /// Bytes of a body as received. Beyond, 413.
    pub body_bytes_max: usize,
    /// Bytes of a body to a wire API. Beyond, 413.
    pub query_body_bytes_max: usize,
    /// Bytes of a body after decompression. Beyond, 413.
    pub body_decompressed_bytes_max: usize,
    /// Events in one body. Beyond, 413.
    pub events_per_request_max: usize,
    /// Bytes of one event. Beyond, 413, or set aside where the sender cannot heed it.
    pub event_bytes_max: usize,
    /// Bytes of one syslog message. Beyond, its beginning is set aside.
    pub syslog_message_bytes_max: usize,
    /// Bytes of messages that a syslog listener took and that are not durable yet. Beyond,
    /// connections are not read, and datagrams are dropped and counted.
    pub syslog_bytes_in_flight_max: usize,
    /// Requests waiting to be made durable. Beyond, 503.
    pub waiting_requests_max: usize,
    /// Events that are sealed into one segment; until there are so many they are in memory and in
    /// the journal.
    pub flush_events: u64,
    /// Events that may wait to be sealed. Beyond, requests wait.
    pub unflushed_events_max: u64,
    /// Bytes of segments' indexes kept in memory.
    pub index_cache_bytes_max: u64,
    /// Failed logins of one account in a minute, before further tries get 429.
    pub login_failures_per_account: u32,
    /// Failed logins from one address in a minute, before further tries get 429.
    pub login_failures_per_address: u32,
    /// Audit log files being sent at once. Further ones get 503.
    pub downloads_max: usize,
    /// Clients that follow the log at once. Further ones get 503.
    pub tails_max: usize,
    /// Exports being made at once. Further ones get 503.
    pub exports_max: usize,
    /// Seconds for a witness to answer.
    pub witness_timeout_s: u64,
    /// Seconds after which a witness that has not cosigned a checkpoint is late.
    pub witness_late_after_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 4096,
            connections_per_address_max: 256,
            requests_in_flight_max: 256,
            intake_bytes_in_flight_max: 256 << 20,
            header_timeout_s: 10,
            intake_timeout_s: 60,
            request_timeout_s: 30,
            header_bytes_max: 32 << 10,
            headers_max: 64,
            uri_bytes_max: 8 << 10,
            body_bytes_max: 8 << 20,
            query_body_bytes_max: 64 << 10,
            body_decompressed_bytes_max: 32 << 20,
            events_per_request_max: 10_000,
            event_bytes_max: 256 << 10,
            syslog_message_bytes_max: 64 << 10,
            syslog_bytes_in_flight_max: 4 << 20,
            waiting_requests_max: 1024,
            flush_events: 128 << 10,
            unflushed_events_max: 256 << 10,
            index_cache_bytes_max: 256 << 20,
            login_failures_per_account: 5,
            login_failures_per_address: 20,
            downloads_max: 16,
            tails_max: 1000,
            exports_max: 2,
            witness_timeout_s: 10,
            witness_late_after_s: 60,
        }
    }
}

impl Limits {
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_s)
    }

    /// Every limit with its name.
    pub(super) fn named(&self) -> Vec<(String, u64)> {
        let Ok(toml::Value::Table(table)) = toml::Value::try_from(self) else { return Vec::new() };
        table
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_integer()?.cast_unsigned())))
            .collect()
    }
}

/// A limit as it is in force.
#[derive(Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Limit")]
pub struct Described {
    /// As in the configuration, without `limits.`.
    pub name: &'static str,
    pub value: u64,
    /// What is counted: `bytes`, `seconds`, `events`, …
    pub unit: &'static str,
    /// What is limited, and what happens beyond.
    pub what: &'static str,
}

impl Limits {
    /// Every limit, in the order of the table.
    pub fn described(&self) -> Vec<Described> {
        let values: std::collections::HashMap<String, u64> = self.named().into_iter().collect();
        let row = |(name, unit, what): &(&'static str, &'static str, &'static str)| {
            Some(Described { name, value: *values.get(*name)?, unit, what })
        };
        WORDS.iter().filter_map(row).collect()
    }
}

/// Name, unit, and what is limited.
const WORDS: [(&str, &str, &str); 28] = [
    (
        "connections_max",
        "connections",
        "Open connections, of HTTP and of each syslog listener; further ones are closed at once.",
    ),
    (
        "connections_per_address_max",
        "connections",
        "Those of them from one address. Raise it behind a proxy or a relay.",
    ),
    (
        "requests_in_flight_max",
        "requests",
        "Requests being answered; further ones get 503 with Retry-After.",
    ),
    ("intake_bytes_in_flight_max", "bytes", "Bytes of intake bodies held at once; beyond, 503."),
    (
        "header_timeout_s",
        "seconds",
        "Seconds for a TLS handshake, a first byte, a whole header, and between requests on one connection; then the connection is closed.",
    ),
    (
        "intake_timeout_s",
        "seconds",
        "Seconds for an intake request; then 408 if the body has not come by then, 503 if it has.",
    ),
    ("request_timeout_s", "seconds", "Seconds for any other request; then 408."),
    ("header_bytes_max", "bytes", "Bytes of header names and values; beyond, 431."),
    ("headers_max", "header lines", "Header lines; beyond, 431."),
    ("uri_bytes_max", "bytes", "Bytes of path and query; beyond, 414."),
    (
        "body_bytes_max",
        "bytes",
        "Bytes of an intake body as received; beyond, 413. At most 33554432.",
    ),
    (
        "body_decompressed_bytes_max",
        "bytes",
        "Bytes of a body after decompression; beyond, 413. Past 1 MiB, at most 100 times what was received. At most 33554432.",
    ),
    ("events_per_request_max", "events", "Events in one body; beyond, 413."),
    (
        "query_body_bytes_max",
        "bytes",
        "Bytes of a body to a wire API; beyond, 413. At most 33554432.",
    ),
    (
        "event_bytes_max",
        "bytes",
        "Bytes of one event; beyond, 413, or set aside for formats whose senders cannot heed an error. At most 8388608.",
    ),
    (
        "syslog_message_bytes_max",
        "bytes",
        "Bytes of one syslog message; beyond, its beginning is set aside. At most 8388608.",
    ),
    (
        "syslog_bytes_in_flight_max",
        "bytes",
        "Bytes of messages, and 256 for each, that one syslog listener took and that are not durable yet; beyond, its connections are not read, and datagrams are dropped and counted.",
    ),
    ("waiting_requests_max", "requests", "Requests waiting to be made durable; beyond, 503."),
    (
        "flush_events",
        "events",
        "Events that are sealed into one segment; until there are so many what is asked about them is in memory, and they are in the journal. Here and in the next, an event of more than 2 KiB counts as several.",
    ),
    (
        "unflushed_events_max",
        "events",
        "Events that may wait to be sealed; beyond, requests wait. Not below limits.flush_events.",
    ),
    ("index_cache_bytes_max", "bytes", "Bytes of segments' indexes kept in memory."),
    (
        "login_failures_per_account",
        "failed logins a minute",
        "Failed logins of one account in a minute, existing or not; further tries get 429 with Retry-After.",
    ),
    (
        "login_failures_per_address",
        "failed logins a minute",
        "Failed logins from one address in a minute; beyond, the same.",
    ),
    ("downloads_max", "downloads", "Audit log files being sent at once; beyond, 503."),
    ("tails_max", "clients", "Clients that follow the log at once; beyond, 503."),
    (
        "exports_max",
        "exports",
        "Exports and their manifests being made at once; beyond, 503. Each holds about 30 MiB.",
    ),
    (
        "witness_timeout_s",
        "seconds",
        "Seconds for a witness to answer; then it is asked again later.",
    ),
    (
        "witness_late_after_s",
        "seconds",
        "Seconds for a witness to cosign a checkpoint; when they are over and it failed to, it is late, which is recorded and stops nothing.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_limit_is_described_once() {
        let described: Vec<String> =
            Limits::default().described().iter().map(|one| one.name.to_owned()).collect();
        let named: BTreeSet<String> =
            Limits::default().named().into_iter().map(|(name, _)| name).collect();
        assert_eq!(described.len(), named.len(), "a limit without words, or twice");
        assert_eq!(described.into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn the_document_says_the_same() {
        let document = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/configuration.md"
        ))
        .expect("the document");
        let rows: Vec<[String; 3]> = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `limits.")?.strip_suffix(" |"))
            .filter_map(|row| row.split_once("` | "))
            .filter_map(|(name, rest)| {
                let (what, value) = rest.rsplit_once(" | ")?;
                Some([name.to_owned(), without_markup(what), value.to_owned()])
            })
            .collect();
        let expected: Vec<[String; 3]> = Limits::default()
            .described()
            .iter()
            .map(|one| [one.name.to_owned(), one.what.to_owned(), one.value.to_string()])
            .collect();
        assert_eq!(rows, expected);
    }

    /// Text of Markdown without back-ticks and the addresses of links.
    fn without_markup(text: &str) -> String {
        let mut pieces = text.split("](");
        let first = pieces.next().unwrap_or_default().to_owned();
        let rest = pieces.map(|piece| piece.split_once(')').map_or(piece, |(_, after)| after));
        (first + &rest.collect::<String>()).replace(['`', '['], "")
    }
}
