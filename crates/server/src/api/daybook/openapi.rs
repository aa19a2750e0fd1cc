//! `GET /api/v1/openapi.json`: the description of this API, made from its routes, the types of its
//! answers and the fields of a search (OpenAPI 3.1.1, <https://spec.openapis.org/oas/v3.1.1.html>).

use std::sync::OnceLock;

use event::search::Field;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{dead_letters, gaps, limits, log, problem, readers, session, sources, view};
use crate::api::{Answer, Refusal, Route};
use find::answer;
use find::export::Format;
use find::question::{
    AS_OF, BUCKETS, BUCKETS_MAX, FACET_LIMIT, FACET_LIMIT_MAX, FACETS, LIMIT, LIMIT_MAX,
    NUMBER_MAX, facet_fields,
};
use intake::dead_letters::DeadLetterView;
use net::{Body, Response};
use verify::manifest::Manifest;

/// Every response has the same bytes, which are made once.
pub fn read(routes: &[Route]) -> Result<Answer, Refusal> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| description(routes).to_string().into());
    let mut response = Response::new(Body::Whole(text.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // It says nothing of the log.
    Ok(Answer::whole(response).recorded())
}

/// The description of an API with these routes.
fn description(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let described = describe(route.name, &mut schemas);
        let of_path = paths.entry(route.path).or_insert_with(|| json!({}));
        let method = route.method.as_str().to_ascii_lowercase();
        of_path[method] = described.render(route, &mut schemas);
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Daybook",
            "summary": "Finds, follows and proves audit events of every trail that the caller may read.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }, { "signature": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "A token of IAM, from POST /v3/auth/tokens." },
                "signature": { "type": "apiKey", "in": "header", "name": "Authorization", "description": "SDK-HMAC-SHA256 or V11-HMAC-SHA256 with an access key." },
            },
        },
    })
}

/// Credentials that an operation needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Anyone,
    /// Anyone for a part of it, or by configuration.
    Partly,
    /// Callers with credentials.
    Known,
}

/// The operation in the name of a route.
fn operation_id(name: &str) -> &str {
    name.trim_start_matches("daybook.")
}

/// Description of an operation.
struct Described {
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    content_type: &'static str,
    answer: Value,
    access: Access,
    /// True if there is a 404.
    may_miss: bool,
}

impl Described {
    fn json<T: JsonSchema>(summary: &'static str, schemas: &mut SchemaGenerator) -> Described {
        Described {
            summary,
            parameters: Vec::new(),
            body: None,
            content_type: "application/json",
            answer: schemas.subschema_for::<T>().to_value(),
            access: Access::Known,
            may_miss: false,
        }
    }

    fn with(mut self, parameters: Vec<Value>) -> Described {
        self.parameters.extend(parameters);
        self
    }

    fn render(self, route: &Route, schemas: &mut SchemaGenerator) -> Value {
        let problem = schemas.subschema_for::<problem::Body<'_>>().to_value();
        let problem = |text: &str| {
            let content = json!({ "application/problem+json": { "schema": problem } });
            json!({ "description": text, "content": content })
        };
        let in_path =
            route.path.split('/').filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'));
        let in_path =
            in_path.filter(|name| !self.parameters.iter().any(|known| known["name"] == *name));
        let mut parameters: Vec<Value> = in_path
            .map(|name| {
                json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
            })
            .collect();
        parameters.extend(self.parameters);
        let mut responses = json!({
            "200": { "description": "The answer.", "content": { (self.content_type): { "schema": self.answer } } },
            "400": problem("A parameter or the body is wrong; parameter and column say where."),
            "408": problem("The request took too long."),
            "414": problem("Path and query are longer than limits.uri_bytes_max."),
            "431": problem("The header is larger than its limits."),
            "503": problem("Too many requests at once; Retry-After says when to try again."),
        });
        if self.access != Access::Anyone {
            responses["401"] = problem("The credentials are missing or wrong.");
            responses["403"] = problem("The caller lacks the right.");
            responses["429"] =
                problem("Too many requests of one caller; Retry-After says when to try again.");
        }
        if self.may_miss {
            responses["404"] = problem("It does not exist, or not for the caller.");
        }
        if self.body.is_some() {
            responses["409"] = problem("It cannot be done now.");
            responses["413"] = problem("The body is too large.");
        }
        let mut described = json!({
            "operationId": operation_id(route.name),
            "summary": self.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(body) = self.body {
            described["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": body } } });
        }
        match self.access {
            Access::Anyone => described["security"] = json!([{}]),
            Access::Partly => {
                described["security"] = json!([{}, { "token": [] }, { "signature": [] }])
            }
            Access::Known => {}
        }
        described
    }
}

fn describe(name: &str, schemas: &mut SchemaGenerator) -> Described {
    match operation_id(name) {
        "ListEvents" => {
            Described::json::<answer::Events>("Events that match, page by page.", schemas)
                .with(search())
                .with(vec![
                    parameter(
                        "order",
                        "Newest first, or oldest first.",
                        json!({ "enum": ["desc", "asc"], "default": "desc" }),
                    ),
                    number("limit", "Rows of the page.", 0, LIMIT_MAX, Some(LIMIT)),
                    number("offset", "Rows to skip; not with a cursor.", 0, NUMBER_MAX, None),
                    parameter(
                        "cursor",
                        "`next` of an earlier page of the same search.",
                        json!({ "type": "string" }),
                    ),
                ])
        }
        "ShowEvent" => Described {
            may_miss: true,
            ..Described::json::<answer::EventDetail>("One event by index or id, whole.", schemas)
        },
        "ReadHistogram" => Described::json::<answer::Histogram>(
            "Number of matching events per bucket of time, by outcome.",
            schemas,
        )
        .with(search())
        .with(vec![
            number(
                "buckets",
                "Number of buckets, about; not with interval.",
                1,
                BUCKETS_MAX,
                Some(BUCKETS),
            ),
            parameter(
                "interval",
                "Length of each bucket: 30s, 5m, 1h, 1d.",
                json!({ "type": "string", "pattern": "^[1-9][0-9]{0,7}[smhd]$" }),
            ),
        ]),
        "ReadFacets" => {
            let names = facet_names();
            Described::json::<answer::Facets>(
                "The most frequent values among matching events.",
                schemas,
            )
            .with(search())
            .with(vec![
                parameter(
                    "facet",
                    "Field to count values of; repeat for several.",
                    json!({ "type": "array", "items": { "enum": names }, "default": FACETS }),
                ),
                number("limit", "Values of each.", 1, FACET_LIMIT_MAX, Some(FACET_LIMIT)),
            ])
        }
        "ShowSession" => Described {
            may_miss: true,
            ..Described::json::<session::Session>("Who is signed in.", schemas)
        },
        "SignIn" => Described {
            body: Some(schemas.subschema_for::<session::SignIn>().to_value()),
            access: Access::Partly,
            may_miss: true,
            ..Described::json::<session::Session>(
                "Starts a session of a browser, whose cookie the response sets.",
                schemas,
            )
        },
        "SignOut" => Described::json::<()>("Ends the session of the cookie.", schemas),
        "ListReaders" => Described {
            may_miss: true,
            ..Described::json::<readers::Readers>("Who opened an event.", schemas)
        },
        "ShowLog" => Described::json::<log::LogState>(
            "Name, keys, newest checkpoint and witnesses of the log.",
            schemas,
        ),
        "ListGaps" => Described {
            answer: json!({ "type": "object", "properties": { "gaps": {
                "type": "array", "items": schemas.subschema_for::<gaps::Gap>().to_value() } } }),
            ..Described::json::<()>("What is missing of trails, the newest first.", schemas)
        }
        .with(search()),
        "CompleteValues" => Described::json::<view::Completion>(
            "Values with a beginning, and their counts.",
            schemas,
        )
        .with(search())
        .with(vec![
            parameter(
                "beginning",
                "Beginning of the value or of a part of it, in any case.",
                json!({ "type": "string" }),
            ),
            parameter(
                "field",
                "Field of the values; by default names of actors and resources, and \
                         addresses.",
                json!({ "enum": facet_names() }),
            ),
            number("limit", "Values.", 1, 100, Some(10)),
        ]),
        "View" => Described {
            content_type: "application/x-ndjson",
            answer: json!({ "type": "string" }),
            ..Described::json::<()>(
                "A page, counts by time and by value, all as of one size of the log: a line each.",
                schemas,
            )
        }
        .with(search())
        .with(vec![
            parameter(
                "order",
                "Newest first, or oldest first.",
                json!({ "enum": ["desc", "asc"] }),
            ),
            number("limit", "Rows of the page.", 0, LIMIT_MAX, Some(LIMIT)),
            number("offset", "Rows to skip; not with a cursor.", 0, NUMBER_MAX, None),
            parameter("cursor", "`next` of an earlier page.", json!({ "type": "string" })),
            number("buckets", "Number of buckets, about; none without it.", 1, BUCKETS_MAX, None),
            parameter(
                "facet",
                "Field to count values of; repeat for several.",
                json!({ "type": "array", "items": { "enum": facet_names() } }),
            ),
            number("facet_limit", "Values of each.", 1, FACET_LIMIT_MAX, Some(FACET_LIMIT)),
            parameter(
                "without_own",
                "Count each field without the search's conditions on it.",
                json!({ "type": "boolean", "default": false }),
            ),
            parameter("gaps", "Add what is missing.", json!({ "type": "boolean" })),
        ]),
        "ListTrails" => Described::json::<answer::Trails>("Trails with matching events.", schemas)
            .with(search())
            .with(vec![
                number("limit", "Rows of the page.", 0, LIMIT_MAX, Some(LIMIT)),
                number("offset", "Rows to skip.", 0, NUMBER_MAX, None),
            ]),
        "Tail" => Described {
            content_type: "text/event-stream",
            answer: json!({ "type": "string" }),
            ..Described::json::<()>(
                "Matching events as they are recorded, each with its index as id.",
                schemas,
            )
        }
        .with(search().into_iter().filter(|parameter| parameter["name"] != AS_OF).collect())
        .with(vec![number(
            "from",
            "The index to begin with; by default, events recorded from now on.",
            0,
            NUMBER_MAX,
            None,
        )]),
        "Export" => Described {
            content_type: Format::Ndjson.content_type(),
            answer: json!({ "type": "string" }),
            ..Described::json::<()>("The whole result as a file.", schemas)
        }
        .with(search())
        .with(vec![format()]),
        "ExportManifest" => {
            Described::json::<Manifest>("Signed description of an export.", schemas)
                .with(search())
                .with(vec![format()])
        }
        "ReadOpenApi" => Described {
            answer: json!({ "type": "object" }),
            access: Access::Anyone,
            ..Described::json::<()>("This description.", schemas)
        },
        "ListSources" => Described::json::<sources::List>("Status of each source.", schemas),
        "ReadMetrics" => Described {
            content_type: "text/plain",
            answer: json!({ "type": "string" }),
            ..Described::json::<()>("Metrics for Prometheus.", schemas)
        },
        "ListLimits" => Described::json::<limits::List>("The limits in force.", schemas),
        "ListDeadLetters" => {
            Described::json::<dead_letters::List<'_>>("Records of the dead-letter queue.", schemas)
                .with(vec![
                    number("limit", "Rows of the page.", 1, LIMIT_MAX, Some(100)),
                    number("offset", "The number to begin with.", 0, NUMBER_MAX, None),
                    parameter(
                        "source",
                        "Only records of this source.",
                        json!({ "type": "string", "minLength": 1 }),
                    ),
                    parameter(
                        "since",
                        "Only records received then or later.",
                        json!({ "type": "string", "format": "date-time" }),
                    ),
                    parameter(
                        "reason",
                        "Only records with this in the reason.",
                        json!({ "type": "string", "minLength": 1 }),
                    ),
                    parameter(
                        "all",
                        "Also records that were retried with success.",
                        json!({ "enum": ["true", "false"] }),
                    ),
                ])
        }
        "ShowDeadLetter" => Described {
            may_miss: true,
            ..Described::json::<DeadLetterView<'_>>("One dead letter, whole.", schemas)
        },
        "RetryDeadLetters" => Described {
            body: Some(schemas.subschema_for::<dead_letters::RetryRequest>().to_value()),
            may_miss: true,
            ..Described::json::<dead_letters::RetryAnswer>("Parses dead letters again.", schemas)
        },
        "ProveEvent" => proof(),
        other => unreachable!("the operation {other} has no description"),
    }
}

fn proof() -> Described {
    let index = json!({ "type": "integer", "minimum": 0, "maximum": NUMBER_MAX });
    Described {
        summary: "A file that proves one event to be in the log (C2SP tlog-proof).",
        parameters: vec![
            json!({ "name": "index", "in": "path", "required": true, "schema": index }),
            parameter(
                "entry",
                "Add the entry's bytes, for callers who may read the event.",
                json!({ "enum": ["true", "false"], "default": "false" }),
            ),
        ],
        body: None,
        content_type: "text/plain",
        answer: json!({ "type": "string" }),
        access: Access::Partly,
        may_miss: true,
    }
}

/// Names of the fields whose values can be counted.
fn facet_names() -> Vec<&'static str> {
    facet_fields().map(|(name, _)| name).collect()
}

/// The parameter for the format of an export.
fn format() -> Value {
    let schema =
        json!({ "enum": Format::ALL.map(Format::as_str), "default": Format::Ndjson.as_str() });
    parameter("format", "Format of the file.", schema)
}

/// The parameters of a search.
fn search() -> Vec<Value> {
    let mut all = vec![
        parameter(
            "q",
            "A search: `actor:alice -outcome:success after:-7d`. Attributes are fields of it, \
             `attr.host:web-1`, and parameters too, `attr.host=web-1`.",
            json!({ "type": "string" }),
        ),
        number(
            "as_of",
            "Answer from the log as it was with this many events.",
            0,
            NUMBER_MAX,
            None,
        ),
        parameter(
            "own",
            "Take in the events of Daybook's own trail, which are left out unless a term names \
             that trail or the source `daybook`.",
            json!({ "type": "boolean", "default": false }),
        ),
    ];
    for (name, _, about) in Field::ALL {
        let values = json!({ "type": "array", "items": { "type": "string", "minLength": 1 } });
        all.push(parameter(name, about, values.clone()));
        all.push(parameter(&format!("-{name}"), &format!("Not: {about}"), values));
    }
    all
}

fn parameter(name: &str, about: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": about, "schema": schema })
}

fn number(name: &str, about: &str, least: u64, most: u64, default: Option<u64>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": least, "maximum": most });
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    parameter(name, about, schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|member| references(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let description = description(&super::super::ROUTES);
        let mut found = Vec::new();
        references(&description, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("of this document");
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
        assert_eq!(description["paths"].as_object().map(Map::len), Some(22));
    }
}
