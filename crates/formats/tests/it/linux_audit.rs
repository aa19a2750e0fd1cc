//! Audit records joined to events, with the expected events beside them.

use event::{ActorKind, Class, Event, Operation, OutcomeKind, Resolution, Service};
use formats::{Continuation, EnvelopeError, Item};

use crate::golden::{Source, everything, requests};

const HOSTS: Source = Source { format: "linux-audit", service: Service::Platform, name: "hosts" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in ["audit.log", "enriched.log", "syslog.log"] {
        let path = HOSTS.capture(name);
        HOSTS.check(&path, &requests(&path));
    }
}

fn captured(name: &str) -> Vec<Event> {
    HOSTS.events(std::fs::read(HOSTS.capture(name)).unwrap())
}

/// A record of the event with this serial number.
fn record(kind: &str, serial: u32, fields: &str) -> String {
    format!("node=vm type={kind} msg=audit(1795198632.044:{serial}): {fields}")
}

fn syscall(serial: u32, call: u32, more: &str) -> String {
    record(
        "SYSCALL",
        serial,
        &format!("arch=c000003e syscall={call} auid=1001 uid=0 exe=\"/bin/x\" {more}"),
    )
}

#[test]
fn records_that_interleave_are_put_together() {
    let (first, second) =
        (syscall(1, 59, "success=yes exit=0"), syscall(2, 87, "success=no exit=-13"));
    let (args, path) = (
        record("EXECVE", 1, "argc=1 a0=\"id\""),
        record("PATH", 2, "item=0 name=\"/f\" nametype=DELETE"),
    );
    let alone = record("USER_CMD", 3, "pid=1 uid=0 auid=1001 msg='cmd=\"id\" res=success'");
    let body = format!(
        "{first}\n{second}\r\n{args}\n{alone}\n{path}\n{}\n",
        record("PROCTITLE", 1, "proctitle=6964")
    );
    let events = HOSTS.events(&body);
    let actions: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["execve", "unlink", "USER_CMD"]);
    assert_eq!(
        events[0].raw,
        [&first[..], &args, &record("PROCTITLE", 1, "proctitle=6964")].join("\n").into_bytes()
    );
    assert_eq!(events[1].raw, format!("{second}\n{path}").into_bytes());
    assert_eq!(events[1].resource.name.as_deref(), Some("/f"));
    // The same number of another node, or at another time, is another event.
    let other = first.replace("node=vm", "node=b");
    let later = first.replace("632.044", "632.045");
    assert_eq!(HOSTS.events(format!("{first}\n{other}\n{later}")).len(), 3);
}

#[test]
fn every_record_of_the_captures_is_in_one_event() {
    for name in ["audit.log", "enriched.log"] {
        let content = std::fs::read(HOSTS.capture(name)).unwrap();
        let mut lines: Vec<&[u8]> =
            content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let raws: Vec<Vec<u8>> = captured(name).into_iter().map(|event| event.raw).collect();
        let mut described: Vec<&[u8]> =
            raws.iter().flat_map(|raw| raw.split(|&byte| byte == b'\n')).collect();
        lines.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, lines);
    }
}

#[test]
fn keys_are_node_time_and_number() {
    let mut keys: Vec<String> =
        captured("audit.log").into_iter().map(|event| event.origin.key.unwrap()).collect();
    assert!(
        keys.iter().all(|key| key.starts_with("vm/17951986") && key.matches('/').count() == 1),
        "{keys:?}"
    );
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
    // Over syslog and in the file an event is the same one.
    let same = captured("syslog.log")
        .into_iter()
        .filter(|event| keys.contains(event.origin.key.as_ref().unwrap()));
    assert!(same.count() >= 10);
}

#[test]
fn records_that_come_alone_are_all_recorded() {
    let content = std::fs::read(HOSTS.capture("syslog.log")).unwrap();
    let messages = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let (mut keys, mut ends) = (Vec::new(), 0);
    for message in messages.clone() {
        match &HOSTS.parse_message(message, &everything())[..] {
            [Item::Event(event)] => {
                assert_eq!(event.raw, message);
                keys.push(event.origin.key.clone().unwrap());
            }
            [Item::Skipped(why)] => {
                assert_eq!(*why, "the mark at the end of an event");
                ends += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let count = keys.len();
    assert!(ends > 5 && count > 40);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "none takes another's key");
    let message = format!(
        "<182>Nov 20 18:17:12 host audispd[7]: {}",
        record("PATH", 1, "item=0").replace("node=vm ", "")
    );
    let [Item::Event(path)] = &HOSTS.parse_message(message.as_bytes(), &everything())[..] else {
        panic!("no event")
    };
    assert_eq!((path.action.as_str(), &*path.attributes["node"]), ("PATH", "host"));
    let forged = format!("Nov 20 18:17:12 host app: x\n{}", record("USER_LOGIN", 1, "res=success"));
    assert!(matches!(
        &HOSTS.parse_message(forged.as_bytes(), &everything())[..],
        [Item::Rejected(_)]
    ));
}

#[test]
fn numbers_of_the_kernel_are_a_sequence() {
    let format = HOSTS.format();
    let sequences: Vec<_> =
        captured("syslog.log").iter().map(|event| format.sequence(event)).collect();
    assert_eq!(sequences[0], None, "the daemon numbers its own");
    let numbers: Vec<u64> =
        sequences[1..].iter().map(|sequence| sequence.as_ref().unwrap().number).collect();
    assert_eq!(numbers, (626..626 + numbers.len() as u64).collect::<Vec<_>>());
    assert!(sequences[1..].iter().all(|sequence| sequence.as_ref().unwrap().stream == "vm"));
}

#[test]
fn calls_and_types_mean_operations_classes_and_severities() {
    use Class::{Operation as Ordinary, Security};
    for (kind, fields, action, operation, class, severity) in [
        (
            "SYSCALL",
            "arch=c000003e syscall=59 success=yes exit=0",
            "execve",
            Operation::Exec,
            Ordinary,
            1,
        ),
        (
            "SYSCALL",
            "arch=c00000b7 syscall=221 success=yes exit=0",
            "execve",
            Operation::Exec,
            Ordinary,
            1,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=59 success=no exit=-13",
            "execve",
            Operation::Exec,
            Security,
            2,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=87 success=yes exit=0",
            "unlink",
            Operation::Delete,
            Ordinary,
            2,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=87 success=no exit=-1",
            "unlink",
            Operation::Delete,
            Security,
            3,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=257 success=yes exit=3 a2=80000",
            "openat",
            Operation::Read,
            Ordinary,
            1,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=257 success=yes exit=3 a2=241",
            "openat",
            Operation::Update,
            Ordinary,
            1,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=90 success=yes exit=0",
            "chmod",
            Operation::Update,
            Ordinary,
            1,
        ),
        (
            "SYSCALL",
            "arch=c000003e syscall=42 success=no exit=-115",
            "connect",
            Operation::Other,
            Ordinary,
            1,
        ),
        (
            "SYSCALL",
            "arch=40000003 syscall=11 success=yes exit=0",
            "syscall 11",
            Operation::Other,
            Ordinary,
            1,
        ),
        ("USER_LOGIN", "msg='op=login res=success'", "USER_LOGIN", Operation::Login, Security, 1),
        ("USER_LOGIN", "msg='op=login res=failed'", "USER_LOGIN", Operation::Login, Security, 3),
        ("USER_CMD", "msg='cmd=\"x\" res=failed'", "USER_CMD", Operation::Exec, Security, 2),
        (
            "ADD_GROUP",
            "msg='op=adding group acct=\"g\" res=success'",
            "ADD_GROUP",
            Operation::Create,
            Security,
            1,
        ),
        ("DEL_USER", "msg='op=x id=1 res=success'", "DEL_USER", Operation::Delete, Security, 2),
        ("GRP_MGMT", "msg='op=x grp=\"g\" res=success'", "GRP_MGMT", Operation::Grant, Security, 1),
        (
            "CONFIG_CHANGE",
            "op=add_rule res=1",
            "CONFIG_CHANGE add_rule",
            Operation::Configure,
            Security,
            1,
        ),
        (
            "CONFIG_CHANGE",
            "op=remove_rule res=1",
            "CONFIG_CHANGE remove_rule",
            Operation::Configure,
            Security,
            3,
        ),
        (
            "CONFIG_CHANGE",
            "op=set audit_enabled=0 old=1 res=1",
            "CONFIG_CHANGE set",
            Operation::Configure,
            Security,
            4,
        ),
        (
            "CONFIG_CHANGE",
            "audit_enabled=0 old=1 res=0",
            "CONFIG_CHANGE",
            Operation::Configure,
            Security,
            3,
        ),
        (
            "CONFIG_CHANGE",
            "op=set audit_enabled=1 old=0 res=1",
            "CONFIG_CHANGE set",
            Operation::Configure,
            Security,
            1,
        ),
        ("DAEMON_END", "op=terminate res=success", "DAEMON_END", Operation::Configure, Security, 4),
        ("AVC", "avc:  denied  { read } for  pid=1", "AVC", Operation::Other, Security, 2),
        ("ANOM_ABEND", "auid=1 uid=1 sig=11 res=1", "ANOM_ABEND", Operation::Other, Security, 3),
        (
            "SERVICE_START",
            "msg='unit=cron res=success'",
            "SERVICE_START",
            Operation::Other,
            Ordinary,
            1,
        ),
    ] {
        let event = HOSTS.event(record(kind, 1, fields));
        assert_eq!(
            (event.action.as_str(), event.operation),
            (action, operation),
            "{kind} {fields}"
        );
        assert_eq!((event.class, event.severity.level()), (class, severity), "{kind} {fields}");
        assert_eq!(event.resolution, Resolution::Millisecond);
    }
    let created = format!(
        "{}\n{}",
        syscall(1, 257, "a2=0"),
        record("PATH", 1, "item=1 name=\"/n\" nametype=CREATE")
    );
    assert_eq!(HOSTS.event(created).operation, Operation::Create);
    let named = format!("{}\u{1d}SYSCALL=rt_sigreturn", syscall(1, 15, ""));
    assert_eq!(HOSTS.event(named).action, "rt_sigreturn");
}

#[test]
fn outcomes_have_the_error() {
    for (fields, kind, code, reason) in [
        ("success=yes exit=5", OutcomeKind::Success, None, None),
        ("success=no exit=-2", OutcomeKind::Failure, Some(2), Some("ENOENT")),
        ("success=no exit=-512", OutcomeKind::Failure, Some(512), Some("error 512")),
        ("success=no exit=-115", OutcomeKind::Unknown, Some(115), Some("EINPROGRESS")),
        ("", OutcomeKind::Unknown, None, None),
    ] {
        let outcome = HOSTS.event(syscall(1, 42, fields)).outcome;
        assert_eq!(
            (outcome.kind, outcome.code, outcome.reason.as_deref()),
            (kind, code, reason),
            "{fields}"
        );
    }
}

#[test]
fn who_signed_in_stays_the_actor() {
    for (kind, fields, id, name, actor) in [
        ("SYSCALL", "auid=1001 uid=0", Some("1001"), None, ActorKind::User),
        (
            "SYSCALL",
            "auid=1001 uid=0\u{1d}AUID=\"al\" UID=\"root\"",
            Some("1001"),
            Some("al"),
            ActorKind::User,
        ),
        (
            "SYSCALL",
            "auid=4294967295 uid=33\u{1d}AUID=\"unset\" UID=\"www\"",
            Some("33"),
            Some("www"),
            ActorKind::System,
        ),
        ("SYSCALL", "auid=-1 uid=0", Some("0"), None, ActorKind::System),
        (
            "USER_AUTH",
            "uid=0 auid=4294967295 msg='acct=\"al\" res=failed'",
            None,
            Some("al"),
            ActorKind::User,
        ),
        (
            "USER_AUTH",
            "uid=0 auid=4294967295 msg='acct=616C20787878 res=failed'",
            None,
            Some("al xxx"),
            ActorKind::User,
        ),
        (
            "USER_LOGIN",
            "uid=0 auid=4294967295 msg='acct=28696E76616C6964207573657229 res=failed'",
            None,
            Some("(invalid user)"),
            ActorKind::Unknown,
        ),
        (
            "ADD_USER",
            "uid=0 auid=4294967295 msg='acct=\"new\" res=success'",
            Some("0"),
            None,
            ActorKind::System,
        ),
        // A program's claim about itself does not replace the kernel's word.
        (
            "USER_AUTH",
            "uid=9 auid=7 msg='auid=0 uid=0 acct=\"root\"'",
            Some("7"),
            None,
            ActorKind::User,
        ),
        ("SYSCALL", "", None, None, ActorKind::Unknown),
    ] {
        let event = HOSTS.event(record(kind, 1, fields));
        let expected = (id.map(str::to_owned), name.map(str::to_owned), actor);
        assert_eq!(
            (event.actor.id, event.actor.name, event.actor.kind),
            expected,
            "{kind} {fields}"
        );
    }
    let addresses = captured("audit.log").into_iter().filter_map(|event| event.source_ip);
    assert!(addresses.clone().count() > 10);
    assert!(addresses.into_iter().all(|ip| ip.address.is_loopback()));
}

#[test]
fn files_are_named_with_their_folder_where_it_is_known() {
    let event = |call, more: &str, name: &str| {
        let records = [
            syscall(1, call, more),
            record("CWD", 1, "cwd=\"/home/al\""),
            record("PATH", 1, &format!("item=0 name={name} nametype=NORMAL dev=fe:00 inode=7")),
        ];
        HOSTS.event(records.join("\n")).resource
    };
    for (call, more, name, expected) in [
        (2, "", "\"notes\"", "/home/al/notes"),
        (2, "", "\"/etc/passwd\"", "/etc/passwd"),
        (2, "", "73702061636520C3BC", "/home/al/sp ace ü"),
        (257, "a0=ffffff9c", "\"notes\"", "/home/al/notes"),
        (257, "a0=5", "\"notes\"", "notes"),
    ] {
        let resource = event(call, more, name);
        assert_eq!(
            (resource.kind.as_deref(), resource.name.as_deref()),
            (Some("file"), Some(expected))
        );
        assert_eq!(resource.id.as_deref(), Some("fe:00:7"));
    }
    let renamed =
        captured("audit.log").into_iter().find(|event| event.action == "renameat2").unwrap();
    assert!(renamed.resource.name.unwrap().ends_with("/watch/renamed"));
    assert!(renamed.attributes["renamed_from"].ends_with("/watch/plain"));
}

#[test]
fn arguments_are_put_together() {
    let body = [
        syscall(1, 59, ""),
        record("EXECVE", 1, "argc=3 a0=\"sh\" a1_len=9 a1[0]=\"part \" a1[1]=6F6E65"),
        record("EXECVE", 1, "a2=\"last\""),
        record("PROCTITLE", 1, "proctitle=7368"),
    ];
    let event = HOSTS.event(body.join("\n"));
    assert_eq!(event.description.as_deref(), Some("sh part one last"));
    assert_eq!(event.attributes["records"], "SYSCALL EXECVE EXECVE PROCTITLE");
}

#[test]
fn an_event_that_is_too_large_goes_on_in_another() {
    let long = |number: u32| record("EXECVE", 1, &format!("a{number}={}", "41".repeat(40_000)));
    let body = [syscall(1, 59, ""), long(0), long(1), long(2), long(3), long(4)].join("\n");
    let events = HOSTS.events(&body);
    let sizes: Vec<usize> = events.iter().map(|event| event.raw.len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 256 * 1024), "{sizes:?}");
    assert_eq!((events[0].action.as_str(), events[1].action.as_str()), ("execve", "EXECVE"));
    assert_ne!(events[0].origin.key, events[1].origin.key);
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = record("USER_CMD", 1, "msg='cmd=\"id\" res=success'");
    let large = record("PATH", 2, &"y".repeat(256 * 1024));
    for (bad, why) in [
        ("hello", "not an audit record"),
        ("type=PATH msg=audit(1795198632.044): item=0", "not an audit record"),
        ("type=PATH msg=audit(now:1): item=0", "not an audit record"),
        ("Nov 20 18:17:12 vm sshd[1]: Accepted", "not an audit record"),
        (&large, "event_too_large"),
    ] {
        let body = format!("{good}\r\n{bad}\n\n{}", good.replace(":1)", ":2)"));
        let parsed = HOSTS.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(_)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!((&rejected.raw[..], &first.raw[..]), (bad.as_bytes(), good.as_bytes()));
    }
    let latin1 = [record("USER_CMD", 1, "msg='cmd=\"").as_bytes(), b"\xe9\"'"].concat();
    let event = HOSTS.event(&latin1);
    assert_eq!(
        (event.resource.name.as_deref(), &*event.attributes["invalid_utf8"]),
        (Some("\u{fffd}"), "true")
    );
    assert_eq!(event.raw, latin1);
}

#[test]
fn a_file_read_in_pieces_gives_the_same_events() {
    let format = HOSTS.format();
    let content = std::fs::read(HOSTS.capture("audit.log")).unwrap();
    let said = |events: Vec<Event>| -> Vec<_> {
        events.into_iter().map(|event| (event.origin.key, event.raw)).collect()
    };
    for step in [300, 1000, 7000] {
        let (mut done, mut events) = (0, Vec::new());
        for end in (0..content.len()).step_by(step).chain([content.len()]) {
            let follows =
                if end == content.len() { Continuation::Quiet } else { Continuation::More };
            let whole = format.complete_bytes(&content[done..end], follows);
            events.extend(HOSTS.events(&content[done..done + whole]));
            done += whole;
        }
        assert_eq!((done, said(events)), (content.len(), said(captured("audit.log"))), "{step}");
    }
}

#[test]
fn too_many_are_refused_and_none_are_nothing() {
    let body: String = (0..10_001).map(|serial| record("USER_CMD", serial, "a=b") + "\n").collect();
    assert!(matches!(HOSTS.parse(body.as_bytes(), &mut 0), Err(EnvelopeError::TooLarge(_))));
    let one = (record("PATH", 1, "a=b") + "\n").repeat(4000);
    assert_eq!(HOSTS.events(one).len(), 1);
    assert_eq!(HOSTS.parse(b"\n\n", &mut 0), Ok(Vec::new()));
}

#[test]
fn the_name_of_a_node_may_hold_spaces() {
    let event = HOSTS.event(
        "node=Branch Office 7 type=USER_CMD msg=audit(1796039163.755:101): pid=1 uid=1000 auid=1000 \
         ses=1 msg='cwd=\"/home/ann\" cmd=\"id\" exe=\"/usr/bin/sudo\" terminal=pts/0 res=success'",
    );
    assert_eq!(event.attributes["node"], "Branch Office 7");
    assert_eq!(event.outcome.kind, OutcomeKind::Success);
}
