//! A client chooses the length of what it sends: no text of it may keep its act out of the log.

use event::{Event, EventId, Operation, Time};
use formats::{Context, Format, Item, Limits, Options};

const MIB: usize = 1 << 20;

fn parsed(format: &str, trail: &str, body: &str) -> Vec<Item> {
    let (options, mut new_id) = (Options::default(), || EventId::default());
    let trail = trail.parse().unwrap();
    let received_at = Time::parse_rfc3339("2026-11-23T20:00:00Z").unwrap().0;
    let mut context = Context::new("s", &trail, received_at, &mut new_id, &options);
    context.limits = Limits { event_bytes_max: 4 * MIB, ..Limits::default() };
    format.parse::<Format>().unwrap().parse(body.as_bytes(), &mut context).unwrap()
}

fn event(items: &[Item]) -> &Event {
    let [Item::Event(event)] = items else { panic!("{} items", items.len()) };
    event
}

#[test]
fn a_long_user_agent_hides_no_push() {
    for kib in [1, 255, 257, 300, 3000] {
        let agent = "x".repeat(kib << 10);
        let body = format!(
            r#"{{"events":[{{"id":"320678d8-ca14-430f-8bb6-4ca139cd83f7","timestamp":"2026-11-23T19:46:03Z","action":"push","target":{{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"sha256:fea8","repository":"team/app","url":"http://r/v2/team/app/manifests/sha256:fea8","tag":"v1"}},"request":{{"id":"6df24a34","addr":"192.0.2.7:4711","host":"r","method":"PUT","useragent":"{agent}"}},"actor":{{"name":"mallory"}},"source":{{"addr":"r:5000","instanceID":"a53db899"}}}}]}}"#
        );
        let items = parsed("docker-registry", "registry/acme/p1/hub", &body);
        let event = event(&items);
        assert_eq!(event.actor.name.as_deref(), Some("mallory"));
        assert_eq!(event.operation, Operation::Push);
        let left = event.user_agent.as_ref().unwrap().len();
        assert_eq!(left, agent.len().min(256 << 10), "{kib} KiB");
        let is_cut = left < agent.len();
        assert_eq!(event.attributes.contains_key("truncated"), is_cut, "{kib} KiB");
        if is_cut {
            let cut = &event.attributes["truncated.user_agent"];
            assert!(cut.starts_with(&format!("{} bytes, sha256 ", agent.len())), "{cut}");
        }
        assert!(event.raw.len() > agent.len(), "the original is whole");
    }
}

#[test]
fn many_long_texts_fit_together() {
    let fields: String =
        (0..2000).map(|at| format!(r#", "field {at}": "{}""#, "y".repeat(900))).collect();
    let body = format!(
        r#"{{"@timestamp":"2026-11-23T19:46:03Z","MESSAGE":"{}"{fields}}}"#,
        "m".repeat(MIB)
    );
    for (format, trail) in [("journald", "platform/acme/p1/hosts")] {
        for item in parsed(format, trail, &body) {
            let Item::Event(event) = item else { continue };
            let texts: usize =
                event.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(texts < 700 << 10, "{texts}");
            assert!(event.description.as_ref().is_none_or(|text| text.len() <= 256 << 10));
        }
    }
}

/// Every text of every captured notification and audit event in turn is made three hundred KiB
/// long: what was an event stays one, by the same actor, of the same operation.
#[test]
fn no_padded_text_of_a_capture_hides_its_event() {
    let mut tried = 0;
    for (format, trail, file) in [
        ("docker-registry", "registry/acme/p1/hub", "docker-registry"),
        ("kubernetes-audit", "platform/acme/p1/cluster", "kubernetes-audit"),
        ("harbor-webhook", "registry/acme/p1/harbor", "harbor-webhook"),
        ("cloudevents", "platform/acme/p1/events", "cloudevents"),
        ("cts", "platform/acme/p1/cts", "cts"),
    ] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
        let Ok(files) = std::fs::read_dir(&folder) else {
            panic!("{} is missing", folder.display())
        };
        let mut bodies: Vec<String> = Vec::new();
        for path in files.map(|file| file.unwrap().path()) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            bodies.extend(
                text.lines().take(4).filter(|line| line.starts_with('{')).map(str::to_owned),
            );
        }
        for body in bodies.iter().take(6) {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(body) else { continue };
            let value = value
                .get("body")
                .and_then(|body| body.as_str())
                .and_then(|body| serde_json::from_str(body).ok())
                .unwrap_or(value);
            let Some(plain) = parsed_or_none(format, trail, &value) else { continue };
            for path in texts(&value, String::new()) {
                let mut padded = value.clone();
                let text = padded.pointer_mut(&path).unwrap();
                *text = format!("{}{}", text.as_str().unwrap(), "p".repeat(300 << 10)).into();
                // What a value means may depend on all of it: an event may be rejected for a broken
                // time or an unknown kind, never for its size.
                let items = parsed(format, trail, &padded.to_string());
                assert!(!items.is_empty() && !plain.is_empty(), "{path}");
                let reasons = items.iter().filter_map(|item| match item {
                    Item::Rejected(record) => Some(&record.reason),
                    _ => None,
                });
                for reason in reasons {
                    assert!(!reason.contains("too_large"), "{path}: {reason}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried} texts padded");
}

fn parsed_or_none(format: &str, trail: &str, value: &serde_json::Value) -> Option<Vec<Item>> {
    let items = parsed(format, trail, &value.to_string());
    items.iter().any(|item| matches!(item, Item::Event(_))).then_some(items)
}

/// Pointers to all texts of a value.
fn texts(value: &serde_json::Value, at: String) -> Vec<String> {
    match value {
        serde_json::Value::String(_) => vec![at],
        serde_json::Value::Array(all) => {
            all.iter().enumerate().flat_map(|(i, one)| texts(one, format!("{at}/{i}"))).collect()
        }
        serde_json::Value::Object(all) => all
            .iter()
            .flat_map(|(name, one)| {
                texts(one, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")))
            })
            .collect(),
        _ => Vec::new(),
    }
}
