//! Every captured line of the audit plugin, with the event expected of it beside it, and what
//! statements mean.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Service};
use formats::{EnvelopeError, Item, Options, Secrets, Zone};

use crate::golden::{Request, Source, requests};

const DB: Source = Source { format: "mariadb-audit", service: Service::Database, name: "db" };

const CAPTURES: [&str; 2] = ["statements.log", "audit-settings.log"];

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in CAPTURES {
        let path = DB.capture(name);
        DB.check(&path, &requests(&path));
    }
}

fn captured(name: &str) -> Vec<Event> {
    DB.events(std::fs::read(DB.capture(name)).unwrap())
}

#[test]
fn every_captured_line_is_one_event_with_its_bytes() {
    for name in CAPTURES {
        let content = std::fs::read(DB.capture(name)).unwrap();
        let raws: Vec<Vec<u8>> = captured(name).into_iter().map(|event| event.raw).collect();
        let lines: Vec<&[u8]> =
            content.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n').collect();
        assert_eq!(raws, lines);
    }
}

/// The record of one line with `rest` from its operation on.
fn event(rest: &str) -> Event {
    DB.event(format!("20261120 18:09:49,vm,al,192.0.2.7,4,16,{rest}"))
}

#[test]
fn records_mean_operations_classes_and_severities() {
    use Class::{Operation as Ordinary, Security};
    for (rest, operation, class, severity) in [
        ("CONNECT,shop,,0", Operation::Login, Security, 1),
        ("FAILED_CONNECT,,,1045", Operation::Login, Security, 3),
        ("DISCONNECT,,,0", Operation::Logout, Security, 1),
        ("CHANGE_USER,shop,`bo`,0", Operation::Login, Security, 1),
        ("AUDIT_CONFIG,shop,logging=OFF,0", Operation::Configure, Security, 4),
        ("AUDIT_CONFIG,shop,events=QUERY,0", Operation::Configure, Security, 1),
        ("READ,shop,t,", Operation::Read, Ordinary, 1),
        ("WRITE,shop,t,", Operation::Update, Ordinary, 1),
        ("CREATE,shop,t,", Operation::Create, Ordinary, 1),
        ("ALTER,shop,t,", Operation::Update, Ordinary, 1),
        ("RENAME,shop,t|shop.u,", Operation::Update, Ordinary, 1),
        ("DROP,shop,t,", Operation::Delete, Ordinary, 1),
        ("QUERY,shop,'SELECT 1',0", Operation::Read, Ordinary, 1),
        ("QUERY,shop,'SELECT * FROM t',1142", Operation::Read, Security, 2),
        ("QUERY,shop,'SELECT * FROM t',1146", Operation::Read, Ordinary, 2),
        ("QUERY,shop,'DELETE FROM t',0", Operation::Delete, Ordinary, 2),
        ("QUERY,shop,'DELETE FROM t',1142", Operation::Delete, Security, 3),
        ("QUERY,shop,'DROP TABLE t',1051", Operation::Delete, Ordinary, 2),
        ("QUERY,,'GRANT ALL ON *.* TO u',0", Operation::Grant, Security, 1),
        ("QUERY,,'CREATE USER u IDENTIFIED BY *****',0", Operation::Grant, Security, 1),
        ("QUERY,,'SET GLOBAL max_connections=1',0", Operation::Configure, Ordinary, 1),
        ("QUERY,,'SET GLOBAL server_audit_events=CONNECT',0", Operation::Configure, Security, 1),
        ("QUERY,,'SET GLOBAL server_audit_logging=ON',0", Operation::Configure, Security, 1),
        ("QUERY,,'SET GLOBAL server_audit_logging=OFF',0", Operation::Configure, Security, 4),
        (
            "QUERY,,'set @a=1, @@global.server_audit_logging = 0',0",
            Operation::Configure,
            Security,
            4,
        ),
        (
            "QUERY,,'/*!1 SET GLOBAL `server_audit_logging`=\\'off\\'*/',0",
            Operation::Configure,
            Security,
            4,
        ),
        ("QUERY,,'SET GLOBAL server_audit_logging=OFF',1227", Operation::Configure, Security, 3),
        ("QUERY,,'UNINSTALL SONAME \\'server_audit\\'',0", Operation::Configure, Security, 4),
        ("QUERY,,'',0", Operation::Other, Ordinary, 1),
    ] {
        let event = event(rest);
        assert_eq!(
            (event.operation, event.class, event.severity.level()),
            (operation, class, severity),
            "{rest}"
        );
        assert_eq!(event.action, rest.split(',').next().unwrap());
        assert_eq!(event.origin.key, None);
    }
}

#[test]
fn a_query_has_its_statement_and_its_first_word() {
    let event = event(r"QUERY,shop,'insert into t values (\'it\\\'s\',\n 1,2,QUERY,)',1062");
    assert_eq!(event.description.as_deref(), Some("insert into t values ('it\\'s',\n 1,2,QUERY,)"));
    assert_eq!(event.attributes["command"], "INSERT");
    assert_eq!(event.attributes["time_zone_assumed"], "UTC");
    assert_eq!((event.outcome.kind, event.outcome.code), (OutcomeKind::Failure, Some(1062)));
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:09:49.000000000Z");
    assert_eq!(event.request_id.as_deref(), Some("16"));
    assert_eq!(event.source_ip.unwrap().address.to_string(), "192.0.2.7");
}

#[test]
fn names_with_commas_and_quotes_are_whole() {
    let all = captured("statements.log");
    let odd: Vec<_> =
        all.iter().filter(|event| event.actor.name.as_deref() == Some("a,b")).collect();
    assert_eq!(odd.len(), 7);
    assert!(odd.iter().any(|event| event.resource.name.as_deref() == Some("odd,db'name")));
    assert!(all.iter().any(|event| event.actor.name.as_deref() == Some("o'brien")));
    let table = event("WRITE,shop,we,ird 'tbl,");
    assert_eq!(table.resource.name.as_deref(), Some("shop,we,ird 'tbl"));
    assert!(!table.attributes.contains_key("database"));
    let renamed = event("RENAME,shop,items|shop.items2,");
    assert_eq!(renamed.resource.name.as_deref(), Some("shop.items"));
    assert_eq!(renamed.attributes["renamed_to"], "shop.items2");
}

#[test]
fn nothing_in_a_name_or_a_statement_passes_for_a_record() {
    let event = event(r"QUERY,shop,'SELECT \',9,9,DROP,shop,t,\', 1,2,QUERY,x,\'\'',0");
    assert_eq!((event.action.as_str(), event.operation), ("QUERY", Operation::Read));
    let forged =
        "20261120 18:09:49,vm,root,localhost,9,0,CONNECT,192.0.2.7,13,0,FAILED_CONNECT,,,1045";
    assert!(DB.reasons(forged)[0].contains("read in two ways"));
    let with_query =
        "20261120 18:09:49,vm,x,h,1,2,QUERY,,'DROP',192.0.2.7,13,0,FAILED_CONNECT,,,1045";
    assert_eq!(DB.event(with_query).action, "FAILED_CONNECT");
}

#[test]
fn actors_are_users_nobody_and_the_server() {
    let kind = |user: &str| {
        DB.event(format!("20261120 18:09:49,vm,{user},,4,0,DISCONNECT,,,0")).actor.kind
    };
    assert_eq!(kind("root"), ActorKind::User);
    assert_eq!(kind(""), ActorKind::Anonymous);
    assert_eq!(kind("event_scheduler"), ActorKind::System);
}

#[test]
fn other_character_sets_and_cuts_are_flagged() {
    let all = captured("statements.log");
    let flagged: Vec<_> =
        all.iter().filter(|event| event.attributes.contains_key("invalid_utf8")).collect();
    assert!(flagged.len() >= 3);
    for event in flagged {
        assert!(std::str::from_utf8(&event.raw).is_err());
        assert!(event.description.as_ref().unwrap().contains('\u{fffd}'));
    }
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = "20261120 18:09:48,vm,root,localhost,3,0,CONNECT,,,0";
    let large =
        format!("20261120 18:09:48,vm,root,localhost,3,1,QUERY,,'{}',0", "y".repeat(256 * 1024));
    let commas = ",1,1,READ".repeat(20_000);
    for (bad, why) in [
        (" ", "YYYYMMDD"),
        ("20261120 18:09", "YYYYMMDD"),
        ("2026-11-20T18:09:48Z,vm,root,localhost,3,0,CONNECT,,,0", "YYYYMMDD"),
        ("20261320 18:09:48,vm,root,localhost,3,0,CONNECT,,,0", "time: "),
        ("abcdefgh ijklmnop,vm,root,localhost,3,0,CONNECT,,,0", "time: "),
        (
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
            "YYYYMMDD",
        ),
        ("文文文文文文文文文", "YYYYMMDD"),
        ("20261120 18:09:48", "no comma"),
        ("20261120 18:09:48,vm,root,localhost,3,0", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,x,0,CONNECT,,,0", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,0,FROB,,,0", "no operation"),
        ("20261120 18:09:48,vm,root,3,0,CONNECT,,,0", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,0,CONNECT,,,", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,0,CONNECT,,,-1", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,0,CONNECT,,,99999999999", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,5,QUERY,,'SELECT 1", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,5,QUERY,,SELECT 1,0", "no operation"),
        ("20261120 18:09:48,vm,root,localhost,3,5,READ,shop,t", "no operation"),
        (&large, "event_too_large"),
        (&format!("20261120 18:09:48{commas}"), "no operation"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{good}");
        let parsed = DB.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(last)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!(rejected.raw, bad.as_bytes());
        assert_eq!((&first.raw[..], &last.raw[..]), (good.as_bytes(), good.as_bytes()));
    }
}

#[test]
fn too_many_lines_are_refused_and_none_are_nothing() {
    assert!(matches!(
        DB.parse("x\n".repeat(10_001).as_bytes(), &mut 0),
        Err(EnvelopeError::TooLarge(_))
    ));
    assert_eq!(DB.parse(b"", &mut 0), Ok(Vec::new()));
}

/// The only event of a body under these options.
fn event_with(options: &Options, body: &[u8]) -> Event {
    let request = Request { body: body.to_vec(), ..Request::default() };
    let parsed = DB.parse_as(&request, options, &mut 0).unwrap();
    let [Item::Event(event)] = &parsed[..] else { panic!("{parsed:?}") };
    *event.clone()
}

#[test]
fn times_are_of_the_zone_that_is_configured() {
    let options =
        Options { time_zone: Some(Zone::parse("Europe/Berlin").unwrap()), ..Options::default() };
    for (local, utc) in [
        ("20260701 12:00:00", "2026-07-01T10:00:00.000000000Z"),
        ("20261120 12:00:00", "2026-11-20T11:00:00.000000000Z"),
        // Shown twice on this day: the first of the two.
        ("20261025 02:30:00", "2026-10-25T00:30:00.000000000Z"),
        ("20261025 03:00:00", "2026-10-25T02:00:00.000000000Z"),
        // Skipped on this day.
        ("20260329 02:30:00", "2026-03-29T01:30:00.000000000Z"),
    ] {
        let event =
            event_with(&options, format!("{local},vm,root,localhost,3,0,CONNECT,,,0").as_bytes());
        assert_eq!(event.occurred_at.to_string(), utc, "{local}");
        assert_eq!(event.attributes["time_zone"], "Europe/Berlin");
        assert!(!event.attributes.contains_key("time_zone_assumed"));
    }
}

#[test]
fn secrets_are_struck_out_as_configured() {
    let line =
        b"20261120 18:09:49,vm,al,h,4,16,QUERY,shop,'CREATE USER \xff IDENTIFIED BY \\'it\\\\\\'s \xe5S3C\\''"
            as &[u8];
    let line = [line, b",0"].concat();
    let with = |secrets| event_with(&Options { secrets, ..Options::default() }, &line);
    let struck = "CREATE USER \u{fffd} IDENTIFIED BY '*****'";
    let redacted = with(Secrets::Redact);
    assert_eq!(redacted.description.as_deref(), Some(struck));
    assert_eq!(redacted.attributes["redacted"], "password");
    assert_eq!(redacted.raw, line);
    let raw = with(Secrets::RedactRaw);
    assert_eq!(raw.description.as_deref(), Some(struck));
    let expected =
        b"20261120 18:09:49,vm,al,h,4,16,QUERY,shop,'CREATE USER \xff IDENTIFIED BY \\'************\\''"
            as &[u8];
    assert_eq!(
        String::from_utf8_lossy(&raw.raw),
        String::from_utf8_lossy(&[expected, b",0"].concat())
    );
    assert_eq!(raw.raw.len(), line.len());
    let preserved = with(Secrets::Keep);
    assert_eq!(
        preserved.description.as_deref(),
        Some("CREATE USER \u{fffd} IDENTIFIED BY 'it\\'s \u{fffd}S3C'")
    );
    assert!(!preserved.attributes.contains_key("redacted"));
    // The meaning of a statement does not depend on its secrets.
    assert_eq!(preserved.operation, Operation::Grant);
    assert_eq!(redacted.operation, Operation::Grant);
}

#[test]
fn the_plugins_own_syslog_messages_are_read() {
    let query = r"<190>Nov 23 19:46:03 db1 mysql-server_auditing:  db1,ann,192.0.2.9,12,345,QUERY,shop,'SELECT * FROM t WHERE a=\'x, y\'',1146";
    let failed = "<190>Nov 23 19:46:04 mysql-server_auditing: columnstore-1 db1,bob,192.0.2.8,13,0,FAILED_CONNECT,shop,,1045";
    for (message, action, user, code, info) in [
        (query, "QUERY", "ann", 1146, None),
        (failed, "FAILED_CONNECT", "bob", 1045, Some("columnstore-1")),
    ] {
        // As a message, and as a line of a file that a syslog daemon wrote.
        let line = message.split_once('>').unwrap().1;
        for items in [
            DB.parse_message(message.as_bytes(), &Options::default()),
            DB.parse(line.as_bytes(), &mut 0).unwrap(),
        ] {
            let [Item::Event(event)] = &items[..] else { panic!("{items:?}") };
            assert_eq!((event.action.as_str(), event.actor.name.as_deref()), (action, Some(user)));
            assert_eq!(
                (event.outcome.kind, event.outcome.code),
                (OutcomeKind::Failure, Some(code))
            );
            assert_eq!(event.attributes.get("syslog_info").map(String::as_str), info);
            assert!(
                event.occurred_at.to_string().contains("-11-23T19:46:0"),
                "{}",
                event.occurred_at
            );
        }
    }
    let secret = query
        .replace("SELECT * FROM t WHERE a=\\'x, y\\'", "SET PASSWORD = PASSWORD(\\'s3cr3t\\')");
    assert!(secret.contains("s3cr3t"));
    let options = Options { secrets: Secrets::RedactRaw, ..Options::default() };
    let items = DB.parse_message(secret.as_bytes(), &options);
    let [Item::Event(event)] = &items[..] else { panic!("{items:?}") };
    assert!(!String::from_utf8_lossy(&event.raw).contains("s3cr3t"), "{:?}", event.description);
}

#[test]
fn a_syslog_message_does_not_bring_a_secret_back() {
    let message = b"<190>Nov 20 18:09:49 vm mysql: 20261120 18:09:49,vm,al,h,4,16,QUERY,,'SET PASSWORD = \\'S3C\\'',0\n";
    let event = |secrets| {
        let trail = event::Trail::new(Service::Database, "acme", "p1", "db").unwrap();
        let options = Options { secrets, ..Options::default() };
        let mut new_id = || event::EventId::v7(crate::golden::RECEIVED_AT, [0; 10]);
        let mut context =
            formats::Context::new("db", &trail, crate::golden::RECEIVED_AT, &mut new_id, &options);
        let parsed = DB.format().parse_message(message, &mut context);
        let [Item::Event(event)] = &parsed[..] else { panic!("{parsed:?}") };
        event.clone()
    };
    assert_eq!(event(Secrets::Redact).raw, message);
    let struck = event(Secrets::RedactRaw);
    assert_eq!(struck.attributes["redacted"], "password");
    assert_eq!(
        String::from_utf8(struck.raw).unwrap(),
        String::from_utf8_lossy(message).replace("S3C", "***")
    );
}

#[test]
fn the_servers_own_configuration_is_no_strangers() {
    let line = "20261120 18:09:49,vm,,,0,0,AUDIT_CONFIG,,logging=ON,0";
    assert_eq!(DB.event(line).actor.kind, ActorKind::Unknown);
    let line = "20261120 18:09:49,vm,,192.0.2.7,4,0,FAILED_CONNECT,,,1045";
    assert_eq!(DB.event(line).actor.kind, ActorKind::Anonymous);
}
