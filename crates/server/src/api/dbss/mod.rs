//! DBSS, the database audit service: acts of its operators. Daybook's own operators are an instance
//! of it.
//!
//! `POST /v1/{project_id}/audit/{instance_id}/operation-log` (`ListAuditOperateLogsNew`), and the
//! older `POST /v1/{project_id}/{instance_id}/dbss/audit/operate-log` (`ListAuditOperateLogs`),
//! which Terraform uses,
//! <https://support.huaweicloud.com/intl/en-us/api-dbss/ListAuditOperateLogsNew.html>.
//! `docs/api/dbss.md` lists what is implemented and every choice the pages leave open.

mod error;
mod instances;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use event::entry::Entry;
use event::query::{Dimension, Filter, Page, Query};
use event::{Operation, OutcomeKind, Service, Time, Trail};
use hyper::Method;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use store::Row;

use super::parameters::{INT32_MAX, digits};
use super::{Answer, Api, ApiError, Call, Refusal, Route, authorise};
use access::rights::Action;
use event::civil::Offset;
use intake::audit::FUNCTION;

pub static API: Api =
    Api { name: "dbss", routes: &ROUTES, is_own: false, render_error: error::render };

static ROUTES: [Route; 5] = [
    Route {
        method: Method::POST,
        path: "/v1/{project_id}/audit/{instance_id}/operation-log",
        name: "dbss.ListAuditOperateLogsNew",
        needs: Some(Action::DbssListOperationLogs),
        handler: |call| list(call, true),
    },
    Route {
        method: Method::POST,
        path: "/v1/{project_id}/{instance_id}/dbss/audit/operate-log",
        name: "dbss.ListAuditOperateLogs",
        needs: Some(Action::DbssListOperationLogs),
        handler: |call| list(call, false),
    },
    Route {
        method: Method::GET,
        path: "/v1/{project_id}/dbss/audit/instances",
        name: "dbss.ListAuditInstances",
        needs: Some(Action::DbssListInstances),
        handler: |call| instances::list(call, true),
    },
    Route {
        method: Method::GET,
        path: "/v2/{project_id}/audit/instances",
        name: "dbss.ListAuditInstancesNew",
        needs: Some(Action::DbssListInstances),
        handler: |call| instances::list(call, false),
    },
    Route {
        method: Method::GET,
        path: "/v1/{project_id}/audit/instances",
        name: "dbss.ListAuditInstancesLast",
        needs: Some(Action::DbssListInstances),
        handler: |call| instances::list(call, false),
    },
];

/// `demands_a_page`: whether `time`, `page` and `size` are mandatory; the older path has defaults.
fn list(call: &Call<'_>, demands_a_page: bool) -> Result<Answer, Refusal> {
    let [project, instance] = call.path();
    let body = &call.request.body;
    call.quote(String::from_utf8_lossy(body));
    let caller = call.caller()?;
    let trail = authorise(call, caller, Service::Dbaudit, project, instance)?;
    let request = parameters(body, demands_a_page)?;
    let question = ("dbss", &trail, &request.question);
    let page = call.page(caller, &question, request.offset(), |began_at| Query {
        limit: request.size,
        ..request.question.query(&trail, began_at)
    })?;
    Ok(Answer::page(page, render))
}

/// The vendor's word for an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Update,
    Delete,
    Download,
    Operate,
}

impl Verb {
    const ALL: [Verb; 5] =
        [Verb::Create, Verb::Update, Verb::Delete, Verb::Download, Verb::Operate];

    /// The spelling of the page's sample; filters are compared without regard to case.
    fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "Create",
            Verb::Update => "Update",
            Verb::Delete => "Delete",
            Verb::Download => "Download",
            Verb::Operate => "Operate",
        }
    }

    /// The verb of our word. Reading takes something out, so it is a download; `operate` is the
    /// word of older deployments for everything else.
    fn of(operation: Operation) -> Verb {
        match operation {
            Operation::Create | Operation::Push | Operation::Upload | Operation::Mount => {
                Verb::Create
            }
            Operation::Update | Operation::Grant | Operation::Configure => Verb::Update,
            Operation::Delete => Verb::Delete,
            Operation::Download | Operation::Pull | Operation::Read => Verb::Download,
            Operation::Login | Operation::Logout | Operation::Exec | Operation::Other => {
                Verb::Operate
            }
        }
    }

    fn operations(self) -> Vec<String> {
        let known = Operation::ALL.iter().filter(|operation| Verb::of(**operation) == self);
        known.map(|operation| operation.as_str().to_owned()).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct PageRequest {
    question: Question,
    page: u64,
    size: usize,
}

/// The request without the page.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    window: Window,
    user_name: Option<String>,
    action: Option<Verb>,
    is_success: Option<bool>,
    operate_name: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Window {
    All,
    /// Seconds back from the moment of the request.
    Last(i64),
    /// Both inclusive, to the second.
    Between(Time, Time),
}

const PAGE_DEFAULT: u64 = 1;
const SIZE_DEFAULT: u64 = 10;
const SIZE_MAX: u64 = 1000;

fn parameters(body: &[u8], demands_a_page: bool) -> Result<PageRequest, ApiError> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(ApiError::InvalidParameter);
    };
    let time = match body.get("time") {
        Some(Value::Object(time)) => window(time)?,
        None | Some(Value::Null) if !demands_a_page => Window::All,
        _ => return Err(ApiError::InvalidParameter),
    };
    let number = |name, most, default| match body.get(name) {
        None | Some(Value::Null) if !demands_a_page => Ok(default),
        Some(Value::String(text)) => digits(text, 1..=most).map_err(|_| ApiError::InvalidParameter),
        Some(Value::Number(number)) => number
            .as_u64()
            .filter(|value| (1..=most).contains(value))
            .ok_or(ApiError::InvalidParameter),
        _ => Err(ApiError::InvalidParameter),
    };
    let page = number("page", INT32_MAX, PAGE_DEFAULT)?;
    let size = number("size", SIZE_MAX, SIZE_DEFAULT)?;
    let action = match text(&body, "action")? {
        None => None,
        Some(text) => {
            let known =
                Verb::ALL.into_iter().find(|verb| verb.as_str().eq_ignore_ascii_case(&text));
            Some(known.ok_or(ApiError::InvalidParameter)?)
        }
    };
    let is_success = match text(&body, "result")?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None => None,
        Some("success") => Some(true),
        Some("fail") => Some(false),
        Some(_) => return Err(ApiError::InvalidParameter),
    };
    let question = Question {
        window: time,
        user_name: text(&body, "user_name")?,
        action,
        is_success,
        operate_name: text(&body, "operate_name")?,
    };
    Ok(PageRequest {
        question,
        page,
        size: usize::try_from(size).map_err(|_| ApiError::InvalidParameter)?,
    })
}

/// A text member; null and the empty text are as if absent.
fn text(body: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(ApiError::InvalidParameter),
    }
}

/// `time_range` counts before `start_time` and `end_time`. The page has those two the wrong way
/// round, so they are sorted.
fn window(time: &Map<String, Value>) -> Result<Window, ApiError> {
    if let Some(range) = text(time, "time_range")? {
        // The Java SDK's constants begin with a blank.
        let half_hours = match range.trim() {
            "HALF_HOUR" => 1,
            "HOUR" => 2,
            "THREE_HOUR" => 6,
            "TWELVE_HOUR" => 24,
            "DAY" => 48,
            "WEEK" => 7 * 48,
            "MONTH" => 30 * 48,
            _ => return Err(ApiError::InvalidParameter),
        };
        return Ok(Window::Last(half_hours * 1800));
    }
    let instant = |text: String| {
        Offset::default().parse_date_and_time(&text, ' ').ok_or(ApiError::InvalidParameter)
    };
    match (text(time, "start_time")?, text(time, "end_time")?) {
        (None, None) => Ok(Window::All),
        (Some(start), Some(end)) => {
            let (start, end) = (instant(start)?, instant(end)?);
            Ok(Window::Between(start.min(end), start.max(end)))
        }
        _ => Err(ApiError::InvalidParameter),
    }
}

/// Offset and limit of the page that a body requests at some moment; for fuzz targets.
pub fn page_of(
    body: &[u8],
    demands_a_page: bool,
    trail: &Trail,
    now: Time,
) -> Option<(u64, usize)> {
    let request = parameters(body, demands_a_page).ok()?;
    request.question.query(trail, now);
    Some((request.offset(), request.size))
}

impl PageRequest {
    fn offset(&self) -> u64 {
        (self.page - 1) * self.size as u64
    }
}

impl Question {
    fn query(&self, trail: &Trail, now: Time) -> Query {
        let (from, until) = match self.window {
            Window::All => (None, None),
            Window::Last(seconds) => (Some(now.plus_seconds(-seconds)), None),
            Window::Between(start, end) => (Some(start), Some(end.plus_seconds(1))),
        };
        let mut filters = Vec::new();
        // `user` is a name, or an id where there is none.
        filters.extend(self.user_name.iter().map(|user| {
            let either = [Dimension::ActorName, Dimension::ActorId]
                .map(|dimension| Filter::is(dimension, user));
            Filter::Either(either.to_vec())
        }));
        filters
            .extend(self.operate_name.iter().map(|name| Filter::is(Dimension::ResourceName, name)));
        filters
            .extend(self.action.map(|verb| Filter::AnyOf(Dimension::Operation, verb.operations())));
        filters.extend(self.is_success.map(|is_success| {
            let kind = if is_success { OutcomeKind::Success } else { OutcomeKind::Failure };
            Filter::is(Dimension::Outcome, kind.as_str())
        }));
        Query { from, until, filters, ..Query::of(trail.clone()) }
    }
}

#[derive(Serialize)]
struct Body {
    total_num: u64,
    operate_log: Vec<OperateLog>,
}

/// Member order as in the page's sample.
#[derive(Serialize)]
struct OperateLog {
    id: String,
    user: String,
    time: String,
    function: String,
    action: &'static str,
    name: String,
    description: String,
    result: &'static str,
}

fn render(page: Page<Row>) -> Body {
    let operate_log = page.rows.into_iter().map(|row| operate_log(row.entry)).collect();
    Body { total_num: page.total, operate_log }
}

fn operate_log(entry: Entry) -> OperateLog {
    let mut event = entry.event;
    let function = event.attributes.remove(FUNCTION).or(event.resource.kind);
    OperateLog {
        // Fifteen bytes are twenty characters; those of a hash, since the id itself begins with the
        // time.
        id: BASE64.encode(&Sha256::digest(event.id.text())[..15]),
        user: event.actor.name.or(event.actor.id).unwrap_or_default(),
        time: Offset::default().date_and_time(event.occurred_at, '-', ' '),
        function: function.unwrap_or_default(),
        action: Verb::of(event.operation).as_str(),
        name: event.resource.name.unwrap_or_default(),
        description: event.description.unwrap_or(event.action),
        result: match event.outcome.kind {
            OutcomeKind::Success => "success",
            OutcomeKind::Failure => "fail",
            OutcomeKind::Unknown => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<PageRequest> {
        parameters(body.as_bytes(), true).ok()
    }

    #[test]
    fn pages_are_texts_or_numbers() {
        for body in
            [r#"{"time":{},"page":"2","size":"100"}"#, r#"{"time":{},"page":2,"size":100,"x":[1]}"#]
        {
            let request = read(body).expect(body);
            assert_eq!((request.page, request.size, request.offset()), (2, 100, 100));
            assert_eq!(request.question.window, Window::All);
        }
        for wrong in [
            "",
            "[]",
            "7",
            "{",
            r#"{"page":1,"size":1}"#,
            r#"{"time":[],"page":1,"size":1}"#,
            r#"{"time":{},"size":1}"#,
            r#"{"time":{},"page":1}"#,
            r#"{"time":{},"page":0,"size":1}"#,
            r#"{"time":{},"page":"0","size":1}"#,
            r#"{"time":{},"page":"x","size":1}"#,
            r#"{"time":{},"page":-1,"size":1}"#,
            r#"{"time":{},"page":1.0,"size":1}"#,
            r#"{"time":{},"page":1,"size":1001}"#,
            r#"{"time":{},"page":2147483648,"size":1}"#,
            r#"{"time":{},"page":1,"size":1,"action":"READ"}"#,
            r#"{"time":{},"page":1,"size":1,"result":"ok"}"#,
            r#"{"time":{},"page":1,"size":1,"user_name":7}"#,
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_older_path_has_defaults() {
        let request = parameters(b"{}", false).expect("an object");
        assert_eq!((request.page, request.size, request.question.window), (1, 10, Window::All));
        assert!(parameters(br#"{"time":7}"#, false).is_err());
    }

    #[test]
    fn a_range_wins_and_the_two_times_are_sorted() {
        let window = |time: &str| {
            read(&format!(r#"{{"time":{time},"page":1,"size":1}}"#))
                .map(|request| request.question.window)
        };
        let (early, late) = ("2021-04-22 06:40:52", "2021-04-23 06:40:52");
        let instant = |text| Offset::default().parse_date_and_time(text, ' ').expect("a time");
        for (start, end) in [(early, late), (late, early)] {
            let time = format!(r#"{{"start_time":"{start}","end_time":"{end}"}}"#);
            assert_eq!(window(&time), Some(Window::Between(instant(early), instant(late))));
            let both =
                format!(r#"{{"time_range":"DAY","start_time":"{start}","end_time":"{end}"}}"#);
            assert_eq!(window(&both), Some(Window::Last(86_400)));
        }
        assert_eq!(
            window(r#"{"time_range":" MONTH"}"#),
            Some(Window::Last(30 * 86_400)),
            "as Java sends it"
        );
        for wrong in [
            r#"{"start_time":"2021-04-22 06:40:52"}"#,
            r#"{"end_time":"2021-04-22 06:40:52"}"#,
            r#"{"time_range":"YEAR"}"#,
            r#"{"time_range":"day"}"#,
            r#"{"time_range":7}"#,
            r#"{"start_time":"2021-04-22T06:40:52","end_time":"2021-04-22 06:40:52"}"#,
            r#"{"start_time":"2021-02-30 06:40:52","end_time":"2021-04-22 06:40:52"}"#,
        ] {
            assert_eq!(window(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_operation_has_one_verb() {
        let all: usize = Verb::ALL.iter().map(|verb| verb.operations().len()).sum();
        assert_eq!(all, Operation::ALL.len());
        assert!(
            read(r#"{"time":{},"page":1,"size":1,"action":"dElEtE","result":"fail"}"#).is_some()
        );
    }
}
