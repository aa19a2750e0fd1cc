//! The meaning of a statement: its operation, its effect on auditing, and its severity.

use super::Dialect;
use super::tokens::{Kind, Reading, Tokens, words};
use event::{Class, Operation, OutcomeKind, Severity};

/// Longest first word that is stored, in characters; no SQL keyword is longer.
const COMMAND_CHARS_MAX: usize = 32;

/// The first word of a statement, in upper case.
pub(crate) fn command(statement: &str, dialect: Dialect) -> String {
    words(statement, dialect).next().unwrap_or_default().chars().take(COMMAND_CHARS_MAX).collect()
}

/// Error codes of MySQL and MariaDB for a missing right: access denied to a database, by password,
/// to a table, to a column, to an act that needs a global privilege, to a procedure, and by a
/// server without a password.
pub(crate) fn is_access_denied(code: u32) -> bool {
    matches!(code, 1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698)
}

/// The operation of a statement.
pub(crate) fn operation(statement: &str, dialect: Dialect) -> Operation {
    if audit(statement, dialect) != Audit::Untouched {
        return Operation::Configure;
    }
    let mut words = words(statement, dialect);
    let command = words.next().unwrap_or_default();
    let object = words.find(|word| !matches!(&**word, "OR" | "REPLACE")).unwrap_or_default();
    match (&*command, &*object) {
        ("CREATE" | "ALTER" | "DROP" | "RENAME", "USER" | "ROLE" | "GROUP") => Operation::Grant,
        ("ALTER", "DEFAULT") | ("REASSIGN", "OWNED") | ("SECURITY", "LABEL") => Operation::Grant,
        ("GRANT" | "REVOKE", _) | ("SET", "PASSWORD" | "DEFAULT") => Operation::Grant,
        ("ALTER", "SYSTEM") | ("INSTALL" | "UNINSTALL", _) => Operation::Configure,
        ("SET" | "RESET", _) if sets_for_all(statement, dialect) => Operation::Configure,
        ("COPY", _) => copy(statement),
        ("WITH", _) => with(statement, dialect),
        ("SELECT" | "SHOW" | "DESC" | "DESCRIBE" | "EXPLAIN" | "TABLE" | "VALUES", _) => {
            Operation::Read
        }
        ("INSERT" | "UPDATE" | "REPLACE" | "LOAD" | "ALTER" | "RENAME", _) => Operation::Update,
        ("MERGE" | "IMPORT" | "REFRESH" | "COMMENT", _) => Operation::Update,
        ("CREATE" | "CLONE", _) => Operation::Create,
        ("DELETE" | "DROP" | "TRUNCATE", _) => Operation::Delete,
        ("CALL" | "DO", _) => Operation::Exec,
        _ => Operation::Other,
    }
}

/// `GLOBAL` need not come first: `SET @a=1, GLOBAL b=2`.
fn sets_for_all(statement: &str, dialect: Dialect) -> bool {
    let is_for_all = |word: &str| {
        matches!(
            word,
            "GLOBAL" | "@@GLOBAL" | "PERSIST" | "@@PERSIST" | "PERSIST_ONLY" | "@@PERSIST_ONLY"
        )
    };
    dialect != Dialect::PostgreSql && words(statement, dialect).any(|word| is_for_all(&word))
}

/// `COPY t FROM …` writes, `COPY t TO …` and `COPY (SELECT …) TO …` read.
fn copy(statement: &str) -> Operation {
    let mut depth = 0u32;
    for token in Tokens::new(statement, Reading::of(Dialect::PostgreSql)) {
        match token.kind {
            Kind::Sign(b'(') => depth += 1,
            Kind::Sign(b')') => depth = depth.saturating_sub(1),
            Kind::Word if depth == 0 => match &*statement[token.content].to_ascii_uppercase() {
                "FROM" => return Operation::Update,
                "TO" => return Operation::Read,
                _ => {}
            },
            _ => {}
        }
    }
    Operation::Other
}

/// The operation of the statement after `WITH …`, or of one in its brackets if that changes
/// something.
fn with(statement: &str, dialect: Dialect) -> Operation {
    let (mut depth, mut is_first_inside) = (0u32, false);
    for token in Tokens::new(statement, Reading::of(dialect)) {
        match token.kind {
            Kind::Sign(b'(') => (depth, is_first_inside) = (depth + 1, true),
            Kind::Sign(b')') => depth = depth.saturating_sub(1),
            Kind::Word if depth == 0 || is_first_inside => {
                is_first_inside = false;
                match &*statement[token.content].to_ascii_uppercase() {
                    "INSERT" | "UPDATE" | "REPLACE" | "MERGE" => return Operation::Update,
                    "DELETE" => return Operation::Delete,
                    "SELECT" | "TABLE" | "VALUES" if depth == 0 => return Operation::Read,
                    _ => {}
                }
            }
            _ => is_first_inside = false,
        }
    }
    Operation::Read
}

/// The effect of a statement on the settings of auditing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audit {
    Untouched,
    Changed,
    SwitchedOff,
}

impl Audit {
    /// The effect of a statement.
    pub fn of(statement: &str, dialect: Dialect) -> Audit {
        audit(statement, dialect)
    }

    /// The effect of a setting of this name and value, if it is one of auditing.
    pub fn of_setting(name: &str, value: &str) -> Audit {
        let (name, value) = (name.to_uppercase(), value.to_uppercase());
        match (&*name, &*value) {
            ("PGAUDIT.LOG", "NONE" | "") => Audit::SwitchedOff,
            _ if name.starts_with("PGAUDIT.") || is_logging_setting(&name) => Audit::Changed,
            _ => Audit::Untouched,
        }
    }
}

fn audit(statement: &str, dialect: Dialect) -> Audit {
    // All settings of auditing have such a name; most statements need not be read for them.
    let stems: &[&str] = match dialect {
        Dialect::PostgreSql => &["audit", "log", "preload"],
        Dialect::MariaDb | Dialect::MySql => &["audit"],
    };
    if !stems.iter().any(|stem| has_piece(statement, stem)) {
        return Audit::Untouched;
    }
    let command = words(statement, dialect).next().unwrap_or_default();
    match dialect {
        Dialect::PostgreSql => postgresql_audit(&command, statement),
        Dialect::MariaDb | Dialect::MySql => mysql_audit(&command, statement, dialect),
    }
}

/// Whether a text contains a piece, which is in lower case. The first byte rules most positions
/// out.
fn has_piece(text: &str, piece: &str) -> bool {
    let (text, piece) = (text.as_bytes(), piece.as_bytes());
    let is_there = |at: usize| {
        text.get(at..at + piece.len()).is_some_and(|there| there.eq_ignore_ascii_case(piece))
    };
    text.iter().enumerate().any(|(at, byte)| byte.to_ascii_lowercase() == piece[0] && is_there(at))
}

/// Settings of `server_audit` and of the plugins and components called `audit_log`:
/// <https://mariadb.com/kb/en/mariadb-audit-plugin-options-and-system-variables/>,
/// <https://dev.mysql.com/doc/refman/8.4/en/audit-log-reference.html>.
fn mysql_audit(command: &str, statement: &str, dialect: Dialect) -> Audit {
    let mut words = words(statement, dialect).skip(1).peekable();
    let mut audit = Audit::Untouched;
    match command {
        "UNINSTALL" if words.any(|word| is_mysql_auditor(&word)) => return Audit::SwitchedOff,
        "INSTALL" if words.any(|word| is_mysql_auditor(&word)) => return Audit::Changed,
        "SELECT" | "DO" if words.any(|word| is_mysql_audit_function(&word)) => {
            return Audit::Changed;
        }
        "SET" => {}
        _ => return Audit::Untouched,
    }
    while let Some(word) = words.next() {
        // `audit_log_filter.disable` is two words.
        let is_setting = word.starts_with("SERVER_AUDIT") || word.starts_with("AUDIT_LOG");
        let is_disable = matches!(&*word, "AUDIT_LOG_DISABLE")
            || (word == "AUDIT_LOG_FILTER" && words.next_if(|word| word == "DISABLE").is_some());
        let value = if is_setting { words.peek().map_or("", String::as_str) } else { continue };
        let is_off = match &*word {
            _ if is_disable => matches!(value, "ON" | "1" | "TRUE"),
            "SERVER_AUDIT_LOGGING" => matches!(value, "OFF" | "0" | "FALSE"),
            "AUDIT_LOG_POLICY" => value == "NONE",
            _ => false,
        };
        if is_off {
            return Audit::SwitchedOff;
        }
        audit = Audit::Changed;
    }
    audit
}

fn is_mysql_auditor(word: &str) -> bool {
    word.contains("SERVER_AUDIT") || word.contains("AUDIT_LOG")
}

fn is_mysql_audit_function(word: &str) -> bool {
    matches!(
        word,
        "AUDIT_LOG_FILTER_SET_FILTER"
            | "AUDIT_LOG_FILTER_REMOVE_FILTER"
            | "AUDIT_LOG_FILTER_SET_USER"
            | "AUDIT_LOG_FILTER_REMOVE_USER"
            | "AUDIT_LOG_FILTER_FLUSH"
            | "AUDIT_LOG_ENCRYPTION_PASSWORD_SET"
            | "AUDIT_LOG_ROTATE"
    )
}

/// Settings of pgaudit (<https://github.com/pgaudit/pgaudit#settings>), and those that decide what
/// reaches the log at all.
fn postgresql_audit(command: &str, statement: &str) -> Audit {
    let words = || words(statement, Dialect::PostgreSql);
    let is_extension = |word: &str| word.eq_ignore_ascii_case("pgaudit");
    let object = words().nth(1).unwrap_or_default();
    match (command, &*object) {
        ("DROP", "EXTENSION") if words().any(|word| is_extension(&word)) => Audit::SwitchedOff,
        ("CREATE" | "ALTER", "EXTENSION") if words().any(|word| is_extension(&word)) => {
            Audit::Changed
        }
        ("SET" | "RESET", _) => postgresql_setting(words().skip(1)),
        ("ALTER", "SYSTEM" | "ROLE" | "USER" | "DATABASE") => {
            postgresql_setting(words().skip_while(|word| word != "SET" && word != "RESET").skip(1))
        }
        ("SELECT", _) => {
            postgresql_setting(words().skip_while(|word| word != "SET_CONFIG").skip(1))
        }
        _ => Audit::Untouched,
    }
}

/// Reads `[SESSION | LOCAL] name [TO | =] value` as words; `pgaudit.log` is two words, or one in
/// quotes.
fn postgresql_setting(words: impl Iterator<Item = String>) -> Audit {
    let mut words = words.skip_while(|word| matches!(&**word, "SESSION" | "LOCAL"));
    let Some(mut name) = words.next() else { return Audit::Untouched };
    if name == "PGAUDIT" {
        name = format!("PGAUDIT.{}", words.next().unwrap_or_default());
    }
    match words.find(|word| word != "TO") {
        Some(value) => Audit::of_setting(&name, &value),
        None => Audit::of_setting(&name, "DEFAULT"),
    }
}

fn is_logging_setting(name: &str) -> bool {
    matches!(
        name,
        "LOG_STATEMENT"
            | "LOG_CONNECTIONS"
            | "LOG_DISCONNECTIONS"
            | "LOG_DESTINATION"
            | "LOG_DIRECTORY"
            | "LOG_FILENAME"
            | "LOG_MIN_MESSAGES"
            | "LOG_MIN_ERROR_STATEMENT"
            | "LOGGING_COLLECTOR"
            | "SHARED_PRELOAD_LIBRARIES"
            | "SESSION_PRELOAD_LIBRARIES"
    )
}

/// Class and severity of an act on a database. `is_denied`: it was refused for a missing right.
pub(crate) fn judge(
    operation: Operation,
    audit: Audit,
    outcome: OutcomeKind,
    is_denied: bool,
) -> (Class, Severity) {
    let is_security = matches!(operation, Operation::Login | Operation::Logout | Operation::Grant);
    let class = if is_security || is_denied || audit != Audit::Untouched {
        Class::Security
    } else {
        Class::Operation
    };
    let severity = match (outcome, operation) {
        (OutcomeKind::Success, _) if audit == Audit::SwitchedOff => Severity::CRITICAL,
        (OutcomeKind::Success, Operation::Delete) => Severity::MINOR,
        (OutcomeKind::Failure, Operation::Login) => Severity::MAJOR,
        (OutcomeKind::Failure, Operation::Delete) if is_denied => Severity::MAJOR,
        (OutcomeKind::Failure, _) if audit == Audit::SwitchedOff => Severity::MAJOR,
        (OutcomeKind::Failure, _) => Severity::MINOR,
        _ => Severity::WARNING,
    };
    (class, severity)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("SET PERSIST max_connections=1", Operation::Configure),
            ("SET NAMES utf8mb4", Operation::Other),
            ("CALL p()", Operation::Exec),
            ("WITH a AS (SELECT 1), b AS (SELECT 2) DELETE FROM t", Operation::Delete),
            ("WITH a AS (SELECT 'DELETE') SELECT * FROM a", Operation::Read),
            ("COMMIT", Operation::Other),
            ("SELEC 1", Operation::Other),
            ("", Operation::Other),
        ] {
            assert_eq!(operation(statement, Dialect::MariaDb), expected, "{statement}");
        }
    }

    #[test]
    fn statements_of_postgresql_have_words_of_their_own() {
        for (statement, expected) in [
            ("COPY t (a, b) FROM STDIN", Operation::Update),
            ("COPY t TO '/tmp/x'", Operation::Read),
            ("COPY (SELECT a FROM t) TO STDOUT", Operation::Read),
            ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", Operation::Delete),
            ("ALTER SYSTEM SET work_mem = '1MB'", Operation::Configure),
            ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO r", Operation::Grant),
            ("DO $$ BEGIN DROP TABLE t; END $$", Operation::Exec),
            ("SET search_path TO x", Operation::Other),
            ("SET pgaudit.log = 'none'", Operation::Configure),
            ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", Operation::Update),
        ] {
            assert_eq!(operation(statement, Dialect::PostgreSql), expected, "{statement}");
        }
    }

    #[test]
    fn changes_of_auditing_are_found() {
        use Audit::{Changed, SwitchedOff, Untouched};
        for (dialect, statement, expected) in [
            (Dialect::MariaDb, "SET GLOBAL server_audit_events=CONNECT", Changed),
            (Dialect::MariaDb, "set @a=1, @@global.server_audit_logging = 0", SwitchedOff),
            (Dialect::MariaDb, "UNINSTALL SONAME 'server_audit'", SwitchedOff),
            (Dialect::MariaDb, "SELECT @@server_audit_logging", Untouched),
            (Dialect::MySql, "SET GLOBAL audit_log_disable = true", SwitchedOff),
            (Dialect::MySql, "SET GLOBAL audit_log_disable = OFF", Changed),
            (Dialect::MySql, "SET GLOBAL audit_log_filter.disable = ON", SwitchedOff),
            (Dialect::MySql, "SET PERSIST audit_log_policy='NONE'", SwitchedOff),
            (Dialect::MySql, "SET GLOBAL audit_log_policy='LOGINS'", Changed),
            (
                Dialect::MySql,
                "UNINSTALL COMPONENT 'file://component_audit_log_filter'",
                SwitchedOff,
            ),
            (Dialect::MySql, "INSTALL PLUGIN audit_log SONAME 'audit_log.so'", Changed),
            (Dialect::MySql, "SELECT audit_log_filter_remove_user('%')", Changed),
            (Dialect::MySql, "SELECT audit_log_read()", Untouched),
            (Dialect::PostgreSql, "SET pgaudit.log = 'none'", SwitchedOff),
            (Dialect::PostgreSql, "set local pgaudit.log to ''", SwitchedOff),
            (Dialect::PostgreSql, "SET SESSION pgaudit.log TO 'all'", Changed),
            (Dialect::PostgreSql, "ALTER SYSTEM SET pgaudit.log = none", SwitchedOff),
            (Dialect::PostgreSql, "ALTER SYSTEM RESET pgaudit.log", Changed),
            (Dialect::PostgreSql, "ALTER ROLE al SET pgaudit.log_level = 'debug5'", Changed),
            (
                Dialect::PostgreSql,
                "ALTER ROLE al IN DATABASE shop SET pgaudit.log TO 'none'",
                SwitchedOff,
            ),
            (Dialect::PostgreSql, "SELECT set_config('pgaudit.log', 'none', false)", SwitchedOff),
            (Dialect::PostgreSql, "ALTER SYSTEM SET log_connections = off", Changed),
            (Dialect::PostgreSql, "DROP EXTENSION IF EXISTS pgaudit", SwitchedOff),
            (Dialect::PostgreSql, "SET search_path = pgaudit", Untouched),
            (Dialect::PostgreSql, "SELECT 'set pgaudit.log = none'", Untouched),
            (Dialect::PostgreSql, "ALTER TABLE pgaudit SET SCHEMA x", Untouched),
        ] {
            assert_eq!(audit(statement, dialect), expected, "{statement}");
        }
    }
}
