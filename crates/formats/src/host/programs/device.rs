//! Switches, routers and firewalls: who logged in, logged out, or typed a command.
//!
//! The texts are those of the vendors' log references: Huawei VRP (`SHELL/5/CMDRECORD`,
//! `SSH/5/SSH_USER_LOGIN`), H3C Comware 7 (`SHELL/6/SHELL_CMD`) and Cisco IOS
//! (`SEC_LOGIN-5-LOGIN_SUCCESS`, `PARSER-5-CFGLOG_LOGGEDCMD`). A message names its kind in its tag,
//! so that no text passes for another. A name is what the client typed: it ends where the last part
//! that may follow it begins.

use super::{Meaning, said};
use crate::context::address;
use crate::texts::non_empty;
use event::{ActorKind, Operation, Severity, SourceIp, Trust};

/// The meaning of a message of this kind; `None` for kinds that are only text.
pub(super) fn meaning(module: &str, kind: &str, text: &str) -> Option<Meaning> {
    let act = |operation: &str| format!("{}.{operation}", module.to_ascii_lowercase());
    let login = || said(&act("login"), Operation::Login);
    let refused = |reason: &str| login().failed(Severity::MAJOR, reason);
    let logout = || said(&act("logout"), Operation::Logout);
    let meaning = match (module, kind) {
        ("SHELL" | "CMD", "CMDRECORD" | "CMDRECORDFAILED") => {
            let (before, command) = text.split_once(", Command=")?;
            let command = command.trim_end().trim_end_matches([')', '.']).trim_matches('"');
            let user = part(before, &["User="], &[", AuthenticationMethod=", ", Vpn"])?;
            let typed = typed(&act("command"), user, part(before, &["Ip="], &[","]), command);
            let is_refused = kind == "CMDRECORDFAILED";
            if is_refused { typed.failed(Severity::MINOR, "refused") } else { typed }
        }
        ("SHELL", "SHELL_CMD") => {
            let (before, command) = text.split_once("; Command is ")?;
            let user = part(before, &["-User="], &[])?;
            let command = command.trim_end_matches('.');
            typed(&act("command"), user, part(before, &["-IPAddr="], &["-User="]), command)
        }
        ("PARSER", "CFGLOG_LOGGEDCMD") => {
            let (user, command) =
                text.trim_start().strip_prefix("User:")?.split_once("logged command:")?;
            typed(&act("command"), user.trim(), None, command)
        }
        ("SSH", "SSH_USER_LOGIN" | "SSH_USER_LOGIN_FAIL" | "SSH_USER_LOGOUT") => {
            let user = part(text, &["UserName="], &[", UserAddress=", ", IPAddress="])?;
            let from = last_part(text, &["UserAddress=", "IPAddress="]);
            let of_kind = match kind {
                "SSH_USER_LOGIN" => login(),
                "SSH_USER_LOGOUT" => logout(),
                _ => refused(part(text, &["FailedReason="], &[", UserName="]).unwrap_or_default()),
            };
            by(of_kind, user, from)
        }
        ("SHELL", "SHELL_LOGIN" | "SHELL_LOGOUT") => {
            let (is_login, words) =
                (kind == "SHELL_LOGIN", [" logged in from ", " logged out from "]);
            let (user, from) = text.rsplit_once(words[usize::from(!is_login)])?;
            by(if is_login { login() } else { logout() }, user, Some(from))
        }
        ("SEC_LOGIN", "LOGIN_SUCCESS" | "LOGIN_FAILED") => {
            let user = part(text, &["[user: "], &["] [Source: "])?;
            let from = last_part(text, &["[Source: "]);
            let reason = last_part(text, &["[Reason: "]).unwrap_or_default();
            by(if kind == "LOGIN_FAILED" { refused(reason) } else { login() }, user, from)
        }
        ("SYS", "CONFIG_I") => {
            let (_, who) = text.split_once(" by ")?;
            let (user, rest) = who.split_once(" on ").unwrap_or((who, ""));
            let from = rest.split_once('(').map(|(_, address)| address.trim_end_matches(')'));
            by(said(&act("configured"), Operation::Configure), user, from)
        }
        _ => return None,
    };
    Some(meaning)
}

/// A command that somebody typed. One that ends the device's own log matters most.
fn typed(action: &str, user: &str, from: Option<&str>, command: &str) -> Meaning {
    let command = command.trim();
    let mut meaning = by(said(action, Operation::Exec), user, from).of("command", command);
    let ends_the_log = ["undo info-center enable", "no logging on", "no logging host"];
    if ends_the_log.iter().any(|start| command.starts_with(start)) {
        meaning.severity = Severity::CRITICAL;
    }
    meaning
}

fn by(meaning: Meaning, user: &str, from: Option<&str>) -> Meaning {
    let mut meaning = meaning.by(user.trim());
    let from = from.map(|from| from.trim().trim_end_matches('.'));
    meaning.source_ip =
        from.and_then(address).map(|address| SourceIp { address, trust: Trust::Peer });
    if non_empty(user.trim()).is_none() {
        meaning.actor.kind = ActorKind::Unknown;
    }
    meaning
}

/// The part behind the first of these names, up to the last of these ends.
fn part<'a>(text: &'a str, names: &[&str], ends: &[&str]) -> Option<&'a str> {
    let rest = names.iter().find_map(|name| text.split_once(name)).map(|(_, rest)| rest)?;
    let end = match ends {
        [","] => rest.find(','),
        ends => ends.iter().filter_map(|end| rest.rfind(end)).max(),
    };
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The part behind the last of these names, up to a comma or a bracket.
fn last_part<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    let at = names.iter().filter_map(|name| Some(text.rfind(name)? + name.len())).max()?;
    let rest = &text[at..];
    Some(&rest[..rest.find([',', ')', ']']).unwrap_or(rest.len())])
}
