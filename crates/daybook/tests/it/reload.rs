//! SIGHUP: configuration and certificates are read again while the server serves.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Client, Daybook, PATIENCE, TOKEN, TestDir, becomes_true, daybook};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Puts a new certificate into the directory's files.
fn new_certificate(test_dir: &TestDir) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(test_dir.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(test_dir.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made
}

/// A connection to whoever listens there, who must show this certificate; the handshake is done.
fn handshake(
    address: SocketAddr,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, Client::connect(address)?.stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn connect(
    server: &Daybook,
    certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> std::io::Result<Tls> {
    let mut stream = handshake(server.address, certificate)?;
    is_served(&mut stream).map(|()| stream)
}

fn is_served(stream: &mut Tls) -> std::io::Result<()> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        let mut piece = [0; 256];
        match stream.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            len => answer.extend_from_slice(&piece[..len]),
        }
    }
    Ok(())
}

/// Reloads, and waits for what it says of that.
fn reload(server: &Daybook, says: &str) -> String {
    server.signal(Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    let mut said = String::new();
    while !said.contains(says) {
        assert!(Instant::now() < deadline, "{says:?} was not said: {said}");
        server.said().iter().for_each(|line| said.push_str(&format!("{line}\n")));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    said
}

const RELOADED: &str = "reloaded the configuration";
const REJECTED: &str = "rejected the new configuration";

#[test]
fn a_new_certificate_is_for_new_connections() {
    let test_dir = TestDir::with_settings("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"");
    let first = new_certificate(&test_dir);
    let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    let with_syslog =
        config.replace("name = \"own\"\n", "name = \"own\"\nsyslog = { tls = \"127.0.0.1:0\" }\n");
    std::fs::write(test_dir.path("daybook.toml"), with_syslog).unwrap();
    let server = test_dir.serve();
    let syslog = server.syslog("own", "TLS");
    let mut open = connect(&server, &first).unwrap();
    handshake(syslog, &first).unwrap();
    let second = new_certificate(&test_dir);
    assert!(connect(&server, &second).is_err(), "not before it gets the signal");
    reload(&server, RELOADED);
    connect(&server, &second).unwrap();
    assert!(connect(&server, &first).is_err());
    handshake(syslog, &second).unwrap();
    assert!(handshake(syslog, &first).is_err());
    is_served(&mut open).expect("the connection goes on");
    // A key of another certificate is taken up no more than nonsense is.
    new_certificate(&test_dir);
    std::fs::write(test_dir.path("key.pem"), second.signing_key.serialize_pem()).unwrap();
    assert!(reload(&server, REJECTED).contains("couldn't use the certificate"));
    connect(&server, &second).unwrap();
    is_served(&mut open).unwrap();
    drop(open);
    assert_eq!(server.stop(), Some(0));
    let acts = test_dir.acts("config.reload");
    assert_eq!(acts.len(), 2, "{acts:?}");
    let changed = "\"changed\":\"the certificate of the server; the certificate of source own\"";
    assert!(acts[0].contains(changed), "{}", acts[0]);
    assert!(acts[1].contains("\"outcome\":{\"result\":\"failure\""), "{}", acts[1]);
}

#[test]
fn settings_that_can_change_do_and_the_others_are_named() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    let write = |text: &str| std::fs::write(test_dir.path("daybook.toml"), text).unwrap();
    let send = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        server.request("POST", "/intake/own", &headers, br#"{"action":"x"}"#).status
    };
    let other = "another token, as long";
    assert_eq!((send(TOKEN), send(other)), (200, 401));
    // The same file with another token, and a limit of requests.
    std::fs::write(test_dir.path("token"), other).unwrap();
    assert_eq!(send(TOKEN), 200);
    write(&format!(
        "listen = \"127.0.0.1:1\"\n[limits]\nuri_bytes_max = 100\nflush_events = 77\n{config}"
    ));
    let said = reload(&server, "setting=\"limits.flush_events\"");
    assert!(said.contains("source.own.token") && said.contains("limits.uri_bytes_max"), "{said}");
    assert!(!said.contains("setting=\"listen\""), "the flag stands over the file: {said}");
    assert!(!said.contains(other) && !said.contains(TOKEN), "{said}");
    assert_eq!((send(TOKEN), send(other)), (401, 200));
    let path = format!("/{}", "x".repeat(100));
    assert_eq!(server.request("GET", &path, &[], b"").status, 414);
    let limits = server.signed_get("/api/v1/limits").json()["limits"].clone();
    let value = |name: &str| {
        limits.as_array().unwrap().iter().find(|limit| limit["name"] == name).unwrap()["value"]
            .clone()
    };
    assert_eq!((value("uri_bytes_max"), value("flush_events")), (100.into(), 131_072.into()));
    // A fault is reported, and everything stays.
    for (wrong, why) in [
        ("limits = 3", "limits"),
        ("[limits]\nuri_bytes_max = 0", "limits.uri_bytes_max: 0 would refuse everything"),
        ("[metrics]\ntoken = { file = \"nowhere\" }", "couldn't read the token"),
    ] {
        write(&format!("{wrong}\n{config}"));
        assert!(reload(&server, REJECTED).contains(why), "{wrong}");
        assert_eq!((send(other), server.request("GET", &path, &[], b"").status), (200, 414));
    }
    // Back to the beginning.
    write(&config);
    std::fs::write(test_dir.path("token"), TOKEN).unwrap();
    reload(&server, RELOADED);
    assert_eq!((send(TOKEN), server.request("GET", &path, &[], b"").status), (200, 404));
    becomes_true(|| test_dir.acts("config.reload").len() == 5);
    assert_eq!(server.stop(), Some(0));
    let acts = test_dir.acts("config.reload");
    assert!(
        acts[0]
            .contains("\"changed\":\"limits.uri_bytes_max; source.hub.token; source.own.token\""),
        "{}",
        acts[0]
    );
    assert!(acts[0].contains("\"waiting\":\"limits.flush_events\""), "{}", acts[0]);
    let all = test_dir.acts("").concat();
    assert!(!all.contains(other) && !all.contains(TOKEN));
    // What a start takes up was recorded when it was reloaded.
    let changes = test_dir.acts("configuration.change").len();
    assert_eq!(test_dir.serve().stop(), Some(0));
    assert_eq!(test_dir.acts("configuration.change").len(), changes);
}

#[test]
fn the_level_of_the_log_changes_at_once() {
    let test_dir = TestDir::new();
    let server = Daybook::spawn(test_dir.serve_command(daybook()).args(["--log-format", "json"]));
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
    let config = std::fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    std::fs::write(test_dir.path("daybook.toml"), format!("log_level = \"debug\"\n{config}"))
        .unwrap();
    assert!(!reload(&server, RELOADED).contains("answered"));
    assert_eq!(server.request("GET", "/healthz", &[], b"").status, 200);
    let mut said = Vec::new();
    becomes_true(|| {
        said.extend(server.said());
        said.iter().any(|line| line.contains("\"message\":\"answered\""))
    });
    for line in said.iter().filter(|line| line.starts_with('{')) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["timestamp"].is_string()
                && line["level"].is_string()
                && line["message"].is_string()
        );
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_signal_during_the_start_reloads_after_it() {
    use std::io::{BufRead, BufReader};
    let test_dir = TestDir::new();
    // The start waits for the lock of a running server.
    let lock = std::fs::File::create(test_dir.data().join("serving.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = test_dir.serve_command(daybook());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("opened the log")));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    lock.unlock().unwrap();
    assert!(lines.any(|line| line.contains(RELOADED)), "the signal ended the server");
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
