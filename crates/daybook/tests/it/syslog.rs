//! Messages in by UDP, TCP and TLS: what is sent is recorded once and in order, and what is not is
//! counted.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Daybook, PATIENCE, PROJECT, TestDir, becomes_true, daybook, run, text};

/// A source named after its format's use: `syslog` are the members of its setting.
fn source(name: &str, format: &str, syslog: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nformat = \"{format}\"\nsyslog = {{ {syslog} }}\n\
         trail = {{ service = \"registry\", tenant = \"acme\", project = \"{PROJECT}\", instance = \"hub\" }}\n"
    )
}

const TCP: &str = "tcp = \"127.0.0.1:0\"";

/// A server with a source `edge` of events in our own format by TCP, and these limits.
fn edge(limits: &str) -> (TestDir, Daybook) {
    let test_dir =
        TestDir::with_settings(&format!("[limits]\n{limits}\n{}", source("edge", "daybook", TCP)));
    let server = test_dir.serve();
    (test_dir, server)
}

/// What nginx sends for one request (`access_log syslog:server=…`).
fn nginx(key: &str) -> String {
    format!(
        r#"<190>Nov 21 18:09:48 vm nginx: {{"msec":1763748588.123,"method":"GET","request_uri":"/{key}.whl","status":200,"request_id":"{key}","remote_addr":"10.0.0.9","user_agent":"pip/23.0.1"}}"#
    )
}

/// An event without an id, so that nothing would hide that it was recorded twice; its resource
/// distinguishes it from others.
fn own(key: &str) -> String {
    format!(r#"<14>1 2026-11-21T18:09:48Z vm app - - - {{"action":"x","resource":"{key}"}}"#)
}

fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

fn line(message: &str) -> String {
    format!("{message}\n")
}

fn keys(test_dir: &TestDir) -> Vec<String> {
    test_dir.events().into_values().collect()
}

fn dead_letters(test_dir: &TestDir) -> Vec<String> {
    let listed = run(&[
        "dead-letters",
        "list",
        "-o",
        "json",
        "--data-dir",
        test_dir.data().to_str().unwrap(),
    ]);
    let reason = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{}: {}", record["reason"].as_str().unwrap(), record["raw"].as_str().unwrap())
    };
    text(&listed.stdout).lines().map(reason).collect()
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key of `localhost`, in PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A TLS client that trusts the authority, and shows a certificate if it has one.
fn tls_client(
    address: SocketAddr,
    authority: &Authority,
    shown: Option<&(String, String)>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Writes bytes in pieces whose ends mean nothing.
fn write_in_pieces(mut stream: impl Write, bytes: &[u8]) {
    for (position, piece) in bytes.chunks(37).enumerate() {
        stream.write_all(piece).unwrap();
        if position % 8 == 0 {
            stream.flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    stream.flush().unwrap();
}

#[test]
fn messages_come_by_all_three_transports() {
    let authority = Authority::new();
    let listeners = "udp = \"127.0.0.1:0\", tcp = \"127.0.0.1:0\", tls = \"127.0.0.1:0\", \
                     certificate = \"cert.pem\", key = \"key.pem\"";
    let test_dir = TestDir::with_settings(&source("edge", "nginx-json", listeners));
    let (certificate, key) = authority.issue();
    std::fs::write(test_dir.path("cert.pem"), certificate).unwrap();
    std::fs::write(test_dir.path("key.pem"), key).unwrap();
    let server = test_dir.serve();
    let mut sent = BTreeMap::new();
    for transport in ["UDP", "TCP", "TLS"] {
        let address = server.syslog("edge", transport);
        let names: Vec<String> = (0..40).map(|number| format!("{transport}-{number:02}")).collect();
        let stream: String = names
            .iter()
            .enumerate()
            .map(|(at, name)| if at % 3 == 0 { counted(&nginx(name)) } else { line(&nginx(name)) })
            .collect();
        match transport {
            "UDP" => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                names.iter().for_each(|name| {
                    socket.send_to(nginx(name).as_bytes(), address).unwrap();
                });
            }
            "TCP" => write_in_pieces(TcpStream::connect(address).unwrap(), stream.as_bytes()),
            _ => {
                let mut client = tls_client(address, &authority, None);
                write_in_pieces(&mut client, stream.as_bytes());
                client.conn.send_close_notify();
                client.flush().unwrap();
                // Whoever closes with something unread, such as the server's session tickets,
                // resets the connection, and what is under way is lost.
                let _ = client.read_to_end(&mut Vec::new());
            }
        }
        sent.insert(transport, names);
        becomes_true(|| server.events() == 40 * sent.len() as u64);
    }
    assert_eq!(server.stop(), Some(0));
    let recorded = keys(&test_dir);
    for (transport, names) in sent {
        let of: Vec<&String> = recorded.iter().filter(|key| key.starts_with(transport)).collect();
        assert_eq!(of, names.iter().collect::<Vec<_>>(), "in order");
    }
    assert!(dead_letters(&test_dir).is_empty());
}

/// The audit daemon's plugin sends each record of an event as a message; the mark at its end is
/// one, too.
#[test]
fn records_that_come_one_by_one_are_one_event() {
    let test_dir = TestDir::with_settings(&source("edge", "linux-audit", TCP));
    let server = test_dir.serve();
    let record = |host: &str, kind: &str, serial: u32| {
        let head = format!("<182>2026-11-20T18:17:12Z {host} audispd: node={host}");
        line(&format!(
            "{head} type={kind} msg=audit(1795198632.044:{serial}): syscall=59 success=yes a0=1"
        ))
    };
    let mut stream = TcpStream::connect(server.syslog("edge", "TCP")).unwrap();
    let mut other = TcpStream::connect(server.syslog("edge", "TCP")).unwrap();
    for (stream, host) in [(&mut stream, "a"), (&mut other, "b")] {
        stream.write_all(record(host, "SYSCALL", 1).as_bytes()).unwrap();
        stream.write_all(record(host, "USER_CMD", 2).as_bytes()).unwrap();
    }
    becomes_true(|| server.events() == 2);
    stream.write_all(record("a", "CWD", 1).as_bytes()).unwrap();
    stream.write_all(record("a", "PATH", 1).as_bytes()).unwrap();
    stream.write_all(record("a", "EOE", 1).as_bytes()).unwrap();
    // What never ends is recorded as well, while others go on, and what is held when the server
    // ends.
    becomes_true(|| {
        other.write_all(record("b", "USER_CMD", 3).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        server.events() == 5
    });
    other.write_all(record("b", "CWD", 4).as_bytes()).unwrap();
    other.write_all(record("b", "SYSCALL", 5).as_bytes()).unwrap();
    other.write_all(record("b", "CWD", 5).as_bytes()).unwrap();
    assert_eq!(server.stop(), Some(0));
    let mut found: Vec<(String, String)> = test_dir
        .entries()
        .iter()
        .map(|entry| serde_json::from_str::<serde_json::Value>(entry).unwrap())
        .filter(|entry| entry["source"]["format"] == "linux-audit")
        .map(|entry| {
            (attribute(&entry, "node") + &attribute(&entry, "serial"), attribute(&entry, "records"))
        })
        .collect();
    found.sort();
    let expected = [
        ("a1", "SYSCALL CWD PATH"),
        ("a2", "USER_CMD"),
        ("b1", "SYSCALL"),
        ("b2", "USER_CMD"),
        ("b3", "USER_CMD"),
        ("b4", "CWD"),
        ("b5", "SYSCALL CWD"),
    ];
    assert_eq!(found, expected.map(|(event, records)| (event.to_owned(), records.to_owned())));
    assert!(dead_letters(&test_dir).is_empty());
}

fn attribute(entry: &serde_json::Value, name: &str) -> String {
    entry["attributes"][name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_is_no_message_is_a_dead_letter() {
    let (test_dir, server) = edge("syslog_message_bytes_max = 200");
    let address = server.syslog("edge", "TCP");
    let long = own(&"k".repeat(300));
    let mut stream = TcpStream::connect(address).unwrap();
    let bytes = [
        counted(&long),
        line(&long),
        line("no header"),
        line("<14>1 - - - - - - no JSON"),
        line(&own("a")),
    ];
    stream.write_all(bytes.concat().as_bytes()).unwrap();
    // Two senders break off: one that said how much would come, and one whose connection breaks.
    // One ends in order.
    let broken_off = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the server is done with it");
    };
    broken_off(&counted(&own("b")).as_bytes()[..30]);
    broken_off(own("c").as_bytes());
    assert_eq!(server.stop(), Some(0));
    let letters = dead_letters(&test_dir);
    let has = |reason: &str, raw: &str| {
        assert!(
            letters.iter().any(|one| one.starts_with(reason) && one.ends_with(raw)),
            "{reason}: {letters:?}"
        );
    };
    assert_eq!(letters.len(), 4, "the two long ones have the same bytes: {letters:?}");
    has("message_too_long: it had ", &long[..200]);
    has("the message has no syslog header", "no header");
    has("", "<14>1 - - - - - - no JSON");
    has("message_cut_off", &own("b")[..27]);
    assert_eq!(keys(&test_dir), ["a", "c"]);
}

#[test]
fn senders_show_a_certificate_of_the_authority_or_are_not_heard() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server_certificate, server_key) = authority.issue();
    let test_dir = TestDir::with_settings(&source(
        "edge",
        "daybook",
        "tls = \"127.0.0.1:0\", certificate = \"cert.pem\", key = \"key.pem\", client_ca = \"ca.pem\"",
    ));
    std::fs::write(test_dir.path("cert.pem"), server_certificate).unwrap();
    std::fs::write(test_dir.path("key.pem"), server_key).unwrap();
    std::fs::write(test_dir.path("ca.pem"), authority.0.pem()).unwrap();
    let server = test_dir.serve();
    let address = server.syslog("edge", "TLS");
    for (name, shown) in
        [("none", None), ("other", Some(other.issue())), ("good", Some(authority.issue()))]
    {
        let mut client = tls_client(address, &authority, shown.as_ref());
        let _ = client.write_all(line(&own(name)).as_bytes());
        client.conn.send_close_notify();
        let _ = client.flush();
        let ended = client.read(&mut [0]);
        assert_eq!(ended.is_ok_and(|len| len == 0), name == "good", "{name}");
    }
    becomes_true(|| server.events() == 1);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(keys(&test_dir), ["good"]);
    // An address that cannot be used is reported at the start.
    std::fs::write(test_dir.path("ca.pem"), "no certificate").unwrap();
    let ended = Daybook::try_spawn(&mut test_dir.serve_command(daybook())).err().unwrap();
    assert!(ended.contains("source \"edge\": syslog: couldn't use the authorities"), "{ended}");
}

#[test]
fn others_than_configured_are_not_heard_and_a_port_in_use_is_reported() {
    let test_dir = TestDir::with_settings(&source(
        "edge",
        "daybook",
        "udp = \"127.0.0.1:0\", tcp = \"127.0.0.1:0\", from = [\"127.0.0.2\"]",
    ));
    let server = test_dir.serve();
    let mut stranger = TcpStream::connect(server.syslog("edge", "TCP")).unwrap();
    assert_eq!(stranger.read(&mut [0]).unwrap_or(0), 0, "closed");
    for (from, key) in [("127.0.0.1:0", "stranger"), ("127.0.0.2:0", "friend")] {
        let socket = UdpSocket::bind(from).unwrap();
        socket.send_to(own(key).as_bytes(), server.syslog("edge", "UDP")).unwrap();
    }
    becomes_true(|| server.events() == 1);
    let taken = server.syslog("edge", "TCP");
    let second = TestDir::with_settings(&source("edge", "daybook", &format!("tcp = \"{taken}\"")));
    let ended = Daybook::try_spawn(&mut second.serve_command(daybook())).err().unwrap();
    assert!(
        ended.contains(&format!(
            "source \"edge\": syslog: couldn't listen on {taken} by TCP: Address already in use"
        )),
        "{ended}"
    );
    assert_eq!(server.stop(), Some(0));
    assert_eq!(keys(&test_dir), ["friend"]);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_idle_ones_stay() {
    let (_test_dir, server) = edge("connections_per_address_max = 3\nheader_timeout_s = 1");
    let address = server.syslog("edge", "TCP");
    let mut held: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut fourth = TcpStream::connect(address).unwrap();
    assert_eq!(fourth.read(&mut [0]).unwrap_or(0), 0, "the fourth is closed");
    // Longer than anything that is waited for over HTTP.
    std::thread::sleep(Duration::from_secs(2));
    for (number, stream) in held.iter_mut().enumerate() {
        stream.write_all(line(&own(&number.to_string())).as_bytes()).unwrap();
    }
    becomes_true(|| server.events() == 3);
    held.clear();
    becomes_true(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(line(&own("again")).as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0]);
        server.events() > 3
    });
}

#[test]
fn what_was_sent_before_the_end_is_recorded() {
    let (test_dir, server) = edge("");
    let mut streams: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(server.syslog("edge", "TCP")).unwrap()).collect();
    let names = |sender: usize| (0..500).map(move |number| format!("{sender}-{number:03}"));
    for (sender, stream) in streams.iter_mut().enumerate() {
        let mut bytes: String = names(sender).map(|name| counted(&own(&name))).collect();
        bytes.push_str("400 <14>1 the beginning");
        stream.write_all(bytes.as_bytes()).unwrap();
    }
    assert_eq!(server.stop(), Some(0));
    assert_recorded(&test_dir, 4, &|_, recorded, sender| {
        assert_eq!(recorded, names(sender).collect::<Vec<_>>())
    });
    assert_eq!(
        dead_letters(&test_dir),
        ["message_cut_off: the connection ended within the message: <14>1 the beginning"]
    );
}

/// Checks what was recorded of each sender, whose number stands before the first `-`.
fn assert_recorded(
    test_dir: &TestDir,
    senders: usize,
    check: &dyn Fn(&TestDir, Vec<String>, usize),
) {
    let recorded = keys(test_dir);
    for sender in 0..senders {
        let prefix = format!("{sender}-");
        let of = recorded.iter().filter(|key| key.starts_with(&prefix)).cloned().collect();
        check(test_dir, of, sender);
    }
}

/// With a slow disk the server stops reading, holds little, and has all of it in the end.
#[test]
fn a_slow_log_stops_reading_and_loses_nothing() {
    let (test_dir, server) = edge(
        "syslog_bytes_in_flight_max = 65536\nflush_events = 1000\nunflushed_events_max = 1000",
    );
    let before_kib = server.peak_memory_kib();
    let slow_disk = server.with_slow_disk(3000);
    let mut stream = TcpStream::connect(server.syslog("edge", "TCP")).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(800))).unwrap();
    let padding = "p".repeat(8 << 10);
    let message = |number: usize| {
        counted(
            &own(&format!("0-{number:05}"))
                .replace("}", &format!(r#","description":"{padding}"}}"#)),
        )
    };
    // What the system itself keeps on its way is some ten MiB.
    let (mut number, mut rest) = (0, message(0).into_bytes());
    loop {
        match stream.write(&rest) {
            Ok(len) => {
                rest.drain(..len);
                if rest.is_empty() {
                    number += 1;
                    rest = message(number).into_bytes();
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                break;
            }
        }
        assert!(number < 10_000, "80 MiB were read while nothing was durable");
    }
    let grown_kib = server.peak_memory_kib() - before_kib;
    assert!(grown_kib < 32 << 10, "{grown_kib} KiB are held while nothing is durable");
    drop(slow_disk);
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&rest).unwrap();
    let more: String = (number + 1..number + 500).map(message).collect();
    stream.write_all(more.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "read to its end");
    assert_eq!(server.stop(), Some(0));
    let sent: Vec<String> = (0..number + 500).map(|number| format!("0-{number:05}")).collect();
    assert_recorded(&test_dir, 1, &|_, recorded, _| assert_eq!(recorded, sent));
}

#[test]
fn one_source_does_not_hold_up_another() {
    let test_dir = TestDir::with_settings(&format!(
        "[limits]\nsyslog_bytes_in_flight_max = 20000\n{}{}",
        source("flood", "daybook", TCP),
        source("quiet", "daybook", TCP)
    ));
    let server = test_dir.serve();
    let is_over = AtomicBool::new(false);
    let (flooded, quiet) = (server.syslog("flood", "TCP"), server.syslog("quiet", "TCP"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(flooded).unwrap();
                let some: String = (0..100).map(|_| line(&own("flood"))).collect();
                while !is_over.load(Ordering::Relaxed) {
                    stream.write_all(some.as_bytes()).unwrap();
                }
            });
        }
        becomes_true(|| server.events() > 1000);
        for round in 0..5 {
            let mut stream = TcpStream::connect(quiet).unwrap();
            stream.write_all(line(&own(&format!("quiet{round}"))).as_bytes()).unwrap();
            let target = format!("/v2/{PROJECT}/instances/hub/audit-logs?operation=pull");
            becomes_true(|| {
                // Queries are answered meanwhile, too.
                assert_eq!(server.signed_get(&target).status, 200);
                test_dir.data().exists() && has_quiet(&test_dir, round)
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(server.stop(), Some(0));
}

fn has_quiet(test_dir: &TestDir, round: usize) -> bool {
    let disk: Arc<dyn store::durable::Disk> =
        Arc::new(store::durable::Local::open(&test_dir.data()));
    let log = store::Contents::read(&disk).unwrap();
    let size = log.head().0;
    let wanted = format!("\"quiet{round}\"");
    (0..size)
        .rev()
        .any(|index| text(&log.stored_event(index).unwrap().unwrap().entry).contains(&wanted))
}

/// What is not recorded of datagrams is counted, whoever dropped it, and reported on Daybook's own
/// trail.
#[test]
fn every_datagram_is_recorded_or_reported_as_dropped() {
    let test_dir = TestDir::with_settings(&format!(
        "log_format = \"json\"\n[limits]\nsyslog_bytes_in_flight_max = 2000\n{}",
        source("edge", "daybook", "udp = \"127.0.0.1:0\"")
    ));
    let server = test_dir.serve();
    let address = server.syslog("edge", "UDP");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let padding = "p".repeat(600);
    let send = |range: std::ops::Range<usize>| {
        for number in range {
            let key = format!("{number}-{padding}");
            socket.send_to(own(&key).as_bytes(), address).unwrap();
        }
    };
    let reports = || -> Vec<serde_json::Value> {
        test_dir
            .acts("source.dropped")
            .iter()
            .map(|entry| serde_json::from_str(entry).unwrap())
            .collect()
    };
    // More than there is room for in the queue, then more than the kernel keeps of a stopped
    // process.
    send(0..2_000);
    becomes_true(|| !reports().is_empty());
    server.signal(Signal::STOP);
    send(2_000..32_000);
    server.signal(Signal::CONT);
    send(32_000..32_100);
    let (send_lines, lines) = mpsc::channel();
    let stopped = server.stop_with_lines(&mut |line| send_lines.send(line).unwrap());
    assert_eq!(stopped, Some(0));
    let ended: serde_json::Value = lines
        .try_iter()
        .find(|line: &String| line.contains("syslog ended"))
        .map(|line| serde_json::from_str(&line).unwrap())
        .unwrap();
    let count = |name: &str| ended[name].as_u64().unwrap();
    let (by_daybook, by_kernel) = (count("dropped_by_daybook"), count("dropped_by_kernel"));
    assert!(by_daybook > 0 && by_kernel > 0, "{ended}");
    assert_eq!(count("recorded") + by_daybook + by_kernel, 32_100, "{ended}");
    assert_eq!(test_dir.events().len() as u64, count("recorded"), "{ended}");
    // The first at once, the rest at the end: a flood of drops is no flood of records.
    let acts = reports();
    let sum = |name: &str| -> u64 {
        acts.iter()
            .map(|act| act["attributes"][name].as_str().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    assert_eq!((sum("by_daybook"), sum("by_kernel")), (by_daybook, by_kernel), "{acts:?}");
    assert_eq!(sum("count"), by_daybook + by_kernel, "{acts:?}");
    assert!((2..10).contains(&acts.len()), "{acts:?}");
    assert!(acts[0]["attributes"]["trail"].as_str().unwrap().ends_with("/hub"), "{acts:?}");
}

const KILLS: usize = 12;
const SENDERS: usize = 4;

/// Of each connection, what is there after SIGKILL is all that was sent up to some message: whole,
/// once and in order.
#[test]
fn kills_leave_whole_messages_once_and_in_order() {
    let test_dir = TestDir::with_settings(&format!(
        "[limits]\nflush_events = 200\nunflushed_events_max = 400\n{}",
        source("edge", "daybook", TCP)
    ));
    let aim: Mutex<Option<SocketAddr>> = Mutex::new(None);
    let is_over = AtomicBool::new(false);
    let sent: Vec<BTreeMap<usize, usize>> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn({
                    let (aim, is_over) = (&aim, &is_over);
                    move || send_through_kills(sender, aim, is_over)
                })
            })
            .collect();
        for kill in 0..KILLS {
            let mut server = test_dir.serve();
            *aim.lock().unwrap() = Some(server.syslog("edge", "TCP"));
            std::thread::sleep(Duration::from_millis(100 + 37 * kill as u64));
            server.kill_9();
        }
        let server = test_dir.serve();
        *aim.lock().unwrap() = Some(server.syslog("edge", "TCP"));
        std::thread::sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::SeqCst);
        let sent = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        assert_eq!(server.stop(), Some(0));
        sent
    });
    let recorded = keys(&test_dir);
    let mut total = 0;
    for (sender, connections) in sent.iter().enumerate() {
        let last = *connections.keys().last().unwrap();
        for (&connection, &messages) in connections {
            let prefix = format!("{sender}-{connection}-");
            let there: Vec<&String> =
                recorded.iter().filter(|key| key.starts_with(&prefix)).collect();
            let expected: Vec<String> =
                (0..there.len()).map(|number| format!("{prefix}{number}")).collect();
            assert_eq!(there, expected.iter().collect::<Vec<_>>());
            assert!(there.len() <= messages);
            // Nothing killed the last server.
            assert!(connection < last || there.len() == messages, "{} of {messages}", there.len());
            total += there.len();
        }
    }
    println!("{total} messages are there");
    assert_eq!(total, recorded.len(), "nothing else is there");
    assert!(total > 100 * KILLS, "there was hardly any load");
}

/// Sends numbered messages, on a new connection after each that broke. Returns how many were begun
/// on each.
fn send_through_kills(
    sender: usize,
    aim: &Mutex<Option<SocketAddr>>,
    is_over: &AtomicBool,
) -> BTreeMap<usize, usize> {
    let mut sent = BTreeMap::new();
    for connection in 0.. {
        let stream = loop {
            let address = *aim.lock().unwrap();
            match address.and_then(|address| TcpStream::connect(address).ok()) {
                Some(stream) => break stream,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let mut stream = stream;
        sent.insert(connection, 0);
        for number in 0.. {
            if is_over.load(Ordering::SeqCst) {
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap(), 0, "read to its end");
                return sent;
            }
            sent.insert(connection, number + 1);
            let message = own(&format!("{sender}-{connection}-{number}"));
            let framed = if number % 2 == 0 { counted(&message) } else { line(&message) };
            if stream.write_all(framed.as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    unreachable!("a sender ends when the channel closes")
}
