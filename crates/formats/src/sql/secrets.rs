//! Passwords and keys in texts, found by rule.
//!
//! The name before a literal makes it a secret: `IDENTIFIED BY '…'`, `PASSWORD '…'`,
//! `MASTER_PASSWORD = '…'`, `aws_secret_access_key=…`. The rules, in the order of a statement:
//! - a statement is split into tokens as its server does it, so that the content of a string or a
//!   comment cannot make code look like a secret; if its quotes do not close, the other reading of
//!   backslashes counts as well;
//! - inside strings and comments, and in texts that are not statements, only names and the values
//!   after them count: these are statements for `EXECUTE`, connection strings, URLs, JSON,
//!   messages;
//! - a secret whose end was cut off extends to the end of the text.
//!
//! A value without such a name, as in `VALUES (…)` or of a parameter, stays.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::Dialect;
use super::tokens::{Kind, Reading, Token, Tokens, dollar_tag, is_word, quoted_end};
use super::traces::{Spans, Step, outer};

/// Deepest nesting of strings in comments in strings: no honest statement nests deeper.
const DEPTH_MAX: u32 = 3;

/// Longest name of a secret, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The kind of a text of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// A statement as a client sent it.
    Statement,
    /// Any text that may hold pieces of statements.
    Prose,
}

/// The secrets of one text.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Their spans, in order and disjoint.
    pub spans: Spans,
    pub kinds: BTreeSet<&'static str>,
}

/// Sorts the spans and joins those that overlap.
pub(super) fn merged(mut spans: Spans) -> Spans {
    spans.sort_by_key(|span| span.start);
    let mut out: Spans = Vec::with_capacity(spans.len());
    for span in spans {
        match out.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => out.push(span),
        }
    }
    out
}

/// The secrets of a text.
pub(super) fn find(text: &str, kind: Text, dialect: Dialect) -> Secrets {
    if !may_hold_secrets(text) {
        return Secrets::default();
    }
    let usual = Reading { is_loose: kind == Text::Prose, ..Reading::of(dialect) };
    let mut found = Secrets::default();
    let is_closed = Finder::new(text, usual, 0, &mut found).run();
    // The server may be configured to read backslashes the other way.
    if !is_closed && !usual.is_loose && text.contains('\\') {
        let other = Reading { escapes: !usual.escapes, ..usual };
        Finder::new(text, other, 0, &mut found).run();
    }
    found.spans = merged(std::mem::take(&mut found.spans));
    found
}

/// Whether the text can contain the name of a secret. Most texts have none, which is quicker to
/// see.
fn may_hold_secrets(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_at = |at: usize, stem: &str| {
        bytes
            .get(at..at + stem.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(stem.as_bytes()))
    };
    bytes.iter().enumerate().any(|(at, byte)| match byte.to_ascii_lowercase() {
        b'p' => is_at(at, "pass") || is_at(at, "pwd"),
        b'i' => is_at(at, "identified"),
        b's' => is_at(at, "secret") || is_at(at, "sst_auth"),
        b'k' => is_at(at, "key"),
        b't' => is_at(at, "token"),
        b'c' => is_at(at, "credential"),
        b'a' => is_at(at, "authentication_string"),
        b':' => is_at(at, "://"),
        _ => false,
    })
}

/// The kind of secret that has this name.
fn secret_kind(name: &str) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.trim_start_matches('@').to_ascii_uppercase();
    let ends_in = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends_in(&[
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "_PWD",
        "AUTHENTICATION_STRING",
        "WSREP_SST_AUTH",
    ]) || matches!(&*name, "PWD" | "PASS")
    {
        return Some("password");
    }
    let is_key =
        ends_in(&["SECRET", "SECRET_KEY", "SECRETKEY", "ACCESS_KEY", "ACCESSKEY", "PRIVATE_KEY"])
            || ends_in(&["API_KEY", "APIKEY", "ENCRYPTION_KEY", "_TOKEN", "CREDENTIALS"])
            || matches!(&*name, "TOKEN" | "SSL_PASSPHRASE_COMMAND");
    is_key.then_some("key")
}

/// The state after the tokens read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Nothing,
    /// A name was read: a literal, or an operator.
    Literal,
    /// A name in quotes was read, which may be a value as well: an operator.
    Operator,
    /// The name and an operator: a literal or anything else.
    Value,
    /// `PASSWORD FOR account`: an operator.
    Account,
    /// A literal was struck out, and the next one continues it.
    More,
}

struct Finder<'t, 'f> {
    text: &'t str,
    reading: Reading,
    depth: u32,
    found: &'f mut Secrets,
    expects: Expects,
    kind: &'static str,
    /// Brackets open since the name: all literals in them belong to the value.
    brackets: u32,
    /// Whether the statement has `IDENTIFIED`, after which BY, AS, USING and REPLACE come before
    /// secrets.
    is_identified: bool,
    /// Whether the word after the name is a secret even without quotes, as the statement has no
    /// other use for a word there.
    takes_bare: bool,
    /// Words of the statement so far, and whether they begin one about accounts.
    words: u32,
    command: Option<&'t str>,
    is_about_accounts: bool,
}

impl<'t, 'f> Finder<'t, 'f> {
    fn new(text: &'t str, reading: Reading, depth: u32, found: &'f mut Secrets) -> Finder<'t, 'f> {
        Finder {
            text,
            reading,
            depth,
            found,
            expects: Expects::Nothing,
            kind: "",
            brackets: 0,
            is_identified: false,
            takes_bare: false,
            words: 0,
            command: None,
            is_about_accounts: false,
        }
    }

    /// Whether every quote and comment was closed.
    fn run(mut self) -> bool {
        let mut tokens = Tokens::new(self.text, self.reading);
        let mut is_closed = true;
        while let Some(token) = tokens.next() {
            is_closed &= token.is_closed;
            let goes_on_at = match token.kind {
                Kind::Comment => {
                    self.inside(&token);
                    None
                }
                Kind::Quoted(quote) => {
                    self.quoted(quote, &token);
                    None
                }
                Kind::Word => self.word(&token),
                Kind::Sign(sign) => self.sign(sign, &token),
            };
            if let Some(at) = goes_on_at {
                tokens.skip_to(at);
            }
        }
        is_closed
    }

    /// Strikes a secret out, unless it already was: `*****`, `<secret>`.
    fn take(&mut self, span: Range<usize>) {
        let value = &self.text[span.clone()];
        if !is_placeholder(value) {
            self.found.spans.push(span);
            self.found.kinds.insert(self.kind);
        }
        if self.brackets == 0 {
            self.expects = Expects::More;
        }
    }

    fn name(&mut self, kind: &'static str, expects: Expects, takes_bare: bool) {
        (self.kind, self.expects, self.takes_bare, self.brackets) = (kind, expects, takes_bare, 0);
    }

    fn forget(&mut self) {
        (self.expects, self.brackets) = (Expects::Nothing, 0);
    }

    /// Searches a string or a comment.
    fn inside(&mut self, token: &Token) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        let content = &self.text[token.content.clone()];
        let decoded = match token.kind {
            Kind::Quoted(quote) if quote != b'$' => unquoted(content, quote, token.escapes),
            _ => Cow::Borrowed(content),
        };
        let reading = Reading { is_loose: true, ..self.reading };
        let mut found = Secrets::default();
        Finder::new(&decoded, reading, self.depth + 1, &mut found).run();
        if found.spans.is_empty() {
            return;
        }
        let spans = match (&decoded, token.kind) {
            (Cow::Owned(_), Kind::Quoted(quote)) => {
                outer(&merged(found.spans), quote_steps(content, quote, token.escapes))
            }
            _ => found.spans,
        };
        let start = token.content.start;
        self.found.spans.extend(spans.into_iter().map(|span| start + span.start..start + span.end));
        self.found.kinds.extend(found.kinds);
    }

    fn quoted(&mut self, quote: u8, token: &Token) {
        match self.expects {
            Expects::Literal | Expects::Value | Expects::More if quote != b'`' => {
                self.take(token.content.clone());
            }
            Expects::Account => {}
            _ => {
                self.forget();
                match secret_kind(&self.text[token.content.clone()]) {
                    Some(kind) if self.is_identifier(quote) => {
                        self.name(kind, Expects::Literal, false)
                    }
                    Some(kind) => self.name(kind, Expects::Operator, false),
                    None => self.inside(token),
                }
            }
        }
    }

    fn is_identifier(&self, quote: u8) -> bool {
        quote == b'`' || (quote == b'"' && self.reading.dialect == Dialect::PostgreSql)
    }

    /// The position to continue at, if a value without quotes was read.
    fn word(&mut self, token: &Token) -> Option<usize> {
        let word = &self.text[token.span.clone()];
        let upper =
            if word.len() <= NAME_BYTES_MAX { word.to_ascii_uppercase() } else { String::new() };
        self.count(&upper, word);
        if self.reading.is_loose
            && matches!(self.expects, Expects::Literal | Expects::Value)
            && let Some(end) = self.loose_dollar(token.span.start)
        {
            return Some(end);
        }
        match &*upper {
            "IDENTIFIED" => {
                self.is_identified = true;
                self.forget();
                return None;
            }
            "BY" | "AS" | "USING" | "REPLACE" if self.is_identified => {
                self.name("password", Expects::Literal, true);
                return None;
            }
            "REPLACE" if self.is_about_accounts => {
                self.name("password", Expects::Literal, false);
                return None;
            }
            "FOR"
                if self.expects == Expects::Literal
                    && (self.is_about_accounts || self.reading.is_loose) =>
            {
                self.expects = Expects::Account;
                return None;
            }
            "TO" if self.expects == Expects::Account => {
                self.expects = Expects::Value;
                return None;
            }
            _ => {}
        }
        if self.expects == Expects::Account {
            return None;
        }
        if self.expects != Expects::Nothing && self.is_prefix(token) {
            return None;
        }
        if self.expects == Expects::Value && self.brackets == 0 && !self.is_called(token) {
            return self.bare(token);
        }
        if let Some(kind) = secret_kind(&upper) {
            let takes_bare = self.reading.dialect == Dialect::PostgreSql && self.is_about_accounts;
            let brackets = if self.expects == Expects::Value { self.brackets } else { 0 };
            self.name(kind, Expects::Literal, takes_bare);
            self.brackets = brackets;
            return None;
        }
        if self.expects == Expects::Value {
            return None;
        }
        if self.expects == Expects::Literal && self.takes_bare {
            return self.bare(token);
        }
        if self.brackets == 0 {
            self.forget();
        }
        None
    }

    /// Records the subject of the statement.
    fn count(&mut self, upper: &str, word: &'t str) {
        self.words += 1;
        if self.words == 1 {
            self.command = Some(word);
            return;
        }
        let is_command =
            |one: &str| self.command.is_some_and(|command| command.eq_ignore_ascii_case(one));
        let is_account = matches!(upper, "USER" | "ROLE" | "GROUP") && self.words <= 4;
        self.is_about_accounts |= (is_account && (is_command("CREATE") || is_command("ALTER")))
            || (upper == "PASSWORD" && self.words == 2 && is_command("SET"));
    }

    /// Whether the word is a function or part of a longer name. In a text that is not a statement,
    /// a literal must begin after the bracket, as a value may hold brackets too.
    fn is_called(&self, token: &Token) -> bool {
        let after = self.text[token.span.end..].trim_start();
        if !self.reading.is_loose {
            return after.starts_with('(') || after.starts_with('.');
        }
        let inside = after.strip_prefix('(').map(str::trim_start);
        inside.is_some_and(|inside| {
            inside.starts_with(['\'', '"', '\\', '$']) || inside.starts_with(is_word)
        })
    }

    /// `E'…'`, `N'…'`, `_utf8'…'`, `U&'…'`.
    fn is_prefix(&self, token: &Token) -> bool {
        let (word, after) =
            (&self.text[token.span.clone()], &self.text.as_bytes()[token.span.end..]);
        (word.len() == 1 || word.starts_with('_'))
            && matches!(after.first(), Some(b'\'' | b'"' | b'&' | b'\\'))
    }

    /// Reads a value without quotes: in a connection string, in JSON, or with forgotten quotes. In
    /// a statement a word after an operator is a column or a function, and only a number is a
    /// value.
    fn bare(&mut self, token: &Token) -> Option<usize> {
        let start = token.span.start;
        let rest = &self.text[start..];
        let is_statement = !self.reading.is_loose;
        let is_end = |char: char| {
            char.is_whitespace()
                || matches!(char, '\'' | '"')
                || (is_statement && matches!(char, ',' | ';' | ')'))
        };
        let length = rest.find(is_end).unwrap_or(rest.len());
        let word = self.text[token.span.clone()].to_ascii_uppercase();
        let is_value = !is_statement
            || self.takes_bare
            || (self.is_about_accounts && self.expects == Expects::Value)
            || rest.starts_with(|char: char| char.is_ascii_digit());
        let is_keyword =
            matches!(&*word, "NULL" | "RANDOM" | "DEFAULT" | "PASSWORD" | "VALID" | "EXPIRE");
        if !is_value || is_keyword {
            self.forget();
            return None;
        }
        self.take(start..start + length);
        self.forget();
        Some(start + length)
    }

    fn sign(&mut self, sign: u8, token: &Token) -> Option<usize> {
        use Expects::{Account, Literal, More, Nothing, Operator, Value};
        let at = token.span.start;
        if self.reading.is_loose {
            if sign == b':'
                && let Some(end) = self.url(at)
            {
                return Some(end);
            }
            if matches!(sign, b'\'' | b'"' | b'`' | b'\\') {
                return self.loose_quote(at);
            }
        }
        match (sign, self.expects) {
            (_, Nothing) => {}
            (b'=', Literal | Operator | Value | Account) | (b':', Literal | Operator | Value)
                if self.brackets == 0 =>
            {
                self.expects = Value;
            }
            (b'>' | b'.', Value) | (b'&', Literal | Value) | (_, Account) => {}
            (b'(', Literal | Value) => self.brackets += 1,
            (b')', _) if self.brackets > 1 => self.brackets -= 1,
            (b')', _) => self.forget(),
            (_, Literal | Value) if self.brackets > 0 => {}
            (_, Value)
                if self.reading.is_loose
                    && !matches!(sign, b',' | b';' | b'}' | b'{' | b'[' | b']') =>
            {
                return self.bare(token);
            }
            (_, Literal | Operator | Value | More) => self.forget(),
        }
        if sign == b';' && !self.reading.is_loose {
            (self.is_identified, self.is_about_accounts, self.words) = (false, false, 0);
            self.forget();
        }
        None
    }

    /// Reads a quote in a text whose quotes do not pair, with the backslashes before it: the end of
    /// a name, or the beginning of a secret.
    fn loose_quote(&mut self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let start = at + bytes[at..].iter().take_while(|&&byte| byte == b'\\').count();
        let quote = *bytes.get(start).filter(|byte| matches!(byte, b'\'' | b'"' | b'`'))?;
        if self.expects == Expects::Literal && self.name_is_quoted(at, quote) {
            self.expects = Expects::Operator;
            return Some(start + 1);
        }
        if !matches!(self.expects, Expects::Literal | Expects::Value) || quote == b'`' {
            if self.expects != Expects::Account {
                self.forget();
            }
            return Some(start + 1);
        }
        let (content, end) = self.loose_literal(start, quote, start - at);
        self.take(content);
        if self.brackets == 0 {
            self.forget();
        }
        Some(end)
    }

    /// Whether the word that ends at `at` begins after the same quote.
    fn name_is_quoted(&self, at: usize, quote: u8) -> bool {
        let before = &self.text[..at];
        let name = before.trim_end_matches(is_word);
        name.len() < before.len()
            && before.len() - name.len() <= NAME_BYTES_MAX
            && name.as_bytes().last() == Some(&quote)
    }

    /// The content of the literal whose quote is at `start`, and the position to continue at.
    /// `escapes` backslashes stand before the quote, or the quote is doubled: the closing quote
    /// then has the same.
    fn loose_literal(&self, start: usize, quote: u8, escapes: usize) -> (Range<usize>, usize) {
        let bytes = self.text.as_bytes();
        let run = bytes[start..].iter().take_while(|&&byte| byte == quote).count();
        let follows = bytes.get(start + run);
        let is_empty =
            follows.is_none_or(|byte| byte.is_ascii_whitespace() || b",;)}]".contains(byte));
        if escapes > 0 {
            let end = escaped_end(bytes, start + 1, quote, escapes);
            return (start + 1..end, end);
        }
        // This number of quotes stands for one.
        let doubling = match run % 4 {
            1 | 3 => 1,
            2 => 2,
            _ => 4,
        };
        if doubling == 1 {
            // Either reading of backslashes may be right, so the longer one counts.
            let [plain, escaped] =
                [false, true].map(|escapes| quoted_end(self.text, start + 1, quote, escapes));
            let (content_end, end, _) = if plain.1 > escaped.1 { plain } else { escaped };
            return (start + 1..content_end, end);
        }
        if is_empty {
            return (start + doubling..start + doubling, start + run);
        }
        let ends = [false, true]
            .map(|escapes| doubled_end(bytes, start + doubling, quote, doubling, escapes));
        let end = ends[0].max(ends[1]);
        (start + doubling..end, end)
    }

    /// Reads `$$…$$` in a text whose quotes do not pair.
    fn loose_dollar(&mut self, at: usize) -> Option<usize> {
        if self.reading.dialect != Dialect::PostgreSql {
            return None;
        }
        let tag = dollar_tag(&self.text[at..])?;
        let content = at + tag.len();
        let length = self.text[content..].find(tag).unwrap_or(self.text.len() - content);
        self.take(content..content + length);
        if self.brackets == 0 {
            self.forget();
        }
        Some((content + length + tag.len()).min(self.text.len()))
    }

    /// Reads the password of `://user:password@host`, if `at` is there.
    fn url(&mut self, at: usize) -> Option<usize> {
        let authority = self.text[at..].strip_prefix("://")?;
        let is_end =
            |char: char| char.is_whitespace() || matches!(char, '/' | '\'' | '"' | '?' | '#');
        let length = authority.find(is_end).unwrap_or(authority.len());
        let start = at + 3;
        let user_info = &authority[..authority[..length].rfind('@')?];
        let colon = user_info.find(':')?;
        self.kind = "password";
        self.brackets = 0;
        self.take(start + colon + 1..start + user_info.len());
        self.forget();
        Some(start + user_info.len())
    }
}

/// The end of a literal whose quotes have `escapes` backslashes before them: a quote with no more
/// than these.
fn escaped_end(bytes: &[u8], start: usize, quote: u8, escapes: usize) -> usize {
    let mut run = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'\\' => run += 1,
            _ if byte == quote && run <= escapes => return at - run,
            _ => run = 0,
        }
    }
    bytes.len()
}

/// The end of a literal whose quotes are doubled this often: quotes that are neither pairs of such
/// nor escaped by a backslash.
fn doubled_end(bytes: &[u8], start: usize, quote: u8, doubling: usize, escapes: bool) -> usize {
    let (mut at, mut is_escaped) = (start, false);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|&&byte| byte == quote).count();
        let escaped = if is_escaped { run.min(doubling) } else { 0 };
        let last = (run - escaped) % (2 * doubling);
        if last != 0 {
            return at + run - last;
        }
        is_escaped = escapes && run == 0 && bytes[at] == b'\\' && !is_escaped;
        at += run.max(1);
    }
    bytes.len()
}

/// Whether the text is a placeholder for a secret.
fn is_placeholder(value: &str) -> bool {
    let is_parameter = value.strip_prefix('$').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    value.is_empty()
        || value.bytes().all(|byte| byte == b'*')
        || matches!(value, "?" | "%s" | "%L" | "<secret>" | "<REDACTED>" | "(null)")
        || is_parameter
}

/// The content of quotes without its escapes.
fn unquoted(content: &str, quote: u8, escapes: bool) -> Cow<'_, str> {
    let has_escapes = content.bytes().any(|byte| byte == quote || (escapes && byte == b'\\'));
    if !has_escapes {
        return Cow::Borrowed(content);
    }
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    for (takes, gives) in quote_steps(content, quote, escapes) {
        let (step, after) = rest.split_at(takes);
        out.push_str(&step[takes - gives..]);
        rest = after;
    }
    Cow::Owned(out)
}

/// A doubled quote is one; a backslash and the character after it are that character.
fn quote_steps(content: &str, quote: u8, escapes: bool) -> impl Iterator<Item = Step> + '_ {
    let mut chars = content.chars().peekable();
    std::iter::from_fn(move || {
        let char = chars.next()?;
        let is_pair = (char == '\\' && escapes && chars.peek().is_some())
            || (char == char::from(quote) && chars.peek() == Some(&char));
        if !is_pair {
            return Some((char.len_utf8(), char.len_utf8()));
        }
        let second = chars.next()?.len_utf8();
        Some((char.len_utf8() + second, second))
    })
}

#[cfg(test)]
mod tests;
