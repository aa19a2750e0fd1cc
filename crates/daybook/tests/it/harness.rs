//! Starts the real program on a free port in a directory of its own, and talks to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use crate::signer::sign;

pub const TOKEN: &str = "a token of sixteen or more";
pub const PROJECT: &str = "054e292c9880d4992f02c0196d3ea468";
pub const ACCESS_KEY: &str = "TESTKEY0000000000001";
pub const SECRET: &str = "a-secret-of-the-tests";
/// Who may read Daybook's record of itself.
pub const OPERATOR_KEY: &str = "TESTKEY0000OPERATOR1";
pub const OWN_PROJECT: &str = "0000000000000000000000000daybook";
pub const OWN_INSTANCE: &str = "operators-of-this-daybook-server";
/// What Daybook has recorded of itself once a server runs on a new directory: its settings, each
/// change of rights, and the start.
pub const OWN_AT_START: u64 = 9;
/// How long anything may take that should be quick; generous, because machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program, ready to be given arguments, without the caller's own settings.
pub fn daybook() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_daybook")))
}

/// A command that is the program or runs it, without the caller's own settings but for
/// [`FLUSH_EVENTS`], and with little room left free: the disk of the tests may be nearly full, many
/// servers run at once, and directories are copied.
pub fn without_settings(mut command: Command) -> Command {
    let is_setting = |name: &str| name.starts_with("DAYBOOK_") && name != FLUSH_EVENTS;
    for (name, _) in std::env::vars().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command.env("DAYBOOK_STORAGE_LOW_WATER_PERCENT", "0");
    for setting in ["DAYBOOK_STORAGE_LOW_WATER_BYTES", "DAYBOOK_STORAGE_RESERVE_BYTES"] {
        command.env(setting, (1 << 20).to_string());
    }
    command
}

/// The one setting that tests pass on: `scripts/test flushes` runs them with small segments.
const FLUSH_EVENTS: &str = "DAYBOOK_LIMITS_FLUSH_EVENTS";

/// As [`without_settings`], of a program that SIGINT ends although the tests run in the background
/// of a shell, which has its children ignore it.
pub fn interruptible(program: &str) -> Command {
    let mut command = without_settings(Command::new("env"));
    command.args(["--default-signal=INT", program]);
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Output {
    daybook().args(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A data directory with a configuration of two sources, and someone who may read the first one's
/// trail.
pub struct TestDir {
    pub temp: TempDir,
}

impl TestDir {
    pub fn new() -> TestDir {
        TestDir::with_settings("")
    }

    /// `settings` are put before the sources in the configuration.
    pub fn with_settings(settings: &str) -> TestDir {
        let test_dir = TestDir { temp: tempfile::tempdir().unwrap() };
        let data = test_dir.data();
        let made = run(&["init", data.to_str().unwrap(), "--origin", "test.example/log"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        std::fs::write(test_dir.path("token"), TOKEN).unwrap();
        std::fs::write(test_dir.path("secret"), SECRET).unwrap();
        let source = |name: &str, format: &str, instance: &str| {
            format!(
                "[[source]]\nname = \"{name}\"\nformat = \"{format}\"\ntoken = {{ file = \"token\" }}\n\
                 trail = {{ service = \"registry\", tenant = \"acme\", project = \"{PROJECT}\", instance = \"{instance}\" }}\n"
            )
        };
        let sources = source("hub", "docker-registry", "hub") + &source("own", "daybook", "own");
        std::fs::write(test_dir.path("daybook.toml"), format!("{settings}\n{sources}")).unwrap();
        let secret = test_dir.path("secret");
        let secret = secret.to_str().unwrap();
        for arguments in [
            &["project", "add", "cn-north-4", "--tenant", "acme", "--id", PROJECT][..],
            &["user", "add", "operator", "--id", "operator"],
            &["grant", "operator", "auditor", "dbaudit/daybook/*/*"],
            &["key", "add", "operator", "--id", OPERATOR_KEY, "--secret-file", secret],
            &["user", "add", "auditor", "--id", "auditor"],
            &["grant", "auditor", "reader", "registry/acme/*/*"],
            &["key", "add", "auditor", "--id", ACCESS_KEY, "--secret-file", secret],
        ] {
            test_dir.access(arguments);
        }
        test_dir
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Runs `daybook access …` on this directory.
    pub fn access(&self, arguments: &[&str]) -> String {
        let output = daybook()
            .arg("access")
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn serve(&self) -> Daybook {
        Daybook::spawn(&mut self.serve_command(daybook()))
    }

    /// The `serve` arguments for this directory, added to a command that is the program or runs it.
    pub fn serve_command(&self, mut command: Command) -> Command {
        command
            .arg("serve")
            .arg("--config")
            .arg(self.path("daybook.toml"))
            .arg("--data-dir")
            .arg(self.data());
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// The report of `daybook check`, which must find the log whole.
    pub fn check(&self) -> BTreeMap<String, String> {
        let output = run(&["check", self.data().to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let pairs = text(&output.stdout);
        pairs
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    /// The entries of what the log has on record of itself under this action, oldest first; beside
    /// a running server too.
    pub fn acts(&self, action: &str) -> Vec<String> {
        let is_it = |entry: &String| entry.starts_with(&format!("{{\"action\":\"{action}\","));
        self.entries().into_iter().filter(is_it).collect()
    }

    /// All entries of the log; beside a running server too.
    pub fn entries(&self) -> Vec<String> {
        let disk: std::sync::Arc<dyn store::durable::Disk> =
            std::sync::Arc::new(store::durable::Local::open(&self.data()));
        let log = store::Contents::read(&disk).unwrap();
        (0..log.head().0)
            .map(|index| text(&log.stored_event(index).unwrap().unwrap().entry))
            .collect()
    }

    /// Every event that a source sent to the stopped log: index to the source's key.
    pub fn events(&self) -> BTreeMap<u64, String> {
        events_of(&self.data())
    }
}

/// Every event that a source sent to the stopped log in this folder: index to the source's key.
pub fn events_of(data: &Path) -> BTreeMap<u64, String> {
    use event::query::{Order, Query};
    use event::{Service, Trail};
    let disk: std::sync::Arc<dyn store::durable::Disk> =
        std::sync::Arc::new(store::durable::Local::open(data));
    // Nothing is compacted meanwhile: the folder stays as opening it left it.
    let settings =
        store::Settings { compaction_every: Duration::MAX, ..store::Settings::default() };
    let log = store::Log::open(disk, settings).unwrap();
    let trails = ["hub", "own"]
        .map(|instance| Trail::new(Service::Registry, "acme", PROJECT, instance).unwrap());
    let query = Query {
        trails: trails.to_vec(),
        limit: usize::MAX,
        order: Order::Ascending,
        ..Query::of(trails[0].clone())
    };
    let page = log.query(&query).unwrap();
    let own = Trail::new(Service::Dbaudit, "daybook", OWN_PROJECT, OWN_INSTANCE).unwrap();
    let own = log.query(&Query { limit: 0, ..Query::of(own) }).unwrap();
    assert_eq!(page.total + own.total, log.counts().events);
    // The key of a flushed event is in the table alone; tests that flush name the resource by it.
    let key = |event: event::Event| event.origin.key.or(event.resource.name).unwrap_or_default();
    page.rows.into_iter().map(|row| (row.index, key(row.entry.event))).collect()
}

/// A running server. Dropping it kills it.
pub struct Daybook {
    pub address: SocketAddr,
    /// What it said before it listened.
    first_said: String,
    child: Child,
    lines: Receiver<String>,
}

impl Daybook {
    /// Starts `serve` and waits until it listens.
    pub fn spawn(command: &mut Command) -> Daybook {
        Daybook::try_spawn(command).unwrap_or_else(|ended| panic!("the server ended: {ended}"))
    }

    /// As [`Daybook::spawn`]; what it said on standard error if it ended instead.
    pub fn try_spawn(command: &mut Command) -> Result<Daybook, String> {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        let mut said = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = message(&line)
                        .strip_prefix("serving ")
                        .and_then(|rest| Some(rest.rsplit_once("://")?.1.to_owned()));
                    if let Some(address) = found {
                        let address = address.parse().unwrap();
                        return Ok(Daybook { address, first_said: said, child, lines });
                    }
                    said.push_str(&line);
                    said.push('\n');
                }
                Err(_) => {
                    let status = child.wait().unwrap();
                    return Err(format!("{status}: {said}"));
                }
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens for syslog messages of a source by UDP, TCP or TLS.
    pub fn syslog(&self, source: &str, transport: &str) -> SocketAddr {
        let what = format!("syslog of source {source} by {transport} on ");
        let address = |line| Some(message(line).strip_prefix(&*what)?.parse().unwrap());
        self.first_said.lines().find_map(address).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Delays each of its fdatasync calls by so many milliseconds, until the answer is dropped.
    pub fn with_slow_disk(&self, ms: u32) -> SlowDisk {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync"])
            .args(["-e", &format!("inject=fdatasync:delay_exit={}", ms * 1000)])
            .args(["-p", &self.pid().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        assert!(first.contains("attached"), "{first}");
        // It reports every new thread, and ends when nobody listens.
        std::thread::spawn(move || said.for_each(drop));
        SlowDisk(strace)
    }

    pub fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits; returns the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.exit_code()
    }

    /// As [`Daybook::stop`]; passes on every line of standard error since it listened.
    pub fn stop_with_lines(mut self, each: &mut dyn FnMut(String)) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        let code = self.exit_code();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            each(line);
        }
        code
    }

    /// Waits for the end and returns the exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lines on standard error so far.
    pub fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// One request on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.client().request(method, target, headers, body).unwrap()
    }

    pub fn send(&self, source: &str, body: impl AsRef<[u8]>) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.request(
            "POST",
            &format!("/intake/{source}"),
            &[("Authorization", &bearer)],
            body.as_ref(),
        )
    }

    /// A GET signed with the test's own signer.
    pub fn signed_get(&self, target: &str) -> Answer {
        self.signed("GET", target, b"")
    }

    /// A request signed with the test's own signer.
    pub fn signed(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        self.signed_by(ACCESS_KEY, method, target, body)
    }

    /// A request signed with this key, whose secret is the one of the tests.
    pub fn signed_by(&self, access_key: &str, method: &str, target: &str, body: &[u8]) -> Answer {
        let signed = sign(self.address, access_key, SECRET, method, target, body, now());
        let headers: Vec<(&str, &str)> =
            signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.request(method, target, &headers, body)
    }

    /// A page of Daybook's record of itself, newest first, and how many events there are in the log
    /// besides. `filter` are members of the request's body.
    pub fn own_log(&self, filter: &str, page: u32, size: u32) -> (serde_json::Value, u64) {
        let target = format!("/v1/{OWN_PROJECT}/audit/{OWN_INSTANCE}/operation-log");
        let body = format!(r#"{{"time":{{}},"page":{page},"size":{size}{filter}}}"#);
        let answer = self.signed_by(OPERATOR_KEY, "POST", &target, body.as_bytes());
        let tree_size: u64 = answer.headers["x-daybook-tree-size"].parse().unwrap();
        let own = answer.json()["total_num"].as_u64().unwrap();
        (answer.json()["operate_log"].clone(), tree_size - own)
    }

    /// All of Daybook's record of itself that a filter leaves, newest first.
    pub fn own_rows(&self, filter: &str) -> Vec<serde_json::Value> {
        let mut rows = Vec::new();
        for page in 1.. {
            let (some, _) = self.own_log(filter, page, 1000);
            match some.as_array().unwrap() {
                some if some.is_empty() => break,
                some => rows.extend(some.iter().cloned()),
            }
        }
        rows
    }

    /// How many events of sources the log holds.
    pub fn events(&self) -> u64 {
        self.own_log("", 1, 1).1
    }

    /// Most memory it ever held, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Daybook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a server's disk slow, until it is dropped.
pub struct SlowDisk(Child);

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Ended by a signal that it can answer, it lets go of the server.
        let pid = rustix::process::Pid::from_raw(self.0.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

/// An HTTP/1.1 connection that hides nothing.
pub struct Client {
    pub stream: TcpStream,
    pub host: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        text(&self.body)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn code(&self) -> String {
        let json = self.json();
        json["error_code"].as_str().or(json["code"].as_str()).unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Client> {
        Client::of(TcpStream::connect(address)?, address)
    }

    /// A connection from this address of the machine.
    pub fn connect_from(local: IpAddr, address: SocketAddr) -> std::io::Result<Client> {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(local, 0).into())?;
        socket.connect(&address.into())?;
        Client::of(socket.into(), address)
    }

    fn of(stream: TcpStream, address: SocketAddr) -> std::io::Result<Client> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream, host: address.to_string() })
    }

    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if !headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("transfer-encoding")
                || name.eq_ignore_ascii_case("content-length")
        }) {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        self.stream.write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
        self.read_answer(method == "HEAD")
    }

    pub fn read_answer(&mut self, is_head: bool) -> std::io::Result<Answer> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more(&mut bytes)?;
        };
        let head = text(&bytes[..head_end]);
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut headers = headers;
        if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") && !is_head {
            let body = self.read_chunks(bytes.split_off(head_end), &mut headers)?;
            return Ok(Answer { status, headers, body });
        }
        let len: usize = headers.get("content-length").map_or(0, |len| len.parse().unwrap());
        while !is_head && bytes.len() < head_end + len {
            self.read_more(&mut bytes)?;
        }
        Ok(Answer { status, headers, body: bytes[head_end..].to_vec() })
    }

    /// Reads a chunked body to its end, of which some was read; trailers come to the headers.
    fn read_chunks(
        &mut self,
        mut bytes: Vec<u8>,
        headers: &mut BTreeMap<String, String>,
    ) -> std::io::Result<Vec<u8>> {
        let (mut body, mut at) = (Vec::new(), 0);
        let line = |client: &mut Client, bytes: &mut Vec<u8>, at: &mut usize| loop {
            if let Some(len) = bytes[*at..].windows(2).position(|window| window == b"\r\n") {
                let line = text(&bytes[*at..*at + len]);
                *at += len + 2;
                return Ok::<_, std::io::Error>(line);
            }
            client.read_more(bytes)?;
        };
        loop {
            let len = line(self, &mut bytes, &mut at)?;
            let len =
                usize::from_str_radix(&len, 16).map_err(|_| std::io::ErrorKind::InvalidData)?;
            if len == 0 {
                break;
            }
            while bytes.len() < at + len + 2 {
                self.read_more(&mut bytes)?;
            }
            body.extend_from_slice(&bytes[at..at + len]);
            at += len + 2;
        }
        loop {
            let trailer = line(self, &mut bytes, &mut at)?;
            let Some((name, value)) = trailer.split_once(':') else { return Ok(body) };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            len => {
                bytes.extend_from_slice(&piece[..len]);
                Ok(())
            }
        }
    }
}

/// What a line of standard error says: the line is JSON where the operational log is.
fn message(line: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => line["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => line.strip_prefix("daybook: ").unwrap_or(line).to_owned(),
    }
}

/// Waits until the condition holds; fails when it does not come to.
pub fn becomes_true(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A time as `access.toml` has it.
pub fn utc_text(at: u64) -> String {
    let date = sdk_date(at);
    format!(
        "{}-{}-{}T{}:{}:{}.000000000Z",
        &date[..4],
        &date[4..6],
        &date[6..8],
        &date[9..11],
        &date[11..13],
        &date[13..15]
    )
}

/// `YYYYMMDDTHHMMSSZ`, by the civil-from-days algorithm.
pub fn sdk_date(at: u64) -> String {
    let (days, seconds) = (at / 86_400 + 719_468, at % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One notification of a registry, as an envelope.
pub fn notification(id: &str, action: &str, digest: &str, at: &str) -> String {
    format!(
        r#"{{"events":[{{"id":"{id}","timestamp":"{at}","action":"{action}","target":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","repository":"library/ubuntu","tag":"24.04"}},"request":{{"id":"r-{id}","addr":"10.0.0.9:1234","host":"hub","method":"GET","useragent":"skopeo/1.9.3"}},"actor":{{"name":"alice"}},"source":{{"addr":"vm:5000","instanceID":"i"}}}}]}}"#
    )
}

/// The files of a folder of the checkout, below its root.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
