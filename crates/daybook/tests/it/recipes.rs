//! The recipes of `docs/contributing`, followed to the letter in a copy of the checkout: the code
//! blocks of a page are put where the page says, and the result is built and run. A page and the
//! code cannot disagree without a failure here.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use crate::harness::{Daybook, PROJECT, TestDir, text, without_settings, workspace};

/// Both recipes share a copy and its build output, so that crates are built once.
static COPY: Mutex<()> = Mutex::new(());

/// A copy of the checkout in which a recipe is followed. It stays for the next run: a file that
/// did not change keeps its time, and so its crate is not built again.
struct Copy {
    folder: PathBuf,
    build: PathBuf,
    /// What the recipe touched, from the root of the checkout.
    touched: BTreeSet<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Copy {
    /// Waits for the other recipe to end, and begins with an untouched copy.
    fn new() -> Copy {
        let turn = COPY.lock().unwrap_or_else(|poison| poison.into_inner());
        let profile = Path::new(env!("CARGO_BIN_EXE_daybook")).parent().unwrap();
        let folder = profile.parent().unwrap().join("recipes");
        let (folder, build) = (folder.join("checkout"), folder.join("build"));
        let mut names = BTreeSet::new();
        for root in ["crates", "console/dist", "docs"] {
            list(&workspace().join(root), &mut names);
        }
        let of_root = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];
        names.extend(of_root.map(|name| workspace().join(name)));
        let names: BTreeSet<PathBuf> =
            names.iter().map(|path| path.strip_prefix(workspace()).unwrap().to_owned()).collect();
        let mut old = BTreeSet::new();
        list(&folder, &mut old);
        for path in old {
            if !names.contains(path.strip_prefix(&folder).unwrap()) {
                fs::remove_file(path).unwrap();
            }
        }
        for name in names {
            let bytes = fs::read(workspace().join(&name)).unwrap();
            write_if_changed(&folder.join(name), &bytes);
        }
        if !build.exists() {
            take_over_dependencies(profile, &build.join("debug"));
        }
        Copy { folder, build, touched: BTreeSet::new(), _turn: turn }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// Adds a file.
    fn add(&mut self, name: &str, text: &str) {
        assert!(!self.folder.join(name).exists(), "{name} is there already");
        write_if_changed(&self.folder.join(name), text.as_bytes());
        self.touched.insert(name.to_owned());
    }

    /// Puts a line before the first that begins alike, or in the place of it if `replaces`.
    fn insert_line(&mut self, name: &str, line: &str, before: &str, replaces: bool) {
        let text = self.read(name);
        let mut lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|other| other.trim_start().starts_with(before));
        let at = at.unwrap_or_else(|| panic!("{name} has no line that begins with {before:?}"));
        lines.splice(at..at + usize::from(replaces), [line]);
        fs::write(self.folder.join(name), lines.join("\n") + "\n").unwrap();
        self.touched.insert(name.to_owned());
    }

    /// Runs cargo without the network; returns what it wrote.
    fn cargo(&self, arguments: &[&str], settings: &[(&str, &str)]) -> String {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .arg("--offline")
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.build)
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "cargo {arguments:?}: {all}");
        all
    }
}

/// Lists the files below a folder, build output left out.
fn list(folder: &Path, names: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            names.insert(path);
        } else if path.file_name() != Some(OsStr::new("target")) {
            list(&path, names);
        }
    }
}

fn write_if_changed(path: &Path, bytes: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Links the libraries that are built already into another folder of build output, and copies what
/// cargo changes in place. Programs are left out: they are large, and no dependency.
fn take_over_dependencies(from: &Path, to: &Path) {
    for name in ["deps", "build", ".fingerprint"] {
        let mut files = BTreeSet::new();
        list(&from.join(name), &mut files);
        for path in files {
            let is_library = ["rlib", "rmeta", "so"].map(OsStr::new).map(Some);
            let is_library = is_library.contains(&path.extension());
            let is_program = path.extension().is_none()
                && fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
            let copied = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(copied.parent().unwrap()).unwrap();
            if is_library {
                fs::hard_link(&path, &copied).unwrap();
            } else if name != "deps" || !is_program {
                fs::copy(&path, &copied).unwrap();
                let times = fs::FileTimes::new()
                    .set_modified(fs::metadata(&path).unwrap().modified().unwrap());
                fs::File::options().append(true).open(&copied).unwrap().set_times(times).unwrap();
            }
        }
    }
}

/// A page with a recipe.
struct Page {
    text: String,
}

impl Page {
    fn read(name: &str) -> Page {
        let text = fs::read_to_string(workspace().join("docs/contributing").join(name)).unwrap();
        Page { text }
    }

    /// The only code block that contains this.
    fn block(&self, marker: &str) -> &str {
        let blocks = self.text.split("\n```").skip(1).step_by(2);
        let found: Vec<&str> = blocks
            .filter_map(|block| block.split_once('\n').map(|(_, code)| code))
            .filter(|code| code.contains(marker))
            .collect();
        assert_eq!(found.len(), 1, "code blocks with {marker:?}");
        found[0]
    }

    /// The files that the table at the top of the page names, with these words for `<…>`.
    fn files(&self, words: &[(&str, &str)]) -> BTreeSet<String> {
        let rows = self.text.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = rows.map(|row| row.split('`').next().unwrap().to_owned());
        let names = names.map(|name| {
            words.iter().fold(name, |name, (word, value)| name.replace(&format!("<{word}>"), value))
        });
        names.collect()
    }
}

/// Lines such as `code // file, where`: each with the file it goes to.
fn lines_with_files(block: &str) -> Vec<(&str, &str)> {
    let lines = block.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (code, comment) = line.rsplit_once(" // ").unwrap();
            (code.trim_end(), comment.split(',').next().unwrap())
        })
        .collect()
}

/// The file or folder of a table that a touched file belongs to.
fn is_named_by(file: &str, rows: &BTreeSet<String>) -> bool {
    rows.iter().any(|row| file == row || row.ends_with('/') && file.starts_with(row.as_str()))
}

/// Follows the recipe for a source format.
fn add_format(copy: &mut Copy, page: &Page) {
    copy.add("crates/formats/src/host/gatekeeper.rs", page.block("pub(crate) const SPEC"));
    for (line, file) in lines_with_files(page.block("Format(&gatekeeper::SPEC)")) {
        let (before, replaces) = match line.trim_start() {
            line if line.starts_with("pub(crate) mod") => ("pub(crate) mod", false),
            line if line.starts_with("use crate::host::") => ("use crate::host::", true),
            _ => ("Format(&", false),
        };
        copy.insert_line(file, line, before, replaces);
    }
}

#[test]
fn a_format_is_added_by_its_recipe() {
    let page = Page::read("formats.md");
    let mut copy = Copy::new();
    add_format(&mut copy, &page);
    let sources = copy.touched.len();
    assert_eq!(sources, 3, "a parser, its module and the table: {:?}", copy.touched);
    let folder = "crates/formats/testdata/gatekeeper/";
    let capture = page.block("alice 192.0.2.7 open");
    copy.add(&format!("{folder}audit.log"), &format!("{capture}\n"));
    copy.add("crates/formats/tests/it/gatekeeper.rs", page.block("every_capture_gives"));
    copy.insert_line("crates/formats/tests/it/main.rs", "mod gatekeeper;", "mod golden;", false);
    let test = ["test", "-p", "formats", "--test", "it", "gatekeeper"];
    copy.cargo(&test, &[("UPDATE_GOLDEN", "1")]);
    let expected = copy.read(&format!("{folder}audit.expected.jsonl"));
    copy.touched.insert(format!("{folder}audit.expected.jsonl"));
    let written = copy.cargo(&test, &[]);
    assert!(written.contains("test result: ok. 1 passed"), "{written}");

    // The event of the line that the page shows.
    assert_eq!(expected.lines().count(), 1, "{expected}");
    let entry: serde_json::Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(entry["actor"]["name"], "alice");
    assert_eq!(entry["source_ip"]["address"], "192.0.2.7");
    assert_eq!(entry["resource"]["name"], "door-3");
    assert_eq!(entry["outcome"]["result"], "success");

    // The page's table names every file, and nothing else but the documentation for users.
    let mut rows = page.files(&[("family", "host"), ("name", "gatekeeper")]);
    assert!(rows.remove("docs/sources/gatekeeper.md"));
    rows.insert("crates/formats/tests/it/main.rs".to_owned());
    assert!(copy.touched.iter().all(|file| is_named_by(file, &rows)), "{:?}", copy.touched);
    assert_eq!(copy.touched.len(), 7, "{:?}", copy.touched);
    assert_eq!(rows.len(), 6, "{rows:?}");
}

/// Follows the recipe for a wire API; returns how many sources it touched.
fn add_api(copy: &mut Copy, page: &Page) -> usize {
    let before = copy.touched.len();
    let folder = "crates/server/src/api/lockbox";
    copy.add(&format!("{folder}/mod.rs"), page.block("render_error: error::render"));
    copy.add(&format!("{folder}/error.rs"), page.block("pub fn render(error: &ApiError"));
    let module = "pub mod lockbox;";
    assert!(page.text.contains("`pub mod <name>;` in `api/mod.rs`"));
    copy.insert_line("crates/server/src/api/mod.rs", module, "pub mod", false);
    let line = page.block("lockbox::API,").trim_end();
    copy.insert_line("crates/server/src/routes.rs", line, "&api::", false);
    copy.touched.len() - before
}

#[test]
fn an_api_is_added_by_its_recipe() {
    let (formats, apis) = (Page::read("formats.md"), Page::read("apis.md"));
    let mut copy = Copy::new();
    // The API lists what a source of the other recipe sent.
    add_format(&mut copy, &formats);
    let sources = add_api(&mut copy, &apis);
    assert_eq!(sources, 4, "two files of its own, its module and the table: {:?}", copy.touched);
    // With the examples, dependencies have the features that they have in tests.
    copy.cargo(&["build", "--workspace", "--bins", "--examples"], &[]);

    let test_dir = TestDir::new();
    let mut config = fs::read_to_string(test_dir.path("daybook.toml")).unwrap();
    config += &format!(
        "[[source]]\nname = \"doors\"\nformat = \"gatekeeper\"\ntoken = {{ file = \"token\" }}\n\
         trail = {{ service = \"platform\", tenant = \"acme\", project = \"{PROJECT}\", \
         instance = \"doors\" }}\n"
    );
    fs::write(test_dir.path("daybook.toml"), config).unwrap();
    test_dir.access(&["grant", "auditor", "reader", "platform/acme/*/*"]);
    let program = Command::new(copy.build.join("debug/daybook"));
    let server = Daybook::spawn(&mut test_dir.serve_command(without_settings(program)));
    let line = formats.block("alice 192.0.2.7 open");
    let taken = server.send("doors", line);
    assert!((200..300).contains(&taken.status), "{}", taken.text());
    let target = format!("/lockbox/v1/{PROJECT}/doors/doors/history?count=1");
    let listed = server.signed_get(&target);
    assert_eq!(listed.status, 200, "{}", listed.text());
    let act = &listed.json()["history"][0];
    assert_eq!(
        (&act["who"], &act["act"], &listed.json()["count"]),
        (&"alice".into(), &"open".into(), &1.into())
    );
    let hidden = server.signed_get(&target.replace("doors/doors", "doors/none"));
    assert_eq!((hidden.status, &hidden.json()["code"]), (404, &"LB.404".into()));
    assert_eq!(server.request("GET", &target, &[], b"").status, 401);
    assert_eq!(server.stop(), Some(0));

    // The page's table names every file of the program.
    let rows: BTreeSet<String> = apis.files(&[("name", "lockbox")]);
    let own = copy.touched.iter().filter(|file| file.starts_with("crates/server/"));
    let is_there = |file: &&String| {
        is_named_by(file, &rows) || file.as_str() == "crates/server/src/api/mod.rs"
    };
    assert!(own.clone().all(|file| is_there(&file)), "{:?}: {rows:?}", copy.touched);
}
