//! Daybook: the release program on a fresh data directory, events in over HTTP.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::drive::{Cell, Driven, Sender, drive};
use crate::events::{self, Form};
use crate::http::Connection;
use crate::options::Options;
use crate::process;

pub struct Figures {
    pub events_s: f64,
    pub events_per_sync: f64,
    pub cpu_s_per_million: f64,
    pub peak_mib: f64,
    pub journal_mb_s: f64,
}

const TOKEN: &str = "token-of-the-bench";
const CONFIG: &str = r#"
[[source]]
name = "hub"
format = "docker-registry"
token = { file = "token" }
trail = { service = "registry", tenant = "acme", project = "p1", instance = "hub" }
"#;

pub fn measure(options: &Options, cell: Cell) -> Result<Figures> {
    let folder = tempfile::tempdir_in(&options.folder)?;
    let mut server = Server::start(&options.program, folder.path())?;
    let senders = (0..cell.senders).map(|_| Http::new(&server.address, cell.events));
    let senders = senders.collect::<Result<Vec<Http>>>()?;
    let cpu_before = process::cpu_seconds(server.pid())?;
    let driven = drive(senders, cell, options)?;
    let cpu_s = process::cpu_seconds(server.pid())? - cpu_before;
    let peak_mib = process::peak_mib(server.pid())?;
    server.stop()?;
    let checked = Checked::of(&options.program, &server.data)?;
    checked.compare(&driven)?;
    Ok(Figures {
        events_s: driven.events_s,
        events_per_sync: checked.events as f64 / checked.batches as f64,
        cpu_s_per_million: cpu_s / checked.events as f64 * 1e6,
        peak_mib,
        journal_mb_s: checked.journal_bytes as f64 / checked.events as f64 * driven.events_s / 1e6,
    })
}

/// A running server; it does not outlive this.
struct Server {
    program: Child,
    data: PathBuf,
    address: String,
}

impl Server {
    fn start(program: &Path, folder: &Path) -> Result<Server> {
        let (data, config) = (folder.join("data"), folder.join("daybook.toml"));
        run(Command::new(program).arg("init").arg(&data))?;
        fs::write(folder.join("token"), TOKEN)?;
        fs::write(&config, CONFIG)?;
        let program = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .arg("--config")
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut server = Server { program, data, address: String::new() };
        server.address = server.read_address()?;
        Ok(server)
    }

    fn pid(&self) -> u32 {
        self.program.id()
    }

    /// Reads where the server listens, and keeps reading, so that it never waits for us.
    fn read_address(&mut self) -> Result<String> {
        let mut lines = BufReader::new(self.program.stderr.take().ok_or("stderr is read once")?).lines();
        let address = loop {
            let line = lines.next().ok_or("the server ended before it listened")??;
            if let Some((_, address)) = line.split_once("serving http://") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(address)
    }

    fn stop(&mut self) -> Result<()> {
        run(Command::new("kill").arg(self.pid().to_string()))?;
        let status = self.program.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already unless something failed.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// What is in the log once the server ended, by its own check of every byte.
struct Checked {
    events: u64,
    /// Each was made durable with one sync.
    batches: u64,
    journal_bytes: u64,
}

impl Checked {
    fn of(program: &Path, data: &Path) -> Result<Checked> {
        let report = run(Command::new(program).arg("check").arg(data))?;
        let number = |name: &str| -> Result<u64> {
            let line = report.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            Ok(line.ok_or_else(|| format!("daybook check tells no {name}"))?.parse()?)
        };
        let mut journal_bytes = 0;
        for file in fs::read_dir(data.join("journal"))? {
            journal_bytes += used_bytes(&fs::read(file?.path())?);
        }
        Ok(Checked { events: number("events")?, batches: number("batches")?, journal_bytes })
    }

    fn compare(&self, driven: &Driven) -> Result<()> {
        if self.events == driven.events {
            return Ok(());
        }
        Err(format!("{} events were answered for, and {} are there", driven.events, self.events).into())
    }
}

/// Length without the zeros that make room for further batches.
fn used_bytes(file: &[u8]) -> u64 {
    file.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

/// A sender with a connection of its own.
struct Http {
    connection: Connection,
    requests: Vec<Form>,
    turn: usize,
    /// What the answer says when it says that every event was recorded now.
    recorded: String,
}

impl Http {
    fn new(address: &str, events: usize) -> Result<Http> {
        let head = |body_len| {
            format!(
                "POST /intake/hub HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Go-http-client/1.1\r\n\
                 Content-Length: {body_len}\r\nAuthorization: Bearer {TOKEN}\r\n\
                 Content-Type: application/vnd.docker.distribution.events.v1+json\r\n\r\n"
            )
        };
        let requests = events::pages(events).iter().map(|kinds| Form::of_request(head, kinds)).collect();
        let recorded = format!("\"recorded\":{events},");
        Ok(Http { connection: Connection::open(address)?, requests, turn: 0, recorded })
    }
}

impl Sender for Http {
    fn send(&mut self, first: u64) -> Result<()> {
        self.turn = (self.turn + 1) % self.requests.len();
        let answer = self.connection.exchange(self.requests[self.turn].set(first))?;
        let recorded = self.recorded.as_bytes();
        if answer.windows(recorded.len()).any(|window| window == recorded) {
            return Ok(());
        }
        Err(format!("not all was recorded: {}", String::from_utf8_lossy(answer)).into())
    }
}
