//! Reading of a search: text to terms. [`super::meaning`] checks what the values mean.

use crate::named::Name;

use super::{
    ATTRIBUTE, Field, SEARCH_BYTES_MAX, SEARCH_VALUES_MAX, Search, SearchError, Term, Value,
};

impl Search {
    /// Reads a search. An empty one matches everything.
    ///
    /// Errs with the column of an unknown field, of a quote that does not end, of a missing value,
    /// and of syntax that other languages have and this one lacks; also if the text has more than
    /// [`SEARCH_BYTES_MAX`] bytes or [`SEARCH_VALUES_MAX`] values.
    pub fn parse(text: &str) -> Result<Search, SearchError> {
        if text.len() > SEARCH_BYTES_MAX {
            let message =
                format!("the search has {} bytes; at most {SEARCH_BYTES_MAX} are read", text.len());
            return Err(SearchError { column: 1, message });
        }
        let mut reader = Reader { left: text, column: 1 };
        let mut search = Search::default();
        loop {
            reader.skip_white();
            if reader.left.is_empty() {
                return Ok(search);
            }
            let column = reader.column;
            search.terms.push(reader.term()?);
            if search.values() > SEARCH_VALUES_MAX {
                let message = format!("more than {SEARCH_VALUES_MAX} values");
                return Err(SearchError { column, message });
            }
        }
    }
}

/// The rest of a search.
struct Reader<'a> {
    left: &'a str,
    /// The column of `left`, in characters from 1.
    column: usize,
}

impl<'a> Reader<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Result<T, SearchError> {
        Err(SearchError { column: self.column, message: message.into() })
    }

    /// Advances by this many bytes, which end between characters.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, left) = self.left.split_at(len);
        self.column += taken.chars().count();
        self.left = left;
        taken
    }

    fn skip_white(&mut self) {
        self.take(self.left.len() - self.left.trim_start().len());
    }

    fn next_is(&self, wanted: impl Fn(char) -> bool) -> bool {
        self.left.chars().next().is_some_and(wanted)
    }

    fn term(&mut self) -> Result<Term, SearchError> {
        let is_excluded = self.left.starts_with('-');
        if is_excluded {
            self.take(1);
            if self.left.is_empty() || self.next_is(char::is_whitespace) {
                return self.error("- stands before what must not be: -outcome:success");
            }
        }
        if let Some(field) = self.quoted_attribute()? {
            return self.term_of(is_excluded, field);
        }
        let Some(name) = field_name(self.left) else {
            self.refuse_operators()?;
            let value = self.value(None)?;
            return Ok(Term { is_excluded, field: None, values: vec![value] });
        };
        let Some(field) = Field::named(name) else {
            return self.error(format!(
                "there is no field {name:?}; fields are {}. To search for the text, put it in quotes",
                names()
            ));
        };
        self.take(name.len() + 1);
        self.refuse_operators_in(name)?;
        self.term_of(is_excluded, field)
    }

    /// The rest of a term: its values.
    fn term_of(&mut self, is_excluded: bool, field: Field) -> Result<Term, SearchError> {
        let mut values = vec![self.value(Some(&field))?];
        while self.left.starts_with(',') {
            self.take(1);
            values.push(self.value(Some(&field))?);
        }
        Ok(Term { is_excluded, field: Some(field), values })
    }

    /// Takes the field of an attribute whose name is in quotes: `attr."a b":`.
    fn quoted_attribute(&mut self) -> Result<Option<Field>, SearchError> {
        if !self.left.strip_prefix(ATTRIBUTE).is_some_and(|rest| rest.starts_with('"')) {
            return Ok(None);
        }
        self.take(ATTRIBUTE.len());
        let name = self.quoted()?;
        if !self.left.starts_with(':') {
            return self.error("a colon is missing after the attribute's name");
        }
        self.take(1);
        if name.is_empty() {
            return self.error("the attribute's name is missing");
        }
        Ok(Some(Field::Named(Name::Attribute(name))))
    }

    /// Refuses what other languages write for a comparison or a pattern, at the head of a term.
    fn refuse_operators(&self) -> Result<(), SearchError> {
        let mut words = self.left.split_whitespace();
        let term = words.next().unwrap_or_default();
        let next = words.next().unwrap_or_default();
        let is_operator = !next.is_empty() && next.trim_start_matches(OPERATORS).is_empty();
        if is_operator && Field::named(term).is_some() {
            return self.error(format!("{next:?} is no operator; write {term}:VALUE"));
        }
        if let Some((name, operator)) = comparison(term) {
            let value = &term[name.len() + operator.len()..];
            let value = if value.is_empty() { "VALUE" } else { value };
            let minus = if operator.starts_with('!') { "-" } else { "" };
            return self.error(format!(
                "{operator:?} is no operator; write {minus}{name}:{value}{}",
                if operator.starts_with(['<', '>']) {
                    ", or list the values with commas"
                } else {
                    ""
                }
            ));
        }
        if is_regex(term) {
            return self.error(REGEX);
        }
        Ok(())
    }

    /// Refuses the same at the head of a field's value.
    fn refuse_operators_in(&self, name: &str) -> Result<(), SearchError> {
        let value = self.left.split(char::is_whitespace).next().unwrap_or_default();
        let operator = value.len() - value.trim_start_matches(['<', '>', '=']).len();
        if operator > 0 {
            let operator = &value[..operator];
            let value = &value[operator.len()..];
            return self.error(format!(
                "{operator:?} is no operator; write {name}:{value}, or list the values with commas"
            ));
        }
        if is_regex(value) { self.error(REGEX) } else { Ok(()) }
    }

    fn value(&mut self, field: Option<&Field>) -> Result<Value, SearchError> {
        let (has_field, has_stars) = (field.is_some(), field == Some(&Field::Trail));
        let column = self.column;
        let (text, is_prefix) = if self.left.starts_with('"') {
            let text = self.quoted()?;
            let is_prefix = !has_stars && self.left.starts_with('*');
            self.take(usize::from(is_prefix));
            (text, is_prefix)
        } else {
            let len = self.left.find(|c: char| ends_value(c, has_field)).unwrap_or(self.left.len());
            let (start, text) = (self.column, &self.left[..len]);
            if !has_field && matches!(text, "AND" | "OR" | "NOT") {
                return self.error(format!(
                    "there is no {text}: terms must all hold, - excludes, and commas give a choice, operation:pull,push. To search for the word, put it in quotes"
                ));
            }
            let text = self.take(len);
            let (text, is_prefix) = match text.strip_suffix('*') {
                Some(start) if !has_stars => (start, true),
                _ => (text, false),
            };
            if let Some(at) = text.find(|c| c == '"' || (c == '*' && !has_stars)) {
                let column = start + text[..at].chars().count();
                let message = if text[at..].starts_with('*') {
                    "* stands only at the end; in quotes it is itself"
                } else {
                    "a quote begins inside a word; put the whole in quotes, and write \\\" for one in it"
                };
                return Err(SearchError { column, message: message.to_owned() });
            }
            (text.to_owned(), is_prefix)
        };
        if !self.left.is_empty() && !self.next_is(|c| ends_value(c, has_field)) {
            return self.error("white space is missing after the quoted text");
        }
        if text.is_empty() && !(is_prefix && has_field) {
            return Err(SearchError { column, message: "a value is missing".to_owned() });
        }
        Ok(Value { text, is_prefix, column })
    }

    /// A text in quotes, in which `\"` and `\\` stand for the characters themselves.
    fn quoted(&mut self) -> Result<String, SearchError> {
        let mut text = String::new();
        let mut characters = self.left.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.take(at + 1);
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        self.take(at);
                        return self
                            .error("in quotes, write \\\\ for a backslash and \\\" for a quote");
                    }
                },
                _ => text.push(character),
            }
        }
        self.error("the quote that begins here does not end")
    }
}

/// The name before a colon, if the term has one. Names are letters, dots and underscores, so that a
/// digest, a time or an image with its tag is not a name.
///
/// An attribute's name has any characters but white space, quotes, commas and the colon.
fn field_name(term: &str) -> Option<&str> {
    let (name, _) = term.split_once(':')?;
    if name.strip_prefix(ATTRIBUTE).is_some_and(is_plain_attribute) {
        return Some(name);
    }
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '.' | '_'));
    is_name.then_some(name)
}

/// Whether an attribute's name needs no quotes in a search.
pub(super) fn is_plain_attribute(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ':'))
}

/// Characters of operators in other languages.
const OPERATORS: [char; 5] = ['=', '!', '<', '>', '~'];

/// Answer to a regular expression.
const REGEX: &str = "there are no regular expressions; write a beginning, alic*, or words. To \
                     search for the text, put it in quotes";

/// A field's name and the operator behind it, as other languages write comparisons.
fn comparison(term: &str) -> Option<(&str, &str)> {
    let end = term.find(OPERATORS)?;
    let (name, rest) = term.split_at(end);
    Field::named(name)?;
    let operator = rest.len() - rest.trim_start_matches(OPERATORS).len();
    let (operator, _) = rest.split_at(operator);
    (operator != "!").then_some((name, operator))
}

/// Whether a text is a regular expression between slashes. A path has none of its signs.
fn is_regex(text: &str) -> bool {
    let between = text.strip_prefix('/').and_then(|text| text.strip_suffix('/'));
    between.is_some_and(|text| text.contains(['*', '+', '?', '[', '(', '|', '^', '$', '\\']))
}

fn ends_value(character: char, has_field: bool) -> bool {
    character.is_whitespace() || (has_field && character == ',')
}

/// Whether a value needs no quotes.
pub(super) fn is_plain(text: &str, field: Option<&Field>, is_prefix: bool) -> bool {
    let has_field = field.is_some();
    let has_stars = field == Some(&Field::Trail);
    let is_alone = !text.is_empty() || (has_field && is_prefix);
    is_alone
        && !is_regex(text)
        && !text.chars().any(|c| ends_value(c, has_field) || c == '"' || (c == '*' && !has_stars))
        && if has_field {
            !text.starts_with(['<', '>', '='])
        } else {
            !(text.starts_with('-')
                || matches!(text, "AND" | "OR" | "NOT")
                || field_name(text).is_some()
                || text.starts_with("attr.\"")
                || text.trim_start_matches(OPERATORS).is_empty()
                || comparison(text).is_some())
        }
}

fn names() -> String {
    Field::ALL.map(|(name, ..)| name).join(", ") + ", attr.NAME"
}
