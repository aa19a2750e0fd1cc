//! Every route that is served, in one table. `daybook routes` prints it, and the tests ask it what
//! there is to test.

use std::sync::OnceLock;

use hyper::Method;

use crate::api::{codearts, daybook, dbss, hcs, iam, swr, taurusdb, tlog};
use access::rights::Action;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Health,
    Ready,
    Intake,
    Download,
    Iam(iam::Operation),
    Swr(swr::Operation),
    CodeArts(codearts::Operation),
    TaurusDb(taurusdb::Operation),
    Hcs(hcs::Operation),
    Dbss(dbss::Operation),
    Evidence(tlog::Operation),
    Daybook(daybook::Operation),
}

/// A route: a method, a path whose `{…}` segments are parameters, the last perhaps one of all that
/// follows (`{…...}`), and what answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub endpoint: Endpoint,
}

impl Endpoint {
    /// What the endpoint is called in Daybook's record of itself.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Health => "health",
            Endpoint::Ready => "ready",
            Endpoint::Intake => "intake",
            Endpoint::Download => "taurusdb.DownloadAuditLog",
            Endpoint::Iam(operation) => operation.name(),
            Endpoint::Swr(operation) => operation.name(),
            Endpoint::CodeArts(operation) => operation.name(),
            Endpoint::TaurusDb(operation) => operation.name(),
            Endpoint::Hcs(operation) => operation.name(),
            Endpoint::Dbss(operation) => operation.name(),
            Endpoint::Evidence(operation) => operation.name(),
            Endpoint::Daybook(operation) => operation.name(),
        }
    }

    /// The right that it needs, where it is about a trail.
    pub fn needs(self) -> Option<Action> {
        match self {
            Endpoint::Health
            | Endpoint::Ready
            | Endpoint::Download
            | Endpoint::Iam(_)
            | Endpoint::Evidence(_) => None,
            Endpoint::Intake => Some(Action::WriteEvents),
            Endpoint::Swr(operation) => Some(operation.needs()),
            Endpoint::CodeArts(operation) => Some(operation.needs()),
            Endpoint::TaurusDb(operation) => Some(operation.needs()),
            Endpoint::Hcs(operation) => Some(operation.needs()),
            Endpoint::Dbss(operation) => Some(operation.needs()),
            Endpoint::Daybook(operation) => operation.needs(),
        }
    }
}

/// What a request's method and path name.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A route, and the path's parameters in order.
    Route(Endpoint, Vec<String>),
    /// The path is a route's, with another method.
    UnknownMethod,
    UnknownPath,
}

/// Every route.
pub fn all() -> &'static [Route] {
    static ROUTES: OnceLock<Vec<Route>> = OnceLock::new();
    ROUTES.get_or_init(|| {
        let own = [
            (Method::GET, "/healthz", Endpoint::Health),
            (Method::HEAD, "/healthz", Endpoint::Health),
            (Method::GET, "/readyz", Endpoint::Ready),
            (Method::HEAD, "/readyz", Endpoint::Ready),
            (Method::POST, "/intake/{source}", Endpoint::Intake),
            (Method::POST, "/intake/{source}/v1/logs", Endpoint::Intake),
            (Method::POST, "/intake/{source}/upload", Endpoint::Intake),
            (Method::GET, taurusdb::DOWNLOAD_ROUTE, Endpoint::Download),
        ];
        own.into_iter()
            .chain(
                iam::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::Iam(operation))),
            )
            .chain(
                swr::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::Swr(operation))),
            )
            .chain(
                codearts::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::CodeArts(operation))),
            )
            .chain(
                taurusdb::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::TaurusDb(operation))),
            )
            .chain(
                hcs::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::Hcs(operation))),
            )
            .chain(
                dbss::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::Dbss(operation))),
            )
            .chain(
                tlog::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::Evidence(operation))),
            )
            .chain(
                daybook::ROUTES
                    .map(|(method, path, operation)| (method, path, Endpoint::Daybook(operation))),
            )
            .map(|(method, path, endpoint)| Route { method, path, endpoint })
            .collect()
    })
}

/// Finds the route of a request. `segments` are the decoded segments of its path.
pub fn find(method: &Method, segments: &[String]) -> Found {
    // Sources tell a wrong method apart themselves, since they do not tell who exists.
    if let Some(source) = intake_source(segments) {
        return Found::Route(Endpoint::Intake, vec![source.clone()]);
    }
    let mut found = Found::UnknownPath;
    for route in all() {
        if let Some(parameters) = matches(route.path, segments) {
            if route.method == *method {
                return Found::Route(route.endpoint, parameters);
            }
            found = Found::UnknownMethod;
        }
    }
    found
}

/// The source that a path is the intake of: its own, or one of those that programs append to what
/// they are told. OpenTelemetry's exporters append `/v1/logs`, systemd-journal-upload `/upload`.
fn intake_source(segments: &[String]) -> Option<&String> {
    let (first, rest) = segments.split_first()?;
    let (source, appended) = rest.split_first()?;
    let appended: Vec<&str> = appended.iter().map(String::as_str).collect();
    (first == "intake" && matches!(*appended, [] | ["v1", "logs"] | ["upload"])).then_some(source)
}

/// The parameters of a path that has this form.
fn matches(form: &str, segments: &[String]) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let mut left = segments.iter();
    for piece in form[1..].split('/') {
        let segment = left.next()?;
        if piece.ends_with("...}") {
            let rest: Vec<&str> =
                std::iter::once(segment).chain(left).map(String::as_str).collect();
            parameters.push(rest.join("/"));
            return Some(parameters);
        }
        if piece.starts_with('{') {
            parameters.push(segment.clone());
        } else if piece != segment {
            return None;
        }
    }
    left.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::path;

    fn found(method: &Method, path: &str) -> Found {
        find(method, &path::segments(path))
    }

    #[test]
    fn the_version_alone_tells_two_services_apart() {
        let parameters = vec!["p".to_owned(), "i".to_owned()];
        for (path, endpoint) in [
            ("/v2/p/instances/i/audit-logs", Endpoint::Swr(swr::Operation::ListAuditLogs)),
            (
                "/v3/p/instances/i/audit-logs/",
                Endpoint::TaurusDb(taurusdb::Operation::ListAuditLogs),
            ),
        ] {
            assert_eq!(found(&Method::GET, path), Found::Route(endpoint, parameters.clone()));
        }
    }

    #[test]
    fn only_exact_paths_and_methods_are_routes() {
        assert_eq!(found(&Method::POST, "/v2/p/instances/i/audit-logs"), Found::UnknownMethod);
        for path in [
            "/",
            "/v2",
            "/v4/p/instances/i/audit-logs",
            "/V2/p/instances",
            "/v2/p/instances/i/audit-logs/x",
        ] {
            assert_eq!(found(&Method::GET, path), Found::UnknownPath, "{path}");
        }
    }

    #[test]
    fn what_programs_append_to_a_source_is_its_intake() {
        for path in ["/intake/hub", "/intake/hub/", "/intake/hub/v1/logs", "/intake/hub/upload"] {
            for method in [Method::POST, Method::GET] {
                assert_eq!(
                    found(&method, path),
                    Found::Route(Endpoint::Intake, vec!["hub".to_owned()])
                );
            }
        }
        for path in ["/intake", "/intake/hub/v1", "/intake/hub/v1/traces", "/intake/hub/upload/x"] {
            assert_eq!(found(&Method::POST, path), Found::UnknownPath, "{path}");
        }
    }

    #[test]
    fn no_route_is_there_twice_or_hides_another() {
        for (position, route) in all().iter().enumerate() {
            let segments = path::segments(&route.path.replace(['{', '}'], ""));
            assert!(
                all()[..position].iter().all(|other| other.method != route.method
                    || matches(other.path, &segments).is_none()),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}
