//! The terms of a search among a command's arguments.

use std::ffi::OsString;

/// Commands with a search.
const COMMANDS: [&str; 5] = ["search", "stats", "tail", "export", "trails"];
/// Options whose value may begin with a dash: `--after -24h`.
const DASHED: [&str; 4] = ["--after", "--since", "--before", "--until"];

/// Moves excluding terms, such as `-outcome:success`, behind a `--`, so that they are not parsed as
/// flags. An argument with one dash that is longer than a flag is a term.
pub fn separate(arguments: Vec<OsString>) -> Vec<OsString> {
    let takes_search =
        arguments.get(1).is_some_and(|command| COMMANDS.iter().any(|one| command == one));
    if !takes_search {
        return arguments;
    }
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (mut others, mut terms) = (Vec::with_capacity(arguments.len() + 1), Vec::new());
    for (at, argument) in arguments[..end].iter().enumerate() {
        let is_value = DASHED.iter().any(|option| arguments[at - 1.min(at)] == *option);
        let into = if is_excluding(argument) && !is_value { &mut terms } else { &mut others };
        into.push(argument.clone());
    }
    terms.extend(arguments.into_iter().skip(end + 1));
    if !terms.is_empty() {
        others.push("--".into());
        others.append(&mut terms);
    }
    others
}

fn is_excluding(argument: &OsString) -> bool {
    let Some(rest) = argument.to_str().and_then(|text| text.strip_prefix('-')) else {
        return false;
    };
    let mut characters = rest.chars();
    let (first, second) = (characters.next(), characters.next());
    first.is_some_and(|first| first != '-') && second.is_some_and(|second| second != '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excluding_terms_are_not_flags() {
        for (given, expected) in [
            ("search -outcome:success actor:alice", "search actor:alice -- -outcome:success"),
            ("search -o json -drop --limit 3", "search -o json --limit 3 -- -drop"),
            ("search -h", "search -h"),
            ("search -o=json", "search -o=json"),
            ("search --after -24h -7", "search --after -24h -7"),
            ("search --after -24h -hub", "search --after -24h -- -hub"),
            ("search -hub -- -o json", "search -- -hub -o json"),
            ("search -", "search -"),
            ("show -outcome:success", "show -outcome:success"),
            ("", ""),
        ] {
            let given = ["daybook"].into_iter().chain(given.split_whitespace()).map(OsString::from);
            let expected: Vec<OsString> = ["daybook"]
                .into_iter()
                .chain(expected.split_whitespace())
                .map(OsString::from)
                .collect();
            assert_eq!(separate(given.collect()), expected);
        }
    }
}
