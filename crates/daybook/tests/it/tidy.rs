//! The house rules, as far as a machine can see them.

use std::path::{Path, PathBuf};

use crate::harness::workspace;

/// Every tracked kind of text file below a folder, build output left out.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", ".git", "testdata", "__pycache__"].contains(&name) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {endings:?} below {folder}");
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Code without its comments and without what follows the line that begins the unit tests.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn assert_absent(folder: &str, words: &[&str], except: &[&str], rule: &str) {
    for path in files(folder, &[".rs"]) {
        if except.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let code = code(&path);
        for word in words {
            assert!(!code.contains(word), "{}: {word:?}: {rule}", path.display());
        }
    }
}

/// Every crate, and those of ours that it may use. What is not in this table is refused by the
/// compiler, since a crate sees only what its manifest names.
const CRATES: [(&str, &[&str]); 13] = [
    ("event", &[]),
    ("tlog", &[]),
    ("formats", &["event"]),
    ("client", &[]),
    ("net", &[]),
    ("system", &["event"]),
    ("store", &["event", "tlog"]),
    ("find", &["event", "store", "tlog"]),
    ("verify", &["client", "event", "find", "store", "tlog"]),
    ("access", &["event", "net", "store", "system"]),
    ("config", &["event", "formats", "tlog"]),
    ("intake", &["config", "event", "formats", "net", "store", "system"]),
    (
        "server",
        &[
            "access", "client", "config", "event", "find", "formats", "intake", "net", "store",
            "system", "tlog", "verify",
        ],
    ),
];

#[test]
fn crates_depend_in_one_direction() {
    let names: Vec<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    for folder in std::fs::read_dir(workspace().join("crates")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(name == "daybook" || names.contains(&name.as_str()), "{name} is not in the table");
    }
    for (position, (name, allowed)) in CRATES.iter().enumerate() {
        let manifest: toml::Table =
            read(&workspace().join(format!("crates/{name}/Cargo.toml"))).parse().unwrap();
        let dependencies: Vec<&String> =
            manifest["dependencies"].as_table().unwrap().keys().collect();
        for dependency in &dependencies {
            let is_ours = names.contains(&dependency.as_str());
            assert!(!is_ours || allowed.contains(&dependency.as_str()), "{name} uses {dependency}");
        }
        assert!(allowed.iter().all(|one| names[..position].contains(one)), "{name} points back");
        let is_async = ["net", "access", "intake", "server"].contains(name);
        for async_or_http in ["tokio", "hyper", "axum"] {
            assert!(
                is_async || !dependencies.iter().any(|one| *one == async_or_http),
                "crates/{name} depends on {async_or_http}"
            );
        }
    }
}

#[test]
fn pure_crates_touch_nothing() {
    for folder in ["crates/event/src", "crates/formats/src", "crates/tlog/src"] {
        let words = [
            "std::fs",
            "std::net::Tcp",
            "std::net::Udp",
            "std::env",
            "std::process",
            "std::thread",
            "std::time",
            "SystemTime",
            "Instant",
            "getrandom",
            "tokio",
        ];
        assert_absent(folder, &words, &[], "event, formats and tlog are pure");
    }
}

#[test]
fn clock_and_randomness_are_arguments() {
    let words =
        ["SystemTime", "Instant::now", "getrandom", "rand::", "Timestamp::now", "Zoned::now"];
    assert_absent(
        "crates/store/src",
        &words,
        &[],
        "time and randomness are arguments in the store",
    );
    // Another crate may measure how long things took, and nothing else.
    let mut except = not_sources();
    except.push("system/src/lib.rs");
    assert_absent(
        "crates",
        &["SystemTime::now", "getrandom", "rand::", "Timestamp::now"],
        &except,
        "the program's clock and randomness are in crate system",
    );
}

#[test]
fn files_are_synced_and_renamed_in_one_module() {
    let words = ["sync_all", "sync_data", "fs::rename", "fdatasync", "fsync("];
    for folder in [
        "crates/event/src",
        "crates/formats/src",
        "crates/tlog/src",
        "crates/store/src",
        "crates/daybook/src",
    ] {
        assert_absent(
            folder,
            &words,
            &["store/src/durable.rs"],
            "only durable.rs syncs and renames",
        );
    }
    // The store's other modules reach files only through the Disk trait; the simulated one is a
    // disk itself.
    assert_absent(
        "crates/store/src",
        &["std::fs", "fs::"],
        &["store/src/durable.rs"],
        "files are reached through the Disk trait",
    );
}

#[test]
fn wire_apis_do_not_import_each_other() {
    let apis = ["codearts", "daybook", "dbss", "hcs", "iam", "swr", "taurusdb"];
    for api in apis {
        for path in files(&format!("crates/server/src/api/{api}"), &[".rs"]) {
            for other in apis.iter().filter(|other| **other != api) {
                assert!(
                    !code(&path).contains(&format!("api::{other}"))
                        && !code(&path).contains(&format!("super::super::{other}")),
                    "{} imports {other}",
                    path.display()
                );
            }
        }
    }
    let folders: Vec<_> = std::fs::read_dir(workspace().join("crates/server/src/api"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .collect();
    assert_eq!(folders.len(), apis.len(), "a new API joins the list of this test");
    assert_absent(
        "crates/store/src",
        &["http", "axum", "hyper"],
        &[],
        "the store does not know HTTP",
    );
}

#[test]
fn files_are_named_after_nouns() {
    for path in files("crates", &[".rs"]) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            ![
                "util.rs",
                "utils.rs",
                "common.rs",
                "helpers.rs",
                "misc.rs",
                "types.rs",
                "prelude.rs"
            ]
            .contains(&name),
            "{}",
            path.display()
        );
    }
}

#[test]
fn nothing_is_left_for_later_or_skipped() {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "should_panic", "dbg!("];
    for path in files("crates", &[".rs"]) {
        if path.ends_with("it/tidy.rs") {
            continue;
        }
        let text = read(&path);
        for word in words.iter().chain(&["TO\x44O", "FIX\x4dE"]) {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
    assert_absent("crates", &[".unwrap()"], &not_sources(), "no bare unwrap outside tests");
}

/// Test folders, where `unwrap` is welcome.
fn not_sources() -> Vec<&'static str> {
    let mut names = Vec::new();
    for path in files("crates", &[".rs"]) {
        if path.components().any(|part| part.as_os_str() == "tests") {
            names.push(&*Box::leak(path.to_str().unwrap().to_owned().into_boxed_str()));
        }
    }
    names
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&workspace().join("Cargo.toml"));
    let table =
        manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let mut count = 0;
    for line in table.lines().filter(|line| {
        line.contains('=') && !line.starts_with('#') && !line.contains("path = \"crates/")
    }) {
        count += 1;
        let reason = line.split("# ").nth(1).unwrap_or_default();
        assert!(reason.len() > 10, "no reason: {line}");
    }
    assert!(count > 20, "{count} dependencies found");
}

#[test]
fn documents_name_only_what_exists() {
    for path in files(".", &[".md"]) {
        let text = read(&path);
        let folder = path.parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(
                folder.join(target).exists(),
                "{} links to {target}, which is not there",
                path.display()
            );
        }
    }
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "docs/format.md",
        "docs/configuration.md",
        "docs/api/swr.md",
        "docs/api/intake.md",
        "deny.toml",
        "scripts/check",
        "scripts/test",
        ".ci/run",
    ] {
        assert!(workspace().join(name).exists(), "{name} is missing");
    }
}
