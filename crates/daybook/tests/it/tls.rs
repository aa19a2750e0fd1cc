//! TLS with a certificate of the test's own, spoken by a client everyone has.

use std::process::Command;

use crate::harness::{Daybook, Place, daybook, text};

#[test]
fn curl_speaks_both_protocols_by_alpn() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let place = Place::with_settings("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"");
    std::fs::write(place.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(place.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut command = place.serve_command(daybook());
    let server = Daybook::spawn(&mut command);
    let url = |path: &str| format!("https://localhost:{}{path}", server.address.port());
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(place.path("cert.pem"))
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
    let plain =
        Command::new("curl").args(["-sS", &url("/healthz").replace("https", "http")]).output().unwrap();
    assert!(!plain.status.success(), "plain HTTP is not answered on a TLS port, and not redirected");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(place.check()["events"], "2");
}
