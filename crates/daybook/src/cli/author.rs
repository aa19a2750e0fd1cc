//! The user who runs a command, and the announcement of a command that reads a data directory.

use std::path::Path;

use super::warn;
use access::Author;
use server::command_log;

/// The table of users of a machine (passwd(5)).
const PASSWD: &str = "/etc/passwd";

/// The user who runs this command: as the kernel has it, and as `sudo` claims.
pub fn author() -> Author {
    let uid = rustix::process::getuid().as_raw();
    let name = std::fs::read_to_string(PASSWD).ok().and_then(|table| login_name(&table, uid));
    let sudo_user = std::env::var("SUDO_USER").ok();
    Author {
        name: name.unwrap_or_else(|| "unknown".to_owned()),
        uid: Some(uid),
        sudo_user: sudo_user.filter(|name| !name.is_empty() && !name.contains(char::is_control)),
    }
}

/// The name of the user with this id.
fn login_name(table: &str, uid: u32) -> Option<String> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Announces a command that is about to read a data directory, for the record of its server. A
/// directory that cannot be written to is read all the same, which a line says.
pub fn announce(data_dir: &Path, command: &str) {
    // Nothing is written where there is no log.
    if !data_dir.join(store::LOG).exists() {
        return;
    }
    let line: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Err(why) = command_log::announce(data_dir, command, &line.join(" "), &author()) {
        warn(&format!("daybook: this read of {} is not recorded: {why}", data_dir.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_name_is_found_by_its_id() {
        let table = "root:x:0:0:root:/root:/bin/sh\nbad line\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(login_name(table, 1000).as_deref(), Some("alice"));
        assert_eq!(login_name(table, 0).as_deref(), Some("root"));
        assert_eq!(login_name(table, 100), None);
    }
}
