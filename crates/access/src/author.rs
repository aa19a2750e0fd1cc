//! The author of a change on the command line: the user of the process, as the kernel has it, and
//! the user that `sudo` claims to act for.

use std::fmt;

const UID: &str = " uid=";
const SUDO_USER: &str = " SUDO_USER=";

/// The author of a change or a read on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// Login name of `uid` on that machine, or what an older version wrote.
    pub name: String,
    /// Real user id of the process; older versions wrote none.
    pub uid: Option<u32>,
    /// The variable of that name: a claim, which anyone may set.
    pub sudo_user: Option<String>,
}

impl Author {
    /// Reads the form that [`Author`] is written in.
    pub fn parse(text: &str) -> Author {
        let (text, sudo_user) = match text.split_once(SUDO_USER) {
            Some((text, sudo_user)) => (text, Some(sudo_user.to_owned())),
            None => (text, None),
        };
        let split = text.rsplit_once(UID).map(|(name, uid)| (name, uid.parse()));
        match split {
            Some((name, Ok(uid))) => Author { name: name.to_owned(), uid: Some(uid), sudo_user },
            _ => Author { name: text.to_owned(), uid: None, sudo_user },
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(uid) = self.uid {
            write!(f, "{UID}{uid}")?;
        }
        match &self.sudo_user {
            Some(sudo_user) => write!(f, "{SUDO_USER}{sudo_user}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_read_as_written() {
        let author = |name: &str, uid, sudo_user: Option<&str>| Author {
            name: name.to_owned(),
            uid,
            sudo_user: sudo_user.map(str::to_owned),
        };
        for (author, text) in [
            (author("alice", None, None), "alice"),
            (author("daybook", Some(998), None), "daybook uid=998"),
            (author("root", Some(0), Some("alice uid=7")), "root uid=0 SUDO_USER=alice uid=7"),
        ] {
            assert_eq!(author.to_string(), text);
            assert_eq!(Author::parse(text), author, "{text}");
        }
        assert_eq!(Author::parse("x uid=many"), author("x uid=many", None, None));
    }
}
