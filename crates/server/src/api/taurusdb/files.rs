//! `ListAuditLogs`: the audit log files of an instance whose events overlap a window.

use event::Time;
use hyper::StatusCode;
use serde::Serialize;
use store::AuditFile;

use super::authorise::authorise_instance;
use super::error::Error;
use crate::api::answer::with_tree_size;
use crate::api::parameters::{INT32_MAX, integer, slice};
use crate::api::{Answer, ApiError, Call, Refusal};
use crate::snapshots::Key;
use event::civil::Offset;
use net::{self, path};

const LIMIT_DEFAULT: u64 = 10;
const LIMIT_MAX: u64 = 100;
const SPAN_S_MAX: i64 = 30 * 24 * 60 * 60;

pub(super) fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    let trail = authorise_instance(call)?;
    let request = parameters(call.raw_query())?;
    let question = ("taurusdb", &trail, request.start, request.end);
    let key = Key::new(&call.caller()?.user.id, &question);
    let snapshots = &call.state.snapshots;
    let snapshot = snapshots.find(&key, request.offset == 0, call.now);
    let (mut files, tree_size) = call.state.log.audit_files(&trail, snapshot.size)?;
    if request.offset == 0 {
        snapshots.take(key, tree_size, call.now);
    }
    let policies = call.state.policies.known()?;
    files.retain(|file| policies.lists(file, snapshot.began_at) && request.overlaps(file));
    files.sort_by_key(|file| (file.begin, file.ordinal));
    let total_count = files.len();
    let audit_logs: Vec<_> = slice(files, request.offset, request.limit)
        .iter()
        .map(|file| AuditLog::of(file, request.zone))
        .collect();
    let count = audit_logs.len();
    let response = net::json(StatusCode::OK, &Body { audit_logs, total_count });
    Ok(Answer::whole(with_tree_size(response, tree_size)).with_rows(count, total_count as u64))
}

#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    /// To the second, both inclusive.
    start: Time,
    end: Time,
    /// Offset from UTC of `start_time`; the answer has its times in it.
    zone: Offset,
    offset: u64,
    limit: u64,
}

impl PageRequest {
    fn overlaps(&self, file: &AuditFile) -> bool {
        file.begin < self.end.plus_seconds(1) && file.end >= self.start
    }
}

fn parameters(raw_query: &str) -> Result<PageRequest, Refusal> {
    let (start, zone) = instant(raw_query, "start_time")?;
    let (end, _) = instant(raw_query, "end_time")?;
    if end <= start || end > start.plus_seconds(SPAN_S_MAX) {
        return Err(ApiError::InvalidParameter.into());
    }
    let offset = integer(raw_query, "offset", 0..=INT32_MAX)?.unwrap_or(0);
    let limit = integer(raw_query, "limit", 1..=LIMIT_MAX).map_err(|_| Error::InvalidLimit)?;
    Ok(PageRequest { start, end, zone, offset, limit: limit.unwrap_or(LIMIT_DEFAULT) })
}

/// Offset and limit of the page that a query requests, its times written as an answer has them; for
/// fuzz targets.
pub fn page_of(raw_query: &str) -> Option<(u64, usize)> {
    let request = parameters(raw_query).ok()?;
    for time in [request.start, request.end, request.end.plus_seconds(1)] {
        request.zone.date_and_time(time, '-', 'T');
    }
    Some((request.offset, usize::try_from(request.limit).ok()?))
}

/// `yyyy-mm-ddThh:mm:ss` and an offset from UTC. The `+` of an offset arrives as a space from
/// clients that sent it raw, or that encoded the space it had become.
fn instant(raw_query: &str, name: &str) -> Result<(Time, Offset), ApiError> {
    let text = path::query_value(raw_query, name).ok_or(ApiError::InvalidParameter)?;
    let (at, zone) = text.split_at_checked(19).ok_or(ApiError::InvalidParameter)?;
    let zone = match zone.strip_prefix(' ') {
        Some(digits) => Offset::parse(&format!("+{digits}")),
        None => Offset::parse(zone).filter(|_| zone != "UTC"),
    };
    let zone = zone.ok_or(ApiError::InvalidParameter)?;
    Ok((zone.parse_date_and_time(at, 'T').ok_or(ApiError::InvalidParameter)?, zone))
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

    fn error(read: Result<PageRequest, Refusal>) -> String {
        format!("{:?}", read.expect_err("it is refused").cause)
    }

    #[test]
    fn the_plus_of_an_offset_has_three_spellings() {
        let spelt = ["%2B0800", "+0800", "%200800", "%2B08:00", "+08%3A00"];
        let requests = spelt.map(|zone| {
            let query =
                format!("start_time=2018-09-15T06:25:43{zone}&end_time=2018-09-16T10:40:15{zone}");
            parameters(&query).unwrap_or_else(|_| panic!("{query}"))
        });
        assert!(requests.iter().all(|one| *one == requests[0]));
        assert_eq!(requests[0].start.to_string(), "2018-09-14T22:25:43.000000000Z");
        assert_eq!((requests[0].offset, requests[0].limit), (0, 10));
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
            assert_eq!(error(window(start, end)), "Shared(InvalidParameter)", "{start} {end}");
        }
        let page = |page: &str| {
            parameters(&format!(
                "start_time=2018-09-01T00:00:00Z&end_time=2018-09-02T00:00:00Z&{page}"
            ))
        };
        assert!(
            page("offset=3&limit=7")
                .is_ok_and(|requests| (requests.offset, requests.limit) == (3, 7))
        );
        for limit in ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=2147483648"] {
            assert_eq!(error(page(limit)), "Own(InvalidLimit)", "{limit}");
        }
        for offset in ["offset=-1", "offset=x", "offset=2147483648"] {
            assert_eq!(error(page(offset)), "Shared(InvalidParameter)", "{offset}");
        }
    }
}
