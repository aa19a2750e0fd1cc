//! Journal entries in both formats, with the expected events beside them.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service};
use formats::{Continuation, EnvelopeError, Item, Options};

use crate::golden::{Request, Source, everything, requests};

const HOSTS: Source = Source { format: "journald", service: Service::Platform, name: "hosts" };

const CAPTURES: [&str; 4] =
    ["journal-export.bin", "journal.json", "journal-noall.json", "upload.requests.jsonl"];

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in CAPTURES {
        let path = HOSTS.capture(name);
        HOSTS.check(&path, &requests(&path));
    }
}

fn captured(name: &str) -> Vec<Event> {
    requests(&HOSTS.capture(name)).iter().flat_map(|request| HOSTS.events(&request.body)).collect()
}

/// Without the attributes that differ between the formats.
fn said(events: Vec<Event>) -> Vec<Event> {
    let empty = Event { raw: Vec::new(), id: events[0].id, ..events[0].clone() };
    events.into_iter().map(|event| Event { raw: Vec::new(), id: empty.id, ..event }).collect()
}

#[test]
fn both_formats_agree() {
    let (export, json) = (said(captured("journal-export.bin")), said(captured("journal.json")));
    assert!(export.len() > 20);
    assert_eq!(export, json);
    let keys = |events: &[Event]| -> Vec<String> {
        events.iter().map(|event| event.origin.key.clone().unwrap()).collect()
    };
    let uploaded = keys(&captured("upload.requests.jsonl"));
    assert!(keys(&export).iter().all(|key| uploaded.contains(key)));
}

/// An entry in the export format.
fn export(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut entry = b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795198781599306\n".to_vec();
    for (name, value) in fields {
        entry.extend_from_slice(name.as_bytes());
        if value.iter().any(|byte| !byte.is_ascii_graphic() && *byte != b' ') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value);
        entry.push(b'\n');
    }
    entry.push(b'\n');
    entry
}

#[test]
fn texts_mean_what_they_mean_in_syslog() {
    let event = HOSTS.event(export(&[
        ("SYSLOG_IDENTIFIER", b"sshd"),
        ("MESSAGE", b"Failed password for root from 192.0.2.7 port 22 ssh2"),
        ("_HOSTNAME", b"vm"),
        ("PRIORITY", b"6"),
        ("SYSLOG_FACILITY", b"10"),
        ("_UID", b"0"),
    ]));
    assert_eq!((event.action.as_str(), event.operation), ("sshd.login", Operation::Login));
    assert_eq!(
        (event.outcome.kind, event.class, event.severity.level()),
        (OutcomeKind::Failure, Class::Security, 3)
    );
    assert_eq!((event.actor.name.as_deref(), event.actor.kind), (Some("root"), ActorKind::User));
    assert_eq!(event.source_ip.unwrap().address.to_string(), "192.0.2.7");
    assert_eq!(event.resource.name.as_deref(), Some("vm"));
    assert_eq!(event.origin.key.as_deref(), Some("s=1;i=2"));
    for (name, value) in
        [("_UID", "0"), ("facility", "authpriv"), ("priority", "info"), ("port", "22")]
    {
        assert_eq!(event.attributes[name], value);
    }
    let other =
        export(&[("SYSLOG_IDENTIFIER", b"sshd"), ("MESSAGE", b"Server listening on :: port 22.")]);
    assert_eq!(HOSTS.reasons(other), ["event sshd"]);
    let companion =
        export(&[("SYSLOG_IDENTIFIER", b"sshd"), ("MESSAGE", b"Invalid user x from ::1 port 1")]);
    assert_eq!(HOSTS.reasons(companion), ["skipped: a companion of a line that is recorded"]);
}

#[test]
fn journald_names_the_actor_of_a_text_without_one() {
    for (fields, id, kind) in [
        (&[("_AUDIT_LOGINUID", "1000"), ("_UID", "0")][..], Some("1000"), ActorKind::User),
        (&[("_AUDIT_LOGINUID", "4294967295"), ("_UID", "33")], Some("33"), ActorKind::Unknown),
        (&[("_COMM", "app")], None, ActorKind::Unknown),
    ] {
        let fields: Vec<(&str, &[u8])> =
            fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let actor = HOSTS.event(export(&fields)).actor;
        assert_eq!((actor.id.as_deref(), actor.name, actor.kind), (id, None, kind));
    }
    let event = HOSTS.event(export(&[("_COMM", b"app"), ("MESSAGE", b"x"), ("PRIORITY", b"3")]));
    assert_eq!((event.action.as_str(), event.severity.level()), ("app", 3));
    assert_eq!(HOSTS.event(export(&[("MESSAGE", b"x")])).action, "-");
}

#[test]
fn the_time_is_when_journald_got_the_message() {
    let event = HOSTS.event(export(&[("_SOURCE_REALTIME_TIMESTAMP", b"1795198781597490")]));
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:19:41.597490000Z");
    assert_eq!(HOSTS.event(export(&[])).occurred_at.to_string(), "2026-11-20T18:19:41.599306000Z");
    assert_eq!(event.resolution, Resolution::Microsecond);
}

#[test]
fn values_are_bytes_texts_lists_and_nothing() {
    let line =
        |members: &str| format!(r#"{{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1",{members}}}"#);
    let attribute =
        |members: &str, name: &str| HOSTS.event(line(members)).attributes.get(name).cloned();
    assert_eq!(attribute(r#""A":["x","y"]"#, "A").as_deref(), Some("x, y"));
    assert_eq!(attribute(r#""A":["x",[121,122],null]"#, "A").as_deref(), Some("x, yz, "));
    assert_eq!(attribute(r#""A":[208,142]"#, "A").as_deref(), Some("\u{40e}"));
    assert_eq!(attribute(r#""A":[]"#, "A"), None);
    assert_eq!(attribute(r#""A":null"#, "omitted").as_deref(), Some("A"));
    assert_eq!(attribute(r#""A":[255]"#, "A").as_deref(), Some("\u{fffd}"));
    assert_eq!(attribute(r#""A":[255]"#, "invalid_utf8").as_deref(), Some("true"));
    // More bytes than an array may hold elsewhere.
    let many = vec!["65"; 60_000].join(",");
    assert_eq!(
        HOSTS.event(line(&format!(r#""MESSAGE":[{many}]"#))).description.unwrap().len(),
        60_000
    );
    let sequence = format!("\u{1e}{}\n", line(r#""MESSAGE":"x""#));
    assert_eq!(HOSTS.event(sequence).description.as_deref(), Some("x"));
}

#[test]
fn client_fields_do_not_pass_for_our_own_attributes() {
    let event = HOSTS.event(export(&[("LOG_FILE", b"x"), ("ENDED_AT", b"y")]));
    assert_eq!(&*event.attributes["LOG_FILE"], "x");
    assert!(
        !event.attributes.contains_key("log_file") && !event.attributes.contains_key("ended_at")
    );
    let body = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","log_file":"x"}"#;
    assert!(HOSTS.reasons(body)[0].contains("a member is not a field"));
}

#[test]
fn one_bad_line_is_rejected_alone() {
    let good = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1"}"#;
    let large = format!(r#"{{"A":"{}"}}"#, "y".repeat(256 * 1024));
    for (bad, why) in [
        (&good[..good.len() - 1], "not a journal entry: EOF"),
        ("[]", "not a journal entry"),
        (r#"{"A":"x","A":"y"}"#, "A appears twice"),
        (r#"{"A":{}}"#, "not a journal entry: invalid type"),
        (r#"{"A":[[["x"]]]}"#, "not a journal entry: invalid type"),
        (r#"{"A":[1,"x"]}"#, "bytes and texts are mixed"),
        (r#"{"A":[256]}"#, "a number is not a byte"),
        (r#"{"A":[-1]}"#, "invalid type"),
        (r#"{"A":"x"}"#, "the entry has no time"),
        (r#"{"__REALTIME_TIMESTAMP":"soon"}"#, "__REALTIME_TIMESTAMP is not a number"),
        (
            r#"{"__REALTIME_TIMESTAMP":"9223372036854775807"}"#,
            "__REALTIME_TIMESTAMP is not a number",
        ),
        (&large, "event_too_large"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{good}");
        let parsed = HOSTS.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(_), Item::Rejected(rejected), Item::Event(last)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!((&rejected.raw[..], &last.raw[..]), (bad.as_bytes(), good.as_bytes()));
    }
}

#[test]
fn one_bad_entry_is_rejected_alone() {
    let good = export(&[("MESSAGE", b"x")]);
    let large = export(&[("MESSAGE", &vec![b'y'; 256 * 1024])]);
    let timeless = b"__CURSOR=c\nMESSAGE=x\n\n".to_vec();
    for (bad, why) in [
        (b"no field\n\n".to_vec(), "no field begins so"),
        (large, "event_too_large"),
        (timeless, "the entry has no time"),
    ] {
        let body = [&good[..], &bad, &good].concat();
        let parsed = HOSTS.parse(&body, &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(_)] = &parsed[..] else {
            panic!("{why}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{}", rejected.reason);
        assert_eq!(rejected.raw, bad[..bad.len() - 1]);
        assert_eq!(first.raw, good[..good.len() - 1]);
    }
    let cut = &good[..good.len() - 4];
    assert_eq!(HOSTS.reasons([&good[..], cut].concat()), ["event -", "the entry breaks off"]);
}

#[test]
fn a_body_is_export_by_its_type_or_its_look() {
    let entry = export(&[("MESSAGE", b"x")]);
    let typed = |kind: &str, body: &[u8]| Request {
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: body.to_vec(),
    };
    for request in [typed("application/vnd.fdo.journal", &entry), typed("text/plain", &entry)] {
        let parsed = HOSTS.parse_as(&request, &Options::default(), &mut 0).unwrap();
        assert!(matches!(&parsed[..], [Item::Event(_)]), "{parsed:?}");
    }
    let json = typed("application/vnd.fdo.journal", b"{\"__REALTIME_TIMESTAMP\":\"1\"}\n");
    let parsed = HOSTS.parse_as(&json, &everything(), &mut 0).unwrap();
    assert!(matches!(&parsed[..], [Item::Rejected(_)]), "{parsed:?}");
}

#[test]
fn a_piece_is_cut_behind_an_entry() {
    let format = HOSTS.format();
    let tricky = export(&[("MESSAGE", b"a\n\n__CURSOR=b\n\nc")]);
    let piece = [&tricky[..], &tricky[..tricky.len() - 2]].concat();
    for follows in [Continuation::More, Continuation::Quiet] {
        assert_eq!(format.complete_bytes(&piece, follows), tricky.len());
        assert_eq!(format.complete_bytes(&tricky[..tricky.len() - 1], follows), 0);
    }
    assert_eq!(format.complete_bytes(&piece, Continuation::Nothing), piece.len());
    assert_eq!(format.complete_bytes(b"{}\n{}", Continuation::More), 3);
    // However a journal is cut into pieces, the same is read.
    let journal = std::fs::read(HOSTS.capture("journal-export.bin")).unwrap();
    for step in [100, 777, 5000] {
        let (mut done, mut events) = (0, Vec::new());
        for end in (0..journal.len()).step_by(step).chain([journal.len()]) {
            let whole = format.complete_bytes(&journal[done..end], Continuation::More);
            events.extend(HOSTS.events(&journal[done..done + whole]));
            done += whole;
        }
        assert_eq!((done, said(events)), (journal.len(), said(captured("journal-export.bin"))));
    }
}

#[test]
fn too_many_are_refused_and_none_are_nothing() {
    let body = export(&[]).repeat(10_001);
    assert!(matches!(HOSTS.parse(&body, &mut 0), Err(EnvelopeError::TooLarge(_))));
    assert_eq!(HOSTS.parse(b"", &mut 0), Ok(Vec::new()));
    assert_eq!(HOSTS.parse(b"\n\n", &mut 0), Ok(Vec::new()));
}
