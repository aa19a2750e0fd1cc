//! Paths of the files that a source follows, with the wildcards `*` and `?`.

use std::path::{Component, Path, PathBuf};

/// A path to look for. A folder means all files in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Path up to the first name with a wildcard.
    pub base: PathBuf,
    /// Names from there on, with or without wildcards.
    pub names: Vec<String>,
}

impl Pattern {
    /// Parses a path. `**` is refused: nothing would say how deep it looks.
    pub fn parse(path: &Path) -> Result<Pattern, String> {
        let mut pattern = Pattern { base: PathBuf::new(), names: Vec::new() };
        for component in path.components() {
            let is_name = matches!(component, Component::Normal(_));
            let text = component.as_os_str().to_str();
            match text {
                Some(text) if is_name && text.contains("**") => {
                    return Err(format!(
                        "{}: `**` is not known; write a path for each depth",
                        path.display()
                    ));
                }
                Some(text)
                    if is_name && (!pattern.names.is_empty() || text.contains(['*', '?'])) =>
                {
                    pattern.names.push(text.to_owned());
                }
                _ if pattern.names.is_empty() => pattern.base.push(component),
                _ => return Err(format!("{}: no `..` may follow a wildcard", path.display())),
            }
        }
        if pattern.base.as_os_str().is_empty() && pattern.names.is_empty() {
            return Err("a path is empty".to_owned());
        }
        Ok(pattern)
    }

    /// A path without wildcards, whatever characters it has.
    pub fn literal(path: &Path) -> Pattern {
        Pattern { base: path.to_owned(), names: Vec::new() }
    }
}

/// Whether a file name matches a pattern. A name that begins with a dot matches only a pattern that
/// does so too.
pub fn is_match(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Position of the last `*`, and the end of what it matches in the name.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&char) if char == '?' || char == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, until)) => {
                    star = Some((at, until + 1));
                    (p, n) = (at + 1, until + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&char| char == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_other_characters() {
        for (pattern, name, expected) in [
            ("server_audit.log*", "server_audit.log", true),
            ("server_audit.log*", "server_audit.log.1", true),
            ("server_audit.log*", "server_audit.lo", false),
            ("*.csv", "postgresql-2026.csv", true),
            ("*.csv", "postgresql-2026.csv.gz", false),
            ("*.csv", ".hidden.csv", false),
            (".*", ".hidden", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "ü", true),
            ("*a*b*c*", "xxaxxbxxc", true),
            ("*a*b*c*", "xxaxxcxxb", false),
            ("**", "a", true),
            ("", "", true),
            ("*", "", true),
            ("[a]", "[a]", true),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
        // No pattern takes long.
        assert!(!is_match(&"*a".repeat(50), &"a".repeat(40)));
    }

    #[test]
    fn a_path_has_a_base_and_names() {
        for (path, base, names) in [
            ("/var/log/app.log", "/var/log/app.log", &[][..]),
            ("/var/log/*.log", "/var/log", &["*.log"]),
            ("/var/*/x/?.log", "/var", &["*", "x", "?.log"]),
            ("logs", "logs", &[]),
            ("../a/b*", "../a", &["b*"]),
        ] {
            let pattern = Pattern::parse(Path::new(path)).expect(path);
            assert_eq!(
                (pattern.base.to_str(), pattern.names),
                (Some(base), names.iter().map(|&name| name.to_owned()).collect()),
                "{path}"
            );
        }
        for wrong in ["", "/var/**/x", "/var/*/../x"] {
            Pattern::parse(Path::new(wrong)).expect_err(wrong);
        }
    }
}
