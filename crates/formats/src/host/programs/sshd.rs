//! sshd: <https://man.openbsd.org/sshd.8>; the texts are those of `auth.c` and `session.c` of
//! OpenSSH.

use super::{COMPANION, LogLine, Meaning, endpoint, said};
use crate::attempts::Attempts;
use crate::item::NoEvent;
use event::{ActorKind, Operation, Severity, SourceIp, Trust};

/// Beginnings of lines that accompany an attempt or a session with a line of its own.
const COMPANIONS: [&str; 23] = [
    "Accepted certificate ID ",
    "Accepted key ",
    "Changed root directory to ",
    "Close session: ",
    "Closing connection to ",
    "Connection closed by ",
    "Connection from ",
    "Connection reset by ",
    "Disconnected from ",
    "Disconnecting ",
    "Disconnecting: ",
    "Invalid user ",
    "Illegal user ",
    "Partial ",
    "Postponed ",
    "ROOT LOGIN REFUSED ",
    "Received disconnect from ",
    "Starting session: ",
    "Transferred: ",
    "User ",
    "error: PAM: ",
    "error: maximum authentication attempts exceeded for ",
    "input_userauth_request: invalid user ",
];

/// Beginnings of the line that ends a connection; each has one of them at most.
const ENDS: [&str; 3] = ["Connection closed by ", "Connection reset by ", "Disconnected from "];

/// One row for each login attempt: `Accepted publickey for al from 192.0.2.7 port 4711 ssh2:
/// ED25519 SHA256:…`, or `Failed password for invalid user al from …`.
///
/// A connection that ends before anybody logged in, and without a line of an attempt, is an attempt
/// that was refused: with keys alone, at the usual `LogLevel`, its end is all that sshd writes.
pub(super) fn meaning(
    text: &str,
    line: &LogLine<'_>,
    attempts: &Attempts,
) -> Result<Option<Meaning>, NoEvent> {
    let connection = |address: &str, port: &str| {
        let (host, process) = (line.host.unwrap_or_default(), line.process.unwrap_or_default());
        format!("{host} {process} {address} {port}")
    };
    let ended = ENDS.iter().find_map(|start| text.strip_prefix(start)).and_then(ended);
    if let Some(End { name, is_unknown, address, port }) = ended
        && !attempts.has(&connection(address, port))
    {
        return Ok(Some(refused(name, is_unknown, address, port, "closed before a login")));
    }
    if COMPANIONS.iter().any(|start| text.starts_with(start)) {
        return Err(NoEvent::Skipped(COMPANION));
    }
    let (is_accepted, rest) = match (text.strip_prefix("Accepted "), text.strip_prefix("Failed ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Ok(None),
    };
    if let Some((address, port)) = address_and_port(rest) {
        attempts.add(connection(address, port));
    }
    Ok(rest.split_once(" for ").map(|(method, rest)| attempt(is_accepted, method, rest)))
}

/// The address and the port of an attempt, as written.
fn address_and_port(rest: &str) -> Option<(&str, &str)> {
    let (_, endpoint) = rest.rsplit_once(" from ")?;
    let mut words = endpoint.split([' ', ':']);
    let address = endpoint.split(' ').next()?;
    let port = words.find(|word| *word == "port").and_then(|_| words.next())?;
    Some((address, port))
}

/// The end of a connection before a login.
struct End<'a> {
    name: &'a str,
    /// Whether the host has no such user.
    is_unknown: bool,
    address: &'a str,
    port: &'a str,
}

/// Reads `invalid user al 192.0.2.7 port 4711 [preauth]`. The name comes from the client, and may
/// hold anything: the last address and port count.
fn ended(rest: &str) -> Option<End<'_>> {
    let rest = rest.strip_suffix(" [preauth]").unwrap_or(rest);
    let (is_unknown, rest) = match rest.strip_prefix("invalid user ") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("authenticating user ")?),
    };
    let (rest, port) = rest.rsplit_once(" port ")?;
    let (name, address) = rest.rsplit_once(' ')?;
    Some(End { name, is_unknown, address, port })
}

fn refused(name: &str, is_unknown: bool, address: &str, port: &str, reason: &str) -> Meaning {
    let mut meaning = said("sshd.login", Operation::Login)
        .by(name)
        .with("port", port)
        .with("invalid_user", if is_unknown { "true" } else { "" })
        .failed(Severity::MAJOR, reason);
    meaning.source_ip =
        crate::context::address(address).map(|address| SourceIp { address, trust: Trust::Peer });
    if is_unknown {
        meaning.actor.kind = ActorKind::Unknown;
    }
    meaning
}

fn attempt(is_accepted: bool, method: &str, rest: &str) -> Meaning {
    let (name, address, port, after) = endpoint(rest).unwrap_or((rest, None, "", ""));
    let known = name.strip_prefix("invalid user ");
    let after = after.strip_suffix(" [preauth]").unwrap_or(after);
    let key = after.strip_prefix(" ssh2: ").unwrap_or_default();
    let mut meaning = said("sshd.login", Operation::Login)
        .by(known.unwrap_or(name))
        .with("method", method)
        .with("port", port)
        .with("key", key)
        .with("invalid_user", if known.is_some() { "true" } else { "" });
    meaning.source_ip = address.map(|address| SourceIp { address, trust: Trust::Peer });
    if known.is_some() {
        // The host has no such user, so the name may be any text.
        meaning.actor.kind = ActorKind::Unknown;
    }
    if is_accepted { meaning } else { meaning.failed(Severity::MAJOR, &format!("failed {method}")) }
}
