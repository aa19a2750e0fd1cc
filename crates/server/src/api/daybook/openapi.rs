//! `GET /api/v1/openapi.json`: the description of this API, made from its routes, its answers'
//! types and the fields of a search (OpenAPI 3.1.1, <https://spec.openapis.org/oas/v3.1.1.html>).

use event::search::Field;
use hyper::{Method, StatusCode};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::{self, Problem};
use super::{Operation, ROUTES, limits, set_aside, sources};
use crate::api::tlog as tree;
use crate::state::Note;
use find::answer;
use find::export::Format;
use find::question::{
    AS_OF, BUCKETS, BUCKETS_MAX, FACET_LIMIT, FACET_LIMIT_MAX, FACETS, LIMIT, LIMIT_MAX, NUMBER_MAX,
};
use intake::aside::Shown;
use net::{self, Response};
use verify::manifest::Manifest;

pub fn read(note: &mut Note) -> Result<Response, Problem> {
    // It says nothing of the log.
    note.is_recorded = true;
    Ok(net::json(StatusCode::OK, &description()))
}

/// The description.
pub fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    let own = ROUTES.map(|(method, path, operation)| {
        (method, path, operation.name(), describe(operation, &mut schemas))
    });
    // Proofs belong to the log's tree, but for their path.
    let proofs = tree::ROUTES
        .into_iter()
        .filter(|(.., operation)| *operation == tree::Operation::ProveEvent);
    let proofs = proofs.map(|(method, path, operation)| (method, path, operation.name(), proof()));
    for (method, path, name, described) in own.into_iter().chain(proofs) {
        let of_path = paths.entry(path).or_insert_with(|| json!({}));
        of_path[method_name(&method)] = described.render(name, path, &mut schemas);
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

fn method_name(method: &Method) -> String {
    method.as_str().to_ascii_lowercase()
}

/// Who may ask for something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Anyone,
    /// Anyone, but not for all of it, or as it is configured.
    Partly,
    /// Whoever shows credentials.
    Known,
}

/// What the description says of an operation.
struct Described {
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    content_type: &'static str,
    answer: Value,
    /// Who may ask.
    access: Access,
    /// Whether what it names may not be there.
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

    fn render(self, name: &str, path: &str, schemas: &mut SchemaGenerator) -> Value {
        let problem = schemas.subschema_for::<problem::Body<'_>>().to_value();
        let problem = |text: &str| {
            let content = json!({ "application/problem+json": { "schema": problem } });
            json!({ "description": text, "content": content })
        };
        let in_path =
            path.split('/').filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'));
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
            "400": problem("What is asked for is wrong; parameter and column say where."),
            "408": problem("It took too long."),
            "414": problem("Path and query are longer than limits.uri_bytes_max."),
            "431": problem("The header is larger than its limits."),
            "503": problem("Too much at once; Retry-After says when to come again."),
        });
        if self.access != Access::Anyone {
            responses["401"] = problem("No credentials, or none that are good.");
            responses["403"] = problem("The caller has not the right.");
        }
        if self.may_miss {
            responses["404"] = problem("There is no such thing, or not for the caller.");
        }
        if self.body.is_some() {
            responses["409"] = problem("What is named cannot be done now.");
            responses["413"] = problem("The body is too large.");
        }
        let mut described = json!({
            "operationId": name.trim_start_matches("daybook."),
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

fn describe(operation: Operation, schemas: &mut SchemaGenerator) -> Described {
    match operation {
        Operation::ListEvents => {
            Described::json::<answer::Events>("Events that match, page by page.", schemas)
                .with(asked())
                .with(vec![
                    parameter(
                        "order",
                        "Newest first, or oldest first.",
                        json!({ "enum": ["desc", "asc"], "default": "desc" }),
                    ),
                    number("limit", "Rows of the page.", 0, LIMIT_MAX, Some(LIMIT)),
                    number(
                        "offset",
                        "Rows to leave out first; not with a cursor.",
                        0,
                        NUMBER_MAX,
                        None,
                    ),
                    parameter(
                        "cursor",
                        "`next` of an earlier answer to the same question.",
                        json!({ "type": "string" }),
                    ),
                ])
        }
        Operation::ShowEvent => Described {
            may_miss: true,
            ..Described::json::<answer::EventDetail>("One event by index or id, whole.", schemas)
        },
        Operation::ReadHistogram => Described::json::<answer::Histogram>(
            "How many events match per bucket of time, by outcome.",
            schemas,
        )
        .with(asked())
        .with(vec![
            number("buckets", "About how many; not with interval.", 1, BUCKETS_MAX, Some(BUCKETS)),
            parameter(
                "interval",
                "How long each is: 30s, 5m, 1h, 1d.",
                json!({ "type": "string", "pattern": "^[1-9][0-9]{0,7}[smhd]$" }),
            ),
        ]),
        Operation::ReadFacets => {
            let named =
                Field::ALL.into_iter().filter(|(_, field, _)| matches!(field, Field::Of(_)));
            let names: Vec<&str> = named.map(|(name, ..)| name).collect();
            Described::json::<answer::Facets>("The values that most matching events have.", schemas)
                .with(asked())
                .with(vec![
                    parameter(
                        "facet",
                        "Whose values; each a parameter of its own.",
                        json!({ "type": "array", "items": { "enum": names }, "default": FACETS }),
                    ),
                    number("limit", "Values of each.", 1, FACET_LIMIT_MAX, Some(FACET_LIMIT)),
                ])
        }
        Operation::ListTrails => {
            Described::json::<answer::Trails>("Trails with matching events.", schemas)
                .with(asked())
                .with(vec![
                    number("limit", "Rows of the page.", 0, LIMIT_MAX, Some(LIMIT)),
                    number("offset", "Rows to leave out first.", 0, NUMBER_MAX, None),
                ])
        }
        Operation::Tail => Described {
            content_type: "text/event-stream",
            answer: json!({ "type": "string" }),
            ..Described::json::<()>(
                "Matching events as they are recorded, each with its index as id.",
                schemas,
            )
        }
        .with(asked().into_iter().filter(|parameter| parameter["name"] != AS_OF).collect())
        .with(vec![number(
            "from",
            "The index to begin with; what is recorded from now on, if not given.",
            0,
            NUMBER_MAX,
            None,
        )]),
        Operation::Export => Described {
            content_type: Format::Ndjson.content_type(),
            answer: json!({ "type": "string" }),
            ..Described::json::<()>("The whole result as a file.", schemas)
        }
        .with(asked())
        .with(vec![format()]),
        Operation::ExportManifest => {
            Described::json::<Manifest>("What an export has, signed.", schemas)
                .with(asked())
                .with(vec![format()])
        }
        Operation::ReadOpenApi => Described {
            answer: json!({ "type": "object" }),
            access: Access::Anyone,
            ..Described::json::<()>("This description.", schemas)
        },
        Operation::ListSources => {
            Described::json::<sources::Answer>("How each source is doing.", schemas)
        }
        Operation::ReadMetrics => Described {
            content_type: "text/plain",
            answer: json!({ "type": "string" }),
            ..Described::json::<()>("Figures for Prometheus.", schemas)
        },
        Operation::ListLimits => Described::json::<limits::Answer>("The limits in force.", schemas),
        Operation::ListSetAside => {
            Described::json::<set_aside::List<'_>>("Records that were set aside.", schemas).with(
                vec![
                    number("limit", "Rows of the page.", 1, LIMIT_MAX, Some(100)),
                    number("offset", "The number to begin with.", 0, NUMBER_MAX, None),
                    parameter(
                        "source",
                        "Of this source alone.",
                        json!({ "type": "string", "minLength": 1 }),
                    ),
                    parameter(
                        "since",
                        "Received then or later.",
                        json!({ "type": "string", "format": "date-time" }),
                    ),
                    parameter(
                        "reason",
                        "With this in the reason.",
                        json!({ "type": "string", "minLength": 1 }),
                    ),
                    parameter(
                        "all",
                        "Also those that came to events since.",
                        json!({ "enum": ["true", "false"] }),
                    ),
                ],
            )
        }
        Operation::ShowSetAside => Described {
            may_miss: true,
            ..Described::json::<Shown<'_>>("One record that was set aside, whole.", schemas)
        },
        Operation::RetrySetAside => Described {
            body: Some(schemas.subschema_for::<set_aside::Wanted>().to_value()),
            may_miss: true,
            ..Described::json::<set_aside::Retried>(
                "Parses records again that were set aside.",
                schemas,
            )
        },
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
                "With the entry's bytes, for whoever may read the event.",
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

/// The parameter that says what an export is written as.
fn format() -> Value {
    let schema =
        json!({ "enum": Format::ALL.map(Format::as_str), "default": Format::Ndjson.as_str() });
    parameter("format", "What the file is.", schema)
}

/// The parameters that say what is looked for.
fn asked() -> Vec<Value> {
    let mut all = vec![
        parameter(
            "q",
            "A search: `actor:alice -outcome:success after:-7d`.",
            json!({ "type": "string" }),
        ),
        number("as_of", "Answer from the first so many events of the log.", 0, NUMBER_MAX, None),
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
        let description = description();
        let mut found = Vec::new();
        references(&description, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("of this document");
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
        assert_eq!(description["paths"].as_object().map(Map::len), Some(16));
    }
}
