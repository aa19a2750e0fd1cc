//! Lines of sshd, sudo, su, cron and the account programs, from any log.
//!
//! The texts are those of OpenSSH, sudo, Linux-PAM, util-linux and shadow, as captured in
//! `testdata/syslog/` and `testdata/journald/`. The captures show, and this module relies on:
//! - a login over SSH has up to ten lines. `Accepted` and `Failed` are the attempt; the others are
//!   its companions;
//! - the names in these two come from the client, who may put ` from 192.0.2.1 port 1` into them:
//!   only the last counts;
//! - sudo does not quote: a folder or a command may hold ` ; COMMAND=`, so that a line has two
//!   readings;
//! - PAM names the service and the module before its text, whatever the program.
//!
//! Any other text is an event too, with the program as its action.

mod accounts;
mod device;
mod pam;
mod sshd;
mod sudo;

use std::net::IpAddr;

use crate::Context;
use crate::item::NoEvent;
use crate::texts::non_empty;
use event::{
    Actor, ActorKind, Class, Operation, Outcome, OutcomeKind, Resource, Severity, SourceIp,
};

/// The reason to skip a companion: the line of the attempt or session is recorded.
pub(crate) const COMPANION: &str = "a companion of a line that is recorded";

/// A line of a log.
pub(crate) struct LogLine<'a> {
    /// The program that claims to have written it.
    pub(crate) program: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    /// The id of the process.
    pub(crate) process: Option<&'a str>,
    /// The kind of message, which network devices name in their tags.
    pub(crate) message_id: Option<&'a str>,
    pub(crate) text: &'a str,
    /// Its urgency (RFC 5424 table 2), if the log has it.
    pub(crate) priority: Option<u8>,
}

/// The meaning of a line, in the terms of an event.
#[derive(Debug, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) action: String,
    pub(crate) operation: Operation,
    pub(crate) class: Class,
    pub(crate) severity: Severity,
    pub(crate) outcome: Outcome,
    pub(crate) actor: Actor,
    pub(crate) source_ip: Option<SourceIp>,
    pub(crate) resource: Resource,
    pub(crate) attributes: Vec<(&'static str, String)>,
}

/// The meaning of a line; an unknown text has only its program's name.
pub(crate) fn meaning(line: &LogLine<'_>, context: &Context<'_>) -> Result<Meaning, NoEvent> {
    let (text, repeated) = repeated(line.text);
    let known = match line.program {
        Some(program) => of_program(program, text, line, context)?,
        None => None,
    };
    let mut meaning = known.unwrap_or_else(|| plain(line));
    if meaning.resource == Resource::default() {
        meaning.resource = Resource {
            kind: line.host.map(|_| "host".to_owned()),
            name: line.host.map(str::to_owned),
            ..Resource::default()
        };
    }
    meaning.attributes.extend(repeated.map(|times| ("repeated", times.to_owned())));
    meaning.attributes.retain(|(_, value)| !value.is_empty());
    Ok(meaning)
}

/// Undoes rsyslog's joining of several lines: `message repeated 5 times: [ text]`.
fn repeated(text: &str) -> (&str, Option<&str>) {
    let found = text.strip_prefix("message repeated ").and_then(|rest| {
        let (times, rest) = rest.split_once(" times: [")?;
        let text = rest.strip_suffix(']')?;
        let is_number = !times.is_empty() && times.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some((text.strip_prefix(' ').unwrap_or(text), times))
    });
    found.map_or((text, None), |(text, times)| (text, Some(times)))
}

/// The meaning of the known texts of a program. PAM's lines come from any program.
fn of_program(
    program: &str,
    text: &str,
    line: &LogLine<'_>,
    context: &Context<'_>,
) -> Result<Option<Meaning>, NoEvent> {
    if let Some(line) = pam::line(text) {
        return line.meaning(context.options);
    }
    if let Some(meaning) = line.message_id.and_then(|kind| device::meaning(program, kind, text)) {
        return Ok(Some(meaning));
    }
    match program {
        "sshd" | "sshd-session" | "sshd-auth" => sshd::meaning(text, line, &context.attempts),
        "sudo" => Ok(sudo::meaning(text)),
        "su" => su(text),
        "login" => login(text),
        "cron" | "CRON" | "crond" => Ok(cron(text)),
        "systemd-logind" => logind(text),
        _ if accounts::PROGRAMS.contains(&program) => accounts::meaning(program, text),
        _ => Ok(None),
    }
}

/// A line of which only the program is known.
fn plain(line: &LogLine<'_>) -> Meaning {
    let severity = match line.priority {
        Some(0..=2) => Severity::CRITICAL,
        Some(3) => Severity::MAJOR,
        Some(4) => Severity::MINOR,
        _ => Severity::WARNING,
    };
    Meaning {
        class: Class::Operation,
        severity,
        outcome: Outcome::default(),
        ..said(line.program.unwrap_or("-"), Operation::Other)
    }
}

/// A security matter that succeeded, to be completed.
fn said(action: &str, operation: Operation) -> Meaning {
    Meaning {
        action: action.to_owned(),
        operation,
        class: Class::Security,
        severity: if operation == Operation::Delete { Severity::MINOR } else { Severity::WARNING },
        outcome: Outcome { kind: OutcomeKind::Success, code: None, reason: None },
        actor: Actor::default(),
        source_ip: None,
        resource: Resource::default(),
        attributes: Vec::new(),
    }
}

impl Meaning {
    fn failed(self, severity: Severity, reason: &str) -> Meaning {
        let outcome = Outcome { kind: OutcomeKind::Failure, code: None, reason: non_empty(reason) };
        Meaning { severity, outcome, ..self }
    }

    fn by(self, name: &str) -> Meaning {
        let kind = if name.is_empty() { ActorKind::Unknown } else { ActorKind::User };
        Meaning { actor: Actor { id: None, name: non_empty(name), kind }, ..self }
    }

    fn of(self, kind: &str, name: &str) -> Meaning {
        let resource =
            Resource { kind: Some(kind.to_owned()), name: non_empty(name), ..Resource::default() };
        Meaning { resource, ..self }
    }

    fn with(mut self, name: &'static str, value: &str) -> Meaning {
        self.attributes.push((name, value.to_owned()));
        self
    }
}

/// The last ` from ADDRESS port NUMBER` of a text: the text before it, the address, the port, and
/// the text after it.
fn endpoint(text: &str) -> Option<(&str, Option<IpAddr>, &str, &str)> {
    text.rmatch_indices(" from ").find_map(|(at, found)| {
        let (address, rest) = text[at + found.len()..].split_once(' ')?;
        let rest = rest.strip_prefix("port ")?;
        let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
        let (port, after) = rest.split_at(end);
        let is_end = after.is_empty() || after.starts_with([' ', ':']);
        (!port.is_empty() && is_end)
            .then(|| (&text[..at], crate::context::address(address), port, after))
    })
}

/// su, of util-linux (`(to root) al on pts/0`) and of shadow (`Successful su for root by al`).
fn su(text: &str) -> Result<Option<Meaning>, NoEvent> {
    // shadow's `+ /dev/pts/0 al:root` follows the line that says it in words.
    if text.starts_with("+ ") || text.starts_with("- ") {
        return Err(NoEvent::Skipped(COMPANION));
    }
    let (is_failed, rest) = match (text.strip_prefix("FAILED SU "), text.strip_prefix("FAILED su "))
    {
        (Some(rest), _) | (_, Some(rest)) => (true, rest),
        _ => (false, text.strip_prefix("Successful su ").unwrap_or(text)),
    };
    let names = match rest.strip_prefix("(to ") {
        Some(rest) => rest.split_once(") ").and_then(|(target, rest)| {
            let (user, terminal) = rest.rsplit_once(" on ")?;
            Some((target, user, terminal))
        }),
        None => rest
            .strip_prefix("for ")
            .and_then(|rest| rest.split_once(" by "))
            .map(|(target, user)| (target, user, "")),
    };
    Ok(names.map(|(target, user, terminal)| {
        let terminal = if terminal == "none" { "" } else { terminal };
        let meaning = said("su.login", Operation::Login)
            .by(user)
            .of("user", target)
            .with("terminal", terminal);
        if is_failed { meaning.failed(Severity::MAJOR, "authentication failure") } else { meaning }
    }))
}

/// login: PAM reports sessions; these lines say more about failures.
fn login(text: &str) -> Result<Option<Meaning>, NoEvent> {
    if ["LOGIN ON ", "ROOT LOGIN ", "DIALUP AT "].iter().any(|start| text.starts_with(start)) {
        return Err(NoEvent::Skipped(COMPANION));
    }
    let failed = text.strip_prefix("FAILED LOGIN ").and_then(|rest| {
        let (terminal_path, rest) = rest.split_once(" FOR ")?;
        let (name, reason) = rest.rsplit_once(", ").unwrap_or((rest, ""));
        let terminal =
            terminal_path.rsplit([' ', '/']).next().unwrap_or_default().trim_matches('\'');
        Some((name.trim_matches('\''), terminal, reason))
    });
    Ok(failed.map(|(name, terminal, reason)| {
        said("login.login", Operation::Login)
            .by(name)
            .with("terminal", terminal)
            .failed(Severity::MAJOR, reason)
    }))
}

/// cron, when it runs a command: `(al) CMD (backup --all)`.
fn cron(text: &str) -> Option<Meaning> {
    let (user, command) = text.strip_prefix('(')?.split_once(") CMD (")?;
    let command = command.strip_suffix(')').unwrap_or(command);
    let meaning = said("cron.command", Operation::Exec).by(user).of("command", command.trim());
    Some(Meaning { class: Class::Operation, ..meaning })
}

/// logind, which reports sessions that PAM opens and closes.
fn logind(text: &str) -> Result<Option<Meaning>, NoEvent> {
    let is_session = ["New session ", "Removed session ", "Session "]
        .iter()
        .any(|start| text.starts_with(start));
    if is_session { Err(NoEvent::Skipped(COMPANION)) } else { Ok(None) }
}
