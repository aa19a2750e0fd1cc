//! PostgreSQL as a good engineer would use it for this: its own durable settings, one statement for
//! a request's events.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use postgres::{Client, NoTls, Statement};

use crate::live::{self, Live};
use crate::query::{Columns, INDEXES};
use crate::{Cell, Options, Sender, drive, events, fail};

const BIN: &str = "/usr/lib/postgresql/15/bin";

const SCHEMA: &str = "
    CREATE TABLE trail (id int PRIMARY KEY, service text, tenant text, project text, instance text);
    INSERT INTO trail VALUES (1, 'registry', 'acme', 'p1', 'hub');
    CREATE TABLE event (
        id bigserial PRIMARY KEY, source_key text NOT NULL UNIQUE, trail int NOT NULL, occurred_ns bigint NOT NULL, actor text,
        operation text NOT NULL, resource_type text, resource_name text, resource_id text, source_ip text, user_agent text,
        entry text NOT NULL, raw bytea NOT NULL);
    CREATE INDEX event_operation ON event (trail, operation, occurred_ns DESC, id DESC);
    CREATE INDEX event_time ON event (trail, occurred_ns DESC);";

const INSERT: &str = "INSERT INTO event (source_key, trail, occurred_ns, actor, operation, resource_type, resource_name, resource_id,
    source_ip, user_agent, entry, raw)
    SELECT key, 1, occurred_ns, actor, 'pull', 'artifact', name, digest, '127.0.0.1', 'docker/24.0.7 go/go1.20.10 kernel/6.1.0 os/linux arch/amd64', entry, raw
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[]) AS new (key, occurred_ns, actor, name, digest, entry, raw)
    ON CONFLICT DO NOTHING";

pub fn measure(options: &Options, cell: Cell) -> f64 {
    let server = Server::start(&options.folder);
    server.connect().batch_execute(SCHEMA).expect("the schema");
    let senders = (0..cell.senders).map(|_| Writer::new(server.connect(), cell.events)).collect();
    let (events_s, sent) = drive(senders, cell, options.seconds);
    let count: i64 =
        server.connect().query_one("SELECT count(*) FROM event", &[]).expect("a count").get(0);
    assert_eq!(count as u64, sent);
    events_s
}

const LIVE_SCHEMA: &str = "
    CREATE TABLE event (
        idx bigserial PRIMARY KEY, source_key text NOT NULL UNIQUE, trail int NOT NULL, time bigint NOT NULL, actor text NOT NULL,
        operation text NOT NULL, action text NOT NULL, severity smallint NOT NULL, resource text NOT NULL, description text NOT NULL,
        entry text NOT NULL, raw bytea NOT NULL);";
const LIVE_WORDS: &str = "CREATE INDEX event_text ON event USING gin (to_tsvector('simple', description || ' ' || resource))";

const LIVE_INSERT: &str = "INSERT INTO event (source_key, trail, time, actor, operation, action, severity, resource, description, entry, raw)
    SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::text[], $9::text[],
    $10::text[], $11::bytea[]) ON CONFLICT DO NOTHING";

/// Made-up events, with the indexes of the questions about them, and one of words.
pub fn measure_live(options: &Options, cell: Cell, live: &Arc<Live>, has_words: bool) -> f64 {
    let server = Server::start(&options.folder);
    let schema = [LIVE_SCHEMA, INDEXES, if has_words { LIVE_WORDS } else { "" }].concat();
    server.connect().batch_execute(&schema).expect("the schema");
    let writer = |_| {
        let mut client = server.connect();
        let insert = client.prepare(LIVE_INSERT).expect("a statement");
        LiveWriter { client, insert, events: cell.events, live: Arc::clone(live) }
    };
    let (events_s, sent) = drive((0..cell.senders).map(writer).collect(), cell, options.seconds);
    let count: i64 =
        server.connect().query_one("SELECT count(*) FROM event", &[]).expect("a count").get(0);
    assert_eq!(count as u64, sent);
    events_s
}

struct LiveWriter {
    client: Client,
    insert: Statement,
    events: usize,
    live: Arc<Live>,
}

impl Sender for LiveWriter {
    fn send(&mut self, first_event: u64) {
        let body = self.live.body(first_event, self.events);
        let lines = body.lines(first_event);
        let rows = &body.rows;
        let numbers = first_event..first_event + rows.len() as u64;
        let keys: Vec<String> = numbers.clone().map(live::key).collect();
        let times: Vec<i64> = numbers.clone().map(events::occurred_ns).collect();
        let entries: Vec<String> =
            rows.iter().zip(numbers).map(|(row, number)| row.entry(number)).collect();
        let raws: Vec<&[u8]> =
            (0..rows.len()).map(|position| body.line(position, &lines)).collect();
        let trails: Vec<i32> = rows.iter().map(|row| row.columns.trail).collect();
        let severities: Vec<i16> = rows.iter().map(|row| row.columns.severity).collect();
        let texts = |of: fn(&Columns) -> &str| -> Vec<&str> {
            rows.iter().map(|row| of(&row.columns)).collect()
        };
        let (actors, operations, actions) =
            (texts(|row| &row.actor), texts(|row| row.operation), texts(|row| &row.action));
        let (resources, descriptions) = (texts(|row| &row.resource), texts(|row| &row.description));
        self.client
            .execute(
                &self.insert,
                &[
                    &keys,
                    &trails,
                    &times,
                    &actors,
                    &operations,
                    &actions,
                    &severities,
                    &resources,
                    &descriptions,
                    &entries,
                    &raws,
                ],
            )
            .expect("inserted");
    }
}

/// A server of its own, reached through a socket. It refuses to run as root, so root runs it as
/// `postgres`.
pub struct Server {
    /// The folder of its data.
    directory: PathBuf,
    /// The folder of its socket. A socket's path has 107 bytes at most.
    socket: tempfile::TempDir,
    /// Data that vanishes with the server.
    _vanishes: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts one on new data that vanishes with it.
    fn start(parent: &Path) -> Server {
        let folder = tempfile::tempdir_in(parent).expect("the bench folder is writable");
        let directory = folder.path().to_owned();
        Server::start_in(directory, Some(folder), "-c shared_buffers=512MB -c max_wal_size=4GB")
    }

    /// Starts one on the data in this folder, which is made if it is not there and stays.
    pub fn start_at(directory: &Path, settings: &str) -> Server {
        std::fs::create_dir_all(directory).expect("the bench folder is writable");
        Server::start_in(directory.to_owned(), None, settings)
    }

    fn start_in(directory: PathBuf, vanishes: Option<tempfile::TempDir>, settings: &str) -> Server {
        if !Path::new(BIN).join("initdb").exists() {
            fail("PostgreSQL 15 is not there: apt-get install postgresql-15");
        }
        let socket = tempfile::tempdir().expect("a folder for temporary files");
        let server = Server { directory, socket, _vanishes: vanishes };
        let (data, socket) = (server.data(), server.socket.path().display().to_string());
        if is_root() {
            for folder in [&*server.directory.display().to_string(), &*socket] {
                run(Command::new("chown").args(["postgres", folder]));
                run(Command::new("chmod").args(["755", folder]));
            }
        }
        if !Path::new(&data).exists() {
            server.postgres(&format!(
                "{BIN}/initdb -D {data} -U postgres -A trust -E UTF8 --locale=C"
            ));
        }
        let settings =
            format!("-k {socket} -c max_connections=64 -c listen_addresses='' {settings}");
        server
            .postgres(&format!("{BIN}/pg_ctl -w -D {data} -l {data}/log -o \"{settings}\" start"));
        server
    }

    fn data(&self) -> String {
        self.directory.join("data").display().to_string()
    }

    fn postgres(&self, command: &str) {
        if is_root() {
            run(Command::new("su")
                .args(["postgres", "-s", "/bin/sh", "-c", command])
                .current_dir("/"));
        } else {
            run(Command::new("sh").args(["-c", command]));
        }
    }

    pub fn connect(&self) -> Client {
        let address =
            format!("host={} user=postgres dbname=postgres", self.socket.path().display());
        Client::connect(&address, NoTls).expect("the server takes connections")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.postgres(&format!("{BIN}/pg_ctl -w -m fast -D {} stop", self.data()));
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0)
}

fn run(command: &mut Command) {
    let output = command.output().expect("a shell and PostgreSQL's programs");
    // `pg_ctl start` leaves its child with our pipes, so only the status shows whether it started.
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

struct Writer {
    client: Client,
    insert: Statement,
    events: usize,
}

impl Writer {
    fn new(mut client: Client, events: usize) -> Writer {
        let insert = client.prepare(INSERT).expect("a statement");
        Writer { client, insert, events }
    }
}

impl Sender for Writer {
    fn send(&mut self, first_event: u64) {
        let numbers = first_event..first_event + self.events as u64;
        let keys: Vec<String> = numbers.clone().map(events::key).collect();
        let times: Vec<i64> = numbers.clone().map(events::occurred_ns).collect();
        let actors: Vec<&str> = numbers.clone().map(events::actor).collect();
        let names: Vec<&str> = numbers.clone().map(events::repository).collect();
        let digests: Vec<String> = numbers.clone().map(events::digest).collect();
        let entries: Vec<String> = numbers.clone().map(events::entry).collect();
        let raws: Vec<Vec<u8>> = numbers.map(|number| events::raw(number).into_bytes()).collect();
        self.client
            .execute(&self.insert, &[&keys, &times, &actors, &names, &digests, &entries, &raws])
            .expect("inserted");
    }
}
