//! OCSF: one event of the Open Cybersecurity Schema Framework a line, by its version [`VERSION`]
//! (<https://schema.ocsf.io/1.3.0>). `docs/ocsf.md` has the mapping.

use std::borrow::Cow;

use event::json::{Members, write_integer, write_string};
use event::{Actor, ActorKind, Event, Operation, OutcomeKind, Resource, Service, Severity};
use store::Row;

/// The schema's version: the oldest whose classes have every member used here. Later ones only
/// add.
pub const VERSION: &str = "1.3.0";

/// What a name is where the schema demands one and the source has none.
const UNKNOWN: &str = "unknown";

/// A class of events, and an activity of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Activity {
    class: Class,
    activity: u64,
    /// The activity's name in the schema; `None` for one that the schema does not name.
    name: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    ProcessActivity = 1007,
    AccountChange = 3001,
    Authentication = 3002,
    EntityManagement = 3004,
    UserAccess = 3005,
    ApiActivity = 6003,
    DatastoreActivity = 6005,
    FileHosting = 6006,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::ProcessActivity => "Process Activity",
            Class::AccountChange => "Account Change",
            Class::Authentication => "Authentication",
            Class::EntityManagement => "Entity Management",
            Class::UserAccess => "User Access Management",
            Class::ApiActivity => "API Activity",
            Class::DatastoreActivity => "Datastore Activity",
            Class::FileHosting => "File Hosting Activity",
        }
    }

    fn category(self) -> (u64, &'static str) {
        match self as u64 / 1000 {
            1 => (1, "System Activity"),
            3 => (3, "Identity & Access Management"),
            _ => (6, "Application Activity"),
        }
    }

    /// Whether an actor is among its attributes only with the profile `host`.
    fn needs_host_profile(self) -> bool {
        matches!(self, Class::EntityManagement | Class::UserAccess)
    }
}

const OTHER: u64 = 99;

fn activity(class: Class, activity: u64, name: &'static str) -> Activity {
    Activity { class, activity, name: Some(name) }
}

fn other(class: Class) -> Activity {
    Activity { class, activity: OTHER, name: None }
}

/// Which class and activity an event is.
fn activity_of(event: &Event) -> Activity {
    match event.operation {
        Operation::Login => activity(Class::Authentication, 1, "Logon"),
        Operation::Logout => activity(Class::Authentication, 2, "Logoff"),
        Operation::Grant if is_account(&event.resource) => match gives(&event.action) {
            Some(true) => activity(Class::UserAccess, 1, "Assign Privileges"),
            Some(false) => activity(Class::UserAccess, 2, "Revoke Privileges"),
            None => other(Class::UserAccess),
        },
        Operation::Grant => activity(Class::EntityManagement, 3, "Update"),
        Operation::Create if is_account(&event.resource) => {
            activity(Class::AccountChange, 1, "Create")
        }
        Operation::Delete if is_account(&event.resource) => {
            activity(Class::AccountChange, 6, "Delete")
        }
        Operation::Update | Operation::Configure if is_account(&event.resource) => {
            other(Class::AccountChange)
        }
        Operation::Exec if event.trail.service() == Service::Platform && pid(event).is_some() => {
            activity(Class::ProcessActivity, 1, "Launch")
        }
        operation => match event.trail.service() {
            Service::Database => datastore(operation),
            Service::Artifact => file_hosting(operation).unwrap_or_else(|| api(operation)),
            Service::Registry | Service::Platform | Service::Dbaudit => api(operation),
        },
    }
}

fn api(operation: Operation) -> Activity {
    use Operation::{Configure, Create, Delete, Download, Mount, Pull, Push, Read, Update, Upload};
    match operation {
        Create | Push | Mount | Upload => activity(Class::ApiActivity, 1, "Create"),
        Read | Pull | Download => activity(Class::ApiActivity, 2, "Read"),
        Update | Configure => activity(Class::ApiActivity, 3, "Update"),
        Delete => activity(Class::ApiActivity, 4, "Delete"),
        _ => other(Class::ApiActivity),
    }
}

fn datastore(operation: Operation) -> Activity {
    use Operation::{
        Configure, Create, Delete, Download, Exec, Mount, Pull, Push, Read, Update, Upload,
    };
    match operation {
        Read | Pull | Download => activity(Class::DatastoreActivity, 1, "Read"),
        Update | Configure => activity(Class::DatastoreActivity, 2, "Update"),
        Exec => activity(Class::DatastoreActivity, 4, "Query"),
        Push | Upload | Mount => activity(Class::DatastoreActivity, 5, "Write"),
        Create => activity(Class::DatastoreActivity, 6, "Create"),
        Delete => activity(Class::DatastoreActivity, 7, "Delete"),
        _ => other(Class::DatastoreActivity),
    }
}

fn file_hosting(operation: Operation) -> Option<Activity> {
    use Operation::{Delete, Download, Mount, Pull, Push, Update, Upload};
    Some(match operation {
        Upload | Push => activity(Class::FileHosting, 1, "Upload"),
        Download | Pull => activity(Class::FileHosting, 2, "Download"),
        Update => activity(Class::FileHosting, 3, "Update"),
        Delete => activity(Class::FileHosting, 4, "Delete"),
        Mount => activity(Class::FileHosting, 6, "Copy"),
        _ => return None,
    })
}

/// Whether the resource is an account.
fn is_account(resource: &Resource) -> bool {
    let kinds =
        ["user", "users", "account", "member", "robot", "serviceaccount", "serviceaccounts"];
    resource.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
}

/// Whether an action of this name gives rights or takes them, by its name.
fn gives(action: &str) -> Option<bool> {
    let action = action.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| action.contains(word));
    if has(&["revoke", "remove", "delete", "detach", "unassign", "ungrant"]) {
        Some(false)
    } else if has(&["grant", "assign", "add", "attach", "create"]) {
        Some(true)
    } else {
        None
    }
}

fn pid(event: &Event) -> Option<u64> {
    event.attributes.get("pid")?.parse::<u32>().ok().map(u64::from)
}

/// Appends a line for each row.
pub fn write(rows: &[Row], out: &mut Vec<u8>) {
    for row in rows {
        let mut members = Members::begin(std::mem::take(out));
        event(row, &mut members);
        *out = members.end();
        out.push(b'\n');
    }
}

/// The members of an event: in alphabetical order, but those that depend on the class.
fn event(row: &Row, object: &mut Members) {
    let event = &*shortened(&row.entry.event);
    let activity = activity_of(event);
    head(activity, event, object);
    metadata(row, activity.class, object);
    object.optional("message", event.description.as_deref());
    outcome(event, object);
    match &event.source_ip {
        Some(ip) => {
            object.object("src_endpoint", |endpoint| endpoint.text("ip", &ip.address.to_string()))
        }
        None if activity.class as u64 >= Class::ApiActivity as u64 => {
            object.object("src_endpoint", |endpoint| endpoint.text("name", UNKNOWN));
        }
        None => {}
    }
    subject(event, activity, object);
    unmapped(row, object);
}

/// The schema's limit on texts, in characters.
const TEXT_MAX: usize = 65_535;

/// The event with texts that the schema allows; [`unmapped`] has those that were cut.
fn shortened(event: &Event) -> Cow<'_, Event> {
    fn texts(event: &mut Event) -> [Option<&mut String>; 12] {
        let Event { actor, resource, outcome, .. } = event;
        [
            Some(&mut event.action),
            actor.id.as_mut(),
            actor.name.as_mut(),
            resource.kind.as_mut(),
            resource.name.as_mut(),
            resource.id.as_mut(),
            resource.region.as_mut(),
            outcome.reason.as_mut(),
            event.user_agent.as_mut(),
            event.description.as_mut(),
            event.request_id.as_mut(),
            event.trace_id.as_mut(),
        ]
    }
    if !is_long(event) {
        return Cow::Borrowed(event);
    }
    let mut event = event.clone();
    for text in texts(&mut event).into_iter().flatten() {
        if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
            text.truncate(end);
        }
    }
    Cow::Owned(event)
}

/// Whether an event may have a text that is too long.
fn is_long(event: &Event) -> bool {
    let (actor, resource) = (&event.actor, &event.resource);
    let texts = [
        &actor.id,
        &actor.name,
        &resource.kind,
        &resource.name,
        &resource.id,
        &resource.region,
        &event.outcome.reason,
        &event.user_agent,
        &event.description,
        &event.request_id,
        &event.trace_id,
    ];
    event.action.len() > TEXT_MAX || texts.into_iter().flatten().any(|text| text.len() > TEXT_MAX)
}

fn head(kind: Activity, event: &Event, object: &mut Members) {
    let class = kind.class as u64;
    let (category, category_name) = kind.class.category();
    let activity = kind.name.unwrap_or(event.action.as_str());
    object.integer("activity_id", kind.activity);
    object.text("activity_name", activity);
    object.integer("category_uid", category);
    object.text("category_name", category_name);
    object.integer("class_uid", class);
    object.text("class_name", kind.class.name());
    object.integer("type_uid", class * 100 + kind.activity);
    object.text("type_name", &format!("{}: {}", kind.class.name(), kind.name.unwrap_or("Other")));
    object.name("time");
    integer(object, event.occurred_at.unix_ms());
    let (severity, name) = match event.severity {
        Severity::MINOR => (2, "Low"),
        Severity::MAJOR => (4, "High"),
        Severity::CRITICAL => (5, "Critical"),
        _ => (1, "Informational"),
    };
    object.integer("severity_id", severity);
    object.text("severity", name);
}

fn metadata(row: &Row, class: Class, object: &mut Members) {
    let event = &row.entry.event;
    object.object("metadata", |metadata| {
        metadata.text("version", VERSION);
        metadata.object("product", |product| {
            product.text("name", "Daybook");
            product.text("vendor_name", "Daybook");
        });
        if class.needs_host_profile() {
            metadata.name("profiles");
            metadata.raw(b"[\"host\"]");
        }
        metadata.ascii("uid", &event.id.text());
        metadata.integer("sequence", row.index);
        metadata.text("tenant_uid", event.trail.tenant());
        metadata.text("log_name", &event.trail.to_string());
        metadata.text("log_provider", &event.origin.source);
        metadata.optional("correlation_uid", event.trace_id.as_deref());
        metadata.ascii("original_time", &event.occurred_at.text());
        metadata.name("logged_time");
        integer(metadata, row.entry.received_at.unix_ms());
    });
}

fn outcome(event: &Event, object: &mut Members) {
    let (status, name) = match event.outcome.kind {
        OutcomeKind::Success => (1, "Success"),
        OutcomeKind::Failure => (2, "Failure"),
        OutcomeKind::Unknown => (0, "Unknown"),
    };
    object.integer("status_id", status);
    object.text("status", name);
    if let Some(code) = event.outcome.code {
        object.text("status_code", &code.to_string());
    }
    object.optional("status_detail", event.outcome.reason.as_deref());
}

/// What depends on the class: who did it, and to what.
fn subject(event: &Event, activity: Activity, object: &mut Members) {
    let resource = &event.resource;
    match activity.class {
        Class::Authentication => {
            object.object("user", |user| user_of(&event.actor, user));
            object.object("service", |service| service.text("name", event.trail.instance()));
            http_request(event, object);
        }
        Class::AccountChange => {
            actor(event, object);
            object.object("user", |user| account(resource, user));
            http_request(event, object);
        }
        Class::UserAccess => {
            actor(event, object);
            object.object("user", |user| account(resource, user));
            object.name("privileges");
            let mut privilege = Vec::from(*b"[");
            write_string(&mut privilege, privilege_of(event));
            privilege.push(b']');
            object.raw(&privilege);
            http_request(event, object);
        }
        Class::EntityManagement => {
            actor(event, object);
            object.object("entity", |entity| {
                named(resource, entity, |entity, kind| entity.text("type", kind))
            });
            object.text("comment", &event.action);
            http_request(event, object);
        }
        Class::ProcessActivity => {
            actor(event, object);
            object.object("device", |device| {
                device.text("name", event.trail.instance());
                device.integer("type_id", 0);
            });
            object.object("process", |process| {
                process.integer("pid", pid(event).unwrap_or_default());
                process.optional("name", resource.name.as_deref());
                process.optional("cmd_line", event.description.as_deref());
            });
        }
        Class::ApiActivity => {
            actor(event, object);
            api_of(event, object);
            if !is_nameless(resource) {
                object.list_of_one("resources", |one| {
                    named(resource, one, |one, kind| one.text("type", kind));
                    one.optional("region", resource.region.as_deref());
                });
            }
            http_request(event, object);
        }
        Class::DatastoreActivity => {
            actor(event, object);
            let is_table = resource.kind.as_deref() == Some("table");
            object.object("database", |database| {
                let name = resource
                    .name
                    .as_deref()
                    .filter(|_| resource.kind.as_deref() == Some("database"));
                database.text("name", name.unwrap_or(event.trail.instance()));
                database.text("uid", event.trail.instance());
                database.integer("type_id", 1);
                database.text("type", "Relational");
            });
            if is_table && !is_nameless(resource) {
                object.object("table", |table| named(resource, table, |_, _| ()));
            }
            if let Some(statement) = &event.description {
                object.object("query_info", |query| {
                    query.text("uid", event.request_id.as_deref().unwrap_or(UNKNOWN));
                    query.text("query_string", statement);
                });
            }
            http_request(event, object);
        }
        Class::FileHosting => {
            actor(event, object);
            object.object("file", |file| {
                let name = resource.name.as_deref().or(resource.id.as_deref()).unwrap_or(UNKNOWN);
                file.text(
                    "name",
                    name.rsplit('/').find(|part| !part.is_empty()).unwrap_or(UNKNOWN),
                );
                file.optional("path", resource.name.as_deref());
                file.optional("uid", resource.id.as_deref());
                file.integer("type_id", 1);
                file.text("type", "Regular File");
            });
        }
    }
}

fn api_of(event: &Event, object: &mut Members) {
    object.object("api", |api| {
        api.text("operation", &event.action);
        api.object("service", |service| service.text("name", event.trail.instance()));
        if let Some(id) = &event.request_id {
            api.object("request", |request| request.text("uid", id));
        }
        if event.outcome.code.is_some() || event.outcome.reason.is_some() {
            api.object("response", |response| {
                if let Some(code) = event.outcome.code {
                    response.integer("code", u64::from(code));
                }
                response.optional("message", event.outcome.reason.as_deref());
            });
        }
    });
}

fn http_request(event: &Event, object: &mut Members) {
    if let Some(agent) = &event.user_agent {
        object.object("http_request", |request| request.text("user_agent", agent));
    }
}

fn actor(event: &Event, object: &mut Members) {
    object.object("actor", |actor| actor.object("user", |user| user_of(&event.actor, user)));
}

fn user_of(actor: &Actor, user: &mut Members) {
    // The schema demands a name or an id.
    let kind = actor.kind.as_str();
    let name = actor.name.as_deref().or(actor.id.is_none().then_some(kind));
    user.optional("name", name);
    user.optional("uid", actor.id.as_deref());
    let (id, kind) = match actor.kind {
        ActorKind::User => (1, "User"),
        ActorKind::System => (3, "System"),
        ActorKind::Unknown => (0, "Unknown"),
        ActorKind::Robot | ActorKind::Service | ActorKind::Anonymous => (OTHER, kind),
    };
    user.integer("type_id", id);
    user.text("type", kind);
}

fn account(resource: &Resource, user: &mut Members) {
    named(resource, user, |user, kind| {
        user.integer("type_id", if kind == "robot" { OTHER } else { 1 });
        user.text("type", if kind == "robot" { kind } else { "User" });
    });
}

fn is_nameless(resource: &Resource) -> bool {
    resource.name.is_none() && resource.id.is_none()
}

/// Name and id of a resource, of which the schema demands one.
fn named(resource: &Resource, object: &mut Members, kind: impl FnOnce(&mut Members, &str)) {
    object.optional("name", resource.name.as_deref().or(is_nameless(resource).then_some(UNKNOWN)));
    object.optional("uid", resource.id.as_deref());
    if let Some(one) = &resource.kind {
        kind(object, one);
    }
}

/// What was given or taken, as far as the event says.
fn privilege_of(event: &Event) -> &str {
    let names = ["privileges", "privilege", "role", "roles", "permissions", "permission"];
    names.iter().find_map(|name| event.attributes.get(*name)).unwrap_or(&event.action)
}

/// Facts without a member in the schema.
fn unmapped(row: &Row, object: &mut Members) {
    let event = &row.entry.event;
    object.object("unmapped", |unmapped| {
        unmapped.text("trail", &event.trail.to_string());
        unmapped.integer("number", row.entry.number);
        unmapped.text("action", &event.action);
        unmapped.text("operation", event.operation.as_str());
        unmapped.text("class", event.class.as_str());
        unmapped.text("resolution", event.resolution.as_str());
        unmapped.text("source_format", &event.origin.format);
        unmapped.optional("request_id", event.request_id.as_deref());
        unmapped.optional("resource_type", event.resource.kind.as_deref());
        unmapped.optional("resource_name", event.resource.name.as_deref());
        unmapped.optional("resource_id", event.resource.id.as_deref());
        unmapped.optional("resource_region", event.resource.region.as_deref());
        unmapped.optional("user_agent", event.user_agent.as_deref());
        unmapped.optional(
            "description",
            event.description.as_deref().filter(|text| text.len() > TEXT_MAX),
        );
        unmapped.optional("source_ip_trust", event.source_ip.as_ref().map(|ip| ip.trust.as_str()));
        if !event.attributes.is_empty() {
            unmapped.object("attributes", |attributes| {
                event.attributes.iter().for_each(|(name, value)| attributes.text(name, value));
            });
        }
    });
}

/// Times before 1970 are negative.
fn integer(object: &mut Members, number: i64) {
    let mut digits = Vec::new();
    if number < 0 {
        digits.push(b'-');
    }
    write_integer(&mut digits, number.unsigned_abs());
    object.raw(&digits);
}
