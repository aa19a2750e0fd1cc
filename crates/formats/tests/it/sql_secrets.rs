//! A secret in a statement is in no text of its event, however it is quoted, cut, commented or
//! nested.

use event::{Event, Service};
use formats::{Item, Options, Secrets};
use proptest::prelude::*;

use crate::golden::{Request, Source};

const MARIADB: Source = Source { format: "mariadb-audit", service: Service::Database, name: "db" };
const CSV: Source = Source { format: "postgresql-csvlog", service: Service::Database, name: "db" };
const ENTERPRISE: Source =
    Source { format: "mysql-enterprise", service: Service::Database, name: "db" };
const PERCONA: Source = Source { format: "percona-audit", service: Service::Database, name: "db" };
const TAURUS: Source = Source { format: "taurusdb-audit", service: Service::Database, name: "db" };
const JSON: Source =
    Source { format: "postgresql-jsonlog", service: Service::Database, name: "db" };

/// Every secret begins and ends so, and no other text does.
const MARKS: [&str; 2] = ["S3C", "T7X"];

/// Statements of MySQL and MariaDB; `~` is a gap, `?` a literal.
const MYSQL: [&str; 14] = [
    "CREATE~USER~u~IDENTIFIED~BY~?",
    "CREATE~USER~a~IDENTIFIED~BY~'x',~u~IDENTIFIED~BY~?~PASSWORD~EXPIRE",
    "ALTER~USER~u~IDENTIFIED~WITH~mysql_native_password~AS~?",
    "ALTER~USER~u~IDENTIFIED~VIA~ed25519~USING~PASSWORD(?)~OR~unix_socket",
    "GRANT~ALL~ON~*.*~TO~u~IDENTIFIED~BY~PASSWORD~?~WITH~GRANT~OPTION",
    "SET~PASSWORD~=~?",
    "SET~PASSWORD~FOR~'u'@'h'~=~PASSWORD(?)",
    "CHANGE~MASTER~TO~MASTER_HOST='h',~MASTER_PASSWORD~=~?,~MASTER_PORT=1",
    "CHANGE~REPLICATION~SOURCE~TO~SOURCE_PASSWORD=?",
    "CREATE~SERVER~s~OPTIONS~(USER~'u',~PASSWORD~?)",
    "UPDATE~mysql.user~SET~authentication_string=PASSWORD(?)~WHERE~a='b'",
    "SET~GLOBAL~s3_secret_key=?",
    "UPDATE~users~SET~`password`~=~sha2(?,~256)",
    "SELECT~'a;b',~\"c'd\",~`e'f`;~ALTER~USER~u~IDENTIFIED~BY~?",
];

const POSTGRESQL: [&str; 10] = [
    "CREATE~ROLE~r~LOGIN~PASSWORD~?~VALID~UNTIL~'2027-01-01'",
    "ALTER~USER~\"a'b\"~WITH~ENCRYPTED~PASSWORD~?",
    "CREATE~USER~MAPPING~FOR~u~SERVER~s~OPTIONS~(user~'a',~password~?)",
    "ALTER~SERVER~s~OPTIONS~(SET~password~?)",
    "SELECT~f(password~=>~?,~a~=>~1)",
    "UPDATE~users~SET~password~=~crypt(?,~gen_salt('bf'))~WHERE~id~=~7",
    "COPY~t~FROM~'s3://b'~CREDENTIALS~?",
    "SELECT~$$a'b$$,~E'c\\'d';~ALTER~ROLE~r~PASSWORD~?",
    "SET~my.secret_key~=~?",
    "DO~$do$~BEGIN~ALTER~ROLE~r~PASSWORD~?;~END~$do$",
];

fn secret() -> impl Strategy<Value = String> {
    let char = prop::sample::select(vec![
        'a', 'B', '7', '\'', '"', '\\', '$', '%', ' ', ',', ';', '(', ')', '=', '-', '/', '*', '#',
        '@', ':', '文', '\n',
    ]);
    prop::collection::vec(char, 0..12)
        .prop_map(|chars| format!("{}{}{}", MARKS[0], String::from_iter(chars), MARKS[1]))
}

fn gap() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        " ",
        "  ",
        "\n",
        "\t",
        "/**/",
        " /* it's */ ",
        " -- it's \"\n",
        " /* password = */ ",
    ])
}

/// The template with its gaps and the literal filled in, in this case.
fn filled(template: &str, gaps: &[&str], is_lower: bool, literal: &str) -> String {
    let template = if is_lower { template.to_lowercase() } else { template.to_owned() };
    let mut gaps = gaps.iter().cycle();
    let filled: String = template
        .chars()
        .map(|char| if char == '~' { (*gaps.next().unwrap()).to_owned() } else { char.to_string() })
        .collect();
    filled.replacen('?', literal, 1)
}

fn mysql_literal(secret: &str, style: u8) -> String {
    let escaped = secret.replace('\\', "\\\\");
    match style % 3 {
        0 => format!("'{}'", escaped.replace('\'', "''")),
        1 => format!("'{}'", escaped.replace('\'', "\\'")),
        _ => format!("\"{}\"", escaped.replace('"', "\\\"")),
    }
}

fn postgresql_literal(secret: &str, style: u8) -> String {
    match style % 3 {
        0 => format!("'{}'", secret.replace('\'', "''")),
        1 => format!("E'{}'", secret.replace('\\', "\\\\").replace('\'', "\\'")),
        _ => format!("$s3${secret}$s3$"),
    }
}

/// In a string that is executed.
fn nested(statement: &str, dialect_is_mysql: bool) -> String {
    match dialect_is_mysql {
        true => {
            format!("PREPARE s FROM '{}'", statement.replace('\\', "\\\\").replace('\'', "\\'"))
        }
        false => format!("DO $x$ BEGIN EXECUTE '{}'; END $x$", statement.replace('\'', "''")),
    }
}

/// Cuts the statement inside the secret, or leaves it.
fn cut(statement: String, at: Option<usize>) -> String {
    let Some(at) = at else { return statement };
    let start = statement.find(MARKS[0]).unwrap() + MARKS[0].len();
    let end = start + statement[start..].char_indices().map(|(at, _)| at).nth(at).unwrap_or(0);
    statement[..end].to_owned()
}

fn mariadb_line(statement: &str) -> String {
    let escaped = statement
        .replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('\n', "\\n")
        .replace('\t', "\\t");
    format!("20261120 18:09:48,vm,al,h,4,5,QUERY,db,'{escaped}',0")
}

fn csv_line(message: &str, context: &str, statement: &str) -> String {
    let quoted = |text: &str| match text {
        "" => String::new(),
        _ => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    format!(
        "2026-11-20 18:10:58.412 UTC,\"ro\",\"shop\",22611,\"h:1\",6b.58,7,\"idle\",2026-11-20 18:10:58 UTC,6/4,0,{},00000,{},,,,,{},{},,,\"app\",\"client backend\",,0",
        if statement.is_empty() { "LOG" } else { "ERROR" },
        quoted(message),
        quoted(context),
        quoted(statement)
    )
}

fn pgaudit(statement: &str) -> String {
    format!("AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,\"{}\",<none>,0", statement.replace('"', "\"\""))
}

fn json_line(message: &str, context: &str, statement: &str) -> String {
    let mut object = serde_json::json!({
        "timestamp": "2026-11-20 18:10:25.552 UTC", "session_id": "a.b", "line_num": 1, "error_severity": "ERROR",
        "message": message, "context": context, "statement": statement,
    });
    let members = object.as_object_mut().unwrap();
    members.retain(|_, value| value != "");
    if statement.is_empty() {
        members.insert("error_severity".to_owned(), "LOG".into());
    }
    object.to_string()
}

/// The statement in each form of the MySQL family.
fn mysql_bodies(statement: &str) -> [(&'static Source, String); 5] {
    let json = serde_json::json!({
        "timestamp": "2026-11-20 18:00:01", "id": 1, "class": "general", "event": "status",
        "general_data": {"query": statement, "status": 0},
    });
    let xml = statement
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
        .replace('\n', "&#10;");
    let csv = statement.replace('"', "\"\"");
    [
        (&ENTERPRISE, format!("[\n  {json},\n")),
        (
            &ENTERPRISE,
            format!(
                "<AUDIT_RECORD>\n<NAME>Query</NAME><TIMESTAMP>2026-11-20T18:06:33Z</TIMESTAMP><SQLTEXT>{}</SQLTEXT></AUDIT_RECORD>",
                xml.replace("&#10;", "\n")
            ),
        ),
        (
            &PERCONA,
            format!(
                "<AUDIT_RECORD\n NAME=\"Query\"\n TIMESTAMP=\"2026-11-20T18:06:33Z\"\n SQLTEXT=\"{xml}\"\n/>"
            ),
        ),
        (
            &PERCONA,
            format!(
                "\"Query\",\"1_x\",\"2026-11-20T18:41:41Z\",\"\",\"13\",0,\"{csv}\",\"\",\"\",\"\",\"\",\"\""
            ),
        ),
        (
            &TAURUS,
            format!(
                "\"7\",\"77\",\"0\",\"Query\",\"2026-11-20T18:00:00Z\",\"\",\"{csv}\",\"\",\"\",\"\",\"\",\"\""
            ),
        ),
    ]
}

/// Whether either mark is in the bytes.
fn has_marks(bytes: &[u8]) -> bool {
    MARKS.iter().any(|mark| bytes.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

fn event(source: &Source, secrets: Secrets, line: &str) -> Event {
    let request = Request { body: line.as_bytes().to_vec(), ..Request::default() };
    let options = Options { secrets, ..Options::default() };
    let parsed = source.parse_as(&request, &options, &mut 0).unwrap();
    let [Item::Event(event)] = &parsed[..] else { panic!("{line}: {parsed:?}") };
    *event.clone()
}

fn check(source: &Source, line: &str) -> Result<(), TestCaseError> {
    assert!(has_marks(line.as_bytes()), "{line}");
    let preserved = event(source, Secrets::Keep, line);
    prop_assert!(
        has_marks(preserved.description.unwrap_or_default().as_bytes())
            || !preserved.attributes.is_empty()
    );
    let redacted = event(source, Secrets::Redact, line);
    prop_assert_eq!(String::from_utf8_lossy(&redacted.raw), line.trim_end_matches('\n'));
    let struck = event(source, Secrets::RedactRaw, line);
    prop_assert_eq!(struck.raw.len(), redacted.raw.len());
    prop_assert!(!has_marks(&struck.raw), "{}", String::from_utf8_lossy(&struck.raw));
    for event in [redacted, struck] {
        let raw = Vec::new();
        let texts = format!("{:?}", Event { raw, ..event.clone() });
        prop_assert!(!has_marks(texts.as_bytes()), "{}", texts);
        prop_assert!(event.attributes.contains_key("redacted"));
    }
    Ok(())
}

proptest! {
    #[test]
    fn of_mariadb(
        template in prop::sample::select(&MYSQL[..]),
        gaps in prop::collection::vec(gap(), 1..5),
        lower: bool,
        secret in secret(), style: u8, is_nested: bool, at in prop::option::of(0usize..8),
    ) {
        let statement = filled(template, &gaps, lower, &mysql_literal(&secret, style));
        let statement = if is_nested { nested(&statement, true) } else { statement };
        let statement = cut(statement, at);
        check(&MARIADB, &mariadb_line(&statement))?;
        for (source, body) in mysql_bodies(&statement) {
            check(source, &body)?;
        }
    }

    #[test]
    fn of_postgresql(
        template in prop::sample::select(&POSTGRESQL[..]),
        gaps in prop::collection::vec(gap(), 1..5),
        lower: bool,
        secret in secret(),
        style: u8,
        is_nested: bool,
        at in prop::option::of(0usize..8),
        location in 0..3,
    ) {
        let statement = filled(template, &gaps, lower, &postgresql_literal(&secret, style));
        let statement = if is_nested { nested(&statement, false) } else { statement };
        let statement = cut(statement, at);
        let audit = pgaudit(&statement);
        let context = format!("SQL statement \"{statement}\"\nPL/pgSQL function f() line 1 at EXECUTE");
        let (message, context, statement) = match location {
            0 => (audit.as_str(), "", ""),
            1 => ("role \"r\" exists", "", &*statement),
            _ => ("role \"r\" exists", &*context, "SELECT f()"),
        };
        check(&CSV, &csv_line(message, context, statement))?;
        check(&JSON, &json_line(message, context, statement))?;
    }

    #[test]
    fn of_connection_strings(
        secret in "[a-zA-Z0-9!.,;_-]{0,8}", template in prop::sample::select(vec![
            "SELECT dblink_connect('host=h password=? user=u')",
            "CREATE SUBSCRIPTION s CONNECTION 'host=h user=u password=?' PUBLICATION p",
            "SELECT dblink('postgresql://u:?@h/db', 'SELECT 1')",
            "SELECT $$ dbname=x password = ? $$",
        ]),
    ) {
        let statement = template.replacen('?', &format!("{}{secret}{}", MARKS[0], MARKS[1]), 1);
        if !statement.contains("$$") {
            check(&MARIADB, &mariadb_line(&statement))?;
        }
        check(&CSV, &csv_line("x", "", &statement))?;
        check(&JSON, &json_line(&pgaudit(&statement), "", ""))?;
    }

    #[test]
    fn statements_without_secrets_stay_as_they_are(
        words in prop::collection::vec(prop::sample::select(vec![
            "SELECT", "INSERT INTO t", "'a''b'", "\"c\"", "$$", "password", ",", ";", "-- x\n", "/* y */", "1", "文",
        ]), 0..12),
    ) {
        let statement = words.join(" ").replace("password 'a''b'", "").replace("password \"c\"", "");
        let event = event(&MARIADB, Secrets::RedactRaw, &mariadb_line(&statement));
        if !event.attributes.contains_key("redacted") {
            prop_assert_eq!(event.description.unwrap_or_default(), statement);
            prop_assert_eq!(event.raw, mariadb_line(&words.join(" ").replace("password 'a''b'", "").replace("password \"c\"", "")).into_bytes());
        }
    }
}
