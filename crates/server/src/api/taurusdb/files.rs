//! `ListAuditLogs`: the audit log files of an instance whose events overlap a window.

use event::{Time, Trail};
use hyper::StatusCode;
use serde::Serialize;
use store::AuditFile;

use super::error::Error;
use super::{Context, Note};
use crate::api::parameters::{INT32_MAX, integer, slice};
use crate::api::walks::Key;
use crate::state::with_tree_size;
use access::Caller;
use event::civil::Offset;
use net::{self, Request, Response, path};

const LIMIT_DEFAULT: u64 = 10;
const LIMIT_MAX: u64 = 100;
const SPAN_S_MAX: i64 = 30 * 24 * 60 * 60;

pub(super) fn list(
    trail: &Trail,
    caller: &Caller<'_>,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let asked = parameters(&request.raw_query)?;
    let key = Key::new(&caller.user.id, &("taurusdb", trail, asked.start, asked.end));
    let walks = &context.shared.walks;
    let as_of = walks.as_of(&key, asked.offset == 0, context.now);
    let (mut files, tree_size) = context.shared.log.audit_files(trail, as_of.size);
    if asked.offset == 0 {
        walks.begin(key, tree_size, context.now);
    }
    let policies = &context.shared.policies;
    files.retain(|file| policies.keep(file, as_of.began_at) && asked.overlaps(file));
    files.sort_by_key(|file| (file.begin, file.ordinal));
    let total_count = files.len();
    let audit_logs: Vec<_> = slice(files, asked.offset, asked.limit)
        .iter()
        .map(|file| AuditLog::of(file, asked.zone))
        .collect();
    note.rows = Some((audit_logs.len(), total_count as u64));
    let body = Body { audit_logs, total_count };
    Ok(with_tree_size(net::json(StatusCode::OK, &body), tree_size))
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// To the second, both inclusive.
    start: Time,
    end: Time,
    /// The offset from UTC that `start_time` named; times are answered in it.
    zone: Offset,
    offset: u64,
    limit: u64,
}

impl Asked {
    fn overlaps(&self, file: &AuditFile) -> bool {
        file.begin < self.end.plus_seconds(1) && file.end >= self.start
    }
}

fn parameters(raw_query: &str) -> Result<Asked, Error> {
    let (start, zone) = instant(raw_query, "start_time")?;
    let (end, _) = instant(raw_query, "end_time")?;
    if end <= start || end > start.plus_seconds(SPAN_S_MAX) {
        return Err(Error::InvalidParameter);
    }
    let offset = integer(raw_query, "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let limit = integer(raw_query, "limit", 1..=LIMIT_MAX).map_err(|_| Error::InvalidLimit)?;
    Ok(Asked { start, end, zone, offset, limit: limit.unwrap_or(LIMIT_DEFAULT) })
}

/// Offset and limit of the page that a query asks for, its times written as an answer has them; for
/// fuzz targets.
pub fn page_of(raw_query: &str) -> Option<(u64, usize)> {
    let asked = parameters(raw_query).ok()?;
    for time in [asked.start, asked.end, asked.end.plus_seconds(1)] {
        asked.zone.date_and_time(time, '-', 'T');
    }
    Some((asked.offset, usize::try_from(asked.limit).ok()?))
}

/// `yyyy-mm-ddThh:mm:ss` and an offset from UTC. The `+` of an offset arrives as a space from
/// clients that sent it raw, or that encoded the space it had become.
fn instant(raw_query: &str, name: &str) -> Result<(Time, Offset), Error> {
    let text = path::query_value(raw_query, name).ok_or(Error::InvalidParameter)?;
    let (at, zone) = text.split_at_checked(19).ok_or(Error::InvalidParameter)?;
    let zone = match zone.strip_prefix(' ') {
        Some(digits) => Offset::parse(&format!("+{digits}")),
        None => Offset::parse(zone).filter(|_| zone != "UTC"),
    };
    let zone = zone.ok_or(Error::InvalidParameter)?;
    Ok((zone.parse_date_and_time(at, 'T').ok_or(Error::InvalidParameter)?, zone))
}

#[derive(Serialize)]
struct Body {
    audit_logs: Vec<AuditLog>,
    total_count: usize,
}

/// Member order as in the page's sample. `size` is a whole number of KB: the sample's fraction
/// breaks the Go SDK.
#[derive(Serialize)]
struct AuditLog {
    id: String,
    name: String,
    size: u64,
    begin_time: String,
    end_time: String,
}

impl AuditLog {
    fn of(file: &AuditFile, zone: Offset) -> AuditLog {
        let text = |time| zone.date_and_time(time, '-', 'T') + &zone.text();
        AuditLog {
            id: file.id.clone(),
            name: file.name(),
            size: file.len_bytes.div_ceil(1024),
            begin_time: text(file.begin),
            end_time: text(file.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plus_of_an_offset_has_three_spellings() {
        let spelt = ["%2B0800", "+0800", "%200800", "%2B08:00", "+08%3A00"];
        let asked = spelt.map(|zone| {
            let query =
                format!("start_time=2018-09-15T06:25:43{zone}&end_time=2018-09-16T10:40:15{zone}");
            parameters(&query).unwrap_or_else(|_| panic!("{query}"))
        });
        assert!(asked.iter().all(|one| *one == asked[0]));
        assert_eq!(asked[0].start.to_string(), "2018-09-14T22:25:43.000000000Z");
        assert_eq!((asked[0].offset, asked[0].limit), (0, 10));
    }

    #[test]
    fn parameters_have_the_ranges_of_the_page() {
        let window =
            |start: &str, end: &str| parameters(&format!("start_time={start}&end_time={end}"));
        assert!(window("2018-09-01T00:00:00Z", "2018-10-01T00:00:00Z").is_ok(), "30 days exactly");
        for (start, end) in [
            ("2018-09-01T00:00:00Z", "2018-10-01T00:00:01Z"),
            ("2018-09-01T00:00:00Z", "2018-09-01T00:00:00Z"),
            ("2018-09-02T00:00:00Z", "2018-09-01T00:00:00Z"),
            ("2018-09-01T00:00:00", "2018-09-02T00:00:00Z"),
            ("2018-09-01+00:00:00Z", "2018-09-02T00:00:00Z"),
            ("2018-02-30T00:00:00Z", "2018-03-02T00:00:00Z"),
            ("2018-09-01T00:00:00%2B8", "2018-09-02T00:00:00Z"),
            ("2018-09-01T00:00:00UTC", "2018-09-02T00:00:00Z"),
            ("1537000000", "1538000000"),
            ("", "2018-09-02T00:00:00Z"),
            (
                "%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80%F0%9F%98%80",
                "2018-09-02T00:00:00Z",
            ),
        ] {
            assert!(matches!(window(start, end), Err(Error::InvalidParameter)), "{start} {end}");
        }
        let page = |page: &str| {
            parameters(&format!(
                "start_time=2018-09-01T00:00:00Z&end_time=2018-09-02T00:00:00Z&{page}"
            ))
        };
        assert!(page("offset=3&limit=7").is_ok_and(|asked| (asked.offset, asked.limit) == (3, 7)));
        for limit in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=2147483648"] {
            assert!(matches!(page(limit), Err(Error::InvalidLimit)), "{limit}");
        }
        for offset in ["offset=-1", "offset=x", "offset=2147483648"] {
            assert!(matches!(page(offset), Err(Error::InvalidParameter)), "{offset}");
        }
    }
}
