//! SQLite as one would use it for this: a write-ahead log synced at every commit, one writer that all senders share,
//! one transaction for a request, a prepared statement.

use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};

use crate::Result;
use crate::drive::{Cell, Sender, drive};
use crate::events::{self, Columns, SOURCE_IP, USER_AGENT};
use crate::options::Options;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -262144;
    CREATE TABLE trail (id INTEGER PRIMARY KEY, service TEXT, tenant TEXT, project TEXT, instance TEXT);
    INSERT INTO trail VALUES (1, 'registry', 'acme', 'p1', 'hub');
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, source INTEGER NOT NULL, source_key TEXT NOT NULL, trail INTEGER NOT NULL,
        occurred_ns INTEGER NOT NULL, actor TEXT, operation TEXT NOT NULL, resource_type TEXT, resource_name TEXT,
        resource_id TEXT, source_ip TEXT, user_agent TEXT, entry TEXT NOT NULL, raw BLOB NOT NULL);
    CREATE UNIQUE INDEX event_key ON event (source, source_key);
    CREATE INDEX event_operation ON event (trail, operation, occurred_ns DESC, id DESC);
    CREATE INDEX event_time ON event (trail, occurred_ns DESC);";

const INSERT: &str = "
    INSERT INTO event (source, source_key, trail, occurred_ns, actor, operation, resource_type, resource_name,
        resource_id, source_ip, user_agent, entry, raw)
    VALUES (1, ?1, 1, ?2, ?3, ?4, 'artifact', ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";

/// Events a second.
pub fn measure(options: &Options, cell: Cell) -> Result<f64> {
    let folder = tempfile::tempdir_in(&options.folder)?;
    let connection = Connection::open(folder.path().join("events.db"))?;
    connection.execute_batch(SCHEMA)?;
    let shared = Arc::new(Mutex::new(connection));
    let senders = (0..cell.senders).map(|_| Writer::new(&shared, cell.events)).collect();
    let driven = drive(senders, cell, options)?;
    let connection = shared.lock().map_err(|_| "a sender panicked")?;
    let rows: u64 = connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
    if rows != driven.events {
        return Err(format!("SQLite: {} events were committed, and {rows} are there", driven.events).into());
    }
    Ok(driven.events_s)
}

struct Writer {
    connection: Arc<Mutex<Connection>>,
    requests: Vec<Vec<Columns>>,
    turn: usize,
}

impl Writer {
    fn new(connection: &Arc<Mutex<Connection>>, events: usize) -> Writer {
        let columns = |kinds: Vec<_>| kinds.into_iter().map(Columns::new).collect();
        let requests = events::pages(events).into_iter().map(columns).collect();
        Writer { connection: Arc::clone(connection), requests, turn: 0 }
    }
}

impl Sender for Writer {
    fn send(&mut self, first: u64) -> Result<()> {
        self.turn = (self.turn + 1) % self.requests.len();
        let rows = &mut self.requests[self.turn];
        for (number, row) in (first..).zip(rows.iter_mut()) {
            row.set(number);
        }
        let mut connection = self.connection.lock().map_err(|_| "a sender panicked")?;
        let transaction = connection.transaction()?;
        insert(&transaction, rows)?;
        Ok(transaction.commit()?)
    }
}

fn insert(transaction: &Connection, rows: &[Columns]) -> Result<()> {
    let mut insert = transaction.prepare_cached(INSERT)?;
    for Columns { kind, key, occurred_ns, entry, raw } in rows {
        insert.execute(params![
            key.text(),
            occurred_ns,
            kind.actor,
            kind.operation,
            kind.repository,
            kind.digest,
            SOURCE_IP,
            USER_AGENT,
            entry.text(),
            raw.bytes(),
        ])?;
    }
    Ok(())
}
