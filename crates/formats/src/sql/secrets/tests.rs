use super::*;
use crate::sql::Dialect::{MariaDb, MySql, PostgreSql};
use crate::sql::redact::strike;

fn redacted(text: &str, kind: Text, dialect: Dialect) -> String {
    let mut text = text.to_owned();
    let spans = find(&text, kind, dialect).spans;
    strike(&mut text, spans);
    text
}

#[test]
fn secrets_of_mysql_are_struck_out() {
    for (statement, expected) in [
        ("CREATE USER u IDENTIFIED BY 'S3C'", "CREATE USER u IDENTIFIED BY '*****'"),
        (
            "create user u identified by \"S3C\", v identified by 'S3D'",
            "create user u identified by \"*****\", v identified by '*****'",
        ),
        (
            "GRANT ALL ON *.* TO u IDENTIFIED BY PASSWORD '*S3C'",
            "GRANT ALL ON *.* TO u IDENTIFIED BY PASSWORD '*****'",
        ),
        (
            "ALTER USER u IDENTIFIED WITH 'mysql_native_password' AS 'S3C'",
            "ALTER USER u IDENTIFIED WITH 'mysql_native_password' AS '*****'",
        ),
        (
            "ALTER USER u IDENTIFIED WITH x AS 0x533343, v IDENTIFIED BY RANDOM PASSWORD",
            "ALTER USER u IDENTIFIED WITH x AS *****, v IDENTIFIED BY RANDOM PASSWORD",
        ),
        (
            "ALTER USER u IDENTIFIED VIA ed25519 USING PASSWORD('S3C') OR unix_socket OR p USING 'S3D'",
            "ALTER USER u IDENTIFIED VIA ed25519 USING PASSWORD('*****') OR unix_socket OR p USING '*****'",
        ),
        (
            "ALTER USER u IDENTIFIED BY 'S3C' REPLACE 'S3D' RETAIN CURRENT PASSWORD",
            "ALTER USER u IDENTIFIED BY '*****' REPLACE '*****' RETAIN CURRENT PASSWORD",
        ),
        ("ALTER USER u IDENTIFIED BY S3C!x", "ALTER USER u IDENTIFIED BY *****"),
        (
            "/*!50000 ALTER */ USER u /* ' */ IDENTIFIED/**/BY -- '\n 'S3C'",
            "/*!50000 ALTER */ USER u /* ' */ IDENTIFIED/**/BY -- '\n '*****'",
        ),
        ("SET PASSWORD = 'S3C'", "SET PASSWORD = '*****'"),
        (
            "SET PASSWORD FOR 'u'@'h' = PASSWORD('S3C')",
            "SET PASSWORD FOR 'u'@'h' = PASSWORD('*****')",
        ),
        (
            "SET PASSWORD FOR u = 'S3C' REPLACE 'S3D'",
            "SET PASSWORD FOR u = '*****' REPLACE '*****'",
        ),
        ("SET PASSWORD = S3C", "SET PASSWORD = *****"),
        (
            "UPDATE mysql.user SET authentication_string=PASSWORD('S3C') WHERE User='u'",
            "UPDATE mysql.user SET authentication_string=PASSWORD('*****') WHERE User='u'",
        ),
        (
            "UPDATE u SET `password` = sha2(concat('S3C', salt, 'S3D'), 256), a='b'",
            "UPDATE u SET `password` = sha2(concat('*****', salt, '*****'), 256), a='b'",
        ),
        (
            "CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='S3C', MASTER_PORT=1",
            "CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='*****', MASTER_PORT=1",
        ),
        ("START REPLICA USER='u' PASSWORD='S3C'", "START REPLICA USER='u' PASSWORD='*****'"),
        (
            "CREATE SERVER s OPTIONS (USER 'u', PASSWORD 'S3C', HOST 'h')",
            "CREATE SERVER s OPTIONS (USER 'u', PASSWORD '*****', HOST 'h')",
        ),
        (
            "CREATE TABLE t (a INT) CONNECTION='mysql://u:S3C@h:3306/db/t'",
            "CREATE TABLE t (a INT) CONNECTION='mysql://u:*****@h:3306/db/t'",
        ),
        (
            "SET GLOBAL s3_access_key='S3C', @@global.s3_secret_key = 'S3D'",
            "SET GLOBAL s3_access_key='*****', @@global.s3_secret_key = '*****'",
        ),
        ("SET GLOBAL wsrep_sst_auth='u:S3C'", "SET GLOBAL wsrep_sst_auth='*****'"),
        (
            r"PREPARE s FROM 'ALTER USER u IDENTIFIED BY \'S3C\''",
            r"PREPARE s FROM 'ALTER USER u IDENTIFIED BY \'*****\''",
        ),
        (
            "SET @q = 'ALTER USER u IDENTIFIED BY ''S3C'''",
            "SET @q = 'ALTER USER u IDENTIFIED BY ''*****'''",
        ),
        (
            "INSERT INTO t VALUES ('{\"password\": \"S3C\", \"a\": 1}')",
            "INSERT INTO t VALUES ('{\"password\": \"*****\", \"a\": 1}')",
        ),
        (
            "INSERT INTO t VALUES ('{\\\"a\\\": 1, \\\"api_key\\\":\\\"S3C\\\"}')",
            "INSERT INTO t VALUES ('{\\\"a\\\": 1, \\\"api_key\\\":\\\"*****\\\"}')",
        ),
        ("CREATE USER u IDENTIFIED BY 'S3C cut off", "CREATE USER u IDENTIFIED BY '*****"),
        (r"CREATE USER u IDENTIFIED BY 'S3\'C cut off", "CREATE USER u IDENTIFIED BY '*****"),
        (
            r"CREATE USER u IDENTIFIED BY 'a\', v IDENTIFIED BY 'S3C'",
            r"CREATE USER u IDENTIFIED BY '*****'*****'",
        ),
        ("CREATE USER u IDENTIFIED BY 'S3C' 'S3D'", "CREATE USER u IDENTIFIED BY '*****' '*****'"),
        ("-- password = 'S3C'\nSELECT 1", "-- password = '*****'\nSELECT 1"),
        (
            "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY 'S3C'",
            "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY '*****'",
        ),
        (
            "SELECT * FROM u WHERE password=12345 AND a=1",
            "SELECT * FROM u WHERE password=***** AND a=1",
        ),
    ] {
        assert_eq!(redacted(statement, Text::Statement, MySql), expected);
        assert_eq!(redacted(statement, Text::Statement, MariaDb), expected);
    }
}

#[test]
fn secrets_of_postgresql_are_struck_out() {
    for (statement, expected) in [
        (
            "CREATE ROLE r LOGIN PASSWORD 'S3C' VALID UNTIL '2027-01-01'",
            "CREATE ROLE r LOGIN PASSWORD '*****' VALID UNTIL '2027-01-01'",
        ),
        (
            "alter user r with encrypted password 'S3''C'",
            "alter user r with encrypted password '*****'",
        ),
        (r"ALTER ROLE r PASSWORD E'S3\'C'", "ALTER ROLE r PASSWORD E'*****'"),
        (
            r"ALTER ROLE r PASSWORD 'S3C\' VALID UNTIL 'x'",
            "ALTER ROLE r PASSWORD '*****' VALID UNTIL 'x'",
        ),
        ("ALTER ROLE r PASSWORD U&'S3C'", "ALTER ROLE r PASSWORD U&'*****'"),
        ("ALTER ROLE r PASSWORD $$S3C$$", "ALTER ROLE r PASSWORD $$*****$$"),
        ("ALTER ROLE r PASSWORD $x$S3$$C$x$ LOGIN", "ALTER ROLE r PASSWORD $x$*****$x$ LOGIN"),
        ("ALTER ROLE r PASSWORD \"S3C\"", "ALTER ROLE r PASSWORD \"*****\""),
        ("ALTER ROLE r PASSWORD S3C", "ALTER ROLE r PASSWORD *****"),
        ("ALTER ROLE r PASSWORD 'S3C'\n  'S3D'", "ALTER ROLE r PASSWORD '*****'\n  '*****'"),
        (
            "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'a', password 'S3C')",
            "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'a', password '*****')",
        ),
        (
            "ALTER SERVER s OPTIONS (SET password 'S3C', ADD \"secret_key\" 'S3D')",
            "ALTER SERVER s OPTIONS (SET password '*****', ADD \"secret_key\" 'S3D')",
        ),
        (
            "SELECT dblink_connect('host=h password=S3C user=u')",
            "SELECT dblink_connect('host=h password=***** user=u')",
        ),
        (
            "SELECT dblink('host=h password = ''S3 C'' user=u', 'SELECT 1')",
            "SELECT dblink('host=h password = ''*****'' user=u', 'SELECT 1')",
        ),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'postgresql://u:S3C@h/db' PUBLICATION p",
            "CREATE SUBSCRIPTION s CONNECTION 'postgresql://u:*****@h/db' PUBLICATION p",
        ),
        (
            "COPY t FROM 's3://b' CREDENTIALS 'aws_access_key_id=A;aws_secret_access_key=S3C'",
            "COPY t FROM 's3://b' CREDENTIALS '*****'",
        ),
        (
            "COPY t FROM 's3://b?region=r&secret_access_key=S3C'",
            "COPY t FROM 's3://b?region=r&secret_access_key=*****'",
        ),
        (
            "DO $$ BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''S3C'''; END $$",
            "DO $$ BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''*****'''; END $$",
        ),
        (
            "DO 'BEGIN EXECUTE ''ALTER ROLE r PASSWORD ''''S3C''''''; END'",
            "DO 'BEGIN EXECUTE ''ALTER ROLE r PASSWORD ''''*****''''''; END'",
        ),
        (
            "UPDATE u SET password = crypt('S3C', gen_salt('S3D')) WHERE id = 7",
            "UPDATE u SET password = crypt('*****', gen_salt('*****')) WHERE id = 7",
        ),
        (
            "SELECT f(password => 'S3C', secret := 'S3D')",
            "SELECT f(password => '*****', secret := '*****')",
        ),
        (
            "ALTER SYSTEM SET primary_conninfo = 'user=u password=S3C'",
            "ALTER SYSTEM SET primary_conninfo = 'user=u password=*****'",
        ),
        ("ALTER ROLE r PASSWORD $$S3C cut off", "ALTER ROLE r PASSWORD $$*****"),
    ] {
        let expected = expected.replace("'S3D'", "'*****'");
        assert_eq!(redacted(statement, Text::Statement, PostgreSql), expected);
    }
}

#[test]
fn what_is_no_secret_stays() {
    for (statement, dialect) in [
        ("SELECT password, name FROM users WHERE id = 7", MySql),
        ("SELECT 'password', 'name' FROM t WHERE a = 'b'", MySql),
        ("ALTER USER u PASSWORD EXPIRE INTERVAL 90 DAY PASSWORD HISTORY 5 COMMENT 'x'", MySql),
        ("ALTER USER u DISCARD OLD PASSWORD COMMENT 'x'", MySql),
        (
            "CREATE TABLE t (password VARCHAR(64) DEFAULT 'x' COMMENT 'hash', INDEX password (name))",
            MySql,
        ),
        ("SET GLOBAL validate_password.policy = 'LOW', validate_password_length = 8", MySql),
        ("SELECT * FROM a JOIN b ON a.password = b.password WHERE a.x = 'y'", MySql),
        ("UPDATE u SET password = ? WHERE name = 'x'", MySql),
        ("SET PASSWORD FOR u = PASSWORD(*****)", MariaDb),
        ("CREATE USER u IDENTIFIED BY *****", MariaDb),
        ("CREATE USER u IDENTIFIED BY <secret>", MySql),
        ("CREATE USER u IDENTIFIED WITH caching_sha2_password BY RANDOM PASSWORD", MySql),
        ("CREATE USER u IDENTIFIED BY ''", MySql),
        ("SELECT REPLACE('a', 'b', 'c') AS 'd'", MySql),
        ("SELECT '/* password */', 'x'", MySql),
        ("SELECT '\\' IDENTIFIED BY '; DROP TABLE t; -- '", MySql),
        ("/* password = */ DROP TABLE t /* 'x' */", MySql),
        ("CREATE ROLE app LOGIN PASSWORD <REDACTED>", PostgreSql),
        ("ALTER ROLE r PASSWORD NULL", PostgreSql),
        ("UPDATE u SET password = $1 WHERE name = 'x'", PostgreSql),
        ("SELECT password FOR UPDATE; SELECT a = 'x'", PostgreSql),
        ("INSERT INTO t(password) VALUES ('x')", PostgreSql),
        ("SELECT 'http://h:80/a@b'", PostgreSql),
    ] {
        assert_eq!(redacted(statement, Text::Statement, dialect), statement);
    }
}

#[test]
fn secrets_in_messages_are_struck_out() {
    for (text, expected) in [
        (
            "SQL statement \"ALTER ROLE \"r\" PASSWORD 'S3\"C'\"",
            "SQL statement \"ALTER ROLE \"r\" PASSWORD '*****'\"",
        ),
        ("l'objet n'existe pas: PASSWORD 'S3C'", "l'objet n'existe pas: PASSWORD '*****'"),
        ("--user=u --password=S3C --port=1", "--user=u --password=***** --port=1"),
        ("{\"password\":\"S3\\\"C\",\"a\":\"b\"}", "{\"password\":\"*****\",\"a\":\"b\"}"),
        ("`password`='S3C'", "`password`='*****'"),
        (
            "could not connect to postgres://u:S3C@h/db",
            "could not connect to postgres://u:*****@h/db",
        ),
        ("password=!S3C, x", "password=***** x"),
        (
            "password authentication failed for user \"app\"",
            "password authentication failed for user \"app\"",
        ),
        (r"PASSWORD 'S3\''C' x 'y'", "PASSWORD '*****' x 'y'"),
        ("PASSWORD ''S3''''C'' x", "PASSWORD ''*****'' x"),
        (r"PASSWORD E''S3\''C'' x", "PASSWORD E''*****'' x"),
        ("PASSWORD $$S3C$$ x", "PASSWORD $$*****$$ x"),
        ("method=password (/etc/pg_hba.conf:87)", "method=password (/etc/pg_hba.conf:87)"),
        ("PASSWORD /* 'a' */ 'S3C'", "PASSWORD /* 'a' */ '*****'"),
    ] {
        assert_eq!(redacted(text, Text::Prose, PostgreSql), expected);
    }
}

#[test]
fn finding_takes_linear_time() {
    let pieces = [
        "password ",
        "password '",
        "password \"",
        "password $",
        "password $a$",
        "password /*",
        "password --",
        "password = ",
        "password \\'",
        "''",
        "'\\",
        "identified by '",
        "://a:",
        "$$",
        "/*",
        "`",
        "password(",
        "\\\\\\'",
        "\"password\":",
    ];
    for (first, piece) in pieces.iter().enumerate() {
        for other in &pieces[first..] {
            let text = format!("{piece}{other}").repeat(100_000 / (piece.len() + other.len()));
            for dialect in [MySql, PostgreSql] {
                // Quadratic time would be minutes altogether.
                find(&text, Text::Statement, dialect);
                find(&text, Text::Prose, dialect);
            }
        }
    }
}

#[test]
fn spans_of_strings_are_where_they_stood() {
    let text = r"SELECT 'a\'\\ password=\'S3C\'', 'b'";
    let spans = find(text, Text::Statement, MySql).spans;
    assert_eq!(spans.len(), 1);
    assert_eq!(&text[spans[0].clone()], "S3C");
}

#[test]
fn every_name_of_a_secret_is_looked_for() {
    for name in [
        "PASSWORD",
        "passwd",
        "ssl_passphrase",
        "x_pwd",
        "PWD",
        "pass",
        "authentication_string",
        "wsrep_sst_auth",
        "secret",
        "client_secret",
        "secret_key",
        "secretKey",
        "access_key",
        "accessKey",
        "private_key",
        "api_key",
        "apiKey",
        "encryption_key",
        "session_token",
        "token",
        "credentials",
        "ssl_passphrase_command",
    ] {
        assert!(secret_kind(name).is_some(), "{name}");
        assert!(may_hold_secrets(&format!("x {name} y")), "{name}");
        assert_eq!(
            redacted(&format!("{name}='S3C'"), Text::Prose, MySql),
            format!("{name}='*****'")
        );
    }
    for name in ["key", "primary_key", "passwords", "tokens", "access_key_id", "password_lifetime"]
    {
        assert_eq!(secret_kind(name), None, "{name}");
    }
    for text in ["", "SELECT 1", "p", "pas", "http:/", "ключ"] {
        assert!(!may_hold_secrets(text), "{text}");
    }
}
