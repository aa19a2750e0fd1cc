//! The meaning of the records of an event together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::record::{Record, hexadecimal};
use super::syscalls;
use crate::context::address;
use crate::texts::{attributes_of, non_empty};
use event::{
    Actor, ActorKind, Class, Operation, Outcome, OutcomeKind, Resource, Severity, SourceIp, Trust,
};

/// Records that complete a system call, and mean nothing by themselves.
const DETAILS: [&str; 22] = [
    "BPRM_FCAPS",
    "CAPSET",
    "CONTAINER_ID",
    "CWD",
    "DM_EVENT",
    "EXECVE",
    "FANOTIFY",
    "FD_PAIR",
    "IPC",
    "IPC_SET_PERM",
    "KERN_MODULE",
    "MMAP",
    "MQ_GETSETATTR",
    "MQ_NOTIFY",
    "MQ_OPEN",
    "MQ_SENDRECV",
    "OBJ_PID",
    "OPENAT2",
    "PATH",
    "PROCTITLE",
    "SOCKADDR",
    "SOCKETCALL",
];

/// Prefixes of the types whose events have one record: those that programs send.
const ALONE: [&str; 18] = [
    "ACCT_",
    "ADD_",
    "CHGRP_ID",
    "CHUSER_ID",
    "CRED_",
    "CRYPTO_",
    "DAEMON_",
    "DEL_",
    "GRP_",
    "LABEL_",
    "RESP_",
    "ROLE_",
    "SERVICE_",
    "SOFTWARE_UPDATE",
    "SYSTEM_",
    "TRUSTED_APP",
    "USER",
    "VIRT_",
];

/// An id that is not set.
const UNSET: [&str; 2] = ["4294967295", "-1"];

/// Whether an event of this type has only one record.
pub(super) fn is_alone(kind: &str) -> bool {
    ALONE.iter().any(|start| kind.starts_with(start))
}

/// Whether a record of this type only completes another.
pub(super) fn is_detail(kind: &str) -> bool {
    DETAILS.contains(&kind) || kind.starts_with("UNKNOWN[")
}

/// The meaning of the records, in the terms of an event.
pub(super) struct Meaning {
    pub(super) actor: Actor,
    pub(super) source_ip: Option<SourceIp>,
    pub(super) action: String,
    pub(super) operation: Operation,
    pub(super) resource: Resource,
    pub(super) outcome: Outcome,
    pub(super) severity: Severity,
    pub(super) class: Class,
    pub(super) description: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
}

/// The records, and those that are read most.
struct EventRecords<'a> {
    records: &'a [Record<'a>],
    /// The subject of the event: the first record that is neither a detail nor the system call that
    /// caused it.
    main: &'a Record<'a>,
    syscall: Option<&'a Record<'a>>,
    /// The name of the system call, or its number.
    call: String,
}

/// There is at least one record.
pub(super) fn of(records: &[Record<'_>]) -> Meaning {
    let syscall = records.iter().find(|record| record.line.kind == "SYSCALL");
    let main =
        records.iter().find(|record| !is_detail(record.line.kind) && record.line.kind != "SYSCALL");
    let main = main.or(syscall).unwrap_or(&records[0]);
    let event_records =
        EventRecords { records, main, syscall, call: syscall.map(call).unwrap_or_default() };
    let (operation, outcome) = (event_records.operation(), event_records.outcome());
    let command = event_records.command();
    let is_syscall = main.line.kind == "SYSCALL";
    let description =
        if is_syscall && command.is_some() { command.clone() } else { non_empty(&main.text()) };
    Meaning {
        actor: event_records.actor(),
        source_ip: event_records
            .field("addr")
            .and_then(address)
            .map(|address| SourceIp { address, trust: Trust::Peer }),
        action: event_records.action(),
        operation,
        resource: event_records.resource(),
        severity: event_records.severity(operation, &outcome),
        class: event_records.class(&outcome),
        outcome,
        description,
        attributes: event_records.attributes(command.as_deref().unwrap_or_default()),
    }
}

/// The name of a record's system call, or `syscall 59` if it is unknown.
fn call(record: &Record<'_>) -> String {
    let number = record.field("syscall").unwrap_or("?");
    let known = record.added("SYSCALL").or_else(|| syscalls::name(record.field("arch")?, number));
    known.map_or_else(|| format!("syscall {number}"), str::to_owned)
}

impl EventRecords<'_> {
    fn kind(&self) -> &str {
        self.main.line.kind
    }

    /// A field of the event's subject, else of the system call.
    fn field(&self, name: &str) -> Option<&str> {
        self.main.field(name).or_else(|| self.syscall?.field(name))
    }

    fn added(&self, name: &str) -> Option<&str> {
        self.main.added(name).or_else(|| self.syscall?.added(name))
    }

    fn id(&self, name: &str) -> Option<&str> {
        self.field(name).filter(|id| !UNSET.contains(id))
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &Record<'_>> {
        self.records.iter().filter(move |record| record.line.kind == kind)
    }

    /// `execve`, `USER_LOGIN`, or `CONFIG_CHANGE add_rule`.
    fn action(&self) -> String {
        match self.kind() {
            "SYSCALL" => self.call.clone(),
            kind @ "CONFIG_CHANGE" => {
                self.field("op").map_or_else(|| kind.to_owned(), |op| format!("{kind} {op}"))
            }
            kind => kind.to_owned(),
        }
    }

    /// The user who signed in, whom su and sudo do not change; before that the user who tries to,
    /// else the process's user.
    fn actor(&self) -> Actor {
        if let Some(id) = self.id("auid") {
            let name = self.added("AUID").map(str::to_owned);
            return Actor { id: Some(id.to_owned()), name, kind: ActorKind::User };
        }
        if is_sign_in(self.kind())
            && let Some(name) = self.field("acct")
        {
            // sshd writes this for a user that the host does not have.
            let kind = if name == "(invalid user)" { ActorKind::Unknown } else { ActorKind::User };
            return Actor { id: None, name: Some(name.to_owned()), kind };
        }
        let id = self.id("uid").map(str::to_owned);
        let kind = if id.is_some() { ActorKind::System } else { ActorKind::Unknown };
        Actor { id, name: self.added("UID").map(str::to_owned), kind }
    }

    fn operation(&self) -> Operation {
        match self.kind() {
            "SYSCALL" => self.operation_of_call(),
            "USER_AUTH" | "USER_LOGIN" => Operation::Login,
            "USER_LOGOUT" => Operation::Logout,
            "USER_CMD" | "USER_TTY" | "TTY" => Operation::Exec,
            "GRP_MGMT" => Operation::Grant,
            "USER_CHAUTHTOK" | "USER_MGMT" | "SOFTWARE_UPDATE" => Operation::Update,
            "USYS_CONFIG" | "CONFIG_CHANGE" | "FEATURE_CHANGE" | "NETFILTER_CFG" => {
                Operation::Configure
            }
            kind if kind.starts_with("ADD_") => Operation::Create,
            kind if kind.starts_with("DEL_") => Operation::Delete,
            kind if ["ACCT_", "GRP_", "CHGRP_", "CHUSER_"]
                .iter()
                .any(|start| kind.starts_with(start)) =>
            {
                Operation::Update
            }
            kind if kind.starts_with("ROLE_") || kind == "USER_ROLE_CHANGE" => Operation::Grant,
            kind if kind.starts_with("DAEMON_") || kind.starts_with("MAC_") => Operation::Configure,
            _ => Operation::Other,
        }
    }

    fn operation_of_call(&self) -> Operation {
        let has =
            |state: &str| self.of_kind("PATH").any(|path| path.field("nametype") == Some(state));
        match self.call.as_str() {
            "execve" | "execveat" => Operation::Exec,
            "unlink" | "unlinkat" | "rmdir" => Operation::Delete,
            "mkdir" | "mkdirat" | "mknod" | "mknodat" | "creat" | "link" | "linkat" | "symlink"
            | "symlinkat" => Operation::Create,
            "open" | "openat" | "openat2" if has("CREATE") => Operation::Create,
            "open" if is_writing(self.field("a1")) => Operation::Update,
            "openat" if is_writing(self.field("a2")) => Operation::Update,
            "open" | "openat" | "read" => Operation::Read,
            "adjtimex" | "clock_settime" | "delete_module" | "finit_module" | "init_module"
            | "kexec_load" | "mount" | "pivot_root" | "reboot" | "sethostname"
            | "setdomainname" | "settimeofday" | "swapon" | "umount2" => Operation::Configure,
            call if is_change(call) => Operation::Update,
            _ if has("CREATE") => Operation::Create,
            _ if has("DELETE") => Operation::Delete,
            _ => Operation::Other,
        }
    }

    /// `res` of programs, `success` and the error of system calls, or the denial.
    fn outcome(&self) -> Outcome {
        let result =
            self.field("res").or_else(|| self.field("result")).or_else(|| self.field("success"));
        let error = self
            .syscall
            .and_then(|record| record.field("exit")?.strip_prefix('-')?.parse().ok())
            .filter(|_| matches!(result, Some("no")));
        let is_denied = self.main.fields().any(|(name, value)| {
            (name == "text" && value.contains("denied"))
                || (name == "apparmor" && value == "DENIED")
        });
        let kind = match result {
            _ if is_denied => OutcomeKind::Failure,
            // A connection in progress.
            _ if error == Some(EINPROGRESS) => OutcomeKind::Unknown,
            Some("yes" | "success" | "1") => OutcomeKind::Success,
            Some("no" | "failed" | "0") => OutcomeKind::Failure,
            _ => OutcomeKind::Unknown,
        };
        let reason = if is_denied { Some("denied".to_owned()) } else { error.map(syscalls::error) };
        Outcome { kind, code: error, reason }
    }

    fn severity(&self, operation: Operation, outcome: &Outcome) -> Severity {
        let (kind, is_failure) = (self.kind(), outcome.kind == OutcomeKind::Failure);
        let is_switched_off = self.field("audit_enabled") == Some("0") && kind == "CONFIG_CHANGE";
        let is_denied = matches!(outcome.code, Some(EPERM | EACCES));
        match operation {
            _ if is_switched_off && is_failure => Severity::MAJOR,
            _ if is_switched_off || matches!(kind, "DAEMON_END" | "DAEMON_ABORT") => {
                Severity::CRITICAL
            }
            _ if kind.starts_with("ANOM_") => Severity::MAJOR,
            _ if kind == "CONFIG_CHANGE" && self.field("op") == Some("remove_rule") => {
                Severity::MAJOR
            }
            Operation::Login if is_failure => Severity::MAJOR,
            Operation::Delete if is_denied => Severity::MAJOR,
            Operation::Delete => Severity::MINOR,
            _ if is_failure => Severity::MINOR,
            _ => Severity::WARNING,
        }
    }

    /// Logins and accounts, commands by sudo, denials, and auditing itself.
    fn class(&self, outcome: &Outcome) -> Class {
        const STARTS: [&str; 16] = [
            "ACCT_",
            "ADD_",
            "ANOM_",
            "AVC",
            "CH",
            "CONFIG_CHANGE",
            "CRED_",
            "DAEMON_",
            "DEL_",
            "FEATURE_CHANGE",
            "GRP_",
            "INTEGRITY_",
            "LABEL_",
            "MAC_",
            "RESP_",
            "ROLE_",
        ];
        let kind = self.kind();
        let is_security = matches!(kind, "LOGIN" | "SECCOMP" | "SELINUX_ERR" | "TTY")
            || kind.starts_with("USER_")
            || STARTS.iter().any(|start| kind.starts_with(start));
        let is_denied = matches!(outcome.code, Some(EPERM | EACCES));
        if is_security || is_denied { Class::Security } else { Class::Operation }
    }

    fn resource(&self) -> Resource {
        let of = |kind: &str, name: Option<&str>, id: Option<&str>| Resource {
            kind: Some(kind.to_owned()),
            name: name.map(str::to_owned),
            id: id.map(str::to_owned),
            region: None,
        };
        match self.kind() {
            "USER_CMD" => of("command", self.field("cmd"), None),
            kind if kind.starts_with("SERVICE_") => of("service", self.field("unit"), None),
            kind if kind.starts_with("CONFIG_CHANGE") || kind.starts_with("DAEMON_") => {
                of("audit", self.field("key").or_else(|| self.field("op")), None)
            }
            kind if kind.ends_with("_GROUP") || kind.starts_with("GRP_") => {
                of("group", self.field("grp").or_else(|| self.field("acct")), self.field("id"))
            }
            kind if is_alone(kind)
                && (self.field("acct").is_some() || self.field("id").is_some()) =>
            {
                of("user", self.field("acct"), self.field("id"))
            }
            "LOGIN" => of("user", self.added("AUID"), self.id("auid")),
            _ => self.file_or_socket().unwrap_or_else(|| {
                of("process", self.field("exe").or_else(|| self.field("comm")), None)
            }),
        }
    }

    /// The resource of a system call.
    fn file_or_socket(&self) -> Option<Resource> {
        if let Some(name) = self.socket() {
            return Some(Resource {
                kind: Some("socket".to_owned()),
                name: Some(name),
                ..Resource::default()
            });
        }
        let path = self.path()?;
        let id =
            path.field("dev").zip(path.field("inode")).map(|(dev, inode)| format!("{dev}:{inode}"));
        let name = path.field("name").map(|name| self.absolute(name));
        Some(Resource { kind: Some("file".to_owned()), name, id, region: None })
    }

    /// The program that is executed, else the file that was created, deleted, or found.
    fn path(&self) -> Option<&Record<'_>> {
        let last = |state: &str| {
            self.of_kind("PATH").filter(|path| path.field("nametype") == Some(state)).last()
        };
        if self.call.starts_with("execve") {
            return self.of_kind("PATH").find(|path| path.field("item") == Some("0"));
        }
        let first =
            |state: &str| self.of_kind("PATH").find(|path| path.field("nametype") == Some(state));
        last("CREATE")
            .or_else(|| last("DELETE"))
            .or_else(|| first("NORMAL"))
            .or_else(|| first("UNKNOWN"))
            .or_else(|| self.of_kind("PATH").next())
    }

    /// The name of a file before it was renamed.
    fn renamed_from(&self) -> Option<String> {
        let is_gone = |path: &&Record<'_>| path.field("nametype") == Some("DELETE");
        let path = self.of_kind("PATH").find(is_gone).filter(|_| self.call.contains("rename"))?;
        path.field("name").map(|name| self.absolute(name))
    }

    /// With the folder of the process, unless the call may have named another.
    fn absolute(&self, name: &str) -> String {
        let is_relative = !name.starts_with('/');
        let may_have_folder = self.call.contains("at") && self.field("a0") != Some("ffffff9c");
        match self.of_kind("CWD").find_map(|record| record.field("cwd")) {
            Some(cwd) if is_relative && !may_have_folder => {
                format!("{}/{name}", cwd.trim_end_matches('/'))
            }
            _ => name.to_owned(),
        }
    }

    fn socket(&self) -> Option<String> {
        let record = self.of_kind("SOCKADDR").next()?;
        socket_address(&hexadecimal(record.field("saddr")?)?)
    }

    /// The arguments of an executed program, else the title of the process.
    fn command(&self) -> Option<String> {
        if let Some(arguments) = arguments(self.of_kind("EXECVE")) {
            return Some(arguments);
        }
        let title = self.of_kind("PROCTITLE").find_map(|record| record.field("proctitle"))?;
        non_empty(title.trim_end_matches('\0')).map(|title| title.replace('\0', " "))
    }

    fn attributes(&self, command: &str) -> BTreeMap<String, String> {
        let field = |name: &str| self.field(name).unwrap_or_default();
        let kinds: Vec<&str> = self.records.iter().map(|record| record.line.kind).collect();
        let cwd = self.of_kind("CWD").find_map(|record| record.field("cwd"));
        let key = field("key").replace('\u{1}', ", ");
        let serial = self.main.line.serial.to_string();
        let is_invalid_utf8 = self.records.iter().any(|record| record.is_invalid_utf8);
        attributes_of([
            ("account", field("acct")),
            ("audit_key", &key),
            ("auid", self.id("auid").unwrap_or_default()),
            ("command", command),
            ("command_name", field("comm")),
            ("cwd", cwd.or(self.field("cwd")).unwrap_or_default()),
            ("euid", self.id("euid").unwrap_or_default()),
            ("executable", field("exe")),
            ("exit", field("exit")),
            ("hostname", field("hostname")),
            ("invalid_utf8", if is_invalid_utf8 { "true" } else { "" }),
            ("node", self.main.line.node),
            ("old_auid", self.id("old-auid").unwrap_or_default()),
            ("op", field("op")),
            ("parent_process_id", field("ppid")),
            ("process_id", field("pid")),
            ("records", &kinds.join(" ")),
            ("renamed_from", &self.renamed_from().unwrap_or_default()),
            ("serial", &serial),
            ("session", self.id("ses").unwrap_or_default()),
            ("socket", &self.socket().unwrap_or_default()),
            ("syscall", &self.call),
            ("terminal", self.field("terminal").unwrap_or(field("tty"))),
            ("uid", self.id("uid").unwrap_or_default()),
            ("user", self.added("UID").unwrap_or_default()),
        ])
    }
}

const EPERM: u32 = 1;
const EACCES: u32 = 13;
const EINPROGRESS: u32 = 115;

/// Records of logins, whose account is the user who signs in.
fn is_sign_in(kind: &str) -> bool {
    kind.starts_with("CRED_")
        || matches!(
            kind,
            "USER_ACCT"
                | "USER_AUTH"
                | "USER_END"
                | "USER_ERR"
                | "USER_LOGIN"
                | "USER_LOGOUT"
                | "USER_START"
        )
}

/// Whether the flags of an open request more than reading: O_WRONLY or O_RDWR.
fn is_writing(flags: Option<&str>) -> bool {
    flags.and_then(|flags| u64::from_str_radix(flags, 16).ok()).is_some_and(|flags| flags & 3 != 0)
}

/// Whether a call changes a file or its metadata.
fn is_change(call: &str) -> bool {
    const WORDS: [&str; 8] =
        ["rename", "chmod", "chown", "truncate", "setxattr", "removexattr", "utime", "write"];
    WORDS.iter().any(|word| call.contains(word))
}

/// Arguments with spaces between them. An argument too long for a record comes in pieces, `a1[0]`,
/// `a1[1]`, ….
fn arguments<'a>(records: impl Iterator<Item = &'a Record<'a>>) -> Option<String> {
    let (mut text, mut current) = (String::new(), String::new());
    let mut is_first = true;
    for (name, value) in records.flat_map(Record::fields) {
        let number = name.strip_prefix('a').map(|rest| rest.split('[').next().unwrap_or(rest));
        let Some(number) = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        if !is_first && number != current {
            text.push(' ');
        }
        (is_first, current) = (false, number.to_owned());
        text.push_str(value);
    }
    (!is_first).then_some(text)
}

/// `192.0.2.7:22`, `[2001:db8::7]:22`, or the path of a Unix socket, with `@` before an abstract
/// one.
fn socket_address(bytes: &[u8]) -> Option<String> {
    let family = u16::from_le_bytes(*bytes.first_chunk()?);
    let port = || Some(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
    match family {
        1 => {
            let path = bytes.get(2..)?;
            let (mark, path) = match path.strip_prefix(b"\0") {
                Some(path) => ("@", path),
                None => ("", path),
            };
            let path = path.split(|&byte| byte == 0).next().filter(|path| !path.is_empty())?;
            Some(format!("{mark}{}", String::from_utf8_lossy(path)))
        }
        2 => {
            let address: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(format!("{}:{}", IpAddr::from(Ipv4Addr::from(address)), port()?))
        }
        10 => {
            let address: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            Some(format!("[{}]:{}", Ipv6Addr::from(address), port()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_addresses_are_read_by_family() {
        for (hex, expected) in [
            ("0200D90900000000", Some("0.0.0.0:55561")),
            ("02000016C0000207", Some("192.0.2.7:22")),
            ("0A0000160000000020010DB800000000000000000000000700000000", Some("[2001:db8::7]:22")),
            ("01002F6465762F6C6F670000", Some("/dev/log")),
            ("010000612E62", Some("@a.b")),
            ("0100", None),
            ("100000000000", None),
            ("0200", None),
            ("02", None),
        ] {
            let bytes = hexadecimal(hex).expect(hex);
            assert_eq!(socket_address(&bytes).as_deref(), expected, "{hex}");
        }
    }
}
