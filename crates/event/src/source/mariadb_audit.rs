//! Files of the MariaDB Audit Plugin, `server_audit`, with `server_audit_output_type=file`.
//!
//! Format: <https://mariadb.com/kb/en/mariadb-audit-plugin-log-format/>, and the captures in `testdata/mariadb-audit/`. A
//! line is `YYYYMMDD HH:MM:SS,serverhost,user,host,connectionid,queryid,operation,database,object,retcode`. What the
//! captures show and this parser relies on:
//! - the time is the server's local time without a zone: it is taken for UTC, and an attribute says so;
//! - only the statement is quoted, and every quote inside it escaped; users, databases and tables are written as they
//!   are, commas included. So a line is read from both ends towards the operation, and set aside if it has two readings;
//! - a statement is cut silently at `server_audit_query_log_limit`, even inside a character, and is in the character set
//!   of its connection;
//! - table records (READ, WRITE, …) are details of the QUERY record with the same query id, which follows them; they have
//!   no result;
//! - connection and query ids start again with the server, so a record has no key.
//!
//! CHANGE_USER and AUDIT_CONFIG are written by MariaDB Enterprise, CHANGEUSER and PROXY_CONNECT by other versions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::lines::parse_lines;
use super::{Context, EnvelopeError, Format, Parsed, non_empty};
use crate::{
    Actor, ActorKind, Class, Event, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource, Severity,
    SourceIp, Time, Trust,
};

/// Bytes of `YYYYMMDD HH:MM:SS`.
const TIME_BYTES: usize = 17;

const NO_TIME: &str = "the line does not begin with YYYYMMDD HH:MM:SS";

/// Longest attribute `command`, in characters; no SQL keyword is longer.
const COMMAND_CHARS_MAX: usize = 32;

/// Error codes that tell of a missing right: access denied to a database, by password, to a table, to a column, to what
/// needs a global privilege, to a procedure, and by a server without a password.
const ACCESS_DENIED: [u32; 7] = [1044, 1045, 1142, 1143, 1227, 1370, 1698];

pub(super) fn parse(body: &[u8], context: &mut Context<'_>) -> Result<Vec<Parsed>, EnvelopeError> {
    parse_lines(body, context, read)
}

fn read(line: &[u8], context: &mut Context<'_>) -> Result<Option<Event>, String> {
    let text = String::from_utf8_lossy(line);
    let (time, rest) = text.split_at_checked(TIME_BYTES).ok_or(NO_TIME)?;
    let (occurred_at, resolution) = occurred_at(time)?;
    let record = record(rest.strip_prefix(',').ok_or("no comma follows the time")?)?;
    let statement = record.statement.map(unescaped);
    let meaning = meaning(&record, statement.as_deref());
    let mut attributes = attributes(&record, statement.as_deref());
    if matches!(text, Cow::Owned(_)) {
        attributes.insert("invalid_utf8".to_owned(), "true".to_owned());
    }
    Ok(Some(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at,
        resolution,
        actor: actor(record.user),
        source_ip: record.host.parse().ok().map(|address| SourceIp { address, trust: Trust::Peer }),
        user_agent: None,
        action: record.operation.to_owned(),
        operation: meaning.operation,
        resource: resource(&record),
        outcome: outcome(&record),
        severity: meaning.severity,
        class: meaning.class,
        description: statement.filter(|statement| !statement.is_empty()),
        request_id: Some(record.query_id.to_owned()).filter(|id| id != "0"),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: Format::MariadbAudit.as_str().to_owned(),
            key: None,
        },
        attributes,
        raw: line.to_vec(),
    }))
}

fn occurred_at(text: &str) -> Result<(Time, Resolution), String> {
    let bytes = text.as_bytes();
    if !bytes.is_ascii() || bytes[8] != b' ' {
        return Err(NO_TIME.to_owned());
    }
    let rfc3339 = format!("{}-{}-{}T{}Z", &text[..4], &text[4..6], &text[6..8], &text[9..]);
    Time::parse_rfc3339(&rfc3339).map_err(|error| format!("time: {error}"))
}

/// One line behind its time, taken apart.
struct Record<'a> {
    serverhost: &'a str,
    user: &'a str,
    host: &'a str,
    connection_id: &'a str,
    query_id: &'a str,
    operation: &'a str,
    database: &'a str,
    object: &'a str,
    /// As written, with its escapes.
    statement: Option<&'a str>,
    retcode: Option<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Connection,
    Query,
    Table,
}

fn kind(operation: &str) -> Option<Kind> {
    match operation {
        "CONNECT" | "FAILED_CONNECT" | "DISCONNECT" | "PROXY_CONNECT" | "CHANGEUSER" | "CHANGE_USER"
        | "CHANGE_USER_DONE" | "AUDIT_CONFIG" => Some(Kind::Connection),
        "QUERY" => Some(Kind::Query),
        "READ" | "WRITE" | "CREATE" | "ALTER" | "RENAME" | "DROP" => Some(Kind::Table),
        _ => None,
    }
}

fn record(text: &str) -> Result<Record<'_>, String> {
    if let Some(query) = query(text) {
        return Ok(query);
    }
    let mut readings = anchors(text).filter_map(|anchor| match anchor.kind {
        Kind::Connection => connection(&anchor),
        Kind::Table => table(&anchor),
        Kind::Query => None,
    });
    let first = readings.next().ok_or("the line has no operation with what belongs to it")?;
    match readings.next() {
        None => Ok(first),
        Some(_) => Err("the line can be read in two ways: a name in it looks like an operation".to_owned()),
    }
}

/// Where a line may have its operation: `,connectionid,queryid,operation,`.
struct Anchor<'a> {
    before: &'a str,
    connection_id: &'a str,
    query_id: &'a str,
    operation: &'a str,
    kind: Kind,
    after: &'a str,
}

fn anchors(text: &str) -> impl Iterator<Item = Anchor<'_>> {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.match_indices(',').filter_map(move |(at, _)| {
        let mut parts = text[at + 1..].splitn(4, ',');
        let (connection_id, query_id) = (parts.next()?, parts.next()?);
        let (operation, after) = (parts.next()?, parts.next()?);
        let kind = kind(operation)?;
        (is_number(connection_id) && is_number(query_id)).then_some(Anchor {
            before: &text[..at],
            connection_id,
            query_id,
            operation,
            kind,
            after,
        })
    })
}

/// `…,QUERY,database,'statement',retcode`. The statement begins behind the last `,'`, as its own quotes are escaped, and
/// the operation is the first, so that nothing in the database's name or the statement can pass for one.
fn query(text: &str) -> Option<Record<'_>> {
    let (quoted, retcode) = text.rsplit_once(',')?;
    let (before, statement) = quoted.strip_suffix('\'')?.rsplit_once(",'")?;
    let retcode = parse_retcode(retcode)?;
    // With the comma, which is the operation's own where no database is named.
    let anchor = anchors(&text[..=before.len()]).find(|anchor| anchor.kind == Kind::Query)?;
    let database = anchor.after.strip_suffix(',')?;
    anchor.record(database, "", Some(statement), Some(retcode))
}

/// `…,CONNECT,database,,retcode`, or with an object where the operation has one.
fn connection<'a>(anchor: &Anchor<'a>) -> Option<Record<'a>> {
    let (names, retcode) = anchor.after.rsplit_once(',')?;
    let (database, object) = names.rsplit_once(',')?;
    let has_object = !matches!(anchor.operation, "CONNECT" | "FAILED_CONNECT" | "DISCONNECT");
    if !object.is_empty() && !has_object {
        return None;
    }
    anchor.record(database, object, None, Some(parse_retcode(retcode)?))
}

/// `…,READ,database,table,`. Where names hold commas, nothing tells where the database ends: all is the object then.
fn table<'a>(anchor: &Anchor<'a>) -> Option<Record<'a>> {
    let names = anchor.after.strip_suffix(',')?;
    let (database, object) = names.split_once(',')?;
    if object.contains(',') {
        return anchor.record("", names, None, None);
    }
    anchor.record(database, object, None, None)
}

fn parse_retcode(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl<'a> Anchor<'a> {
    fn record(
        &self,
        database: &'a str,
        object: &'a str,
        statement: Option<&'a str>,
        retcode: Option<u32>,
    ) -> Option<Record<'a>> {
        let (serverhost, rest) = self.before.split_once(',')?;
        let (user, host) = rest.rsplit_once(',')?;
        let Anchor { connection_id, query_id, operation, .. } = *self;
        Some(Record {
            serverhost,
            user,
            host,
            connection_id,
            query_id,
            operation,
            database,
            object,
            statement,
            retcode,
        })
    }
}

/// The statement without the plugin's escapes. A backslash that the cut parted from its character stays.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('f') => out.push('\u{c}'),
            Some('r') => out.push('\r'),
            Some(escaped @ ('\'' | '\\')) => out.push(escaped),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

fn actor(user: &str) -> Actor {
    let kind = match user {
        "" => ActorKind::Anonymous,
        "system user" | "event_scheduler" => ActorKind::System,
        _ => ActorKind::User,
    };
    Actor { id: None, name: non_empty(user), kind }
}

fn resource(record: &Record<'_>) -> Resource {
    let (kind, name) = match kind(record.operation) {
        Some(Kind::Table) if record.database.is_empty() => ("table", record.object.to_owned()),
        Some(Kind::Table) => ("table", format!("{}.{}", record.database, renamed(record).0)),
        _ => ("database", record.database.to_owned()),
    };
    Resource { kind: Some(kind.to_owned()), name: non_empty(&name), id: None, region: None }
}

/// The table, and what it is called now if it was renamed: RENAME writes `old|database.new`.
fn renamed<'a>(record: &Record<'a>) -> (&'a str, &'a str) {
    match record.object.split_once('|') {
        Some(names) if record.operation == "RENAME" => names,
        _ => (record.object, ""),
    }
}

fn outcome(record: &Record<'_>) -> Outcome {
    let kind = match record.retcode {
        None => OutcomeKind::Unknown,
        Some(0) if record.operation != "FAILED_CONNECT" => OutcomeKind::Success,
        Some(_) => OutcomeKind::Failure,
    };
    Outcome { kind, code: record.retcode, reason: None }
}

fn attributes(record: &Record<'_>, statement: Option<&str>) -> BTreeMap<String, String> {
    let command = statement.and_then(|statement| words(statement).next()).unwrap_or_default();
    let command: String = command.chars().take(COMMAND_CHARS_MAX).collect();
    let is_table = kind(record.operation) == Some(Kind::Table);
    [
        ("command", &*command),
        ("connection_id", record.connection_id),
        ("database", record.database),
        ("host", record.host),
        ("object", if is_table { "" } else { record.object }),
        ("renamed_to", renamed(record).1),
        ("serverhost", record.serverhost),
        ("time_zone_assumed", "UTC"),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// What a record means and how much it matters.
struct Meaning {
    operation: Operation,
    class: Class,
    severity: Severity,
}

fn meaning(record: &Record<'_>, statement: Option<&str>) -> Meaning {
    let audit = match record.operation {
        "AUDIT_CONFIG" if record.object == "logging=OFF" => Audit::SwitchedOff,
        "AUDIT_CONFIG" => Audit::Changed,
        _ => statement.map_or(Audit::Untouched, audit_settings),
    };
    let operation = match record.operation {
        "CONNECT" | "FAILED_CONNECT" | "PROXY_CONNECT" | "CHANGEUSER" | "CHANGE_USER"
        | "CHANGE_USER_DONE" => Operation::Login,
        "DISCONNECT" => Operation::Logout,
        "READ" => Operation::Read,
        "WRITE" | "ALTER" | "RENAME" => Operation::Update,
        "CREATE" => Operation::Create,
        "DROP" => Operation::Delete,
        "AUDIT_CONFIG" => Operation::Configure,
        _ => statement.map_or(Operation::Other, operation_of_sql),
    };
    let is_denied = record.retcode.is_some_and(|code| ACCESS_DENIED.contains(&code));
    let is_security = matches!(operation, Operation::Login | Operation::Logout | Operation::Grant);
    Meaning {
        operation,
        class: if is_security || is_denied || audit != Audit::Untouched {
            Class::Security
        } else {
            Class::Operation
        },
        severity: severity(operation, audit, outcome(record).kind, is_denied),
    }
}

fn severity(operation: Operation, audit: Audit, outcome: OutcomeKind, is_denied: bool) -> Severity {
    match (outcome, operation) {
        (OutcomeKind::Success, _) if audit == Audit::SwitchedOff => Severity::CRITICAL,
        (OutcomeKind::Success, Operation::Delete) => Severity::MINOR,
        (OutcomeKind::Failure, Operation::Login) => Severity::MAJOR,
        (OutcomeKind::Failure, Operation::Delete) if is_denied => Severity::MAJOR,
        (OutcomeKind::Failure, _) if audit == Audit::SwitchedOff => Severity::MAJOR,
        (OutcomeKind::Failure, _) => Severity::MINOR,
        _ => Severity::WARNING,
    }
}

fn operation_of_sql(statement: &str) -> Operation {
    let mut words = words(statement);
    let command = words.next().unwrap_or_default();
    let object = words.find(|word| !matches!(&**word, "OR" | "REPLACE")).unwrap_or_default();
    match (&*command, &*object) {
        ("CREATE" | "ALTER" | "DROP" | "RENAME", "USER" | "ROLE") => Operation::Grant,
        ("GRANT" | "REVOKE", _) | ("SET", "PASSWORD" | "DEFAULT") => Operation::Grant,
        ("SET", _) if sets_global(statement) => Operation::Configure,
        ("INSTALL" | "UNINSTALL", _) => Operation::Configure,
        ("SELECT" | "SHOW" | "DESC" | "DESCRIBE" | "EXPLAIN" | "WITH", _) => Operation::Read,
        ("INSERT" | "UPDATE" | "REPLACE" | "LOAD" | "ALTER" | "RENAME", _) => Operation::Update,
        ("CREATE", _) => Operation::Create,
        ("DELETE" | "DROP" | "TRUNCATE", _) => Operation::Delete,
        _ => Operation::Other,
    }
}

/// `GLOBAL` need not come first: `SET @a=1, GLOBAL b=2`.
fn sets_global(statement: &str) -> bool {
    words(statement).any(|word| matches!(&*word, "GLOBAL" | "@@GLOBAL"))
}

/// What a record does to the plugin's own settings.
#[derive(Clone, Copy, PartialEq)]
enum Audit {
    Untouched,
    Changed,
    SwitchedOff,
}

fn audit_settings(statement: &str) -> Audit {
    let mut words = words(statement);
    let is_removal = match words.next().as_deref() {
        Some("SET" | "INSTALL") => false,
        Some("UNINSTALL") => true,
        _ => return Audit::Untouched,
    };
    let mut audit = Audit::Untouched;
    while let Some(word) = words.next() {
        if !word.starts_with("SERVER_AUDIT") {
            continue;
        }
        let is_off =
            word == "SERVER_AUDIT_LOGGING" && matches!(words.next().as_deref(), Some("OFF" | "0" | "FALSE"));
        if is_removal || is_off {
            return Audit::SwitchedOff;
        }
        audit = Audit::Changed;
    }
    audit
}

/// The words of a statement in upper case, without comments and punctuation. What is quoted is one word.
fn words(statement: &str) -> impl Iterator<Item = String> {
    let mut rest = statement;
    std::iter::from_fn(move || {
        loop {
            let first = rest.chars().next()?;
            let length = match first {
                '\'' | '"' | '`' => {
                    let (word, length) = quoted(rest, first);
                    rest = &rest[length..];
                    return Some(word.to_uppercase());
                }
                _ if is_word(first) => {
                    let length = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
                    let (word, after) = rest.split_at(length);
                    rest = after;
                    return Some(word.to_uppercase());
                }
                _ => comment_bytes(rest).unwrap_or(first.len_utf8()),
            };
            rest = &rest[length..];
        }
    })
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '$' | '@')
}

/// What stands between quotes, and the bytes it takes with them. A cut statement may lack the second.
fn quoted(text: &str, quote: char) -> (&str, usize) {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        if char == quote && !is_escaped {
            return (&text[1..at], at + 1);
        }
        is_escaped = char == '\\' && !is_escaped && quote != '`';
    }
    (&text[1..], text.len())
}

/// The bytes of the comment that `text` begins with: <https://mariadb.com/kb/en/comment-syntax/>. Of a comment whose
/// content is executed only the mark is skipped.
fn comment_bytes(text: &str) -> Option<usize> {
    if let Some(length) = executed_mark_bytes(text) {
        return Some(length);
    }
    let end = if let Some(content) = text.strip_prefix("/*") {
        content.find("*/").map(|at| at + 4)
    } else if text.starts_with('#') || is_dash_comment(text) {
        text.find('\n')
    } else {
        return None;
    };
    Some(end.unwrap_or(text.len()))
}

/// The bytes of `/*!`, `/*M!` and the version behind it, if MariaDB executes what follows. It passes over MySQL's own
/// versions from 5.7 on, and over versions to come.
fn executed_mark_bytes(text: &str) -> Option<usize> {
    let after = text.strip_prefix("/*!").or_else(|| text.strip_prefix("/*M!"))?;
    let content = after.trim_start_matches(|char: char| char.is_ascii_digit());
    let version = &after[..after.len() - content.len()];
    let is_executed = version.is_empty() || matches!(version.parse(), Ok(0..50_700 | 100_000..200_000));
    is_executed.then_some(text.len() - content.len())
}

/// `--` without a space is two minus signs.
fn is_dash_comment(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|after| {
        after.chars().next().is_none_or(|char| char.is_whitespace() || char.is_control())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_skip_comments_and_look_into_executable_ones() {
        for (statement, expected) in [
            ("SELECT 1", "SELECT|1"),
            (" (select a.b)", "SELECT|A|B"),
            ("/* x */ drop -- y\n table # z", "DROP|TABLE"),
            ("/*!40101 SET @@global.a='O''K' */", "SET|@@GLOBAL|A|O|K"),
            ("/*M!100100 DROP*/ `a b`", "DROP|A B"),
            ("'a\\'b' \"c\" 'cut", "A'B|C|CUT"),
            ("/*!50701 SELECT */ DROP /*!999999 x */ t", "DROP|T"),
            ("SET @a=5--1, b=2", "SET|@A|5|1|B|2"),
            ("a --", "A"),
            ("/* never closed", ""),
            ("/", ""),
            ("", ""),
        ] {
            let found: Vec<String> = words(statement).map(|word| word.replace("\\'", "'")).collect();
            assert_eq!(found.join("|"), expected, "{statement}");
        }
    }

    #[test]
    fn statements_mean_what_their_first_words_say() {
        for (statement, expected) in [
            ("SELECT 1", Operation::Read),
            ("/* DROP */ (select 1) union (select 2)", Operation::Read),
            ("INSERT INTO t VALUES (1)", Operation::Update),
            ("update t set a=1", Operation::Update),
            ("REPLACE t VALUES (1)", Operation::Update),
            ("DELETE FROM t", Operation::Delete),
            ("TRUNCATE t", Operation::Delete),
            ("DROP TABLE t", Operation::Delete),
            ("/*!50000 DROP */ TABLE t", Operation::Delete),
            ("CREATE OR REPLACE TABLE t (a INT)", Operation::Create),
            ("CREATE OR REPLACE USER u", Operation::Grant),
            ("DROP ROLE r", Operation::Grant),
            ("GRANT ALL ON *.* TO u", Operation::Grant),
            ("SET PASSWORD FOR u = PASSWORD(*****)", Operation::Grant),
            ("SET GLOBAL max_connections=1", Operation::Configure),
            ("SET @a=1, @@global.b=2", Operation::Configure),
            ("SET NAMES utf8mb4", Operation::Other),
            ("COMMIT", Operation::Other),
            ("SELEC 1", Operation::Other),
            ("", Operation::Other),
        ] {
            assert_eq!(operation_of_sql(statement), expected, "{statement}");
        }
    }

    #[test]
    fn escapes_of_the_plugin_are_undone() {
        for (text, expected) in [
            (r"it\'s \\ a\n\t\r\b\f", "it's \\ a\n\t\r\u{8}\u{c}"),
            (r"\\n", r"\n"),
            (r"\x", r"\x"),
            (r"cut\", r"cut\"),
        ] {
            assert_eq!(unescaped(text), expected, "{text}");
        }
    }
}
