//! Daybook's own API: events of all trails, found and followed; what is known of each source, what
//! was set aside, and figures for Prometheus. `docs/api/events.md`, `docs/api/sources.md`,
//! `docs/api/metrics.md`.

mod events;
pub mod export;
mod limits;
pub mod metrics;
pub mod openapi;
pub mod problem;
mod set_aside;
mod sources;
pub mod tail;

use hyper::Method;

use crate::state::{Context, Note};
use access::Caller;
use access::rights::Action;
use net::{Request, Response};
use problem::Problem;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ListEvents,
    ShowEvent,
    ReadHistogram,
    ReadFacets,
    ListTrails,
    Tail,
    Export,
    ExportManifest,
    ReadOpenApi,
    ListSources,
    ReadMetrics,
    ListLimits,
    ListSetAside,
    ShowSetAside,
    RetrySetAside,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Operation::ListEvents => "daybook.ListEvents",
            Operation::ShowEvent => "daybook.ShowEvent",
            Operation::ReadHistogram => "daybook.ReadHistogram",
            Operation::ReadFacets => "daybook.ReadFacets",
            Operation::ListTrails => "daybook.ListTrails",
            Operation::Tail => "daybook.Tail",
            Operation::Export => "daybook.Export",
            Operation::ExportManifest => "daybook.ExportManifest",
            Operation::ReadOpenApi => "daybook.ReadOpenApi",
            Operation::ListSources => "daybook.ListSources",
            Operation::ReadMetrics => "daybook.ReadMetrics",
            Operation::ListLimits => "daybook.ListLimits",
            Operation::ListSetAside => "daybook.ListSetAside",
            Operation::ShowSetAside => "daybook.ShowSetAside",
            Operation::RetrySetAside => "daybook.RetrySetAside",
        }
    }

    /// The right that it needs on a trail; the description of the API needs none.
    pub fn needs(self) -> Option<Action> {
        Some(match self {
            Operation::ReadOpenApi => return None,
            Operation::ListEvents
            | Operation::ShowEvent
            | Operation::ReadHistogram
            | Operation::ReadFacets
            | Operation::ListTrails
            | Operation::Tail
            | Operation::Export
            | Operation::ExportManifest => Action::ReadEvents,
            Operation::ListSources | Operation::ReadMetrics | Operation::ListLimits => {
                Action::ReadSources
            }
            Operation::ListSetAside | Operation::ShowSetAside => Action::ReadEvents,
            Operation::RetrySetAside => Action::WriteEvents,
        })
    }
}

pub const ROUTES: [(Method, &str, Operation); 15] = [
    (Method::GET, "/api/v1/events", Operation::ListEvents),
    (Method::GET, "/api/v1/events/{event}", Operation::ShowEvent),
    (Method::GET, "/api/v1/histogram", Operation::ReadHistogram),
    (Method::GET, "/api/v1/facets", Operation::ReadFacets),
    (Method::GET, "/api/v1/trails", Operation::ListTrails),
    (Method::GET, "/api/v1/tail", Operation::Tail),
    (Method::GET, "/api/v1/export", Operation::Export),
    (Method::GET, "/api/v1/export/manifest", Operation::ExportManifest),
    (Method::GET, "/api/v1/openapi.json", Operation::ReadOpenApi),
    (Method::GET, "/api/v1/sources", Operation::ListSources),
    (Method::GET, "/metrics", Operation::ReadMetrics),
    (Method::GET, "/api/v1/limits", Operation::ListLimits),
    (Method::GET, "/api/v1/set-aside", Operation::ListSetAside),
    (Method::GET, "/api/v1/set-aside/{number}", Operation::ShowSetAside),
    (Method::POST, "/api/v1/set-aside/retry", Operation::RetrySetAside),
];

pub fn answer(
    operation: Operation,
    path: &[String],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Response {
    let answered = match operation {
        Operation::ListEvents => events::list(request, context, note),
        Operation::ShowEvent => events::show(&path[0], request, context, note),
        Operation::ReadHistogram => events::histogram(request, context, note),
        Operation::ReadFacets => events::facets(request, context, note),
        Operation::ListTrails => events::trails(request, context, note),
        Operation::Tail | Operation::Export | Operation::ExportManifest => {
            unreachable!("it is answered piece by piece")
        }
        Operation::ReadOpenApi => openapi::read(note),
        Operation::ListSources => sources::list(request, context, note),
        Operation::ReadMetrics => metrics::read(request, context, note),
        Operation::ListLimits => limits::list(request, context, note),
        Operation::ListSetAside => set_aside::list(request, context, note),
        Operation::ShowSetAside => set_aside::show(&path[0], request, context, note),
        Operation::RetrySetAside => set_aside::retry(request, context, note),
    };
    answered.unwrap_or_else(|problem| problem.render(&request.id))
}

/// The caller behind a request.
fn caller<'a>(
    request: &Request,
    context: &Context<'a>,
    note: &mut Note,
) -> Result<Caller<'a>, Problem> {
    Ok(context.caller(request, note)?)
}
