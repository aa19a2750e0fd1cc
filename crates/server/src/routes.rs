//! The table of routes. `daybook routes` prints it, and the tests go through it.

use std::sync::OnceLock;

use hyper::Method;
use matchit::Router;
use net::path;

use crate::api::{self, Api, Route};
use crate::shares::Share;
use access::rights::Action;

/// The wire APIs.
pub static APIS: &[&Api] = &[
    &api::iam::API,
    &api::swr::API,
    &api::codearts::API,
    &api::taurusdb::API,
    &api::hcs::API,
    &api::dbss::API,
    &api::tlog::API,
    &api::daybook::API,
    &api::console::API,
];

/// The handler of a request.
#[derive(Clone, Copy)]
pub enum Target {
    Health,
    Ready,
    /// The intake of a source, whatever the method: sources reject a wrong one themselves, since
    /// they do not reveal which exist.
    Intake,
    Api(&'static Api, &'static Route),
}

/// A row of the table.
#[derive(Clone)]
pub struct Row {
    pub method: Method,
    /// Path whose segments `{name}` are parameters; `{*name}` at the end is all segments that
    /// follow.
    pub path: &'static str,
    pub target: Target,
}

impl Row {
    /// Name of the operation, as Daybook's own trail and the metrics have it.
    pub fn name(&self) -> &'static str {
        self.target.name()
    }

    /// Right that the operation needs on a trail, if it is about one.
    pub fn needs(&self) -> Option<Action> {
        match self.target {
            Target::Health | Target::Ready => None,
            Target::Intake => Some(Action::WriteEvents),
            Target::Api(_, route) => route.needs,
        }
    }
}

impl Target {
    pub fn name(&self) -> &'static str {
        match self {
            Target::Health => "health",
            Target::Ready => "ready",
            Target::Intake => "intake",
            Target::Api(_, route) => route.name,
        }
    }

    /// The share of the requests in progress that it counts to; health has none.
    pub fn share(&self) -> Option<Share> {
        match self {
            Target::Health | Target::Ready => None,
            Target::Intake => Some(Share::Intake),
            Target::Api(_, route)
                if ["iam.CreateToken", "daybook.SignIn"].contains(&route.name) =>
            {
                Some(Share::Logins)
            }
            Target::Api(api, route)
                if api.name == "iam" || route.needs == Some(Action::ReadSources) =>
            {
                Some(Share::Administration)
            }
            Target::Api(..) => Some(Share::Queries),
        }
    }
}

/// Routes of the server itself. OpenTelemetry's exporters append `/v1/logs` to the path of a
/// source, systemd-journal-upload `/upload`.
const OWN: [(Method, &str, Target); 7] = [
    (Method::GET, "/healthz", Target::Health),
    (Method::HEAD, "/healthz", Target::Health),
    (Method::GET, "/readyz", Target::Ready),
    (Method::HEAD, "/readyz", Target::Ready),
    (Method::POST, "/intake/{source}", Target::Intake),
    (Method::POST, "/intake/{source}/v1/logs", Target::Intake),
    (Method::POST, "/intake/{source}/upload", Target::Intake),
];

/// Every route.
pub fn all() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let own = OWN.into_iter().map(|(method, path, target)| Row { method, path, target });
        let of_apis = APIS.iter().flat_map(|&api| {
            let rows = api.routes.iter();
            rows.map(move |route| Row {
                method: route.method.clone(),
                path: route.path,
                target: Target::Api(api, route),
            })
        });
        own.chain(of_apis).collect()
    })
}

/// The route of a request.
pub enum Match {
    /// A route, and the path's parameters in order.
    Route(Target, Vec<String>),
    /// The path is a route's, with another method.
    UnknownMethod,
    UnknownPath,
}

/// Paths of one method.
type Paths = Router<Target>;

struct Table {
    /// Paths for every method.
    intakes: Paths,
    by_method: Vec<(Method, Paths)>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { intakes: Router::new(), by_method: Vec::new() };
        for row in all() {
            let paths = match row.target {
                Target::Intake => &mut table.intakes,
                _ => table.paths_of(&row.method),
            };
            paths.insert(row.path, row.target).expect("no route hides another");
        }
        table
    })
}

impl Table {
    fn paths_of(&mut self, method: &Method) -> &mut Paths {
        let position = match self.by_method.iter().position(|(known, _)| known == method) {
            Some(position) => position,
            None => {
                self.by_method.push((method.clone(), Router::new()));
                self.by_method.len() - 1
            }
        };
        &mut self.by_method[position].1
    }
}

/// Finds the route of a request. `segments` are the decoded segments of its path.
pub fn find(method: &Method, segments: &[String]) -> Match {
    let table = table();
    let path = canonical(segments);
    if let Ok(found) = table.intakes.at(&path) {
        return Match::Route(*found.value, parameters(&found.params));
    }
    let mut is_path = false;
    for (known, paths) in &table.by_method {
        let Ok(found) = paths.at(&path) else { continue };
        if known == method {
            return Match::Route(*found.value, parameters(&found.params));
        }
        is_path = true;
    }
    if is_path { Match::UnknownMethod } else { Match::UnknownPath }
}

/// An empty segment, which the router would not take for a parameter. No escaped segment is like
/// it.
const EMPTY: &str = "%";

/// The path with each segment escaped in one way, so that a decoded slash separates nothing.
fn canonical(segments: &[String]) -> String {
    if segments.is_empty() {
        return "/".to_owned();
    }
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        match segment.as_str() {
            "" => path.push_str(EMPTY),
            text => path.push_str(&path::encode(text.as_bytes())),
        }
    }
    path
}

fn parameters(found: &matchit::Params<'_, '_>) -> Vec<String> {
    found.iter().map(|(_, value)| decoded(value)).collect()
}

fn decoded(value: &str) -> String {
    let segments = value.split('/').map(|segment| match segment {
        EMPTY => String::new(),
        escaped => String::from_utf8_lossy(&path::decode(escaped)).into_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and parameters of a route, or why there is none.
    fn found(method: &Method, path: &str) -> Result<(&'static str, Vec<String>), &'static str> {
        match find(method, &path::segments(path)) {
            Match::Route(target, parameters) => Ok((target.name(), parameters)),
            Match::UnknownMethod => Err("unknown method"),
            Match::UnknownPath => Err("unknown path"),
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_version_alone_distinguishes_two_services() {
        for (path, name) in [
            ("/v2/p/instances/i/audit-logs", "swr.ListAuditLogs"),
            ("/v3/p/instances/i/audit-logs/", "taurusdb.ListAuditLogs"),
        ] {
            assert_eq!(found(&Method::GET, path), Ok((name, texts(&["p", "i"]))));
        }
    }

    #[test]
    fn only_exact_paths_and_methods_are_routes() {
        let path = "/v2/p/instances/i/audit-logs";
        assert_eq!(found(&Method::POST, path), Err("unknown method"));
        for path in [
            "/nothing",
            "/v2",
            "/v4/p/instances/i/audit-logs",
            "/V2/p/instances",
            "/v2/p/instances/i/audit-logs/x",
            "/tlog/tile",
            "/tlog/tile/",
        ] {
            assert_eq!(found(&Method::GET, path), Err("unknown path"), "{path}");
        }
    }

    #[test]
    fn suffixes_of_programs_lead_to_the_intake() {
        for path in ["/intake/hub", "/intake/hub/", "/intake/hub/v1/logs", "/intake/hub/upload"] {
            for method in [Method::POST, Method::GET] {
                assert_eq!(found(&method, path), Ok(("intake", texts(&["hub"]))), "{path}");
            }
        }
        for path in ["/intake", "/intake/hub/v1", "/intake/hub/v1/traces", "/intake/hub/upload/x"] {
            assert_eq!(found(&Method::POST, path), Err("unknown path"), "{path}");
        }
    }

    #[test]
    fn segments_are_decoded_and_slashes_in_them_separate_nothing() {
        for (path, parameter) in [
            ("/api/v1/events/a%2Fb", "a/b"),
            ("/api/v1/%65vents/a%20b", "a b"),
            ("/api/v1/events/%25", "%"),
            ("/api/v1/events/{event}", "{event}"),
            ("/api/v1/events/%FF", "\u{fffd}"),
        ] {
            assert_eq!(
                found(&Method::GET, path),
                Ok(("daybook.ShowEvent", texts(&[parameter]))),
                "{path}"
            );
        }
        assert_eq!(
            found(&Method::GET, "/tlog/tile/0/x001%2Fa//000"),
            Ok(("tlog.ReadTile", texts(&["0/x001/a//000"])))
        );
        assert_eq!(
            found(&Method::GET, "/v2//instances"),
            Ok(("swr.ListInstances", texts(&[""]))),
            "an empty segment is a parameter"
        );
    }

    #[test]
    fn a_fixed_segment_of_one_method_leaves_parameters_of_another() {
        assert_eq!(
            found(&Method::GET, "/api/v1/dead-letters/retry"),
            Ok(("daybook.ShowDeadLetter", texts(&["retry"])))
        );
        let retry = "/api/v1/dead-letters/retry";
        assert_eq!(found(&Method::POST, retry), Ok(("daybook.RetryDeadLetters", Vec::new())));
        assert_eq!(found(&Method::POST, "/api/v1/dead-letters/17"), Err("unknown method"));
    }

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for row in all() {
            let (name, _) = found(&row.method, row.path).expect(row.path);
            assert_eq!(name, row.name(), "{} {}", row.method, row.path);
        }
    }
}
