//! Daybook's own API: events of all trails, found and followed; the status of each source, the
//! dead-letter queue, and metrics for Prometheus. `docs/api/events.md`, `docs/api/sources.md`,
//! `docs/api/metrics.md`.

mod dead_letters;
mod events;
mod export;
mod gaps;
mod limits;
mod log;
mod metrics;
mod openapi;
pub mod problem;
mod proof;
mod readers;
mod session;
mod sources;
mod tail;
mod view;

use hyper::Method;

use super::{Api, Route};
use access::rights::Action;

pub static API: Api =
    Api { name: "daybook", routes: &ROUTES, is_own: true, render_error: problem::render };

static ROUTES: [Route; 24] = [
    Route {
        method: Method::GET,
        path: "/api/v1/events/{event}/readers",
        name: "daybook.ListReaders",
        needs: Some(Action::ReadEvents),
        handler: readers::list,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/view",
        name: "daybook.View",
        needs: Some(Action::ReadEvents),
        handler: view::read,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/values",
        name: "daybook.CompleteValues",
        needs: Some(Action::ReadEvents),
        handler: view::complete,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/gaps",
        name: "daybook.ListGaps",
        needs: Some(Action::ReadEvents),
        handler: gaps::list,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/log",
        name: "daybook.ShowLog",
        needs: None,
        handler: log::show,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/session",
        name: "daybook.ShowSession",
        needs: None,
        handler: session::show,
    },
    Route {
        method: Method::POST,
        path: "/api/v1/session",
        name: "daybook.SignIn",
        needs: None,
        handler: session::sign_in,
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/session",
        name: "daybook.SignOut",
        needs: None,
        handler: session::sign_out,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/events",
        name: "daybook.ListEvents",
        needs: Some(Action::ReadEvents),
        handler: events::list,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/events/{event}",
        name: "daybook.ShowEvent",
        needs: Some(Action::ReadEvents),
        handler: events::show,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/events/{index}/proof",
        name: "daybook.ProveEvent",
        needs: None,
        handler: proof::prove,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/histogram",
        name: "daybook.ReadHistogram",
        needs: Some(Action::ReadEvents),
        handler: events::histogram,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/facets",
        name: "daybook.ReadFacets",
        needs: Some(Action::ReadEvents),
        handler: events::facets,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/trails",
        name: "daybook.ListTrails",
        needs: Some(Action::ReadEvents),
        handler: events::trails,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/tail",
        name: "daybook.Tail",
        needs: Some(Action::ReadEvents),
        handler: tail::follow,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/export",
        name: "daybook.Export",
        needs: Some(Action::ReadEvents),
        handler: export::file,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/export/manifest",
        name: "daybook.ExportManifest",
        needs: Some(Action::ReadEvents),
        handler: export::manifest,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/openapi.json",
        name: "daybook.ReadOpenApi",
        needs: None,
        handler: |_| openapi::read(&ROUTES),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/sources",
        name: "daybook.ListSources",
        needs: Some(Action::ReadSources),
        handler: sources::list,
    },
    Route {
        method: Method::GET,
        path: "/metrics",
        name: "daybook.ReadMetrics",
        needs: Some(Action::ReadSources),
        handler: metrics::read,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/limits",
        name: "daybook.ListLimits",
        needs: Some(Action::ReadSources),
        handler: limits::list,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/dead-letters",
        name: "daybook.ListDeadLetters",
        needs: Some(Action::ReadEvents),
        handler: dead_letters::list,
    },
    Route {
        method: Method::GET,
        path: "/api/v1/dead-letters/{number}",
        name: "daybook.ShowDeadLetter",
        needs: Some(Action::ReadEvents),
        handler: dead_letters::show,
    },
    Route {
        method: Method::POST,
        path: "/api/v1/dead-letters/retry",
        name: "daybook.RetryDeadLetters",
        needs: Some(Action::WriteEvents),
        handler: dead_letters::retry,
    },
];
