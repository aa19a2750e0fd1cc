//! The table that a wire API is, and what happens to each request of it: handler, receipt, record.

use event::{Class, Operation, Outcome, OutcomeKind, Severity};
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};

use super::answer::{Answer, Record, Reply};
use super::call::Call;
use super::compression;
use super::error::{ApiError, Cause, Refusal};
use crate::evidence::AnswerFacts;
use access::rights::Action;
use intake::audit::Act;
use net::{self, Body, Response};
use verify::receipt;

/// The attribute of a request's record that names the event that it opened.
pub const OPENED: &str = "event";

/// A wire API.
pub struct Api {
    /// Name for people, such as `swr`.
    pub name: &'static str,
    pub routes: &'static [Route],
    /// Whether it is Daybook's own, which browsers read.
    pub is_own: bool,
    /// Renders an error in the form of the API.
    pub render_error: fn(&ApiError, request_id: &str) -> Response,
}

/// A route of an API.
pub struct Route {
    pub method: Method,
    /// Path whose segments `{name}` are parameters; `{*name}` at the end is all segments that
    /// follow.
    pub path: &'static str,
    /// Name of the operation, as Daybook's own trail and the metrics have it.
    pub name: &'static str,
    /// Right that the operation needs on a trail, if it is about one.
    pub needs: Option<Action>,
    pub handler: Handler,
}

pub type Handler = fn(&Call<'_>) -> Result<Answer, Refusal>;

impl Api {
    /// Responds to a call of one of the routes and sees to its record. Blocks.
    pub fn answer(&self, route: &Route, call: &Call<'_>) -> Reply {
        let Answer { mut reply, record } =
            (route.handler)(call).unwrap_or_else(|refusal| self.refuse(&refusal, &call.request.id));
        if let Reply::Whole(response) = &mut reply {
            add_receipt(response, call, &record);
            if self.is_own {
                compression::prepare(response, call.request);
            }
            if let Err(no_room) = call.charge(response) {
                *response = (self.render_error)(&no_room, &call.request.id);
            }
        }
        let status = match &reply {
            Reply::Whole(response) => response.status(),
            Reply::Streamed(status, _) => *status,
        };
        if record.is_recorded {
            return reply;
        }
        match write_record(call, record, status) {
            Ok(()) => reply,
            Err(why) => Reply::Whole(self.unrecorded(why, &call.request.id)),
        }
    }

    /// The response instead of an answer whose request could not be recorded.
    fn unrecorded(&self, why: String, request_id: &str) -> Response {
        ApiError::Unrecorded(why).log(request_id);
        let error = ApiError::Overloaded("the request can't be recorded now; try again");
        (self.render_error)(&error, request_id)
    }

    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Answer {
        let response = match &refusal.cause {
            Cause::Shared(error) => {
                error.log(request_id);
                (self.render_error)(error, request_id)
            }
            Cause::Own(error) => error.render(request_id),
        };
        let record = Record { is_recorded: refusal.is_recorded, ..Record::default() };
        Answer { record, ..Answer::whole(response) }
    }
}

/// Adds a receipt to a successful response, if the request or the configuration demands one.
fn add_receipt(response: &mut Response, call: &Call<'_>, record: &Record) {
    let (state, request) = (call.state, call.request);
    let is_requested = request.header(receipt::HEADER).is_some_and(|value| value == "true");
    let Body::Whole(body) = response.body() else { return };
    if !(is_requested || state.config().evidence.receipts) || !response.status().is_success() {
        return;
    }
    let facts = AnswerFacts {
        caller: call.who().id.unwrap_or_default(),
        total: record.rows.map_or(0, |(_, total)| total),
        rows: record.indexes.as_ref().map(|rows| (rows.tree_size, rows.indexes.clone())),
    };
    let made = state.evidence.receipt(state.log.contents(), request, facts, call.now, body);
    match made.map(|text| HeaderValue::from_str(&text)) {
        Ok(Ok(value)) => {
            response.headers_mut().insert(receipt::HEADER, value);
        }
        Ok(Err(_)) => unreachable!("base64 may stand in a header"),
        Err(error) => {
            tracing::error!(request_id = request.id, %error, "couldn't make a receipt");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            *response = net::error(status, "internal", "internal error", &request.id);
        }
    }
}

/// Records on Daybook's own trail how a request ended: an answer durably, a refusal within a
/// second.
fn write_record(call: &Call<'_>, record: Record, status: StatusCode) -> Result<(), String> {
    let audit = &call.state.audit;
    let act = Act::new(call.operation, Operation::Read, "Audit log query")
        .by(call.who())
        .on("trail", &call.subject())
        .with("request", call.requested())
        .with("status", status.as_str());
    let act = match record.opened {
        Some(index) => act.with(OPENED, index.to_string()),
        None => act,
    };
    if status.is_success() {
        let (rows, total) = record.rows.unwrap_or_default();
        let act = act.with("rows", rows.to_string()).with("total", total.to_string());
        let description = Some(format!("{rows} of {total} rows were returned"));
        audit.record_query(Act { class: Class::Operation, description, ..act })
    } else {
        let is_about_rights = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let outcome = Outcome {
            kind: OutcomeKind::Failure,
            code: Some(u32::from(status.as_u16())),
            reason: None,
        };
        let severity = if is_about_rights { Severity::MAJOR } else { Severity::MINOR };
        let class = if is_about_rights { Class::Security } else { Class::Operation };
        let description = Some(format!("refused with {status}"));
        audit.record_refused(Act { outcome, severity, class, description, ..act });
        Ok(())
    }
}
