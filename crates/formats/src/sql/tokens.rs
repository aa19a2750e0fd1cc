//! Statements split into words, strings, comments and signs.
//!
//! Comments: <https://mariadb.com/kb/en/comment-syntax/>,
//! <https://dev.mysql.com/doc/refman/8.4/en/comments.html>; strings and comments of PostgreSQL:
//! <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>. A cut statement may lack the
//! end of its last token.

use std::ops::Range;

use super::Dialect;

/// How a text is split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub dialect: Dialect,
    /// Whether a backslash escapes a quote.
    pub escapes: bool,
    /// Whether the text is not a statement but may hold pieces of some: a message, a connection
    /// string, JSON. Its quotes then are signs like others, since nothing distinguishes an
    /// apostrophe from the beginning of a string.
    pub is_loose: bool,
}

impl Reading {
    /// The usual one of the dialect.
    pub fn of(dialect: Dialect) -> Reading {
        Reading { dialect, escapes: dialect != Dialect::PostgreSql, is_loose: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// By `'`, `"`, `` ` `` or `$`.
    Quoted(u8),
    Comment,
    /// Anything else, by its first byte.
    Sign(u8),
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    /// All of it.
    pub span: Range<usize>,
    /// The text between the quotes or the marks of a comment.
    pub content: Range<usize>,
    pub is_closed: bool,
    /// Whether a backslash escapes a quote in the content.
    pub escapes: bool,
}

pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    reading: Reading,
    /// Whether no further `*/` is in the text.
    has_no_comment_end: bool,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str, reading: Reading) -> Tokens<'a> {
        Tokens { text, at: 0, reading, has_no_comment_end: false }
    }

    /// Continues after the text that the caller read itself.
    pub fn skip_to(&mut self, at: usize) {
        self.at = self.at.max(at);
    }

    fn token(&mut self, kind: Kind, content: Range<usize>, end: usize, is_closed: bool) -> Token {
        let span = self.at..end;
        self.at = end;
        Token { kind, span, content, is_closed, escapes: false }
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let end = self.at + rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        self.token(Kind::Word, self.at..end, end, true)
    }

    fn quoted(&mut self, quote: u8) -> Token {
        let is_prefixed = {
            let before = &self.text.as_bytes()[..self.at];
            matches!(before, [.., b'e' | b'E'])
                && !before[..before.len() - 1].last().is_some_and(|&byte| is_word(char::from(byte)))
        };
        let is_string =
            quote == b'\'' || (quote == b'"' && self.reading.dialect != Dialect::PostgreSql);
        let escapes = (self.reading.escapes && is_string)
            || (is_prefixed && quote == b'\'' && self.reading.dialect == Dialect::PostgreSql);
        let (content_end, end, is_closed) = quoted_end(self.text, self.at + 1, quote, escapes);
        let token = self.token(Kind::Quoted(quote), self.at + 1..content_end, end, is_closed);
        Token { escapes, ..token }
    }

    fn comment(&mut self) -> Option<Token> {
        let rest = &self.text[self.at..];
        let is_mysql = self.reading.dialect != Dialect::PostgreSql;
        if rest.starts_with("/*") {
            return self.block_comment();
        }
        let mark = if is_mysql && !self.reading.is_loose && rest.starts_with('#') {
            1
        } else if is_dash_comment(rest)
            || (!is_mysql && !self.reading.is_loose && rest.starts_with("--"))
        {
            2
        } else {
            return None;
        };
        let end = self.at + rest.find('\n').unwrap_or(rest.len());
        Some(self.token(Kind::Comment, self.at + mark..end, end, true))
    }

    fn block_comment(&mut self) -> Option<Token> {
        if self.has_no_comment_end && self.reading.is_loose {
            return None;
        }
        let content = self.at + 2;
        let is_nested = self.reading.dialect == Dialect::PostgreSql && !self.reading.is_loose;
        match comment_end(&self.text[content..], is_nested) {
            Some(length) => {
                let end = content + length;
                Some(self.token(Kind::Comment, content..end, end + 2, true))
            }
            None if self.reading.is_loose => {
                self.has_no_comment_end = true;
                None
            }
            None => {
                Some(self.token(Kind::Comment, content..self.text.len(), self.text.len(), false))
            }
        }
    }

    /// `$$…$$` or `$tag$…$tag$`.
    fn dollar_quoted(&mut self) -> Option<Token> {
        let tag = dollar_tag(&self.text[self.at..])?;
        let content = self.at + tag.len();
        let (content_end, end, is_closed) = match self.text[content..].find(tag) {
            Some(length) => (content + length, content + length + tag.len(), true),
            None => (self.text.len(), self.text.len(), false),
        };
        Some(self.token(Kind::Quoted(b'$'), content..content_end, end, is_closed))
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let is_postgresql = self.reading.dialect == Dialect::PostgreSql;
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            if first.is_whitespace() || first.is_control() {
                self.at += first.len_utf8();
                continue;
            }
            if let Some(length) = executed_mark_bytes(rest, self.reading.dialect) {
                self.at += length;
                continue;
            }
            if let Some(comment) = self.comment() {
                return Some(comment);
            }
            let is_quote = matches!(first, '\'' | '"') || (first == '`' && !is_postgresql);
            if is_quote && !self.reading.is_loose {
                return Some(self.quoted(rest.as_bytes()[0]));
            }
            if first == '$'
                && is_postgresql
                && !self.reading.is_loose
                && let Some(token) = self.dollar_quoted()
            {
                return Some(token);
            }
            if is_word(first) {
                return Some(self.word());
            }
            let end = self.at + first.len_utf8();
            return Some(self.token(Kind::Sign(rest.as_bytes()[0]), self.at..end, end, true));
        }
    }
}

pub(super) fn is_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '$' | '@')
}

/// The end of the content that begins at `start`, the end of the token, and whether a quote closes
/// it. A doubled quote is one of the content.
pub(super) fn quoted_end(
    text: &str,
    start: usize,
    quote: u8,
    escapes: bool,
) -> (usize, usize, bool) {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte != quote => at += 1,
            _ if bytes.get(at + 1) == Some(&quote) => at += 2,
            _ => return (at, at + 1, true),
        }
    }
    (text.len(), text.len(), false)
}

/// `$$` or `$tag$` at the beginning of `text`.
pub(super) fn dollar_tag(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let length = name.find(|char: char| !char.is_alphanumeric() && char != '_')?;
    let is_tag =
        name[length..].starts_with('$') && !name.starts_with(|char: char| char.is_ascii_digit());
    is_tag.then(|| &text[..length + 2])
}

/// The bytes before the `*/` that ends a comment; PostgreSQL's hold others.
fn comment_end(text: &str, is_nested: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (1u32, 0);
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'*', b'/') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
                at += 2;
            }
            (b'/', b'*') if is_nested => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    None
}

/// The bytes of `/*!`, `/*M!` and the version after it, if the server executes the comment. MariaDB
/// skips MySQL's own versions from 5.7 on, and future versions; MySQL counts as newer than any
/// version named.
fn executed_mark_bytes(text: &str, dialect: Dialect) -> Option<usize> {
    let after = match dialect {
        Dialect::PostgreSql => return None,
        Dialect::MySql => text.strip_prefix("/*!")?,
        Dialect::MariaDb => text.strip_prefix("/*!").or_else(|| text.strip_prefix("/*M!"))?,
    };
    let content = after.trim_start_matches(|char: char| char.is_ascii_digit());
    let version = &after[..after.len() - content.len()];
    let is_executed = version.is_empty()
        || dialect == Dialect::MySql
        || matches!(version.parse(), Ok(0..50_700 | 100_000..200_000));
    is_executed.then_some(text.len() - content.len())
}

/// `--` without a space is two minus signs, but for PostgreSQL.
fn is_dash_comment(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|after| {
        after.chars().next().is_none_or(|char| char.is_whitespace() || char.is_control())
    })
}

/// The words of a statement in upper case, without comments and signs. A quoted text is one word.
pub(super) fn words(statement: &str, dialect: Dialect) -> impl Iterator<Item = String> {
    Tokens::new(statement, Reading::of(dialect)).filter_map(|token| match token.kind {
        Kind::Word | Kind::Quoted(_) => Some(statement[token.content].to_uppercase()),
        Kind::Comment | Kind::Sign(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_skip_comments_and_look_into_executable_ones() {
        use Dialect::{MariaDb, MySql, PostgreSql};
        for (dialect, statement, expected) in [
            (MariaDb, "SELECT 1", "SELECT|1"),
            (MariaDb, " (select a.b)", "SELECT|A|B"),
            (MariaDb, "/* x */ drop -- y\n table # z", "DROP|TABLE"),
            (MariaDb, "/*!40101 SET @@global.a='O''K' */", "SET|@@GLOBAL|A|O''K"),
            (MariaDb, "/*M!100100 DROP*/ `a b`", "DROP|A B"),
            (MariaDb, "'a\\'b' \"c\" 'cut", "A'B|C|CUT"),
            (MariaDb, "/*!50701 SELECT */ DROP /*!999999 x */ t", "DROP|T"),
            (MySql, "/*!50701 SELECT */ 1", "SELECT|1"),
            (MariaDb, "SET @a=5--1, b=2", "SET|@A|5|1|B|2"),
            (PostgreSql, "a--1\nb", "A|B"),
            (PostgreSql, "/* /* x */ y */ a # b", "A|B"),
            (PostgreSql, "'a\\' b E'c\\'d' 'e''f'", "A\\|B|E|C'D|E''F"),
            (PostgreSql, "$$a 'b$$ $x$c$$d$x$ $1 $y$cut", "A 'B|C$$D|$1|CUT"),
            (PostgreSql, "name='x' `a`", "NAME|X|A"),
            (MariaDb, "a --", "A"),
            (MariaDb, "/* never closed", ""),
            (MariaDb, "/", ""),
            (MariaDb, "", ""),
        ] {
            let found: Vec<String> =
                words(statement, dialect).map(|word| word.replace("\\'", "'")).collect();
            assert_eq!(found.join("|"), expected, "{statement}");
        }
    }
}
