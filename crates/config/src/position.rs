//! The position in a file of what an error names.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line and the column, from 1, of the setting that an error names, in characters. `None` if
/// the file has no such setting: a variable has it, or it is missing.
pub(crate) fn of(text: &str, error: &str) -> Option<(usize, usize)> {
    let document = DeTable::parse(text).ok()?;
    let (path, why) = error.split_once(": ")?;
    let (path, source) = match path.split_once(' ') {
        // `source "hub"`: the table of that name.
        Some((path, name)) => (path, Some(name.trim_matches('"'))),
        None => (path, None),
    };
    let field = why.split('`').nth(1).filter(|_| why.starts_with("unknown field"));
    let missing = why.split('`').nth(1).filter(|_| why.starts_with("missing field"));
    let names: Vec<&str> = path.split('.').chain(field).collect();
    let wanted = ErrorDetail { source, missing, is_key: field.is_some() };
    let offset = in_table(document.get_ref(), &names, &wanted)?;
    let before = text.get(..offset)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((line, column))
}

/// What an error says beside a path.
struct ErrorDetail<'a> {
    /// Name of the source whose table it is.
    source: Option<&'a str>,
    /// A member that a table lacks.
    missing: Option<&'a str>,
    /// Whether the last name is wrong itself, not its value.
    is_key: bool,
}

/// The offset of the last of these names that is there.
fn in_table(table: &DeTable<'_>, names: &[&str], wanted: &ErrorDetail<'_>) -> Option<usize> {
    let (name, rest) = names.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    let here = key.span().start;
    match value.get_ref() {
        DeValue::Table(inner) => Some(in_table(inner, rest, wanted).unwrap_or(here)),
        DeValue::Array(elements) => {
            let mut tables =
                elements.iter().filter_map(|element| Some((element, as_table(element)?)));
            let found = tables.find(|(_, table)| is_meant(table, rest, wanted));
            let Some((element, table)) = found else { return Some(here) };
            Some(in_table(table, rest, wanted).unwrap_or(element.span().start))
        }
        _ if wanted.is_key && rest.is_empty() => Some(here),
        _ => Some(value.span().start),
    }
}

/// Whether a table of several is the one that an error is about.
fn is_meant(table: &DeTable<'_>, rest: &[&str], wanted: &ErrorDetail<'_>) -> bool {
    let member = |name: &str| table.iter().find(|(key, _)| key.get_ref() == name);
    match (wanted.source, rest.first(), wanted.missing) {
        (Some(source), ..) => {
            member("name").is_some_and(|(_, value)| value.get_ref().as_str() == Some(source))
        }
        (None, Some(name), _) => member(name).is_some(),
        (None, None, Some(missing)) => member(missing).is_none(),
        (None, None, None) => false,
    }
}

fn as_table<'a, 'b>(value: &'a Spanned<DeValue<'b>>) -> Option<&'a DeTable<'b>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_leads_to_its_line() {
        let text = "listen = 'x'\n\n[limits]\nflush_events = \"many\"\n\n[[source]]\nname = 'hub'\n\
                    format = 'x'\n[[source]]\nname = 'web'\nformt = 'y'\n";
        for (error, expected) in [
            ("limits.flush_events: invalid type", Some((4, 16))),
            ("listen: no address", Some((1, 10))),
            ("source: unknown field `formt`, expected one of `name`", Some((11, 1))),
            ("source: missing field `format`", Some((9, 1))),
            ("source \"web\": the trail is another's", Some((9, 1))),
            ("limits.unknown: no", Some((3, 2))),
            ("nothing.here: no", None),
            ("no path at all", None),
        ] {
            assert_eq!(of(text, error), expected, "{error}");
        }
    }
}
