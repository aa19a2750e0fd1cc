//! `scripts/bench api --own`: Daybook's own API over HTTP, on the made-up events that
//! `scripts/bench query` asks about: a first page with words and filters, counts, and live tails;
//! beside an empty handler.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use crate::http::{Connection, request};
use crate::made::{ACTORS, DAYS, END, Events, Random};
use crate::query::{Options, folder_of, generate};
use crate::reader::Reader;
use crate::{daybook, export, machine};

const TOKEN: &str = "the token of the bench";
/// Number of live tails, events a second that they follow, and the minimum duration.
const TAILS: usize = 200;
const FOLLOWED_A_SECOND: u64 = 5_000;
const FOLLOWED_S: u64 = 10;
/// How often events are sent.
const SENT_EVERY: Duration = Duration::from_millis(20);
const ASKS: u64 = 500;

pub fn run(options: &Options) {
    let events = Events::new(options.events, options.seed);
    machine::print(&options.folder);
    println!(
        "{} events of seed {}; HTTP/1.1 with keep-alive, one client, which shares the cores with the server",
        options.events, options.seed
    );
    let made = generate(options, &folder_of(options));
    let folder = tempfile::tempdir_in(&options.folder).expect("the bench folder is writable");
    let data = folder.path().join("data");
    let copied =
        Command::new("cp").args(["-r", daybook::path(&made), daybook::path(&data)]).status();
    assert!(copied.expect("cp is there").success());
    let mut server = Server::start(options, folder.path(), &data);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average: {}", load.split(' ').next().unwrap_or("?"));
    println!("\n{:<58}{:>9}{:>9}{:>9}{:>8}", "ms", "p50", "p99", "goal p50", "queries");
    let empty = request(&server.address, "GET", "/healthz", &[], b"");
    server.measure("(empty handler)", None, options.seconds, &[empty]);
    for (about, goal, targets) in questions(&events, options.seed) {
        let requests: Vec<Vec<u8>> =
            targets.iter().map(|target| server.reader.get(target)).collect();
        server.measure(about, goal, options.seconds, &requests);
    }
    println!();
    server.tails();
    println!();
    export::measure(&server.address, server.child.id(), &server.reader.token, options.events);
    Command::new("kill").arg(server.child.id().to_string()).status().expect("kill is there");
    assert!(server.child.wait().expect("the server ends").success());
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Name of a query, its goal, and the target of each request.
fn questions(events: &Events, seed: u64) -> Vec<(&'static str, Option<f64>, Vec<String>)> {
    let mut all = Vec::new();
    let mut add = |about, goal, draw: &dyn Fn(&mut Random) -> String| {
        let number = all.len() as u64 + 100;
        all.push((
            about,
            goal,
            (0..ASKS).map(|ask| draw(&mut Random::of(seed, (number << 40) + ask))).collect(),
        ));
    };
    let word = |random: &mut Random| {
        let event = events.event(random.below(events.count));
        let text = event.description.unwrap_or_default();
        text.split(' ').nth(1 + random.below(3) as usize).unwrap_or("created").to_owned()
    };
    let window = |random: &mut Random| {
        let from = END.plus_seconds(-(30 + random.below(DAYS as u64 - 30) as i64) * 86_400);
        format!(
            "after={}&before={}",
            escaped(&from.to_string()),
            escaped(&from.plus_seconds(30 * 86_400).to_string())
        )
    };
    add("first page of 50: two words, an operation, an outcome", Some(3.0), &|random| {
        let q = format!("{} {}", word(random), word(random));
        format!(
            "/api/v1/events?q={}&operation={}&outcome=success",
            escaped(&q),
            ["read", "update", "create"][random.below(3) as usize]
        )
    });
    add("first page of 50: an actor, 30 days", None, &|random| {
        let name =
            events.actors[random.below(ACTORS as u64) as usize].name.clone().unwrap_or_default();
        format!("/api/v1/events?actor={}&{}", escaped(&name), window(random))
    });
    add("first page of 50 of everything", None, &|_| "/api/v1/events".to_owned());
    add("facets of six dimensions, 30 days", Some(20.0), &|random| {
        format!("/api/v1/facets?{}", window(random))
    });
    add("histogram of 30 days", None, &|random| format!("/api/v1/histogram?{}", window(random)));
    add("one event, whole", None, &|random| {
        format!("/api/v1/events/{}", random.below(events.count))
    });
    all
}

struct Server {
    child: Child,
    address: String,
    reader: Reader,
}

impl Server {
    fn start(options: &Options, folder: &std::path::Path, data: &std::path::Path) -> Server {
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("writable");
            daybook::path(&path).to_owned()
        };
        file("token", TOKEN);
        let source = "[[source]]\nname = \"live\"\nformat = \"daybook\"\ntoken = { file = \"token\" }\n\
                      trail = { service = \"platform\", tenant = \"bench\", project = \"live\", instance = \"live\" }\n";
        let config = file("daybook.toml", source);
        Reader::prepare(&options.program, folder, data);
        let mut child = Command::new(&options.program)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                daybook::path(data),
                "--config",
                &config,
            ])
            .stderr(Stdio::piped())
            .env("DAYBOOK_LIMITS_CALLER_REQUESTS_PER_SECOND", "1000000")
            .env("DAYBOOK_LIMITS_CONNECTIONS_PER_ADDRESS_MAX", "1000")
            .spawn()
            .expect("the program starts");
        let address = daybook::address(&mut child);
        let reader = Reader::login(&address);
        Server { child, address, reader }
    }

    /// Sends the queries in turn for this long, after one round of warm-up.
    fn measure(&self, about: &str, goal: Option<f64>, seconds: f64, requests: &[Vec<u8>]) {
        let mut connection = Connection::open(&self.address);
        let mut ask = |request: &[u8]| {
            let answer = connection.ask(request);
            assert_eq!(answer.status, 200, "{about}: {}", String::from_utf8_lossy(answer.body));
        };
        requests.iter().for_each(|request| ask(request));
        let began = Instant::now();
        let mut took: Vec<f64> = Vec::new();
        while began.elapsed().as_secs_f64() < seconds || took.len() < requests.len() {
            let sent = Instant::now();
            ask(&requests[took.len() % requests.len()]);
            took.push(sent.elapsed().as_secs_f64() * 1000.0);
        }
        took.sort_unstable_by(f64::total_cmp);
        let p50 = took[took.len() / 2];
        let missed = if goal.is_some_and(|goal| p50 > goal) { "  goal missed" } else { "" };
        let goal = goal.map_or(String::new(), |goal| goal.to_string());
        println!(
            "{about:<58}{p50:>9.3}{:>9.3}{goal:>9}{:>8}{missed}",
            took[took.len() * 99 / 100],
            took.len()
        );
    }

    /// Follows with many live tails, each of one actor's events, while events come at a steady rate.
    fn tails(&self) {
        let began = Instant::now();
        let ready = Barrier::new(TAILS + 1);
        let (delays, received) = (Mutex::new(Vec::new()), AtomicU64::new(0));
        let wanted = FOLLOWED_A_SECOND * FOLLOWED_S / TAILS as u64;
        let mut sent_s = 0.0;
        std::thread::scope(|scope| {
            for tail in 0..TAILS {
                let (ready, delays, received, began) = (&ready, &delays, &received, &began);
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(&self.address).expect("the server listens");
                    let head = format!(
                        "GET /api/v1/tail?actor=tail{tail} HTTP/1.0\r\nX-Auth-Token: {}\r\n\r\n",
                        self.reader.token
                    );
                    stream.write_all(head.as_bytes()).expect("the server reads");
                    let mut reader = BufReader::new(stream);
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("an answer");
                    assert!(line.contains(" 200 "), "{line}");
                    ready.wait();
                    let mut own = Vec::new();
                    while (own.len() as u64) < wanted {
                        line.clear();
                        assert!(
                            reader.read_line(&mut line).expect("it goes on") > 0,
                            "the tail ended"
                        );
                        if let Some((_, after)) = line.split_once("\"sent_us\":\"") {
                            let sent: u128 = after
                                .split('"')
                                .next()
                                .and_then(|text| text.parse().ok())
                                .expect("a number");
                            own.push((began.elapsed().as_micros() - sent) as f64 / 1000.0);
                            received.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    delays.lock().expect("no panic").extend(own);
                });
            }
            ready.wait();
            let mut connection = Connection::open(&self.address);
            let bearer = [("Authorization".to_owned(), format!("Bearer {TOKEN}"))];
            let started = Instant::now();
            let at_once = FOLLOWED_A_SECOND * SENT_EVERY.as_millis() as u64 / 1000;
            for (turn, first) in
                (0..FOLLOWED_A_SECOND * FOLLOWED_S).step_by(at_once as usize).enumerate()
            {
                std::thread::sleep((SENT_EVERY * turn as u32).saturating_sub(started.elapsed()));
                let now = began.elapsed().as_micros();
                let line = |number: u64| {
                    format!(
                        "{{\"action\":\"x\",\"actor\":\"tail{}\",\"attributes\":{{\"sent_us\":\"{now}\"}}}}\n",
                        number % TAILS as u64
                    )
                };
                let body: String = (first..first + at_once).map(line).collect();
                let answer = connection.ask(&request(
                    &self.address,
                    "POST",
                    "/intake/live",
                    &bearer,
                    body.as_bytes(),
                ));
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
            }
            sent_s = started.elapsed().as_secs_f64();
        });
        let mut delays = delays.into_inner().expect("no panic");
        delays.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
        println!(
            "{TAILS} live tails of one actor each, {} events sent in {sent_s:.1} s: {} came, from sending to reading p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms; goal p99 1000 ms",
            FOLLOWED_A_SECOND * FOLLOWED_S,
            received.into_inner(),
            at(50),
            at(99),
            at(100)
        );
    }
}
