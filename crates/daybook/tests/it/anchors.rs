//! What is in force is in the log: rights and settings that something else than Daybook changed are
//! on record before they are in force, whatever the files say.

use std::fs;

use crate::harness::{Daybook, TestDir, becomes_true};

const RIGHTS: [&str; 2] = ["access.toml", "access.recorded.toml"];
const FORGED: &str = "[[user]]\nid = \"mallory\"\nname = \"mallory\"\n\
                      [[grant]]\nuser = \"mallory\"\nrole = \"admin\"\ntrails = \"*/*/*/*\"\n";

/// A directory whose metrics everyone may read.
fn test_dir() -> TestDir {
    TestDir::with_settings("[metrics]\npublic = true")
}

fn read(test_dir: &TestDir, name: &str) -> String {
    fs::read_to_string(test_dir.data().join(name)).unwrap()
}

fn write(test_dir: &TestDir, name: &str, text: &str) {
    fs::write(test_dir.data().join(name), text).unwrap();
}

fn alerts(server: &Daybook) -> String {
    let metrics = server.request("GET", "/metrics", &[], b"").text();
    let name = "daybook_changed_outside_total ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned()
}

#[test]
fn forged_copies_bring_no_rights_into_force_unrecorded() {
    let test_dir = test_dir();
    assert_eq!(test_dir.serve().stop(), Some(0));
    let forged = read(&test_dir, RIGHTS[0]) + FORGED;
    RIGHTS.iter().for_each(|name| write(&test_dir, name, &forged));
    let server = test_dir.serve();
    assert_eq!(alerts(&server), "1");
    let outside = test_dir.acts("access.changed_outside");
    assert_eq!(outside.len(), 1, "{outside:?}");
    let changed = "create user: mallory; create grant: mallory admin */*/*/*";
    assert!(outside[0].contains(changed), "{}", outside[0]);
    assert!(outside[0].contains("\"severity\":4"), "{}", outside[0]);
    assert!(test_dir.acts("access.create").concat().contains("\"login\":\"mallory\""));
    assert_eq!(server.stop(), Some(0));
    let server = test_dir.serve();
    assert_eq!((alerts(&server).as_str(), test_dir.acts("access.changed_outside").len()), ("0", 1));
    // As it was, with both copies: what the log anchors is the forged version.
    let before = forged.strip_suffix(FORGED).unwrap();
    assert_eq!(server.stop(), Some(0));
    RIGHTS.iter().for_each(|name| write(&test_dir, name, before));
    drop(test_dir.serve());
    assert!(test_dir.acts("access.changed_outside")[1].contains("delete user: mallory"));
}

#[test]
fn an_edit_beside_a_running_server_is_recorded_as_one() {
    let test_dir = test_dir();
    let server = test_dir.serve();
    test_dir.access(&["user", "disable", "auditor"]);
    assert_eq!(test_dir.acts("access.changed_outside").len(), 0);
    let update = &test_dir.acts("access.update")[0];
    assert!(update.contains("\"from\":\"enabled=true\""), "{update}");
    assert!(update.contains("\"to\":\"enabled=false\""), "{update}");
    write(&test_dir, RIGHTS[0], &(read(&test_dir, RIGHTS[0]) + FORGED));
    becomes_true(|| alerts(&server) == "1");
    // The same edit once more, after it was withdrawn, is on record once more.
    let edited = read(&test_dir, RIGHTS[0]);
    write(&test_dir, RIGHTS[0], edited.strip_suffix(FORGED).unwrap());
    becomes_true(|| alerts(&server) == "2");
    write(&test_dir, RIGHTS[0], &edited);
    becomes_true(|| alerts(&server) == "3");
    let outside = test_dir.acts("access.changed_outside");
    let verbs = ["create", "delete", "create"].map(|verb| format!("{verb} user: mallory"));
    assert!(outside.iter().zip(&verbs).all(|(act, verb)| act.contains(verb)), "{outside:?}");
    let create = |act: &&String| act.contains("\"login\":\"mallory\"");
    assert_eq!(test_dir.acts("access.create").iter().filter(create).count(), 4);
}

#[test]
fn a_forged_copy_hides_no_change_of_settings() {
    let test_dir = test_dir();
    assert_eq!(test_dir.serve().stop(), Some(0));
    let (config, copy) = (test_dir.path("daybook.toml"), "config.recorded.toml");
    let (first, first_copy) = (fs::read_to_string(&config).unwrap(), read(&test_dir, copy));
    fs::write(&config, format!("public_url = \"https://audit.example.com\"\n{first}")).unwrap();
    assert_eq!(test_dir.serve().stop(), Some(0));
    assert_eq!(test_dir.acts("configuration.change").len(), 2);
    // The settings of before, and the copy that hid them.
    fs::write(&config, first).unwrap();
    write(&test_dir, copy, &first_copy.replace("public = true", "public = false"));
    let server = test_dir.serve();
    assert_eq!(alerts(&server), "1");
    let changes = test_dir.acts("configuration.change");
    let changed = "public_url: \\\"https://audit.example.com\\\" -> unset";
    assert!(changes.len() == 3 && changes[2].contains(changed), "{changes:?}");
    let outside = test_dir.acts("configuration.changed_outside");
    assert!(outside[0].contains("metrics.public: true -> false"), "{outside:?}");
    assert_eq!(read(&test_dir, copy), first_copy, "the copy is whole again");
}
