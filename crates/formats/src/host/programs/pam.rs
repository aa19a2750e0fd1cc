//! Linux-PAM: `pam_unix(sshd:session): session opened for user al(uid=1000) by (uid=0)`,
//! <https://man7.org/linux/man-pages/man8/pam_unix.8.html>.

use super::{COMPANION, Meaning, said};
use crate::Options;
use crate::context::address;
use crate::item::{NOISE, NoEvent};
use event::{Class, Operation, Severity, SourceIp, Trust};

/// A line of a PAM module.
pub(super) struct Line<'a> {
    service: &'a str,
    /// `auth`, `account`, `session` or `chauthtok`.
    kind: &'a str,
    text: &'a str,
}

/// Reads `module(service:kind): text`.
pub(super) fn line(text: &str) -> Option<Line<'_>> {
    let (module, rest) = text.split_once('(')?;
    let is_module = module.starts_with("pam_")
        && module.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let (module, text) = rest.split_once("): ").filter(|_| is_module)?;
    let (service, kind) = module.rsplit_once(':')?;
    Some(Line { service, kind, text })
}

impl Line<'_> {
    pub(super) fn meaning(&self, options: &Options) -> Result<Option<Meaning>, NoEvent> {
        match self.kind {
            "session" => self.session(options),
            "auth" => self.attempt(),
            "chauthtok" => Ok(self.text.strip_prefix("password changed for ").map(|user| {
                said(&format!("{}.change_password", self.service), Operation::Update)
                    .of("user", user)
            })),
            _ => Ok(None),
        }
    }

    /// Whether the program itself reports what it was used for.
    fn has_line_of_its_own(&self) -> bool {
        matches!(self.service, "sshd" | "sudo" | "sudo-i" | "su" | "su-l")
    }

    fn session(&self, options: &Options) -> Result<Option<Meaning>, NoEvent> {
        let opened = self.text.strip_prefix("session opened for user ");
        let closed = self.text.strip_prefix("session closed for user ");
        let Some(rest) = opened.or(closed) else { return Ok(None) };
        let (user, by) = rest.rsplit_once(" by ").unwrap_or((rest, ""));
        let (user, by) = (without_id(user), without_id(by));
        let is_companion = match self.service {
            // A user's own service manager, which a session starts.
            "systemd-user" => true,
            "cron" | "crond" | "atd" => closed.is_some(),
            "sshd" => opened.is_some(),
            _ => self.has_line_of_its_own(),
        };
        if is_companion {
            return Err(NoEvent::Skipped(COMPANION));
        }
        if matches!(self.service, "cron" | "crond" | "atd") {
            // It comes every few minutes, and cron's own line has the command.
            return if options.records_noise {
                let session = said(&format!("{}.session", self.service), Operation::Other).by(user);
                Ok(Some(Meaning { class: Class::Operation, ..session }))
            } else {
                Err(NoEvent::Skipped(NOISE))
            };
        }
        let (verb, operation) = if opened.is_some() {
            ("login", Operation::Login)
        } else {
            ("logout", Operation::Logout)
        };
        Ok(Some(said(&format!("{}.{verb}", self.service), operation).by(user).with("by", by)))
    }

    /// `authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=al`.
    fn attempt(&self) -> Result<Option<Meaning>, NoEvent> {
        let is_attempt = [
            "authentication failure;",
            "check pass; user unknown",
            "conversation failed",
            "auth could not identify ",
        ]
        .iter()
        .any(|start| self.text.starts_with(start));
        if !is_attempt {
            return Ok(None);
        }
        let is_failure = self.text.starts_with("authentication failure;");
        if !is_failure || self.has_line_of_its_own() || self.service == "login" {
            return Err(NoEvent::Skipped(COMPANION));
        }
        // The user is the last field and may hold anything.
        let (fields, user) = self.text.split_once("  user=").unwrap_or((self.text, ""));
        let field = |name: &str| {
            fields.split(' ').find_map(|field| field.strip_prefix(name)).unwrap_or_default()
        };
        let mut meaning = said(&format!("{}.login", self.service), Operation::Login)
            .by(user)
            .with("terminal", field("tty="))
            .with("by", field("ruser="))
            .with("remote_host", field("rhost="))
            .failed(Severity::MAJOR, "authentication failure");
        meaning.source_ip =
            address(field("rhost=")).map(|address| SourceIp { address, trust: Trust::Peer });
        Ok(Some(meaning))
    }
}

/// `al(uid=1000)` is `al`.
fn without_id(name: &str) -> &str {
    match name.rsplit_once("(uid=") {
        Some((name, id)) if id.strip_suffix(')').is_some() => name,
        _ => name,
    }
}
