//! A log that went back, was copied, or is served twice is not served until an operator says on
//! record that it is to go on.

use std::fs;

use crate::evidence::{copy, covering, key_of, send};
use crate::harness::{Daybook, TestDir, daybook, text};
use crate::verify::{accept, exits};

/// Starts a server that must refuse the log; returns what it said.
fn refused(test_dir: &TestDir) -> String {
    let mut command = test_dir.serve_command(daybook());
    match Daybook::try_spawn(&mut command) {
        Ok(_) => panic!("the log was served"),
        Err(said) => said,
    }
}

#[test]
fn a_restored_backup_is_refused_until_it_is_accepted() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..3);
    assert_eq!(server.stop(), Some(0));
    let backup = test_dir.path("backup");
    copy(&test_dir.data(), &backup);
    let server = test_dir.serve();
    send(&server, 3..9);
    assert_eq!(server.stop(), Some(0));
    // The whole directory, with the checkpoint of its time.
    fs::remove_dir_all(test_dir.data()).unwrap();
    copy(&backup, &test_dir.data());
    let said = refused(&test_dir);
    assert!(said.contains("data.guard") && said.contains("older than its checkpoint"), "{said}");
    assert!(said.contains("daybook guard accept --reason"), "{said}");
    let (stored, guarded) =
        (test_dir.data().join("tree/checkpoint"), test_dir.path("data.guard/checkpoint"));
    let before = fs::read(&guarded).unwrap();
    refused(&test_dir);
    assert_eq!(fs::read(&stored).unwrap(), fs::read(backup.join("tree/checkpoint")).unwrap());
    assert_eq!(fs::read(&guarded).unwrap(), before);
    let said = accept(&test_dir);
    assert!(said.contains("guard: ") && said.contains("Recorded"), "{said}");
    assert!(accept(&test_dir).contains("nothing to accept"));
    let server = test_dir.serve();
    let acts = test_dir.acts("log.accept");
    assert!(acts.len() == 1 && acts[0].contains("a test"), "{acts:?}");
    send(&server, 20..23);
    covering(&server, &key_of(&test_dir), 6);
    assert_eq!(server.stop(), Some(0));
    test_dir.check();
    assert_eq!(test_dir.serve().stop(), Some(0));
}

#[test]
fn a_log_with_fewer_events_than_were_signed_for_is_accepted_on_record() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..3);
    assert_eq!(server.stop(), Some(0));
    let old = test_dir.path("old");
    copy(&test_dir.data(), &old);
    let server = test_dir.serve();
    send(&server, 3..9);
    assert_eq!(server.stop(), Some(0));
    let newest = fs::read(test_dir.data().join("tree/checkpoint")).unwrap();
    fs::remove_dir_all(test_dir.data()).unwrap();
    copy(&old, &test_dir.data());
    fs::write(test_dir.data().join("tree/checkpoint"), newest).unwrap();
    assert!(refused(&test_dir).contains("tree/checkpoint"));
    let said = accept(&test_dir);
    assert!(said.contains("guard: ") && said.contains("data directory: "), "{said}");
    let server = test_dir.serve();
    assert_eq!(test_dir.acts("log.accept").len(), 1);
    assert_eq!(server.events(), 3);
}

#[test]
fn a_copy_and_a_second_server_are_refused() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..3);
    covering(&server, &key_of(&test_dir), 3);
    // A copy has no guard, whether the log runs or not.
    let copied = test_dir.path("copied");
    copy(&test_dir.data(), &copied);
    let serve = |settings: &[(&str, &str)]| {
        let mut command = daybook();
        command.arg("serve").arg("--config").arg(test_dir.path("daybook.toml"));
        command
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&copied)
            .envs(settings.iter().copied());
        Daybook::try_spawn(&mut command).err().expect("the copy was served")
    };
    let said = serve(&[]);
    assert!(said.contains("copied.guard") && said.contains("may be a copy"), "{said}");
    assert!(!test_dir.path("copied.guard").exists(), "a refusal leaves nothing behind");
    // Nor may it have the guard of the log, while that is served.
    let guard = test_dir.path("data.guard");
    let shared = [("DAYBOOK_EVIDENCE_GUARD", guard.to_str().unwrap())];
    let said = serve(&shared);
    assert!(said.contains("a server of this log is running"), "{said}");
    // Once that has gone on and stopped, the copy is behind.
    send(&server, 3..5);
    assert_eq!(server.stop(), Some(0));
    let said = serve(&shared);
    assert!(said.contains("older than its checkpoint"), "{said}");
    // A second server on the same directory.
    let server = test_dir.serve();
    let said = refused(&test_dir);
    assert!(said.contains("another process"), "{said}");
    assert_eq!(server.stop(), Some(0));
    // The guard is removed.
    fs::remove_dir_all(&guard).unwrap();
    assert!(refused(&test_dir).contains("there is no guard"));
    let output = daybook()
        .args(["guard", "accept", "--reason", " ", "--data-dir"])
        .arg(test_dir.data())
        .output()
        .unwrap();
    exits(&output, 2);
    accept(&test_dir);
    assert_eq!(test_dir.serve().stop(), Some(0));
}

#[test]
fn a_guard_elsewhere_is_made_where_it_was_configured() {
    let test_dir = TestDir::with_settings("[evidence]\nguard = \"elsewhere/guard\"\n");
    let said = refused(&test_dir);
    assert!(said.contains("evidence.guard"), "its parent is not there: {said}");
    fs::create_dir(test_dir.path("elsewhere")).unwrap();
    assert_eq!(test_dir.serve().stop(), Some(0));
    assert!(
        test_dir.path("elsewhere/guard/checkpoint").exists()
            && !test_dir.path("data.guard").exists()
    );
    let output = daybook()
        .args(["guard", "accept", "--reason", "x", "--data-dir"])
        .arg(test_dir.data())
        .output()
        .unwrap();
    assert!(
        text(&output.stdout).contains("it is not there"),
        "another guard than the configured one"
    );
}
