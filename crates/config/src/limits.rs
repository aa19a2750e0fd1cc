//! Limits on what the server accepts at once.

use std::time::Duration;

use serde::Serialize;

use crate::setting::{Kind, Max, Number, Setting, plain, settings};

/// Cap of every body limit: the dead letters of one body must fit a frame of the journal.
const BODY: Max = Max { value: 32 << 20, reason: "the journal's format holds" };

/// Cap of every limit on one event: an entry can be six times as long as the event, and both must
/// fit a frame of the journal.
const EVENT: Max = Max { value: 8 << 20, reason: "the journal's format holds" };

settings! {
    /// Limits on what the server accepts at once. Each bounds memory or the time for which a client
    /// can hold a resource. A limit that is too low refuses honest clients; one that is too high
    /// lets a few of them occupy the machine.
    #[derive(Copy)]
    pub struct Limits in "limits." {
        connections_max: usize = 4096, Number::positive("connections"), No,
            "Open connections, of HTTP and of each syslog listener; further ones are closed at \
             once.";
        connections_per_address_max: usize = 256, Number::positive("connections"), No,
            "Open connections from one address; further ones are closed at once. Raise it behind a \
             proxy or a relay.";
        requests_in_flight_max: usize = 256, Number::positive("requests"), No,
            "Intake requests in flight, and those to a witness; further ones get 503 with \
             `Retry-After`.";
        queries_in_flight_max: usize = 64, Number::positive("requests"), No,
            "Queries in flight, until their work has ended, even if their client left; and as many \
             requests beside intake whose body is still to come. Further ones get 503 with \
             `Retry-After`.";
        administration_in_flight_max: usize = 16, Number::positive("requests"), No,
            "Requests in flight for metrics, limits, status of sources, and projects and domains \
             of a caller; further ones get 503 with `Retry-After`. Health is outside of any limit.";
        logins_in_flight_max: usize = 64, Number::positive("logins"), No,
            "Logins in flight, which are checked one after another; further ones get 503 with \
             `Retry-After`.";
        expensive_queries_max: usize = 6, Number::positive("queries"), No,
            "Queries at once that count over everything that matches: facets, histograms, trails, \
             and pages of the dead-letter queue; further ones get 503 with `Retry-After`.";
        expensive_queries_per_caller_max: usize = 3, Number::positive("queries"), No,
            "Such queries of one caller; further ones get 503 with `Retry-After`.";
        counting_bytes_max: usize = 32 << 20, Number::positive("bytes"), No,
            "Bytes in which one query counts the values of facets; where they do not fit, it reads \
             the rows once for each part of the values.";
        page_bytes_max: usize = 8 << 20, Number::positive("bytes"), Yes,
            "Bytes of the rows of a page; a page that reaches them has fewer rows and a cursor. \
             Pages of the compatible APIs have a fixed number of rows and do not end early.";
        answers_bytes_max: usize = 128 << 20, Number::positive("bytes"), No,
            "Bytes of all answers together while they are made and sent; what does not fit gets \
             503 with `Retry-After`. Answers of less than 64 KiB do not count.";
        write_timeout_s: u64 = 30, Number::positive("seconds"), No,
            "Seconds in which a client must take something of what it is sent; beyond, the \
             connection is closed.";
        intake_bytes_in_flight_max: usize = 256 << 20, Number::positive("bytes"), No,
            "Bytes of intake bodies, and of the events made of them, in memory at once; beyond, 503.";
        header_timeout_s: u64 = 10, Number::positive("seconds"), No,
            "Seconds for a TLS handshake, a first byte, a whole header, and between requests on \
             one connection; beyond, the connection is closed.";
        lingering_bytes_max: usize = 64 << 20, Number::positive("bytes"), No,
            "Bytes that are read and thrown away of a body whose request was answered before it was \
             read, so that its sender sees the response; beyond, the connection is closed.";
        lingering_timeout_s: u64 = 10, Number::positive("seconds"), No,
            "Seconds for which such a body is read; beyond, the connection is closed.";
        intake_timeout_s: u64 = 60, Number::positive("seconds"), Yes,
            "Seconds for an intake request; beyond, 408 if the body is incomplete, otherwise 503.";
        request_timeout_s: u64 = 30, Number::positive("seconds"), Yes,
            "Seconds for any other request; beyond, 408.";
        header_bytes_max: usize = 32 << 10, Number::positive("bytes"), No,
            "Bytes of header names and values; beyond, 431.";
        headers_max: usize = 64, Number::positive("header lines"), Yes,
            "Header lines; beyond, 431.";
        uri_bytes_max: usize = 8 << 10, Number::positive("bytes"), Yes,
            "Bytes of path and query; beyond, 414.";
        body_bytes_max: usize = 8 << 20, Number::up_to(BODY, "bytes"), No,
            "Bytes of an intake body as received; beyond, 413.";
        body_decompressed_bytes_max: usize = 32 << 20, Number::up_to(BODY, "bytes"), No,
            "Bytes of a body after decompression; beyond, 413.";
        events_per_request_max: usize = 20_000, Number::positive("events"), No,
            "Events in one body; beyond, 413.";
        request_events_bytes_max: usize = 128 << 20, Number::positive("bytes"), No,
            "Bytes of memory that the events of one body take; beyond, 413.";
        query_body_bytes_max: usize = 64 << 10, Number::up_to(BODY, "bytes"), Yes,
            "Bytes of a body to a wire API; beyond, 413.";
        event_bytes_max: usize = 4 << 20, Number::up_to(EVENT, "bytes"), No,
            "Bytes of one event as received; beyond, 413, or rejected to the dead-letter queue for \
             formats whose senders cannot handle an error. Long texts of a smaller one are cut and \
             marked.";
        syslog_message_bytes_max: usize = 64 << 10, Number::up_to(EVENT, "bytes"), No,
            "Bytes of one syslog message; beyond, its beginning goes to the dead-letter queue.";
        syslog_bytes_in_flight_max: usize = 4 << 20, Number::positive("bytes"), No,
            "Bytes of messages that one syslog listener received and that are not durable yet, \
             plus 256 for each message; beyond, its connections are not read, and datagrams are \
             dropped and counted.";
        waiting_requests_max: usize = 1024, Number::positive("requests"), No,
            "Requests waiting to become durable; beyond, 503.";
        flush_events: u64 = 128 << 10, Number::positive("events"), No,
            "Events that one flush writes to a segment; fewer stay in the journal and the \
             memtable. Here and in `limits.unflushed_events_max`, an event of more than 2 KiB \
             counts as several.";
        unflushed_events_max: u64 = 256 << 10, Number::positive("events"), No,
            "Events not yet flushed; beyond, requests wait. Not below `limits.flush_events`.";
        index_cache_bytes_max: u64 = 256 << 20, Number::positive("bytes"), No,
            "Bytes of segment indexes cached in memory.";
        login_failures_per_account: u32 = 5, Number::positive("failed logins a minute"), Yes,
            "Failed logins of one account from one address in a minute, whether the account \
             exists or not; further attempts get 429 with `Retry-After`.";
        login_failures_per_address: u32 = 20, Number::positive("failed logins a minute"), Yes,
            "Failed logins from one address in a minute; further attempts get 429 with \
             `Retry-After`.";
        login_failures_slow_after: u32 = 50, Number::positive("failed logins a minute"), Yes,
            "Failed logins of one account from all addresses in a minute; beyond, each attempt \
             gets 429 with `Retry-After: 5`, and is let through when it is repeated after that. \
             It slows the account's owner, and locks nobody out.";
        caller_requests_per_second: usize = 200, Number::positive("requests a second"), Yes,
            "Requests to the APIs of one caller in a second, after a burst of \
             `limits.caller_requests_burst`; further ones get 429 with `Retry-After`. Each is \
             recorded, so this bounds what one caller adds to the log.";
        caller_requests_burst: usize = 5000, Number::positive("requests"), Yes,
            "Requests of one caller at once; see `limits.caller_requests_per_second`.";
        refusals_recorded_per_sender: usize = 2, Number::positive("records a second"), No,
            "Refused requests of one caller, or of one address without a caller, that are \
             recorded one by one in a second, after ten times as many at once; further ones are \
             [counted](api/dbss.md#daybooks-own-trail).";
        refusals_recorded_of_strangers: usize = 20, Number::positive("records a second"), No,
            "The same of all addresses together.";
        refusals_counted_s: u64 = 60, Number::positive("seconds"), No,
            "Seconds over which the refused requests of a sender that are not recorded one by one \
             are counted in one event.";
        downloads_max: usize = 16, Number::positive("downloads"), No,
            "Audit log files being sent at once; beyond, 503.";
        live_tails_max: usize = 1000, Number::positive("clients"), No,
            "Live tails at once; beyond, 503.";
        live_tails_per_caller_max: usize = 250, Number::positive("clients"), No,
            "Live tails of one caller; beyond, 503.";
        exports_max: usize = 4, Number::positive("exports"), No,
            "Exports and manifests being made at once; beyond, 503. Each holds about 30 MiB.";
        exports_per_caller_max: usize = 2, Number::positive("exports"), No,
            "Exports and manifests of one caller; beyond, 503.";
        witness_timeout_s: u64 = 10, Number::positive("seconds"), No,
            "Seconds for a witness to respond; beyond, it is tried again later.";
        witness_late_after_s: u64 = 60, Number::positive("seconds"), No,
            "Seconds for a witness to cosign a checkpoint; beyond, it is \
             [late](api/tlog.md#witnesses), which is recorded and stops nothing.";
        guard_lost_max_s: u64 = 24 * 3600, Number::positive("seconds"), No,
            "Seconds for which the server runs without signing when the [guard](security.md#the-guard) \
             takes no checkpoint, as when its disk is gone; beyond, it ends with exit code 4.";
        clock_jump_s: u64 = 10, Number::positive("seconds"), No,
            "Seconds by which the machine's clock may be adjusted at once; beyond, it \
             [jumped](operations.md#clock), which is recorded.";
        clock_accept_after_s: u64 = 3600, Number::positive("seconds"), No,
            "Seconds for which the clock must stand by a jump ahead; before, events are received \
             at the time without the jump.";
    }
}

/// A limit in force, as `GET /api/v1/limits` shows it.
#[derive(Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Limit {
    /// As in the configuration, without `limits.`.
    pub name: &'static str,
    pub value: u64,
    /// Unit of the value: `bytes`, `seconds`, `events`, …
    pub unit: &'static str,
    /// What is limited, and what happens beyond.
    pub what: String,
}

impl Limits {
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_s)
    }

    pub fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_s)
    }

    /// Every limit, in the order of the table.
    pub fn list(&self) -> Vec<Limit> {
        let values = toml::Table::try_from(self).unwrap_or_default();
        Limits::SETTINGS.iter().filter_map(|setting| limit(setting, &values)).collect()
    }
}

fn limit(setting: &Setting, values: &toml::Table) -> Option<Limit> {
    let Kind::Number(number) = setting.kind else { return None };
    let name = setting.path.strip_prefix("limits.")?;
    let value = values.get(name)?.as_integer()?.cast_unsigned();
    Some(Limit { name, value, unit: number.unit, what: plain(&setting.meaning()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_listed_with_its_value_and_bound() {
        let list = Limits { body_bytes_max: 7, ..Limits::default() }.list();
        assert_eq!(list.len(), Limits::SETTINGS.len());
        assert_eq!(list.len(), toml::Table::try_from(Limits::default()).expect("numbers").len());
        let body = list.iter().find(|limit| limit.name == "body_bytes_max").expect("it is there");
        assert_eq!(
            (body.value, body.unit, body.what.as_str()),
            (7, "bytes", "Bytes of an intake body as received; beyond, 413. At most 33554432.")
        );
    }

    #[test]
    fn defaults_are_within_their_bounds() {
        for limit in Limits::default().list() {
            let path = format!("limits.{}", limit.name);
            let row = Limits::SETTINGS.iter().find(|row| row.path == path).expect("it has a row");
            let Kind::Number(number) = row.kind else { panic!("{path} is no number") };
            number.check(limit.value).expect(&path);
        }
    }
}
