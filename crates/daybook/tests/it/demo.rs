//! The demo ends in order, shows real data, and leaves nothing behind.

use crate::harness::{daybook, text};

#[test]
fn the_demo_answers_from_real_captures_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let output = daybook()
        .args(["demo", "--listen", "127.0.0.1:0", "--once"])
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for what in ["docker-registry 2.8", "distribution 3.1", "nginx", "MariaDB", "Kubernetes"] {
        assert!(
            said.lines().any(|line| line.starts_with("recorded ") && line.contains(what)),
            "{said}"
        );
    }
    let json = &said[said.find("\n{").unwrap()..];
    let answer: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(answer["audit_logs"].as_array().unwrap().len(), 5);
    assert!(answer["total"].as_u64().unwrap() > 5);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the data directory is removed");
}

#[test]
fn a_port_in_use_is_explained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = daybook().args(["demo", "--once", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("choose another with --listen"),
        "{}",
        text(&output.stderr)
    );
}
