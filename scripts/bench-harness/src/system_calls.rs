//! The files that the server touches while it serves requests, by `strace`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A trace under way.
pub struct Trace {
    strace: Child,
    lines: std::thread::JoinHandle<Vec<String>>,
    pid: u32,
    threads: BTreeMap<String, String>,
}

/// One call on a file of the data directory, and how often it was made.
pub type Counted = BTreeMap<Call, u64>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The thread's name.
    pub thread: String,
    pub name: String,
    /// The file, below the data directory.
    pub file: String,
}

impl Trace {
    /// Follows every thread of a process; returns once it does. `None` where `strace` is not there
    /// or may not.
    pub fn start(pid: u32) -> Option<Trace> {
        let calls = "trace=%file,read,readv,pread64,preadv,mmap";
        let mut strace = Command::new("strace")
            .args(["-f", "-y", "-e", calls, "-p", &pid.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut lines =
            BufReader::new(strace.stderr.take().expect("piped")).lines().map_while(Result::ok);
        // Threads are attached to one by one; the last line about it is about all of them.
        let attached = lines.by_ref().find(|line| line.contains("attached"))?;
        let lines = std::thread::spawn(move || std::iter::once(attached).chain(lines).collect());
        std::thread::sleep(std::time::Duration::from_millis(500));
        Some(Trace { strace, lines, pid, threads: threads(pid) })
    }

    /// Ends the trace, and counts the calls that name a file of the data directory, or an open one.
    pub fn stop(mut self, data: &Path) -> Counted {
        self.threads.extend(threads(self.pid));
        Command::new("kill")
            .args(["-INT", &self.strace.id().to_string()])
            .status()
            .expect("kill is there");
        let _ = self.strace.wait();
        let data = format!("{}/", data.display());
        let mut counted = Counted::new();
        for line in self.lines.join().expect("reads lines") {
            // `[pid 123] pread64(7</data/journal/1>, …` or `[pid 123] statx(AT_FDCWD,
            // "/data/access.toml", …`
            let Some((thread, call)) =
                line.strip_prefix("[pid ").and_then(|rest| rest.split_once("] "))
            else {
                continue;
            };
            let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
            let Some((_, file)) = rest.split_once(&data) else { continue };
            let file = file.split(['"', '>']).next().unwrap_or_default().to_owned();
            let thread = self
                .threads
                .get(thread.trim())
                .cloned()
                .unwrap_or_else(|| "a new thread".to_owned());
            *counted.entry(Call { thread, name: name.to_owned(), file }).or_default() += 1;
        }
        counted
    }
}

fn threads(pid: u32) -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server runs");
    tasks
        .map(|task| {
            let task = task.expect("readable").path();
            let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
            (
                task.file_name().expect("a number").to_string_lossy().into_owned(),
                name.trim().to_owned(),
            )
        })
        .collect()
}
