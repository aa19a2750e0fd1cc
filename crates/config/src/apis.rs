//! Settings of the vendor's wire APIs.

use event::civil::Offset;

use crate::setting::{Kind, Number, settings};

settings! {
    /// Settings of the SWR API.
    #[derive(Copy)]
    pub struct Swr in "swr." {
        operation_may_be_absent: bool = false, Kind::Flag, Yes,
            "Whether SWR's `ListAuditLogs` without `operation` lists pulls, pushes and deletions \
             together. The vendor's page calls the parameter mandatory; the vendor's own sample \
             leaves it out.";
    }
}

settings! {
    /// Settings of the CodeArts Artifact API, as the file has them.
    pub(crate) struct RawCodeArts in "codearts." {
        time_zone: String = "UTC".to_owned(), Kind::Text, Yes,
            "Offset from UTC of the times in [CodeArts Artifact](api/codearts.md), which carry no \
             zone: `UTC`, `Z`, or an offset such as `+08:00` or `+0800`, at most 14 hours. Names \
             of zones are refused.";
    }
}

settings! {
    /// Settings of the ops platform's API, as the file has them.
    pub(crate) struct RawHcs in "hcs." {
        time_zone: String = "UTC".to_owned(), Kind::Text, Yes,
            "Offset from UTC of the times of the [ops platform](api/hcs.md), in the forms of \
             `codearts.time_zone`.";
        region_id: String = String::new(), Kind::Text, Yes,
            "Id of the region of events that have none.";
        region_name: String = String::new(), Kind::Text, Yes,
            "Name of the region of events that have none.";
        domain_id_may_be_absent: bool = false, Kind::Flag, Yes,
            "Whether a request without `x-hcso-domainid` means the caller's own domain. HCS \
             Online demands the header; elsewhere it is optional.";
        requests_per_minute: u64 = 0, Number::any("requests a minute"), Yes,
            "Requests to `cloudAuditlog` that one caller may make in a minute of the clock; \
             further ones get 429. 0 for no limit.";
    }
}

/// Settings of the CodeArts Artifact API.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeArts {
    /// Offset of its times, which carry no zone.
    pub time_zone: Offset,
}

/// Settings of the ops platform's API.
#[derive(Debug, Clone, Default)]
pub struct Hcs {
    /// Offset of its times, which carry no zone.
    pub time_zone: Offset,
    /// Region of events that have none.
    pub region_id: String,
    pub region_name: String,
    /// Whether a request without `x-hcso-domainid` means the caller's own domain instead of being
    /// refused.
    pub domain_id_may_be_absent: bool,
    /// Requests of one caller in a minute; 0 for no limit.
    pub requests_per_minute: u64,
}

impl RawCodeArts {
    pub(crate) fn check(&self) -> Result<CodeArts, String> {
        Ok(CodeArts { time_zone: offset("codearts.time_zone", &self.time_zone)? })
    }
}

impl RawHcs {
    pub(crate) fn check(self) -> Result<Hcs, String> {
        Ok(Hcs {
            time_zone: offset("hcs.time_zone", &self.time_zone)?,
            region_id: self.region_id,
            region_name: self.region_name,
            domain_id_may_be_absent: self.domain_id_may_be_absent,
            requests_per_minute: self.requests_per_minute,
        })
    }
}

fn offset(path: &str, text: &str) -> Result<Offset, String> {
    Offset::parse(text).ok_or_else(|| {
        format!("{path}: {text:?} is no offset from UTC; write UTC or one like +08:00")
    })
}
