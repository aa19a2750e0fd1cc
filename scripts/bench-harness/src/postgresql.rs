//! PostgreSQL as one would use it for this: durable as it comes, one connection for each sender, one prepared statement
//! that inserts all events of a request, one transaction for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postgres::{Client, NoTls, Statement};
use tempfile::TempDir;

use crate::Result;
use crate::drive::{Cell, Sender, drive};
use crate::events::{self, Columns, SOURCE_IP, USER_AGENT};
use crate::options::Options;
use crate::process;

/// Where Debian puts the programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// Syncing is left as it comes: `fsync` and `synchronous_commit` are on. Memory is what a small machine would give, and
/// checkpoints are rare enough not to fall into a run.
pub const SETTINGS: &str =
    "-c shared_buffers=512MB -c max_wal_size=4GB -c max_connections=100 -c listen_addresses=''";

const SCHEMA: &str = "
    CREATE TABLE trail (id int PRIMARY KEY, service text, tenant text, project text, instance text);
    INSERT INTO trail VALUES (1, 'registry', 'acme', 'p1', 'hub');
    CREATE TABLE event (
        id bigserial PRIMARY KEY, source int NOT NULL, source_key text NOT NULL, trail int NOT NULL,
        occurred_ns bigint NOT NULL, actor text, operation text NOT NULL, resource_type text, resource_name text,
        resource_id text, source_ip text, user_agent text, entry text NOT NULL, raw bytea NOT NULL,
        UNIQUE (source, source_key));
    CREATE INDEX event_operation ON event (trail, operation, occurred_ns DESC, id DESC);
    CREATE INDEX event_time ON event (trail, occurred_ns DESC);";

const INSERT: &str = "
    INSERT INTO event (source, source_key, trail, occurred_ns, actor, operation, resource_type, resource_name,
        resource_id, source_ip, user_agent, entry, raw)
    SELECT 1, key, 1, occurred_ns, actor, operation, 'artifact', repository, digest, $1, $2, entry, raw
    FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[])
        AS new (key, occurred_ns, actor, operation, repository, digest, entry, raw)
    ON CONFLICT DO NOTHING";

pub struct Figures {
    pub events_s: f64,
    pub cpu_s_per_million: f64,
}

/// Errs when PostgreSQL is not installed.
pub fn require() -> Result<()> {
    if Path::new(PROGRAMS).join("initdb").exists() {
        return Ok(());
    }
    Err(format!("no PostgreSQL 15 in {PROGRAMS}: apt-get install postgresql-15, or give --no-baselines")
        .into())
}

pub fn measure(options: &Options, cell: Cell) -> Result<Figures> {
    let server = Server::start(&options.folder)?;
    server.connect()?.batch_execute(SCHEMA)?;
    let senders = (0..cell.senders).map(|_| Writer::new(server.connect()?, cell.events));
    let senders = senders.collect::<Result<Vec<Writer>>>()?;
    let cpu_before = process::family_cpu_seconds(server.pid)?;
    let driven = drive(senders, cell, options)?;
    let cpu_s = process::family_cpu_seconds(server.pid)? - cpu_before;
    let rows: i64 = server.connect()?.query_one("SELECT count(*) FROM event", &[])?.get(0);
    if rows.cast_unsigned() != driven.events {
        return Err(
            format!("PostgreSQL: {} events were committed, and {rows} are there", driven.events).into()
        );
    }
    Ok(Figures { events_s: driven.events_s, cpu_s_per_million: cpu_s / driven.events as f64 * 1e6 })
}

/// A server of its own with fresh data, reached through a socket. It does not outlive this.
struct Server {
    folder: TempDir,
    /// Apart from the data, because paths of sockets must be short.
    socket: TempDir,
    pid: u32,
}

impl Server {
    fn start(parent: &Path) -> Result<Server> {
        let (folder, socket) = (tempfile::tempdir_in(parent)?, tempfile::tempdir()?);
        give_away(folder.path())?;
        give_away(socket.path())?;
        let mut server = Server { folder, socket, pid: 0 };
        let (data, socket) =
            (server.data().display().to_string(), server.socket.path().display().to_string());
        run(&format!("{PROGRAMS}/initdb -D '{data}' -U postgres -A trust --no-sync"))?;
        let options = format!("-k {socket} {SETTINGS}");
        run(&format!("{PROGRAMS}/pg_ctl start -w -s -D '{data}' -l '{data}/log' -o \"{options}\""))?;
        let pid_file = std::fs::read_to_string(server.data().join("postmaster.pid"))?;
        server.pid = pid_file.lines().next().ok_or("an empty postmaster.pid")?.parse()?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn connect(&self) -> Result<Client> {
        let place = format!("host={} user=postgres dbname=postgres", self.socket.path().display());
        Ok(Client::connect(&place, NoTls)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped =
            run(&format!("{PROGRAMS}/pg_ctl stop -w -s -m immediate -D '{}'", self.data().display()));
        if let (Err(why), false) = (stopped, std::thread::panicking()) {
            eprintln!("bench: PostgreSQL may still be running: {why}");
        }
    }
}

/// The server refuses to run as root, so root runs it as the user that its package made.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn give_away(folder: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let status = Command::new("chown").arg("postgres").arg(folder).status()?;
    if status.success() { Ok(()) } else { Err("there is no user postgres".into()) }
}

/// Runs a shell command as a user that may run the server.
fn run(command: &str) -> Result<()> {
    let mut shell = if is_root() {
        let mut shell = Command::new("su");
        shell.args(["postgres", "-s", "/bin/sh", "-c", command]);
        shell
    } else {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        shell
    };
    // A server that was started keeps these for as long as it runs, so nothing may wait for their end.
    let status = shell.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command}: {status}").into()) }
}

struct Writer {
    client: Client,
    insert: Statement,
    requests: Vec<Vec<Columns>>,
    turn: usize,
}

impl Writer {
    fn new(mut client: Client, events: usize) -> Result<Writer> {
        let insert = client.prepare(INSERT)?;
        let columns = |kinds: Vec<_>| kinds.into_iter().map(Columns::new).collect();
        let requests = events::pages(events).into_iter().map(columns).collect();
        Ok(Writer { client, insert, requests, turn: 0 })
    }
}

impl Sender for Writer {
    fn send(&mut self, first: u64) -> Result<()> {
        self.turn = (self.turn + 1) % self.requests.len();
        let rows = &mut self.requests[self.turn];
        for (number, row) in (first..).zip(rows.iter_mut()) {
            row.set(number);
        }
        let keys: Vec<&str> = rows.iter().map(|row| row.key.text()).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.occurred_ns).collect();
        let actors: Vec<&str> = rows.iter().map(|row| row.kind.actor).collect();
        let operations: Vec<&str> = rows.iter().map(|row| row.kind.operation).collect();
        let repositories: Vec<&str> = rows.iter().map(|row| row.kind.repository).collect();
        let digests: Vec<&str> = rows.iter().map(|row| row.kind.digest.as_str()).collect();
        let entries: Vec<&str> = rows.iter().map(|row| row.entry.text()).collect();
        let raws: Vec<&[u8]> = rows.iter().map(|row| row.raw.bytes()).collect();
        // One statement is one transaction.
        self.client.execute(
            &self.insert,
            &[
                &SOURCE_IP,
                &USER_AGENT,
                &keys,
                &times,
                &actors,
                &operations,
                &repositories,
                &digests,
                &entries,
                &raws,
            ],
        )?;
        Ok(())
    }
}
