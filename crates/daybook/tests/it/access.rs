//! Rights: given and taken on the command line, followed by the running server.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::harness::{
    ACCESS_KEY, Daybook, PROJECT, SECRET, TestDir, becomes_true, daybook, notification, now, run,
    sign, text,
};

fn status(server: &Daybook, access_key: &str, secret: &str, at: u64) -> u16 {
    let target = format!("/v2/{PROJECT}/instances/hub/audit-logs?operation=pull");
    let signed = sign(server.address, access_key, secret, "GET", &target, b"", at);
    let headers: Vec<(&str, &str)> =
        signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    server.request("GET", &target, &headers, b"").status
}

#[test]
fn the_running_server_follows_every_change() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    test_dir.access(&["user", "add", "bob"]);
    let made = test_dir.access(&["key", "add", "bob"]);
    let value = |name: &str| {
        made.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let (access_key, secret) = (value("access key (AK):"), value("secret key (SK):"));
    assert_eq!((access_key.len(), secret.len()), (20, 40));
    assert_eq!(
        status(&server, &access_key, &secret, now()),
        403,
        "a user may do nothing until granted something"
    );
    test_dir.access(&["grant", "bob", "reader", &format!("registry/acme/{PROJECT}/other")]);
    assert_eq!(
        status(&server, &access_key, &secret, now()),
        404,
        "what a caller may not see does not exist"
    );
    test_dir.access(&["grant", "bob", "reader", &format!("registry/acme/{PROJECT}/hub")]);
    assert_eq!(status(&server, &access_key, &secret, now()), 200);
    assert_eq!(status(&server, &access_key, "another secret", now()), 401);
    test_dir.access(&["revoke", "bob", "reader", &format!("registry/acme/{PROJECT}/hub")]);
    assert_eq!(status(&server, &access_key, &secret, now()), 404);
    test_dir.access(&["key", "remove", &access_key]);
    assert_eq!(status(&server, &access_key, &secret, now()), 401);
    assert_eq!(status(&server, ACCESS_KEY, SECRET, now()), 200);
}

#[test]
fn a_signature_lives_fifteen_minutes() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    for (age, expected) in [(0, 200), (14 * 60 + 50, 200), (15 * 60 + 10, 401)] {
        assert_eq!(status(&server, ACCESS_KEY, SECRET, now() - age), expected, "{age} s ago");
        assert_eq!(status(&server, ACCESS_KEY, SECRET, now() + age), expected, "in {age} s");
    }
}

#[test]
fn no_secret_stands_anywhere_in_the_open() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    assert_eq!(status(&server, ACCESS_KEY, SECRET, now()), 200);
    assert_eq!(status(&server, ACCESS_KEY, "wrong", now()), 401);
    assert!(!test_dir.access(&["list"]).contains(SECRET));
    assert!(
        server
            .said()
            .iter()
            .all(|line| !line.contains(SECRET) && !line.contains(crate::harness::TOKEN))
    );
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut files = vec![test_dir.data()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = text(&std::fs::read(&path).unwrap());
            assert!(!bytes.contains(SECRET) && !bytes.contains(&hex), "{}", path.display());
        }
    }
}

#[test]
fn a_broken_file_leaves_the_rights_before_in_force() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    assert_eq!(status(&server, ACCESS_KEY, SECRET, now()), 200);
    let path = test_dir.data().join("access.toml");
    let right = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "version = 1\n[[user]]\nid = 7\n").unwrap();
    let mut said = Vec::new();
    becomes_true(|| {
        said.extend(server.said());
        said.iter().any(|line| line.contains("couldn't reload access.toml"))
    });
    assert_eq!(status(&server, ACCESS_KEY, SECRET, now()), 200);
    std::fs::write(&path, right.replace("reader", "emperor")).unwrap();
    assert_eq!(status(&server, ACCESS_KEY, SECRET, now()), 200);
    drop(server);
    let ended = Daybook::try_spawn(&mut test_dir.serve_command(daybook())).err().unwrap();
    assert!(ended.contains("access.toml") && ended.contains("emperor"), "{ended}");
}

#[test]
fn changes_at_the_same_moment_all_stay() {
    let test_dir = TestDir::new();
    let data = test_dir.data();
    std::thread::scope(|scope| {
        for user in 0..8 {
            let data = &data;
            scope.spawn(move || {
                let output = run(&[
                    "access",
                    "user",
                    "add",
                    &format!("user{user}"),
                    "-d",
                    data.to_str().unwrap(),
                ]);
                assert!(output.status.success(), "{}", text(&output.stderr));
            });
        }
    });
    let listed = test_dir.access(&["list"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with("user ")).count(), 10, "{listed}");
}

#[test]
fn wrong_arguments_are_explained() {
    let test_dir = TestDir::new();
    for (arguments, code, why) in [
        (&["grant", "nobody", "reader", "registry/acme/*/*"][..], 1, "there is no user \"nobody\""),
        (
            &["grant", "auditor", "reader", "registry/acme"],
            2,
            "write SERVICE/TENANT/PROJECT/INSTANCE",
        ),
        (&["grant", "auditor", "emperor", "*/*/*/*"], 2, "emperor"),
        (&["key", "add", "auditor", "--id", ACCESS_KEY], 1, "exists already"),
        (&["key", "remove", "NOBODY"], 1, "there is no access key"),
        (&["revoke", "auditor", "reader", "*/*/*/*"], 1, "there is no such grant"),
        (&["project", "add", "x", "--tenant", "acme", "--id", PROJECT], 1, "exists already"),
        (&["project", "add", "x", "--tenant", "ac/me"], 2, "tenant"),
    ] {
        let output = daybook()
            .arg("access")
            .args(arguments)
            .arg("-d")
            .arg(test_dir.data())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {}", text(&output.stderr));
    }
    let nowhere =
        run(&["access", "user", "add", "x", "-d", test_dir.temp.path().to_str().unwrap()]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(!test_dir.path("access.toml").exists(), "nothing is written where there is no log");
}

/// An operator types `sudo daybook …` in the data directory of a server that is another user.
#[test]
fn commands_of_root_leave_the_files_to_the_owner_of_the_folder() {
    const OWNER: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        println!("not root: commands run as the owner anyway");
        return;
    }
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    server.send("hub", notification("n1", "pull", "sha256:aa", "2026-11-20T17:00:00Z"));
    assert_eq!(server.stop(), Some(0));
    let data = test_dir.data();
    let mut owned = Vec::new();
    everything_in(&data, &mut owned);
    for path in owned {
        std::os::unix::fs::chown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    test_dir.access(&["user", "add", "bob"]);
    test_dir.access(&["key", "add", "bob"]);
    test_dir.check();
    let mut found = Vec::new();
    everything_in(&data, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for path in found {
        let at = std::fs::metadata(&path).unwrap();
        assert_eq!((at.uid(), at.gid()), (OWNER, OWNER), "{}", path.display());
        let others = if at.is_dir() { 0o077 } else { 0o177 };
        assert_eq!(at.mode() & others, 0, "{}", path.display());
    }
}

/// A folder and all in it.
fn everything_in(path: &Path, found: &mut Vec<PathBuf>) {
    found.push(path.to_owned());
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            everything_in(&entry.unwrap().path(), found);
        }
    }
}
