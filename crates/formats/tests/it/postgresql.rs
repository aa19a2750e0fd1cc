//! Every captured record of PostgreSQL's two logs, with the expected event beside it, and the
//! meaning of messages.

use event::{ActorKind, Class, Event, EventId, Operation, OutcomeKind, Service, Severity, Trail};
use formats::{
    Context, Continuation, FilePosition, Format, Item, Options, Secrets, Sequence, Zone,
};

use crate::golden::{RECEIVED_AT, Request, Source, requests};

const CSV: Source = Source { format: "postgresql-csvlog", service: Service::Database, name: "db" };
const JSON: Source =
    Source { format: "postgresql-jsonlog", service: Service::Database, name: "db" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    for (source, name) in [(CSV, "statements.csv"), (CSV, "restart.csv"), (JSON, "restart.json")] {
        let path = source.capture(name);
        source.check(&path, &requests(&path));
    }
}

fn captured(source: &Source, name: &str) -> Vec<Event> {
    source.events(std::fs::read(source.capture(name)).unwrap())
}

#[test]
fn both_logs_agree() {
    for name in ["statements", "restart"] {
        let of = |source: &Source, extension: &str| {
            let mut events = captured(source, &format!("{name}.{extension}"));
            events.sort_by_key(|event| event.origin.key.clone());
            events
                .into_iter()
                .map(|event| Event {
                    id: EventId::v7(RECEIVED_AT, [0; 10]),
                    raw: Vec::new(),
                    origin: event::Origin { format: String::new(), ..event.origin },
                    ..event
                })
                .collect::<Vec<_>>()
        };
        let (csv, json) = (of(&CSV, "csv"), of(&JSON, "json"));
        assert_eq!(csv.len(), json.len());
        for (csv, json) in csv.into_iter().zip(json) {
            assert_eq!(csv, json);
        }
    }
}

#[test]
fn records_joined_by_line_feeds_are_the_file() {
    for (source, name) in [(CSV, "statements.csv"), (CSV, "restart.csv"), (JSON, "statements.json")]
    {
        let content = std::fs::read(source.capture(name)).unwrap();
        let mut joined = Vec::new();
        for event in captured(&source, name) {
            joined.extend_from_slice(&event.raw);
            joined.push(b'\n');
        }
        assert_eq!(joined, content);
    }
}

#[test]
fn keys_are_sessions_and_lines_without_gaps() {
    let events = captured(&CSV, "statements.csv");
    let mut next = std::collections::BTreeMap::new();
    for event in &events {
        let Sequence { stream, number } = CSV.format().sequence(event).unwrap();
        assert_eq!(event.origin.key.as_deref(), Some(format!("{stream}/{number}").as_str()));
        let expected = next.entry(stream).or_insert(1);
        assert_eq!(number, *expected);
        *expected += 1;
    }
    let of_json = captured(&JSON, "restart.json");
    assert_eq!(
        JSON.format().sequence(&of_json[5]).unwrap(),
        Sequence { stream: "6b00959e.235a".to_owned(), number: 1 }
    );
}

/// A record of the CSV log with these columns; the others as they are for a session.
fn record(
    severity: &str,
    state: &str,
    message: &str,
    more: &str,
    statement: &str,
    tag: &str,
) -> String {
    let quoted = |text: &str| {
        if text.is_empty() { String::new() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
    };
    format!(
        "2026-11-20 18:10:58.412 UTC,\"ro\",\"shop\",22611,\"192.0.2.7:49952\",6b008d32.5853,7,{},2026-11-20 18:10:58 UTC,6/4,0,{severity},{state},{},{more},{},,,\"app\",\"client backend\",,0",
        quoted(tag),
        quoted(message),
        quoted(statement)
    )
}

/// Columns from `detail` to `context` that are empty.
const NO_MORE: &str = ",,,,";

fn log(message: &str) -> Event {
    CSV.event(record("LOG", "00000", message, NO_MORE, "", "idle"))
}

fn error(severity: &str, state: &str, message: &str, statement: &str, tag: &str) -> Event {
    CSV.event(record(severity, state, message, NO_MORE, statement, tag))
}

#[test]
fn audited_statements_mean_what_class_command_and_text_say() {
    use Class::{Operation as Ordinary, Security};
    for (rest, operation, class, severity) in [
        ("READ,SELECT,TABLE,public.t,SELECT 1", Operation::Read, Ordinary, 1),
        ("READ,COPY,,,COPY t TO STDOUT", Operation::Read, Ordinary, 1),
        ("WRITE,COPY,,,COPY t FROM STDIN", Operation::Update, Ordinary, 1),
        ("WRITE,INSERT,TABLE,public.t,INSERT INTO t VALUES (1)", Operation::Update, Ordinary, 1),
        (
            "WRITE,DELETE,TABLE,public.t,WITH a AS (SELECT 1) DELETE FROM t",
            Operation::Delete,
            Ordinary,
            2,
        ),
        ("WRITE,TRUNCATE TABLE,,,TRUNCATE t", Operation::Delete, Ordinary, 2),
        ("DDL,CREATE TABLE,TABLE,public.t,CREATE TABLE t()", Operation::Create, Ordinary, 1),
        ("DDL,DROP TABLE,TABLE,public.t,DROP TABLE t", Operation::Delete, Ordinary, 2),
        ("DDL,ALTER TABLE,TABLE,public.t,ALTER TABLE t ADD a int", Operation::Update, Ordinary, 1),
        ("ROLE,GRANT,TABLE,,GRANT SELECT ON t TO r", Operation::Grant, Security, 1),
        ("ROLE,CREATE ROLE,,,CREATE ROLE r PASSWORD <REDACTED>", Operation::Grant, Security, 1),
        ("ROLE,DROP ROLE,,,DROP ROLE r", Operation::Grant, Security, 1),
        ("FUNCTION,DO,,,DO $$ BEGIN END $$", Operation::Exec, Ordinary, 1),
        ("FUNCTION,EXECUTE,FUNCTION,public.f,SELECT f()", Operation::Exec, Ordinary, 1),
        ("MISC,BEGIN,,,BEGIN", Operation::Other, Ordinary, 1),
        ("MISC,???,VIEW,public.v,SELECT * FROM v", Operation::Other, Ordinary, 1),
        ("MISC,SET,,,SET search_path = a", Operation::Other, Ordinary, 1),
        ("MISC,SET,,,SET pgaudit.log = 'none'", Operation::Configure, Security, 4),
        ("MISC,SET,,,SET pgaudit.log = 'all'", Operation::Configure, Security, 1),
        (
            "MISC,ALTER SYSTEM,,,ALTER SYSTEM SET work_mem = '1MB'",
            Operation::Configure,
            Ordinary,
            1,
        ),
        (
            "MISC,ALTER SYSTEM,,,ALTER SYSTEM SET pgaudit.log = 'none'",
            Operation::Configure,
            Security,
            4,
        ),
        (
            "ROLE,ALTER ROLE,,,ALTER ROLE r SET pgaudit.log = 'none'",
            Operation::Configure,
            Security,
            4,
        ),
        ("DDL,DROP EXTENSION,,,DROP EXTENSION pgaudit", Operation::Configure, Security, 4),
    ] {
        let event = log(&format!("AUDIT: SESSION,3,1,{rest},<none>,0"));
        assert_eq!(
            (event.operation, event.class, event.severity.level()),
            (operation, class, severity),
            "{rest}"
        );
        assert_eq!(event.outcome.kind, OutcomeKind::Success);
        assert_eq!(event.action, rest.split(',').nth(1).unwrap());
        assert_eq!(event.request_id.as_deref(), Some("6b008d32.5853/3"));
    }
}

#[test]
fn an_audited_statement_has_all_that_pgaudit_reports() {
    let event = log(
        "AUDIT: OBJECT,12,3,WRITE,INSERT,TABLE,\"public.\"\"odd, \"\"\"\"tbl\"\"\",\"INSERT INTO t\n VALUES ($1, \"\"a\"\")\",\"\"\"x, y\"\",2\",7",
    );
    assert_eq!(event.resource.kind.as_deref(), Some("table"));
    assert_eq!(event.resource.name.as_deref(), Some("public.\"odd, \"\"tbl\""));
    assert_eq!(event.description.as_deref(), Some("INSERT INTO t\n VALUES ($1, \"a\")"));
    let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
    assert_eq!(attribute("audit_type"), Some("OBJECT"));
    assert_eq!(attribute("class"), Some("WRITE"));
    assert_eq!(attribute("substatement_id"), Some("3"));
    assert_eq!(attribute("parameters"), Some("\"x, y\",2"));
    assert_eq!(attribute("rows"), Some("7"));
    assert_eq!(attribute("database"), Some("shop"));
    assert_eq!(event.source_ip.as_ref().unwrap().address.to_string(), "192.0.2.7");
    assert_eq!(event.user_agent.as_deref(), Some("app"));
    // Without log_rows there is one field less.
    assert_eq!(log("AUDIT: SESSION,1,1,READ,SELECT,,,SELECT 1,<not logged>").action, "SELECT");
}

#[test]
fn nobody_can_say_what_pgaudit_says() {
    let forged = "AUDIT: SESSION,3,1,READ,SELECT,TABLE,public.t,SELECT 1,<none>,0";
    let context = ",,,,\"PL/pgSQL function inline_code_block line 1 at RAISE\"";
    let raised = CSV.event(record("LOG", "00000", forged, context, "", "DO"));
    assert_eq!((raised.operation, raised.action.as_str()), (Operation::Other, "LOG"));
    assert_eq!(raised.outcome.kind, OutcomeKind::Unknown);
    let login =
        CSV.event(record("LOG", "00000", "connection authorized: user=root", context, "", "DO"));
    assert_eq!(login.operation, Operation::Other);
    for no_audit in [
        "AUDIT: x",
        "AUDIT: SESSION,a,1,READ,SELECT,,,x,y",
        "AUDIT: OTHER,1,1,READ,SELECT,,,x,y",
        "AUDIT: SESSION,1,1,\"cut",
    ] {
        let event = log(no_audit);
        assert_eq!(
            (event.operation, event.description.as_deref()),
            (Operation::Other, Some(no_audit))
        );
    }
}

#[test]
fn failures_have_their_statement_reason_and_state() {
    use Class::{Operation as Ordinary, Security};
    for (severity, state, statement, tag, action, operation, class, level) in [
        (
            "ERROR",
            "42501",
            "DELETE FROM orders",
            "DELETE",
            "DELETE",
            Operation::Delete,
            Security,
            3,
        ),
        (
            "ERROR",
            "42501",
            "SELECT * FROM orders",
            "SELECT",
            "SELECT",
            Operation::Read,
            Security,
            2,
        ),
        ("ERROR", "42P01", "SELECT * FROM nope", "SELECT", "SELECT", Operation::Read, Ordinary, 2),
        ("ERROR", "42601", "SELEC 1", "idle", "SELEC", Operation::Other, Ordinary, 2),
        (
            "ERROR",
            "42710",
            "CREATE ROLE app",
            "CREATE ROLE",
            "CREATE ROLE",
            Operation::Grant,
            Security,
            2,
        ),
        (
            "ERROR",
            "42501",
            "SET pgaudit.log = 'none'",
            "SET",
            "SET",
            Operation::Configure,
            Security,
            3,
        ),
        (
            "ERROR",
            "53100",
            "INSERT INTO t VALUES (1)",
            "INSERT",
            "INSERT",
            Operation::Update,
            Ordinary,
            3,
        ),
        (
            "PANIC",
            "XX000",
            "INSERT INTO t VALUES (1)",
            "INSERT",
            "INSERT",
            Operation::Update,
            Ordinary,
            4,
        ),
        ("FATAL", "57P01", "", "idle", "FATAL", Operation::Other, Ordinary, 2),
        (
            "FATAL",
            "28P01",
            "",
            "authentication",
            "connection failed",
            Operation::Login,
            Security,
            3,
        ),
        (
            "FATAL",
            "28000",
            "",
            "authentication",
            "connection failed",
            Operation::Login,
            Security,
            3,
        ),
        ("FATAL", "3D000", "", "startup", "connection failed", Operation::Login, Security, 3),
        ("FATAL", "53300", "", "startup", "connection failed", Operation::Login, Security, 3),
    ] {
        let event = error(severity, state, "no \"way\"", statement, tag);
        assert_eq!(
            (event.action.as_str(), event.operation, event.class, event.severity.level()),
            (action, operation, class, level),
            "{severity} {state} {statement}"
        );
        assert_eq!(event.outcome.kind, OutcomeKind::Failure);
        assert_eq!(event.outcome.reason.as_deref(), Some("no \"way\""));
        assert_eq!(event.attributes["sql_state"], state);
        assert_eq!(
            event.description.as_deref(),
            Some(if statement.is_empty() { "no \"way\"" } else { statement })
        );
    }
}

#[test]
fn sessions_settings_and_logged_statements() {
    use Class::{Operation as Ordinary, Security};
    use OutcomeKind::{Success, Unknown};
    for (message, action, operation, class, severity, outcome) in [
        (
            "connection received: host=::1 port=1",
            "connection received",
            Operation::Other,
            Ordinary,
            1,
            Unknown,
        ),
        (
            "connection authenticated: identity=\"a\" method=md5",
            "connection authenticated",
            Operation::Other,
            Security,
            1,
            Unknown,
        ),
        (
            "connection authorized: user=a database=b",
            "connection authorized",
            Operation::Login,
            Security,
            1,
            Success,
        ),
        (
            "replication connection authorized: user=a",
            "replication connection authorized",
            Operation::Login,
            Security,
            1,
            Success,
        ),
        (
            "disconnection: session time: 0:00:00.047 user=a",
            "disconnection",
            Operation::Logout,
            Security,
            1,
            Success,
        ),
        (
            "parameter \"work_mem\" changed to \"8MB\"",
            "parameter changed",
            Operation::Configure,
            Ordinary,
            1,
            Success,
        ),
        (
            "parameter \"pgaudit.log\" changed to \"none\"",
            "parameter changed",
            Operation::Configure,
            Security,
            4,
            Success,
        ),
        (
            "parameter \"pgaudit.log\" removed from configuration file, reset to default",
            "parameter changed",
            Operation::Configure,
            Security,
            1,
            Success,
        ),
        (
            "received SIGHUP, reloading configuration files",
            "LOG",
            Operation::Configure,
            Ordinary,
            1,
            Unknown,
        ),
        ("statement: DROP TABLE t", "DROP", Operation::Delete, Ordinary, 1, Unknown),
        (
            "duration: 0.2 ms  statement: DROP TABLE t",
            "DROP",
            Operation::Delete,
            Ordinary,
            2,
            Success,
        ),
        (
            "duration: 0.2 ms  execute <unnamed>: SELECT $1",
            "SELECT",
            Operation::Read,
            Ordinary,
            1,
            Success,
        ),
        ("checkpoint starting: time", "LOG", Operation::Other, Ordinary, 1, Unknown),
    ] {
        let event = log(message);
        assert_eq!(
            (
                event.action.as_str(),
                event.operation,
                event.class,
                event.severity.level(),
                event.outcome.kind
            ),
            (action, operation, class, severity, outcome),
            "{message}"
        );
    }
    let changed = log("parameter \"work_mem\" changed to \"8MB\"");
    assert_eq!(
        (changed.resource.kind.as_deref(), changed.resource.name.as_deref()),
        (Some("setting"), Some("work_mem"))
    );
    assert_eq!(log("duration: 0.2 ms  statement: SELECT 1").attributes["duration"], "0.2 ms");
    let warning = error("WARNING", "01000", "there is no transaction in progress", "", "idle");
    assert_eq!((warning.severity, warning.outcome.kind), (Severity::MINOR, Unknown));
}

#[test]
fn actors_and_hosts() {
    let line = |user: &str, host: &str, backend: &str| {
        CSV.event(format!("2026-11-20 18:10:58.412 UTC,{user},,1,{host},a.b,7,,,,0,LOG,00000,\"x\",,,,,,,,,\"\",\"{backend}\",,0"))
    };
    assert_eq!(line("", "", "checkpointer").actor.kind, ActorKind::System);
    assert_eq!(line("", "\"192.0.2.7:1\"", "not initialized").actor.kind, ActorKind::Anonymous);
    assert_eq!(line("\"a\"", "\"[local]\"", "client backend").actor.kind, ActorKind::User);
    let local = line("\"a\"", "\"[local]\"", "client backend");
    assert_eq!((local.source_ip, local.attributes["host"].as_str()), (None, "[local]"));
    let v6 = line("\"a\"", "\"2001:db8::1:5432\"", "client backend");
    assert_eq!(v6.source_ip.unwrap().address.to_string(), "2001:db8::1");
    let named = line("\"a\"", "\"app.example.com:5432\"", "client backend");
    assert_eq!(
        (named.attributes["host"].as_str(), named.attributes["remote_port"].as_str()),
        ("app.example.com", "5432")
    );
}

fn event_with(source: &Source, options: &Options, body: &[u8]) -> Event {
    let request = Request { body: body.to_vec(), ..Request::default() };
    let parsed = source.parse_as(&request, options, &mut 0).unwrap();
    let [Item::Event(event)] = &parsed[..] else { panic!("{parsed:?}") };
    *event.clone()
}

#[test]
fn only_abbreviations_that_mean_one_offset_are_trusted() {
    let berlin =
        Options { time_zone: Some(Zone::parse("Europe/Berlin").unwrap()), ..Options::default() };
    let utc = record("LOG", "00000", "x", NO_MORE, "", "idle");
    for (zone, options, expected, attribute) in [
        ("UTC", &berlin, "2026-11-20T18:10:58.412000000Z", None),
        ("GMT", &berlin, "2026-11-20T18:10:58.412000000Z", None),
        ("+08", &berlin, "2026-11-20T10:10:58.412000000Z", None),
        ("-0330", &berlin, "2026-11-20T21:40:58.412000000Z", None),
        ("CET", &berlin, "2026-11-20T17:10:58.412000000Z", Some("time_zone")),
        ("CST", &Options::default(), "2026-11-20T18:10:58.412000000Z", Some("time_zone_assumed")),
    ] {
        let event = event_with(&CSV, options, utc.replacen("UTC", zone, 1).as_bytes());
        assert_eq!(event.occurred_at.to_string(), expected, "{zone}");
        assert_eq!(
            attribute.is_some(),
            event.attributes.contains_key("zone_abbreviation"),
            "{zone}"
        );
        for name in ["time_zone", "time_zone_assumed"] {
            assert_eq!(event.attributes.contains_key(name), attribute == Some(name), "{zone}");
        }
    }
}

#[test]
fn passwords_of_failed_statements_are_struck_out() {
    let all = captured(&CSV, "restart.csv");
    let failed = all.iter().find(|event| event.action == "CREATE ROLE").unwrap();
    assert_eq!(failed.description.as_deref(), Some("CREATE ROLE app LOGIN PASSWORD '*****'"));
    assert_eq!(failed.attributes["redacted"], "password");
    assert!(String::from_utf8_lossy(&failed.raw).contains("leak-me-42"));
    let mistyped = error(
        "ERROR",
        "42601",
        "syntax error at or near \"S3CRET\"",
        "ALTER ROLE r PASSWORD S3CRET",
        "idle",
    );
    assert_eq!(mistyped.outcome.reason.as_deref(), Some("syntax error at or near \"*****\""));
}

#[test]
fn redact_raw_strikes_the_original_of_either_log() {
    let raw_of = |source: &Source, line: &str| {
        let options = Options { secrets: Secrets::RedactRaw, ..Options::default() };
        let event = event_with(source, &options, line.as_bytes());
        assert_eq!(event.attributes["redacted"], "password");
        assert_eq!(event.raw.len(), line.len());
        String::from_utf8(event.raw).unwrap()
    };
    let message = "AUDIT: SESSION,1,1,MISC,SELECT,,,\"SELECT dblink('password=S3\"\"C')\",\"\"\"--password=S3CX\"\"\",0";
    let of_csv = record("LOG", "00000", message, NO_MORE, "", "SELECT");
    // The quote of the password is doubled by pgaudit, and these by the server; it ends the value.
    assert_eq!(raw_of(&CSV, &of_csv), of_csv.replace("S3CX", "****").replace("=S3", "=**"));
    let of_error = record(
        "ERROR",
        "42710",
        "role \"S3CX\"",
        NO_MORE,
        "CREATE ROLE \"a\" PASSWORD 'S3CX'",
        "idle",
    );
    assert_eq!(raw_of(&CSV, &of_error), of_error.replace("S3CX", "****"));
    let of_json = r#"{"timestamp":"2026-11-20 18:10:25.552 UTC","session_id":"a.b","line_num":1,"error_severity":"ERROR","message":"x\ty","context":"SQL statement \"ALTER ROLE \"r\" PASSWORD 'S3\u0043\\X'\"","statement":"DO $$\n$$"}"#;
    assert_eq!(raw_of(&JSON, of_json), of_json.replace(r"S3\u0043\\X", "***********"));
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = record("LOG", "00000", "fine", NO_MORE, "", "idle");
    let other = good.replacen(",7,", ",8,", 1);
    let large = record("LOG", "00000", &"y\n".repeat(200 * 1024), NO_MORE, "", "idle");
    let forged = format!("{}\n{}", &good[..160], good.replace('"', "\"\""));
    for (bad, why) in [
        (" ", "fields or quotes"),
        ("2026-11-20 18:10:58.412 UTC,\"a\"b", "fields or quotes"),
        ("2026-11-20 18:10:58.412 UTC,\"ro\",\"shop\"", "fields or quotes"),
        ("x\u{0}", "fields or quotes"),
        (&good.replacen("2026-11-20 18", "2026-11-20T18", 1), "fields or quotes"),
        (&good.replacen("2026-11-20", "2026-13-20", 1), "timestamp: "),
        (&good.replacen("6b008d32.5853,7", ",7", 1), "no session id"),
        (&good.replacen(",7,", ",x,", 1), "no session id"),
        (&large, "event_too_large"),
        (&forged, "fields or quotes"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{other}\n");
        let parsed = CSV.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(last)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:.1000?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!(String::from_utf8_lossy(&rejected.raw).trim_end(), bad.trim_end());
        assert_eq!((&first.raw[..], &last.raw[..]), (good.as_bytes(), other.as_bytes()));
    }
    for (bad, why) in [
        ("{}", "timestamp: "),
        ("{\"timestamp\":1}", "timestamp: "),
        ("[]", "not a JSON object"),
        ("{\"timestamp\":\"2026-11-20 18:10:25.552 UTC\"}", "no session id"),
        ("{\"message\":{}}", "must be a text"),
        ("{\"message\":\"a\",\"message\":\"b\"}", "twice"),
    ] {
        assert!(JSON.reasons(bad)[0].contains(why), "{bad}: {:?}", JSON.reasons(bad));
    }
}

#[test]
fn a_file_is_cut_between_records_only() {
    let content = std::fs::read(CSV.capture("statements.csv")).unwrap();
    let raws: Vec<Vec<u8>> =
        captured(&CSV, "statements.csv").into_iter().map(|event| event.raw).collect();
    let format: Format = CSV.format();
    for step in [700, 4096, 30_000] {
        let (mut at, mut end, mut found) = (0, 0, Vec::new());
        while at < content.len() {
            end = (end + step).min(content.len());
            let follows =
                if end == content.len() { Continuation::Nothing } else { Continuation::More };
            let whole = format.complete_bytes(&content[at..end], follows);
            found.extend(CSV.events(&content[at..at + whole]).into_iter().map(|event| event.raw));
            at += whole;
        }
        assert_eq!(found, raws, "{step}");
    }
}

#[test]
fn a_quote_that_never_closes_is_waited_for_with_a_limit() {
    let good = record("LOG", "00000", "fine", NO_MORE, "", "idle");
    let cut = &good[..good.find("fine").unwrap()];
    let format = CSV.format();
    let short = format!("{good}\n{cut}\nx\n");
    assert_eq!(format.complete_bytes(short.as_bytes(), Continuation::Quiet), good.len() + 1);
    let long = format!("{good}\n{cut}\n{}\n{}", "x".repeat(1024 * 1024), "y\n");
    assert_eq!(format.complete_bytes(long.as_bytes(), Continuation::More), long.len());
    let reasons = CSV.reasons(format!("{long}{good}\n"));
    assert_eq!(reasons[0], "event LOG");
    assert!(reasons[1].contains("quotes"), "{}", reasons[1]);
    assert_eq!(reasons[2], "event LOG");
}

#[test]
fn records_of_every_version_are_read() {
    let all = record("LOG", "00000", "fine", NO_MORE, "", "idle");
    for columns in [23, 24, 26] {
        let line = all.split(',').take(columns).collect::<Vec<_>>().join(",");
        assert_eq!(CSV.event(&line).action, "LOG", "{columns}");
    }
    assert_eq!(CSV.event(format!("{all},\"new\"")).action, "LOG");
    assert_eq!(CSV.event(&all).attributes["backend_type"], "client backend");
}

#[test]
fn invalid_utf8_is_flagged() {
    let line = record("LOG", "00000", "fine", NO_MORE, "", "idle").replacen("fine", "\u{1}", 1);
    let bytes: Vec<u8> = line.bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let event = CSV.event(&bytes);
    assert_eq!(event.attributes["invalid_utf8"], "true");
    assert_eq!((event.description.as_deref(), event.raw), (Some("\u{fffd}"), bytes));
}

#[test]
fn keys_do_not_depend_on_positions() {
    let trail = Trail::new(Service::Database, "acme", "p1", "db").unwrap();
    let options = Options::default();
    let mut new_id = || EventId::v7(RECEIVED_AT, [0; 10]);
    let mut context = Context::new("db", &trail, RECEIVED_AT, &mut new_id, &options);
    context.position = Some(FilePosition { file: "f", offset: 7 });
    let line = record("LOG", "00000", "fine", NO_MORE, "", "idle");
    let parsed = CSV.format().parse(line.as_bytes(), &mut context).unwrap();
    let [Item::Event(event)] = &parsed[..] else { panic!("{parsed:?}") };
    assert_eq!(event.origin.key.as_deref(), Some("6b008d32.5853/7"));
}
