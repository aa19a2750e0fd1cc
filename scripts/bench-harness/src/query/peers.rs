//! The databases: the same events, with the indexes that a good engineer gives them for these
//! questions.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use event::Event;
use event::entry::Template;
use postgres::types::ToSql;
use postgres::{Client, Statement};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params, params_from_iter};

use super::engines::{Dialect, Engine, Shape, Sql, Value, per_hour, sql, top};
use super::questions::{Answer, Ask};
use crate::made::Events;
use crate::postgresql::Server;

/// One event as both store it. A trail is a number: its index among all.
struct Row {
    idx: i64,
    time: i64,
    columns: Columns,
    /// The canonical entry.
    entry: String,
}

/// The parts of an event that have columns of their own.
pub struct Columns {
    pub trail: i32,
    pub actor: String,
    pub operation: &'static str,
    pub action: String,
    pub severity: i16,
    pub resource: String,
    pub description: String,
}

impl Columns {
    /// The columns of an event of the trail with this index.
    pub fn of(event: Event, trail: usize) -> Columns {
        Columns {
            trail: trail as i32,
            actor: event.actor.name.unwrap_or_default(),
            operation: event.operation.as_str(),
            action: event.action,
            severity: i16::from(event.severity.level()),
            resource: event.resource.name.unwrap_or_default(),
            description: event.description.unwrap_or_default(),
        }
    }
}

fn rows(events: &Events) -> impl Iterator<Item = Row> {
    let mut numbers = vec![0; events.trails.len()];
    let indexes: HashMap<_, _> = events.trails.iter().cloned().zip(0..).collect();
    (0..events.count).map(move |number| {
        let event = events.event(number);
        let trail = indexes[&event.trail];
        numbers[trail] += 1;
        let mut entry = Vec::with_capacity(1024);
        Template::new(&event).fill(numbers[trail], events.received_at(number), &mut entry);
        Row {
            idx: number as i64,
            time: event.occurred_at.unix_ns(),
            columns: Columns::of(event, trail),
            entry: String::from_utf8(entry).expect("JSON is text"),
        }
    })
}

const COLUMNS: &str =
    "idx, trail, time, actor, operation, action, severity, resource, description, entry";

/// The last is for Q9 alone.
pub const INDEXES: &str = "
    CREATE INDEX event_trail ON event (trail, time, idx);
    CREATE INDEX event_operation ON event (trail, operation, time, idx);
    CREATE INDEX event_actor ON event (actor, time, idx);
    CREATE INDEX event_time ON event (time, idx);
    CREATE INDEX event_action ON event (trail, action);";

pub struct Sqlite(Connection);

const SQLITE: Dialect = Dialect {
    number: |at| format!("?{at}"),
    text: |at| format!("?{at}"),
    word_from: "event_text JOIN event e ON e.idx = event_text.rowid",
    word_is: |at| format!("event_text MATCH ?{at}"),
    word: |word| format!("description : \"{word}\""),
};

impl Sqlite {
    /// Opens the database of an earlier run, or loads one. Also returns its bytes on disk.
    pub fn open(folder: &Path, events: &Events) -> (Sqlite, u64) {
        let database = folder.join("sqlite.db");
        if !database.exists() {
            let unfinished = folder.join("sqlite.db.unfinished");
            let _ = std::fs::remove_file(&unfinished);
            Sqlite::load(&unfinished, events);
            std::fs::rename(&unfinished, &database).expect("the folder is writable");
        }
        let connection = Connection::open(&database).expect("a database");
        connection
            .execute_batch("PRAGMA cache_size = -262144; PRAGMA mmap_size = 4294967296;")
            .expect("settings");
        connection.set_prepared_statement_cache_capacity(64);
        (Sqlite(connection), std::fs::metadata(&database).expect("there").len())
    }

    fn load(database: &Path, events: &Events) {
        let mut connection = Connection::open(database).expect("a database");
        let run = |connection: &Connection, text: &str| {
            connection.execute_batch(text).unwrap_or_else(|error| panic!("{text}: {error}"))
        };
        run(&connection, "
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576;
            CREATE TABLE event (idx INTEGER PRIMARY KEY, trail INTEGER NOT NULL, time INTEGER NOT NULL, actor TEXT NOT NULL,
                operation TEXT NOT NULL, action TEXT NOT NULL, severity INTEGER NOT NULL, resource TEXT NOT NULL,
                description TEXT NOT NULL, entry TEXT NOT NULL);");
        let transaction = connection.transaction().expect("a transaction");
        {
            let text = format!(
                "INSERT INTO event ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            );
            let mut insert = transaction.prepare(&text).expect("a statement");
            for row in rows(events) {
                let Row { idx, time, columns, entry } = row;
                let Columns { trail, actor, operation, action, severity, resource, description } =
                    columns;
                insert
                    .execute(params![
                        idx,
                        trail,
                        time,
                        actor,
                        operation,
                        action,
                        severity,
                        resource,
                        description,
                        entry
                    ])
                    .expect("inserted");
            }
        }
        transaction.commit().expect("committed");
        run(&connection, INDEXES);
        run(&connection, "
            CREATE VIRTUAL TABLE event_text USING fts5 (description, resource, content = 'event', content_rowid = 'idx');
            INSERT INTO event_text (event_text) VALUES ('rebuild');
            INSERT INTO event_text (event_text) VALUES ('optimize');
            ANALYZE;
            PRAGMA journal_mode = WAL;");
    }

    fn rows<T>(
        &self,
        text: &str,
        values: &[Value],
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut statement = self.0.prepare_cached(text).expect("a statement");
        let rows = statement.query_map(params_from_iter(values), read).expect("a result");
        rows.collect::<Result<_, _>>().expect("answered")
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Number(number) => ToSqlOutput::from(*number),
            Value::Text(text) => ToSqlOutput::from(text.as_str()),
        })
    }
}

impl Engine for Sqlite {
    type Prepared = Sql;

    fn prepare(&mut self, ask: &Ask) -> Sql {
        let sql = sql(ask, &SQLITE);
        for text in sql.count.iter().chain([&sql.text]) {
            self.0.prepare_cached(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        sql
    }

    fn answer(&mut self, sql: &Sql) -> Answer {
        match sql.shape {
            Shape::Page => {
                let conditions = &sql.values[..sql.values.len() - 2];
                let count =
                    self.rows(sql.count.as_deref().expect("a page has one"), conditions, |row| {
                        row.get::<_, i64>(0)
                    });
                let rows = self.rows(&sql.text, &sql.values, |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
                });
                Answer {
                    total: count[0] as u64,
                    rows: rows.iter().map(|row| row.0 as u64).collect(),
                    ..Answer::default()
                }
            }
            Shape::PerHour(hours) => per_hour(
                hours,
                self.rows(&sql.text, &sql.values, |row| Ok((row.get(0)?, row.get(1)?))).into_iter(),
            ),
            Shape::Top => top(self
                .rows(&sql.text, &sql.values, |row| Ok((row.get(0)?, row.get(1)?)))
                .into_iter()),
        }
    }
}

pub struct Postgresql {
    client: Client,
    statements: HashMap<String, Statement>,
    _server: Server,
}

const POSTGRESQL: Dialect = Dialect {
    number: |at| format!("${at}::bigint"),
    text: |at| format!("${at}::text"),
    word_from: "event e",
    word_is: |at| {
        format!(
            "to_tsvector('simple', e.description || ' ' || e.resource) @@ plainto_tsquery('simple', ${at}::text)"
        )
    },
    word: str::to_owned,
};

/// Memory for a machine of this size, a disk without seeks, and no compiling of short queries.
const SETTINGS: &str = "-c shared_buffers=1GB -c effective_cache_size=4GB -c work_mem=64MB -c maintenance_work_mem=1GB \
                        -c max_wal_size=4GB -c random_page_cost=1.1 -c jit=off";

impl Postgresql {
    /// Opens the database of an earlier run, or loads one. Also returns its bytes on disk.
    pub fn open(folder: &Path, events: &Events) -> (Postgresql, u64) {
        let directory = folder.join("postgresql");
        let loaded = folder.join("postgresql.loaded");
        if !loaded.exists() && directory.exists() {
            std::fs::remove_dir_all(&directory).expect("the folder is writable");
        }
        let server = Server::start_at(&directory, SETTINGS);
        let mut client = server.connect();
        if !loaded.exists() {
            load(&mut client, events);
            std::fs::write(&loaded, "").expect("the folder is writable");
        }
        let bytes: i64 =
            client.query_one("SELECT pg_total_relation_size('event')", &[]).expect("a size").get(0);
        (Postgresql { client, statements: HashMap::new(), _server: server }, bytes as u64)
    }

    fn statement(&mut self, text: &str) -> Statement {
        if let Some(statement) = self.statements.get(text) {
            return statement.clone();
        }
        let statement =
            self.client.prepare(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        self.statements.insert(text.to_owned(), statement.clone());
        statement
    }
}

fn load(client: &mut Client, events: &Events) {
    client
        .batch_execute(
            "CREATE TABLE event (idx bigint NOT NULL, trail int NOT NULL, time bigint NOT NULL, actor text NOT NULL,
                operation text NOT NULL, action text NOT NULL, severity smallint NOT NULL, resource text NOT NULL,
                description text NOT NULL, entry text NOT NULL)",
        )
        .expect("a table");
    let mut copy = client.copy_in(&format!("COPY event ({COLUMNS}) FROM STDIN")).expect("a copy");
    for row in rows(events) {
        let Row { idx, time, columns, entry } = row;
        let Columns { trail, actor, operation, action, severity, resource, description } = columns;
        // Backslashes of JSON are the only characters to escape.
        let entry = entry.replace('\\', "\\\\");
        writeln!(copy, "{idx}\t{trail}\t{time}\t{actor}\t{operation}\t{action}\t{severity}\t{resource}\t{description}\t{entry}").expect("copied");
    }
    copy.finish().expect("copied");
    client.batch_execute("ALTER TABLE event ADD PRIMARY KEY (idx)").expect("a key");
    client.batch_execute(INDEXES).expect("indexes");
    client.batch_execute("CREATE INDEX event_text ON event USING gin (to_tsvector('simple', description || ' ' || resource))").expect("an index");
    client.batch_execute("VACUUM (ANALYZE, FREEZE) event").expect("vacuumed");
    client.batch_execute("CHECKPOINT").expect("written");
}

pub struct PreparedQuery {
    count: Option<Statement>,
    statement: Statement,
    sql: Sql,
}

impl Engine for Postgresql {
    type Prepared = PreparedQuery;

    fn prepare(&mut self, ask: &Ask) -> PreparedQuery {
        let sql = sql(ask, &POSTGRESQL);
        let count = sql.count.as_deref().map(|text| self.statement(text));
        PreparedQuery { count, statement: self.statement(&sql.text), sql }
    }

    fn answer(&mut self, query: &PreparedQuery) -> Answer {
        let values: Vec<&(dyn ToSql + Sync)> = query
            .sql
            .values
            .iter()
            .map(|value| match value {
                Value::Number(number) => number as &(dyn ToSql + Sync),
                Value::Text(text) => text,
            })
            .collect();
        let total = query.count.as_ref().map_or(0, |count| {
            let row = self.client.query_one(count, &values[..values.len() - 2]).expect("answered");
            row.get::<_, i64>(0) as u64
        });
        let rows = self.client.query(&query.statement, &values).expect("answered");
        match query.sql.shape {
            Shape::Page => {
                let rows: Vec<(i64, i64, String)> =
                    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
                Answer {
                    total,
                    rows: rows.iter().map(|row| row.0 as u64).collect(),
                    ..Answer::default()
                }
            }
            Shape::PerHour(hours) => {
                per_hour(hours, rows.iter().map(|row| (row.get(0), row.get(1))))
            }
            Shape::Top => top(rows.iter().map(|row| (row.get(0), row.get(1)))),
        }
    }
}
