//! TLS with a certificate of the test's own, spoken by a client everyone has.

use std::process::Command;

use crate::harness::{Daybook, TestDir, daybook, text};

#[test]
fn curl_speaks_both_protocols_by_alpn() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let test_dir = TestDir::with_settings("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"");
    std::fs::write(test_dir.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(test_dir.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut command = test_dir.serve_command(daybook());
    let server = Daybook::spawn(&mut command);
    let url = |path: &str| format!("https://localhost:{}{path}", server.address.port());
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(test_dir.path("cert.pem"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let said = curl(&[flag, "-w", "\n%{http_version} %{http_code}", &url("/healthz")]);
        assert_eq!(said, format!("{{\"status\":\"ok\"}}\n{version} 200"));
        let sent = curl(&[
            flag,
            "-H",
            "Authorization: Bearer a token of sixteen or more",
            "-d",
            r#"{"action":"x"}"#,
            &url("/intake/own"),
        ]);
        assert!(sent.contains("\"recorded\":1"), "{sent}");
    }
    let plain = Command::new("curl")
        .args(["-sS", &url("/healthz").replace("https", "http")])
        .output()
        .unwrap();
    assert!(
        !plain.status.success(),
        "plain HTTP is not answered on a TLS port, and not redirected"
    );
    assert_eq!(server.stop(), Some(0));
    assert_eq!(test_dir.events().len(), 2);
}

#[test]
fn a_silent_client_is_closed_whatever_it_speaks() {
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let test_dir = TestDir::with_settings(
        "[limits]\nheader_timeout_s = 1\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"",
    );
    std::fs::write(test_dir.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(test_dir.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let server = test_dir.serve();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // No handshake at all, then each protocol with nothing, half a preface, and a whole one without
    // a request.
    let began = Instant::now();
    assert_eq!(server.client().stream.read(&mut [0]).unwrap_or(0), 0);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "no handshake: open for {:?}",
        began.elapsed()
    );
    for (protocol, sent) in [
        ("h2", ""),
        ("h2", "PRI"),
        ("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("http/1.1", ""),
        ("http/1.1", "GET / H"),
    ] {
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(connection, server.client().stream);
        stream.write_all(sent.as_bytes()).unwrap();
        stream.flush().unwrap();
        let began = Instant::now();
        let mut piece = [0; 1024];
        while stream.read(&mut piece).is_ok_and(|len| len > 0) {}
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{protocol} {sent:?}: open for {:?}",
            began.elapsed()
        );
    }
}
