//! Every file of MySQL Enterprise Audit, Percona's auditors and TaurusDB, with the expected events
//! beside it, and the meaning of records.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Service};
use formats::{Continuation, EnvelopeError, Item, Options, Secrets, Sequence, Zone};

use crate::golden::{Request, Source, requests};

const MYSQL: Source = Source { format: "mysql-enterprise", service: Service::Database, name: "db" };
const PERCONA: Source = Source { format: "percona-audit", service: Service::Database, name: "db" };
const TAURUS: Source = Source { format: "taurusdb-audit", service: Service::Database, name: "db" };

const FILES: [(&Source, &str); 12] = [
    (&MYSQL, "audit.json"),
    (&MYSQL, "unfinished.json"),
    (&MYSQL, "new-style.xml"),
    (&MYSQL, "old-style.xml"),
    (&PERCONA, "audit-log.json"),
    (&PERCONA, "audit-log.csv"),
    (&PERCONA, "audit-log-old.xml"),
    (&PERCONA, "audit-log-new.xml"),
    (&PERCONA, "audit-log-filter.json"),
    (&PERCONA, "audit-log-filter-lines.json"),
    (&PERCONA, "audit-log-filter.xml"),
    (&TAURUS, "audit.csv"),
];

/// Beside `audit-log.json` there is an `audit-log.csv`, and so on: each has expectations of its
/// own.
#[test]
fn every_file_gives_the_events_beside_it() {
    for (source, name) in FILES {
        let path = source.capture(name);
        let beside = source.capture(&name.replace('.', "-"));
        source.check_beside(&beside, &requests(&path));
    }
}

fn read(source: &Source, name: &str) -> Vec<u8> {
    std::fs::read(source.capture(name)).unwrap()
}

#[test]
fn records_joined_by_line_feeds_are_the_file() {
    for (source, name) in FILES {
        let content = read(source, name);
        let mut joined = Vec::new();
        for item in source.parse(&content, &mut 0).unwrap() {
            joined.extend(match item {
                Item::Event(event) => event.raw,
                Item::Rejected(rejected) => rejected.raw,
                Item::Skipped(why) => panic!("{why}"),
            });
            joined.push(b'\n');
        }
        let joined = String::from_utf8(joined).unwrap();
        let content = String::from_utf8(content).unwrap();
        assert_eq!(joined.trim_end(), content.trim_end(), "{name}");
    }
}

#[test]
fn a_growing_file_gives_the_same_records() {
    for (source, name) in FILES {
        let content = read(source, name);
        let ids = |body: &[u8]| {
            source
                .parse(body, &mut 0)
                .unwrap()
                .into_iter()
                .filter_map(|item| match item {
                    Item::Event(event) => event.origin.key,
                    _ => None,
                })
                .collect::<Vec<String>>()
        };
        let expected = ids(&content);
        assert!(expected.len() >= 3, "{name}");
        for (step, quiet) in [(17, false), (100, true), (5000, false)] {
            let (mut at, mut end, mut found) = (0, 0, Vec::new());
            while end < content.len() {
                end = (end + step).min(content.len());
                let follows = match (end == content.len(), quiet) {
                    (true, _) => Continuation::Nothing,
                    (false, true) => Continuation::Quiet,
                    (false, false) => Continuation::More,
                };
                let whole = source.format().complete_bytes(&content[at..end], follows);
                found.extend(ids(&content[at..at + whole]));
                at += whole;
            }
            assert_eq!(found, expected, "{name} {step}");
        }
    }
}

#[test]
fn perconas_formats_agree() {
    let of = |name: &str| {
        let events = PERCONA.events(read(&PERCONA, name));
        let of_event = |event: Event| {
            (
                event.action,
                event.operation,
                event.outcome,
                event.actor,
                event.resource,
                event.description,
                event.origin.key,
            )
        };
        events.into_iter().map(of_event).collect::<Vec<_>>()
    };
    assert_eq!(of("audit-log-old.xml"), of("audit-log-new.xml"));
    assert_eq!(of("audit-log-filter.json"), of("audit-log-filter-lines.json"));
    assert_eq!(of("audit-log.csv")[..2], of("audit-log.json")[..2]);
}

/// A record of MySQL's JSON with these members.
fn json(more: &str) -> String {
    format!(r#"{{"timestamp":"2026-11-20 18:00:01","id":1,"connection_id":11,{more}}}"#)
}

#[test]
fn records_mean_operations_classes_and_severities() {
    use Class::{Operation as Ordinary, Security};
    use OutcomeKind::{Failure, Success, Unknown};
    let statement = |command: &str, query: &str, status: u32| {
        format!(
            r#""class":"general","event":"status","general_data":{{"command":"Query","sql_command":"{command}","query":"{query}","status":{status}}}"#
        )
    };
    for (more, action, operation, class, severity, outcome) in [
        (
            r#""class":"audit","event":"startup""#.to_owned(),
            "startup",
            Operation::Configure,
            Security,
            1,
            Success,
        ),
        (
            r#""class":"audit","event":"shutdown""#.to_owned(),
            "shutdown",
            Operation::Configure,
            Security,
            4,
            Success,
        ),
        (
            r#""class":"connection","event":"connect","connection_data":{"status":0}"#.to_owned(),
            "connect",
            Operation::Login,
            Security,
            1,
            Success,
        ),
        (
            r#""class":"connection","event":"connect","connection_data":{"status":1045}"#.to_owned(),
            "connect",
            Operation::Login,
            Security,
            3,
            Failure,
        ),
        (
            r#""class":"connection","event":"change_user","connection_data":{"status":0}"#.to_owned(),
            "change_user",
            Operation::Login,
            Security,
            1,
            Success,
        ),
        (
            r#""class":"connection","event":"disconnect""#.to_owned(),
            "disconnect",
            Operation::Logout,
            Security,
            1,
            Success,
        ),
        (
            r#""class":"table_access","event":"read""#.to_owned(),
            "read",
            Operation::Read,
            Ordinary,
            1,
            Unknown,
        ),
        (
            r#""class":"table_access","event":"delete""#.to_owned(),
            "delete",
            Operation::Delete,
            Ordinary,
            1,
            Unknown,
        ),
        (
            r#""class":"authentication","event":"authid_create""#.to_owned(),
            "authid_create",
            Operation::Grant,
            Security,
            1,
            Unknown,
        ),
        (r#""class":"message","event":"user""#.to_owned(), "user", Operation::Other, Ordinary, 1, Unknown),
        (
            r#""class":"query","event":"query_start","query_data":{"query":"DROP TABLE t","status":0}"#
                .to_owned(),
            "query_start",
            Operation::Other,
            Ordinary,
            1,
            Success,
        ),
        (statement("select", "SELECT 1", 0), "select", Operation::Read, Ordinary, 1, Success),
        (statement("delete", "DELETE FROM t", 1142), "delete", Operation::Delete, Security, 3, Failure),
        (statement("drop_table", "", 0), "drop_table", Operation::Delete, Ordinary, 2, Success),
        (statement("create_user", "CREATE USER u", 0), "create_user", Operation::Grant, Security, 1, Success),
        (statement("error", "SELEC", 1064), "error", Operation::Other, Ordinary, 2, Failure),
        (
            statement("set_option", "SET GLOBAL audit_log_disable = ON", 0),
            "set_option",
            Operation::Configure,
            Security,
            4,
            Success,
        ),
        (
            statement("set_option", "SET GLOBAL audit_log_disable = ON", 1227),
            "set_option",
            Operation::Configure,
            Security,
            3,
            Failure,
        ),
        (
            statement("select", "SELECT audit_log_filter_remove_user('%')", 0),
            "select",
            Operation::Configure,
            Security,
            1,
            Success,
        ),
    ] {
        let event = MYSQL.event(json(&more));
        assert_eq!(
            (
                event.action.as_str(),
                event.operation,
                event.class,
                event.severity.level(),
                event.outcome.kind,
            ),
            (action, operation, class, severity, outcome),
            "{more}"
        );
    }
    let prepared = statement("prepare_sql", "DROP TABLE t", 0).replace("Query", "Prepare");
    assert_eq!(MYSQL.event(json(&prepared)).operation, Operation::Other);
}

#[test]
fn fields_become_members() {
    let event = MYSQL.event(json(
        r#""class":"table_access","event":"insert","account":{"user":"al","host":"h"},"login":{"user":"bo","os":"x","ip":"10.0.0.4","proxy":""},
        "table_access_data":{"db":"shop","table":"orders","query":"INSERT INTO orders VALUES (1)","sql_command":"insert"},
        "connection_data":{"connection_attributes":{"program_name":"app"}},"query_statistics":{"query_time":0.1}"#,
    ));
    assert_eq!((event.actor.name.as_deref(), event.actor.kind), (Some("al"), ActorKind::User));
    assert_eq!(event.source_ip.unwrap().address.to_string(), "10.0.0.4");
    assert_eq!(event.user_agent.as_deref(), Some("app"));
    assert_eq!(
        (event.resource.kind.as_deref(), event.resource.name.as_deref()),
        (Some("table"), Some("shop.orders"))
    );
    assert_eq!(event.origin.key.as_deref(), Some("2026-11-20 18:00:01/1/insert"));
    for (name, value) in [
        ("login_user", "bo"),
        ("os_user", "x"),
        ("host", "h"),
        ("class", "table_access"),
        ("connection_id", "11"),
        ("query_time", "0.1"),
    ] {
        assert_eq!(event.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    let user = |text: &str| {
        PERCONA.event(format!(r#"{{"audit_record":{{"name":"Query","record":"1_x","timestamp":"2026-11-20T18:41:41 UTC","command_class":"select","status":0,"sqltext":"SELECT 1","user":"{text}","host":"","ip":""}}}}"#))
    };
    let proxied = user("priv[login] @ h [::1]");
    assert_eq!(
        (proxied.actor.name.as_deref(), proxied.attributes["login_user"].as_str()),
        (Some("priv"), "login")
    );
    assert_eq!(
        (
            proxied.source_ip.unwrap().address.to_string().as_str(),
            proxied.attributes["host"].as_str()
        ),
        ("::1", "h")
    );
}

fn event_with(source: &Source, options: &Options, body: &str) -> Event {
    let request = Request { body: body.as_bytes().to_vec(), ..Request::default() };
    let parsed = source.parse_as(&request, options, &mut 0).unwrap();
    let [Item::Event(event)] = &parsed[..] else { panic!("{parsed:?}") };
    *event.clone()
}

#[test]
fn times_without_a_zone_are_utc_in_json_and_local_in_xml() {
    let berlin =
        Options { time_zone: Some(Zone::parse("Europe/Berlin").unwrap()), ..Options::default() };
    let of = |source, body: &str| {
        let event = event_with(source, &berlin, body);
        (event.occurred_at.to_string(), event.attributes.contains_key("time_zone"))
    };
    let xml = |time: &str| {
        format!("<AUDIT_RECORD><NAME>Ping</NAME><TIMESTAMP>{time}</TIMESTAMP></AUDIT_RECORD>")
    };
    let utc = ("2026-11-20T18:00:01.000000000Z".to_owned(), false);
    assert_eq!(of(&MYSQL, &json(r#""class":"general","event":"status""#)), utc);
    for time in ["2026-11-20T18:00:01 UTC", "2026-11-20T18:00:01Z"] {
        assert_eq!(of(&MYSQL, &xml(time)), utc);
    }
    assert_eq!(
        of(&PERCONA, &xml("2026-07-20T18:00:01")),
        ("2026-07-20T16:00:01.000000000Z".to_owned(), true)
    );
    assert_eq!(
        of(&PERCONA, &xml("2026-11-20T18:00:01")),
        ("2026-11-20T17:00:01.000000000Z".to_owned(), true)
    );
}

#[test]
fn record_ids_are_keys_and_have_no_gaps() {
    let sequence = |source: &Source, event: &Event| source.format().sequence(event);
    let events = PERCONA.events(read(&PERCONA, "audit-log-old.xml"));
    for (number, event) in (1..).zip(&events) {
        let expected = Sequence { stream: "2026-11-20T18:39:14".to_owned(), number };
        assert_eq!(sequence(&PERCONA, event), Some(expected));
        assert_eq!(
            event.origin.key.as_deref(),
            Some(format!("{number}_2026-11-20T18:39:14").as_str())
        );
    }
    assert_eq!(sequence(&MYSQL, &MYSQL.event(json(r#""class":"general","event":"status""#))), None);
}

#[test]
fn secrets_are_struck_out_of_every_form() {
    let raw_of = |source: &Source, line: &str| {
        let options = Options { secrets: Secrets::RedactRaw, ..Options::default() };
        let event = event_with(source, &options, line);
        assert_eq!(event.attributes["redacted"], "password", "{line}");
        assert!(!format!("{:?}", event.description).contains("S3"), "{line}");
        assert_eq!(event.raw.len(), line.len());
        String::from_utf8(event.raw).unwrap()
    };
    let line = json(
        r#""class":"general","event":"status","general_data":{"query":"SET PASSWORD = \"S3\\\"C\"","status":0}"#,
    );
    assert_eq!(raw_of(&MYSQL, &line), line.replace(r#"S3\\\"C"#, "*******"));
    let line = "<AUDIT_RECORD><NAME>Query</NAME><TIMESTAMP>2026-11-20T18:00:01Z</TIMESTAMP><SQLTEXT>SET PASSWORD = &apos;S3&amp;C&apos;</SQLTEXT></AUDIT_RECORD>";
    assert_eq!(raw_of(&MYSQL, line), line.replace("S3&amp;C", "********"));
    let line = "<AUDIT_RECORD\n NAME=\"Query\" TIMESTAMP=\"2026-11-20T18:00:01Z\" SQLTEXT=\"SET PASSWORD = &quot;S3&#10;C&quot;\"/>";
    assert_eq!(raw_of(&PERCONA, line), line.replace("S3&#10;C", "********"));
    let line = r#""Query","1_x","2026-11-20T18:41:41Z","set_password","13",0,"SET PASSWORD = ""S3'C""","a[a] @  []","","","","""#;
    assert_eq!(raw_of(&PERCONA, line), line.replace("S3'C", "****"));
    let line = "\"1_x\",\"77\",\"0\",\"Query\",\"2026-11-20T18:00:00Z\",\"alter_user\",\"ALTER USER u IDENTIFIED BY 'S3\nC'\",\"\",\"\",\"\",\"\",\"\"";
    assert_eq!(raw_of(&TAURUS, line), line.replace("S3\nC", "****"));
}

#[test]
fn csv_columns_follow_from_the_kind_of_record() {
    let connect = PERCONA.event(
        r#""Connect","1_x","2026-11-20T18:41:41Z","12",0,"al","al","","","h","10.0.0.7","shop""#,
    );
    assert_eq!((connect.operation, connect.actor.name.as_deref()), (Operation::Login, Some("al")));
    assert_eq!(connect.attributes["connection_id"], "12");
    let query = PERCONA
        .event(r#""Query","1_x","2026-11-20T18:41:41Z","","12",0,"SELECT 1","al[al] @  []","","","","shop""#);
    assert_eq!((query.operation, query.actor.name.as_deref()), (Operation::Read, Some("al")));
}

#[test]
fn the_line_of_names_belongs_to_the_first_record() {
    let content = String::from_utf8(read(&TAURUS, "audit.csv")).unwrap();
    let (header, rest) = content.split_once('\n').unwrap();
    let events = TAURUS.events(&content);
    assert!(String::from_utf8_lossy(&events[0].raw).starts_with(header));
    assert_eq!(events.len(), TAURUS.events(rest).len());
    let quoted = format!("\"{}\"\r\n{rest}", header.replace(',', "\",\""));
    assert_eq!(TAURUS.events(&quoted).len(), events.len());
    assert_eq!(TAURUS.reasons(header), ["a line of names without records"]);
    let lines = r#"{"logType":"audit_log","record_id":"2","connection_id":"112","connection_status":"0","name":"Query","timestamp":"2026-11-20T06:35:46 UTC","command_class":"show_tables","sqltext":"show tables","user":"root[root] @  [10.0.0.1]","host":"","external_user":"","ip":"10.0.0.1","default_db":""}"#;
    let event = TAURUS.event(lines);
    assert_eq!((event.action.as_str(), event.operation), ("show_tables", Operation::Read));
    assert_eq!(event.origin.key.as_deref(), Some("2"));
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = json(r#""class":"general","event":"status""#);
    let large = json(&format!(r#""x":"{}""#, "y".repeat(256 * 1024)));
    let deep = json(&format!(r#""x":{}1{}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000)));
    for (bad, why) in [
        ("{}", "not a time"),
        (r#"{"timestamp":"x"}"#, "not a time"),
        (r#"{"timestamp":"2026-13-20 18:00:01"}"#, "not a time"),
        (r#"{"timestamp":"2026-11-20 18:00:01"}"#, "neither name"),
        (r#"{"timestamp":1,"timestamp":2}"#, "twice"),
        (r#"{"timestamp":"2026-11-20 18:00:01","db":"a","default_db":"b"}"#, "twice"),
        (r#"{"a":"cut"#, "breaks off"),
        ("garbage", "not a JSON object"),
        (&large, "event_too_large"),
        (&deep, "event_too_large"),
    ] {
        let body = format!("[\n{good},\n{bad}\n{good}\n]\n");
        let reasons = MYSQL.reasons(&body);
        assert_eq!(reasons.len(), 3, "{bad:.80}: {reasons:.300?}");
        assert!(reasons[1].contains(why), "{bad:.80}: {}", reasons[1]);
        assert_eq!((reasons[0].as_str(), reasons[2].as_str()), ("event status", "event status"));
    }
    let csv = r#""Query","1_x","2026-11-20T18:41:41Z","select","12",0,"SELECT 1","","","","","""#;
    for bad in
        [r#""Query","1_x""#, r#""Query","1_x","2026-11-20T18:41:41Z","select","12",0,"cut"#, "x"]
    {
        let reasons = PERCONA.reasons(format!("{csv}\n{bad}\n{csv}\n"));
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert!(reasons[1].contains("quotes"), "{reasons:?}");
    }
}

#[test]
fn too_many_records_are_refused_and_none_are_nothing() {
    assert!(matches!(
        MYSQL.parse("{}\n".repeat(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    for empty in ["", "[\n]\n", "<AUDIT>\n</AUDIT>\n", "\n\n"] {
        assert_eq!(MYSQL.parse(empty.as_bytes(), &mut 0), Ok(Vec::new()), "{empty}");
    }
}

#[test]
fn keys_are_of_one_record_each() {
    for (source, name) in FILES {
        let parsed = source.parse(&read(source, name), &mut 0).unwrap();
        let mut keys: Vec<String> = parsed
            .into_iter()
            .filter_map(|item| match item {
                Item::Event(event) => event.origin.key,
                _ => None,
            })
            .collect();
        let records = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), records, "{name}");
    }
}
