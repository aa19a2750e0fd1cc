//! SQLite as a good engineer would use it for this: WAL, synchronous=FULL, one writer, prepared
//! statements.

use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};

use crate::{Cell, Options, Sender, drive, events};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -262144;
    CREATE TABLE trail (id INTEGER PRIMARY KEY, service TEXT, tenant TEXT, project TEXT, instance TEXT);
    INSERT INTO trail VALUES (1, 'registry', 'acme', 'p1', 'hub');
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, source_key TEXT NOT NULL, trail INTEGER NOT NULL, occurred_ns INTEGER NOT NULL, actor TEXT,
        operation TEXT NOT NULL, resource_type TEXT, resource_name TEXT, resource_id TEXT, source_ip TEXT, user_agent TEXT,
        entry TEXT NOT NULL, raw BLOB NOT NULL);
    CREATE UNIQUE INDEX event_key ON event (source_key);
    CREATE INDEX event_operation ON event (trail, operation, occurred_ns DESC, id DESC);
    CREATE INDEX event_time ON event (trail, occurred_ns DESC);";

const INSERT: &str = "INSERT INTO event (source_key, trail, occurred_ns, actor, operation, resource_type, resource_name, resource_id,
    source_ip, user_agent, entry, raw) VALUES (?1, 1, ?2, ?3, 'pull', 'artifact', ?4, ?5, '127.0.0.1', ?6, ?7, ?8) ON CONFLICT DO NOTHING";

pub fn measure(options: &Options, cell: Cell) -> f64 {
    let folder = tempfile::tempdir_in(&options.folder).expect("the bench folder is writable");
    let connection = Connection::open(folder.path().join("events.db")).expect("a database");
    connection.execute_batch(SCHEMA).expect("the schema");
    let shared = Arc::new(Mutex::new(connection));
    let senders = (0..cell.senders)
        .map(|_| Writer { connection: Arc::clone(&shared), events: cell.events })
        .collect();
    let (events_s, sent) = drive(senders, cell, options.seconds);
    let count: i64 = shared
        .lock()
        .expect("held by nobody")
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(count as u64, sent);
    events_s
}

struct Writer {
    connection: Arc<Mutex<Connection>>,
    events: usize,
}

impl Sender for Writer {
    fn send(&mut self, first_event: u64) {
        // Values are built before the lock is taken.
        let rows: Vec<_> = (first_event..first_event + self.events as u64)
            .map(|number| {
                (
                    events::key(number),
                    events::occurred_ns(number),
                    events::actor(number),
                    events::repository(number),
                    events::digest(number),
                    events::entry(number),
                    events::raw(number),
                )
            })
            .collect();
        let mut connection = self.connection.lock().expect("no panic while held");
        let transaction = connection.transaction().expect("a transaction");
        {
            let mut insert = transaction.prepare_cached(INSERT).expect("a statement");
            for (key, occurred_ns, actor, repository, digest, entry, raw) in &rows {
                insert
                    .execute(params![
                        key,
                        occurred_ns,
                        actor,
                        repository,
                        digest,
                        "docker/24.0.7 go/go1.20.10 kernel/6.1.0 os/linux arch/amd64",
                        entry,
                        raw.as_bytes()
                    ])
                    .expect("inserted");
            }
        }
        transaction.commit().expect("committed");
    }
}
