//! `scripts/bench api`: how many first pages a second, through each API, signed and with a token,
//! beside an empty handler; and which files of the data directory a request touches.
//!
//! Requests are built and signed before the clock starts: a signature covers the second and is good
//! for minutes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::http::{Connection, request};
use crate::system_calls::{Counted, Trace};
use crate::{daybook, fail, machine, value};

/// The options of the command line.
pub struct Options {
    seconds: f64,
    events: u64,
    connections: Vec<usize>,
    program: PathBuf,
    folder: PathBuf,
}

pub fn options(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        seconds: 3.0,
        events: 100_000,
        connections: vec![1, 8],
        program: PathBuf::new(),
        folder: PathBuf::from("."),
    };
    while let Some(argument) = arguments.next() {
        let mut value = |name| value(name, arguments.next());
        match argument.as_str() {
            "--seconds" => {
                options.seconds =
                    value("--seconds").parse().unwrap_or_else(|_| fail("--seconds takes a number"))
            }
            "--quick" => options.seconds = 1.5,
            "--events" => {
                options.events =
                    value("--events").parse().unwrap_or_else(|_| fail("--events takes a number"))
            }
            "--connections" => {
                let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
                let numbers: Option<Vec<usize>> =
                    value("--connections").split(',').map(number).collect();
                options.connections =
                    numbers.unwrap_or_else(|| fail("--connections takes numbers, such as 1,8"));
            }
            "--program" => options.program = value("--program").into(),
            "--folder" => options.folder = value("--folder").into(),
            other => fail(&format!("unknown option {other}")),
        }
    }
    options
}

const TENANT: &str = "5a775fdcb14f4431b6c0015618140bc3";
const PROJECT: &str = "054e292c9880d4992f02c0196d3ea468";
const TOKEN: &str = "the token of the bench";
const KEY: &str = "BENCHKEY000000000001";
const SECRET: &str = "a-secret-of-the-bench-of-40-characters..";
const PASSWORD: &str = "correct horse battery";
const APP_CODE: &str = "an-app-code-of-the-bench";
const EVENTS_IN_A_BODY: u64 = 1000;
/// Number of events after which a database begins another log file.
const EVENTS_IN_A_FILE: u64 = 1000;

/// One of the five APIs and the trail that it reads.
struct Api {
    name: &'static str,
    service: &'static str,
    instance: &'static str,
    /// The action of the trail's events, one that the API lists.
    action: &'static str,
    method: &'static str,
    /// The first page. The query is escaped and sorted, as a signature needs it.
    target: String,
    body: &'static [u8],
    /// The ops platform's API takes app codes and a token, and no signature.
    is_signable: bool,
}

fn apis() -> [Api; 5] {
    let api = |name, service, instance, action, target: String| Api {
        name,
        service,
        instance,
        action,
        method: "GET",
        target,
        body: b"",
        is_signable: true,
    };
    [
        api("swr", "registry", "hub", "pull", format!("/v2/{PROJECT}/instances/hub/audit-logs?limit=10&offset=0&operation=pull")),
        api("codearts", "artifact", "maven", "upload", format!("/cloudartifact/v5/{TENANT}/{PROJECT}/file/maven/audit?page_num=1&page_size=10")),
        api(
            "taurusdb",
            "database",
            "3d39c18788b54a919bab633874c159dfin07",
            "QUERY",
            format!(
                "/v3/{PROJECT}/instances/3d39c18788b54a919bab633874c159dfin07/audit-logs?end_time=2026-10-30T00%3A00%3A00Z&limit=10&offset=0&start_time=2026-10-01T00%3A00%3A00Z"
            ),
        ),
        Api {
            is_signable: false,
            ..api(
                "hcs",
                "platform",
                "ops",
                "create",
                "/rest/dataapi/homs/open-api/v1/cloudAuditlog?begin_time=0&end_time=4102444800000&offset_value=0&page_size=10".to_owned(),
            )
        },
        Api {
            method: "POST",
            body: br#"{"time":{},"page":"1","size":"10"}"#,
            ..api("dbss", "dbaudit", "a0d1f9c2b3e44f5d8c7b6a5948372615", "update", format!("/v1/{PROJECT}/audit/a0d1f9c2b3e44f5d8c7b6a5948372615/operation-log"))
        },
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Credential {
    Nothing,
    Signature,
    Token,
}

impl Credential {
    fn text(self) -> &'static str {
        match self {
            Credential::Nothing => "nothing",
            Credential::Signature => "signature",
            Credential::Token => "token",
        }
    }
}

pub fn run(options: &Options) {
    machine::print(&options.folder);
    let server = Server::start(options);
    println!(
        "each cell: {} s after a warm-up of {} s, keep-alive HTTP/1.1; the clients share the cores with the server",
        options.seconds,
        options.seconds / 5.0
    );
    println!(
        "{} events in each of five trails, a second apart; a database's log file holds {EVENTS_IN_A_FILE}",
        options.events
    );
    println!(
        "pages of 10 rows; every answered request is itself recorded, within a second; requests are signed beforehand"
    );
    println!(
        "CPU: the server's user and system time, in ticks of 10 ms, with what it does besides answering\n"
    );
    println!(
        "{:>9} {:>10} {:>11} {:>10} {:>8} {:>8} {:>8} {:>12}",
        "first", "shows", "connections", "requests", "p50", "p99", "to the", "CPU"
    );
    println!(
        "{:>9} {:>10} {:>11} {:>10} {:>8} {:>8} {:>8} {:>12}",
        "page of", "", "", "/s", "ms", "ms", "empty", "us/request"
    );
    let apis = apis();
    let mut differences = Vec::new();
    for &connections in &options.connections {
        let empty = server.measure(options, connections, &|| {
            request(&server.address, "GET", "/healthz", &[], b"")
        });
        empty.print("(empty)", Credential::Nothing, connections, &empty);
        for api in &apis {
            let measure = |credential| {
                let measurement =
                    server.measure(options, connections, &|| server.request(api, credential));
                measurement.print(api.name, credential, connections, &empty);
                measurement
            };
            if api.is_signable {
                let (signed, token) = (measure(Credential::Signature), measure(Credential::Token));
                differences.push((api.name, connections, signed.cpu_us - token.cpu_us));
            } else {
                measure(Credential::Token);
                println!(
                    "{:>9} {:>10} {connections:>11}  this API has no signatures: app codes and a token",
                    api.name, "signature"
                );
            }
        }
    }
    println!(
        "\nCPU of a signed request above that of one with a token (from ticks; the loop below is exact)"
    );
    for (name, connections, us) in &differences {
        println!("  {name:<9} x {connections:<3} {us:>6.1} us");
    }
    let mean = differences.iter().map(|(_, _, us)| us).sum::<f64>() / differences.len() as f64;
    println!("  mean            {mean:>6.1} us");
    system_calls(&server, &apis);
    server.stop();
    println!();
}

/// Requests with a token while the server is traced.
const TRACED_REQUESTS: u64 = 1000;
/// Files of the data directory that hold rights; the last is the name in format 1.
const RIGHTS: [&str; 3] = ["access.toml", "access.recorded.toml", "keys/sealing.key"];
/// Threads that serve no requests.
const OTHER_THREADS: [&str; 2] = ["housekeeping", "sequencer"];

fn system_calls(server: &Server, apis: &[Api]) {
    println!(
        "\nfiles of the data directory touched during {TRACED_REQUESTS} requests with a token, by thread (strace: calls that name a file, reads, mmap)"
    );
    let mut connection = Connection::open(&server.address);
    let requests: Vec<Vec<u8>> =
        apis.iter().map(|api| server.request(api, Credential::Token)).collect();
    let Some(trace) = Trace::start(server.child.id()) else {
        println!("  not measured: strace is not there, or may not follow processes");
        return;
    };
    let began = Instant::now();
    for number in 0..TRACED_REQUESTS {
        assert_eq!(connection.ask(&requests[number as usize % requests.len()]).status, 200);
    }
    let seconds = began.elapsed().as_secs_f64();
    let counted = trace.stop(&server.data);
    for (call, count) in &counted {
        println!("  {:<16} {:<10} {:<46} {count:>7}", call.thread, call.name, call.file);
    }
    let total = |is_counted: &dyn Fn(&str, &str, &str) -> bool| -> u64 {
        let counted: &Counted = &counted;
        counted
            .iter()
            .filter(|(call, _)| is_counted(&call.thread, &call.name, &call.file))
            .map(|(_, count)| count)
            .sum()
    };
    let is_rights = |file: &str| RIGHTS.contains(&file);
    let is_read = |name: &str| name.contains("read") || name == "mmap";
    let is_answering = |thread: &str| !OTHER_THREADS.contains(&thread);
    println!(
        "  in {seconds:.1} s. Not by requests: housekeeping looks every 100 ms whether access.toml was replaced, and the sequencer writes\n  \
         the log, in which each request is recorded"
    );
    println!(
        "  files of rights: {} calls by requests; {} by housekeeping, of which {} other than a stat",
        total(&|thread, _, file| is_rights(file) && is_answering(thread)),
        total(&|thread, _, file| is_rights(file) && thread == "housekeeping"),
        total(&|thread, name, file| is_rights(file)
            && thread == "housekeeping"
            && !name.contains("stat")),
    );
    println!(
        "  files opened by requests: {}; reads by requests: {}, of which {} elsewhere than in the journal, where the rows are",
        total(&|thread, name, _| name.starts_with("open") && is_answering(thread)),
        total(&|thread, name, _| is_read(name) && is_answering(thread)),
        total(&|thread, name, file| is_read(name)
            && is_answering(thread)
            && !file.starts_with("journal/")),
    );
}

struct Measurement {
    requests_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

impl Measurement {
    fn print(&self, name: &str, credential: Credential, connections: usize, empty: &Measurement) {
        println!(
            "{name:>9} {:>10} {connections:>11} {:>10.0} {:>8.3} {:>8.3} {:>8.2} {:>12.1}",
            credential.text(),
            self.requests_s,
            self.p50_ms,
            self.p99_ms,
            self.requests_s / empty.requests_s,
            self.cpu_us,
        );
    }
}

/// The release program on a fresh log with the trails of the five APIs.
struct Server {
    child: Child,
    address: String,
    /// A token of the user who may read everything.
    token: String,
    data: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(options: &Options) -> Server {
        let folder = tempfile::tempdir_in(&options.folder).expect("the bench folder is writable");
        let data = std::fs::canonicalize(folder.path()).expect("just made").join("data");
        daybook::run(&options.program, &["init", daybook::path(&data)]);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writable");
            daybook::path(&path).to_owned()
        };
        file("token", TOKEN);
        let sources = apis().map(|api| {
            format!(
                "[[source]]\nname = \"{}\"\nformat = \"daybook\"\ntoken = {{ file = \"token\" }}\n\
                 trail = {{ service = \"{}\", tenant = \"{TENANT}\", project = \"{PROJECT}\", instance = \"{}\" }}\n",
                api.name, api.service, api.instance
            )
        });
        let config = file("daybook.toml", &sources.concat());
        let (secret, password, code) =
            (file("secret", SECRET), file("password", PASSWORD), file("code", APP_CODE));
        for arguments in [
            &["domain", "add", "acme-corp", "--id", TENANT][..],
            &["project", "add", "cn-north-4", "--tenant", TENANT, "--id", PROJECT],
            &["user", "add", "reader", "--id", "reader", "--domain", TENANT],
            &["grant", "reader", "reader", &format!("*/{TENANT}/*/*")],
            &["key", "add", "reader", "--id", KEY, "--secret-file", &secret],
            &["user", "password", "reader", "--password-file", &password],
            &["app-code", "add", "bench", "--code-file", &code],
        ] {
            daybook::run(
                &options.program,
                &[&["access"], arguments, &["--data-dir", daybook::path(&data)]].concat(),
            );
        }
        let mut child = Command::new(&options.program)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                daybook::path(&data),
                "--config",
                &config,
            ])
            .stderr(Stdio::piped())
            .env("DAYBOOK_LIMITS_CALLER_REQUESTS_PER_SECOND", "1000000")
            .spawn()
            .expect("the program starts");
        let address = daybook::address(&mut child);
        let mut server = Server { child, address, token: String::new(), data, _folder: folder };
        server.fill(options.events);
        server.token = server.login();
        server
    }

    /// Sends every trail its events.
    fn fill(&self, events: u64) {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for api in apis() {
                scope.spawn(move || {
                    let mut connection = Connection::open(&self.address);
                    let bearer = [("Authorization".to_owned(), format!("Bearer {TOKEN}"))];
                    for first in (0..events).step_by(EVENTS_IN_A_BODY as usize) {
                        let numbers = first..events.min(first + EVENTS_IN_A_BODY);
                        let body: String = numbers.map(|number| event(&api, number)).collect();
                        let sent = request(
                            &self.address,
                            "POST",
                            &format!("/intake/{}", api.name),
                            &bearer,
                            body.as_bytes(),
                        );
                        let answer = connection.ask(&sent);
                        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
                    }
                });
            }
        });
        // The server records finished files of the database within a second; the measurement begins
        // after that.
        std::thread::sleep(Duration::from_secs(3));
        println!("sent {} events in {:.1} s", events * 5, began.elapsed().as_secs_f64() - 3.0);
    }

    fn login(&self) -> String {
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"reader","password":"{PASSWORD}","domain":{{"name":"acme-corp"}}}}}}}}}}}}"#
        );
        let mut connection = Connection::open(&self.address);
        let sent = request(&self.address, "POST", "/v3/auth/tokens", &[], body.as_bytes());
        let answer = connection.ask(&sent);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(answer.body));
        answer.header("x-subject-token").expect("a token").to_owned()
    }

    fn request(&self, api: &Api, credential: Credential) -> Vec<u8> {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![header("Content-Type", "application/json")];
        match credential {
            Credential::Nothing => {}
            Credential::Token => headers.push(header("X-Auth-Token", &self.token)),
            Credential::Signature => {
                let date = sdk_date();
                headers.push(header("Authorization", &authorization(api, &self.address, &date)));
                headers.push(header("X-Sdk-Date", &date));
            }
        }
        if !api.is_signable {
            let codes = [
                ("X-APIG-Appcode", APP_CODE),
                ("x-hcso-appcode", APP_CODE),
                ("x-hcso-domainid", TENANT),
            ];
            headers.extend(codes.map(|(name, value)| header(name, value)));
        }
        request(&self.address, api.method, &api.target, &headers, api.body)
    }

    /// Repeats a request on this many connections. `request` builds each connection's request.
    fn measure(
        &self,
        options: &Options,
        connections: usize,
        request: &dyn Fn() -> Vec<u8>,
    ) -> Measurement {
        const WARM_UP: u8 = 0;
        const COUNTING: u8 = 1;
        const OVER: u8 = 2;
        let phase = AtomicU8::new(WARM_UP);
        let start = Barrier::new(connections + 1);
        let (mut elapsed, mut cpu_s) = (0.0, 0.0);
        let mut took_ns: Vec<u64> = std::thread::scope(|scope| {
            let mut clients = Vec::new();
            for _ in 0..connections {
                let (phase, start, sent) = (&phase, &start, request());
                let mut connection = Connection::open(&self.address);
                clients.push(scope.spawn(move || {
                    let answer = connection.ask(&sent);
                    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
                    let mut took_ns = Vec::with_capacity(1 << 16);
                    start.wait();
                    loop {
                        let began = Instant::now();
                        let status = connection.ask(&sent).status;
                        let ns = began.elapsed().as_nanos() as u64;
                        assert_eq!(status, 200);
                        match phase.load(Ordering::Relaxed) {
                            WARM_UP => {}
                            COUNTING => took_ns.push(ns),
                            _ => return took_ns,
                        }
                    }
                }));
            }
            start.wait();
            std::thread::sleep(Duration::from_secs_f64(options.seconds / 5.0));
            let (began, cpu_before) = (Instant::now(), daybook::cpu_seconds(self.child.id()));
            phase.store(COUNTING, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs_f64(options.seconds));
            phase.store(OVER, Ordering::Relaxed);
            cpu_s = daybook::cpu_seconds(self.child.id()) - cpu_before;
            elapsed = began.elapsed().as_secs_f64();
            clients
                .into_iter()
                .flat_map(|client| client.join().expect("asks and measures"))
                .collect()
        });
        took_ns.sort_unstable();
        let at = |share: f64| took_ns[(took_ns.len() as f64 * share) as usize] as f64 / 1e6;
        Measurement {
            requests_s: took_ns.len() as f64 / elapsed,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            cpu_us: cpu_s * 1e6 / took_ns.len() as f64,
        }
    }

    fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().expect("kill is there");
        assert!(self.child.wait().expect("the server ends").success());
    }
}

/// One line of a body. The first event is of the first of October, each other a second later.
fn event(api: &Api, number: u64) -> String {
    let (day, second) = (1 + number / 86_400, number % 86_400);
    assert!(day <= 28, "this many events do not fit into a month");
    let at = format!(
        "2026-10-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    let attributes = if api.service == "database" {
        format!(r#","attributes":{{"log_file":"audit.log.{}"}}"#, number / EVENTS_IN_A_FILE)
    } else {
        String::new()
    };
    format!(
        "{{\"occurred_at\":\"{at}\",\"action\":\"{}\",\"actor\":{{\"id\":\"u-{}\",\"name\":\"alice\"}},\"source_ip\":\"10.1.2.3\",\"user_agent\":\"docker/24.0.7\",\
         \"resource\":{{\"type\":\"file\",\"name\":\"group/name-{number}\"}},\"outcome\":\"success\",\"description\":\"select {number} from a table\"{attributes}}}\n",
        api.action,
        number % 50,
    )
}

/// The header that signs a request by the vendor's scheme, over content type, host and date.
fn authorization(api: &Api, host: &str, date: &str) -> String {
    let (path, query) = api.target.split_once('?').unwrap_or((&api.target, ""));
    let names = "content-type;host;x-sdk-date";
    let canonical = format!(
        "{}\n{path}/\n{query}\ncontent-type:application/json\nhost:{host}\nx-sdk-date:{date}\n\n{names}\n{}",
        api.method,
        hex(&Sha256::digest(api.body))
    );
    let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(&Sha256::digest(canonical)));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())
        .expect("keys of any length")
        .chain_update(to_sign);
    format!(
        "SDK-HMAC-SHA256 Access={KEY}, SignedHeaders={names}, Signature={}",
        hex(&mac.finalize().into_bytes())
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Now as `YYYYMMDDTHHMMSSZ`, by the civil-from-days algorithm.
fn sdk_date() -> String {
    let at =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
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
