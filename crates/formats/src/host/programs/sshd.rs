//! sshd: <https://man.openbsd.org/sshd.8>; the texts are those of `auth.c` and `session.c` of
//! OpenSSH.

use super::{COMPANION, Meaning, endpoint, said};
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

/// One row for each login attempt: `Accepted publickey for al from 192.0.2.7 port 4711 ssh2:
/// ED25519 SHA256:…`, or `Failed password for invalid user al from …`.
pub(super) fn meaning(text: &str) -> Result<Option<Meaning>, NoEvent> {
    if COMPANIONS.iter().any(|start| text.starts_with(start)) {
        return Err(NoEvent::Skipped(COMPANION));
    }
    let (is_accepted, rest) = match (text.strip_prefix("Accepted "), text.strip_prefix("Failed ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Ok(None),
    };
    Ok(rest.split_once(" for ").map(|(method, rest)| attempt(is_accepted, method, rest)))
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
