//! Syslog as rsyslog sends and files it in seven forms, and the meaning of lines of known programs.

use event::{
    ActorKind, Class, Event, EventId, Operation, OutcomeKind, Resolution, Service, Severity, Time,
    Trust,
};
use formats::syslog_message::Message;
use formats::{Context, FilePosition, Format, Item, Options, Zone};

use crate::golden::{Source, everything, requests};

const HOSTS: Source = Source { format: "syslog", service: Service::Platform, name: "hosts" };

#[test]
fn every_capture_gives_the_events_beside_it() {
    for name in ["auth.log", "tcp-rfc5424-newline.bin"] {
        let path = HOSTS.capture(name);
        HOSTS.check(&path, &requests(&path));
    }
}

/// The frames of RFC 6587, octet counting.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&byte| byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..end]).unwrap().parse().unwrap();
        frames.push(bytes[end + 1..][..length].to_vec());
        bytes = &bytes[end + 1 + length..];
    }
    frames
}

fn lines(name: &str) -> Vec<Vec<u8>> {
    let content = std::fs::read(HOSTS.capture(name)).unwrap();
    content
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn datagrams(name: &str) -> Vec<Vec<u8>> {
    let content = std::fs::read_to_string(HOSTS.capture(name)).unwrap();
    content
        .lines()
        .map(|line| {
            let datagram: serde_json::Value = serde_json::from_str(line).unwrap();
            datagram["data"].as_str().unwrap().as_bytes().to_vec()
        })
        .collect()
}

/// Without the messages that `logger` sent by itself, and without the message of 12 kB.
fn of_rsyslog(messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let is_other = |message: &Vec<u8>| {
        let message = Message::parse(message).unwrap();
        matches!(message.app, Some("direct" | "nohdr" | "bsd" | "long"))
    };
    messages.into_iter().filter(|message| !is_other(message)).collect()
}

/// The content of a message beside its time and its priority, or why it is skipped.
fn said(message: &[u8]) -> Result<Event, &'static str> {
    match &HOSTS.parse_message(message, &everything())[..] {
        [Item::Event(event)] => {
            let mut event = *event.clone();
            (event.occurred_at, event.resolution) =
                (crate::golden::RECEIVED_AT, Resolution::Second);
            (event.severity, event.raw) = (Severity::WARNING, Vec::new());
            for name in ["facility", "priority", "time_zone_assumed"] {
                event.attributes.remove(name);
            }
            Ok(event)
        }
        [Item::Skipped(why)] => Err(why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_agrees() {
    let forms = [
        lines("auth.log"),
        lines("auth-rfc3339.log"),
        lines("tcp-rfc5424-newline.bin"),
        frames(&std::fs::read(HOSTS.capture("tcp-rfc5424-octet-counted.bin")).unwrap()),
        lines("tcp-bsd-rfc3339.bin"),
        datagrams("udp-rfc3164.jsonl"),
        datagrams("udp-rfc5424.jsonl"),
    ]
    .map(of_rsyslog);
    assert_eq!(forms[0].len(), 178);
    for form in &forms {
        assert_eq!(form.len(), forms[0].len());
        for (message, in_file) in form.iter().zip(&forms[0]) {
            let (one, other) = (Message::parse(message).unwrap(), Message::parse(in_file).unwrap());
            assert_eq!((one.host, one.app, one.process), (other.host, other.app, other.process));
            assert_eq!(one.text.trim_ascii_end(), other.text.trim_ascii_end());
            assert_eq!(said(message), said(in_file));
        }
    }
}

#[test]
fn times_are_read_in_every_form() {
    for (name, time, resolution) in [
        ("auth.log", "2026-11-20T18:17:11.000000000Z", Resolution::Second),
        ("auth-rfc3339.log", "2026-11-20T18:17:11.008018000Z", Resolution::Microsecond),
        ("tcp-rfc5424-newline.bin", "2026-11-20T18:17:11.008018000Z", Resolution::Microsecond),
        ("tcp-bsd-rfc3339.bin", "2026-11-20T18:17:11.008018000Z", Resolution::Microsecond),
    ] {
        let event = HOSTS.event(&lines(name)[0]);
        assert_eq!(
            (event.occurred_at.to_string().as_str(), event.resolution),
            (time, resolution),
            "{name}"
        );
        assert_eq!(event.attributes.contains_key("time_zone_assumed"), name == "auth.log");
    }
    let berlin =
        Options { time_zone: Some(Zone::parse("Europe/Berlin").unwrap()), ..Options::default() };
    let [Item::Event(event)] = &HOSTS.parse_message(b"<38>Nov 20 19:17:11 vm su: x", &berlin)[..]
    else {
        panic!("no event");
    };
    assert_eq!(event.occurred_at.to_string(), "2026-11-20T18:17:11.000000000Z");
    assert_eq!(event.attributes["time_zone"], "Europe/Berlin");
    let nil = HOSTS.event("<38>1 - - nohdr - - - nil fields");
    assert_eq!(nil.occurred_at, crate::golden::RECEIVED_AT);
    assert_eq!((nil.action.as_str(), &*nil.attributes["time_assumed"]), ("nohdr", "received"));
}

#[test]
fn structured_data_become_attributes() {
    let frames = frames(&std::fs::read(HOSTS.capture("tcp-rfc5424-octet-counted.bin")).unwrap());
    let event = HOSTS.event(frames.last().unwrap());
    for (name, value) in [
        ("audit@32473.actor", "al\"ice]x"),
        ("audit@32473.result", "fail\\ure"),
        ("origin2@1.ip", "2001:db8::1"),
        ("message_id", "LOGIN"),
        ("facility", "auth"),
        ("priority", "info"),
    ] {
        assert_eq!(event.attributes[name], value);
    }
}

/// The event of a line that a program wrote.
fn event(program: &str, text: &str) -> Event {
    HOSTS.event(format!("Nov 20 18:17:11 vm {program}[7]: {text}"))
}

fn outcome(event: &Event) -> (OutcomeKind, Option<&str>, u8) {
    (event.outcome.kind, event.outcome.reason.as_deref(), event.severity.level())
}

#[test]
fn attempts_to_sign_in_name_user_address_and_method() {
    for (text, user, kind, address, method) in [
        (
            "Accepted password for al from 192.0.2.7 port 22 ssh2",
            "al",
            ActorKind::User,
            Some("192.0.2.7"),
            "password",
        ),
        (
            "Accepted publickey for al from 2001:db8::7 port 22 ssh2: RSA SHA256:x",
            "al",
            ActorKind::User,
            Some("2001:db8::7"),
            "publickey",
        ),
        (
            "Failed password for invalid user al from 192.0.2.7 port 22 ssh2",
            "al",
            ActorKind::Unknown,
            Some("192.0.2.7"),
            "password",
        ),
        (
            "Failed keyboard-interactive/pam for al from 192.0.2.7 port 22 ssh2 [preauth]",
            "al",
            ActorKind::User,
            Some("192.0.2.7"),
            "keyboard-interactive/pam",
        ),
        (
            "Failed password for al from UNKNOWN port 65535 ssh2",
            "al",
            ActorKind::User,
            None,
            "password",
        ),
        (
            "Failed password for al without an address",
            "al without an address",
            ActorKind::User,
            None,
            "password",
        ),
        // A name that the client chose.
        (
            "Failed password for invalid user root from 198.51.100.1 port 1 ssh2 from 192.0.2.7 port 22 ssh2",
            "root from 198.51.100.1 port 1 ssh2",
            ActorKind::Unknown,
            Some("192.0.2.7"),
            "password",
        ),
        (
            "Failed password for invalid user a for b from 192.0.2.7 port 22 ssh2",
            "a for b",
            ActorKind::Unknown,
            Some("192.0.2.7"),
            "password",
        ),
        (
            "Failed password for al from 198.51.100.1 port 1 from UNKNOWN port 2 ssh2",
            "al from 198.51.100.1 port 1",
            ActorKind::User,
            None,
            "password",
        ),
    ] {
        for program in ["sshd", "sshd-session"] {
            let event = event(program, text);
            assert_eq!(
                (event.action.as_str(), event.operation),
                ("sshd.login", Operation::Login),
                "{text}"
            );
            assert_eq!(
                (event.actor.name.as_deref(), event.actor.kind),
                (Some(user), kind),
                "{text}"
            );
            assert_eq!(
                event.source_ip.as_ref().map(|ip| ip.address.to_string()).as_deref(),
                address,
                "{text}"
            );
            assert_eq!(event.attributes["method"], method);
            assert_eq!(event.class, Class::Security);
            assert!(event.source_ip.is_none_or(|ip| ip.trust == Trust::Peer));
        }
    }
    let nameless = event("sshd", "Failed password for invalid user  from 192.0.2.7 port 22 ssh2");
    assert_eq!(nameless.actor.name, None);
    assert_eq!(outcome(&nameless), (OutcomeKind::Failure, Some("failed password"), 3));
    assert_eq!(
        outcome(&event("sshd", "Accepted none for a from ::1 port 1 ssh2")),
        (OutcomeKind::Success, None, 1)
    );
}

#[test]
fn companions_are_skipped_with_the_reason() {
    for (program, text) in [
        ("sshd", "Connection from 127.0.0.1 port 1 on 127.0.0.1 port 22 rdomain \"\""),
        ("sshd", "Invalid user ghost from 127.0.0.1 port 1"),
        ("sshd", "Accepted key ED25519 SHA256:x found at /root/.ssh/authorized_keys:1"),
        ("sshd", "Postponed publickey for al from 127.0.0.1 port 1 ssh2 [preauth]"),
        ("sshd", "Connection closed by 127.0.0.1 port 1 [preauth]"),
        (
            "sshd",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=::1  user=al",
        ),
        ("sshd", "pam_unix(sshd:auth): check pass; user unknown"),
        ("sshd", "pam_unix(sshd:session): session opened for user al(uid=1001) by (uid=0)"),
        ("sshd-session", "Starting session: shell on pts/0 for al from 127.0.0.1 port 1 id 0"),
        ("sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by al(uid=1001)"),
        (
            "sudo",
            "pam_unix(sudo:auth): authentication failure; logname=al uid=1 euid=0 tty=/dev/pts/0 ruser=al rhost=  user=al",
        ),
        ("su", "pam_unix(su-l:session): session closed for user root"),
        ("su", "+ /dev/pts/0 al:root"),
        ("login", "ROOT LOGIN ON tty1"),
        (
            "systemd",
            "pam_unix(systemd-user:session): session opened for user al(uid=1001) by (uid=0)",
        ),
        ("systemd-logind", "New session 5 of user al."),
        ("CRON", "pam_unix(cron:session): session closed for user root"),
        ("userdel", "removed shadow group 'al' owned by 'al'"),
        ("usermod", "add 'al' to shadow group 'sudo'"),
        ("groupadd", "group added to /etc/gshadow: name=g"),
        ("groupdel", "group 'g' removed from /etc/group"),
    ] {
        let line = format!("Nov 20 18:17:11 vm {program}[7]: {text}");
        assert_eq!(
            HOSTS.reasons(&line),
            ["skipped: a companion of a line that is recorded"],
            "{text}"
        );
    }
}

#[test]
fn sessions_of_cron_are_noise_and_its_commands_are_not() {
    let line = b"<86>Nov 20 18:17:11 vm CRON[7]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)";
    assert_eq!(HOSTS.parse_message(line, &Options::default()), [Item::Skipped("noise")]);
    let [Item::Event(session)] = &HOSTS.parse_message(line, &everything())[..] else {
        panic!("no event")
    };
    assert_eq!((session.action.as_str(), session.class), ("cron.session", Class::Operation));
    let command = event("CRON", "(al) CMD (  backup --all (x))");
    assert_eq!((command.action.as_str(), command.operation), ("cron.command", Operation::Exec));
    assert_eq!(command.resource.name.as_deref(), Some("backup --all (x)"));
    assert_eq!((command.actor.name.as_deref(), command.class), (Some("al"), Class::Operation));
}

#[test]
fn sudo_reports_command_and_refusal() {
    for (text, command, run_as, expected) in [
        (
            "    al : TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/id -u",
            "/usr/bin/id -u",
            "root",
            (OutcomeKind::Success, None, 1),
        ),
        (
            "al : command not allowed ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/ls /root",
            "/usr/bin/ls /root",
            "root",
            (OutcomeKind::Failure, Some("command not allowed"), 2),
        ),
        (
            "al : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=bob ; COMMAND=/bin/sh",
            "/bin/sh",
            "bob",
            (OutcomeKind::Failure, Some("user NOT in sudoers"), 2),
        ),
        (
            "al : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            "/bin/sh",
            "root",
            (OutcomeKind::Failure, Some("3 incorrect password attempts"), 3),
        ),
        (
            "al : PWD=/tmp/COMMAND=x ; USER=root ; COMMAND=/bin/id",
            "/bin/id",
            "root",
            (OutcomeKind::Success, None, 1),
        ),
    ] {
        let event = event("sudo", text);
        assert_eq!(
            (event.action.as_str(), event.operation),
            ("sudo.command", Operation::Exec),
            "{text}"
        );
        assert_eq!(event.resource.name.as_deref(), Some(command), "{text}");
        assert_eq!(
            (event.actor.name.as_deref(), &*event.attributes["run_as"]),
            (Some("al"), run_as)
        );
        assert_eq!(outcome(&event), expected, "{text}");
        assert!(!event.attributes.contains_key("ambiguous"), "{text}");
    }
    for text in [
        "al : PWD=/tmp/x ; USER=bob ; COMMAND=/bin/ls ; USER=root ; COMMAND=/bin/sh",
        "al : PWD=/tmp/x ; USER=bob ; USER=root ; COMMAND=/bin/sh",
    ] {
        assert_eq!(event("sudo", text).attributes["ambiguous"], "true");
    }
    assert_eq!(event("sudo", "al : (command continued) -x").attributes["continued"], "true");
    assert_eq!(event("sudo", "unable to resolve host vm").action, "sudo");
}

#[test]
fn su_and_login_report_who_became_whom() {
    for (program, text, action, user, expected) in [
        ("su", "(to root) al on pts/0", "su.login", "al", (OutcomeKind::Success, None, 1)),
        ("su", "Successful su for root by al", "su.login", "al", (OutcomeKind::Success, None, 1)),
        (
            "su",
            "FAILED SU (to root) al on none",
            "su.login",
            "al",
            (OutcomeKind::Failure, Some("authentication failure"), 3),
        ),
        (
            "su",
            "FAILED su for root by al",
            "su.login",
            "al",
            (OutcomeKind::Failure, Some("authentication failure"), 3),
        ),
        (
            "login",
            "FAILED LOGIN (1) on '/dev/tty1' FOR 'al', Authentication failure",
            "login.login",
            "al",
            (OutcomeKind::Failure, Some("Authentication failure"), 3),
        ),
        (
            "login",
            "pam_unix(login:session): session opened for user al(uid=1) by LOGIN(uid=0)",
            "login.login",
            "al",
            (OutcomeKind::Success, None, 1),
        ),
        (
            "login",
            "pam_unix(login:session): session closed for user al",
            "login.logout",
            "al",
            (OutcomeKind::Success, None, 1),
        ),
        (
            "sshd",
            "pam_unix(sshd:session): session closed for user al",
            "sshd.logout",
            "al",
            (OutcomeKind::Success, None, 1),
        ),
        (
            "vsftpd",
            "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=al rhost=192.0.2.7  user=al  user=root",
            "vsftpd.login",
            "al  user=root",
            (OutcomeKind::Failure, Some("authentication failure"), 3),
        ),
    ] {
        let event = event(program, text);
        assert_eq!(
            (event.action.as_str(), event.actor.name.as_deref()),
            (action, Some(user)),
            "{text}"
        );
        assert_eq!((outcome(&event), event.class), (expected, Class::Security), "{text}");
    }
    let became = event("su", "(to root) al on pts/0");
    assert_eq!(
        (became.resource.name.as_deref(), &*became.attributes["terminal"]),
        (Some("root"), "pts/0")
    );
}

#[test]
fn accounts_change_by_name() {
    for (program, text, action, operation, kind, name) in [
        (
            "useradd",
            "new user: name=al, UID=1, GID=1, home=/, shell=/bin/sh, from=none",
            "useradd.create_user",
            Operation::Create,
            "user",
            "al",
        ),
        (
            "groupadd",
            "new group: name=g, GID=1",
            "groupadd.create_group",
            Operation::Create,
            "group",
            "g",
        ),
        ("groupdel", "group 'g' removed", "groupdel.delete_group", Operation::Delete, "group", "g"),
        ("userdel", "delete user 'al'", "userdel.delete_user", Operation::Delete, "user", "al"),
        (
            "userdel",
            "delete 'al' from group 'g'",
            "userdel.remove_member",
            Operation::Grant,
            "group",
            "g",
        ),
        ("usermod", "add 'al' to group 'g'", "usermod.add_member", Operation::Grant, "group", "g"),
        (
            "usermod",
            "change user 'al' shell from '/bin/sh' to '/bin/bash'",
            "usermod.update_user",
            Operation::Update,
            "user",
            "al",
        ),
        (
            "usermod",
            "lock user 'al' password",
            "usermod.lock_user",
            Operation::Update,
            "user",
            "al",
        ),
        (
            "gpasswd",
            "user al added by root to group g",
            "gpasswd.add_member",
            Operation::Grant,
            "group",
            "g",
        ),
        (
            "gpasswd",
            "members of group g set by root to al,bob",
            "gpasswd.set_members",
            Operation::Grant,
            "group",
            "g",
        ),
        (
            "passwd",
            "password for 'al' changed by 'root'",
            "passwd.change_password",
            Operation::Update,
            "user",
            "al",
        ),
        (
            "passwd",
            "pam_unix(passwd:chauthtok): password changed for al",
            "passwd.change_password",
            Operation::Update,
            "user",
            "al",
        ),
        (
            "chage",
            "changed password expiry for al",
            "chage.update_user",
            Operation::Update,
            "user",
            "al",
        ),
    ] {
        let event = event(program, text);
        assert_eq!((event.action.as_str(), event.operation), (action, operation), "{text}");
        assert_eq!(
            (event.resource.kind.as_deref(), event.resource.name.as_deref()),
            (Some(kind), Some(name))
        );
        let severity = if operation == Operation::Delete { 2 } else { 1 };
        assert_eq!(
            (outcome(&event), event.class),
            ((OutcomeKind::Success, None, severity), Class::Security)
        );
    }
    let failed = event("useradd", "failed adding user 'al', exit code: 9");
    assert_eq!(outcome(&failed), (OutcomeKind::Failure, Some("failed"), 2));
    let by = |text| event("gpasswd", text).actor.name;
    assert_eq!(by("user al added by root to group g").as_deref(), Some("root"));
    assert_eq!(by("members of group g set by root to al,bob").as_deref(), Some("root"));
}

#[test]
fn what_is_not_known_is_recorded_by_its_program_and_urgency() {
    for (priority, severity) in [(0, 4), (1, 4), (2, 4), (3, 3), (4, 2), (5, 1), (6, 1), (7, 1)] {
        let event = HOSTS.event(format!("<{}>1 - vm app - - - text", 80 + priority));
        assert_eq!((event.action.as_str(), event.severity.level()), ("app", severity));
        assert_eq!((event.class, event.outcome.kind), (Class::Operation, OutcomeKind::Unknown));
        assert_eq!(event.resource.name.as_deref(), Some("vm"));
    }
    // The meaning of a known text does not depend on the urgency, which files do not have.
    let refused = HOSTS.event(
        "<81>Nov 20 18:17:11 vm sudo: al : command not allowed ; USER=root ; COMMAND=/bin/sh",
    );
    assert_eq!(refused.severity.level(), 2);
    assert_eq!(event("/usr/sbin/sshd", "Accepted none for a from ::1 port 1").action, "sshd.login");
    assert_eq!(HOSTS.event("Nov 20 18:17:11 vm no tag").action, "-");
    assert_eq!(
        event("other", "Accepted password for al from 192.0.2.7 port 22 ssh2").action,
        "other"
    );
}

#[test]
fn a_repeated_line_is_one_event_that_says_so() {
    let repeated = event(
        "sshd",
        "message repeated 5 times: [ Failed password for root from 192.0.2.7 port 1 ssh2]",
    );
    assert_eq!((repeated.action.as_str(), &*repeated.attributes["repeated"]), ("sshd.login", "5"));
    assert_eq!(repeated.source_ip.unwrap().address.to_string(), "192.0.2.7");
    assert_eq!(event("sshd", "message repeated x times: [ y]").action, "sshd");
}

#[test]
fn equal_messages_are_both_recorded_and_lines_of_a_file_have_their_position() {
    let line = "Nov 20 18:17:11 vm app: same";
    let keys = |items: Vec<Item>| -> Vec<Option<String>> {
        items
            .into_iter()
            .map(|item| match item {
                Item::Event(event) => event.origin.key,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let body = format!("{line}\n{line}\n");
    assert_eq!(keys(HOSTS.parse(body.as_bytes(), &mut 0).unwrap()), [None, None]);
    assert_eq!(keys(HOSTS.parse_message(line.as_bytes(), &everything())), [None]);
    let position = FilePosition { file: "f1", offset: 100 };
    assert_eq!(
        keys(HOSTS.parse_piece(body.as_bytes(), position)),
        [Some("f1:100".to_owned()), Some("f1:129".to_owned())]
    );
}

#[test]
fn a_line_feed_in_a_message_begins_no_other_message() {
    let forged = b"<13>Nov 20 18:17:11 vm app: x\n<38>Nov 20 18:17:11 vm sshd: Accepted none for root from ::1 port 1\n";
    let [Item::Event(event)] = &HOSTS.parse_message(forged, &everything())[..] else {
        panic!("not one event")
    };
    assert_eq!((event.action.as_str(), &event.raw[..]), ("app", &forged[..]));
    assert!(event.description.as_ref().unwrap().contains("sshd: Accepted"));
}

/// Headers of network devices and of senders that write none; each line as devices document it.
#[test]
fn headers_of_the_field_are_read() {
    let at = "2026-11-23T20:00:00Z";
    for (message, host, program, time) in [
        (
            "<189>Nov 23 2026 19:46:03 SW-CORE-1 %%01SHELL/5/CMDRECORD(s)[10]:Recorded command information. (User=ann)",
            Some("SW-CORE-1"),
            Some("SHELL"),
            "2026-11-23T19:46:03Z",
        ),
        (
            "<189>Nov 23 2026 19:46:04+08:00 SW-CORE-1 %%01SSH/5/SSH_USER_LOGIN(s)[17]:The SSH user succeeded",
            Some("SW-CORE-1"),
            Some("SSH"),
            "2026-11-23T11:46:04Z",
        ),
        (
            "<189>2026-11-23 19:46:06 USG6000 %%01SHELL/5/CMDRECORD(s)[0]:Recorded",
            Some("USG6000"),
            Some("SHELL"),
            "2026-11-23T19:46:06Z",
        ),
        (
            "<189>Nov 23 19:46:03 2026 H3C-SW1 %%10SHELL/5/SHELL_LOGIN: ann logged in from 192.0.2.15.",
            Some("H3C-SW1"),
            Some("SHELL"),
            "2026-11-23T19:46:03Z",
        ),
        ("<14>osm: login_log - {\"id\":\"1\"}\0", None, None, at),
        ("<30>system,info,account user ann logged in from 192.0.2.9 via ssh", None, None, at),
        ("CEF:0|Vendor|Prod|1.0|100|login failed|5|suser=ann", None, None, at),
        ("no header", None, None, at),
        ("<38>1 soon vm app - - - x", None, None, at),
    ] {
        let received = Time::parse_rfc3339(at).unwrap().0;
        let trail = "platform/acme/p1/hosts".parse().unwrap();
        let (options, mut new_id) = (Options::default(), || EventId::default());
        let mut context = Context::new("hosts", &trail, received, &mut new_id, &options);
        let format: Format = "syslog".parse().unwrap();
        let items = format.parse_message(message.as_bytes(), &mut context);
        let [Item::Event(event)] = &items[..] else { panic!("{message}: {items:?}") };
        let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
        assert_eq!(attribute("syslog_host"), host, "{message}");
        assert_eq!(attribute("program"), program, "{message}");
        assert_eq!(event.occurred_at, Time::parse_rfc3339(time).unwrap().0, "{message}");
        assert_eq!(attribute("time_assumed"), (time == at).then_some("received"), "{message}");
        assert_eq!(event.raw, message.as_bytes());
    }
}

/// Messages as the vendors' log references document them.
#[test]
fn network_devices_say_who_did_what() {
    let (success, failure) = (OutcomeKind::Success, OutcomeKind::Failure);
    for (message, action, operation, outcome, actor, from, resource) in [
        (
            "<189>Nov 23 2026 19:46:03 SW-1 %%01SHELL/5/CMDRECORD(s)[10]:Recorded command information. (Task=VT0, Ip=192.0.2.15, VpnName=, User=ann, AuthenticationMethod=\"Local-user\", Command=\"display version\")",
            "shell.command",
            Operation::Exec,
            success,
            "ann",
            Some("192.0.2.15"),
            "display version",
        ),
        (
            "<189>2026-11-23 19:46:06 USG %%01SHELL/5/CMDRECORD(s)[0]:Recorded command information. (Task=VTY, Ip=192.0.2.15, User=ann, Command=\"undo info-center enable\")",
            "shell.command",
            Operation::Exec,
            success,
            "ann",
            Some("192.0.2.15"),
            "undo info-center enable",
        ),
        (
            "<189>Nov 23 2026 19:46:04+08:00 SW-1 %%01SSH/5/SSH_USER_LOGIN(s)[17]:The SSH user succeeded in logging in. (ServiceType=stelnet, UserName=ann, UserAddress=192.0.2.15, LocalAddress=192.0.2.1, VPNInstanceName=_public_)",
            "ssh.login",
            Operation::Login,
            success,
            "ann",
            Some("192.0.2.15"),
            "SW-1",
        ),
        (
            "<190>Nov 23 2026 19:46:05.120 SW-1 %%01SSH/5/SSH_USER_LOGIN_FAIL(s):CID=0x80932723;The SSH user failed to login. (ServiceType=stelnet, FailedReason=Invalid password, UserName=bob, IPAddress=1.1.1.1, x, IPAddress=192.0.2.16, VPNInstanceName=_public_)",
            "ssh.login",
            Operation::Login,
            failure,
            "bob, IPAddress=1.1.1.1, x",
            Some("192.0.2.16"),
            "SW-1",
        ),
        (
            "<189>Nov 23 19:46:03 2026 H3C %%10SHELL/5/SHELL_LOGIN: ann logged in from 192.0.2.15.",
            "shell.login",
            Operation::Login,
            success,
            "ann",
            Some("192.0.2.15"),
            "H3C",
        ),
        (
            "<190>Nov 23 19:46:04 2026 H3C %%10SHELL/6/SHELL_CMD: -Line=vty0-IPAddr=192.0.2.15-User=ann; Command is undo info-center enable",
            "shell.command",
            Operation::Exec,
            success,
            "ann",
            Some("192.0.2.15"),
            "undo info-center enable",
        ),
        (
            "<188>12: r1: Nov 23 2026 19:46:04: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: bob] [Source: 192.0.2.16] [localport: 22] [Reason: Login Authentication Failed] at 19:46:04 UTC",
            "sec_login.login",
            Operation::Login,
            failure,
            "bob",
            Some("192.0.2.16"),
            "r1",
        ),
        (
            "<189>13: Nov 23 2026 19:46:04: %PARSER-5-CFGLOG_LOGGEDCMD: User:ann  logged command:no logging on",
            "parser.command",
            Operation::Exec,
            success,
            "ann",
            None,
            "no logging on",
        ),
        (
            "<189>14: r1: *Nov 23 2026 19:46:04: %SYS-5-CONFIG_I: Configured from console by ann on vty0 (192.0.2.15)",
            "sys.configured",
            Operation::Configure,
            success,
            "ann",
            Some("192.0.2.15"),
            "r1",
        ),
    ] {
        let items = HOSTS.parse_message(message.as_bytes(), &everything());
        let [Item::Event(event)] = &items[..] else { panic!("{message}: {items:?}") };
        assert_eq!((event.action.as_str(), event.operation), (action, operation), "{message}");
        assert_eq!((event.outcome.kind, event.actor.name.as_deref()), (outcome, Some(actor)));
        let address = event.source_ip.as_ref().map(|ip| ip.address.to_string());
        assert_eq!(address.as_deref(), from, "{message}");
        assert_eq!(event.resource.name.as_deref(), Some(resource), "{message}");
        let ends_the_log = resource.starts_with("undo") || resource.starts_with("no logging");
        assert_eq!(event.severity == Severity::CRITICAL, ends_the_log, "{message}");
    }
    let items =
        HOSTS.parse_message(b"Nov 23 19:46:03 2026 H3C %%10IFNET/3/PHY_UPDOWN: up", &everything());
    let [Item::Event(event)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((event.action.as_str(), event.operation), ("IFNET", Operation::Other));
}

/// All lines of an sshd at its usual `LogLevel` that takes keys alone.
#[test]
fn refused_connections_without_an_attempt_are_logins_that_failed() {
    let lines = "\
        Nov 23 19:46:03 bastion sshd[501]: Invalid user admin from 192.0.2.7 port 43212\n\
        Nov 23 19:46:03 bastion sshd[501]: Connection closed by invalid user admin 192.0.2.7 port 43212 [preauth]\n\
        Nov 23 19:46:04 bastion sshd[502]: Invalid user a 1.1.1.1 port 1 from 192.0.2.7 port 43226\n\
        Nov 23 19:46:04 bastion sshd[502]: Connection reset by invalid user a 1.1.1.1 port 1 192.0.2.7 port 43226 [preauth]\n\
        Nov 23 19:46:05 bastion sshd[503]: Disconnected from authenticating user root 192.0.2.7 port 43236 [preauth]\n\
        Nov 23 19:46:09 bastion sshd[504]: Failed password for invalid user guest from 192.0.2.8 port 50001 ssh2\n\
        Nov 23 19:46:09 bastion sshd[504]: Connection closed by invalid user guest 192.0.2.8 port 50001 [preauth]\n\
        Nov 23 19:46:10 bastion sshd[505]: Accepted publickey for al from 192.0.2.9 port 50002 ssh2: ED25519 SHA256:x\n\
        Nov 23 19:46:11 bastion sshd[505]: Disconnected from user al 192.0.2.9 port 50002\n";
    let in_file = HOSTS.parse(lines.as_bytes(), &mut 0).unwrap();
    // The same as messages, of another process each.
    let messages: Vec<Item> = lines
        .replace("sshd[5", "sshd[6")
        .lines()
        .flat_map(|line| HOSTS.parse_message(format!("<38>{line}").as_bytes(), &everything()))
        .collect();
    for items in [in_file, messages] {
        let events: Vec<(&str, ActorKind, OutcomeKind, String)> = items
            .iter()
            .filter_map(|item| match item {
                Item::Event(event) => Some((
                    event.actor.name.as_deref().unwrap(),
                    event.actor.kind,
                    event.outcome.kind,
                    event.source_ip.as_ref().unwrap().address.to_string(),
                )),
                _ => None,
            })
            .collect();
        let (unknown, failure) = (ActorKind::Unknown, OutcomeKind::Failure);
        let from = |address: &str| address.to_owned();
        assert_eq!(
            events,
            [
                ("admin", unknown, failure, from("192.0.2.7")),
                ("a 1.1.1.1 port 1", unknown, failure, from("192.0.2.7")),
                ("root", ActorKind::User, failure, from("192.0.2.7")),
                ("guest", unknown, failure, from("192.0.2.8")),
                ("al", ActorKind::User, OutcomeKind::Success, from("192.0.2.9")),
            ]
        );
    }
}

#[test]
fn bad_records_are_rejected_alone() {
    let good = "Nov 20 18:17:11 vm app: x";
    let large = format!("{good}{}", "y".repeat(256 * 1024));
    for (bad, why) in [("\0", "the line is empty"), (&large, "event_too_large")] {
        let body = format!("{good}\r\n{bad}\n\n{good}");
        let parsed = HOSTS.parse(body.as_bytes(), &mut 0).unwrap();
        let [Item::Event(first), Item::Rejected(rejected), Item::Event(_)] = &parsed[..] else {
            panic!("{bad:.80}: {parsed:?}");
        };
        assert!(rejected.reason.contains(why), "{bad:.80}: {}", rejected.reason);
        assert_eq!((&rejected.raw[..], &first.raw[..]), (bad.as_bytes(), good.as_bytes()));
        let [Item::Rejected(message)] = &HOSTS.parse_message(bad.as_bytes(), &everything())[..]
        else {
            panic!("{bad:.80}");
        };
        assert_eq!(message.raw, bad.as_bytes());
    }
    let latin1 = [good.as_bytes(), b" \xe9"].concat();
    let event = HOSTS.event(&latin1);
    assert_eq!(
        (event.description.as_deref(), &*event.attributes["invalid_utf8"]),
        (Some("x \u{fffd}"), "true")
    );
    assert_eq!(event.raw, latin1);
}
