//! The messages of opentelemetry-proto after the published schema, with texts as strings, to write
//! requests and read responses.

use event::{Event, Service};
use formats::{EnvelopeError, Item, Options};
use prost::{Message, Oneof};

use crate::golden::{self, Source, everything};

pub const APPS: Source = Source { format: "otlp-logs", service: Service::Platform, name: "apps" };

#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(message, repeated, tag = "1")]
    pub resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub scope_logs: Vec<ScopeLogs>,
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub time: u64,
    #[prost(fixed64, tag = "11")]
    pub observed: u64,
    #[prost(int32, tag = "2")]
    pub severity: i32,
    #[prost(string, tag = "3")]
    pub severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "7")]
    pub dropped: u32,
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
    #[prost(string, tag = "12")]
    pub event_name: String,
    /// A field of some later version.
    #[prost(string, tag = "4000")]
    pub unknown: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    List(List),
    #[prost(message, tag = "6")]
    Map(Map),
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub struct List {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Map {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

pub fn some(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

pub fn text(text: &str) -> Option<AnyValue> {
    some(Value::Text(text.to_owned()))
}

pub fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: text(value) }
}

/// A record with a time and these attributes.
pub fn record(attributes: &[(&str, &str)]) -> LogRecord {
    LogRecord {
        time: 1_795_199_505_957_963_105,
        attributes: attributes.iter().map(|(key, value)| pair(key, value)).collect(),
        ..LogRecord::default()
    }
}

pub fn request_of(records: Vec<LogRecord>) -> Request {
    let resource = Resource {
        attributes: vec![
            pair("service.name", "console"),
            pair("service.namespace", "acme"),
            pair("cloud.region", "eu-1"),
        ],
    };
    let scope = Scope { name: "audit".to_owned(), ..Scope::default() };
    let scope_logs = ScopeLogs { scope: Some(scope), log_records: records };
    Request {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![scope_logs],
            schema_url: "https://example.com/schema".to_owned(),
        }],
    }
}

pub fn header(content_type: &str) -> Vec<(String, String)> {
    vec![("content-type".to_owned(), content_type.to_owned())]
}

pub fn parse(
    body: Vec<u8>,
    content_type: &str,
    options: &Options,
) -> Result<Vec<Item>, EnvelopeError> {
    APPS.parse_as(&golden::Request { headers: header(content_type), body }, options, &mut 0)
}

pub fn protobuf(body: Vec<u8>) -> Result<Vec<Item>, EnvelopeError> {
    parse(body, "application/x-protobuf", &everything())
}

pub fn json(body: &str) -> Result<Vec<Item>, EnvelopeError> {
    parse(body.as_bytes().to_vec(), "application/json", &everything())
}

pub fn events(items: Result<Vec<Item>, EnvelopeError>) -> Vec<Event> {
    let event = |item| match item {
        Item::Event(event) => *event,
        other => panic!("{other:?}"),
    };
    items.unwrap().into_iter().map(event).collect()
}

pub fn event_of(attributes: &[(&str, &str)]) -> Event {
    events(protobuf(request_of(vec![record(attributes)]).encode_to_vec())).remove(0)
}

pub fn reasons(items: Result<Vec<Item>, EnvelopeError>) -> Vec<String> {
    let reason = |item| match item {
        Item::Event(event) => format!("event {}", event.action),
        Item::Rejected(rejected) => rejected.reason,
        Item::Skipped(why) => why.to_owned(),
    };
    items.unwrap().into_iter().map(reason).collect()
}
