//! The context of a body: its trail, how it arrived, and how its source is configured.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use crate::attempts::Attempts;
use event::{EventId, SourceIp, Time, Trail, Trust};

/// Everything about a body that its bytes do not say.
pub struct Context<'a> {
    /// The configured source's name.
    pub source: &'a str,
    /// The trail the source feeds.
    pub trail: &'a Trail,
    /// When the body arrived.
    pub received_at: Time,
    /// Gives out a new id for each event.
    pub new_id: &'a mut dyn FnMut() -> EventId,
    /// Limits on what one body may hold.
    pub limits: Limits,
    /// How the source is configured.
    pub options: &'a Options,
    /// The request's header lines, names in lower case; none if the body did not come by HTTP.
    pub headers: &'a [(String, String)],
    /// The address of the sender, if the body came by a socket.
    pub peer: Option<IpAddr>,
    /// The position in the file that the body was read from, if any.
    pub position: Option<FilePosition<'a>>,
    /// Whether a request without its answer is rejected with the reason
    /// [`DEFERRED`](super::DEFERRED), because the caller will come back to it; else it is an event.
    pub defers: bool,
    /// Connections whose login attempts are events already, of this body and earlier ones.
    pub attempts: Attempts,
}

/// The position of a piece of a file.
#[derive(Clone, Copy, Debug)]
pub struct FilePosition<'a> {
    /// Identifies the file among all files of its source, for good.
    pub file: &'a str,
    /// Bytes before the piece.
    pub offset: u64,
}

impl<'a> Context<'a> {
    /// The context of a body that came neither by HTTP nor from a file, with the default limits.
    pub fn new(
        source: &'a str,
        trail: &'a Trail,
        received_at: Time,
        new_id: &'a mut dyn FnMut() -> EventId,
        options: &'a Options,
    ) -> Context<'a> {
        Context {
            source,
            trail,
            received_at,
            new_id,
            limits: Limits::default(),
            options,
            headers: &[],
            peer: None,
            position: None,
            defers: false,
            attempts: Attempts::default(),
        }
    }

    /// The value of the first header line with this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

/// Limits on what one body may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most events in one body.
    pub events_max: usize,
    /// Most bytes of one event.
    pub event_bytes_max: usize,
}

impl Default for Limits {
    /// 10,000 events and 256 KiB each; a server has larger ones.
    fn default() -> Self {
        Limits { events_max: 10_000, event_bytes_max: 256 * 1024 }
    }
}

/// How a source is configured.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The zone of times without one; if there is none, they count as UTC and are marked.
    pub time_zone: Option<Zone>,
    /// Networks of the proxies that are trusted to name the client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether requests that only look are recorded: HEAD requests, indexes, npm's metadata.
    /// Refused ones always are.
    pub records_noise: bool,
    /// The treatment of secrets in SQL texts.
    pub secrets: Secrets,
}

/// The treatment of a password or key in a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// Secrets are struck out of the event's texts; the original, of which audit log files consist,
    /// still has them.
    #[default]
    Redact,
    /// Secrets are struck out of the original too.
    RedactRaw,
    /// Secrets stay.
    Keep,
}

impl Options {
    /// The instant of a time without a zone, and the attribute that says how it was read:
    /// `time_zone` if one is configured, else `time_zone_assumed`.
    ///
    /// A time that the clock showed twice is the first of the two; a skipped one is later by what
    /// was skipped.
    pub fn local(&self, date_time: civil::DateTime) -> Result<(Time, (String, String)), String> {
        let utc = Zone::utc();
        let (zone, attribute) = match &self.time_zone {
            Some(zone) => (zone, "time_zone"),
            None => (&utc, "time_zone_assumed"),
        };
        Ok((zone.instant(date_time)?, (attribute.to_owned(), zone.name.clone())))
    }

    /// The address of the client: the peer's own, or the one that trusted proxies name.
    ///
    /// `forwarded` are the addresses claimed by a header, the one nearest to the peer last. From
    /// the peer on, each address of a trusted proxy vouches for the one before it.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> SourceIp {
        let is_trusted =
            |address: IpAddr| self.trusted_proxies.iter().any(|network| network.contains(&address));
        // A socket for both versions shows IPv4 peers in IPv6 form, which no IPv4 network contains.
        let mut client = SourceIp { address: peer.to_canonical(), trust: Trust::Peer };
        for text in forwarded.rev() {
            let (true, Some(address)) = (is_trusted(client.address), address(text)) else { break };
            client = SourceIp { address, trust: Trust::Forwarded };
        }
        client
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1`, `[2001:db8::1]:8080` or `fe80::1%eth0`; an
/// IPv4 address in IPv6 form is that IPv4 address.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    let without_zone = host.split_once('%').map_or(host, |(address, _)| address);
    without_zone.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Reads the date and time of a program that writes no offset. 60 is no second here: without an
/// offset nothing shows whether it was inserted.
pub(crate) fn date_time(text: &str) -> Option<civil::DateTime> {
    let is_60 = text.split(':').nth(2).is_some_and(|seconds| seconds.starts_with("60"));
    text.parse().ok().filter(|_| !is_60)
}

/// A time zone: an offset from UTC, or a name of the IANA time zone database.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Zone {
        Zone { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// Reads `UTC`, `+08:00` or `Europe/Berlin`.
    pub fn parse(text: &str) -> Result<Zone, String> {
        let unknown = || {
            format!(
                "{text:?} is no time zone; write UTC, an offset like +08:00 or a name like Europe/Berlin"
            )
        };
        let zone = match text.as_bytes() {
            b"UTC" | b"Z" => return Ok(Zone::utc()),
            [sign @ (b'+' | b'-'), ..] => {
                let (hours, minutes) = text[1..].split_once(':').ok_or_else(unknown)?;
                let number = |digits: &str, max: i32| -> Option<i32> {
                    let is_number =
                        digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
                    digits.parse().ok().filter(|&number| is_number && number <= max)
                };
                let (hours, minutes) =
                    number(hours, 14).zip(number(minutes, 59)).ok_or_else(unknown)?;
                let seconds = (hours * 60 + minutes) * 60;
                let east = if *sign == b'+' { seconds } else { -seconds };
                TimeZone::fixed(Offset::from_seconds(east).map_err(|_| unknown())?)
            }
            _ => TimeZone::get(text).map_err(|_| unknown())?,
        };
        Ok(Zone { name: text.to_owned(), zone })
    }

    /// The instant of a time in this zone. A time that the clock showed twice is the first of the
    /// two; a skipped one is later by what was skipped. Errors if it is outside the years 1678 to
    /// 2261.
    pub fn instant(&self, date_time: civil::DateTime) -> Result<Time, String> {
        let out_of_range = || format!("{date_time} is outside the years 1678 to 2261");
        let zoned = self.zone.to_timestamp(date_time).map_err(|_| out_of_range())?;
        i64::try_from(zoned.as_nanosecond()).map(Time::from_unix_ns).map_err(|_| out_of_range())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(zone: Option<&str>, proxies: &[&str]) -> Options {
        Options {
            time_zone: zone.map(|zone| Zone::parse(zone).expect("a zone")),
            trusted_proxies: proxies
                .iter()
                .map(|proxy| proxy.parse().expect("a network"))
                .collect(),
            ..Options::default()
        }
    }

    #[test]
    fn local_times_are_read_in_the_zone_that_is_configured() {
        for (zone, local, expected, attribute) in [
            (None, "2026-11-20T18:09:48", "2026-11-20T18:09:48.000000000Z", "time_zone_assumed"),
            (Some("+08:00"), "2026-11-20T18:09:48", "2026-11-20T10:09:48.000000000Z", "time_zone"),
            (Some("-03:30"), "2026-11-20T18:09:48", "2026-11-20T21:39:48.000000000Z", "time_zone"),
            (
                Some("Europe/Berlin"),
                "2026-07-01T12:00:00.5",
                "2026-07-01T10:00:00.500000000Z",
                "time_zone",
            ),
            (
                Some("Europe/Berlin"),
                "2026-12-01T12:00:00",
                "2026-12-01T11:00:00.000000000Z",
                "time_zone",
            ),
            // Shown twice, and skipped.
            (
                Some("Europe/Berlin"),
                "2026-10-25T02:30:00",
                "2026-10-25T00:30:00.000000000Z",
                "time_zone",
            ),
            (
                Some("Europe/Berlin"),
                "2026-03-29T02:30:00",
                "2026-03-29T01:30:00.000000000Z",
                "time_zone",
            ),
        ] {
            let (time, (name, value)) =
                options(zone, &[]).local(local.parse().expect(local)).expect("in range");
            assert_eq!(
                (time.to_string().as_str(), name.as_str()),
                (expected, attribute),
                "{local}"
            );
            assert_eq!(value, zone.unwrap_or("UTC"));
        }
    }

    #[test]
    fn a_minute_has_sixty_seconds() {
        assert!(date_time("2026-11-20T18:09:59.999").is_some());
        for text in ["2026-11-20T18:09:60", "2026-11-20T18:09:60.5", "2026-11-20T18:60:00", ""] {
            assert!(date_time(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for text in ["", "+8", "+0800", "+15:00", "+08:60", "-1:00", "CEST-not", "Mars/Olympus"] {
            assert!(Zone::parse(text).expect_err(text).contains("no time zone"), "{text}");
        }
    }

    #[test]
    fn an_address_is_taken_from_trusted_proxies_only() {
        let peer = "10.0.0.1".parse().expect("an address");
        for (proxies, forwarded, expected, trust) in [
            (&[][..], &["203.0.113.9"][..], "10.0.0.1", Trust::Peer),
            (&["10.0.0.0/8"], &[], "10.0.0.1", Trust::Peer),
            (&["10.0.0.0/8"], &["203.0.113.9"], "203.0.113.9", Trust::Forwarded),
            (
                &["10.0.0.0/8"],
                &["198.51.100.7", "203.0.113.9", "10.2.0.1"],
                "203.0.113.9",
                Trust::Forwarded,
            ),
            (&["10.0.0.0/8"], &["203.0.113.9", "unknown"], "10.0.0.1", Trust::Peer),
            (&["10.0.0.1/32"], &["203.0.113.9", "10.0.0.2:1234"], "10.0.0.2", Trust::Forwarded),
        ] {
            let client = options(None, proxies).client(peer, forwarded.iter().copied());
            assert_eq!((client.address.to_string().as_str(), client.trust), (expected, trust));
        }
        let peer = "::ffff:10.0.0.1".parse().expect("an address");
        let client = options(None, &["10.0.0.0/8"]).client(peer, ["203.0.113.9"].into_iter());
        assert_eq!(
            (client.address.to_string().as_str(), client.trust),
            ("203.0.113.9", Trust::Forwarded)
        );
    }

    #[test]
    fn addresses_come_with_ports_brackets_and_zones() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1:8080", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:8080", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("", None),
            ("unknown", None),
            ("[::1", None),
        ] {
            assert_eq!(
                address(text).map(|address| address.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
