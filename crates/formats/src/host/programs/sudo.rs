//! sudo: <https://www.sudo.ws/docs/man/sudoers.man/#LOG_FORMAT>.

use super::{Meaning, said};
use event::{Operation, Severity};

/// Reads `al : TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/id`, or with a reason before it:
/// `al : command not allowed ; …`.
///
/// Neither the folder nor the command is quoted. If the text after the first `USER=` and `COMMAND=`
/// could be another pair, the event says so.
pub(super) fn meaning(text: &str) -> Option<Meaning> {
    let (user, rest) = text.trim_start().split_once(" : ")?;
    // The rest of a command that was too long for one line.
    if let Some(command) = rest.strip_prefix("(command continued)") {
        let meaning = said("sudo.command", Operation::Exec).by(user).of("command", command.trim());
        return Some(meaning.with("continued", "true"));
    }
    let (fields, command) = match (rest.strip_prefix("COMMAND="), rest.split_once(" ; COMMAND=")) {
        (Some(command), _) => ("", command),
        (None, Some(split)) => split,
        // A refusal before a command was read.
        (None, None) if rest.contains(" ; ") => (rest, ""),
        (None, None) => return None,
    };
    let first = fields.split(" ; ").next().unwrap_or_default();
    let refusal = if first.contains('=') { "" } else { first.trim() };
    let field = |name: &str| {
        fields.split(" ; ").find_map(|field| field.strip_prefix(name)).unwrap_or_default().trim()
    };
    let is_ambiguous = command.contains(" ; COMMAND=") || fields.matches(" ; USER=").count() > 1;
    let meaning = said("sudo.command", Operation::Exec)
        .by(user)
        .of("command", command)
        .with("run_as", field("USER="))
        .with("run_as_group", field("GROUP="))
        .with("terminal", field("TTY="))
        .with("directory", field("PWD="))
        .with("ambiguous", if is_ambiguous { "true" } else { "" });
    Some(match refusal {
        "" => meaning,
        _ if refusal.contains("password") => meaning.failed(Severity::MAJOR, refusal),
        _ => meaning.failed(Severity::MINOR, refusal),
    })
}
