//! The house rules, as far as a machine can see them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::workspace;

/// Folders with what is built, captured or installed.
const NO_SOURCES: [&str; 7] =
    ["target", ".git", "testdata", "__pycache__", "node_modules", "dist", "build"];

/// Every tracked kind of text file below a folder, build output left out.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !NO_SOURCES.contains(&name) {
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

/// The name of a file from the root of the checkout.
fn relative(path: &Path) -> &str {
    path.strip_prefix(workspace()).unwrap().to_str().unwrap()
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
    let mut except = not_sources();
    except.push("store/src/disk/durable.rs");
    assert_absent("crates", &words, &except, "only durable.rs syncs and renames");
    // The store's other modules reach files only through the Disk trait; the simulated one is a
    // disk itself.
    assert_absent(
        "crates/store/src",
        &["std::fs", "fs::"],
        &["store/src/disk/durable.rs"],
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

/// Words that the project does not use. The glossary and CONTRIBUTING say what it uses instead.
const RETIRED: [&str; 31] = [
    "seal", "seals", "sealed", "sealing", "sealer", "unsealed", "aside", "figure", "figures",
    "walk", "walks", "walked", "walking", "walker", "tailing", "told", "tell", "tells", "asked",
    "place", "places", "placed", "spot", "spots", "stamp", "stamps", "stamped", "kept", "keeper",
    "sums", "ambient",
];

/// Phrases of plain English, and names that data directories of format 1, checkpoints and receipts
/// have.
const ALLOWED: [(&str, &str); 33] = [
    ("in place", "plain English"),
    ("take place", "plain English"),
    ("takes place", "plain English"),
    ("took place", "plain English"),
    ("decimal place", "plain English"),
    ("in the place of", "plain English"),
    ("set-aside/", "a folder of format 1"),
    ("set-aside.retried", "a file of format 1"),
    ("\"set-aside\"", "a folder of format 1"),
    ("\"set-aside ", "the fourth line of a checkpoint"),
    ("set-aside <", "the fourth line of a checkpoint"),
    ("set-aside:", "the keys of repeated records in format 1"),
    ("aside\"", "the ending of a file of format 1"),
    (".aside", "the ending of a file of format 1"),
    ("sources.kept", "a file of format 1"),
    ("sealing.key", "a file of format 1"),
    ("\"sums\"", "a member of a file of format 1"),
    ("asked ", "a line of a receipt"),
    ("\"asked\"", "a line of a receipt"),
    ("`asked`", "a line of a receipt"),
    ("sealed_secret", "a member of access.toml"),
    ("\"sealed\"", "a member of the manifest in format 1"),
    ("\"is_told\"", "a member of a file of format 1"),
    ("`is_told`", "a member of a file of format 1"),
    ("told_since_ns", "a member of a file of format 1"),
    ("\"spot\"", "a member of a file of format 1"),
    ("`spot`", "a member of a file of format 1"),
    ("\\\"spot\\\"", "a member of a file of format 1"),
    ("\"stamp\"", "a member of a file of format 1"),
    ("`stamp`", "a member of a file of format 1"),
    ("\\\"stamp\\\"", "a member of a file of format 1"),
    ("AmbientCapabilities", "a setting of systemd"),
    ("SHA256SUMS", "the usual name of that file"),
];

/// Files that may have a retired word, and why.
const EXCEPTIONS: [(&str, &[&str], &str); 4] = [
    ("crates/daybook/tests/it/tidy.rs", &RETIRED, "the list"),
    ("CHANGELOG.md", &RETIRED, "it lists the old names beside the new ones"),
    ("docs/format.md", &RETIRED, "names of format 1"),
    ("docs/glossary.md", &RETIRED, "it may say which word is not used"),
];

/// The words of a line in lower case: identifiers are taken apart at `_` and at capitals.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let letters: Vec<char> = line.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_alphabetic() {
            words.push(String::new());
            continue;
        }
        let is_after_small = at > 0 && letters[at - 1].is_lowercase();
        let is_before_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let is_after_capital = at > 0 && letters[at - 1].is_uppercase();
        if letter.is_uppercase() && (is_after_small || is_after_capital && is_before_small) {
            words.push(String::new());
        }
        words.last_mut().unwrap().extend(letter.to_lowercase());
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Text that people read and write: code, documentation, settings and scripts.
fn texts() -> Vec<PathBuf> {
    let endings = [
        ".rs",
        ".md",
        ".py",
        ".toml",
        ".sh",
        ".yml",
        ".yaml",
        ".json",
        ".service",
        ".go",
        ".java",
        ".js",
        ".tf",
        ".conf",
        "Dockerfile",
    ];
    let mut paths = files(".", &endings);
    for folder in ["scripts", "peers"] {
        paths.extend(files(folder, &[""]).into_iter().filter(|path| path.extension().is_none()));
    }
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn retired_words_are_gone() {
    let mut hits = String::new();
    for path in texts() {
        let name = relative(&path);
        let excepted = EXCEPTIONS.iter().find(|(file, _, _)| *file == name);
        let excepted = excepted.map_or(&[][..], |(_, words, _)| words);
        let text = read(&path);
        let mut numbered: Vec<(usize, &str)> = text.lines().enumerate().collect();
        numbered.insert(0, (0, name));
        for (number, line) in numbered {
            let mut line = line.to_owned();
            for (phrase, _) in ALLOWED {
                line = line.replace(phrase, " ");
            }
            for word in words(&line) {
                if RETIRED.contains(&&*word) && !excepted.contains(&&*word) {
                    hits += &format!("{name}:{}:{word}\n", number + 1);
                }
            }
        }
    }
    assert!(hits.is_empty(), "{} retired words:\n{hits}", hits.lines().count());
}

#[test]
fn types_are_named_by_nouns() {
    let names = [
        "Told", "Asked", "Found", "Kept", "Shown", "Wanted", "Opened", "Named", "Parsed", "Stored",
        "Taken", "Given", "Said",
    ];
    let heads = ["struct ", "enum ", "trait ", "type "];
    let mut hits = String::new();
    for path in files("crates", &[".rs"]) {
        for line in read(&path).lines() {
            let line = line.trim_start();
            let line =
                line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
            let Some(rest) = heads.iter().find_map(|head| line.strip_prefix(head)) else {
                continue;
            };
            let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if names.contains(&name) {
                hits += &format!("{}: {name}\n", relative(&path));
            }
        }
    }
    assert!(hits.is_empty(), "no nouns:\n{hits}");
}

/// What each line of a file is: whether a part of it is inside a string or character literal.
fn has_literal(text: &str) -> Vec<bool> {
    let letters: Vec<char> = text.chars().collect();
    let (mut at, mut lines) = (0, vec![false]);
    let step = |at: &mut usize, lines: &mut Vec<bool>, in_literal: bool| {
        if letters[*at] == '\n' {
            lines.push(in_literal);
        } else if in_literal {
            *lines.last_mut().unwrap() = true;
        }
        *at += 1;
    };
    while at < letters.len() {
        let rest = &letters[at..];
        if rest.starts_with(&['/', '/']) {
            while at < letters.len() && letters[at] != '\n' {
                step(&mut at, &mut lines, false);
            }
        } else if rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
            step(&mut at, &mut lines, true);
            while letters[at] != '\'' {
                let escaped = letters[at] == '\\';
                step(&mut at, &mut lines, true);
                if escaped {
                    step(&mut at, &mut lines, true);
                }
            }
            step(&mut at, &mut lines, true);
        } else if rest[0] == '"' || rest[0] == 'r' && matches!(rest.get(1), Some('"' | '#')) {
            let hashes = rest[1..].iter().take_while(|letter| **letter == '#').count();
            let is_raw = rest[0] == 'r';
            if is_raw && rest.get(1 + hashes) != Some(&'"') {
                step(&mut at, &mut lines, false);
                continue;
            }
            let quote = if is_raw { hashes + 2 } else { 1 };
            (0..quote).for_each(|_| step(&mut at, &mut lines, true));
            let end: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', if is_raw { hashes } else { 0 }))
                .collect();
            while at < letters.len() && !letters[at..].starts_with(&end) {
                let escaped = !is_raw && letters[at] == '\\';
                step(&mut at, &mut lines, true);
                if escaped {
                    step(&mut at, &mut lines, true);
                }
            }
            end.iter().for_each(|_| step(&mut at, &mut lines, true));
        } else {
            step(&mut at, &mut lines, false);
        }
    }
    lines
}

#[test]
fn lines_end_at_a_hundred_columns() {
    let mut long = String::new();
    for path in files("crates", &[".rs"]).into_iter().chain(files("fuzz", &[".rs"])) {
        let text = read(&path);
        for ((number, line), has_literal) in text.lines().enumerate().zip(has_literal(&text)) {
            if line.chars().count() > 100 && !has_literal && !line.contains("://") {
                long += &format!("{}:{}\n", relative(&path), number + 1);
            }
        }
    }
    assert!(long.is_empty(), "lines of more than 100 columns:\n{long}");
}

/// The files of a crate as modules, and what each imports.
///
/// A use of an ancestor (`super::X`, or `crate::X` of `lib.rs`) does not count: a module is made of
/// its children, which may use what it declares. A name that a module exports again is looked for
/// where it is defined.
struct Imports {
    modules: BTreeMap<Vec<String>, String>,
    exports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

impl Imports {
    fn of(name: &str) -> Imports {
        let source = workspace().join(format!("crates/{name}/src"));
        let mut imports = Imports { modules: BTreeMap::new(), exports: BTreeMap::new() };
        for path in files(&format!("crates/{name}/src"), &[".rs"]) {
            let parts = path.strip_prefix(&source).unwrap().with_extension("");
            let mut module: Vec<String> =
                parts.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if ["lib", "main", "mod"].contains(&module.last().unwrap().as_str()) {
                module.pop();
            }
            let code = without_literals(&code(&path));
            let mut exports = BTreeMap::new();
            for path in public_uses(&code).iter().flat_map(|used| paths_of(used)) {
                exports.insert(path.last().unwrap().clone(), path);
            }
            imports.exports.insert(module.clone(), exports);
            imports.modules.insert(module, code);
        }
        imports
    }

    /// The module that a path of this module leads to.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Vec<String> {
        let mut module = from.to_vec();
        for (at, step) in path.iter().enumerate() {
            match step.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                name => {
                    module.push(name.to_owned());
                    if !self.modules.contains_key(&module) {
                        module.pop();
                        let exports = self.exports.get(&module);
                        return match exports.and_then(|exports| exports.get(name)) {
                            Some(export) if depth < 8 => {
                                let whole = [export, &path[at + 1..]].concat();
                                self.resolve(&module, &whole, depth + 1)
                            }
                            _ => module,
                        };
                    }
                }
            }
        }
        module
    }

    /// What each module imports.
    fn graph(&self) -> BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> {
        let mut graph = BTreeMap::new();
        for (module, code) in &self.modules {
            let children = self
                .modules
                .keys()
                .filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
            let mut heads: Vec<&str> =
                children.map(|child| child.last().unwrap().as_str()).collect();
            heads.extend(["crate", "super", "self"]);
            let mut code = code.clone();
            for used in public_uses(&code.clone()) {
                code = code.replace(&used, "");
            }
            let mut imported = BTreeSet::new();
            for head in heads {
                let start = format!("{head}::");
                for (at, _) in code.match_indices(&start) {
                    let before = code[..at].chars().next_back().unwrap_or(' ');
                    if before.is_alphanumeric() || before == '_' || before == ':' {
                        continue;
                    }
                    for path in paths_of(&code[at..]) {
                        let target = self.resolve(module, &path, 0);
                        if !module.starts_with(&target) {
                            imported.insert(target);
                        }
                    }
                }
            }
            graph.insert(module, imported);
        }
        graph
    }

    /// A circle of modules, if there is one.
    fn circle(&self) -> Option<Vec<String>> {
        let mut graph = self.graph();
        // What imports nothing that is left cannot be in a circle.
        loop {
            let ends: Vec<&Vec<String>> = graph
                .iter()
                .filter(|(_, imported)| !imported.iter().any(|one| graph.contains_key(one)))
                .map(|(module, _)| *module)
                .collect();
            if ends.is_empty() {
                break;
            }
            for module in ends {
                graph.remove(module);
            }
        }
        let mut module = (*graph.keys().next()?).clone();
        let mut chain: Vec<Vec<String>> = Vec::new();
        while !chain.contains(&module) {
            chain.push(module.clone());
            let next = graph[&module].iter().find(|one| graph.contains_key(one));
            module = next.unwrap().clone();
        }
        let first = chain.iter().position(|one| *one == module).unwrap();
        chain.push(module);
        Some(chain[first..].iter().map(|module| module.join("/")).collect())
    }
}

/// Code without the content of its string literals, which may look like code.
fn without_literals(code: &str) -> String {
    let mut out = String::new();
    let mut letters = code.chars();
    while let Some(letter) = letters.next() {
        out.push(letter);
        if letter == '"' {
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => drop(letters.next()),
                    '"' => break,
                    _ => {}
                }
            }
            out.push('"');
        }
    }
    out
}

/// The paths of `pub use` items, as they stand.
fn public_uses(code: &str) -> Vec<String> {
    let uses = code.split(';').filter_map(|item| {
        let at = item.rfind("pub use ").or_else(|| item.rfind("pub(crate) use "))?;
        let used = item[at..].split_once(" use ")?.1;
        Some(used.to_owned())
    });
    uses.collect()
}

/// The paths at the beginning of a text: `a::{b, c::d}` are `a::b` and `a::c::d`.
fn paths_of(text: &str) -> Vec<Vec<String>> {
    fn read(text: &mut &str, before: &[String], paths: &mut Vec<Vec<String>>) {
        let mut path = before.to_vec();
        loop {
            *text = text.trim_start();
            if let Some(rest) = text.strip_prefix('{') {
                *text = rest;
                loop {
                    *text = text.trim_start();
                    if let Some(rest) = text.strip_prefix('}') {
                        *text = rest;
                        return;
                    }
                    let len = text.len();
                    read(text, &path, paths);
                    *text = text.trim_start();
                    *text = text.strip_prefix(',').unwrap_or(text);
                    if text.len() == len {
                        return;
                    }
                }
            }
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
            let (name, rest) = text.split_at(end.unwrap_or(text.len()));
            if !name.is_empty() {
                path.push(name.to_owned());
            }
            *text = rest;
            match rest.strip_prefix("::") {
                Some(rest) if !name.is_empty() => *text = rest,
                _ => break,
            }
        }
        if let Some(rest) = text.trim_start().strip_prefix("as ") {
            *text = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        }
        if path.len() > before.len() {
            paths.push(path);
        }
    }
    let (mut text, mut paths) = (text, Vec::new());
    read(&mut text, &[], &mut paths);
    paths
}

#[test]
fn files_of_a_crate_do_not_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for (name, _) in CRATES.iter().chain(&[("daybook", &[][..])]) {
        if let Some(circle) = Imports::of(name).circle() {
            circles.push(format!("{name}: {}", circle.join(" -> ")));
        }
    }
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

/// The map of the code names only files and folders that exist.
#[test]
fn architecture_names_only_what_exists() {
    let page = read(&workspace().join("ARCHITECTURE.md"));
    let table = page.split("## Where to look").nth(1).unwrap().split("## Seams").next().unwrap();
    let mut count = 0;
    for name in table.split('`').skip(1).step_by(2) {
        let is_path = name.contains("/src/") || name.contains("/tests/");
        if !is_path || name.contains('<') {
            continue;
        }
        count += 1;
        assert!(workspace().join("crates").join(name).exists(), "{name} is not there");
    }
    assert!(count > 40, "{count} paths found");
}

/// The console is built before it is committed, so that cargo needs no Node: what was built is of
/// the sources that stand beside it.
#[test]
fn the_console_was_built_from_its_sources() {
    use sha2::{Digest, Sha256};
    let console = workspace().join("console");
    let listed = read(&console.join("dist/SOURCES"));
    let mut count = 0;
    for line in listed.lines() {
        let (hash, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(console.join(name)).unwrap_or_else(|_| panic!("{name} is gone"));
        let found = crate::harness::hex(&Sha256::digest(bytes));
        assert_eq!(found, hash, "{name} changed; run scripts/console build");
        count += 1;
    }
    for path in files("console/src", &[""]) {
        let name = path.strip_prefix(&console).unwrap().to_str().unwrap();
        assert!(
            listed.contains(&format!("  {name}\n")),
            "{name} is new; run scripts/console build"
        );
    }
    assert!(count > 30, "{count} sources");
    for name in ["index.html", "app.js", "app.css", "verify.js"] {
        let built = read(&console.join("dist").join(name));
        for word in ["http://", "eval(", "unsafe-inline"] {
            assert!(!built.replace("http://www.w3.org/", "").contains(word), "{name} has {word}");
        }
    }
    for path in files("console/src", &[".svelte", ".ts"]) {
        let text = read(&path);
        for word in ["@html", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}
